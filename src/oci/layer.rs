//! Layers: a tree written as a tar archive, and tar archives merged into a tree.
//!
//! Rules of the OCI image specification (layer.md): `.wh.NAME` hides NAME of lower layers, `.wh..wh..opq`
//! hides all that lower layers put into its folder; what the same layer adds stays.

use super::Image;
use super::index::{self, Entry, Error, Item, Source};
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, Node, Tree, TreePath};
use crate::store::{Digest, Store};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The tree of an image: its layers merged, bottom first.
pub fn image_tree(store: &Store, image: &Image) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for layer in &image.layers {
        apply(&mut tree, &layer_entries(store, layer)?, layer)?;
    }
    Ok(tree)
}

/// The entries of one uncompressed layer in the store.
pub fn layer_entries(store: &Store, layer: &Digest) -> Result<Vec<Entry>, Error> {
    let file = store.open_blob(layer)?;
    let len = file.metadata().map_err(|source| Error::Archive { archive: layer.to_string(), source })?.len();
    index::index(io::BufReader::with_capacity(256 * 1024, file), Source { blob: *layer, offset: 0, len })
}

/// Puts a layer's entries on top of a tree.
pub fn apply(tree: &mut Tree, entries: &[Entry], layer: &Digest) -> Result<(), Error> {
    // Whiteouts speak of lower layers only, so they go first, wherever they stand.
    for entry in entries {
        let name = entry.path.name();
        let Some(folder) = entry.path.parent() else { continue };
        if name == OPAQUE {
            let folder = through_links(tree, &folder);
            tree.remove_below(&folder);
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let bad = |why: String| Error::Entry {
                archive: layer.to_string(),
                name: entry.path.to_string(),
                at: entry.at,
                why,
            };
            let hidden = TreePath::new(hidden).map_err(|e| bad(e.to_string()))?;
            if hidden.is_root() {
                return Err(bad("a whiteout without a name".to_owned()));
            }
            let path = through_links(tree, &folder).join(&hidden);
            tree.remove(&path);
        }
    }
    for entry in entries {
        if entry.path.name().starts_with(WHITEOUT) {
            continue;
        }
        let path = match entry.path.parent() {
            Some(parent) => {
                let name = TreePath::new(entry.path.name()).unwrap_or_default();
                through_links(tree, &parent).join(&name)
            }
            None => entry.path.clone(),
        };
        match &entry.item {
            Item::Node(node) => {
                if path.is_root() && !node.is_directory() {
                    continue;
                }
                folders_above(tree, &path, node.mtime);
                tree.insert(path, node.clone());
            }
            Item::HardLink(target) => {
                let target = match target.parent() {
                    Some(parent) => {
                        let name = TreePath::new(target.name()).unwrap_or_default();
                        through_links(tree, &parent).join(&name)
                    }
                    None => target.clone(),
                };
                let node = tree.get(&target).filter(|node| !node.is_directory()).cloned();
                let Some(node) = node else {
                    return Err(Error::Entry {
                        archive: layer.to_string(),
                        name: entry.path.to_string(),
                        at: entry.at,
                        why: format!("a hard link to {target}, which is not a file of this image"),
                    });
                };
                if target != path {
                    folders_above(tree, &path, node.mtime);
                    tree.insert(path, node);
                }
            }
        }
    }
    Ok(())
}

/// Missing parents become folders; a parent that is a file makes room, as it would when unpacked.
fn folders_above(tree: &mut Tree, path: &TreePath, mtime: i64) {
    let mut above = path.parent();
    while let Some(folder) = above.filter(|folder| !folder.is_root()) {
        if tree.get(&folder).is_some_and(|node| !node.is_directory()) {
            tree.remove(&folder);
        }
        above = folder.parent();
    }
    tree.ensure_parents(path, mtime);
}

/// `path` with the symbolic links among its parts followed inside the tree, as a write through it
/// would go. It cannot leave the root: `..` stops there. A loop is left as it is.
pub fn through_links(tree: &Tree, path: &TreePath) -> TreePath {
    let mut left: Vec<Vec<u8>> = split(path.as_bytes());
    left.reverse();
    let mut at = TreePath::root();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let Ok(part) = TreePath::new(&part) else { return path.clone() };
        let next = at.join(&part);
        match tree.get(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => {
                links += 1;
                if links > 40 {
                    return path.clone();
                }
                if target.starts_with(b"/") {
                    at = TreePath::root();
                }
                left.extend(split(target).into_iter().rev());
            }
            _ => at = next,
        }
    }
    at
}

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect()
}

/// A tree written as one layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layer {
    /// Digest of the uncompressed archive: the diff ID, and the blob's name in the store.
    pub diff_id: Digest,
    /// Bytes of the archive.
    pub size: u64,
}

