//! What can go wrong with packages, and how a person is told.

use super::{control, deb};
use crate::problem::Problem;
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
    fn remedy(&self) -> Option<String> {
        let text = match self {
            Self::NoApt { .. } => {
                "install the package `apt`: recipes need a Debian or Ubuntu machine, or a \
                store that already has every package of the locks"
            }
            Self::NoKeyring { .. } => "apt-get install debian-archive-keyring",
            Self::NoMirror { .. } | Self::BadMirror(_) => {
                "add the archive to the host's apt sources, or \
                name it: --debian-mirror and --debian-security-mirror, or `[debian] mirror` and \
                `security_mirror` in the profile"
            }
            Self::BadSuite(_) => "use a code name such as trixie, bookworm or bullseye",
            Self::Update { lines, .. } if lines.iter().any(|l| l.contains("is expired")) => {
                "the mirror's \
                lists are past their date. If you mean to build from an old state of the archive, put \
                `Acquire::Check-Valid-Until \"false\";` in a file of the host's /etc/apt/apt.conf.d; else \
                use a mirror that is up to date"
            }
            Self::Update { lines, .. } if lines.iter().any(|l| l.contains("not valid yet")) => {
                "set this machine's clock"
            }
            Self::Update { .. } => {
                "check the network, the proxy in the host's apt configuration, and that \
                the mirror carries this suite"
            }
            Self::Resolve { .. } => "check the names in `packages` against the suite (apt-cache policy NAME)",
            Self::Download { .. } => {
                "check the network and the mirror, then run the same command again: \
                what is complete is kept"
            }
            Self::Gone { .. } => {
                "renew the lock: `hookos components --update NAME` with the component's name"
            }
            Self::Changed { .. } => {
                "do not use this mirror: the same version must have the same bytes; or \
                renew the lock, if somebody changed it by hand"
            }
            _ => return None,
        };
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn lines(&self) -> &[String] {
        match self {
            Self::Update { lines, .. } | Self::Resolve { lines, .. } | Self::Download { lines, .. } => lines,
            _ => &[],
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        if matches!(error, Error::Cancelled) {
            return Problem::cancelled();
        }
        let mut problem = Problem::new(error.to_string());
        if !error.lines().is_empty() {
            problem = problem.because(io::Error::other(error.lines().join("\n")));
        }
        match error.remedy() {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        }
    }
}
