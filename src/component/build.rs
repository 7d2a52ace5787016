//! Components to images, each piece of work once.

use super::binaries::{self, Program, Toolshed, Wanted};
use super::definition::{Definition, Recipe, Source};
use super::own::{Own, OwnFile};
use super::{dockerfile, packages, pulled, recipe};
use crate::debian::apt::{Apt, Freshness, Settings};
use crate::debian::lock::Mode;
use crate::debian::{Error as DebianError, lock::Package};
use crate::docker;
use crate::oci::{self, Image, credentials, registry};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker, Store};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

/// Change when the same inputs would give other bytes.
pub(super) const VERSION: &str = "component 1";

/// What all components of a run share. Many threads may use one.
pub struct Context {
    pub store: Store,
    /// The Cargo workspace that our own programs are built from.
    pub workspace: PathBuf,
    pub apt: Apt,
    pub mode: Mode,
    /// No time in an image is later than this (seconds since 1970). None: than the newest package.
    pub epoch: Option<i64>,
    /// How registries are spoken to, for components that are an image.
    pub registry: registry::Options,
    /// The proxies that a container engine is told when it builds.
    pub proxies: docker::Arguments,
    /// Held while programs are looked up or built, so that cargo runs once.
    toolshed: Mutex<Option<Toolshed>>,
}

/// A finished component.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Built {
    pub name: String,
    pub image: Image,
    /// The key of the work, 64 hex digits.
    pub key: String,
    /// Sorted by name.
    pub packages: Vec<PackageRecord>,
    /// Crates of our own programs, sorted by name and version.
    pub crates: Vec<CrateRecord>,
    pub inputs: Vec<Input>,
    /// Whether the image was in the store already.
    #[serde(skip)]
    pub cached: bool,
}

/// A Debian package in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PackageRecord {
    pub name: String,
    pub version: String,
    pub architecture: String,
    /// Of the `.deb` file.
    pub sha256: Digest,
    /// Source package.
    pub source: String,
    pub source_version: String,
    /// Short names from the package's copyright file; empty where that is free text.
    pub licences: Vec<String>,
}

/// A crate that is linked into one of our own programs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CrateRecord {
    pub name: String,
    pub version: String,
    /// SHA-256 of the crate file, hex; none for crates of this workspace.
    pub checksum: Option<String>,
    /// Where Cargo has it from; none for crates of this workspace.
    pub source: Option<String>,
}

/// Something that decided an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// `definition`, `package`, `file`, `program` or `image`.
    pub kind: String,
    pub name: String,
    pub digest: Digest,
}

impl Context {
    pub fn new(store: &Store, workspace: impl Into<PathBuf>, archive: &Settings, mode: Mode) -> Self {
        Self {
            store: store.clone(),
            workspace: workspace.into(),
            apt: Apt::new(store, archive),
            mode,
            epoch: None,
            registry: registry::Options {
                credentials: credentials::Credentials::of_user(),
                refresh: mode == Mode::Update,
                ..registry::Options::default()
            },
            proxies: docker::Arguments::default(),
            toolshed: Mutex::default(),
        }
    }

    /// Clamps all times to `epoch`, seconds since 1970.
    #[must_use]
    pub fn with_epoch(mut self, epoch: Option<i64>) -> Self {
        self.epoch = epoch;
        self
    }

    /// Other certificates, proxies or credentials for registries than this user's.
    #[must_use]
    pub fn with_registry(mut self, options: registry::Options) -> Self {
        self.registry =
            registry::Options { refresh: self.mode == Mode::Update || options.refresh, ..options };
        self
    }

    /// What a container engine is told of the way out, when it builds a component.
    #[must_use]
    pub fn with_proxies(mut self, proxies: docker::Arguments) -> Self {
        self.proxies = proxies;
        self
    }

    /// Our own programs, from the store or by one call of cargo.
    pub(super) fn programs(&self, wanted: &[Wanted], progress: &dyn Progress) -> Result<Vec<Program>> {
        if wanted.is_empty() {
            return Ok(Vec::new());
        }
        self.with_toolshed(|toolshed| binaries::programs(&self.store, toolshed, wanted, progress))
    }