/// Writes a tree as an uncompressed layer; later times become `latest` (seconds since 1970). Sorted, so
/// the same tree gives the same bytes; names that share a node are hard links.
pub fn write_layer(store: &Store, tree: &Tree, latest: i64) -> Result<Layer, Error> {
    let blob = store.writer()?;
    let mut tar = tar::Builder::new(io::BufWriter::with_capacity(256 * 1024, blob));
    let mut contents = Contents::new(store);
    let mut first: HashMap<*const Node, &TreePath> = HashMap::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let bad = |why: String| Error::Entry {
            archive: "the layer that is written".to_owned(),
            name: path.to_string(),
            at: 0,
            why,
        };
        let linked = if Arc::strong_count(node) > 1 && !node.is_directory() {
            let earlier = first.get(&Arc::as_ptr(node)).copied();
            if earlier.is_none() {
                first.insert(Arc::as_ptr(node), path);
            }
            earlier
        } else {
            None
        };
        append(&mut tar, &mut contents, path, node, linked, latest).map_err(bad)?;
    }
    let io_error = |e: io::Error| crate::store::Error::Io { path: store.tmp(), source: e };
    let blob = tar.into_inner().map_err(io_error)?.into_inner().map_err(|e| io_error(e.into_error()))?;
    let (diff_id, size) = blob.commit()?;
    Ok(Layer { diff_id, size })
}

fn append<W: Write>(
    tar: &mut tar::Builder<W>,
    contents: &mut Contents<'_>,
    path: &TreePath,
    node: &Node,
    linked: Option<&TreePath>,
    latest: i64,
) -> Result<(), String> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(node.mode);
    header.set_mtime(u64::try_from(node.mtime.min(latest)).unwrap_or(0));
    header.set_size(0);
    let mut pax: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    // ustar holds 7 octal digits of owner.
    for (id, key, set) in [
        (node.uid, "uid", tar::Header::set_uid as fn(&mut tar::Header, u64)),
        (node.gid, "gid", tar::Header::set_gid),
    ] {
        if id > 0o7_777_777 {
            pax.push((key.into(), id.to_string().into_bytes()));
            set(&mut header, 0);
        } else {
            set(&mut header, id.into());
        }
    }
    let mut body = None;
    let mut target: Option<&[u8]> = None;
    match (&node.kind, linked) {
        (_, Some(first)) => {
            header.set_entry_type(tar::EntryType::Link);
            target = Some(first.as_bytes());
        }
        (Kind::Directory, _) => header.set_entry_type(tar::EntryType::Directory),
        (Kind::File(content), _) => {
            header.set_entry_type(tar::EntryType::Regular);
            if content.len() >= 1 << 33 {
                return Err("files of 8 GiB and more are not taken".to_owned());
            }
            header.set_size(content.len());
            body = Some(content);
        }
        (Kind::Symlink(to), _) => {
            header.set_entry_type(tar::EntryType::Symlink);
            target = Some(to);
        }
        (Kind::CharDevice { major, minor }, _) | (Kind::BlockDevice { major, minor }, _) => {
            let block = matches!(node.kind, Kind::BlockDevice { .. });
            header.set_entry_type(if block { tar::EntryType::Block } else { tar::EntryType::Char });
            header.set_device_major(*major).map_err(|e| e.to_string())?;
            header.set_device_minor(*minor).map_err(|e| e.to_string())?;
        }
        (Kind::Fifo, _) => header.set_entry_type(tar::EntryType::Fifo),
    }
    let mut name = path.as_bytes().to_vec();
    if node.is_directory() {
        name.push(b'/');
    }
    put_name(&mut header, &name, b"path", &mut pax);
    if let Some(target) = target {
        put_link(&mut header, target, &mut pax);
    }
    if linked.is_none() {
        for (key, value) in &node.xattrs {
            pax.push(([b"SCHILY.xattr.", key.as_slice()].concat(), value.clone()));
        }
    }
    header.set_cksum();
    let failed = |e: io::Error| e.to_string();
    if !pax.is_empty() {
        write_pax(tar, &pax).map_err(failed)?;
    }
    let out = tar.get_mut();
    out.write_all(header.as_bytes()).map_err(failed)?;
    if let Some(content) = body {
        contents.copy(path, content, out).map_err(|e| e.to_string())?;
        let pad = (512 - content.len() % 512) % 512;
        out.write_all(&[0; 512][..pad as usize]).map_err(failed)?;
    }
    Ok(())
}

fn put_name(header: &mut tar::Header, name: &[u8], key: &[u8], pax: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let field = &mut header.as_old_mut().name;
    let fits = name.len() <= field.len();
    let kept = &name[..name.len().min(field.len())];
    field.fill(0);
    field[..kept.len()].copy_from_slice(kept);
    if !fits || name.iter().any(|b| !b.is_ascii()) {
        pax.push((key.to_vec(), name.to_vec()));
    }
}

