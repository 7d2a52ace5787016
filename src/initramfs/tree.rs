//! A file tree in memory whose file contents stay in the store.

use crate::store::Digest;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A path below the root, as bytes: no leading or trailing `/`, no empty, `.` or `..` part.
/// The root itself is the empty path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TreePath(Vec<u8>);

/// Why some bytes are not a path below the root.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadPath {
    #[error("path {0:?} leaves its root with a `..` part")]
    Escapes(String),
    #[error("path {0:?} has a NUL byte")]
    Nul(String),
    #[error("path {0:?} is longer than 4095 bytes")]
    Long(String),
}

impl TreePath {
    /// The longest path that Linux takes, in bytes (PATH_MAX without its NUL).
    pub const LONGEST: usize = 4095;

    pub fn root() -> Self {
        Self::default()
    }

    /// Cleans a path: leading `/`, doubled `/` and `.` parts vanish; a `..` part is refused.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, BadPath> {
        let bytes = bytes.as_ref();
        let shown = || String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        if bytes.contains(&0) {
            return Err(BadPath::Nul(shown()));
        }
        let mut out = Vec::with_capacity(bytes.len());
        for part in bytes.split(|b| *b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => return Err(BadPath::Escapes(shown())),
                part => {
                    if !out.is_empty() {
                        out.push(b'/');
                    }
                    out.extend_from_slice(part);
                }
            }
        }
        if out.len() > Self::LONGEST {
            return Err(BadPath::Long(shown()));
        }
        Ok(Self(out))
    }

    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that holds this path; none for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|b| *b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].to_vec()))
    }

    /// The last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        let start = self.0.iter().rposition(|b| *b == b'/').map_or(0, |i| i + 1);
        &self.0[start..]
    }

    /// This path with `below` put under it.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        if self.is_root() {
            return below.clone();
        }
        let mut out = self.0.clone();
        if !below.is_root() {
            out.push(b'/');
            out.extend_from_slice(&below.0);
        }
        Self(out)
    }

    /// Whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || self.0 == other.0
            || (self.0.starts_with(&other.0) && self.0.get(other.0.len()) == Some(&b'/'))
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The bytes of a file.
#[derive(Clone, PartialEq, Eq)]
pub enum Content {
    Inline(Arc<[u8]>),
    /// `len` bytes from `offset` of a blob in the store.
    Blob {
        digest: Digest,
        offset: u64,
        len: u64,
    },
}

impl Content {
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob { len, .. } => *len,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Inline(bytes) => write!(f, "Inline({} bytes)", bytes.len()),
            Self::Blob { digest, offset, len } => write!(f, "Blob({digest}+{offset}, {len} bytes)"),
        }
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    Directory,
    File(Content),
    /// The target, byte for byte.
    Symlink(Vec<u8>),
    CharDevice {
        major: u32,
        minor: u32,
    },
    BlockDevice {
        major: u32,
        minor: u32,
    },
    Fifo,
}

/// An inode. Names that hold the same `Arc<Node>` are hard links of one another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    /// Permission bits with set-uid, set-gid and sticky (`0o7777`).
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Node {
    /// A node of root:root without extended attributes.
    pub fn new(kind: Kind, mode: u32, mtime: i64) -> Self {
        Self { kind, mode, uid: 0, gid: 0, mtime, xattrs: BTreeMap::new() }
    }

    pub fn directory(mode: u32, mtime: i64) -> Self {
        Self::new(Kind::Directory, mode, mtime)
    }

    pub fn file(bytes: impl Into<Arc<[u8]>>, mode: u32, mtime: i64) -> Self {
        Self::new(Kind::File(Content::Inline(bytes.into())), mode, mtime)
    }

    pub fn symlink(target: impl Into<Vec<u8>>, mtime: i64) -> Self {
        Self::new(Kind::Symlink(target.into()), 0o777, mtime)
    }

    pub fn is_directory(&self) -> bool {
        matches!(self.kind, Kind::Directory)
    }
}

/// Nodes by path, sorted by the bytes of the path (so a folder comes before what it holds).
/// The root has no entry unless one was inserted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: BTreeMap<TreePath, Arc<Node>>,
}

impl Tree {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn len(&self) -> usize {
        self.nodes.len()
    }

    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    pub fn get(&self, path: &TreePath) -> Option<&Arc<Node>> {
        self.nodes.get(path)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, &Arc<Node>)> {
        self.nodes.iter()
    }

    /// What lies below `path`, without `path` itself.
    pub fn below<'a>(&'a self, path: &'a TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Arc<Node>)> {
        // Not one contiguous range: `a-b` sorts between `a` and `a/b`.
        let mut first = path.as_bytes().to_vec();
        if !path.is_root() {
            first.push(b'/');
        }
        self.nodes
            .range(TreePath(first.clone())..)
            .take_while(move |(p, _)| p.0.starts_with(&first))
            .filter(|(p, _)| !p.is_root())
    }

    /// Puts a node at `path`. A node that is not a directory replaces everything below it too;
    /// a directory over a directory keeps what is below.
    pub fn insert(&mut self, path: TreePath, node: impl Into<Arc<Node>>) {
        let node = node.into();
        if !node.is_directory() {
            self.remove_below(&path);
        }
        self.nodes.insert(path, node);
    }

    /// Removes `path` and everything below it; tells whether there was anything.
    pub fn remove(&mut self, path: &TreePath) -> bool {
        let below = self.remove_below(path);
        self.nodes.remove(path).is_some() || below
    }

    /// Removes everything below `path`; tells whether there was anything.
    pub fn remove_below(&mut self, path: &TreePath) -> bool {
        let gone: Vec<TreePath> = self.below(path).map(|(p, _)| p.clone()).collect();
        for path in &gone {
            self.nodes.remove(path);
        }
        !gone.is_empty()
    }

    /// Makes the missing parents of `path` as directories (mode 0755, root:root).
    pub fn ensure_parents(&mut self, path: &TreePath, mtime: i64) {
        let mut next = path.parent();
        while let Some(folder) = next.filter(|p| !p.is_root()) {
            if self.nodes.contains_key(&folder) {
                break;
            }
            next = folder.parent();
            self.nodes.insert(folder, Arc::new(Node::directory(0o755, mtime)));
        }
    }

    /// Puts `other` on top of this tree, below `at`; later wins.
    pub fn overlay(&mut self, at: &TreePath, other: &Self) {
        for (path, node) in &other.nodes {
            self.insert(at.join(path), Arc::clone(node));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn paths_are_cleaned_and_kept_below_the_root() {
        assert_eq!(path("/usr//./bin/").as_bytes(), b"usr/bin");
        assert!(matches!(TreePath::new("a/../b"), Err(BadPath::Escapes(_))));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert!(!path("a-b").starts_with(&path("a")));
    }

    #[test]
    fn below_skips_siblings_with_the_same_beginning() {
        let mut tree = Tree::new();
        for name in ["a", "a-b", "a/c", "a/c/d", "b"] {
            tree.insert(path(name), Node::directory(0o755, 0));
        }
        let below: Vec<_> = tree.below(&path("a")).map(|(p, _)| p.to_string()).collect();
        assert_eq!(below, ["/a/c", "/a/c/d"]);
        assert!(tree.remove(&path("a")));
        assert_eq!(tree.len(), 2);
    }
}
