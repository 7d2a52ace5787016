//! Looking after the store: what it holds, whether it is sound, what may go.

use super::{Digest, Error, Store, Work, disk, look};
use crate::progress::{Progress, Unit};
use std::collections::HashSet;
use std::fs::{self, DirEntry, File};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// What the store holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Contents {
    pub blobs: u64,
    /// Bytes of all blobs.
    pub bytes: u64,
    /// Results of work that are remembered.
    pub work: u64,
}

/// What a check of every blob found.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Checked {
    pub blobs: u64,
    /// Taken out of the store.
    pub damaged: Vec<Digest>,
    /// Results of work whose blob is gone.
    pub dangling: u64,
}

/// What pruning removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Pruned {
    pub blobs: u64,
    pub bytes: u64,
    pub work: u64,
}

impl Store {
    /// Counts what the store holds.
    pub fn contents(&self) -> Result<Contents, Error> {
        let mut out = Contents { work: folder(self.root(), "work")?.len() as u64, ..Contents::default() };
        for entry in folder(self.root(), "blobs/sha256")? {
            out.blobs += 1;
            out.bytes += entry.metadata().map_or(0, |meta| meta.len());
        }
        Ok(out)
    }

    /// Reads every blob and compares it with its name; what is damaged is taken out. Stops early when it is told
    /// to, with what it has found until then.
    pub fn verify_all(&self, progress: &dyn Progress) -> Result<Checked, Error> {
        let entries = folder(self.root(), "blobs/sha256")?;
        let total: u64 = entries.iter().filter_map(|e| e.metadata().ok()).map(|m| m.len()).sum();
        let (next, done) = (AtomicUsize::new(0), AtomicU64::new(0));
        let damaged: Mutex<Vec<Digest>> = Mutex::default();
        let check = || -> Result<(), Error> {
            while let Some(entry) = entries.get(next.fetch_add(1, Ordering::Relaxed)) {
                if progress.cancelled() {
                    break;
                }
                let (bytes, bad) = self.verify_one(entry)?;
                damaged.lock().unwrap_or_else(PoisonError::into_inner).extend(bad);
                progress.at(done.fetch_add(bytes, Ordering::Relaxed) + bytes, total, Unit::Bytes);
            }
            Ok(())
        };
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..cores).map(|_| scope.spawn(check)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
        })?;
        let mut damaged = damaged.into_inner().unwrap_or_else(PoisonError::into_inner);
        damaged.sort();
        let mut out = Checked { blobs: entries.len() as u64, damaged, dangling: 0 };
        out.dangling = self.drop_dangling()?;
        Ok(out)
    }

    /// Reads one blob; gives its bytes, and its name if it is damaged.
    fn verify_one(&self, entry: &DirEntry) -> Result<(u64, Option<Digest>), Error> {
        let (path, name) = (entry.path(), entry.file_name());
        let io = |source| Error::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            // A build found that it was damaged, meanwhile.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, None)),
            Err(source) => return Err(io(source)),
        };
        let (found, bytes) = Digest::of_reader(&file).map_err(io)?;
        let named: Option<Digest> = name.to_str().and_then(|name| name.parse().ok());
        if named == Some(found) {
            return Ok((bytes, None));
        }
        self.take_out(&path, &file)?;
        named.inspect(|named| self.forget_look(named));
        Ok((bytes, Some(named.unwrap_or(found))))
    }

    /// Forgets results of work whose blob is gone.
    fn drop_dangling(&self) -> Result<u64, Error> {
        let mut gone = 0;
        for entry in folder(self.root(), "work")? {
            let path = entry.path();
            if read_work(&entry).is_none_or(|work| !work.blobs().all(|digest| self.has(digest))) {
                disk::absent_is_fine(disk::remove(&path)).map_err(|source| Error::Io { path, source })?;
                gone += 1;
            }
        }
        Ok(gone)
    }

    /// Removes blobs that no build has used for `unused`, and the results of work that named them. A blob is used
    /// when it is read, and when a result is taken that names it: nothing may read the layers of an image whose
    /// segments are there, and yet they are needed once something beside them changes. Refused while a build has
    /// the store open.
    pub fn prune(self, unused: Duration) -> Result<Pruned, Error> {
        let root = self.root().to_owned();
        let path = root.join("locks/in-use");
        // This process's own shared lock has to go first.
        drop(self);
        let exclusive = File::create(&path).map_err(|source| Error::Io { path, source })?;
        if exclusive.try_lock().is_err() {
            return Err(Error::Busy(root));
        }
        let is_used = |at: SystemTime| SystemTime::now().duration_since(at).unwrap_or_default() < unused;
        let modified = |entry: &DirEntry| entry.metadata().and_then(|meta| meta.modified());
        let mut named: HashSet<Digest> = HashSet::new();
        for entry in folder(&root, "work")? {
            if modified(&entry).is_ok_and(is_used)
                && let Some(work) = read_work(&entry)
            {
                named.extend(work.blobs());
            }
        }
        let mut out = Pruned::default();
        for entry in folder(&root, "blobs/sha256")? {
            let path = entry.path();
            let Ok(meta) = entry.metadata() else { continue };
            let digest: Option<Digest> = entry.file_name().to_str().and_then(|name| name.parse().ok());
            let looked_at = digest.and_then(|digest| look::last_looked_at(&root, &digest));
            let used = meta.modified().ok().max(looked_at).is_some_and(is_used);
            if !used && digest.is_none_or(|digest| !named.contains(&digest)) {
                disk::remove(&path).map_err(|source| Error::Io { path, source })?;
                out.blobs += 1;
                out.bytes += meta.len();
            }
        }
        drop(exclusive);
        let store = Store::open(root)?;
        for entry in folder(store.root(), "checked")? {
            let digest = entry.file_name().to_str().and_then(|name| name.parse().ok());
            if digest.is_none_or(|digest| !store.has(&digest)) {
                let path = entry.path();
                disk::absent_is_fine(disk::remove(&path)).map_err(|source| Error::Io { path, source })?;
            }
        }
        out.work = store.drop_dangling()?;
        Ok(out)
    }
}

