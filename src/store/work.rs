//! Results of work: which blobs a piece of work made, here or in a cache that builders share.

use super::{Digest, Error, Key, Store, look};
use std::collections::BTreeSet;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::sync::{Mutex, OnceLock, PoisonError};

/// The first line of a result's file: a store of an older version has results that do not name their parts.
const FORMAT: &str = "work 2";

/// The result of a piece of work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The blob that the work made: a record, for most.
    pub result: Digest,
    /// Blobs that the record names, and without which it is worth nothing.
    pub parts: Vec<Digest>,
}

impl Work {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut lines = text.strip_prefix(FORMAT)?.trim_start().lines().map(|line| line.trim().parse());
        let result = lines.next()?.ok()?;
        Some(Self { result, parts: lines.collect::<Result<_, _>>().ok()? })
    }

    /// Its blobs.
    pub fn blobs(&self) -> impl Iterator<Item = &Digest> {
        std::iter::once(&self.result).chain(&self.parts)
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FORMAT}")?;
        self.blobs().try_for_each(|digest| writeln!(f, "{digest}"))
    }
}

/// Another place that has results of work.
pub trait Upstream: Send + Sync {
    /// Brings a result with all its blobs into the store. None where the place has it not, or fails: then
    /// the work is done here.
    fn fetch(&self, store: &Store, key: &Key) -> Option<Work>;
}

#[derive(Default)]
pub(super) struct Used {
    keys: Mutex<BTreeSet<Key>>,
    upstream: OnceLock<Box<dyn Upstream>>,
}

impl fmt::Debug for Used {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Used")
    }
}

impl Store {
    /// Where results are looked for that are not here. The first call decides.
    pub fn set_upstream(&self, upstream: Box<dyn Upstream>) {
        // A second one would make results depend on who asked first.
        let _ = self.shared.used.upstream.set(upstream);
    }

    /// What a piece of work made, if it was done and its blobs are still there.
    pub fn work(&self, key: &Key) -> Option<Digest> {
        let known = self.work_here(key);
        let known = known.or_else(|| {
            let upstream = self.shared.used.upstream.get().filter(|_| !key.is_local())?;
            let work = upstream.fetch(self, key)?;
            self.write_small(&self.root().join("work").join(key.hex()), &work.to_string()).ok()?;
            self.work_here(key)
        })?;
        self.note(key);
        Some(known.result)
    }

    /// As [`Store::work`], with the parts, and without asking elsewhere.
    pub fn work_here(&self, key: &Key) -> Option<Work> {
        let mut file = File::open(self.root().join("work").join(key.hex())).ok()?;
        let mut text = String::new();
        file.read_to_string(&mut text).ok()?;
        let work = Work::read(&text).filter(|work| work.blobs().all(|digest| self.has(digest)))?;
        look::mark_used(&file);
        Some(work)
    }

    /// Records that the piece of work `key` made `result`.
    pub fn set_work(&self, key: &Key, result: &Digest) -> Result<(), Error> {
        self.set_work_with(key, result, &[])
    }

    /// Records that the piece of work `key` made `result`, which names `parts`.
    pub fn set_work_with(&self, key: &Key, result: &Digest, parts: &[Digest]) -> Result<(), Error> {
        let work = Work { result: *result, parts: parts.to_vec() };
        self.write_small(&self.root().join("work").join(key.hex()), &work.to_string())?;
        self.note(key);
        Ok(())
    }

    fn note(&self, key: &Key) {
        if !key.is_local() {
            self.shared.used.keys.lock().unwrap_or_else(PoisonError::into_inner).insert(*key);
        }
    }

    /// Every piece of work whose result this open store gave or took, but for those that are worth
    /// nothing elsewhere.
    pub fn used(&self) -> Vec<Key> {
        self.shared.used.keys.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::KeyMaker;
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        (folder, store)
    }

    #[test]
    fn work_is_worth_nothing_without_its_parts() {
        let (_folder, store) = store();
        let (record, part) = (store.put(b"record").unwrap(), store.put(b"part").unwrap());
        let key = KeyMaker::new("t").finish();
        store.set_work_with(&key, &record, &[part]).unwrap();
        assert_eq!(store.work(&key), Some(record));
        assert_eq!(store.used(), [key]);
        std::fs::remove_file(store.path(&part)).unwrap();
        assert_eq!(store.work(&key), None);
    }

    #[test]
    fn work_comes_from_upstream_once_and_local_work_never() {
        struct Place(std::sync::Arc<Mutex<u32>>);
        impl Upstream for Place {
            fn fetch(&self, store: &Store, _: &Key) -> Option<Work> {
                *self.0.lock().unwrap() += 1;
                Some(Work { result: store.put(b"from afar").ok()?, parts: Vec::new() })
            }
        }
        let (_folder, store) = store();
        let asked = std::sync::Arc::new(Mutex::new(0));
        store.set_upstream(Box::new(Place(asked.clone())));
        let key = KeyMaker::new("t").finish();
        let local = KeyMaker::new("t").local().finish();
        assert_eq!(store.work(&local), None);
        assert_eq!(store.work(&key), Some(Digest::of(b"from afar")));
        assert_eq!(store.work(&key), Some(Digest::of(b"from afar")));
        assert_eq!(*asked.lock().unwrap(), 1);
        assert_eq!(store.used(), [key]);
    }
}
