//! Everything that the store does to its disk, so that a test can say what is left of it after a power cut.

use std::fs::{self, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::NamedTempFile;

pub(super) fn create(folder: &Path) -> io::Result<NamedTempFile> {
    let file = NamedTempFile::new_in(folder)?;
    #[cfg(test)]
    note(|| Op::Create(file.path().to_owned()));
    Ok(file)
}

pub(super) fn write(file: &mut NamedTempFile, bytes: &[u8]) -> io::Result<usize> {
    let n = file.write(bytes)?;
    #[cfg(test)]
    note(|| Op::Write(file.path().to_owned(), bytes[..n].to_vec()));
    Ok(n)
}

/// Waits until the file's bytes are on the disk.
pub(super) fn sync(file: &NamedTempFile) -> io::Result<()> {
    file.as_file().sync_all()?;
    #[cfg(test)]
    note(|| Op::Sync(file.path().to_owned()));
    Ok(())
}

/// No one writes to it any more.
pub(super) fn protect(file: &NamedTempFile) -> io::Result<()> {
    file.as_file().set_permissions(Permissions::from_mode(0o444))
}

/// Puts the file in its place.
pub(super) fn place(file: NamedTempFile, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    let from = file.path().to_owned();
    file.persist(to).map_err(|e| e.error)?;
    #[cfg(test)]
    note(|| Op::Rename(from, to.to_owned()));
    Ok(())
}

/// Waits until the names in the folder of `file` are on the disk.
pub(super) fn sync_names(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    File::open(folder)?.sync_all()?;
    #[cfg(test)]
    note(|| Op::SyncNames(folder.to_owned()));
    Ok(())
}

pub(super) fn rename(from: &Path, to: &Path) -> io::Result<()> {
    fs::rename(from, to)?;
    #[cfg(test)]
    note(|| Op::Rename(from.to_owned(), to.to_owned()));
    Ok(())
}

pub(super) fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path)?;
    #[cfg(test)]
    note(|| Op::Remove(path.to_owned()));
    Ok(())
}

/// Another process may have taken it away first.
pub(super) fn absent_is_fine(result: io::Result<()>) -> io::Result<()> {
    result.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
}

#[cfg(test)]
use power_cut::{Op, note};

#[cfg(test)]
#[path = "power_cut.rs"]
mod power_cut;
