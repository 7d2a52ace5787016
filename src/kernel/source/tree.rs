//! The files that a build on the host leaves, as a tree in the store; and the room that a build takes.

use crate::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use crate::store::Store;
use crate::words::size;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

/// Free bytes without which no build begins: the source takes 1.2 GB, the objects of a large configuration
/// more than that (docs/kernel.md).
pub(super) const BUILD: u64 = 4 << 30;
/// The same where a configuration is set up, by a small part of the source.
pub(super) const SOURCE: u64 = 256 << 20;

/// Reads a folder into the store; owners are left out.
pub(super) fn of_folder(store: &Store, folder: &Path) -> Result<Tree> {
    let failed = |e: io::Error, path: &Path| {
        Problem::new("a file of the compiled kernel cannot be kept").in_file(path).because(e)
    };
    let mut tree = Tree::new();
    for entry in walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name() {
        let entry = entry.map_err(|e| failed(e.into(), folder))?;
        let path = entry.path();
        let meta = entry.metadata().map_err(|e| failed(e.into(), path))?;
        let kind = if meta.is_dir() {
            Kind::Directory
        } else if meta.is_symlink() {
            let target = std::fs::read_link(path).map_err(|e| failed(e, path))?;
            Kind::Symlink(target.as_os_str().as_bytes().into())
        } else {
            let mut file = File::open(path).map_err(|e| failed(e, path))?;
            let full = |e: crate::store::Error| Problem::new("the store cannot be used").because(e);
            let mut blob = store.writer().map_err(full)?;
            io::copy(&mut file, &mut blob).map_err(|e| failed(e, path))?;
            let (digest, len) = blob.commit().map_err(full)?;
            Kind::File(Content::Blob { digest, offset: 0, len })
        };
        let name = path.strip_prefix(folder).unwrap_or(path).as_os_str().as_bytes();
        let name = TreePath::new(name).map_err(|e| Problem::new(e.to_string()))?;
        tree.insert(name, Node::new(kind, meta.permissions().mode() & 0o7777, meta.mtime()));
    }
    Ok(tree)
}

/// Refuses to begin what would fill the disk.
pub(super) fn check_room(folder: &Path, room: u64) -> Result<()> {
    let stat = rustix::fs::statvfs(folder).map_err(|e| {
        Problem::new("the room on the disk cannot be told").in_file(folder).because(io::Error::from(e))
    })?;
    let free = stat.f_bavail * stat.f_frsize;
    if free >= room {
        return Ok(());
    }
    let what = if room >= BUILD { "compiling" } else { "configuring" };
    Err(Problem::new(format!("{what} a kernel takes {} of disk, and {} are free", size(room), size(free)))
        .in_file(folder)
        .remedy("free some: `hookos cache prune`; or put the store elsewhere with HOOKOS_CACHE"))
}
