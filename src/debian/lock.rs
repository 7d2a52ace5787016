//! `packages.lock`: what was asked for and the exact packages that answer it.

use super::Error;
use crate::replace;
use crate::store::Digest;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

/// One Debian package at one version.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    pub name: String,
    /// With its epoch, if it has one.
    pub version: String,
    /// `amd64` or `all`.
    pub architecture: String,
    /// Of the `.deb` file.
    pub sha256: Digest,
    /// Bytes of the `.deb` file.
    pub size: u64,
    /// Name of the file in the archive's pool.
    pub file: String,
}

/// What a lock answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    pub suite: String,
    /// Sorted.
    pub packages: Vec<String>,
    /// Names taken out of the closure; sorted.
    #[serde(default)]
    pub leave_out: Vec<String>,
}

/// A whole lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageLock {
    /// 1.
    pub version: u32,
    pub request: Request,
    /// Sorted by name.
    #[serde(default, rename = "package")]
    pub packages: Vec<Package>,
}

/// What a build does with locks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// Takes the lock where it matches; resolves anew and writes it where it does not.
    #[default]
    Default,
    /// The lock must be there and match; nothing is resolved.
    Locked,
    /// Resolves anew, always.
    Update,
}

impl Request {
    pub fn new(suite: &str, packages: &[String], leave_out: &[String]) -> Self {
        let sorted = |names: &[String]| {
            let mut names = names.to_vec();
            names.sort();
            names.dedup();
            names
        };
        Self { suite: suite.to_owned(), packages: sorted(packages), leave_out: sorted(leave_out) }
    }
}

impl PackageLock {
    const VERSION: u32 = 1;

    pub fn new(request: Request, mut packages: Vec<Package>) -> Self {
        packages.sort();
        Self { version: Self::VERSION, request, packages }
    }

    /// Reads a lock; `None` when there is no such file.
    pub fn read(path: &Path) -> Result<Option<Self>, LockError> {
        let bad = |source| LockError::Io { source };
        let text = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(bad(e)),
        };
        let lock: Self = toml::from_str(&text).map_err(|source| {
            let before = &text[..source.span().map_or(0, |s| s.start.min(text.len()))];
            LockError::Toml { line: before.matches('\n').count() + 1, source: Box::new(source) }
        })?;
        if lock.version != Self::VERSION {
            return Err(LockError::Version(lock.version));
        }
        Ok(Some(lock))
    }

    /// Writes the lock so that a crash leaves the old file or the new one. The same lock again
    /// leaves the file untouched. `about` is the comment on its first line.
    pub fn write(&self, path: &Path, about: &str) -> Result<(), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let body = toml::to_string(self).map_err(|e| io(io::Error::other(e)))?;
        let text = format!("# {about}\n{body}");
        if fs::read_to_string(path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        replace::write_durably(path, 0o644, text.as_bytes()).map_err(io)
    }
}

/// Why a lock file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    #[error("{source}")]
    Io { source: io::Error },
    #[error("{}", source.message())]
    Toml { line: usize, source: Box<toml::de::Error> },
    #[error("version {0} of the lock format is not known")]
    Version(u32),
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock() -> PackageLock {
        let package = |name: &str| Package {
            name: name.into(),
            version: "1:2-3".into(),
            architecture: "amd64".into(),
            sha256: Digest::of(name.as_bytes()),
            size: 7,
            file: format!("{name}_2-3_amd64.deb"),
        };
        let request = Request::new("trixie", &["b".into(), "a".into()], &[]);
        PackageLock::new(request, vec![package("b"), package("a")])
    }

    #[test]
    fn a_lock_survives_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("packages.lock");
        assert_eq!(PackageLock::read(&path).unwrap(), None);
        lock().write(&path, "Written by a test.").unwrap();
        assert_eq!(PackageLock::read(&path).unwrap(), Some(lock()));
        assert_eq!(lock().packages[0].name, "a");
        let text = fs::read_to_string(&path).unwrap();
        assert!(!text.contains("://"), "a lock names no host");
        assert_eq!(text.lines().next(), Some("# Written by a test."));
        fs::write(&path, text.replace("size = 7", "size = 'x'")).unwrap();
        let error = PackageLock::read(&path).unwrap_err();
        assert!(matches!(error, LockError::Toml { line, .. } if line > 5), "{error}");
    }
}
