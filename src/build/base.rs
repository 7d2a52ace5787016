//! The base: everything of an image that all its sites share.

use super::assemble::{Assembly, Done};
use super::image::{KERNEL, Ready, Request};
use super::kernel::Absent;
use super::manifest::{Input, SegmentRecord};
use super::run::Run;
use super::sbom::{Origin, Part};
use super::{Stage, Task, image};
use crate::component;
use crate::initramfs::archive::ArchiveHead;
use crate::initramfs::join::{self, Head};
use crate::initramfs::segment::Options;
use crate::kernel;
use crate::linuxkit::{Definition, LINUXKIT_TIME};
use crate::oci::{self, Image};
use crate::problem::{Problem, Result};
use crate::progress::Progress as _;
use crate::site::{Id, KernelSource, Section, Value};
use crate::store::{Digest, Key, KeyMaker, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// An image definition with the components that there are.
type Chosen = (Definition, BTreeMap<String, component::Definition>);

/// A base that is whole in the store.
pub struct Base {
    pub(super) options: Options,
    /// The kernel's release.
    pub(super) kernel: String,
    /// The kernel command line of the image definition.
    pub(super) cmdline: Option<String>,
    /// Manifest digests of the images, by name.
    pub(super) images: BTreeMap<String, Digest>,
    pub(super) segments: Vec<SegmentRecord>,
    pub(super) inputs: Vec<Input>,
    pub(super) parts: Vec<(Part, String)>,
    pub(super) files: Files,
}

/// The files of a base, as all its sites begin.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Files {
    pub vmlinuz: Head,
    /// Without a site.
    pub initramfs: Head,
}

impl Request<'_> {
    /// What decides the base of this site: requests with the same text have the same base.
    pub fn base_settings(&self) -> String {
        let repository = self.site.kernel_source() == KernelSource::Source;
        let of_base = |id: Id, section: Section| match id {
            // They go to the site's segment or beside the image.
            Id::KernelAppend | Id::Getty | Id::RootPasswordHash => false,
            Id::OciReleaseSvc | Id::PublishKernelRepository => repository,
            _ => matches!(section, Section::Kernel | Section::Image | Section::Debian),
        };
        let fields = self.site.iter().filter(|(field, _)| of_base(field.id, field.section));
        let said = fields.map(|(field, resolved)| {
            let value = resolved.value.as_ref().map(Value::text).unwrap_or_default();
            format!("{}={value:?}", field.path())
        });
        // A relative path is another file for another profile.
        let definition = self.site.definition(self.root).display().to_string();
        let tarball = self.site.path(Id::KernelTarball, self.root).unwrap_or_default();
        let key = self.site.path(Id::VerifyKey, self.root).unwrap_or_default();
        let paths = [definition, tarball.display().to_string(), key.display().to_string()];
        said.chain(paths).collect::<Vec<_>>().join("\n")
    }

    /// Makes the base, or finds it in the store. What turns out to be damaged there is made anew.
    pub(super) fn base(&self, run: &Run, chosen: &Chosen, absent: Absent) -> Result<Base> {
        loop {
            let damaged = self.store.damaged();
            match self.try_base(run, chosen, absent) {
                // It ends: each time there is a damaged blob less.
                Err(problem) if self.store.damaged() > damaged && !run.cancel().is_cancelled() => {
                    run.stage(Stage::Configure, |task| {
                        task.warn(&problem.to_string());
                        task.log("what was damaged is made anew");
                        Ok(())
                    })?;
                }
                result => return result,
            }
        }
    }

    fn try_base(&self, run: &Run, (definition, components): &Chosen, absent: Absent) -> Result<Base> {
        let kernel = || run.stage(Stage::Kernel, |task| self.kernel(task, absent));
        // Where a kernel that is not there ends the build, nothing is made before that is known.
        let first = if absent == Absent::Refuse { Some(kernel()?) } else { None };
        let ready = run.stage(Stage::Components, |task| self.images(definition, components, task))?;
        let kernel = first.map_or_else(kernel, Ok)?;
        let mut images: BTreeMap<String, Image> =
            ready.iter().map(|(name, ready)| (name.clone(), ready.image.clone())).collect();
        images.insert(KERNEL.to_owned(), kernel.image.clone());
        let plan = self.plan(definition, components, &images)?;
        let assembly = self.assembly(&plan, &images);
        run.stage(Stage::Binaries, |task| {
            for warning in &plan.warnings {
                task.warn(&warning.to_string());
            }
            let segments = assembly.segments(task)?;
            let files = task.item("base", |item| files(&assembly, &kernel.image, &segments, item))?;
            Ok(Base {
                options: assembly.options,
                kernel: kernel.version.clone(),
                cmdline: plan.kernel.as_ref().map(|kernel| kernel.cmdline.clone()),
                images: ready.iter().map(|(name, ready)| (name.clone(), ready.image.manifest)).collect(),
                segments: segments.iter().map(Done::record).collect(),
                inputs: inputs(&ready, &kernel),
                parts: parts(&ready, &kernel),
                files,
            })
        })
    }
}

