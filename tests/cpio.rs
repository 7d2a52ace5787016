//! The cpio writer against the programs that read cpio: GNU cpio and libarchive's bsdcpio.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hookos::initramfs::cpio::{self, Inodes};
use hookos::initramfs::{Compression, Kind, Node, Tree, TreePath};
use hookos::progress::Silent;
use hookos::store::{KeyMaker, Store};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Command, Stdio};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn sample() -> Tree {
    let mut tree = Tree::new();
    for (name, node) in [
        ("usr", Node::directory(0o755, 1_000_000)),
        ("usr/bin", Node::directory(0o1777, 1_000_001)),
        ("usr/bin/big", Node::file(vec![b'x'; 70_000], 0o4755, 1_000_002)),
        ("usr/bin/copy-of-big", Node::file(vec![b'x'; 70_000], 0o4755, 1_000_002)),
        ("usr/bin/same-bytes-other-mode", Node::file(vec![b'x'; 70_000], 0o644, 1_000_002)),
        ("usr/bin/small", Node::file(b"hello".to_vec(), 0o600, 1_000_003)),
        ("usr/bin/empty", Node::file(Vec::new(), 0o644, 1_000_004)),
        ("bin", Node::symlink("usr/bin", 1_000_005)),
        ("fifo", Node::new(Kind::Fifo, 0o622, 1_000_006)),
    ] {
        tree.insert(path(name), node);
    }
    let long = "n".repeat(250);
    tree.insert(path(&format!("usr/{long}")), Node::file(b"long".to_vec(), 0o644, 1_000_007));
    tree
}

fn archive(store: &Store, tree: &Tree) -> Vec<u8> {
    let mut bytes = Vec::new();
    cpio::write(store, tree, Inodes::Shared, i64::MAX, &mut bytes).unwrap();
    cpio::write_trailer(&mut bytes).unwrap();
    bytes
}

/// Unpacks `bytes` with a program that reads an archive from its input.
fn unpack(program: &str, args: &[&str], bytes: &[u8], into: &Path) {
    let mut child = Command::new(program)
        .args(args)
        .current_dir(into)
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program} is needed for this test (tests/run installs it): {e}"));
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What is in a folder: mode, size, time and link target or content by path.
fn look(root: &Path) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    let mut out = BTreeMap::new();
    for entry in walkdir::WalkDir::new(root).min_depth(1) {
        let entry = entry.unwrap();
        let meta = entry.path().symlink_metadata().unwrap();
        let content = if meta.is_symlink() {
            std::fs::read_link(entry.path()).unwrap().to_str().unwrap().as_bytes().to_vec()
        } else if meta.is_file() {
            std::fs::read(entry.path()).unwrap()
        } else {
            Vec::new()
        };
        let name = entry.path().strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        // The reader's own umask decides nothing; times of links and folders are not kept by all.
        let time = if meta.is_file() { meta.mtime() } else { 0 };
        out.insert(name, (meta.mode(), time, content));
    }
    out
}

fn expected(tree: &Tree) -> BTreeMap<String, (u32, i64, Vec<u8>)> {
    tree.iter()
        .map(|(p, node)| {
            let (kind, content) = match &node.kind {
                Kind::Directory => (0o040_000, Vec::new()),
                Kind::File(hookos::initramfs::Content::Inline(bytes)) => (0o100_000, bytes.to_vec()),
                Kind::Symlink(target) => (0o120_000, target.clone()),
                Kind::Fifo => (0o010_000, Vec::new()),
                other => panic!("{other:?}"),
            };
            let time = if kind == 0o100_000 { node.mtime } else { 0 };
            let name = String::from_utf8(p.as_bytes().to_vec()).unwrap();
            (name, (kind | node.mode, time, content))
        })
        .collect()
}

