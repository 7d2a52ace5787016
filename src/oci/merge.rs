//! The entries of layers merged into a tree.
//!
//! Rules of the OCI image specification (layer.md): `.wh.NAME` hides NAME of lower layers, `.wh..wh..opq`
//! hides all that lower layers put into its folder; what the same layer adds stays, wherever it stands.
//! Where the specification is silent the result is that of `umoci unpack`, which tests/layers.rs compares,
//! but for three things, which are refused: a `..` in a name, a folder whose name begins with `.wh.`,
//! and more missing parents than [`MOST_IMPLIED`] bytes of names.

use super::Image;
use super::index::{self, Entry, Error, Item, Source};
use crate::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use crate::store::{Digest, Store};
use std::collections::HashSet;
use std::io::{self, Read as _, Seek as _};
use std::sync::Arc;

pub(super) const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// AUFS's own files, no part of the image.
const AUFS: &[u8] = b".wh..wh.";
/// Most links that one path may pass (Linux's limit too).
const MOST_LINKS: usize = 40;
/// Most bytes of path names for folders that a layer implies without an entry of their own: a few
/// megabytes of deep names would else become gigabytes of folders.
pub const MOST_IMPLIED: usize = 256 << 20;

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
    let broken = |source| Error::Archive { archive: layer.to_string(), at: 0, source };
    let len = file.metadata().map_err(broken)?.len();
    index::index(io::BufReader::with_capacity(256 * 1024, file), Source { blob: *layer, offset: 0, len })
}

/// The tree of a tar archive that is a file of an image, read where it lies.
pub fn nested_tree(store: &Store, archive: &Content) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    // A file that is kept inline is too small for an archive.
    let Content::Blob { digest, offset, len } = *archive else { return Ok(tree) };
    let mut file = store.open_blob(&digest)?;
    let broken = |source| Error::Archive { archive: digest.to_string(), at: offset, source };
    file.seek(io::SeekFrom::Start(offset)).map_err(broken)?;
    let reader = io::BufReader::with_capacity(256 * 1024, file.take(len));
    let entries = index::index(reader, Source { blob: digest, offset, len })?;
    apply(&mut tree, &entries, &digest)?;
    Ok(tree)
}

/// Puts a layer's entries on top of a tree. When it fails, the tree is left half done.
pub fn apply(tree: &mut Tree, entries: &[Entry], layer: &Digest) -> Result<(), Error> {
    let mut merge = Merge { tree, made: None, emptied: HashSet::new(), implied: 0 };
    if entries.iter().any(|entry| entry.path.name().starts_with(WHITEOUT)) {
        merge.made = Some(HashSet::new());
    }
    for entry in entries {
        merge.add(entry).map_err(|why| {
            let name = String::from_utf8_lossy(entry.path.as_bytes()).chars().take(200).collect();
            Error::Entry { archive: layer.to_string(), name, at: entry.at, why }
        })?;
    }
    Ok(())
}

struct Merge<'a> {
    tree: &'a mut Tree,
    /// The layer's paths and the folders above them, where it has whiteouts.
    made: Option<HashSet<TreePath>>,
    /// Folders that hold nothing of lower layers any more; so hostile whiteouts cost no second walk.
    emptied: HashSet<TreePath>,
    /// Bytes of the names of implied folders.
    implied: usize,
}