impl Base {
    /// No time in the image is later: seconds since 1970.
    pub(super) fn latest(&self) -> i64 {
        self.options.latest.clamp(0, LINUXKIT_TIME)
    }

    /// The beginning of every archive whose initramfs has so many bytes.
    pub(super) fn archive(
        &self,
        store: &Store,
        bytes: u64,
        mtime: u64,
        task: &Task<'_>,
    ) -> Result<ArchiveHead> {
        let Files { vmlinuz, initramfs } = &self.files;
        let key = KeyMaker::new("archive head 1")
            .add("vmlinuz", vmlinuz.blob.bytes())
            .add("initramfs", initramfs.blob.bytes())
            .add("bytes", bytes.to_le_bytes())
            .add("mtime", mtime.to_le_bytes())
            .local()
            .finish();
        let (head, reused) = kept(
            store,
            &key,
            |head: &ArchiveHead| vec![*head.blob()],
            || {
                let first = (image::VMLINUZ, &vmlinuz.blob, vmlinuz.bytes);
                let second = (image::INITRAMFS, initramfs, bytes);
                ArchiveHead::make(store, first, second, mtime)
                    .map_err(|e| Problem::new("the archive's beginning cannot be written").because(e))
            },
        )?;
        let inputs = [
            ("kernel", vmlinuz.blob.hex()),
            ("base", initramfs.blob.hex()),
            ("size of the initramfs", bytes.to_string()),
        ];
        task.settled_part(
            "archive",
            &key.hex(),
            inputs.map(|(name, value)| (name.to_owned(), value)),
            reused,
        );
        Ok(head)
    }
}

/// The kernel's file, and microcode and segments end to end.
fn files(assembly: &Assembly<'_>, kernel: &Image, segments: &[Done], task: &Task<'_>) -> Result<Files> {
    let store = assembly.store;
    let mut key = KeyMaker::new("base 1").add("kernel", kernel.manifest.bytes());
    for done in segments {
        key = key.add("segment", done.segment.blob.bytes());
    }
    let blobs = |files: &Files| vec![files.vmlinuz.blob, files.initramfs.blob];
    let key = key.local().finish();
    let (files, cached) = kept(store, &key, blobs, || {
        let joined = |parts: Vec<join::Part>| {
            Head::join(store, &parts).map_err(|e| Problem::new("the base cannot be put together").because(e))
        };
        let microcode = assembly.microcode()?.map(join::Part::Bytes);
        let segments = segments.iter().map(|done| join::Part::Blob(done.segment.blob));
        Ok(Files {
            vmlinuz: joined(vec![join::Part::Bytes(assembly.kernel_binary()?)])?,
            initramfs: joined(microcode.into_iter().chain(segments).collect())?,
        })
    })?;
    let segments = segments.iter().map(|done| (format!("segment {}", done.name), done.segment.blob.hex()));
    task.settled(&key.hex(), segments.chain([("kernel".to_owned(), kernel.manifest.hex())]), cached);
    Ok(files)
}

