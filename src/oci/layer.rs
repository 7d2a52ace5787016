//! A tree written as a layer: an uncompressed PAX archive, the same bytes for the same tree.

use super::index::{Error, LARGEST_EXTENSION};
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use crate::store::{Digest, Store};
use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

pub use super::merge::{apply, image_tree, layer_entries, nested_tree, through_links};

/// Version of the bytes that [`write_layer`] makes: part of the key of whatever is made of layers.
pub const FORMAT: &str = "pax 2";

/// First numbers that ustar's 7 and 11 octal digits do not hold.
const OWNERS: u64 = 1 << 21;
const SIZES: u64 = 1 << 33;

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
    let mut out = io::BufWriter::with_capacity(256 * 1024, blob);
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
        append(&mut out, &mut contents, path, node, linked, latest).map_err(bad)?;
    }
    let failed = |source: io::Error| crate::store::Error::Io { path: store.tmp(), source };
    // Two empty blocks end an archive.
    out.write_all(&[0; 1024]).map_err(failed)?;
    let blob = out.into_inner().map_err(|e| failed(e.into_error()))?;
    let (diff_id, size) = blob.commit()?;
    Ok(Layer { diff_id, size })
}

fn append(
    out: &mut impl Write,
    contents: &mut Contents<'_>,
    path: &TreePath,
    node: &Node,
    linked: Option<&TreePath>,
    latest: i64,
) -> Result<(), String> {
    let mut header = tar::Header::new_ustar();
    header.set_mode(node.mode);
    let mut pax = Pax::default();
    let mtime = node.mtime.min(latest);
    match u64::try_from(mtime).ok().filter(|m| *m < SIZES) {
        Some(mtime) => header.set_mtime(mtime),
        None => {
            header.set_mtime(0);
            pax.number("mtime", mtime);
        }
    }
    for (id, key, set) in [
        (node.uid, "uid", tar::Header::set_uid as fn(&mut tar::Header, u64)),
        (node.gid, "gid", tar::Header::set_gid),
    ] {
        let id = u64::from(id);
        if id < OWNERS {
            set(&mut header, id);
        } else {
            set(&mut header, 0);
            pax.number(key, id);
        }
    }
    header.set_size(0);
    header.set_device_major(0).map_err(|e| e.to_string())?;
    header.set_device_minor(0).map_err(|e| e.to_string())?;
    let mut body: Option<&Content> = None;
    let mut target: Option<&[u8]> = None;
    let kind = match (&node.kind, linked) {
        (_, Some(first)) => {
            target = Some(first.as_bytes());
            tar::EntryType::Link
        }
        (Kind::Directory, _) => tar::EntryType::Directory,
        (Kind::File(content), _) => {
            if content.len() < SIZES {
                header.set_size(content.len());
            } else {
                pax.number("size", content.len());
            }
            body = Some(content);
            tar::EntryType::Regular
        }
        (Kind::Symlink(to), _) => {
            target = Some(to);
            tar::EntryType::Symlink
        }
        (Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }, _) => {
            header.set_device_major(*major).map_err(|e| e.to_string())?;
            header.set_device_minor(*minor).map_err(|e| e.to_string())?;
            if matches!(node.kind, Kind::BlockDevice { .. }) {
                tar::EntryType::Block
            } else {
                tar::EntryType::Char
            }
        }
        (Kind::Fifo, _) => tar::EntryType::Fifo,
    };
    header.set_entry_type(kind);
    let mut name = path.as_bytes().to_vec();
    if node.is_directory() {
        name.push(b'/');
    }
    pax.name("path", &name, &mut header.as_old_mut().name);
    if let Some(target) = target {
        pax.name("linkpath", target, &mut header.as_old_mut().linkname);
    }
    if linked.is_none() {
        for (name, value) in &node.xattrs {
            if name.is_empty() || name.contains(&b'=') || name.contains(&0) {
                let name = String::from_utf8_lossy(name);
                return Err(format!("the name of its extended attribute {name:?} cannot be written"));
            }
            pax.add(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
        }
    }
    header.set_cksum();
    let failed = |e: io::Error| e.to_string();
    pax.write(out)?;
    out.write_all(header.as_bytes()).map_err(failed)?;
    if let Some(content) = body {
        contents.copy(path, content, out).map_err(|e| e.to_string())?;
        pad(out, content.len()).map_err(failed)?;
    }
    Ok(())
}

/// Fills the last block.
fn pad(out: &mut impl Write, len: u64) -> io::Result<()> {
    out.write_all(&[0; 512][..(len.wrapping_neg() % 512) as usize])
}

/// The records of a PAX header (POSIX.1-2001): `LEN KEY=VALUE\n`, where LEN counts its own digits too.
#[derive(Default)]
struct Pax(Vec<u8>);

impl Pax {
    fn add(&mut self, key: &[u8], value: &[u8]) {
        let rest = key.len() + value.len() + 3;
        let mut len = rest + 1;
        while len != rest + len.to_string().len() {
            len = rest + len.to_string().len();
        }
        self.0.extend_from_slice(format!("{len} ").as_bytes());
        for part in [key, b"=", value, b"\n"] {
            self.0.extend_from_slice(part);
        }
    }

    fn number(&mut self, key: &str, value: impl ToString) {
        self.add(key.as_bytes(), value.to_string().as_bytes());
    }

    /// Puts a name into its field, and into a record where the field is too short or for ASCII only.
    fn name(&mut self, key: &str, name: &[u8], field: &mut [u8; 100]) {
        let kept = &name[..name.len().min(field.len())];
        field.fill(0);
        field[..kept.len()].copy_from_slice(kept);
        if name.len() > field.len() || !name.is_ascii() {
            self.add(key.as_bytes(), name);
        }
    }

    fn write(&self, out: &mut impl Write) -> Result<(), String> {
        let len = self.0.len() as u64;
        if len == 0 {
            return Ok(());
        }
        if len > LARGEST_EXTENSION {
            return Err(format!(
                "its names and extended attributes have {len} bytes, over {LARGEST_EXTENSION}"
            ));
        }
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(tar::EntryType::XHeader);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_size(len);
        header.as_old_mut().name[..9].copy_from_slice(b"PaxHeader");
        header.set_cksum();
        let written = out
            .write_all(header.as_bytes())
            .and_then(|()| out.write_all(&self.0))
            .and_then(|()| pad(out, len));
        written.map_err(|e| e.to_string())
    }
}

#[cfg(test)]
#[path = "layer_tests.rs"]
mod tests;
