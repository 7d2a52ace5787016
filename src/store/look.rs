//! What a blob's file looked like when its digest was checked, kept for other processes: an image of 150 MB is not
//! read once more for each site. A file that looks the same is taken to be the same, as in git's index: whoever
//! writes to it changes the time of its last change. Damage that no one wrote is found after a week, and by
//! [`Store::verify_all`], which trusts nothing.

use super::{Digest, Store};
use std::fmt;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Smaller ones are read faster than looked up.
const LARGE: u64 = 1 << 20;
/// For how long a check counts.
const TRUSTED: Duration = Duration::from_secs(7 * 24 * 3600);
/// A file that was changed just now may be changed again within the same tick of the file system's clock.
const SETTLED: Duration = Duration::from_secs(2);

/// Enough of a file's metadata to notice that it is another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Look {
    inode: u64,
    size: u64,
    changed: (i64, i64),
    modified: (i64, i64),
}

impl Look {
    pub(super) fn of(file: &File) -> io::Result<Self> {
        let meta = file.metadata()?;
        Ok(Self {
            inode: meta.ino(),
            size: meta.size(),
            changed: (meta.ctime(), meta.ctime_nsec()),
            modified: (meta.mtime(), meta.mtime_nsec()),
        })
    }

    /// How long ago the file was changed; none if that is in the future.
    fn age(&self) -> Option<Duration> {
        let changed = Duration::new(u64::try_from(self.changed.0).ok()?, u32::try_from(self.changed.1).ok()?);
        SystemTime::now().duration_since(UNIX_EPOCH + changed).ok()
    }
}

impl fmt::Display for Look {
    /// The end shows that nothing is missing.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inode, size, changed, modified } = self;
        writeln!(f, "{inode} {size} {}.{} {}.{} end", changed.0, changed.1, modified.0, modified.1)
    }
}

impl Store {
    fn look_file(&self, digest: &Digest) -> PathBuf {
        self.root().join("checked").join(digest.hex())
    }

    /// Whether this or another process has checked the blob, not long ago, when its file looked like this.
    pub(super) fn was_checked(&self, digest: &Digest, look: &Look) -> bool {
        if look.size < LARGE {
            return false;
        }
        let path = self.look_file(digest);
        let Ok(at) = path.metadata().and_then(|meta| meta.modified()) else { return false };
        let recent = SystemTime::now().duration_since(at).is_ok_and(|age| age < TRUSTED);
        recent && fs::read_to_string(path).is_ok_and(|text| text == look.to_string())
    }

    /// Without it, the next process reads the blob: no failure is worth telling of.
    pub(super) fn keep_look(&self, digest: &Digest, look: &Look) {
        if look.size < LARGE || look.age().is_none_or(|age| age < SETTLED) {
            return;
        }
        let keep = || -> io::Result<()> {
            let file = tempfile::NamedTempFile::new_in(self.tmp())?;
            fs::write(file.path(), look.to_string())?;
            file.persist(self.look_file(digest))?;
            Ok(())
        };
        let _ = keep();
    }

    pub(super) fn forget_look(&self, digest: &Digest) {
        let _ = fs::remove_file(self.look_file(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::*;
    use std::fs::Permissions;
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

    fn reopened(folder: &std::path::Path) -> Store {
        Store::open(folder).unwrap()
    }

    #[test]
    fn a_large_blob_is_read_once_and_again_when_it_was_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let store = reopened(folder.path());
        let digest = store.put(&vec![7; LARGE as usize]).unwrap();
        store.open_blob(&digest).unwrap();
        assert!(!store.look_file(&digest).exists(), "it was written just now");
        std::thread::sleep(SETTLED);
        reopened(folder.path()).open_blob(&digest).unwrap();
        assert!(store.look_file(&digest).exists());
        let look = Look::of(&File::open(store.path(&digest)).unwrap()).unwrap();
        assert!(reopened(folder.path()).was_checked(&digest, &look));

        // Half a record is none.
        let whole = fs::read_to_string(store.look_file(&digest)).unwrap();
        fs::write(store.look_file(&digest), &whole[..whole.len() - 5]).unwrap();
        assert!(!store.was_checked(&digest, &look));
        fs::write(store.look_file(&digest), &whole).unwrap();
        // An old one too.
        let old = SystemTime::now() - TRUSTED - Duration::from_secs(60);
        File::options().write(true).open(store.look_file(&digest)).unwrap().set_modified(old).unwrap();
        assert!(!store.was_checked(&digest, &look));
        fs::write(store.look_file(&digest), &whole).unwrap();

        fs::set_permissions(store.path(&digest), Permissions::from_mode(0o600)).unwrap();
        File::options().write(true).open(store.path(&digest)).unwrap().write_all_at(b"x", 99).unwrap();
        assert!(matches!(reopened(folder.path()).open_blob(&digest), Err(Error::Damaged { .. })));
        assert!(!store.look_file(&digest).exists());
    }
}
