//! A layer's archive: read, merged, and what was accepted is written and read back the same.
#![no_main]

use hookos::initramfs::{Content, Kind, Tree};
use hookos::oci::{Source, index, layer};
use hookos::store::Digest;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let blob = Digest::of(b"");
    let len = bytes.len() as u64;
    let Ok(entries) = index::index(bytes, Source { blob, offset: 0, len }) else { return };
    let mut tree = Tree::new();
    if layer::apply(&mut tree, &entries, &blob).is_err() {
        return;
    }
    for (path, node) in tree.iter() {
        assert!(!path.as_bytes().split(|b| *b == b'/').any(|part| part == b".." || part == b"."));
        if let Kind::File(Content::Blob { offset, len: size, .. }) = &node.kind {
            assert!(offset + size <= len, "{path} reaches past the archive");
        }
        let parent = path.parent().filter(|parent| !parent.is_root());
        assert!(parent.is_none_or(|parent| tree.get(&parent).is_some_and(|node| node.is_directory())));
    }
});
