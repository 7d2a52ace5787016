//! What a build leaves in `out/<profile>`: written whole or not at all.
//!
//! Nothing here waits for the disk, as `cp` does not: all of it can be made again from the store, which does.

use super::event::Event;
use super::image::names_of_files;
use super::run::Run;
use crate::initramfs::join::Head;
use crate::problem::{Problem, Result};
use crate::replace;
use crate::store::{Digest, Store};
use std::fs;
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
        replace::write(&path, 0o644, bytes).map_err(failed)?;
        Ok(Artifact { name: name.to_owned(), bytes: bytes.len() as u64, sha256: Digest::of(bytes) })
    }

    /// Removes what an earlier image left here and this one does not have: it would seem to belong to this one.
    pub fn remove_others(&self, artifacts: &[Artifact]) -> Result<()> {
        let others = names_of_files();
        let others = others.iter().filter(|name| artifacts.iter().all(|artifact| artifact.name != **name));
        for name in others {
            let path = self.path(name);
            match fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Problem::new("a file of an earlier image cannot be removed")
                        .in_file(path)
                        .because(e));
                }
                _ => {}
            }
        }
        Ok(())
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

    /// The file `other`, which has these bytes, under a name here too; none where the file system cannot do that.
    /// Nothing of ours writes into a file that is there, so a link is as good as a copy.
    pub fn link(&self, other: &Path, name: &str, bytes: &Head) -> Option<Artifact> {
        let folder = tempfile::Builder::new().prefix(".new-").tempdir_in(&self.folder).ok()?;
        let new = folder.path().join(name);
        fs::hard_link(other, &new).and_then(|()| fs::rename(&new, self.path(name))).ok()?;
        Some(Artifact { name: name.to_owned(), bytes: bytes.bytes, sha256: bytes.blob })
    }

    /// Free bytes of the file system here, for this user.
    pub fn room(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.folder)
            .map_err(|e| Problem::new("the free space is not known").in_file(&self.folder).because(e))?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Whether a copy of a blob takes no room here.
    pub fn copies_by_reference(&self, store: &Store, blob: &Digest) -> bool {
        let Ok(from) = store.open_blob(blob) else { return false };
        tempfile::tempfile_in(&self.folder).is_ok_and(|to| rustix::fs::ioctl_ficlone(to, from).is_ok())
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
