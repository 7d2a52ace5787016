//! The whole build: a resolved site becomes an image in `out/<profile>`.

use super::assemble::Assembly;
use super::event::Stage;
use super::files::{Artifact, Output};
use super::kernel::Absent;
use super::manifest;
use super::package::Extent;
use super::provenance;
use super::run::{Run, Task};
use super::selection;
use super::shared::SharedCache;
use crate::component::{self, Built};
use crate::debian::apt::Settings;
use crate::debian::lock::Mode;
use crate::initramfs::compress::Compression;
use crate::initramfs::cpio::Inodes;
use crate::initramfs::segment::Options;
use crate::linuxkit::{self, Definition, LINUXKIT_TIME, Plan, Planning};
use crate::oci::signature::VerifyingKey;
use crate::oci::{self, Image};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::{Id, ResolvedSite, certificates, proxies};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The name that `kernel.image` of an image definition has when the profile says which kernel.
pub const KERNEL: &str = "kernel";

/// The artifact that holds the kernel command line.
pub const CMDLINE: &str = "cmdline-x86_64";
pub const VMLINUZ: &str = "vmlinuz-x86_64";
pub const INITRAMFS: &str = "initramfs-x86_64";
pub const ARCHIVE: &str = "hook_x86_64.tar.gz";
pub const SBOM: &str = "sbom.cdx.json";

/// The site's own segment, as a file.
pub(super) fn site_file(compression: Compression) -> String {
    format!("site.cpio.{}", compression.extension())
}

/// Every name that a file of an image may have in its folder.
pub(super) fn names_of_files() -> Vec<String> {
    let names = [CMDLINE, VMLINUZ, INITRAMFS, ARCHIVE, SBOM, provenance::FILE, manifest::FILE];
    let site = [Compression::Zstd, Compression::Gzip].map(site_file);
    site.into_iter().chain(names.map(str::to_owned)).collect()
}

/// What to build, and with what.
pub struct Request<'a> {
    /// The project's folder.
    pub root: &'a Path,
    /// Where the image goes.
    pub out: &'a Path,
    pub store: &'a Store,
    pub site: &'a ResolvedSite,
    pub locks: Mode,
    /// How many things are done at the same time.
    pub jobs: usize,
    /// The cache that builders share, if there is one.
    pub cache: Option<&'a SharedCache>,
}

/// What a failure means for the work that is left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AfterFailure {
    Stop,
    GoOn,
}

/// An image or a component that is ready, with what went into it.
pub(super) struct Ready {
    pub image: Image,
    pub built: Option<Built>,
}

