//! A component that is an image of a registry.

use super::build::{Built, Context, Input, VERSION};
use super::definition::{Definition, FILE, LABEL};
use crate::debian::Error as DebianError;
use crate::oci;
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::KeyMaker;
use std::sync::atomic::{AtomicBool, Ordering};

/// An image of a registry, with the component's `[run]` in place of its own label.
pub(super) fn build(
    ctx: &Context,
    definition: &Definition,
    reference: &str,
    progress: &dyn Progress,
) -> Result<Built> {
    let here = |problem: Problem| problem.in_file(definition.folder.join(FILE));
    let listener = Listener { inner: progress, told: AtomicBool::new(false) };
    let pulled = oci::pull(&ctx.store, reference, &ctx.registry, &listener).map_err(|e| match e {
        oci::import::Error::Cancelled => Problem::from(DebianError::Cancelled),
        e => here(Problem::new(format!("image {reference} cannot be pulled")).because(e)).remedy(
            "check the reference, the network and the proxy; for a private registry log in with `docker login` \
             or `podman login`",
        ),
    })?;
    if !reference.contains("@sha256:") {
        progress.log(&format!("{reference} is not pinned; this is {}", pulled.manifest));
    }
    let source = pulled.manifest;
    let image = match &definition.label {
        None => pulled,
        Some(label) => {
            let mut config = pulled.config;
            config.labels.insert(LABEL.to_owned(), label.clone());
            let mut layers = Vec::new();
            for diff_id in pulled.layers {
                let path = ctx.store.path(&diff_id);
                let size = std::fs::metadata(&path)
                    .map_err(|e| Problem::new("a layer of the image is gone").in_file(&path).because(e))?
                    .len();
                layers.push(oci::Layer { diff_id, size });
            }
            oci::write_image(&ctx.store, &layers, &config)
                .map_err(|e| here(Problem::new("the component's image cannot be written").because(e)))?
        }
    };
    let key =
        KeyMaker::new(VERSION).add("definition", &definition.text).add("image", source.bytes()).finish();
    Ok(Built {
        name: definition.name.clone(),
        image,
        key: key.hex(),
        packages: Vec::new(),
        crates: Vec::new(),
        inputs: vec![
            Input::of_definition(definition),
            Input { kind: "image".to_owned(), name: reference.to_owned(), digest: source },
        ],
        cached: !listener.told.into_inner(),
    })
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
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }
}
