//! From images to segments: the plan's pieces, each made once.

use super::manifest::SegmentRecord;
use super::run::Task;
use crate::initramfs::cpio::Inodes;
use crate::initramfs::overlap::{self, Member};
use crate::initramfs::segment::{self, Options, Segment};
use crate::initramfs::{Content, Tree};
use crate::linuxkit::{self, Piece, Plan, Trees};
use crate::oci::{self, Image};
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Key, KeyMaker, Store};
use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// What the assembly works on.
pub struct Assembly<'a> {
    pub store: &'a Store,
    pub plan: &'a Plan,
    /// Every image that the plan names, by the plan's name for it; and the kernel's.
    pub images: &'a BTreeMap<String, Image>,
    pub options: Options,
    /// Threads.
    pub jobs: usize,
}

/// One segment of the base image, in the order of unpacking.
#[derive(Debug, Clone)]
pub struct Done {
    pub name: String,
    pub segment: Segment,
}

impl Done {
    pub fn record(&self) -> SegmentRecord {
        SegmentRecord {
            name: self.name.clone(),
            digest: self.segment.blob,
            compressed: self.segment.compressed,
            unpacked: self.segment.written.content,
            memory: self.segment.written.memory,
            files: self.segment.written.files,
        }
    }
}

/// A piece with its key: the kernel's modules, or a piece of the plan.
enum Work<'a> {
    Modules(&'a str),
    Piece(&'a Piece),
}

impl Work<'_> {
    /// Names of the images that it is made of.
    fn images(&self) -> Vec<String> {
        match self {
            Work::Modules(image) => vec![(*image).to_owned()],
            Work::Piece(piece) => piece.images.clone(),
        }
    }
}