    /// Our own programs, if the store has all of them.
    pub(super) fn programs_here(&self, wanted: &[Wanted]) -> Result<Option<Vec<Program>>> {
        if wanted.is_empty() {
            return Ok(Some(Vec::new()));
        }
        self.with_toolshed(|toolshed| binaries::find(&self.store, toolshed, wanted))
    }

    fn with_toolshed<T>(&self, work: impl FnOnce(&Toolshed) -> Result<T>) -> Result<T> {
        let mut toolshed = self.toolshed.lock().unwrap_or_else(PoisonError::into_inner);
        let toolshed = match toolshed.take() {
            Some(open) => toolshed.insert(open),
            None => toolshed.insert(Toolshed::open(&self.workspace)?),
        };
        work(toolshed)
    }
}

/// Builds the programs of all these components in one call of cargo, so that [`build_one`] finds them.
/// None if they have no programs.
pub fn prepare(
    ctx: &Context,
    definitions: &[&Definition],
    progress: &dyn Progress,
) -> Result<Option<Prepared>> {
    let mut all: Vec<Wanted> = definitions.iter().flat_map(|d| wanted(d)).collect();
    all.sort();
    all.dedup();
    if all.is_empty() {
        return Ok(None);
    }
    let reused = ctx.programs_here(&all)?.is_some();
    ctx.programs(&all, progress)?;
    let (key, inputs) = ctx.with_toolshed(|toolshed| toolshed.inputs(&all))?;
    Ok(Some(Prepared { key, inputs, reused }))
}

/// Our own programs, all of those that some components want.
pub struct Prepared {
    /// The key of the work, 64 hex digits.
    pub key: String,
    /// What decides them, by name.
    pub inputs: Vec<(String, String)>,
    /// Whether all were in the store.
    pub reused: bool,
}

pub(super) fn wanted(definition: &Definition) -> Vec<Wanted> {
    Own::of(&definition.source).wanted()
}

/// Builds one component, or takes it from the store. Safe to call from several threads.
pub fn build_one(ctx: &Context, definition: &Definition, progress: &dyn Progress) -> Result<Built> {
    let result = match &definition.source {
        Source::Recipe(recipe) => from_recipe(ctx, definition, recipe, progress),
        Source::Image(image) => pulled::build(ctx, definition, image, progress),
        Source::Dockerfile(dockerfile) => dockerfile::build(ctx, definition, dockerfile, progress),
    };
    result.map_err(|problem| problem.while_doing(format!("component {} was not built", definition.name)))
}

/// The finished component, if nothing that decides it has changed and the store has it. Starts neither a
/// compiler nor apt.
pub fn find(ctx: &Context, definition: &Definition) -> Result<Option<Built>> {
    let recipe = match &definition.source {
        Source::Recipe(recipe) => recipe,
        Source::Dockerfile(_) => {
            let (_, digest) = dockerfile::files(definition)?;
            return Ok(recall(&ctx.store, &dockerfile::key(ctx, definition, &digest), &definition.name));
        }
        Source::Image(_) => return Ok(None),
    };
    let Some(programs) = ctx.programs_here(&wanted(definition))? else {
        return Ok(None);
    };
    let Some(packages) = packages::locked(definition, recipe) else { return Ok(None) };
    let files = recipe.own().read(definition)?;
    Ok(recall(&ctx.store, &key(ctx, definition, &packages, &files, &programs), &definition.name))
}

impl Input {
    pub(super) fn of_definition(definition: &Definition) -> Self {
        Self {
            kind: "definition".to_owned(),
            name: format!("{}/component.toml", definition.name),
            digest: Digest::of(definition.text.as_bytes()),
        }
    }
}