impl Request<'_> {
    /// Builds the image; gives what it left in the output folder.
    pub fn build(&self, run: &Run, absent: Absent) -> Result<Vec<Artifact>> {
        let chosen = run.stage(Stage::Configure, |_| self.chosen())?;
        let certificates = run.stage(Stage::Certs, |task| {
            let certificates = certificates::of_site(self.site, self.root, certificates::now())?;
            for warning in &certificates.warnings {
                task.warn(&warning.to_string());
            }
            Ok(certificates)
        })?;
        let base = self.base(run, &chosen, absent)?;
        run.stage(Stage::Package, |task| {
            let artifacts =
                task.item("site", |item| self.package(&base, &certificates, (Extent::Whole, None), item))?;
            let output = Output::open(self.out)?;
            for artifact in &artifacts {
                output.announce(run, artifact);
            }
            if let Some(cache) = self.cache {
                task.item("shared cache", |item| cache.finish(self.store, item))?;
            }
            Ok(artifacts)
        })
    }

    /// The files that a build leaves.
    pub(super) fn artifact_names(&self) -> Vec<String> {
        let site = site_file(self.site.compression());
        let mut names = names_of_files();
        names.retain(|name| !name.starts_with("site.") || *name == site);
        names
    }

    pub(super) fn assembly<'a>(
        &'a self,
        plan: &'a Plan,
        images: &'a BTreeMap<String, Image>,
    ) -> Assembly<'a> {
        Assembly { store: self.store, plan, images, options: self.options(), jobs: self.jobs }
    }

    fn options(&self) -> Options {
        Options {
            compression: self.site.compression(),
            inodes: Inodes::Shared,
            latest: epoch().unwrap_or(i64::MAX),
        }
    }

    /// The image definition as this site wants it, and every component there is.
    pub(super) fn selection(&self) -> Result<(Definition, BTreeMap<String, component::Definition>)> {
        let components = self.components()?;
        Ok((selection::definition(self.site, self.root, &components)?, components))
    }

    /// As [`Request::selection`], and it can be built here.
    pub(super) fn chosen(&self) -> Result<(Definition, BTreeMap<String, component::Definition>)> {
        let (definition, components) = self.selection()?;
        self.check_engine(&definition, &components)?;
        Ok((definition, components))
    }

    /// A component that only Docker can build is told of before anything is built.
    fn check_engine(
        &self,
        definition: &Definition,
        components: &BTreeMap<String, component::Definition>,
    ) -> Result<()> {
        let context = self.context()?;
        for name in names(definition, components) {
            let Some(definition) = components.get(&name) else { continue };
            if matches!(definition.source, component::Source::Dockerfile(_))
                && component::find(&context, definition)?.is_none()
                && let Some(problem) = hindrance(definition)
            {
                return Err(problem);
            }
        }
        Ok(())
    }

    fn components(&self) -> Result<BTreeMap<String, component::Definition>> {
        let all = component::load_all(&self.root.join("components"))?;
        Ok(all.into_iter().map(|definition| (definition.name.clone(), definition)).collect())
    }

    /// Every image that the definition names, but the kernel's.
    pub(super) fn images(
        &self,
        definition: &Definition,
        components: &BTreeMap<String, component::Definition>,
        task: &Task<'_>,
    ) -> Result<BTreeMap<String, Ready>> {
        self.make(names(definition, components), components, AfterFailure::Stop, task)
    }

    /// Makes components that are not needed for an image now. One that cannot be made does not keep the
    /// others from being made.
    pub fn make_components(
        &self,
        components: &BTreeMap<String, component::Definition>,
        task: &Task<'_>,
    ) -> Result<()> {
        self.make(components.keys().cloned().collect(), components, AfterFailure::GoOn, task).map(drop)
    }

    /// Makes or fetches images side by side.
    fn make(
        &self,
        names: Vec<String>,
        components: &BTreeMap<String, component::Definition>,
        after_failure: AfterFailure,
        task: &Task<'_>,
    ) -> Result<BTreeMap<String, Ready>> {
        let context = self.context()?;
        let wanted: Vec<&component::Definition> = names.iter().filter_map(|n| components.get(n)).collect();
        task.item("programs", |item| {
            if let Some(programs) = component::prepare(&context, &wanted, item)? {
                item.settled(&programs.key, programs.inputs, programs.reused);
            }
            Ok(())
        })?;
        let next = AtomicUsize::new(0);
        let done: Mutex<BTreeMap<String, Ready>> = Mutex::default();
        let bad: Mutex<Vec<Problem>> = Mutex::default();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, names.len().max(1)) {
                scope.spawn(|| {
                    while let Some(name) = names.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let made = task.item(name, |item| match components.get(name) {
                            Some(definition) => {
                                let built = component::build_one(&context, definition, item)?;
                                let inputs = built.inputs.iter();
                                let inputs =
                                    inputs.map(|i| (format!("{} {}", i.kind, i.name), i.digest.hex()));
                                item.settled(&built.key, inputs, built.cached);
                                Ok(Ready { image: built.image.clone(), built: Some(built) })
                            }
                            None => self.pull(&context, name, item),
                        });
                        match made {
                            Ok(ready) => {
                                done.lock()
                                    .unwrap_or_else(PoisonError::into_inner)
                                    .insert(name.clone(), ready);
                            }
                            Err(problem) => {
                                bad.lock().unwrap_or_else(PoisonError::into_inner).push(problem);
                                if after_failure == AfterFailure::Stop {
                                    next.store(usize::MAX / 2, Ordering::Relaxed);
                                }
                            }
                        }
                    }
                });
            }
        });
        let mut bad = bad.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (bad.len(), after_failure) {
            (0, _) => Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner)),
            (1, _) | (_, AfterFailure::Stop) => Err(bad.swap_remove(0)),
            (n, AfterFailure::GoOn) => {
                let all = Problem::new(format!("{n} components were not built"));
                Err(bad.into_iter().fold(all, Problem::because))
            }
        }
    }

    fn pull(&self, context: &component::Context, name: &str, task: &Task<'_>) -> Result<Ready> {
        let before = oci::registry::named(self.store, name).ok().flatten();
        let image = oci::registry::pull(self.store, name, &context.registry, task).map_err(|e| {
            Problem::new(format!("image {name} is not available")).because(e).remedy(
                "see that the registry can be reached (proxies too), or leave its container out: --components-off",
            )
        })?;
        let digest = image.manifest.hex();
        let reused = before.is_some_and(|before| before.manifest == image.manifest);
        task.settled(&digest.clone(), [("its manifest".to_owned(), digest)], reused);
        Ok(Ready { image, built: None })
    }

    /// Where Debian packages come from.
    pub fn archive(&self) -> Settings {
        Settings { mirror: self.site.debian_mirror(), security_mirror: self.site.debian_security_mirror() }
    }

    /// How registries are spoken to for this site.
    pub(super) fn registry(&self) -> Result<oci::registry::Options> {
        registry(self.site, self.root)
    }

    pub(super) fn context(&self) -> Result<component::Context> {
        let context = component::Context::new(self.store, self.root, &self.archive(), self.locks);
        Ok(context
            .with_epoch(epoch())
            .with_registry(self.registry()?)
            .with_proxies(proxies::arguments(self.site)))
    }

    /// The images that a build of this site takes from registries, as its files name them.
    pub fn references(&self) -> Result<Vec<String>> {
        let (definition, components) = self.selection()?;
        let reference = |name: String| match components.get(&name).map(|component| &component.source) {
            Some(component::Source::Image(pulled)) => Some(pulled.reference.clone()),
            Some(_) => None,
            None => Some(name),
        };
        let images = names(&definition, &components).into_iter().filter_map(reference);
        Ok(images.chain(self.kernel_name()).collect())
    }

    pub(super) fn plan(
        &self,
        definition: &Definition,
        components: &BTreeMap<String, component::Definition>,
        images: &BTreeMap<String, Image>,
    ) -> Result<Plan> {
        let config = |name: &str| -> Result<oci::Config> {
            images
                .get(name)
                .map(|image| image.config.clone())
                .ok_or_else(|| Problem::new(format!("image {name} was not made")))
        };
        let is_component = |name: &str| name == KERNEL || components.contains_key(name);
        linuxkit::plan(
            definition,
            &Planning { config: &config, is_component: &is_component, mtime: LINUXKIT_TIME },
        )
    }
}

