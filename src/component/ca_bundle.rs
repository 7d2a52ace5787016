//! The CA bundle that `update-ca-certificates` would have made.

use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, Tree, TreePath};
use crate::problem::{Problem, Result};
use crate::store::Store;

/// Where programs look for it.
pub(super) const PATH: &str = "etc/ssl/certs/ca-certificates.crt";
const FOLDER: &str = "usr/share/ca-certificates";

/// All PEM files of the package `ca-certificates`, sorted by path, one after the other.
pub(super) fn of(store: &Store, tree: &Tree) -> Result<Vec<u8>> {
    let folder = TreePath::new(FOLDER).unwrap_or_default();
    let mut contents = Contents::new(store);
    let mut bundle = Vec::new();
    for (path, node) in tree.below(&folder).filter(|(path, _)| path.name().ends_with(b".crt")) {
        let Kind::File(content) = &node.kind else { continue };
        contents
            .copy(path, content, &mut bundle)
            .map_err(|e| Problem::new("a CA certificate cannot be read").because(e))?;
        if bundle.last().is_some_and(|b| *b != b'\n') {
            bundle.push(b'\n');
        }
    }
    if bundle.is_empty() {
        return Err(Problem::usage("`ca_bundle = true`, and no package brings CA certificates")
            .remedy("add \"ca-certificates\" to `packages`"));
    }
    Ok(bundle)
}
