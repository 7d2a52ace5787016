//! What a blob's file looked like when its digest was checked, kept for other processes: an image of 150 MB is not
//! read once more for each site. A file that looks the same is taken to be the same, as in git's index: whoever
//! writes to it changes the time of its last change. Damage that no one wrote is found after a week, and by
//! [`Store::verify_all`], which trusts nothing.
//!
//! The record says when the blob was read; its file's time of modification is when the blob was last used, since
//! the blob's own cannot be set without changing its look.

use super::{Digest, Store, disk};
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Smaller ones are read faster than looked up.
pub(super) const LARGE: u64 = 1 << 20;
pub(super) const DAY: Duration = Duration::from_secs(24 * 3600);
/// For how long a check counts.
const TRUSTED: Duration = DAY.saturating_mul(7);
/// A file that was changed just now may be changed again within the same tick of the file system's clock.
pub(super) const SETTLED: Duration = Duration::from_secs(2);

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

    pub(super) fn inode(&self) -> u64 {
        self.inode
    }

    /// Whether a change of the file from now on shows in its look.
    pub(super) fn is_settled(&self) -> bool {
        let (Ok(seconds), Ok(nanos)) = (u64::try_from(self.changed.0), u32::try_from(self.changed.1)) else {
            return false;
        };
        let changed = UNIX_EPOCH + Duration::new(seconds, nanos);
        SystemTime::now().duration_since(changed).is_ok_and(|age| age >= SETTLED)
    }

    /// The end shows that nothing is missing. `read` is in seconds since 1970.
    fn record(&self, read: u64) -> String {
        format!("{self} read {read} end\n")
    }

    /// When the blob was read, if the record is of this look.
    fn read_at(&self, record: &str) -> Option<SystemTime> {
        let read = record.strip_suffix(" end\n")?.rsplit_once(' ')?.1.parse().ok()?;
        (record == self.record(read)).then_some(())?;
        UNIX_EPOCH.checked_add(Duration::from_secs(read))
    }
}

impl fmt::Display for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { inode, size, changed, modified } = self;
        write!(f, "{inode} {size} {}.{} {}.{}", changed.0, changed.1, modified.0, modified.1)
    }
}

fn look_file(root: &Path, digest: &Digest) -> PathBuf {
    root.join("checked").join(digest.hex())
}

/// When a large blob of the store at `root` was last used, as far as its record tells.
pub(super) fn last_looked_at(root: &Path, digest: &Digest) -> Option<SystemTime> {
    look_file(root, digest).metadata().ok()?.modified().ok()
}

/// For [`Store::prune`]: a file's time of modification is when it was last used, to the day. Another owner's file
/// keeps its time.
pub(super) fn mark_used(file: &File) {
    if file.metadata().and_then(|meta| meta.modified()).is_ok_and(|at| is_past(at, DAY)) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// Whether a time is so long ago; one in the future is not.
fn is_past(at: SystemTime, age: Duration) -> bool {
    SystemTime::now().duration_since(at).is_ok_and(|passed| passed > age)
}

impl Store {
    fn look_file(&self, digest: &Digest) -> PathBuf {
        look_file(self.root(), digest)
    }

    /// Whether this or another process has read the blob, not long ago, when its file looked like this.
    pub(super) fn was_checked(&self, digest: &Digest, look: &Look) -> bool {
        if look.size < LARGE {
            return false;
        }
        let known = || -> Option<bool> {
            let mut file = File::open(self.look_file(digest)).ok()?;
            let mut record = String::new();
            file.read_to_string(&mut record).ok()?;
            let read = look.read_at(&record)?;
            mark_used(&file);
            Some(SystemTime::now().duration_since(read).is_ok_and(|age| age < TRUSTED))
        };
        known().unwrap_or(false)
    }

    /// Without it, the next process reads the blob: no failure is worth telling of. Nor is it synced: what a power
    /// cut leaves of it is no record of any file.
    pub(super) fn keep_look(&self, digest: &Digest, look: &Look) {
        if look.size < LARGE {
            return;
        }
        let keep = || -> Option<()> {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_secs();
            let file = self.small(&look.record(now)).ok()?;
            disk::place(file, &self.look_file(digest)).ok()
        };
        let _ = keep();
    }

    pub(super) fn forget_look(&self, digest: &Digest) {
        let _ = disk::remove(&self.look_file(digest));
    }
}

#[cfg(test)]
mod tests {
    use super::super::Error;
    use super::*;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

    fn reopened(folder: &Path) -> Store {
        Store::open(folder).unwrap()
    }

    fn set_modified(path: &Path, ago: Duration) {
        File::open(path).unwrap().set_modified(SystemTime::now() - ago).unwrap();
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
        for len in 0..whole.len() {
            fs::write(store.look_file(&digest), &whole[..len]).unwrap();
            assert!(!store.was_checked(&digest, &look), "{len} bytes of {whole:?}");
        }
        fs::write(store.look_file(&digest), vec![0; whole.len()]).unwrap();
        assert!(!store.was_checked(&digest, &look));
        // An old one too, and one of tomorrow.
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        for read in [now - TRUSTED.as_secs() - 60, now + DAY.as_secs()] {
            fs::write(store.look_file(&digest), look.record(read)).unwrap();
            assert!(!store.was_checked(&digest, &look));
        }
        fs::write(store.look_file(&digest), &whole).unwrap();
        assert!(store.was_checked(&digest, &look));

        fs::set_permissions(store.path(&digest), Permissions::from_mode(0o600)).unwrap();
        File::options().write(true).open(store.path(&digest)).unwrap().write_all_at(b"x", 99).unwrap();
        assert!(matches!(reopened(folder.path()).open_blob(&digest), Err(Error::Damaged { .. })));
        assert!(!store.look_file(&digest).exists());
    }

    #[test]
    fn a_large_blob_that_is_used_is_not_pruned_though_it_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let store = reopened(folder.path());
        let [used, unused] = [1, 2].map(|byte| store.put(&vec![byte; LARGE as usize]).unwrap());
        for digest in [used, unused] {
            set_modified(&store.path(&digest), 5 * DAY);
        }
        let now = UNIX_EPOCH.elapsed().unwrap().as_secs();
        for digest in [used, unused] {
            let look = Look::of(&File::open(store.path(&digest)).unwrap()).unwrap();
            fs::write(store.look_file(&digest), look.record(now - 3 * DAY.as_secs())).unwrap();
            set_modified(&store.look_file(&digest), 3 * DAY);
        }
        reopened(folder.path()).open_blob(&used).unwrap();
        assert!(is_past(store.path(&used).metadata().unwrap().modified().unwrap(), 4 * DAY), "it was read");
        assert_eq!(store.prune(2 * DAY).unwrap().blobs, 1);
        let store = reopened(folder.path());
        assert!(store.has(&used) && store.look_file(&used).exists());
        assert!(!store.has(&unused) && !store.look_file(&unused).exists());
    }
}