/// What a piece of work left in the store as JSON, or what `make` makes; and whether it was there.
fn kept<T: Serialize + DeserializeOwned>(
    store: &Store,
    key: &Key,
    blobs: impl Fn(&T) -> Vec<Digest>,
    make: impl FnOnce() -> Result<T>,
) -> Result<(T, bool)> {
    let find = || {
        let made: T = serde_json::from_slice(&store.read(&store.work(key)?).ok()?).ok()?;
        // They are copied without a look inside: here is where damage is found.
        blobs(&made).iter().all(|blob| store.open_blob(blob).is_ok()).then_some(made)
    };
    if let Some(made) = find() {
        return Ok((made, true));
    }
    let _lock = store.lock(&key.hex())?;
    if let Some(made) = find() {
        return Ok((made, true));
    }
    let made = make()?;
    let text =
        serde_json::to_vec(&made).map_err(|e| Problem::new("a record cannot be written").because(e))?;
    store.set_work_with(key, &store.put(&text)?, &blobs(&made))?;
    Ok((made, false))
}

/// What went into a base.
fn inputs(ready: &BTreeMap<String, Ready>, kernel: &kernel::image::Built) -> Vec<Input> {
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
    inputs.extend(kernel_inputs(kernel));
    inputs
}

/// What went into a kernel.
pub fn kernel_inputs(kernel: &kernel::image::Built) -> Vec<Input> {
    let packages = kernel.packages.iter().map(|record| {
        let p = &record.package;
        (format!("{}_{}_{}", p.name, p.version, p.architecture), p.sha256)
    });
    let own = kernel.inputs.iter().map(|input| (input.name.clone(), input.sha256));
    let input = |kind: &str, (name, digest)| Input { kind: kind.to_owned(), name, digest };
    packages.map(|p| input("package", p)).chain(own.map(|i| input("kernel", i))).collect()
}

/// The same for the SBOM: each part, and which image it is in.
fn parts(ready: &BTreeMap<String, Ready>, kernel: &kernel::image::Built) -> Vec<(Part, String)> {
    let mut parts = Vec::new();
    for (name, ready) in ready {
        let mut add = |part: Part| parts.push((part, name.clone()));
        let Some(built) = &ready.built else {
            add(image(name, name, &ready.image.manifest));
            continue;
        };
        for p in &built.packages {
            add(package(&p.name, &p.version, &p.architecture, &p.sha256));
        }
        for c in &built.crates {
            add(Part {
                origin: Origin::Cargo,
                name: c.name.clone(),
                version: c.version.clone(),
                architecture: None,
                sha256: c.checksum.clone(),
                reference: None,
            });
        }
        for input in built.inputs.iter().filter(|input| input.kind == "image") {
            add(image(name, &input.name, &input.digest));
        }
    }
    parts.extend(kernel_parts(kernel));
    parts
}

/// An image that is in another one. What Docker built has no reference.
fn image(component: &str, named: &str, manifest: &Digest) -> Part {
    let reference = oci::registry::parse(named).is_ok().then(|| named.to_owned());
    Part {
        origin: Origin::Oci,
        name: reference.as_deref().unwrap_or(component).to_owned(),
        version: manifest.to_string(),
        architecture: None,
        sha256: Some(manifest.hex()),
        reference,
    }
}

fn package(name: &str, version: &str, architecture: &str, sha256: &Digest) -> Part {
    Part {
        origin: Origin::Debian,
        name: name.to_owned(),
        version: version.to_owned(),
        architecture: Some(architecture.to_owned()),
        sha256: Some(sha256.hex()),
        reference: None,
    }
}

/// The parts of a kernel.
pub fn kernel_parts(kernel: &kernel::image::Built) -> Vec<(Part, String)> {
    let mut parts = Vec::new();
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
            reference: None,
        };
        parts.push((part, KERNEL.to_owned()));
    }
    parts
}
