//! Publishing: finished images and kernels go to a registry, with what is to be known of them, and come back
//! from it as files.
//!
//! An image is an artifact as HookOS has always published it: type `application/vnd.intel.hookos.file`, one
//! file `hook_x86_64.tar.gz` whose name is its title. [`attached`] is what goes with it, [`fetch`] is the
//! way back. docs/publishing.md.

pub mod attached;
mod fetch;

pub use fetch::{Named, fetch};

use crate::build::files::Artifact as Made;
use crate::build::image::ARCHIVE;
use crate::build::manifest::{self, Manifest};
use crate::kernel::image::Built;
use crate::oci::artifact::{Artifact, File, MANIFEST};
use crate::oci::import::Error;
use crate::oci::push;
use crate::oci::registry::Options;
use crate::oci::repository::{Blob, Found, Repository, Sent};
use crate::oci::signature::{self, SigningKey};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Store};
use attached::Attached;
use std::path::Path;

/// The type of a published image.
pub const TYPE: &str = "application/vnd.intel.hookos.file";
/// The media type that ORAS gives a file of which nothing is said.
const FILE: &str = "application/vnd.oci.image.layer.v1.tar";

/// Something that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// `host/repository:tag`.
    pub reference: String,
    pub digest: Digest,
    /// Whether the tag was there before, and was left as it was.
    pub unchanged: bool,
    /// Types of what was attached to it.
    pub attached: Vec<String>,
    pub signed: bool,
    pub sent: Sent,
}

impl std::fmt::Display for Published {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let word = if self.unchanged { "was there" } else { "is published" };
        write!(f, "{} {word}: {}", self.reference, self.digest)?;
        if !self.attached.is_empty() {
            write!(f, "\n  with {}", self.attached.join(", "))?;
        }
        if self.signed {
            f.write_str("\n  signed")?;
        }
        Ok(())
    }
}

/// What is published with.
pub struct Publisher<'a> {
    pub store: &'a Store,
    pub options: &'a Options,
    pub key: Option<&'a SigningKey>,
    /// Whether a tag may come to name something else.
    pub force: bool,
    pub progress: &'a dyn Progress,
}

/// Something that is to be published, as it travels.
struct Parcel {
    manifest: Vec<u8>,
    blobs: Vec<Blob>,
    attached: Attached,
}

/// The place that something is published to, and what is there.
struct Target<'a> {
    repository: Repository<'a>,
    /// `host/repository:tag`.
    reference: String,
    before: Option<Found>,
}