impl Assembly<'_> {
    /// Makes every segment of the base image.
    pub fn segments(&self, task: &Task<'_>) -> Result<Vec<Done>> {
        let work = self.keyed()?;
        let trees = Memory::new(self, &work);
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        // The largest first, or all processors but one might wait for it at the end.
        let mut order: Vec<usize> = (0..work.len()).collect();
        order.sort_by_cached_key(|i| std::cmp::Reverse(work.get(*i).map(|(.., work)| self.weight(work))));
        let results: Mutex<Vec<Option<Result<Done>>>> = Mutex::new(work.iter().map(|_| None).collect());
        let failed = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, work.len().max(1)) {
                scope.spawn(|| {
                    while failed.load(Ordering::Relaxed) == 0 {
                        let Some(&i) = order.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                        let Some(piece) = work.get(i) else { break };
                        let result = task.item(&piece.0, |item| self.one(piece, i, &trees, item));
                        if result.is_err() {
                            failed.fetch_add(1, Ordering::Relaxed);
                        }
                        if let Some(slot) = results.lock().unwrap_or_else(PoisonError::into_inner).get_mut(i)
                        {
                            *slot = Some(result);
                        }
                        let done = done.fetch_add(1, Ordering::Relaxed) + 1;
                        task.at(done as u64, work.len() as u64, Unit::Items);
                    }
                });
            }
        });
        let results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
        let (good, bad): (Vec<_>, Vec<_>) = results.into_iter().flatten().partition(Result::is_ok);
        if let Some(problem) = bad.into_iter().find_map(Result::err) {
            return Err(problem);
        }
        self.check_overlaps(&work, &trees, task)?;
        Ok(good.into_iter().flatten().collect())
    }

    /// Name and key of every segment, whether the store has it, and what decides it.
    pub fn state(&self) -> Result<Vec<(String, String, bool, Vec<(String, String)>)>> {
        let keyed = self.keyed()?;
        let state = |(name, key, work): (String, Key, Work<'_>)| {
            let options = Options { inodes: self.inodes(&work), ..self.options };
            let there = segment::find(self.store, &key, &options).is_some();
            Ok((name, key.hex(), there, self.inputs(&work)?))
        };
        keyed.into_iter().map(state).collect()
    }

    fn one(
        &self,
        (name, key, work): &(String, Key, Work<'_>),
        i: usize,
        trees: &Memory<'_, '_>,
        item: &Task<'_>,
    ) -> Result<Done> {
        let options = Options { inodes: self.inodes(work), ..self.options };
        let made = segment::make(self.store, key, &options, || trees.piece(i).map(|t| (*t).clone()), item);
        let (segment, cached) = made.map_err(|e| match e {
            segment::Error::Tree(problem) => problem,
            segment::Error::Cancelled => Problem::cancelled(),
            other => Problem::new(format!("cannot make segment {name}")).because(other),
        })?;
        item.settled(&key.hex(), self.inputs(work)?, cached);
        Ok(Done { name: name.to_owned(), segment })
    }

    /// About how much there is to compress: the bytes of the images' layers.
    fn weight(&self, work: &Work<'_>) -> u64 {
        let names = work.images();
        let layers = names.iter().filter_map(|name| self.images.get(name)).flat_map(|image| &image.layers);
        layers.map(|layer| self.store.path(layer).metadata().map_or(0, |meta| meta.len())).sum()
    }

    /// What decides a piece, in words.
    fn inputs(&self, work: &Work<'_>) -> Result<Vec<(String, String)>> {
        let images = work.images();
        let images =
            images.iter().map(|name| Ok((format!("image {name}"), self.image(name)?.manifest.hex())));
        let mut inputs: Vec<(String, String)> = images.collect::<Result<_>>()?;
        if let Work::Piece(piece) = work {
            let said = piece.key_inputs.iter();
            inputs.extend(said.map(|(label, value)| (label.clone(), Digest::of(value).hex())));
        }
        Ok(inputs)
    }

    /// Every piece of work with its name and key, in the order of unpacking: init images first, then the
    /// kernel's modules on top of them, then the rest.
    fn keyed(&self) -> Result<Vec<(String, Key, Work<'_>)>> {
        let mut out: Vec<(String, Key, Work<'_>)> = Vec::new();
        let mut modules = self.plan.kernel.as_ref().filter(|kernel| kernel.tar.is_some());
        for piece in &self.plan.pieces {
            if !piece.name.starts_with("init/")
                && let Some(kernel) = modules.take()
            {
                out.push(self.modules(&kernel.image)?);
            }
            let mut key = KeyMaker::new("piece").add("name", &piece.name);
            for image in &piece.images {
                key = key.add("image", self.image(image)?.manifest.bytes());
            }
            for (label, value) in &piece.key_inputs {
                key = key.add(label, value);
            }
            if piece.depends_on_earlier {
                for (_, earlier, _) in &out {
                    key = key.add("earlier", earlier.hex());
                }
            }
            out.push((piece.name.clone(), key.finish(), Work::Piece(piece)));
        }
        if let Some(kernel) = modules {
            out.push(self.modules(&kernel.image)?);
        }
        Ok(out)
    }

    fn modules<'a>(&self, image: &'a str) -> Result<(String, Key, Work<'a>)> {
        let key = KeyMaker::new("modules 1")
            .add("image", self.image(image)?.manifest.bytes())
            .add("time", linuxkit::LINUXKIT_TIME.to_le_bytes());
        Ok(("modules".to_owned(), key.finish(), Work::Modules(image)))
    }

    fn image(&self, name: &str) -> Result<&Image> {
        self.images.get(name).ok_or_else(|| Problem::new(format!("image {name} was planned and not made")))
    }

    /// The kernel's file out of its image.
    pub fn kernel_binary(&self) -> Result<Vec<u8>> {
        let Some(kernel) = &self.plan.kernel else {
            return Err(Problem::usage("the image definition names no kernel")
                .remedy("add `kernel:` with an `image:` to it"));
        };
        let parts = kernel.parts(&tree_of(self.store, self.image(&kernel.image)?)?)?;
        bytes_of(self.store, &parts.binary)
    }

    /// CPU microcode, which goes in front of everything as it is.
    pub fn microcode(&self) -> Result<Option<Vec<u8>>> {
        let Some(kernel) = self.plan.kernel.as_ref().filter(|kernel| kernel.ucode.is_some()) else {
            return Ok(None);
        };
        let parts = kernel.parts(&tree_of(self.store, self.image(&kernel.image)?)?)?;
        parts.ucode.map(|content| bytes_of(self.store, &content)).transpose()
    }

    /// How the inodes of a piece are numbered. Kernel modules have no equal files elsewhere.
    fn inodes(&self, work: &Work<'_>) -> Inodes {
        match work {
            Work::Modules(_) => Inodes::Own,
            Work::Piece(piece) if piece.replaces_earlier => Inodes::Over,
            Work::Piece(_) => self.options.inodes,
        }
    }

    /// What the kernel would silently lose is found here; once for the same set of pieces.
    fn check_overlaps(
        &self,
        work: &[(String, Key, Work<'_>)],
        trees: &Memory<'_, '_>,
        task: &Task<'_>,
    ) -> Result<()> {
        let mut key = KeyMaker::new("no overlaps 1");
        for (_, piece, _) in work {
            key = key.add("piece", piece.hex());
        }
        let key = key.finish();
        if self.store.work(&key).is_some() {
            return Ok(());
        }
        let all: Vec<Arc<Tree>> = (0..work.len()).map(|i| trees.piece(i)).collect::<Result<_>>()?;
        let members = work.iter().zip(&all).map(|((name, _, work), tree)| Member {
            name,
            tree: tree.as_ref(),
            inodes: self.inodes(work),
        });
        let found = overlap::check(&members.collect::<Vec<_>>());
        let (errors, words): (Vec<_>, Vec<_>) = found.iter().partition(|overlap| overlap.kind.is_error());
        for overlap in words {
            task.warn(&overlap.to_string());
        }
        if !errors.is_empty() {
            let text: Vec<String> = errors.iter().map(|overlap| format!("- {overlap}")).collect();
            return Err(Problem::new(format!(
                "pieces of the image are in each other's way:\n{}",
                text.join("\n")
            ))
            .remedy("use images and files that agree on these paths: the kernel would lose one of them"));
        }
        self.store.set_work(&key, &self.store.put(b"")?)?;
        Ok(())
    }
}

/// The trees of images and pieces, read when they are first asked for.
struct Memory<'a, 'w> {
    assembly: &'a Assembly<'a>,
    work: &'w [(String, Key, Work<'w>)],
    images: Mutex<HashMap<String, Arc<Tree>>>,
    pieces: Mutex<HashMap<usize, Arc<Tree>>>,
}

