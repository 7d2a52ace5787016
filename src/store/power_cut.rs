//! The store after a power cut at any moment.
//!
//! A disk keeps what was synced. Of the rest it may keep all, nothing, or names without their bytes: each of
//! these is made for each moment of a session, and the store is opened on it.

use super::super::{Digest, Error, Key, KeyMaker, Store};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What was done to the disk.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Create(PathBuf),
    Write(PathBuf, Vec<u8>),
    Sync(PathBuf),
    Rename(PathBuf, PathBuf),
    SyncNames(PathBuf),
    Remove(PathBuf),
    /// From here on the session counts on this.
    Promise(Promise),
}

#[derive(Debug, Clone)]
pub(super) enum Promise {
    Blob(Vec<u8>),
    Work(Key, Vec<u8>, Vec<Vec<u8>>),
    Name(String, Vec<u8>),
    /// Everything may go.
    Nothing,
}

thread_local! {
    static SESSION: RefCell<Option<Vec<Op>>> = const { RefCell::new(None) };
}

pub(super) fn note(op: impl FnOnce() -> Op) {
    SESSION.with_borrow_mut(|session| {
        if let Some(session) = session {
            session.push(op());
        }
    });
}

/// What the disk keeps of what was not synced.
#[derive(Debug, Clone, Copy)]
enum Left {
    Nothing,
    All,
    /// New names are there, their files are empty.
    Names,
    /// New names are there, their files have half of their bytes.
    Half,
    /// New names are there, their files have NULs.
    Nuls,
}

const LEFT: [Left; 5] = [Left::Nothing, Left::All, Left::Names, Left::Half, Left::Nuls];

#[derive(Debug, Default, Clone)]
struct Inode {
    bytes: Vec<u8>,
    /// As of the last sync.
    safe: Option<Vec<u8>>,
}

/// A disk with what is only in memory.
#[derive(Debug, Default)]
struct Disk {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    safe_names: BTreeMap<PathBuf, usize>,
}

impl Disk {
    fn apply(&mut self, op: &Op) {
        match op {
            Op::Create(path) => {
                self.inodes.push(Inode::default());
                self.names.insert(path.clone(), self.inodes.len() - 1);
            }
            Op::Write(path, bytes) => self.inodes[self.names[path]].bytes.extend(bytes),
            Op::Sync(path) => {
                let inode = &mut self.inodes[self.names[path]];
                inode.safe = Some(inode.bytes.clone());
            }
            Op::Rename(from, to) => {
                let inode = self.names.remove(from).unwrap();
                self.names.insert(to.clone(), inode);
            }
            Op::SyncNames(folder) => {
                let inside = |path: &Path| path.parent() == Some(folder);
                self.safe_names.retain(|path, _| !inside(path));
                let now = self.names.iter().filter(|(path, _)| inside(path));
                self.safe_names.extend(now.map(|(path, inode)| (path.clone(), *inode)));
            }
            Op::Remove(path) => drop(self.names.remove(path)),
            Op::Promise(_) => {}
        }
    }

    /// Writes what is left below `to`, for paths below `root`.
    fn leave(&self, left: Left, root: &Path, to: &Path) {
        let names = if matches!(left, Left::Nothing) { &self.safe_names } else { &self.names };
        for (path, inode) in names {
            let inode = &self.inodes[*inode];
            let unsafe_bytes = || match left {
                Left::Nothing | Left::Names => Vec::new(),
                Left::All => inode.bytes.clone(),
                Left::Half => inode.bytes[..inode.bytes.len() / 2].to_vec(),
                Left::Nuls => vec![0; inode.bytes.len()],
            };
            let path = to.join(path.strip_prefix(root).unwrap());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, inode.safe.clone().unwrap_or_else(unsafe_bytes)).unwrap();
        }
    }
}

/// What a session counts on, at some moment.
#[derive(Default)]
struct Promised {
    blobs: Vec<Vec<u8>>,
    work: Vec<(Key, Vec<u8>, Vec<Vec<u8>>)>,
    names: BTreeMap<String, Vec<u8>>,
}

impl Promised {
    fn take(&mut self, promise: &Promise) {
        match promise {
            Promise::Blob(bytes) => self.blobs.push(bytes.clone()),
            Promise::Work(key, result, parts) => self.work.push((*key, result.clone(), parts.clone())),
            Promise::Name(name, bytes) => drop(self.names.insert(name.clone(), bytes.clone())),
            Promise::Nothing => *self = Self::default(),
        }
    }

