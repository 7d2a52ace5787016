//! Debian's prebuilt kernel as an image in the store.
//!
//! Module and kernel files are those of the package, byte for byte once a module is unpacked, so Debian's signatures on
//! them stay good. The image's shape: [`super::image`].

use super::firmware;
use super::image::{self, Selected, bad_modules};
use super::list::List;
use super::modules::depmod::Graph;
use super::package::Parts;
use super::recipe::{Recipe, io_problem, renewable};
use super::report::Report;
use crate::debian::apt::Apt;
use crate::debian::deb;
use crate::debian::lock::{Mode, Package};
use crate::initramfs::tree::{Tree, TreePath};
use crate::oci;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker, Store};

use std::fs;
use std::path::Path;

pub use super::image::{Built, Input, Record};

/// Raised when the same inputs would give other bytes.
const CODE: &str = "kernel from debian 2";

/// The file in the kernel's folder that says which modules are taken.
pub const LIST: &str = "modules.list";

/// What the work is done with.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    pub store: &'a Store,
    pub apt: &'a Apt,
}

/// What is built.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// The folder with `debian.toml`, `packages.lock` and `modules.list`.
    pub folder: &'a Path,
    pub lock: Mode,
    /// Groups of the list that are left out, by their slugs.
    pub groups_off: &'a [String],
    /// No file in the image is younger (seconds since 1970). Without it, the newest file of the
    /// packages decides.
    pub epoch: Option<i64>,
}

/// What a build would make, without making anything.
#[derive(Debug, Clone)]
pub struct Plan {
    pub key: Key,
    pub suite: String,
    pub packages: Vec<Package>,
    pub inputs: Vec<Input>,
    list: List,
    epoch: Option<i64>,
}

impl Plan {
    /// Reads the inputs; resolves packages only when the lock does not answer.
    pub fn new(context: Context<'_>, settings: &Settings<'_>, progress: &dyn Progress) -> Result<Self> {
        let recipe = Recipe::read(settings.folder)?;
        let path = settings.folder.join(LIST);
        let list =
            fs::read_to_string(&path).map_err(io_problem("the list of modules cannot be read", &path))?;
        let file = List::parse(&list, &path)?.without(settings.groups_off, &path)?;
        let packages = recipe.packages(settings.folder, settings.lock, context.apt, progress)?;
        let mut inputs = vec![Input { name: LIST.to_owned(), sha256: Digest::of(list.as_bytes()) }];
        if !settings.groups_off.is_empty() {
            let mut off = settings.groups_off.to_vec();
            off.sort();
            let off = off.join(",");
            inputs.push(Input { sha256: Digest::of(off.as_bytes()), name: format!("groups off: {off}") });
        }
        inputs.extend(packages.iter().map(|p| Input { name: p.file.clone(), sha256: p.sha256 }));
        let mut key = KeyMaker::new(CODE).add("layer", oci::layer::FORMAT);
        for input in &inputs {
            key = key.add(&input.name, input.sha256.bytes());
        }
        let epoch = settings.epoch;
        let key = key.add("epoch", epoch.map_or_else(String::new, |e| e.to_string())).finish();
        Ok(Self { key, suite: recipe.suite, packages, inputs, list: file, epoch })
    }

    /// The version of the kernel's package, as in `5.10.262-1`.
    pub fn version(&self) -> &str {
        let image = self.packages.iter().find(|package| package.name.starts_with("linux-image-"));
        image.map_or("", |package| &package.version)
    }

    /// The name that the result has in a registry: the version, and what decides the rest.
    pub fn tag(&self) -> String {
        tag(self.version(), &self.key)
    }

    /// The groups of modules that there are.
    pub fn groups(&self) -> &[String] {
        self.list.groups()
    }

    /// The kernel, if it is in the store with all that belongs to it.
    pub fn find(&self, store: &Store) -> Option<Built> {
        Built::find(store, &self.key)
    }
}

/// Makes the kernel image, or takes it from the store when no input changed.
pub fn build(context: Context<'_>, settings: &Settings<'_>, progress: &dyn Progress) -> Result<Built> {
    let plan = Plan::new(context, settings, progress)?;
    let store = context.store;
    if let Some(built) = plan.find(store) {
        return Ok(built);
    }
    let failed = |e: crate::store::Error| Problem::new("the store cannot be used").because(e);
    let _lock = store.lock(&format!("kernel-{}", &plan.key.hex()[..32])).map_err(failed)?;
    // Another process may have made it while this one waited.
    if let Some(built) = plan.find(store) {
        return Ok(built);
    }
    context.apt.fetch(&plan.suite, &plan.packages, progress).map_err(renewable)?;
    let mut tree = Tree::new();
    let mut records = Vec::new();
    for package in &plan.packages {
        progress.log(&format!("reading {}", package.file));
        let (control, files) = deb::contents(store, &package.sha256)
            .map_err(|e| Problem::new(format!("package {} cannot be read", package.file)).because(e))?;
        tree.overlay(&TreePath::root(), &files);
        let (source, source_version) = control.source();
        records.push(Record { package: package.clone(), source, source_version });
    }
    let parts = Parts::read(store, &tree, progress)?;
    let built = assemble(store, &plan, records, &parts)?;
    for line in &built.warnings {
        progress.warn(line);
    }
    for line in built.report.to_string().lines() {
        progress.log(line);
    }
    built.keep(store, &plan.key)?;
    Ok(built)
}

/// Chooses, indexes and writes.
fn assemble(store: &Store, plan: &Plan, packages: Vec<Record>, parts: &Parts) -> Result<Built> {
    let inside = parts.builtin.names();
    let graph = Graph::new(&parts.modules, &inside).map_err(bad_modules)?;
    let selection = plan.list.select(&parts.modules, &graph, &inside);
    let chosen: Vec<_> = selection.modules.keys().map(|at| parts.modules[*at].clone()).collect();
    let firmware = firmware::find(&chosen, &parts.firmware_names());
    let mut report = Report::new(&parts.modules, &selection);
    report.firmware = firmware.files.iter().cloned().collect();
    report.missing_firmware = firmware.missing;

    let latest = plan.epoch.unwrap_or(parts.newest);
    let image = image::write(
        store,
        &Selected {
            parts,
            modules: &chosen,
            firmware: &report.firmware,
            more: &[],
            version: plan.version(),
            latest,
        },
    )?;
    let warnings = selection.warnings.iter().map(|(line, what)| format!("{LIST}:{line}: {what}")).collect();
    Ok(Built {
        image,
        version: parts.version.clone(),
        tag: plan.tag(),
        package_version: plan.version().to_owned(),
        key: plan.key.hex(),
        inputs: plan.inputs.clone(),
        packages,
        report,
        warnings,
        cached: false,
    })
}

/// A registry's tag: letters, digits, `.`, `_`, `-`, at most 128 of them.
fn tag(version: &str, key: &Key) -> String {
    let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '-' };
    let version: String = version.chars().map(fine).take(100).collect();
    format!("{version}-{}", &key.hex()[..12])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_has_only_what_registries_take() {
        let key = KeyMaker::new("x").finish();
        let tag = tag("1:5.10.262-1+b1~x", &key);
        assert!(tag.starts_with("1-5.10.262-1-b1-x-"), "{tag}");
        assert!(tag.len() <= 128);
    }
}
