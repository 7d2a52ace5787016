//! The whole build: a resolved site becomes an image in `out/<profile>`.

use super::assemble::{self, Assembly, Done};
use super::event::Stage;
use super::files::{Artifact, Output};
use super::kernel::Absent;
use super::manifest::{self, Input, Manifest, SegmentRecord};
use super::provenance;
use super::run::{Run, Task};
use super::sbom::{self, Origin, Part};
use super::selection;
use super::shared::SharedCache;
use crate::component::{self, Built};
use crate::debian::apt::Settings;
use crate::debian::lock::Mode;
use crate::initramfs::Tree;
use crate::initramfs::compress::Compression;
use crate::initramfs::cpio::{self, Inodes};
use crate::initramfs::join;
use crate::initramfs::segment::Options;
use crate::kernel;
use crate::linuxkit::{self, Definition, LINUXKIT_TIME, Plan, Planning};
use crate::oci::{self, Image};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::ResolvedSite;
use crate::site::certificates::{self, SiteCertificates};
use crate::site::segment::{self as site_segment, BuildRecord};
use crate::store::{Digest, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
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
struct Ready {
    image: Image,
    built: Option<Built>,
}

impl Request<'_> {
    /// Builds the image; gives what it left in the output folder.
    pub fn build(&self, run: &Run, absent: Absent) -> Result<Vec<Artifact>> {
        let (definition, components) = run.stage(Stage::Configure, |_| {
            let (definition, components) = self.selection()?;
            self.check_engine(&definition, &components)?;
            Ok((definition, components))
        })?;
        let certificates = run.stage(Stage::Certs, |task| {
            let certificates = certificates::of_site(self.site, self.root, certificates::now())?;
            for warning in &certificates.warnings {
                task.log(&format!("warning: {warning}"));
            }
            Ok(certificates)
        })?;
        let ready = run.stage(Stage::Components, |task| self.images(&definition, &components, task))?;
        let kernel = run.stage(Stage::Kernel, |task| self.kernel(task, absent))?;

        let mut images: BTreeMap<String, Image> =
            ready.iter().map(|(name, ready)| (name.clone(), ready.image.clone())).collect();
        images.insert(KERNEL.to_owned(), kernel.image.clone());
        let plan = self.plan(&definition, &components, &images)?;
        let assembly = self.assembly(&plan, &images);
        let segments = assemble::run(run, &assembly)?;
        run.stage(Stage::Package, |task| {
            let artifacts = self.package(task, &assembly, &segments, &ready, &kernel, &certificates)?;
            if let Some(cache) = self.cache {
                task.item("shared cache", |item| cache.finish(self.store, item))?;
            }
            Ok(artifacts)
        })
    }

    /// The files that a build leaves.
    pub(super) fn artifact_names(&self) -> Vec<String> {
        let names = [CMDLINE, VMLINUZ, INITRAMFS, ARCHIVE, SBOM, provenance::FILE, manifest::FILE];
        std::iter::once(site_file(self.site.compression())).chain(names.map(str::to_owned)).collect()
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

    /// A component that only Docker can build is told of before anything is built.
    fn check_engine(
        &self,
        definition: &Definition,
        components: &BTreeMap<String, component::Definition>,
    ) -> Result<()> {
        let context = self.context()?;
        for name in names(definition, components) {
            let Some(definition) = components.get(&name) else { continue };
            if let component::Source::Dockerfile(file) = &definition.source
                && component::find(&context, definition)?.is_none()
            {
                component::dockerfile::connect(file)
                    .map_err(|problem| problem.while_doing(format!("component {name} needs Docker")))?;
            }
        }
        Ok(())
    }

    fn components(&self) -> Result<BTreeMap<String, component::Definition>> {
        let all = component::load_all(&self.root.join("components"))?;
        Ok(all.into_iter().map(|definition| (definition.name.clone(), definition)).collect())
    }

    /// Every image that the definition names, but the kernel's.
    fn images(
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
        task.item("programs", |item| component::prepare(&context, &wanted, item))?;
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
                                if built.cached {
                                    item.cached();
                                }
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

    fn pull(&self, context: &component::Context, name: &str, progress: &dyn Progress) -> Result<Ready> {
        let image = oci::registry::pull(self.store, name, &context.registry, progress).map_err(|e| {
            Problem::new(format!("image {name} cannot be had")).because(e).remedy(
                "see that the registry can be reached (proxies too), or leave its container out: --components-off",
            )
        })?;
        Ok(Ready { image, built: None })
    }

    /// Where Debian packages come from.
    pub fn archive(&self) -> Settings {
        Settings { mirror: self.site.debian_mirror(), security_mirror: self.site.debian_security_mirror() }
    }

    pub(super) fn context(&self) -> Result<component::Context> {
        let context = component::Context::new(self.store, self.root, &self.archive(), self.locks);
        Ok(context.with_epoch(epoch()).with_registry(oci::registry::Options::of_user(self.root)?))
    }

    /// The images that a build of this site takes from registries, as its files name them.
    pub fn references(&self) -> Result<Vec<String>> {
        let (definition, components) = self.selection()?;
        let reference = |name: String| match components.get(&name).map(|component| &component.source) {
            Some(component::Source::Image(pulled)) => Some(pulled.reference.clone()),
            Some(_) => None,
            None => Some(name),
        };
        Ok(names(&definition, &components).into_iter().filter_map(reference).collect())
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

    fn package(
        &self,
        task: &Task<'_>,
        assembly: &Assembly<'_>,
        segments: &[Done],
        ready: &BTreeMap<String, Ready>,
        kernel: &kernel::image::Built,
        certificates: &SiteCertificates,
    ) -> Result<Vec<Artifact>> {
        let output = Output::open(self.out)?;
        let options = self.options();
        let record = BuildRecord {
            kernel: kernel.version.clone(),
            images: ready.iter().map(|(name, ready)| (name.clone(), ready.image.manifest)).collect(),
            source_date_epoch: epoch(),
        };
        let tree = site_segment::site_tree(self.site, certificates, &record, LINUXKIT_TIME)?;
        let (site, written) = site_member(self.store, &tree, options.compression, options.latest)?;

        let mut parts = Vec::new();
        if let Some(microcode) = assembly.microcode()? {
            parts.push(join::Part::Bytes(microcode));
        }
        parts.extend(segments.iter().map(|done| join::Part::Blob(done.segment.blob)));
        parts.push(join::Part::Bytes(site.clone()));

        let mut artifacts = Vec::new();
        let name = site_file(options.compression);
        artifacts.push(output.write(&name, &site)?);
        artifacts.push(output.write(CMDLINE, self.cmdline(assembly).as_bytes())?);
        artifacts.push(output.write(VMLINUZ, &assembly.kernel_binary()?)?);
        let joined = |name: &str, result: std::result::Result<(u64, Digest), join::Error>| {
            let (bytes, sha256) = result.map_err(|e| {
                Problem::new(format!("cannot write {}", output.path(name).display())).because(e)
            })?;
            Ok::<_, Problem>(Artifact { name: name.to_owned(), bytes, sha256 })
        };
        let initramfs = output.path(INITRAMFS);
        artifacts.push(joined(INITRAMFS, join::join(self.store, &parts, &initramfs))?);
        task.run().cancel().check()?;
        let vmlinuz = output.path(VMLINUZ);
        let members: [(&str, &Path); 2] = [(VMLINUZ, vmlinuz.as_path()), (INITRAMFS, initramfs.as_path())];
        let latest = u64::try_from(options.latest.min(LINUXKIT_TIME)).unwrap_or(0);
        let archive = output.path(ARCHIVE);
        artifacts.push(joined(ARCHIVE, join::tar_gz(&members, latest, &archive))?);

        artifacts.push(output.write(SBOM, &sbom::write(&self.site.name, parts_of(ready, kernel))?)?);
        let inputs = self.inputs(ready, kernel, certificates);
        artifacts.push(output.write(provenance::FILE, &provenance::write(self.site, &inputs, &artifacts)?)?);
        let mut manifest = Manifest::new(&self.site.name, &kernel.version, latest as i64);
        manifest.inputs = inputs;
        manifest.segments = segments.iter().map(Done::record).collect();
        manifest.segments.push(SegmentRecord {
            name: "site".to_owned(),
            digest: Digest::of(&site),
            compressed: site.len() as u64,
            unpacked: written.content,
            files: written.files,
        });
        manifest.artifacts = artifacts.clone();
        let unpacked: u64 = manifest.segments.iter().map(|segment| segment.unpacked).sum();
        task.log(&format!("{} MiB of files once unpacked in the machine's memory", unpacked >> 20));
        artifacts.push(output.write(manifest::FILE, &manifest.text()?)?);
        for artifact in &artifacts {
            output.announce(task.run(), artifact);
        }
        Ok(artifacts)
    }

    /// The kernel command line that the image is meant for: the definition's, then the site's.
    fn cmdline(&self, assembly: &Assembly<'_>) -> String {
        let definition = assembly.plan.kernel.as_ref().map(|kernel| kernel.cmdline.clone());
        let words: Vec<String> = definition.into_iter().chain(self.site.kernel_append()).collect();
        format!("{}\n", words.join(" "))
    }

    fn inputs(
        &self,
        ready: &BTreeMap<String, Ready>,
        kernel: &kernel::image::Built,
        certificates: &SiteCertificates,
    ) -> Vec<Input> {
        let mut inputs = Vec::new();
        let mut add = |kind: &str, name: String, digest: Digest| {
            inputs.push(Input { kind: kind.to_owned(), name, digest });
        };
        for (name, ready) in ready {
            add("image", name.clone(), ready.image.manifest);
            for built in ready.built.iter() {
                for package in &built.packages {
                    add(
                        "package",
                        format!("{}_{}_{}", package.name, package.version, package.architecture),
                        package.sha256,
                    );
                }
                for input in &built.inputs {
                    if input.kind != "package" {
                        add(&input.kind, format!("{name}: {}", input.name), input.digest);
                    }
                }
            }
        }
        add("image", KERNEL.to_owned(), kernel.image.manifest);
        for record in &kernel.packages {
            let p = &record.package;
            add("package", format!("{}_{}_{}", p.name, p.version, p.architecture), p.sha256);
        }
        for input in &kernel.inputs {
            add("kernel", input.name.clone(), input.sha256);
        }
        add("certificate", "ca.pem".to_owned(), Digest::of(&certificates.ca.pem()));
        add("certificate", "server_cert.pem".to_owned(), Digest::of(&certificates.server.pem()));
        inputs
    }
}

/// The last member: small, made each time. It replaces what the base has under the same names, and its
/// trailer frees the memory of the kernel's link table.
pub(super) fn site_member(
    store: &Store,
    tree: &Tree,
    compression: Compression,
    latest: i64,
) -> Result<(Vec<u8>, cpio::Written)> {
    let failed = |e: &dyn std::error::Error| Problem::new(format!("cannot write the site segment: {e}"));
    let mut out = compression.writer(Vec::new()).map_err(|e| failed(&e))?;
    let written = cpio::write(store, tree, Inodes::Over, latest, &mut out).map_err(|e| failed(&e))?;
    out.flush().map_err(|e| failed(&e))?;
    Ok((out.finish().map_err(|e| failed(&e))?, written))
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

fn parts_of(ready: &BTreeMap<String, Ready>, kernel: &kernel::image::Built) -> Vec<(Part, String)> {
    let mut parts = Vec::new();
    let package = |name: &str, version: &str, architecture: &str, sha256: &Digest| Part {
        origin: Origin::Debian,
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: Some(architecture.to_owned()),
        sha256: Some(sha256.hex()),
    };
    for (name, ready) in ready {
        match &ready.built {
            Some(built) => {
                for p in &built.packages {
                    parts.push((package(&p.name, &p.version, &p.architecture, &p.sha256), name.clone()));
                }
                parts.extend(built.crates.iter().map(|c| {
                    let part = Part {
                        origin: Origin::Cargo,
                        name: c.name.clone(),
                        version: c.version.clone(),
                        architecture: None,
                        sha256: c.checksum.clone(),
                    };
                    (part, name.clone())
                }));
            }
            None => parts.push((
                Part {
                    origin: Origin::Oci,
                    name: name.clone(),
                    version: ready.image.manifest.to_string(),
                    architecture: None,
                    sha256: Some(ready.image.manifest.hex()),
                },
                name.clone(),
            )),
        }
    }
    for record in &kernel.packages {
        let p = &record.package;
        parts.push((package(&p.name, &p.version, &p.architecture, &p.sha256), KERNEL.to_owned()));
    }
    if kernel.packages.is_empty() {
        let name = format!("linux-{}", kernel.package_version);
        let tarball = kernel.inputs.iter().find(|input| input.name == name);
        let part = Part {
            origin: Origin::Source,
            name: "linux".to_owned(),
            version: kernel.package_version.clone(),
            architecture: None,
            sha256: tarball.map(|input| input.sha256.hex()),
        };
        parts.push((part, KERNEL.to_owned()));
    }
    parts
}
