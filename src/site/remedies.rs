//! What a person does about an error of the mechanism: in commands and settings, of which the mechanism knows nothing.

use crate::debian::Error as DebianError;
use crate::problem::Problem;
use crate::store::Error as StoreError;
use std::io;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let remedy = match &error {
            StoreError::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull => {
                "the disk is full: make room (hookos cache prune), or set HOOKOS_CACHE to a larger disk"
            }
            StoreError::Io { .. } => "check that the folder is writable, or set HOOKOS_CACHE to another one",
            StoreError::Missing(_) | StoreError::Damaged { .. } => {
                "run the same command again: it is made anew"
            }
            StoreError::Busy(_) => "wait until the builds have ended",
        };
        Self::new("the store failed").because(error).remedy(remedy)
    }
}

impl From<DebianError> for Problem {
    fn from(error: DebianError) -> Self {
        if matches!(error, DebianError::Cancelled) {
            return Self::cancelled();
        }
        let mut problem = Self::new(error.to_string());
        if !error.lines().is_empty() {
            problem = problem.because(io::Error::other(error.lines().join("\n")));
        }
        match of_debian(&error) {
            Some(remedy) => problem.remedy(remedy),
            None => problem,
        }
    }
}

/// What to do about packages.
fn of_debian(error: &DebianError) -> Option<String> {
    let text = match error {
        DebianError::NoApt { .. } => {
            "install the package `apt`: recipes need a Debian or Ubuntu machine, or a \
                store that already has every package of the locks"
        }
        DebianError::NoKeyring { .. } => "apt-get install debian-archive-keyring",
        DebianError::NoMirror { .. } | DebianError::BadMirror(_) => {
            "add the archive to the host's apt sources, or \
                name it: --debian-mirror and --debian-security-mirror, or `[debian] mirror` and \
                `security_mirror` in the profile"
        }
        DebianError::BadSuite(_) => "use a code name such as trixie, bookworm or bullseye",
        DebianError::Update { lines, .. } if lines.iter().any(|l| l.contains("is expired")) => {
            "the mirror's \
                lists are past their date. If you mean to build from an old state of the archive, put \
                `Acquire::Check-Valid-Until \"false\";` in a file of the host's /etc/apt/apt.conf.d; else \
                use a mirror that is up to date"
        }
        DebianError::Update { lines, .. } if lines.iter().any(|l| l.contains("not valid yet")) => {
            "set this machine's clock"
        }
        DebianError::Update { .. } => {
            "check the network, the proxy in the host's apt configuration, and that \
                the mirror carries this suite"
        }
        DebianError::Resolve { .. } => {
            "check the names in `packages` against the suite (apt-cache policy NAME)"
        }
        DebianError::Download { .. } => {
            "check the network and the mirror, then run the same command again: \
                what is complete is kept"
        }
        DebianError::Gone { .. } => "renew the lock",
        DebianError::Changed { .. } => {
            "do not use this mirror: the same version must have the same bytes; or \
                renew the lock, if somebody changed it by hand"
        }
        _ => return None,
    };
    Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
}
