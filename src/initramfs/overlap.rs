//! What would go wrong when the kernel unpacks one member of an initramfs over another.
//!
//! The kernel unpacks entry by entry and says nothing of an entry that it cannot make, so this is looked
//! for before an image is built. Seen with kernel 5.10; see [`super::cpio`] for shared files.

use super::cpio::{Inodes, SHARED_FROM};
use super::tree::{Kind, Node, Tree, TreePath};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// One member: its name, its entries, how its inodes are numbered.
#[derive(Debug, Clone, Copy)]
pub struct Member<'a> {
    pub name: &'a str,
    pub tree: &'a Tree,
    pub inodes: Inodes,
}

/// Two members that are in each other's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlap {
    pub path: TreePath,
    /// The member that comes first (empty for [`Trouble::NoFolder`]), and the later one.
    pub earlier: String,
    pub later: String,
    pub kind: Trouble,
}

/// What is wrong with an [`Overlap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// A folder with content stays, and the later entry, which is no folder, is lost.
    FolderStays,
    /// A symlink is replaced by a folder; what was reached through it no longer is.
    LinkLost,
    /// The entry lies behind a symlink: it lands where the link leads.
    BehindLink,
    /// A part of the path is neither a folder nor a symlink: the entry is lost.
    BehindFile,
    /// The folder that the entry is in is in no member: the entry is lost.
    NoFolder,
    /// A file whose inode is shared with equal files is replaced: its other names would change too, or
    /// later names would be wrong. Right in a member with [`Inodes::Over`].
    SharedReplaced,
    /// The folder gets the mode and owner that the later member states; the earlier one is lost.
    FolderChanged,
}

impl Trouble {
    /// Whether something is lost or wrong. A changed folder is only worth a word.
    pub fn is_error(self) -> bool {
        self != Self::FolderChanged
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, earlier, later, kind } = self;
        match kind {
            Trouble::FolderStays => {
                write!(f, "{path} is a folder with content in {earlier}, and no folder in {later}")
            }
            Trouble::LinkLost => write!(f, "{path} is a symlink in {earlier}, and a folder in {later}"),
            Trouble::BehindLink => {
                write!(f, "{path} of {later} lies behind a symlink of {earlier}, and lands elsewhere")
            }
            Trouble::BehindFile => write!(f, "{path} of {later} lies below a file of {earlier}"),
            Trouble::NoFolder => write!(f, "{path} of {later} is in a folder that nothing makes"),
            Trouble::SharedReplaced => {
                write!(f, "{path} of {earlier} is replaced by {later}, which would change equal files too")
            }
            Trouble::FolderChanged => {
                write!(f, "{path} has another mode or owner in {later} than in {earlier}; the later counts")
            }
        }
    }
}

/// What has been unpacked so far: at each path the node, and the member that it is from.
struct Root<'a> {
    nodes: Tree,
    from: BTreeMap<TreePath, (&'a str, Inodes)>,
}

impl<'a> Root<'a> {
    fn member(&self, path: &TreePath) -> (&'a str, Inodes) {
        self.from.get(path).copied().unwrap_or(("", Inodes::Own))
    }

    /// What keeps the kernel from making the entry where it says, with the part of the path that does.
    fn blocked(&self, path: &TreePath) -> Option<(TreePath, Trouble)> {
        let parent = path.parent()?;
        let mut next = Some(parent.clone());
        while let Some(folder) = next.filter(|folder| !folder.is_root()) {
            match self.nodes.get(&folder).map(|node| &node.kind) {
                Some(Kind::Directory) if folder == parent => return None,
                Some(Kind::Directory) => break,
                Some(Kind::Symlink(_)) => return Some((folder, Trouble::BehindLink)),
                Some(_) => return Some((folder, Trouble::BehindFile)),
                None => next = folder.parent(),
            }
        }
        (!parent.is_root()).then_some((parent, Trouble::NoFolder))
    }

    fn trouble(&self, path: &TreePath, node: &Node, inodes: Inodes) -> Option<(TreePath, Trouble)> {
        if let Some(blocked) = self.blocked(path) {
            return Some(blocked);
        }
        let old = self.nodes.get(path)?;
        let kind = match (&old.kind, &node.kind) {
            (Kind::Directory, Kind::Directory) => {
                let same = (old.mode, old.uid, old.gid) == (node.mode, node.uid, node.gid);
                (!same).then_some(Trouble::FolderChanged)
            }
            (Kind::Directory, _) => self.nodes.below(path).next().map(|_| Trouble::FolderStays),
            (Kind::Symlink(_), Kind::Directory) => Some(Trouble::LinkLost),
            (Kind::File(content), _) => {
                let shared = self.member(path).1 == Inodes::Shared && content.len() >= SHARED_FROM;
                (shared && inodes != Inodes::Over).then_some(Trouble::SharedReplaced)
            }
            _ => None,
        };
        kind.map(|kind| (path.clone(), kind))
    }
}

