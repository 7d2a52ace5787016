//! Publishing: finished images and kernels go to a registry, with what is to be known of them, and come back
//! from it as files.
//!
//! An image is an artifact as HookOS has always published it: type `application/vnd.intel.hookos.file`, one
//! file `hook_x86_64.tar.gz` whose name is its title. Checksums, SBOM and build record refer to it.
//! docs/publishing.md.

use crate::build::image::{ARCHIVE, SBOM};
use crate::build::manifest::{self, Manifest};
use crate::oci::artifact::{Artifact, File};
use crate::oci::import::Error;
use crate::oci::registry::{self, Options};
use crate::oci::repository::{Blob, Found, Repository, Sent};
use crate::oci::signature::{self, SigningKey};
use crate::oci::{Image, push};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Store};
use std::fs;
use std::path::{Path, PathBuf};

/// The type of a published image.
pub const TYPE: &str = "application/vnd.intel.hookos.file";
/// The media type that ORAS gives a file of which nothing is said.
const FILE: &str = "application/vnd.oci.image.layer.v1.tar";
/// The checksums of all files of the image, as `sha256sum --check` reads them.
pub const CHECKSUMS: &str = "application/vnd.hookos.checksums.v1";
pub const CHECKSUMS_FILE: &str = "SHA256SUMS";
/// `manifest.json`: every input of the image by digest.
pub const RECORD: &str = "application/vnd.hookos.record.v1+json";
/// Source: the media type that CycloneDX has registered.
pub const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";

/// Something that is in a registry now.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Published {
    /// `host/repository:tag`.
    pub reference: String,
    pub digest: Digest,
    /// Whether the tag named the same before.
    pub unchanged: bool,
    /// Types of what refers to it.
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

impl Publisher<'_> {
    fn open<'p>(&'p self, target: &str) -> Result<Repository<'p>> {
        Repository::open(target, self.options, self.progress).map_err(|e| self.failed(target)(e))
    }

    fn failed<'t>(&self, target: &'t str) -> impl Fn(Error) -> Problem + 't {
        move |error| Problem::from(error).while_doing(format!("{target} was not published"))
    }

    /// A tag that names something else is left alone, unless force is used.
    fn may_write(&self, repository: &Repository<'_>, digest: &Digest) -> Result<bool> {
        let target = format!("{}:{}", repository.name(), repository.tag());
        let before = repository.find(repository.tag()).map_err(self.failed(&target))?;
        match before {
            Some(found) if found.digest == *digest => Ok(false),
            Some(found) if !self.force => {
                Err(Problem::new(format!("{target} is something else already: {}", found.digest)).remedy(
                    "publish under another version (--publish-version), or overwrite it with --force",
                ))
            }
            _ => Ok(true),
        }
    }

    /// Publishes the image that a build left in `out` as `target` (`host/repository:tag`).
    pub fn image(&self, out: &Path, target: &str) -> Result<Published> {
        let made = Manifest::read(out)?.artifacts;
        let archive = out.join(ARCHIVE);
        self.progress.log(&format!("reading {}", archive.display()));
        let blob = blob_of(&archive)?;
        let stated = made.iter().find(|made| made.name == ARCHIVE);
        if stated.is_none_or(|stated| stated.sha256 != blob.digest) {
            return Err(Problem::new("the archive is not the one that manifest.json is about")
                .in_file(&archive)
                .remedy("build the profile again, then publish"));
        }
        let artifact = Artifact {
            artifact_type: TYPE.to_owned(),
            files: vec![File::new(ARCHIVE, FILE, blob)],
            ..Artifact::default()
        };
        let repository = self.open(target)?;
        let failed = self.failed(target);
        let digest = Digest::of(&artifact.manifest().map_err(&failed)?);
        let fresh = self.may_write(&repository, &digest)?;
        let tag = repository.tag().to_owned();
        let (found, mut sent) = repository.put_artifact(&artifact, Some(&tag)).map_err(&failed)?;

        let sums: String =
            made.iter().map(|made| format!("{}  {}\n", made.sha256.hex(), made.name)).collect();
        let about = [
            (CHECKSUMS, CHECKSUMS_FILE, "text/plain", Blob::of_bytes(sums.into_bytes())),
            (SBOM_TYPE, SBOM, SBOM_TYPE, blob_of(&out.join(SBOM))?),
            (RECORD, manifest::FILE, "application/json", blob_of(&out.join(manifest::FILE))?),
        ];
        let mut attached = Vec::new();
        for (artifact_type, title, media_type, blob) in about {
            let artifact = Artifact {
                artifact_type: artifact_type.to_owned(),
                files: vec![File::new(title, media_type, blob)],
                subject: Some(found.clone()),
                ..Artifact::default()
            };
            sent += repository.put_artifact(&artifact, None).map_err(&failed)?.1;
            attached.push(artifact_type.to_owned());
        }
        let signed = self.sign(&repository, &found, target)?;
        let reference = format!("{}:{tag}", repository.name());
        Ok(Published { reference, digest: found.digest, unchanged: !fresh, attached, signed, sent })
    }

    /// Publishes the image of a kernel as `target`, unless the registry has that tag: the tag names
    /// everything that the kernel was made of.
    pub fn kernel(&self, image: &Image, target: &str) -> Result<Published> {
        let repository = self.open(target)?;
        let failed = self.failed(target);
        if let Some(found) = repository.find(repository.tag()).map_err(&failed)?.filter(|_| !self.force) {
            self.progress.log(&format!("{target} is in the registry"));
            let signed = self.sign(&repository, &found, target)?;
            let reference = format!("{}:{}", repository.name(), repository.tag());
            let (attached, sent) = (Vec::new(), Sent::default());
            return Ok(Published {
                reference,
                digest: found.digest,
                unchanged: true,
                attached,
                signed,
                sent,
            });
        }
        let pushed =
            push::push(self.store, image, target, None, self.options, self.progress).map_err(&failed)?;
        let missing = || Problem::new(format!("{target} is not there after it was pushed"));
        let found = repository.find(repository.tag()).map_err(&failed)?.ok_or_else(missing)?;
        let signed = self.sign(&repository, &found, target)?;
        Ok(Published {
            reference: pushed.reference,
            digest: pushed.digest,
            unchanged: pushed.unchanged,
            attached: Vec::new(),
            signed,
            sent: pushed.sent,
        })
    }

    /// Whether it is signed now.
    fn sign(&self, repository: &Repository<'_>, found: &Found, target: &str) -> Result<bool> {
        let Some(key) = self.key else { return Ok(false) };
        signature::sign(repository, found, key).map_err(self.failed(target))?;
        Ok(true)
    }
}