fn from_recipe(
    ctx: &Context,
    definition: &Definition,
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Built> {
    let files = recipe.own().read(definition)?;
    let programs = ctx.programs(&wanted(definition), progress)?;
    let mut settled = packages::settle(ctx, definition, recipe, progress)?;
    loop {
        let key = key(ctx, definition, &settled.lock.packages, &files, &programs);
        if let Some(built) = recall(&ctx.store, &key, &definition.name) {
            return Ok(built);
        }
        // One process makes an image; the others wait and then find it.
        let _lock = ctx.store.lock(&format!("component-{}", &key.hex()[..16])).map_err(store_problem)?;
        if let Some(built) = recall(&ctx.store, &key, &definition.name) {
            return Ok(built);
        }
        match ctx.apt.fetch(recipe.suite.get_ref(), &settled.lock.packages, progress) {
            Ok(()) => {}
            Err(error @ DebianError::Gone { .. }) if ctx.mode == Mode::Default && !settled.resolved => {
                progress.log(&format!("packages.lock is renewed: {error}"));
                let request = settled.lock.request;
                settled = packages::resolve(ctx, definition, request, Freshness::Now, progress)?;
                continue;
            }
            Err(error) => {
                let renew = matches!(error, DebianError::Gone { .. } | DebianError::Changed { .. });
                let mut problem = Problem::from(error);
                if renew {
                    let remedy = problem.remedy_text().unwrap_or_default().to_owned();
                    problem = problem
                        .in_file(packages::lock_path(definition))
                        .remedy(format!("{remedy}: hookos components --update {}", definition.name));
                }
                return Err(problem);
            }
        }
        let (image, packages) =
            recipe::assemble(ctx, definition, recipe, &settled.lock.packages, &files, &programs, progress)?;
        let mut crates: Vec<CrateRecord> = programs.iter().flat_map(|p| p.crates.clone()).collect();
        crates.sort();
        crates.dedup();
        let inputs = recipe::inputs(definition, &settled.lock.packages, &files, &programs);
        let name = definition.name.clone();
        let built = Built { name, image, key: key.hex(), packages, crates, inputs, cached: false };
        remember(&ctx.store, &key, &built)?;
        return Ok(built);
    }
}

pub(super) fn store_problem(error: crate::store::Error) -> Problem {
    Problem::new("the store cannot be used").because(error)
}

/// Everything that decides the image's bytes.
fn key(
    ctx: &Context,
    definition: &Definition,
    packages: &[Package],
    files: &[OwnFile<'_>],
    programs: &[Program],
) -> Key {
    let mut key = KeyMaker::new(VERSION).add("layer", oci::layer::FORMAT).add("definition", &definition.text);
    for package in packages {
        key = key.add("package", &package.name).add("sha256", package.sha256.bytes());
    }
    own_key(key, ctx, files, programs).finish()
}

/// The part of the key that is not in `component.toml`'s own text.
pub(super) fn own_key(
    mut key: KeyMaker,
    ctx: &Context,
    files: &[OwnFile<'_>],
    programs: &[Program],
) -> KeyMaker {
    for file in files {
        key = key.add("file", &file.bytes).add("mode", file.mode.to_le_bytes());
    }
    for program in programs {
        key = key.add("program", program.digest.bytes()).add("name", &program.binary);
    }
    key.add("epoch", ctx.epoch.map_or(String::new(), |e| e.to_string()))
}

/// Keeps a finished component for [`recall`].
pub(super) fn remember(store: &Store, key: &Key, built: &Built) -> Result<()> {
    let text = serde_json::to_vec(built)
        .map_err(|e| Problem::new("the component's record cannot be written").because(e))?;
    let record = store.put(&text).map_err(store_problem)?;
    let parts = built
        .image
        .blobs(store)
        .map_err(|e| Problem::new("the component's image is not whole").because(e))?;
    store.set_work_with(key, &record, &parts).map_err(store_problem)
}

/// The finished component, when all of it is still in the store.
pub(super) fn recall(store: &Store, key: &Key, name: &str) -> Option<Built> {
    let record = store.work(key)?;
    let mut built: Built = serde_json::from_slice(&store.read(&record).ok()?).ok()?;
    let whole = oci::read_image(store, &built.image.manifest).is_ok_and(|image| image == built.image)
        && built.image.layers.iter().all(|layer| store.has(layer));
    name.clone_into(&mut built.name);
    built.cached = true;
    whole.then_some(built)
}
