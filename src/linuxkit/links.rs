//! Symbolic links that an earlier piece puts on the path of a later one.
//!
//! The kernel unpacks an initramfs entry by entry. A directory entry on a symlink removes the link; a
//! symlink on a directory that is not empty is lost without a word. Either breaks a root in which
//! `/lib` is a link to `usr/lib`, so entries are moved to where the links lead
//! ([`overlap`](crate::initramfs::overlap) finds what was not).

use crate::initramfs::{Kind, Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use std::collections::BTreeSet;
use std::sync::Arc;

/// As many links as the kernel follows in one path (MAXSYMLINKS).
const MOST_LINKS: usize = 40;

/// Where `path` really lies: every part that is a symlink for `lookup` is followed, the last one only
/// when `follow_last`. A part that is not there is taken as a folder to be.
pub fn resolve<'a>(
    path: &TreePath,
    follow_last: bool,
    lookup: impl Fn(&TreePath) -> Option<&'a Arc<Node>>,
) -> Result<TreePath> {
    let bad = |e| Problem::usage(format!("the path {path} cannot be followed")).because(e);
    let mut todo: Vec<Vec<u8>> = parts(path.as_bytes()).rev().collect();
    let mut out = TreePath::root();
    let mut links = 0;
    while let Some(part) = todo.pop() {
        if part == b".." {
            out = out.parent().unwrap_or_default();
            continue;
        }
        let next = out.join(&TreePath::new(&part).map_err(bad)?);
        let target = match lookup(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) if follow_last || !todo.is_empty() => target,
            _ => {
                out = next;
                continue;
            }
        };
        links += 1;
        if links > MOST_LINKS {
            return Err(Problem::usage(format!(
                "the path {path} goes through more than {MOST_LINKS} symlinks"
            ))
            .remedy("the links may lead back to themselves"));
        }
        if target.starts_with(b"/") {
            out = TreePath::root();
        }
        todo.extend(parts(target).rev());
    }
    Ok(out)
}

fn parts(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec)
}

/// `tree` with its entries moved to where the symlinks of `earlier` lead: with `/lib -> usr/lib` there,
/// `lib/modules` becomes `usr/lib/modules`. A folder that is a link in `earlier` has no entry of its own.
pub fn through_links(tree: &Tree, earlier: &Tree) -> Result<Tree> {
    let mut out = Tree::new();
    for (path, node) in tree.iter() {
        let real = resolve(path, node.is_directory(), |path| earlier.get(path))?;
        let moved = real != *path;
        if moved
            && node.is_directory()
            && earlier.get(&real).or(out.get(&real)).is_some_and(|n| n.is_directory())
        {
            // It is there already, with a mode of its own.
            continue;
        }
        out.insert(real, Arc::clone(node));
    }
    Ok(out)
}

/// `tree` with the folders that an entry needs and that neither it nor `earlier` has (0755, root:root): the
/// kernel drops an entry without a parent.
pub fn with_parents(mut tree: Tree, earlier: &Tree, mtime: i64) -> Tree {
    let mut missing = BTreeSet::new();
    for (path, _) in tree.iter() {
        let mut next = path.parent();
        while let Some(folder) = next.filter(|folder| !folder.is_root()) {
            if tree.get(&folder).is_some() || earlier.get(&folder).is_some() || missing.contains(&folder) {
                break;
            }
            next = folder.parent();
            missing.insert(folder);
        }
    }
    for folder in missing {
        tree.insert(folder, Node::directory(0o755, mtime));
    }
    tree
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn usrmerge() -> Tree {
        let mut tree = Tree::new();
        tree.insert(path("usr/lib"), Node::directory(0o755, 0));
        tree.insert(path("lib"), Node::symlink("usr/lib", 0));
        tree.insert(path("var/run"), Node::symlink("/run", 0));
        tree.insert(path("loop"), Node::symlink("loop/x", 0));
        tree.insert(path("usr/up"), Node::symlink("../../../lib/./x", 0));
        tree
    }

    #[test]
    fn links_are_followed_and_never_leave_the_root() {
        let tree = usrmerge();
        let at = |text: &str, last| resolve(&path(text), last, |p| tree.get(p)).unwrap().to_string();
        assert_eq!(at("lib/modules/5", false), "/usr/lib/modules/5");
        assert_eq!(at("lib", false), "/lib");
        assert_eq!(at("lib", true), "/usr/lib");
        assert_eq!(at("var/run/x", false), "/run/x");
        assert_eq!(at("usr/up/y", false), "/usr/lib/x/y");
        assert!(resolve(&path("loop/y"), false, |p| tree.get(p)).is_err());
    }

    #[test]
    fn a_kernel_tar_with_lib_lands_in_usr_lib() {
        let mut tar = Tree::new();
        tar.insert(path("lib"), Node::directory(0o700, 1));
        tar.insert(path("lib/modules"), Node::directory(0o755, 1));
        tar.insert(path("lib/modules/a.ko"), Node::file(*b"x", 0o644, 1));
        let moved = through_links(&tar, &usrmerge()).unwrap();
        let paths: Vec<_> = moved.iter().map(|(p, _)| p.to_string()).collect();
        assert_eq!(paths, ["/usr/lib/modules", "/usr/lib/modules/a.ko"]);
    }
}
