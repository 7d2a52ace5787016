//! What of the packages' files stays in the image.

use super::values::Glob;
use crate::initramfs::tree::{Tree, TreePath};
use crate::problem::{Problem, Result};
use globset::{GlobSet, GlobSetBuilder};

/// Left out of every recipe: texts for people at a desk, and hooks of tools that do not run here. The licences of the packages, which lie in
/// usr/share/doc too, are listed in the SBOM.
const ALWAYS: &[&str] = &[
    "usr/share/applications/**",
    "usr/share/apport/**",
    "usr/share/bash-completion/**",
    "usr/share/bug/**",
    "usr/share/doc-base/**",
    "usr/share/doc/**",
    "usr/share/fish/**",
    "usr/share/info/**",
    "usr/share/initramfs-tools/**",
    "usr/share/linda/**",
    "usr/share/lintian/**",
    "usr/share/locale/**",
    "usr/share/man/**",
    "usr/share/pixmaps/**",
    "usr/share/zsh/**",
];

/// Removes what is never wanted and what `drop` names; with a `keep` that is not empty, also all that
/// it does not name. A folder that a match leaves empty goes too; a folder on the way to what stays
/// stays.
pub(super) fn apply(tree: &mut Tree, drop: &[Glob], keep: &[Glob]) -> Result<()> {
    let always = ALWAYS.iter().filter_map(|p| Glob::try_from((*p).to_owned()).ok());
    let dropped = set(&always.chain(drop.iter().cloned()).collect::<Vec<_>>())?;
    let kept = set(keep)?;
    let matches = |set: &GlobSet, path: &TreePath| set.is_match(to_path(path));
    let stays = |path: &TreePath| {
        // A pattern that names a folder speaks for all below it.
        let mut at = Some(path.clone());
        let (mut dropping, mut keeping) = (false, keep.is_empty());
        while let Some(here) = at.filter(|p| !p.is_root()) {
            dropping |= matches(&dropped, &here);
            keeping |= !keep.is_empty() && matches(&kept, &here);
            at = here.parent();
        }
        keeping && !dropping
    };
    let mut gone: Vec<TreePath> = Vec::new();
    let mut needed: std::collections::BTreeSet<TreePath> = std::collections::BTreeSet::new();
    let mut emptied: std::collections::BTreeSet<TreePath> = std::collections::BTreeSet::new();
    for (path, _) in tree.iter() {
        if stays(path) {
            let mut above = path.parent();
            while let Some(folder) = above.filter(|p| !p.is_root()) {
                above = folder.parent();
                if !needed.insert(folder) {
                    break;
                }
            }
        } else {
            gone.push(path.clone());
            let mut above = path.parent();
            while let Some(folder) = above.filter(|p| !p.is_root()) {
                above = folder.parent();
                emptied.insert(folder);
            }
        }
    }
    for path in gone.iter().rev() {
        if !needed.contains(path) {
            tree.remove(path);
        }
    }
    for folder in emptied.iter().rev() {
        let empty = tree.get(folder).is_some_and(|n| n.is_directory()) && tree.below(folder).next().is_none();
        if empty {
            tree.remove(folder);
        }
    }
    Ok(())
}

fn set(globs: &[Glob]) -> Result<GlobSet> {
    let mut builder = GlobSetBuilder::new();
    for glob in globs {
        builder.add(glob.0.clone());
    }
    builder.build().map_err(|e| Problem::usage("the globs of `drop` and `keep` are too many").because(e))
}

fn to_path(path: &TreePath) -> &std::path::Path {
    use std::os::unix::ffi::OsStrExt as _;
    std::path::Path::new(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initramfs::tree::Node;

    fn tree() -> Tree {
        let mut tree = Tree::new();
        for file in ["usr/share/doc/a/copyright", "usr/bin/a", "usr/bin/b", "usr/lib/x/y.so", "etc/conf"] {
            let path = TreePath::new(file).unwrap();
            tree.ensure_parents(&path, 0);
            tree.insert(path, Node::file(b"".to_vec(), 0o644, 0));
        }
        tree.insert(TreePath::new("var/empty").unwrap(), Node::directory(0o755, 0));
        tree
    }

    fn names(tree: &Tree) -> Vec<String> {
        tree.iter().map(|(p, _)| p.to_string()).collect()
    }

    fn globs(texts: &[&str]) -> Vec<Glob> {
        texts.iter().map(|t| Glob::try_from((*t).to_owned()).unwrap()).collect()
    }

    #[test]
    fn drop_takes_matches_and_what_they_leave_empty() {
        let mut it = tree();
        apply(&mut it, &globs(&["usr/bin/b", "/usr/lib/x"]), &[]).unwrap();
        assert_eq!(names(&it), ["/etc", "/etc/conf", "/usr", "/usr/bin", "/usr/bin/a", "/var/empty"]);
    }

    #[test]
    fn keep_leaves_matches_alone() {
        let mut it = tree();
        apply(&mut it, &globs(&["**/b"]), &globs(&["usr/bin", "usr/lib/**/*.so"])).unwrap();
        assert_eq!(
            names(&it),
            ["/usr", "/usr/bin", "/usr/bin/a", "/usr/lib", "/usr/lib/x", "/usr/lib/x/y.so"]
        );
    }
}