fn folder(root: &Path, name: &str) -> Result<Vec<DirEntry>, Error> {
    let path = root.join(name);
    let entries = fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>);
    entries.map_err(|source| Error::Io { path, source })
}

fn read_work(entry: &DirEntry) -> Option<Work> {
    Work::read(&fs::read_to_string(entry.path()).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_flipped_bit_is_found_and_taken_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let digest = store.put(b"some bytes").unwrap();
        let key = super::super::KeyMaker::new("t").finish();
        store.set_work(&key, &digest).unwrap();
        assert_eq!(store.work(&key), Some(digest));
        let path = store.path(&digest);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::write(&path, b"some bytez").unwrap();
        let again = Store::open(folder.path()).unwrap();
        assert!(matches!(again.read(&digest), Err(Error::Damaged { .. })));
        assert!(!again.has(&digest));
        assert_eq!(again.work(&key), None, "the work is done again");
        assert_eq!(again.put(b"some bytes").unwrap(), digest);
        assert_eq!(again.verify_all(&Silent).unwrap().damaged, []);
    }

    #[test]
    fn pruning_waits_for_no_build_and_removes_the_unused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        store.put(b"x").unwrap();
        let other = Store::open(folder.path()).unwrap();
        assert!(matches!(store.prune(Duration::ZERO), Err(Error::Busy(_))));
        let pruned = other.prune(Duration::ZERO).unwrap();
        assert_eq!((pruned.blobs, pruned.bytes), (1, 1));
    }

    #[test]
    fn a_blob_that_was_made_anew_stays_when_a_second_reader_finds_the_old_one_damaged() {
        let folder = tempfile::tempdir().unwrap();
        let [store, other] = [0, 1].map(|_| Store::open(folder.path()).unwrap());
        let digest = store.put(b"some bytes").unwrap();
        let path = store.path(&digest);
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"some bytez").unwrap();
        let opened = File::open(&path).unwrap();
        assert!(matches!(other.read(&digest), Err(Error::Damaged { .. })));
        store.take_out(&path, &opened).unwrap();
        other.put(b"some bytes").unwrap();
        store.take_out(&path, &opened).unwrap();
        assert_eq!(store.read(&digest).unwrap(), b"some bytes");
    }

    #[test]
    fn what_a_result_names_stays_while_the_result_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let old = |path: &Path| {
            File::open(path).unwrap().set_modified(SystemTime::now() - 9 * look::DAY).unwrap();
        };
        let keys = ["taken", "not taken"].map(|n| super::super::KeyMaker::new("t").add("n", n).finish());
        for (n, key) in (0u8..).zip(&keys) {
            let blobs = [0, 1].map(|part| store.put(&[n, part]).unwrap());
            store.set_work_with(key, &blobs[0], &blobs[1..]).unwrap();
            blobs.iter().for_each(|blob| old(&store.path(blob)));
            old(&store.root().join("work").join(key.hex()));
        }
        store.work(&keys[0]).unwrap();
        let pruned = store.prune(2 * look::DAY).unwrap();
        assert_eq!((pruned.blobs, pruned.work), (2, 1));
        let store = Store::open(folder.path()).unwrap();
        assert!(store.work(&keys[0]).is_some() && store.work(&keys[1]).is_none());
        assert_eq!(store.prune(Duration::ZERO).unwrap().blobs, 2, "0 days leave nothing");
    }
}
