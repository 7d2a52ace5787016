//! A component that is an image of a registry.

use super::binaries::Program;
use super::build::{Built, Context, CrateRecord, Input, VERSION, own_key};
use super::definition::{self, Definition, FILE, LABEL, Pulled, Source};
use super::own::{self, Own, OwnFile};
use crate::initramfs::tree::{Node, Tree, TreePath};
use crate::oci::{self, Image, layer::through_links};
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::KeyMaker;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// An image of a registry, with what the component adds on top, and with its `[run]` in place of the image's
/// own label.
pub(super) fn build(
    ctx: &Context,
    definition: &Definition,
    source: &Pulled,
    progress: &dyn Progress,
) -> Result<Built> {
    let reference = &source.reference;
    let here = |problem: Problem| problem.in_file(definition.folder.join(FILE));
    let own = source.own();
    // Before the registry is asked, which takes longer.
    let files = own.read(definition)?;
    let programs = ctx.programs(&own.wanted(), progress)?;
    let listener = Listener { inner: progress, told: AtomicBool::new(false) };
    let pulled = oci::pull(&ctx.store, reference, &ctx.registry, &listener).map_err(|e| match e {
        oci::import::Error::Cancelled => Problem::cancelled(),
        e => here(Problem::new(format!("image {reference} cannot be pulled")).because(e)).remedy(format!(
            "check the reference, the network and the proxy; for a private registry log in with `docker login` \
             or `podman login`{}",
            instead(definition)
        )),
    })?;
    if !reference.contains("@sha256:") {
        progress.log(&format!("{reference} is not pinned; this is {}", pulled.manifest));
    }
    let manifest = pulled.manifest;
    let key = KeyMaker::new(VERSION).add("definition", &definition.text).add("image", manifest.bytes());
    let key = if own.is_empty() {
        key
    } else {
        own_key(key.add("layer", oci::layer::FORMAT), ctx, &files, &programs)
    };
    let image = if own.is_empty() && definition.label.is_none() {
        pulled
    } else {
        finish(ctx, definition, pulled, own, &files, &programs).map_err(here)?
    };
    let mut crates: Vec<CrateRecord> = programs.iter().flat_map(|p| p.crates.clone()).collect();
    crates.sort();
    crates.dedup();
    let mut inputs = vec![
        Input::of_definition(definition),
        Input { kind: "image".to_owned(), name: reference.to_owned(), digest: manifest },
    ];
    inputs.extend(own::inputs(definition, &files, &programs));
    Ok(Built {
        name: definition.name.clone(),
        image,
        key: key.finish().hex(),
        packages: Vec::new(),
        crates,
        inputs,
        cached: !listener.told.into_inner(),
    })
}

/// What a site without that registry can use. Empty when there is nothing.
fn instead(definition: &Definition) -> String {
    let Some(role) = &definition.role else { return String::new() };
    let Some(all) = definition.folder.parent().and_then(|parent| definition::load_all(parent).ok()) else {
        return String::new();
    };
    let other = |d: &&Definition| d.role.as_ref() == Some(role) && matches!(d.source, Source::Recipe(_));
    let choices: Vec<String> = (all.iter().filter(other))
        .map(|d| {
            format!("`roles = [\"{role}={0}\"]` under [image] in the profile, or --roles {role}={0}", d.name)
        })
        .collect();
    if choices.is_empty() {
        return String::new();
    }
    format!("\nor take another component for {role}, which needs no registry: {}", choices.join("; "))
}

/// The image with the component's label, and with a layer of its own where it adds something.
pub(super) fn finish(
    ctx: &Context,
    definition: &Definition,
    pulled: Image,
    own: Own<'_>,
    files: &[OwnFile<'_>],
    programs: &[Program],
) -> Result<Image> {
    let mut layers = Vec::new();
    for diff_id in &pulled.layers {
        let path = ctx.store.path(diff_id);
        let size = std::fs::metadata(&path)
            .map_err(|e| Problem::new("a layer of the image is gone").in_file(&path).because(e))?
            .len();
        layers.push(oci::Layer { diff_id: *diff_id, size });
    }
    if !own.is_empty() {
        let below = oci::image_tree(&ctx.store, &pulled)
            .map_err(|e| Problem::new("the image's layers cannot be read").because(e))?;
        let latest = ctx.epoch.or_else(|| below.iter().map(|(_, n)| n.mtime).max()).unwrap_or(0).max(0);
        let mut tree = Tree::new();
        own.put(files, programs, latest, |path, node| place(&mut tree, &below, path, node))?;
        let layer = oci::write_layer(&ctx.store, &tree, latest)
            .map_err(|e| Problem::new("the component's layer cannot be written").because(e))?;
        layers.push(layer);
    }
    let mut config = pulled.config;
    if let Some(label) = &definition.label {
        config.labels.insert(LABEL.to_owned(), label.clone());
    }
    oci::write_image(&ctx.store, &layers, &config)
        .map_err(|e| Problem::new("the component's image cannot be written").because(e))
}

/// Puts `node` into the layer `tree` over the image `below`: its folders are those of the image where the
/// image has them, with their owners and modes, and what the image has as a link into another folder
/// stays one.
fn place(tree: &mut Tree, below: &Tree, path: &TreePath, node: Node) -> Result<()> {
    let bad = |why: String| Problem::usage(format!("{path} cannot be put over the image")).remedy(why);
    let parent = through_links(below, &path.parent().unwrap_or_default()).map_err(bad)?;
    let name = TreePath::new(path.name()).map_err(|e| bad(e.to_string()))?;
    let at = parent.join(&name);
    let mtime = node.mtime;
    let mut folders: Vec<TreePath> =
        std::iter::successors(at.parent(), TreePath::parent).filter(|folder| !folder.is_root()).collect();
    folders.reverse();
    for folder in folders {
        if tree.get(&folder).is_some() {
            continue;
        }
        match below.get(&folder) {
            Some(theirs) if theirs.is_directory() => tree.insert(folder, Node::clone(theirs)),
            Some(_) => return Err(bad(format!("the image has {folder} as something else than a folder"))),
            None => tree.insert(folder, Arc::new(Node::directory(0o755, mtime))),
        };
    }
    tree.insert(at, node);
    Ok(())
}

/// Passes on what it hears, and remembers whether anything was done.
struct Listener<'a> {
    inner: &'a dyn Progress,
    told: AtomicBool,
}

impl Progress for Listener<'_> {
    fn at(&self, done: u64, total: u64, unit: Unit) {
        self.told.store(true, Ordering::Relaxed);
        self.inner.at(done, total, unit);
    }
    fn log(&self, line: &str) {
        self.told.store(true, Ordering::Relaxed);
        self.inner.log(line);
    }
    fn warn(&self, text: &str) {
        self.told.store(true, Ordering::Relaxed);
        self.inner.warn(text);
    }
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }
}
