//! Where the source comes from: a file whose SHA-256 somebody has pinned, or a kernel.org-like server.

use super::{Settings, download};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Hashed, Store};
use std::path::{Path, PathBuf};

/// Who has the tarball.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file here. Without a SHA-256 it is refused, and the right one is told.
    File { path: PathBuf, sha256: Option<Digest> },
    /// The URL of a folder with `v5.x/linux-5.10.228.tar.xz` and `v5.x/sha256sums.asc`.
    Mirror(String),
}

/// A tarball that is known to be the right one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tarball {
    pub path: PathBuf,
    pub sha256: Digest,
}

impl Source {
    /// The SHA-256 that the tarball must have: the pinned one, or the one that the server has signed. Does not
    /// read or download it.
    pub fn wanted(&self, settings: &Settings, store: &Store, progress: &dyn Progress) -> Result<Digest> {
        match self {
            Self::Mirror(base) => download::wanted(base, settings, store, progress),
            Self::File { sha256: Some(sha256), .. } => Ok(*sha256),
            Self::File { .. } => Ok(self.get(settings, store, progress)?.sha256),
        }
    }

    pub fn get(&self, settings: &Settings, store: &Store, progress: &dyn Progress) -> Result<Tarball> {
        match self {
            Self::Mirror(base) => download::tarball(base, settings, store, progress),
            Self::File { path, sha256 } => {
                let found = digest(path, progress)?;
                match sha256 {
                    Some(pinned) if *pinned == found => Ok(Tarball { path: path.clone(), sha256: found }),
                    Some(pinned) => Err(Problem::new(format!(
                        "the tarball is not the pinned one: its SHA-256 is {}, the pinned one is {}",
                        found.hex(),
                        pinned.hex()
                    ))
                    .in_file(path)
                    .remedy("get the file again; pin the new SHA-256 only if you know why it has changed")),
                    None => Err(Problem::usage("the tarball's SHA-256 is not pinned").in_file(path).remedy(format!(
                        "if the file is the right one, pin it in the profile's [kernel] table: tarball_sha256 = \"{}\" \
                         (or --kernel-tarball-sha256)",
                        found.hex()
                    ))),
                }
            }
        }
    }
}

/// Reads a file once for its digest.
pub fn digest(path: &Path, progress: &dyn Progress) -> Result<Digest> {
    let failed = |e: std::io::Error| {
        Problem::usage("the kernel's source cannot be read").in_file(path).because(e).remedy(
            "give a tarball with --tarball, or leave `tarball` out of the profile to have it downloaded",
        )
    };
    let read = Hashed::file(path, progress).or_else(|e| progress.check().and(Err(failed(e))));
    read.map(|(hasher, _)| hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::source::Compiler;
    use crate::progress::Silent;

    #[test]
    fn a_file_must_be_the_pinned_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("linux.tar");
        std::fs::write(&path, "abc").unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        let get = |sha256: Option<Digest>| {
            let source = Source::File { path: path.clone(), sha256 };
            let settings = Settings {
                folder: PathBuf::new(),
                series: "5.10".to_owned(),
                point: 1,
                config: String::new(),
                source: source.clone(),
                repository: None,
                compiler: Compiler::Host,
                base: String::new(),
                proxies: Default::default(),
                credentials: Default::default(),
                jobs: 1,
            };
            source.get(&settings, &store, &Silent)
        };
        let right = Digest::of(b"abc");
        assert_eq!(get(Some(right)).unwrap().sha256, right);
        let said = get(None).unwrap_err().to_string();
        assert!(said.contains(&format!("tarball_sha256 = \"{}\"", right.hex())), "{said}");
        let said = get(Some(Digest::of(b"x"))).unwrap_err().to_string();
        assert!(said.contains("is not the pinned one"), "{said}");
    }
}
