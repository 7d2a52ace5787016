//! Layers over few names, so that links, whiteouts and folders collide: merging never panics, and keeps
//! a folder above every name.
#![no_main]

use hookos::initramfs::{Kind, Node, Tree, TreePath};
use hookos::oci::index::{Entry, Item};
use hookos::oci::layer;
use hookos::store::Digest;
use libfuzzer_sys::fuzz_target;

const NAMES: &[&str] = &["a", "b", "a/a", "a/b", "b/a", "b/b", "a/a/a", "a/b/c", "c", "c/a/b", "c/c"];
const WHITEOUTS: &[&str] = &[".wh.a", ".wh.b", "a/.wh.a", "a/.wh..wh..opq", ".wh..wh..opq", "c/a/.wh.b"];
const TARGETS: &[&str] = &["a", "../b", "/c", "b/a", "..", "c/c", "/", "../../a/b"];

fuzz_target!(|bytes: &[u8]| {
    let mut tree = Tree::new();
    for layer in bytes.split(|b| *b == 0) {
        let pick = |from: &[&'static str], n: u8| from[usize::from(n) % from.len()];
        let entry = |pair: &[u8]| {
            let (kind, name) = (pair[0] % 6, pair[1]);
            let other = pair[0] / 6;
            let path = if kind == 5 { pick(WHITEOUTS, name) } else { pick(NAMES, name) };
            let item = match kind {
                0 => Item::Node(Node::directory(0o755, 0)),
                1 => Item::Node(Node::symlink(pick(TARGETS, other), 0)),
                2 => Item::HardLink(TreePath::new(pick(NAMES, other)).unwrap()),
                3 => Item::Node(Node::new(Kind::Fifo, 0o644, 0)),
                _ => Item::Node(Node::file(vec![other], 0o644, 0)),
            };
            Entry { path: TreePath::new(path).unwrap(), item, at: 0 }
        };
        let entries: Vec<Entry> = layer.chunks_exact(2).map(entry).collect();
        if layer::apply(&mut tree, &entries, &Digest::of(b"")).is_err() {
            return;
        }
    }
    for (path, _) in tree.iter() {
        let parent = path.parent().filter(|parent| !parent.is_root());
        assert!(parent.is_none_or(|parent| tree.get(&parent).is_some_and(|node| node.is_directory())));
        assert!(!path.name().starts_with(b".wh."));
    }
});
