//! What was published comes back as files.

use super::attached;
use crate::build::image::ARCHIVE;
use crate::oci::artifact::Part;
use crate::oci::import::Error;
use crate::oci::registry::{self, Options};
use crate::oci::repository::Repository;
use crate::oci::signature;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::replace::Replacement;
use crate::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Something published, whose manifest was read and, where a key is asked for, is signed with it.
struct Published<'a> {
    reference: &'a str,
    repository: Repository<'a>,
    /// Its files and those that go with it, by the name that each is written under.
    files: BTreeMap<String, Part>,
}

impl<'a> Published<'a> {
    fn open(reference: &'a str, options: &Options, progress: &'a dyn Progress) -> Result<Self> {
        let failed = failed(reference);
        let repository = Repository::reading(reference, options, progress).map_err(&failed)?;
        let (digest, manifest) = repository
            .artifact(repository.tag())
            .map_err(&failed)?
            .ok_or_else(|| Problem::new(format!("{reference} is not in the registry")))?;
        if let Some(key) = options.key(repository.host()) {
            signature::verify(&repository, &digest, &key).map_err(&failed)?;
        }
        let attached = attached::named_by(&manifest).map_err(|e| {
            Problem::new(format!("{reference} does not say in a known way what goes with it")).because(e)
        })?;
        let mut files = BTreeMap::new();
        for part in manifest.layers.into_iter().chain(attached) {
            let Some(name) = part.title().map(str::to_owned) else { continue };
            let again = "whoever published it must name its files otherwise; nothing was written";
            if name.is_empty() || name.starts_with('.') || name.contains(['/', '\0']) {
                return Err(
                    Problem::new(format!("{reference} holds a file with the name {name:?}")).remedy(again)
                );
            }
            if files.insert(name.clone(), part).is_some() {
                return Err(
                    Problem::new(format!("{reference} holds two files with the name {name:?}")).remedy(again)
                );
            }
        }
        Ok(Self { reference, repository, files })
    }

    /// Brings some of its files into `out`, all or none; their paths.
    fn write(&self, names: &[&str], store: &Store, out: &Path) -> Result<Vec<PathBuf>> {
        let parts = || self.files.iter().filter(|(name, _)| names.contains(&name.as_str()));
        for (name, part) in parts() {
            self.repository
                .fetch_part(store, part)
                .map_err(failed(&format!("{name} of {}", self.reference)))?;
        }
        fs::create_dir_all(out)
            .map_err(|e| Problem::new("the folder cannot be made").in_file(out).because(e))?;
        let mut paths = Vec::new();
        for (name, part) in parts() {
            let path = out.join(name);
            let copy = || {
                let mut new = Replacement::of(&path, 0o644)?;
                let mut blob = store.open_blob(&part.digest).map_err(std::io::Error::other)?;
                std::io::copy(&mut blob, new.file())?;
                new.place()
            };
            copy().map_err(|e| Problem::new("the file cannot be written").in_file(&path).because(e))?;
            paths.push(path);
        }
        Ok(paths)
    }
}

fn failed(what: &str) -> impl Fn(Error) -> Problem + '_ {
    move |error| Problem::from(error).while_doing(format!("{what} cannot be fetched"))
}

/// Brings the files of something published into `out`, with all that goes with them; their paths.
pub fn fetch(
    store: &Store,
    reference: &str,
    out: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Vec<PathBuf>> {
    let published = Published::open(reference, options, progress)?;
    let names: Vec<&str> = published.files.keys().map(String::as_str).collect();
    if names.is_empty() {
        return Err(Problem::new(format!("{reference} holds no files"))
            .remedy("an image is pulled with `hookos images pull`"));
    }
    published.write(&names, store, out)
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
        let published = Published::open(reference, options, progress)?;
        let path = published.write(&[ARCHIVE], store, folder.path())?.pop();
        let path = path.ok_or_else(|| Problem::usage(format!("{reference} holds no {ARCHIVE}")))?;
        Ok(Self { path, _fetched: Some(folder) })
    }
}