/// Why a component that the store does not have cannot be made on this machine, as far as that can be told
/// without trying.
pub(super) fn hindrance(definition: &component::Definition) -> Option<Problem> {
    let component::Source::Dockerfile(dockerfile) = &definition.source else { return None };
    let problem = component::dockerfile::connect(&dockerfile.path).err()?;
    Some(problem.while_doing(format!("component {} needs Docker", definition.name)))
}

/// How registries are spoken to: as this user and the project in `root` say, and with the site's key.
pub fn registry(site: &ResolvedSite, root: &Path) -> Result<oci::registry::Options> {
    let verify = site.path(Id::VerifyKey, root).map(|file| VerifyingKey::read(&file)).transpose()?;
    Ok(oci::registry::Options { verify, ..oci::registry::Options::of_user(root)? })
}

/// The images that a definition names, apart from the kernel's, as the plan names them; sorted.
pub(super) fn names(
    definition: &Definition,
    components: &BTreeMap<String, component::Definition>,
) -> Vec<String> {
    let names: BTreeSet<String> = definition
        .components_named()
        .into_iter()
        .filter(|name| *name != KERNEL)
        .map(|name| if components.contains_key(name) { name.to_owned() } else { linuxkit::expand(name) })
        .collect();
    names.into_iter().collect()
}

/// `SOURCE_DATE_EPOCH`: seconds since 1970 that no time in the image is later than.
/// Source: <https://reproducible-builds.org/specs/source-date-epoch/>.
pub fn epoch() -> Option<i64> {
    std::env::var("SOURCE_DATE_EPOCH").ok()?.trim().parse().ok()
}
