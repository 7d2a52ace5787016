//! What can go wrong with packages.

use super::{control, deb};
use crate::store;
use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{program} cannot be started: {source}")]
    NoApt { program: &'static str, source: io::Error },
    #[error("{} is not there, so the archive's signatures cannot be checked", path.display())]
    NoKeyring { path: PathBuf },
    #[error("the host's apt configuration names no {}", if *security { "Debian security archive" } else { "Debian archive" })]
    NoMirror { security: bool },
    #[error("{0:?} is not the address of a package archive")]
    BadMirror(String),
    #[error("{0:?} is not the name of a Debian suite")]
    BadSuite(String),
    #[error("{0:?} is not the name of a Debian package")]
    BadPackage(String),
    #[error("{}: {bad}", path.display())]
    Sources { path: PathBuf, bad: control::BadLine },
    /// `lines` are apt's own, with secrets masked.
    #[error("apt could not fetch the package lists of suite {suite}")]
    Update { suite: String, lines: Vec<String> },
    #[error("suite {suite} has no set of packages for: {packages}")]
    Resolve { suite: String, packages: String, lines: Vec<String> },
    #[error("apt could not download packages of suite {suite}")]
    Download { suite: String, lines: Vec<String> },
    #[error(
        "the archive no longer has {name} {locked} in suite {suite}; it has {}",
        if available.is_empty() { "no version of it".to_owned() } else { available.join(", ") }
    )]
    Gone { name: String, suite: String, locked: String, available: Vec<String> },
    #[error("{name} {version} came from the archive with {found}, but {expected} was asked for")]
    Changed { name: String, version: String, expected: String, found: String },
    #[error("apt said something that is not understood: {0:?}")]
    Answer(String),
    #[error("{name}: {source}")]
    Deb { name: String, source: deb::Error },
    #[error("cancelled")]
    Cancelled,
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Error {
    /// What apt said, masked.
    pub fn lines(&self) -> &[String] {
        match self {
            Self::Update { lines, .. } | Self::Resolve { lines, .. } | Self::Download { lines, .. } => lines,
            _ => &[],
        }
    }
}
