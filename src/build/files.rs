//! What a build leaves in `out/<profile>`: written whole or not at all.
//!
//! Nothing here waits for the disk, as `cp` does not: all of it can be made again from the store, which does.

use super::event::Event;
use super::run::Run;
use crate::problem::{Problem, Result};
use crate::store::Digest;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

/// One file that the build has made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Artifact {
    /// File name in the output folder.
    pub name: String,
    pub bytes: u64,
    pub sha256: Digest,
}

/// The output folder of one profile.
pub struct Output {
    folder: PathBuf,
}

impl Output {
    /// Makes the folder if it is missing.
    pub fn open(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .map_err(|e| Problem::new(format!("cannot make {}", folder.display())).because(e))?;
        Ok(Self { folder: folder.to_owned() })
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Writes a small file at once.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<Artifact> {
        let path = self.path(name);
        let failed = |e: std::io::Error| Problem::new(format!("cannot write {}", path.display())).because(e);
        let mut file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
            .tempfile_in(&self.folder)
            .map_err(failed)?;
        file.write_all(bytes).map_err(failed)?;
        file.persist(&path).map_err(|e| failed(e.error))?;
        Ok(Artifact { name: name.to_owned(), bytes: bytes.len() as u64, sha256: Digest::of(bytes) })
    }

    /// A file that `write` writes to its path; it gives length and digest.
    pub fn artifact<E: std::error::Error + Send + Sync + 'static>(
        &self,
        name: &str,
        write: impl FnOnce(&Path) -> std::result::Result<(u64, Digest), E>,
    ) -> Result<Artifact> {
        let path = self.path(name);
        let (bytes, sha256) =
            write(&path).map_err(|e| Problem::new(format!("cannot write {}", path.display())).because(e))?;
        Ok(Artifact { name: name.to_owned(), bytes, sha256 })
    }

    /// Tells the run's faces about an artifact.
    pub fn announce(&self, run: &Run, artifact: &Artifact) {
        run.send(Event::Artifact {
            path: self.path(&artifact.name),
            bytes: artifact.bytes,
            sha256: artifact.sha256,
        });
    }
}