    fn hold(&self, store: &Store) {
        for bytes in &self.blobs {
            assert_eq!(&store.read(&Digest::of(bytes)).unwrap(), bytes);
        }
        for (key, result, parts) in &self.work {
            assert_eq!(store.work(key), Some(Digest::of(result)));
            for bytes in parts {
                assert_eq!(&store.read(&Digest::of(bytes)).unwrap(), bytes);
            }
        }
        for (name, bytes) in &self.names {
            assert_eq!(store.named(name), Some(Digest::of(bytes)), "{name}");
        }
    }
}

fn promise(promise: Promise) {
    note(|| Op::Promise(promise));
}

fn contents() -> Vec<Vec<u8>> {
    (0..5u8).map(|n| vec![n + 1; 700 * (usize::from(n) + 1)]).collect()
}

fn keys() -> Vec<Key> {
    (0..3).map(|n| KeyMaker::new("cut").add("n", n.to_string()).finish()).collect()
}

/// What is recorded: blobs, results with parts, a result that changes, names, a blob again, a pruning.
fn session(root: &Path) {
    let store = Store::open(root).unwrap();
    let (contents, keys) = (contents(), keys());
    let put = |bytes: &Vec<u8>| {
        let digest = store.put(bytes).unwrap();
        promise(Promise::Blob(bytes.clone()));
        digest
    };
    let first = put(&contents[0]);
    let second = put(&contents[1]);
    store.set_work_with(&keys[0], &first, &[second]).unwrap();
    promise(Promise::Work(keys[0], contents[0].clone(), vec![contents[1].clone()]));
    store.set_name("a", &first).unwrap();
    promise(Promise::Name("a".to_owned(), contents[0].clone()));
    let third = put(&contents[2]);
    store.set_work(&keys[1], &third).unwrap();
    promise(Promise::Work(keys[1], contents[2].clone(), Vec::new()));
    put(&contents[2]);
    store.set_name("b", &third).unwrap();
    promise(Promise::Name("b".to_owned(), contents[2].clone()));
    let fourth = put(&contents[3]);
    store.set_work_with(&keys[2], &fourth, &[first, third]).unwrap();
    promise(Promise::Work(keys[2], contents[3].clone(), vec![contents[0].clone(), contents[2].clone()]));
    promise(Promise::Nothing);
    store.prune(Duration::ZERO).unwrap();
    let store = Store::open(root).unwrap();
    store.put(&contents[4]).unwrap();
    promise(Promise::Blob(contents[4].clone()));
}

#[test]
fn nothing_that_was_promised_is_lost_in_a_power_cut() {
    let root = tempfile::tempdir().unwrap();
    SESSION.set(Some(Vec::new()));
    session(root.path());
    let ops = SESSION.take().unwrap();
    assert!(ops.len() > 60, "{} operations", ops.len());
    for cut in 0..=ops.len() {
        for left in LEFT {
            let (mut disk, mut promised) = (Disk::default(), Promised::default());
            for op in &ops[..cut] {
                disk.apply(op);
                if let Op::Promise(promise) = op {
                    promised.take(promise);
                }
            }
            let found = tempfile::tempdir().unwrap();
            disk.leave(left, root.path(), found.path());
            let store = Store::open(found.path()).unwrap();
            let moment = format!("cut behind {:?}, {left:?}", cut.checked_sub(1).map(|n| &ops[n]));
            eprintln!("{moment}");
            promised.hold(&store);
            // What was not promised is whole, or is not there, or says that it is damaged and goes.
            for bytes in contents() {
                let digest = Digest::of(&bytes);
                match store.read(&digest) {
                    Ok(read) => assert_eq!(read, bytes),
                    Err(Error::Missing(_) | Error::Damaged { .. }) => assert!(!store.has(&digest)),
                    Err(other) => panic!("{other}"),
                }
                assert_eq!(store.put(&bytes).unwrap(), digest);
                assert_eq!(store.read(&digest).unwrap(), bytes);
            }
            let all = contents();
            for key in keys() {
                if let Some(result) = store.work(&key) {
                    assert!(all.iter().any(|bytes| Digest::of(bytes) == result));
                }
            }
        }
    }
}
