//! The files that the recipe leaves become the kernel image.

use super::Plan;
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, Node, Tree, TreePath};
use crate::kernel::image::{self, Built, Input, Selected};
use crate::kernel::package::Parts;
use crate::kernel::report::{Amount, Report};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::Store;
use std::sync::Arc;

const DTBS: &str = "dtbs.tar.gz";
/// A file with the seconds since 1970 that everything in the image gets.
const EPOCH: &str = "epoch";

/// Makes the image. Times and owners are given here, so that it does not matter who compiled where.
pub(super) fn image(
    plan: &Plan,
    found: &Tree,
    inputs: Vec<Input>,
    warnings: Vec<String>,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Built> {
    let epoch = text(store, found, EPOCH)?;
    let epoch: i64 = epoch
        .trim()
        .parse()
        .map_err(|_| Problem::new(format!("the recipe left no time in {EPOCH:?}, but {epoch:?}")))?;
    let tree = plain(found, epoch);
    let parts = Parts::read(store, &tree, progress)?;
    let all = parts.modules.iter().fold(Amount::default(), |sum, module| Amount {
        modules: sum.modules + 1,
        bytes: sum.bytes + module.bytes,
    });
    let report = Report { before: all, after: all, ..Report::default() };
    let more: Vec<(&str, Arc<Node>)> = path(DTBS)
        .ok()
        .and_then(|path| tree.get(&path).map(|node| (DTBS, Arc::clone(node))))
        .into_iter()
        .collect();
    let image = image::write(
        store,
        &Selected {
            parts: &parts,
            modules: &parts.modules,
            firmware: &[],
            more: &more,
            version: &plan.tag,
            latest: epoch,
        },
    )?;
    progress.log(&format!("Linux {}: {} in {}", parts.version, all, image.manifest));
    for warning in &warnings {
        progress.log(&format!("warning: {warning}"));
    }
    Ok(Built {
        image,
        version: parts.version.clone(),
        package_version: plan.settings.version(),
        tag: plan.tag.clone(),
        key: plan.key.hex(),
        inputs,
        packages: Vec::new(),
        report,
        warnings,
        cached: false,
    })
}

/// Root's files, of one time, readable by all.
fn plain(found: &Tree, epoch: i64) -> Tree {
    let mut tree = Tree::new();
    for (path, node) in found.iter().filter(|(path, _)| !path.is_root()) {
        let mode = if node.is_directory() || node.mode & 0o100 != 0 { 0o755 } else { 0o644 };
        tree.insert(path.clone(), Node::new(node.kind.clone(), mode, epoch));
    }
    tree
}

fn path(name: &str) -> Result<TreePath> {
    TreePath::new(name).map_err(|e| Problem::new(e.to_string()))
}

fn text(store: &Store, tree: &Tree, name: &str) -> Result<String> {
    let path = path(name)?;
    let Some(Kind::File(content)) = tree.get(&path).map(|node| &node.kind) else {
        return Err(Problem::new(format!("the recipe left no file {name:?}")));
    };
    let mut bytes = Vec::new();
    Contents::new(store)
        .copy(&path, content, &mut bytes)
        .map_err(|e| Problem::new(format!("{name} cannot be read from the store")).because(e))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
