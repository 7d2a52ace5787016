//! A kernel as an image in the store, wherever it comes from.
//!
//! The image has the shape of LinuxKit's kernel images: `/kernel`, `/kernel.tar` (what goes to the root:
//! modules with their indexes, firmware), `/System.map`, `/kernel_config`.

use super::modules::elf::Module;
use super::modules::{self, depmod};
use super::package::{self, Parts};
use super::report::Report;
use crate::debian::lock::Package;
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use crate::oci::{self, Config, Image};
use crate::problem::{Problem, Result};
use crate::store::{Digest, Key, Store};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A kernel in the store, and what there is to know about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub image: Image,
    /// Name of the modules' folder, as in `5.10.0-46-amd64`.
    pub version: String,
    /// The kernel's own version, as in `5.10.262-1`; the tag's part before `-` for one from source.
    pub package_version: String,
    /// Names this kernel in a registry: made of the version and the inputs.
    pub tag: String,
    /// 64 hex digits: changes whenever an input does.
    pub key: String,
    /// What the key is made of.
    pub inputs: Vec<Input>,
    /// For the SBOM. None for a kernel from source.
    pub packages: Vec<Record>,
    pub report: Report,
    /// What did not fail but may be wrong: lines of `modules.list` without effect, as
    /// `modules.list:LINE: what`; the compiler's warnings.
    pub warnings: Vec<String>,
    /// Whether it was in the store already. (Not part of what the store keeps.)
    #[serde(skip)]
    pub cached: bool,
}

/// One thing that decides the bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    pub name: String,
    pub sha256: Digest,
}

/// A package in the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    #[serde(flatten)]
    pub package: Package,
    pub source: String,
    pub source_version: String,
}

impl Built {
    /// The kernel of a key, if it is in the store with all that belongs to it.
    pub fn find(store: &Store, key: &Key) -> Option<Self> {
        let bytes = store.read(&store.work(key)?).ok()?;
        let built: Self = serde_json::from_slice(&bytes).ok()?;
        let there = store.has(&built.image.manifest)
            && built.image.layers.iter().all(|layer| store.has(layer))
            && oci::read_image(store, &built.image.manifest).is_ok();
        there.then_some(Self { cached: true, ..built })
    }

    /// Whether it was made elsewhere: all that is known of its inputs is the image itself.
    pub fn was_pulled(&self) -> bool {
        self.inputs.iter().any(|input| input.sha256 == self.image.manifest)
    }

    /// Keeps what is known of a kernel below its key.
    pub fn keep(&self, store: &Store, key: &Key) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|e| Problem::new("the kernel's record cannot be written").because(e))?;
        let parts = self
            .image
            .blobs(store)
            .map_err(|e| Problem::new("the kernel's image is not whole").because(e))?;
        store
            .put(&text)
            .and_then(|digest| store.set_work_with(key, &digest, &parts))
            .map_err(|e| Problem::new("the store cannot be used").because(e))
    }
}

/// What goes into an image.
pub(super) struct Selected<'a> {
    pub parts: &'a Parts,
    pub modules: &'a [Module],
    /// Names in `parts.firmware`.
    pub firmware: &'a [String],
    /// More files at the root of the image.
    pub more: &'a [(&'a str, Arc<Node>)],
    pub version: &'a str,
    /// No file is younger; what is generated has this time.
    pub latest: i64,
}

/// Indexes the modules and writes the image.
pub(super) fn write(store: &Store, selected: &Selected<'_>) -> Result<Image> {
    let Selected { parts, latest, .. } = *selected;
    let mut root = Branch { tree: Tree::new(), latest };
    let modules = format!("usr/lib/modules/{}", parts.version);
    let mut packed = Vec::new();
    for (module, node) in pack(store, selected)? {
        root.put(&format!("{modules}/{}", module.path), node)?;
        packed.push(module);
    }
    let indexes = depmod::write(&packed, &parts.builtin).map_err(bad_modules)?;
    for (name, bytes) in indexes {
        root.put(&format!("{modules}/{name}"), Node::file(bytes, 0o644, latest).into())?;
    }
    for name in selected.firmware {
        if let Some(node) = parts.firmware.get(name) {
            root.put(&format!("usr/lib/firmware/{name}"), plain(node))?;
        }
    }
    let written = |e: oci::Error| Problem::new("the kernel image cannot be written").because(e);
    let tar = oci::write_layer(store, &root.tree, latest).map_err(written)?;

    let mut image = Branch { tree: Tree::new(), latest };
    let tar = Content::Blob { digest: tar.diff_id, offset: 0, len: tar.size };
    image.put("kernel.tar", Node::new(Kind::File(tar), 0o644, latest).into())?;
    image.put("kernel", plain(&parts.kernel))?;
    for (name, node) in [("System.map", &parts.system_map), ("kernel_config", &parts.config)] {
        if let Some(node) = node {
            image.put(name, plain(node))?;
        }
    }
    for (name, node) in selected.more {
        image.put(name, plain(node))?;
    }
    let mut config = Config::default();
    config.labels.insert("org.opencontainers.image.version".into(), selected.version.to_owned());
    config.labels.insert("org.opencontainers.image.title".into(), format!("Linux {}", parts.version));
    let layer = oci::write_layer(store, &image.tree, latest).map_err(written)?;
    oci::write_image(store, &[layer], &config)
        .map_err(|e| Problem::new("the kernel image cannot be written").because(e))
}

/// The modules as they go into the image, in their order.
fn pack(store: &Store, selected: &Selected<'_>) -> Result<Vec<(Module, Arc<Node>)>> {
    let one = |contents: &mut Contents<'_>, module: &Module| -> Result<(Module, Arc<Node>)> {
        let node = selected.parts.files.get(&module.path).ok_or_else(|| {
            Problem::new(format!("the module {} is not among the kernel's files", module.path))
        })?;
        let bytes = package::bytes(contents, &module.path, node)?;
        let packed = modules::pack(&module.path, &bytes).map_err(|e| {
            Problem::new(format!("the module {} cannot be compressed", module.path)).because(e)
        })?;
        Ok(match packed {
            Some((path, bytes)) => {
                (Module { path, ..module.clone() }, Node::file(bytes, node.mode, node.mtime).into())
            }
            None => (module.clone(), plain(node)),
        })
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let share = selected.modules.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let shares = selected.modules.chunks(share).map(|share| {
            scope.spawn(move || {
                let mut contents = Contents::new(store);
                share.iter().map(|module| one(&mut contents, module)).collect::<Result<Vec<_>>>()
            })
        });
        let mut all = Vec::new();
        // All are started before the first one is waited for.
        for thread in shares.collect::<Vec<_>>() {
            all.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
        }
        Ok(all)
    })
}

pub(super) fn bad_modules(error: depmod::Error) -> Problem {
    Problem::new("the dependencies of the kernel's modules cannot be told").because(error)
}

/// A tree that is being filled; its folders have one time.
struct Branch {
    tree: Tree,
    latest: i64,
}

impl Branch {
    fn put(&mut self, path: &str, node: Arc<Node>) -> Result<()> {
        let path = TreePath::new(path).map_err(|e| Problem::new(e.to_string()))?;
        self.tree.ensure_parents(&path, self.latest);
        self.tree.insert(path, node);
        Ok(())
    }
}

/// A node of its own, so that files which are one in the package are not links between layers.
fn plain(node: &Node) -> Arc<Node> {
    Arc::new(node.clone())
}