impl Publisher<'_> {
    fn open(&self, target: &str) -> Result<Target<'_>> {
        let failed = self.failed(target);
        let repository = Repository::open(target, self.options, self.progress).map_err(&failed)?;
        let before = repository.find(repository.tag()).map_err(&failed)?;
        let reference = format!("{}:{}", repository.name(), repository.tag());
        Ok(Target { repository, reference, before })
    }

    fn failed<'t>(&self, target: &'t str) -> impl Fn(Error) -> Problem + 't {
        move |error| Problem::from(error).while_doing(format!("{target} was not published"))
    }

    /// Publishes the image that a build left in `out` as `target` (`host/repository:tag`).
    pub fn image(&self, out: &Path, target: &str) -> Result<Published> {
        let made = Manifest::read(out)?.artifacts;
        let archive = made.iter().find(|made| made.name == ARCHIVE).ok_or_else(|| {
            Problem::usage(format!("what was built here has no {ARCHIVE}")).in_file(out.join(manifest::FILE))
        })?;
        self.progress.log(&format!("reading {}", out.join(ARCHIVE).display()));
        let blob = blob_of(&out.join(ARCHIVE), Some(archive))?;
        let attached = Attached::of_image(out, &made, archive)?;
        let artifact = Artifact {
            artifact_type: TYPE.to_owned(),
            files: vec![File::new(ARCHIVE, FILE, blob)],
            annotations: [attached.annotation()?].into(),
            subject: None,
        };
        let manifest = artifact.manifest().map_err(self.failed(target))?;
        let parcel = Parcel { manifest, blobs: artifact.blobs(), attached };
        let there = self.open(target)?;
        match there.before {
            Some(ref found) if found.digest != Digest::of(&parcel.manifest) && !self.force => {
                Err(taken(&there.reference, found))
            }
            _ => self.put(there, parcel),
        }
    }

    /// Publishes a kernel as `target`, unless the registry has that tag: the tag names everything that the
    /// kernel was made of.
    pub fn kernel(&self, kernel: &Built, target: &str) -> Result<Published> {
        let there = self.open(target)?;
        let failed = self.failed(target);
        let kept = there.before.clone().filter(|_| !self.force);
        let left = |found: Found, signed: bool| {
            self.progress.log(&format!("{target} is in the registry"));
            let (reference, digest) = (there.reference.clone(), found.digest);
            let (attached, sent) = (Vec::new(), Sent::default());
            Ok(Published { reference, digest, unchanged: true, attached, signed, sent })
        };
        if let (Some(found), None) = (&kept, self.key) {
            return left(found.clone(), false);
        }
        let attached = Attached::of_kernel(self.store, kernel)?;
        let mut packed = push::pack(self.store, &kernel.image, self.progress).map_err(&failed)?;
        let (name, text) = attached.annotation()?;
        packed.annotate(name, text).map_err(&failed)?;
        let parcel = Parcel { manifest: packed.manifest, blobs: packed.blobs, attached };
        let digest = Digest::of(&parcel.manifest);
        match (kept, self.key) {
            // Somebody else's kernel, or one that another compiler has made: not ours to sign.
            (Some(found), Some(key)) if found.digest != digest => {
                match signature::verify(&there.repository, &found.digest, &key.public()) {
                    Ok(()) => left(found, true),
                    Err(Error::Content { .. }) => Err(Problem::new(format!(
                        "{target} was not signed: it is {}, and the kernel here would be {digest}",
                        found.digest
                    ))
                    .remedy(
                        "sign it on the machine that made it, or put the kernel that is here in its place with --force",
                    )),
                    Err(error) => Err(failed(error)),
                }
            }
            _ => self.put(there, parcel),
        }
    }

    /// Sends it, what goes with it, and its signature. The tag comes last, so that it never names what is
    /// not whole: whatever fails before, the tag is as it was.
    fn put(&self, target: Target<'_>, parcel: Parcel) -> Result<Published> {
        let Target { repository, reference, before } = &target;
        let failed = self.failed(reference);
        let Parcel { manifest, blobs, attached } = parcel;
        let digest = Digest::of(&manifest);
        let found = Found { digest, media_type: MANIFEST.to_owned(), size: manifest.len() as u64 };
        let mut sent = repository.put_blobs(&blobs, None).map_err(&failed)?;
        repository.put_manifest(&digest.to_string(), MANIFEST, &manifest).map_err(&failed)?;
        let mut kinds = Vec::new();
        for artifact in attached.artifacts(&found) {
            sent += repository.put_artifact(&artifact, None).map_err(&failed)?.1;
            kinds.push(artifact.artifact_type);
        }
        if let Some(key) = self.key {
            signature::sign(repository, &found, key).map_err(&failed)?;
        }
        let unchanged = before.as_ref().is_some_and(|before| before.digest == digest);
        if !unchanged {
            // All that may have taken a while.
            let now = repository.find(repository.tag()).map_err(&failed)?;
            if let Some(now) = now.filter(|now| !self.force && now.digest != digest) {
                return Err(taken(reference, &now));
            }
            repository.put_manifest(repository.tag(), MANIFEST, &manifest).map_err(&failed)?;
        }
        let (reference, signed) = (reference.clone(), self.key.is_some());
        Ok(Published { reference, digest, unchanged, attached: kinds, signed, sent })
    }
}

/// A tag that names something else is left alone.
fn taken(target: &str, found: &Found) -> Problem {
    Problem::new(format!("{target} is something else already: {}", found.digest))
        .remedy("publish under another version (--publish-version), or overwrite it with --force")
}

/// A file of the image; it must be what the record has `stated`.
fn blob_of(path: &Path, stated: Option<&Made>) -> Result<Blob> {
    let blob = Blob::of_file(path).map_err(|e| {
        Problem::usage("a file of the image cannot be read")
            .in_file(path)
            .because(e)
            .remedy("build the profile first: hookos build PROFILE")
    })?;
    if stated.is_some_and(|stated| stated.sha256 != blob.digest) {
        return Err(Problem::new(format!("this file is not the one that {} is about", manifest::FILE))
            .in_file(path)
            .remedy("build the profile again, then publish"));
    }
    Ok(blob)
}
