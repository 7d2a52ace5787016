//! The trees of packages put into one, with /usr merged.
//!
//! Debian's merged /usr (from trixie on all packages; before, the system's links did it): /bin, /sbin,
//! /lib and /lib64 are links into /usr. Packages of older suites still ship files below the old names;
//! they land where those links would have led them.

use crate::initramfs::tree::{Node, Tree, TreePath};
use crate::oci::layer::through_links;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use std::collections::HashMap;

/// The folders of the root that are links into /usr. The second part tells whether the link is made
/// even where nothing lies behind it.
const MERGED: &[(&str, bool)] =
    &[("bin", true), ("lib", true), ("lib32", false), ("lib64", true), ("libx32", false), ("sbin", true)];

/// Where a path of a package lies once /usr is merged; none for the merged folders themselves.
pub(super) fn merged(path: &TreePath) -> Option<TreePath> {
    let bytes = path.as_bytes();
    let (first, rest) = match bytes.iter().position(|b| *b == b'/') {
        Some(at) => (&bytes[..at], Some(&bytes[at..])),
        None => (bytes, None),
    };
    if !MERGED.iter().any(|(name, _)| name.as_bytes() == first) {
        return Some(path.clone());
    }
    rest.and_then(|_| TreePath::new([b"usr/", bytes].concat()).ok())
}

/// Starts a tree with the merged folders and their links.
pub(super) fn skeleton(mtime: i64) -> Result<Tree> {
    let mut tree = Tree::new();
    let path = |text: &str| TreePath::new(text).map_err(|e| Problem::new(e.to_string()));
    tree.insert(path("usr")?, Node::directory(0o755, mtime));
    for (name, _) in MERGED.iter().filter(|(_, always)| *always) {
        tree.insert(path(&format!("usr/{name}"))?, Node::directory(0o755, mtime));
        tree.insert(path(name)?, Node::symlink(format!("usr/{name}"), mtime));
    }
    Ok(tree)
}

/// Puts package trees, in the order given, into `tree`.
pub(super) struct Merger<'a> {
    tree: &'a mut Tree,
    owners: HashMap<TreePath, String>,
    progress: &'a dyn Progress,
}

impl<'a> Merger<'a> {
    pub(super) fn new(tree: &'a mut Tree, progress: &'a dyn Progress) -> Self {
        Self { tree, owners: HashMap::new(), progress }
    }

    pub(super) fn add(&mut self, package: &str, files: &Tree) -> Result<()> {
        for (path, node) in files.iter().filter(|(path, _)| !path.is_root()) {
            let Some(path) = merged(path) else { continue };
            let path = place(self.tree, &path)?;
            if let Some(old) = self.tree.get(&path) {
                if old.is_directory() && node.is_directory() {
                    // The first package to bring a folder says what it is like, as with dpkg.
                    if self.owners.contains_key(&path) {
                        continue;
                    }
                } else if node.is_directory() {
                    // dpkg keeps a link that stands where a later package has a folder.
                    continue;
                } else if old.is_directory() {
                    self.progress
                        .log(&format!("{path}: a folder already, what {package} has there is left out"));
                    continue;
                } else if old.as_ref() != node.as_ref() {
                    let owner = self.owners.get(&path).map_or("another package", String::as_str);
                    self.progress.log(&format!("{path}: {package} replaces that of {owner}"));
                }
            }
            self.tree.ensure_parents(&path, node.mtime);
            self.tree.insert(path.clone(), node.clone());
            self.owners.insert(path, package.to_owned());
        }
        Ok(())
    }
}

/// Where something at `path` really lies: its parents' links followed, its own name not.
pub(super) fn place(tree: &Tree, path: &TreePath) -> Result<TreePath> {
    match (path.parent(), TreePath::new(path.name())) {
        (Some(parent), Ok(name)) => {
            through_links(tree, &parent).map(|parent| parent.join(&name)).map_err(|why| {
                Problem::new(format!("{path} has no place in the image")).because(std::io::Error::other(why))
            })
        }
        _ => Ok(path.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn tree(nodes: &[(&str, Node)]) -> Tree {
        let mut tree = Tree::new();
        for (name, node) in nodes {
            tree.ensure_parents(&path(name), 0);
            tree.insert(path(name), node.clone());
        }
        tree
    }

    #[test]
    fn old_folders_land_in_usr() {
        let file = Node::file(b"x".to_vec(), 0o755, 5);
        let mut all = skeleton(0).unwrap();
        let mut merger = Merger::new(&mut all, &Silent);
        merger
            .add(
                "base-files",
                &tree(&[("bin", Node::symlink("usr/bin", 0)), ("var/run", Node::symlink("/run", 0))]),
            )
            .unwrap();
        merger
            .add("old", &tree(&[("bin/a", file.clone()), ("lib/x86_64-linux-gnu/l.so", file.clone())]))
            .unwrap();
        merger.add("new", &tree(&[("usr/bin/b", file.clone()), ("var/run/d/f", file)])).unwrap();
        let names: Vec<String> =
            all.iter().filter(|(_, n)| !n.is_directory()).map(|(p, _)| p.to_string()).collect();
        assert_eq!(
            names,
            [
                "/bin",
                "/lib",
                "/lib64",
                "/run/d/f",
                "/sbin",
                "/usr/bin/a",
                "/usr/bin/b",
                "/usr/lib/x86_64-linux-gnu/l.so",
                "/var/run"
            ]
        );
    }

    #[test]
    fn the_first_folder_counts_and_a_later_file_wins() {
        let mut all = skeleton(0).unwrap();
        let mut merger = Merger::new(&mut all, &Silent);
        merger
            .add(
                "one",
                &tree(&[("etc", Node::directory(0o700, 1)), ("etc/f", Node::file(b"1".to_vec(), 0o644, 1))]),
            )
            .unwrap();
        merger
            .add(
                "two",
                &tree(&[("etc", Node::directory(0o755, 1)), ("etc/f", Node::file(b"2".to_vec(), 0o644, 1))]),
            )
            .unwrap();
        merger.add("three", &tree(&[("usr/bin", Node::file(b"evil".to_vec(), 0o644, 1))])).unwrap();
        assert_eq!(all.get(&path("etc")).unwrap().mode, 0o700);
        assert!(all.get(&path("usr/bin")).unwrap().is_directory());
        assert_eq!(**all.get(&path("etc/f")).unwrap(), Node::file(b"2".to_vec(), 0o644, 1));
    }
}