/// Brings the files of a published artifact into `out`; the names of those that came. What refers to it comes
/// too, where it is one of this program's types.
pub fn fetch(
    store: &Store,
    reference: &str,
    out: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let failed = |error: Error| Problem::from(error).while_doing(format!("{reference} cannot be fetched"));
    let repository = Repository::reading(reference, options, progress).map_err(failed)?;
    let (digest, manifest) = repository
        .artifact(repository.tag())
        .map_err(failed)?
        .ok_or_else(|| Problem::new(format!("{reference} is not in the registry")))?;
    if let Some(key) = &options.verify {
        signature::verify(&repository, &digest, key).map_err(failed)?;
    }
    let mut parts = manifest.layers;
    for referrer in repository.referrers(&digest, None).map_err(failed)? {
        let known = [CHECKSUMS, RECORD, SBOM_TYPE];
        if referrer.artifact_type.as_deref().is_some_and(|kind| known.contains(&kind))
            && let Some((_, about)) = repository.artifact(&referrer.digest.to_string()).map_err(failed)?
        {
            parts.extend(about.layers);
        }
    }
    fs::create_dir_all(out).map_err(|e| Problem::new("the folder cannot be made").in_file(out).because(e))?;
    let mut files = Vec::new();
    for part in parts {
        let Some(name) = part.title() else { continue };
        if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
            return Err(Problem::new(format!("{reference} holds a file with the name {name:?}")).remedy(
                "nothing is written under such a name; whoever published it must name it otherwise",
            ));
        }
        repository.fetch_part(store, &part).map_err(failed)?;
        let path = out.join(name);
        let copy = || {
            let mut file = tempfile::Builder::new()
                .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
                .tempfile_in(out)?;
            let mut blob = store.open_blob(&part.digest).map_err(std::io::Error::other)?;
            std::io::copy(&mut blob, file.as_file_mut())?;
            file.persist(&path).map_err(|e| e.error)
        };
        copy().map_err(|e| Problem::new("the file cannot be written").in_file(&path).because(e))?;
        files.push(path);
    }
    if files.is_empty() {
        return Err(Problem::new(format!("{reference} holds no files"))
            .remedy("an image is pulled with `hookos images pull`"));
    }
    Ok(files)
}

/// An image that a person names: files on this machine, or a published artifact, which is fetched.
pub struct Named {
    pub path: PathBuf,
    /// What was fetched goes with this.
    _fetched: Option<tempfile::TempDir>,
}

impl Named {
    /// A path that exists is that path; else `host/repository:tag` is asked for at its registry.
    pub fn find(name: &Path, store: &Store, options: &Options, progress: &dyn Progress) -> Result<Self> {
        let reference = name.to_str().filter(|text| {
            // A registry's name has a dot or a port; a mistyped path seldom has either before its first `/`.
            let host = text.split('/').next().unwrap_or_default();
            text.contains('/') && host.len() > 2 && host.contains(['.', ':']) && registry::parse(text).is_ok()
        });
        let Some(reference) = reference.filter(|_| !name.exists()) else {
            return Ok(Self { path: name.to_owned(), _fetched: None });
        };
        progress.log(&format!("fetching {reference}"));
        let folder = tempfile::Builder::new()
            .prefix("image-")
            .tempdir_in(store.tmp())
            .map_err(|e| Problem::new("the image cannot be kept").in_file(store.tmp()).because(e))?;
        let files = fetch(store, reference, folder.path(), options, progress)?;
        let archive = files.into_iter().find(|file| file.file_name().is_some_and(|name| name == ARCHIVE));
        let path = archive.ok_or_else(|| Problem::usage(format!("{reference} holds no {ARCHIVE}")))?;
        Ok(Self { path, _fetched: Some(folder) })
    }
}

fn blob_of(path: &Path) -> Result<Blob> {
    Blob::of_file(path).map_err(|e| {
        Problem::usage("a file of the image cannot be read")
            .in_file(path)
            .because(e)
            .remedy("build the profile first: hookos build PROFILE")
    })
}