impl Merge<'_> {
    fn add(&mut self, entry: &Entry) -> Result<(), String> {
        let Some(parent) = entry.path.parent() else {
            if let Item::Node(node) = &entry.item {
                self.tree.insert(TreePath::root(), node.clone());
            }
            return Ok(());
        };
        if parent.as_bytes().split(|b| *b == b'/').any(|part| part.starts_with(WHITEOUT)) {
            return Err("it lies in a folder whose name begins with `.wh.`, which whiteouts own".to_owned());
        }
        let parent = through_links(self.tree, &parent)?;
        let name = entry.path.name();
        if name == OPAQUE {
            self.hide_below(&parent);
            return Ok(());
        }
        if name.starts_with(AUFS) {
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let hidden = TreePath::new(hidden).map_err(|e| e.to_string())?;
            if hidden.is_root() {
                return Err("a whiteout without a name".to_owned());
            }
            self.hide(&parent.join(&hidden));
            return Ok(());
        }
        let path = parent.join(&TreePath::new(name).map_err(|e| e.to_string())?);
        let node = match &entry.item {
            Item::Node(node) => Arc::new(node.clone()),
            Item::HardLink(target) => self.linked(&path, target)?,
        };
        self.folders_above(&path, node.mtime)?;
        if let Some(made) = &mut self.made {
            let mut next = Some(path.clone());
            while let Some(path) = next {
                next = path.parent();
                if !made.insert(path) {
                    break;
                }
            }
        }
        self.tree.insert(path, node);
        Ok(())
    }

    /// The node that a hard link at `path` gives another name.
    fn linked(&self, path: &TreePath, target: &TreePath) -> Result<Arc<Node>, String> {
        let folder = through_links(self.tree, &target.parent().unwrap_or_default())?;
        let target = folder.join(&TreePath::new(target.name()).map_err(|e| e.to_string())?);
        if target == *path {
            return Err("a hard link to itself".to_owned());
        }
        match self.tree.get(&target) {
            Some(node) if node.is_directory() => Err(format!("a hard link to the folder {target}")),
            Some(node) => Ok(Arc::clone(node)),
            None => Err(format!("a hard link to {target}, which no earlier entry or lower layer has")),
        }
    }

    /// Makes the missing folders above `path`.
    fn folders_above(&mut self, path: &TreePath, mtime: i64) -> Result<(), String> {
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| !folder.is_root()) {
            match self.tree.get(&folder) {
                Some(node) if node.is_directory() => break,
                Some(_) => return Err(format!("{folder} above it is not a folder")),
                None => self.implied += folder.as_bytes().len(),
            }
            if self.implied > MOST_IMPLIED {
                return Err("the layer implies too many folders that it has no entries for".to_owned());
            }
            above = folder.parent();
        }
        self.tree.ensure_parents(path, mtime);
        Ok(())
    }

    fn is_made(&self, path: &TreePath) -> bool {
        self.made.as_ref().is_some_and(|made| made.contains(path))
    }

    /// Removes what lower layers put at and below `path`.
    fn hide(&mut self, path: &TreePath) {
        if self.is_made(path) {
            self.hide_below(path);
        } else {
            self.tree.remove(path);
        }
    }

    /// Removes what lower layers put below `folder`.
    fn hide_below(&mut self, folder: &TreePath) {
        if !self.emptied.insert(folder.clone()) {
            return;
        }
        let gone: Vec<TreePath> = self
            .tree
            .below(folder)
            .map(|(path, _)| path)
            .filter(|path| !self.is_made(path))
            .cloned()
            .collect();
        for path in &gone {
            self.tree.remove(path);
        }
    }
}

/// `path` with the symbolic links among its parts followed inside the tree, as a write through it
/// would go. It cannot leave the root: `..` stops there. The error says why it leads nowhere.
pub fn through_links(tree: &Tree, path: &TreePath) -> Result<TreePath, String> {
    let mut left: Vec<Vec<u8>> = split(path.as_bytes());
    left.reverse();
    let mut at = TreePath::root();
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == b".." {
            at = at.parent().unwrap_or_default();
            continue;
        }
        let next = at.join(&TreePath::new(&part).map_err(|e| e.to_string())?);
        match tree.get(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => {
                links += 1;
                if links > MOST_LINKS {
                    return Err(format!("symbolic links above it go round or are too many, at {next}"));
                }
                if target.starts_with(b"/") {
                    at = TreePath::root();
                }
                left.extend(split(target).into_iter().rev());
            }
            _ if next.as_bytes().len() > TreePath::LONGEST => {
                return Err(format!(
                    "behind symbolic links its folder is longer than {} bytes",
                    TreePath::LONGEST
                ));
            }
            _ => at = next,
        }
    }
    Ok(at)
}

fn split(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|b| *b == b'/').filter(|p| !p.is_empty() && *p != b".").map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
#[path = "merge_tests.rs"]
mod tests;