impl<'a, 'w> Memory<'a, 'w> {
    fn new(assembly: &'a Assembly<'a>, work: &'w [(String, Key, Work<'w>)]) -> Self {
        Self { assembly, work, images: Mutex::default(), pieces: Mutex::default() }
    }

    fn piece(&self, i: usize) -> Result<Arc<Tree>> {
        if let Some(tree) = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).get(&i) {
            return Ok(Arc::clone(tree));
        }
        let tree = match &self.work.get(i).map(|(.., work)| work) {
            Some(Work::Modules(image)) => self.modules(image)?,
            Some(Work::Piece(piece)) => {
                let earlier = if piece.depends_on_earlier {
                    let mut all = Tree::new();
                    for earlier in 0..i {
                        all.overlay(&crate::initramfs::TreePath::root(), &*self.piece(earlier)?);
                    }
                    Some(all)
                } else {
                    None
                };
                piece.tree(&View { memory: self, earlier })?
            }
            None => Tree::new(),
        };
        let tree = Arc::new(tree);
        self.pieces.lock().unwrap_or_else(PoisonError::into_inner).insert(i, Arc::clone(&tree));
        Ok(tree)
    }

    /// The kernel tar, read where it lies: a range of the kernel image's layer.
    fn modules(&self, image: &str) -> Result<Tree> {
        let store = self.assembly.store;
        let Some(kernel) = &self.assembly.plan.kernel else { return Ok(Tree::new()) };
        let parts = kernel.parts(&*self.image_tree(image)?)?;
        let Some(tar) = parts.tar else { return Ok(Tree::new()) };
        let tree = oci::nested_tree(store, &tar)
            .map_err(|e| Problem::new(format!("the kernel tar of {image} cannot be read")).because(e))?;
        linuxkit::modules_tree(&tree, linuxkit::LINUXKIT_TIME)
    }

    fn image_tree(&self, name: &str) -> Result<Arc<Tree>> {
        if let Some(tree) = self.images.lock().unwrap_or_else(PoisonError::into_inner).get(name) {
            return Ok(Arc::clone(tree));
        }
        let tree = Arc::new(tree_of(self.assembly.store, self.assembly.image(name)?)?);
        self.images.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), Arc::clone(&tree));
        Ok(tree)
    }
}

/// What one piece may ask for.
struct View<'m, 'a, 'w> {
    memory: &'m Memory<'a, 'w>,
    earlier: Option<Tree>,
}

impl Trees for View<'_, '_, '_> {
    fn image(&self, image: &str) -> Result<Tree> {
        Ok((*self.memory.image_tree(image)?).clone())
    }

    fn bytes(&self, content: &Content) -> Result<Vec<u8>> {
        bytes_of(self.memory.assembly.store, content)
    }

    fn earlier(&self) -> Result<&Tree> {
        self.earlier
            .as_ref()
            .ok_or_else(|| Problem::new("a piece asks for others that it does not depend on"))
    }
}

/// An image's layers merged.
pub fn tree_of(store: &Store, image: &Image) -> Result<Tree> {
    oci::image_tree(store, image)
        .map_err(|e| Problem::new(format!("image {} cannot be read", image.manifest)).because(e))
}

/// A file's bytes.
pub fn bytes_of(store: &Store, content: &Content) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    crate::initramfs::cpio::Contents::new(store)
        .copy(&crate::initramfs::TreePath::root(), content, &mut out)
        .map_err(|e| Problem::new("a file in the store cannot be read").because(e))?;
    Ok(out)
}