fn put_link(header: &mut tar::Header, target: &[u8], pax: &mut Vec<(Vec<u8>, Vec<u8>)>) {
    let field = &mut header.as_old_mut().linkname;
    let fits = target.len() <= field.len();
    let kept = &target[..target.len().min(field.len())];
    field.fill(0);
    field[..kept.len()].copy_from_slice(kept);
    if !fits || target.iter().any(|b| !b.is_ascii()) {
        pax.push((b"linkpath".to_vec(), target.to_vec()));
    }
}

fn write_pax<W: Write>(tar: &mut tar::Builder<W>, records: &[(Vec<u8>, Vec<u8>)]) -> io::Result<()> {
    let mut text = Vec::new();
    for (key, value) in records {
        // LEN counts its own digits too.
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        text.extend_from_slice(format!("{len} ").as_bytes());
        text.extend_from_slice(key);
        text.push(b'=');
        text.extend_from_slice(value);
        text.push(b'\n');
    }
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::XHeader);
    header.set_mode(0o644);
    header.set_size(text.len() as u64);
    header.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
    header.set_cksum();
    let out = tar.get_mut();
    out.write_all(header.as_bytes())?;
    out.write_all(&text)?;
    out.write_all(&[0; 512][..(512 - text.len() % 512) % 512])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn read_back(store: &Store, layers: &[Digest]) -> Tree {
        let mut tree = Tree::new();
        for layer in layers {
            apply(&mut tree, &layer_entries(store, layer).unwrap(), layer).unwrap();
        }
        tree
    }

    #[test]
    fn a_layer_reads_back_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        tree.insert(path("d"), Node::directory(0o1777, 7));
        let long = format!("d/{}/{}", "x".repeat(200), "ü".repeat(30));
        tree.ensure_parents(&path(&long), 7);
        let mut file = Node::file(b"hello".to_vec(), 0o4755, 7);
        file.uid = 3_000_000_000;
        file.xattrs.insert(b"security.capability".to_vec(), b"\0\n=x".to_vec());
        let file = Arc::new(file);
        tree.insert(path(&long), Arc::clone(&file));
        tree.insert(path("d/again"), Arc::clone(&file));
        drop(file);
        tree.insert(path("l"), Node::symlink("y".repeat(300), 7));
        tree.insert(path("null"), Node::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666, 7));
        tree.insert(path("p"), Node::new(Kind::Fifo, 0o600, 7));
        let layer = write_layer(&store, &tree, i64::MAX).unwrap();
        let back = read_back(&store, &[layer.diff_id]);
        assert_eq!(back.len(), tree.len());
        for (p, node) in tree.iter() {
            let got = back.get(p).unwrap_or_else(|| panic!("{p} is gone"));
            assert_eq!(
                (got.mode, got.uid, got.gid, got.mtime),
                (node.mode, node.uid, node.gid, node.mtime),
                "{p}"
            );
            assert_eq!(got.xattrs, node.xattrs);
        }
        assert!(Arc::ptr_eq(back.get(&path("d/again")).unwrap(), back.get(&path(&long)).unwrap()));
        let again = write_layer(&store, &back, i64::MAX).unwrap();
        assert_eq!(again, layer, "written, read, written: the same bytes");
    }

    #[test]
    fn whiteouts_hide_lower_layers_only() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let layer = |names: &[&str]| {
            let mut tree = Tree::new();
            for name in names {
                let node = if name.ends_with('/') {
                    Node::directory(0o755, 0)
                } else {
                    Node::file(name.as_bytes().to_vec(), 0o644, 0)
                };
                tree.insert(path(name), node);
            }
            write_layer(&store, &tree, 0).unwrap().diff_id
        };
        let low = layer(&["a/", "a/x", "a/y/", "a/y/z", "b/", "b/x"]);
        let high = layer(&["a/", "a/.wh..wh..opq", "a/new", "b/", "b/.wh.x"]);
        let tree = read_back(&store, &[low, high]);
        let names: Vec<_> = tree.iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(names, ["/a", "/a/new", "/b"]);
    }

    #[test]
    fn a_write_through_a_link_stays_in_the_root() {
        let mut tree = Tree::new();
        tree.insert(path("usr/sbin"), Node::directory(0o755, 0));
        tree.insert(path("sbin"), Node::symlink("usr/sbin", 0));
        tree.insert(path("evil"), Node::symlink("../../../../etc", 0));
        tree.insert(path("loop"), Node::symlink("loop", 0));
        assert_eq!(through_links(&tree, &path("sbin/x")), path("usr/sbin/x"));
        assert_eq!(through_links(&tree, &path("evil/passwd")), path("etc/passwd"));
        assert_eq!(through_links(&tree, &path("loop/x")), path("loop/x"));
    }
}