#[test]
fn gnu_cpio_and_bsdcpio_unpack_what_was_meant() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path().join("store")).unwrap();
    let tree = sample();
    let bytes = archive(&store, &tree);
    for (program, args) in
        [("cpio", &["-idm", "--no-absolute-filenames", "--quiet"][..]), ("bsdcpio", &["-idm", "--quiet"][..])]
    {
        let into = folder.path().join(program);
        std::fs::create_dir(&into).unwrap();
        unpack(program, args, &bytes, &into);
        let got = look(&into);
        for (name, want) in expected(&tree) {
            let have = got.get(&name).unwrap_or_else(|| panic!("{program} did not make {name}"));
            assert_eq!(have.2, want.2, "{program}: content of {name}");
            assert_eq!(have.1, want.1, "{program}: time of {name}");
            assert_eq!(have.0, want.0, "{program}: mode of {name}: {:o} {:o}", have.0, want.0);
        }
        assert_eq!(got.len(), tree.len(), "{program} made something else too");
        let inode = |name: &str| into.join(name).symlink_metadata().unwrap().ino();
        assert_eq!(inode("usr/bin/big"), inode("usr/bin/copy-of-big"), "{program}: equal files share");
        assert_ne!(inode("usr/bin/big"), inode("usr/bin/same-bytes-other-mode"), "{program}");
    }
}

#[test]
fn segments_are_whole_for_zstd_and_gzip() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for (compression, program) in [(Compression::Zstd, "zstd"), (Compression::Gzip, "gzip")] {
        let options =
            hookos::initramfs::segment::Options { compression, inodes: Inodes::Shared, latest: i64::MAX };
        let key = KeyMaker::new("test").finish();
        let make = || {
            hookos::initramfs::segment::make(&store, &key, &options, || Ok::<_, ()>(sample()), &Silent)
                .unwrap()
        };
        let (segment, cached) = make();
        assert!(!cached);
        let output = Command::new(program)
            .args(["-dc"])
            .stdin(std::fs::File::open(store.path(&segment.blob)).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(output.stdout.len() as u64, segment.written.archive);
        let (again, cached) = make();
        assert!(cached);
        assert_eq!(again, segment);
    }
}

fn nodes() -> impl Strategy<Value = BTreeMap<String, (u8, Vec<u8>, u32)>> {
    let name = proptest::collection::vec("[a-z]{1,8}", 1..4).prop_map(|parts| parts.join("/"));
    let content = proptest::collection::vec(any::<u8>(), 0..9000);
    proptest::collection::btree_map(name, (0u8..4, content, 0u32..0o10000), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Written and read back, every entry is what it was.
    #[test]
    fn reading_back_is_the_identity(entries in nodes()) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        for (name, (kind, content, mode)) in &entries {
            let node = match kind {
                0 => Node::directory(*mode, 3),
                1 => Node::symlink(format!("x{}", "y".repeat(content.len() / 3)), 3),
                2 => Node::new(Kind::CharDevice { major: 4, minor: *mode }, *mode, 3),
                _ => Node::file(content.clone(), *mode, 3),
            };
            tree.ensure_parents(&path(name), 3);
            tree.insert(path(name), node);
        }
        let mut bytes = Vec::new();
        cpio::write(&store, &tree, Inodes::Own, 10, &mut bytes).unwrap();
        let mut got = Vec::new();
        cpio::read(bytes.as_slice(), 1 << 20, |entry, data| got.push((entry, data))).unwrap();
        prop_assert_eq!(got.len(), tree.len());
        let mut inodes = std::collections::BTreeSet::new();
        for ((entry, data), (p, node)) in got.iter().zip(tree.iter()) {
            prop_assert_eq!(entry.name.as_slice(), p.as_bytes());
            prop_assert_eq!(entry.mode & 0o7777, node.mode);
            prop_assert!(inodes.insert(entry.ino), "every name has its own inode");
            match &node.kind {
                Kind::File(hookos::initramfs::Content::Inline(want)) => prop_assert_eq!(&data[..], &want[..]),
                Kind::Symlink(want) => prop_assert_eq!(data, want),
                _ => prop_assert!(data.is_empty()),
            }
        }
    }
}
