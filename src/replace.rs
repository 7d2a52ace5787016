//! Files that are there whole or not at all: written beside their place, then moved there.
//!
//! The store's own writes are in `store/disk.rs`, where every operation can be traced.

use std::fs::{File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A new file for a path. Until it is placed there is the old one; dropped, it leaves nothing.
pub struct Replacement {
    file: tempfile::NamedTempFile,
    to: PathBuf,
}

impl Replacement {
    /// `mode` as for open(2): the umask takes its bits away.
    pub fn of(path: &Path, mode: u32) -> io::Result<Self> {
        let file = tempfile::Builder::new()
            .prefix(".new-")
            .permissions(Permissions::from_mode(mode))
            .tempfile_in(folder(path))?;
        Ok(Self { file, to: path.to_owned() })
    }

    pub fn file(&mut self) -> &mut File {
        self.file.as_file_mut()
    }

    /// Puts it in its place without waiting for the disk: after a power cut it may be empty. For what can be made again.
    pub fn place(self) -> io::Result<()> {
        // A file that takes the name of another is first written to the disk by ext4 (auto_da_alloc in ext4(5));
        // one that changes places with it is not. The old one is then removed under the new one's name.
        let there = self.to.symlink_metadata().is_ok_and(|old| old.is_file());
        if there && exchange(self.file.path(), &self.to).is_ok() {
            return self.file.close();
        }
        self.file.persist(&self.to).map(drop).map_err(|e| e.error)
    }

    /// As [`Replacement::place`]; once it returns, a power cut takes nothing away.
    pub fn place_durably(self) -> io::Result<()> {
        self.file.as_file().sync_all()?;
        let folder = File::open(folder(&self.to))?;
        self.place()?;
        folder.sync_all()
    }
}

/// Replaces a file that can be made again.
pub fn write(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut new = Replacement::of(path, mode)?;
    new.file().write_all(bytes)?;
    new.place()
}

/// Replaces a file that must outlive a power cut.
pub fn write_durably(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let mut new = Replacement::of(path, mode)?;
    new.file().write_all(bytes)?;
    new.place_durably()
}

/// Not every file system can.
fn exchange(one: &Path, other: &Path) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(rustix::fs::CWD, one, rustix::fs::CWD, other, rustix::fs::RenameFlags::EXCHANGE)
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        write(&path, 0o644, b"old").unwrap();
        let mut new = Replacement::of(&path, 0o600).unwrap();
        new.file().write_all(b"half").unwrap();
        drop(new);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_durably(&path, 0o600, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

        // What is no file is not moved out of the way.
        let taken = folder.path().join("folder");
        fs::create_dir_all(taken.join("x")).unwrap();
        assert!(write(&taken, 0o644, b"new").is_err());
        assert!(taken.join("x").is_dir());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
