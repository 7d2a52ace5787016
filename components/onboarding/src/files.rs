//! The files that hold what onboarding gave, one value each, in memory only.
//!
//! | file | holds |
//! |---|---|
//! | `project_id` | the tenant that the machine belongs to |
//! | `client_id`, `client_secret` | the machine's account at the identity provider; not there after a person logged in |
//! | `idp_access_token` | the token for the orchestrator's services |
//! | `release_token` | the token for the release services |
//!
//! Mode 0600, replaced by rename: a reader sees the old or the new value, never half of one.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Where the files lie on the machine and in the containers: a tmpfs.
pub const FOLDER: &str = "/dev/shm";

/// One of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum File {
    ProjectId,
    ClientId,
    ClientSecret,
    AccessToken,
    ReleaseToken,
}

impl File {
    pub const ALL: [Self; 5] =
        [Self::ProjectId, Self::ClientId, Self::ClientSecret, Self::AccessToken, Self::ReleaseToken];

    /// Its name in [`FOLDER`].
    pub fn name(self) -> &'static str {
        match self {
            Self::ProjectId => "project_id",
            Self::ClientId => "client_id",
            Self::ClientSecret => "client_secret",
            Self::AccessToken => "idp_access_token",
            Self::ReleaseToken => "release_token",
        }
    }
}

/// The files in their folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    folder: PathBuf,
}

impl Files {
    /// The files in `folder`; on a machine that is [`FOLDER`].
    pub fn at(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    pub fn path(&self, file: File) -> PathBuf {
        self.folder.join(file.name())
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The value without white space around it; none when the file is missing or empty.
    pub fn read(&self, file: File) -> Option<String> {
        let text = fs::read_to_string(self.path(file)).ok()?;
        Some(text.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// Replaces the value.
    pub fn write(&self, file: File, value: &str) -> io::Result<()> {
        let new = self.folder.join(format!(".{}.new", file.name()));
        match fs::remove_file(&new) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        out.write_all(value.as_bytes())?;
        drop(out);
        fs::rename(&new, self.path(file))
    }

    /// Removes the value; one that is not there is no error.
    pub fn remove(&self, file: File) -> io::Result<()> {
        match fs::remove_file(self.path(file)) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn values_are_replaced_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(folder.path());
        assert_eq!(files.read(File::AccessToken), None);
        files.write(File::AccessToken, "one").unwrap();
        files.write(File::AccessToken, "two\n").unwrap();
        assert_eq!(files.read(File::AccessToken).as_deref(), Some("two"));
        let mode = fs::metadata(files.path(File::AccessToken)).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
        files.write(File::ProjectId, " \n").unwrap();
        assert_eq!(files.read(File::ProjectId), None);
        files.remove(File::ProjectId).unwrap();
        files.remove(File::ProjectId).unwrap();
    }
}
