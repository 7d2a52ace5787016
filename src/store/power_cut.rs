//! The store after a power cut at any moment.
//!
//! A disk keeps what was synced. Of the rest it may keep all, nothing, or names without their bytes: each of
//! these is made for each moment of a session, and the store is opened on it.

use super::super::look::{LARGE, SETTLED};
use super::super::{Digest, Error, Key, KeyMaker, Store, Work};
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
    /// The first byte goes bad.
    Damage(PathBuf),
    /// From here on the session counts on this.
    Promise(Promise),
}

#[derive(Debug, Clone)]
pub(super) enum Promise {
    Blob(Vec<u8>),
    Work(Key, Vec<u8>, Vec<Vec<u8>>),
    Name(String, Vec<u8>),
    /// The name is about to be given to another blob.
    Renaming(String, Vec<u8>),
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
            Op::Damage(path) => {
                let inode = &mut self.inodes[self.names[path]];
                inode.bytes[0] ^= 1;
                inode.safe.iter_mut().for_each(|bytes| bytes[0] ^= 1);
            }
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
    /// More than one blob while a name changes.
    names: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Promised {
    fn take(&mut self, promise: &Promise) {
        match promise {
            Promise::Blob(bytes) => self.blobs.push(bytes.clone()),
            Promise::Work(key, result, parts) => self.work.push((*key, result.clone(), parts.clone())),
            Promise::Name(name, bytes) => drop(self.names.insert(name.clone(), vec![bytes.clone()])),
            Promise::Renaming(name, bytes) => self.names.get_mut(name).unwrap().push(bytes.clone()),
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
        for (name, blobs) in &self.names {
            let named = store.named(name).unwrap();
            assert!(blobs.iter().any(|bytes| Digest::of(bytes) == named), "{name}");
        }
    }
}

fn promise(promise: Promise) {
    note(|| Op::Promise(promise));
}

/// The last is one whose look is kept.
fn contents() -> Vec<Vec<u8>> {
    let small = (0..5u8).map(|n| vec![n + 1; 700 * (usize::from(n) + 1)]);
    small.chain([vec![9; LARGE as usize]]).collect()
}

fn keys() -> Vec<Key> {
    (0..3).map(|n| KeyMaker::new("cut").add("n", n.to_string()).finish()).collect()
}

/// What is recorded: blobs, results with parts, names, one that changes, a blob again, one that is damaged and
/// made anew, the look of a large one, a pruning.
fn session(root: &Path) {
    let store = Store::open(root).unwrap();
    let (contents, keys) = (contents(), keys());
    let put = |bytes: &Vec<u8>| {
        let digest = store.put(bytes).unwrap();
        promise(Promise::Blob(bytes.clone()));
        digest
    };
    let name = |name: &str, bytes: &Vec<u8>| {
        store.set_name(name, &Digest::of(bytes)).unwrap();
        promise(Promise::Name(name.to_owned(), bytes.clone()));
    };
    let first = put(&contents[0]);
    let second = put(&contents[1]);
    store.set_work_with(&keys[0], &first, &[second]).unwrap();
    promise(Promise::Work(keys[0], contents[0].clone(), vec![contents[1].clone()]));
    name("a", &contents[0]);
    let third = put(&contents[2]);
    store.set_work(&keys[1], &third).unwrap();
    promise(Promise::Work(keys[1], contents[2].clone(), Vec::new()));
    put(&contents[2]);
    name("b", &contents[2]);
    promise(Promise::Renaming("a".to_owned(), contents[2].clone()));
    name("a", &contents[2]);
    let fourth = put(&contents[3]);
    store.set_work_with(&keys[2], &fourth, &[first, third]).unwrap();
    promise(Promise::Work(keys[2], contents[3].clone(), vec![contents[0].clone(), contents[2].clone()]));
    let large = put(&contents[5]);
    std::thread::sleep(SETTLED);
    // As another process does: this one knows what it wrote.
    Store::open(root).unwrap().open_blob(&large).unwrap();
    assert!(std::fs::read_dir(root.join("checked")).unwrap().count() == 1, "its look is kept");

    promise(Promise::Nothing);
    let path = store.path(&second);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"damaged").unwrap();
    note(|| Op::Damage(path));
    assert!(matches!(store.open_blob(&second), Err(Error::Damaged { .. })));
    put(&contents[1]);

    promise(Promise::Nothing);
    assert!(store.forget_name("b").unwrap());
    store.prune(Duration::ZERO).unwrap();
    assert!(std::fs::read_dir(root.join("checked")).unwrap().count() == 0);
    let store = Store::open(root).unwrap();
    store.put(&contents[4]).unwrap();
    promise(Promise::Blob(contents[4].clone()));
}

/// A result is whole with its parts, or it is not there; nor is it any longer once one of its blobs is bad.
fn results_are_whole(store: &Store) {
    let contents = contents();
    let [first, second, third, fourth] = [0, 1, 2, 3].map(|n| Digest::of(&contents[n]));
    let expected = [(first, vec![second]), (third, vec![]), (fourth, vec![first, third])];
    for (key, (result, parts)) in keys().iter().zip(expected) {
        let Some(work) = store.work_here(key) else { continue };
        assert_eq!(work, Work { result, parts });
        for digest in work.blobs() {
            match store.read(digest) {
                Ok(read) => assert_eq!(Digest::of(&read), *digest),
                Err(Error::Damaged { .. }) => assert_eq!(store.work(key), None),
                Err(other) => panic!("{other}"),
            }
        }
    }
}

/// A blob is whole, or it is not there, or it says that it is damaged and goes; it can be made anew.
fn blobs_are_whole(store: &Store) {
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
}

/// Every moment of the session, with so much left.
fn replay(ops: &[Op], left: Left, root: &Path) {
    let (mut disk, mut promised) = (Disk::default(), Promised::default());
    for cut in 0..=ops.len() {
        let found = tempfile::tempdir().unwrap();
        disk.leave(left, root, found.path());
        let store = Store::open(found.path()).unwrap();
        // The last of these is the moment of a failure.
        eprintln!("cut before operation {cut}, {left:?} left");
        promised.hold(&store);
        results_are_whole(&store);
        blobs_are_whole(&store);
        let Some(op) = ops.get(cut) else { break };
        disk.apply(op);
        if let Op::Promise(promise) = op {
            promised.take(promise);
        }
    }
}

#[test]
fn nothing_that_was_promised_is_lost_in_a_power_cut() {
    let root = tempfile::tempdir().unwrap();
    SESSION.set(Some(Vec::new()));
    session(root.path());
    let ops = SESSION.take().unwrap();
    assert!(ops.len() > 80, "{} operations", ops.len());
    // Side by side: they mostly wait for the disk.
    std::thread::scope(|scope| {
        for left in LEFT {
            let (ops, root) = (&ops, root.path());
            scope.spawn(move || replay(ops, left, root));
        }
    });
}