/// Everything that would go wrong when the kernel unpacks `members` in this order.
pub fn check(members: &[Member<'_>]) -> Vec<Overlap> {
    let mut root = Root { nodes: Tree::new(), from: BTreeMap::new() };
    let mut out = Vec::new();
    for member in members {
        for (path, node) in member.tree.iter().filter(|(path, _)| !path.is_root()) {
            let trouble = root.trouble(path, node, member.inodes);
            if let Some((at, kind)) = &trouble {
                out.push(Overlap {
                    path: path.clone(),
                    earlier: root.member(at).0.to_owned(),
                    later: member.name.to_owned(),
                    kind: *kind,
                });
            }
            // As the kernel leaves it; what is lost is not there for those that follow.
            if !trouble.is_some_and(|(_, kind)| {
                !matches!(kind, Trouble::LinkLost | Trouble::SharedReplaced | Trouble::FolderChanged)
            }) {
                root.nodes.insert(path.clone(), Arc::clone(node));
                root.from.insert(path.clone(), (member.name, member.inodes));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(entries: &[(&str, Node)]) -> Tree {
        let mut tree = Tree::new();
        for (path, node) in entries {
            tree.insert(TreePath::new(path).unwrap(), node.clone());
        }
        tree
    }

    fn found(earlier: &[(&str, Node)], later: &[(&str, Node)], inodes: Inodes) -> Vec<(String, Trouble)> {
        let (earlier, later) = (tree(earlier), tree(later));
        let found = check(&[
            Member { name: "first", tree: &earlier, inodes: Inodes::Shared },
            Member { name: "second", tree: &later, inodes },
        ]);
        for overlap in &found {
            let earlier = if overlap.kind == Trouble::NoFolder { "" } else { "first" };
            assert_eq!((overlap.earlier.as_str(), overlap.later.as_str()), (earlier, "second"));
        }
        found.into_iter().map(|overlap| (overlap.path.to_string(), overlap.kind)).collect()
    }

    fn one(path: &str, kind: Trouble) -> Vec<(String, Trouble)> {
        vec![(path.to_owned(), kind)]
    }

    #[test]
    fn each_trouble_is_found() {
        let folder = || Node::directory(0o755, 0);
        let small = || Node::file(*b"small", 0o644, 0);
        let big = || Node::file(vec![0; 8192], 0o644, 0);
        let link = || Node::symlink("usr/lib", 0);
        let usr = [("usr", folder()), ("usr/lib", folder()), ("lib", link()), ("big", big())];
        use Inodes::{Over, Own, Shared};
        assert_eq!(found(&usr, &[("usr", link())], Over), one("/usr", Trouble::FolderStays));
        assert_eq!(found(&usr, &[("usr/lib", small())], Shared), [], "an empty folder goes");
        assert_eq!(found(&usr, &[("lib", folder())], Over), one("/lib", Trouble::LinkLost));
        assert_eq!(found(&usr, &[("lib/x/y", small())], Own), one("/lib/x/y", Trouble::BehindLink));
        assert_eq!(found(&usr, &[("big/x", small())], Own), one("/big/x", Trouble::BehindFile));
        assert_eq!(found(&usr, &[("usr/x/y", small())], Own), one("/usr/x/y", Trouble::NoFolder));
        assert_eq!(found(&usr, &[("x/y", small())], Own), one("/x/y", Trouble::NoFolder));
        for node in [small(), big(), link()] {
            assert_eq!(found(&usr, &[("big", node.clone())], Own), one("/big", Trouble::SharedReplaced));
            assert_eq!(found(&usr, &[("big", node.clone())], Shared), one("/big", Trouble::SharedReplaced));
            assert_eq!(found(&usr, &[("big", node)], Over), []);
        }
        let other = found(&usr, &[("usr", Node::directory(0o700, 0))], Shared);
        assert_eq!(other, one("/usr", Trouble::FolderChanged));
        assert!(!Trouble::FolderChanged.is_error());
        assert_eq!(found(&usr, &[("usr", folder()), ("usr/new", small())], Shared), []);
    }

    #[test]
    fn what_was_lost_is_not_blamed_for_more() {
        let first = [("a", Node::directory(0o755, 0)), ("a/b", Node::file(*b"", 0o644, 0))];
        let second = [("a", Node::symlink("c", 0)), ("a/d", Node::file(*b"", 0o644, 0))];
        assert_eq!(found(&first, &second, Inodes::Shared), one("/a", Trouble::FolderStays));
    }
}
