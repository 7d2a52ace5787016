//! The store under bad treatment: many writers at once, processes killed in the middle, a full disk.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/small_disk.rs"]
mod small_disk;

use hookos::progress::Silent;
use hookos::store::{Digest, Error, KeyMaker, Store};
use small_disk::SmallDisk;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// When set, this test program is a writer into the store that it names.
const WRITER: &str = "HOOKOS_TEST_WRITER";

fn writer(store: &Path, seed: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "writes_blobs_when_told_to", "--nocapture"])
        .env(WRITER, store)
        .env("HOOKOS_TEST_SEED", seed.to_string())
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// Content that two seeds share every other time.
fn content(seed: u32, n: u32) -> Vec<u8> {
    let who = if n.is_multiple_of(2) { 0 } else { seed };
    let size = 20_000 + (n as usize * 7919) % 400_000;
    (0..size).map(|i| (i as u32).wrapping_mul(2_654_435_761).wrapping_add(who ^ n).to_le_bytes()[3]).collect()
}

/// Not a test by itself: the other process of the tests below.
#[test]
fn writes_blobs_when_told_to() {
    let Some(folder) = std::env::var_os(WRITER) else { return };
    let seed: u32 = std::env::var("HOOKOS_TEST_SEED").unwrap().parse().unwrap();
    let store = Store::open(folder).unwrap();
    for n in 0..40 {
        let key = KeyMaker::new("writer").add("n", n.to_string()).finish();
        let _lock = store.lock(&key.hex()).unwrap();
        let mut blob = store.writer().unwrap();
        for part in content(seed, n).chunks(4096) {
            blob.write_all(part).unwrap();
        }
        let (digest, _) = blob.commit().unwrap();
        store.set_work(&key, &digest).unwrap();
    }
}

fn assert_sound(store: &Store) {
    let checked = store.verify_all(&Silent).unwrap();
    assert_eq!(checked.damaged, Vec::<Digest>::new());
    assert!(checked.blobs > 0);
}

#[test]
fn eight_processes_share_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let writers: Vec<Child> = (1..=8).map(|seed| writer(folder.path(), seed)).collect();
    for mut child in writers {
        assert!(child.wait().unwrap().success());
    }
    let store = Store::open(folder.path()).unwrap();
    assert_sound(&store);
    for seed in 1..=8 {
        for n in 0..40 {
            let bytes = content(seed, n);
            assert_eq!(store.read(&Digest::of(&bytes)).unwrap(), bytes);
        }
    }
    assert_eq!(std::fs::read_dir(store.tmp()).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn a_killed_writer_leaves_only_whole_blobs() {
    let folder = tempfile::tempdir().unwrap();
    let mut killed = 0;
    for round in 0..12u64 {
        let mut child = writer(folder.path(), 3);
        std::thread::sleep(Duration::from_millis(15 + round * 23 % 170));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
        let store = Store::open(folder.path()).unwrap();
        assert_eq!(store.verify_all(&Silent).unwrap().damaged, Vec::<Digest>::new());
    }
    assert!(killed > 0, "every writer had ended before it was killed");
    assert!(writer(folder.path(), 3).wait().unwrap().success());
    assert_sound(&Store::open(folder.path()).unwrap());
}

#[test]
fn a_full_disk_is_an_error_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let Some(disk) = SmallDisk::mount(folder.path(), "1m") else { return };
    let store = Store::open(folder.path()).unwrap();
    let bytes = vec![7; 2 << 20];
    match store.put(&bytes) {
        Err(error @ Error::Io { .. }) => {
            let text = hookos::problem::Problem::from(error).to_string();
            assert!(text.contains("disk is full") && text.contains("HOOKOS_CACHE"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    assert!(!store.has(&Digest::of(&bytes)));
    assert_eq!(std::fs::read_dir(store.tmp()).unwrap().count(), 0, "the part that fitted is gone");
    disk.resize("8m");
    let digest = store.put(&bytes).unwrap();
    assert_eq!(store.read(&digest).unwrap(), bytes);
    drop(store);
    drop(disk);
}
