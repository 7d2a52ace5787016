//! The files that the recipe leaves become the kernel image.

use super::Plan;
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, Node, Tree, TreePath};
use crate::kernel::bzimage;
use crate::kernel::image::{self, Built, Input, Selected};
use crate::kernel::package::Parts;
use crate::kernel::report::{Amount, Report};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Key, Store};
use std::sync::Arc;

/// What `COMMAND_LINE_SIZE` 4096 gives, in bytes without the end.
const CMDLINE: u32 = 4095;
const DTBS: &str = "dtbs.tar.gz";
/// A file with the seconds since 1970 that everything in the image gets.
const EPOCH: &str = "epoch";
/// A file with the tools that decided bytes.
const TOOLS: &str = "tools";

/// Makes the image. Times and owners are given here, so that it does not matter who compiled where.
pub(super) fn image(
    plan: &Plan,
    key: &Key,
    found: &Tree,
    mut inputs: Vec<Input>,
    warnings: Vec<String>,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Built> {
    let epoch = text(store, found, EPOCH)?;
    let epoch: i64 = epoch
        .trim()
        .parse()
        .map_err(|_| Problem::new(format!("the recipe left no time in {EPOCH:?}, but {epoch:?}")))?;
    let tools = text(store, found, TOOLS)?;
    inputs.push(Input {
        name: format!("tools: {}", tools.lines().collect::<Vec<_>>().join("; ")),
        sha256: Digest::of(tools.as_bytes()),
    });
    let tree = plain(found, epoch);
    let parts = Parts::read(store, &tree, progress)?;
    let all = parts.modules.iter().fold(Amount::default(), |sum, module| Amount {
        modules: sum.modules + 1,
        bytes: sum.bytes + module.bytes,
    });
    let report = Report { before: all, after: all, ..Report::default() };
    let dtbs = tree.get(&path(DTBS)?).ok_or_else(|| Problem::new(format!("the recipe left no {DTBS}")))?;
    let more = [(DTBS, Arc::clone(dtbs))];
    if parts.system_map.is_none() {
        return Err(Problem::new("the recipe left no System.map"));
    }
    let kernel = bytes(store, &path("kernel")?, &parts.kernel.kind)?;
    match bzimage::cmdline_size(&kernel) {
        Some(size) if size >= CMDLINE => {}
        size => {
            let size = size.unwrap_or(0);
            return Err(Problem::new(format!(
                "the recipe's kernel takes {size} bytes of command line, and {CMDLINE} are wanted"
            )));
        }
    }
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
        progress.warn(&warning.to_string());
    }
    Ok(Built {
        image,
        version: parts.version.clone(),
        package_version: plan.settings.version(),
        tag: plan.tag.clone(),
        key: key.hex(),
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
    let Some(node) = tree.get(&path) else {
        return Err(Problem::new(format!("the recipe left no file {name:?}")));
    };
    Ok(String::from_utf8_lossy(&bytes(store, &path, &node.kind)?).into_owned())
}

fn bytes(store: &Store, path: &TreePath, kind: &Kind) -> Result<Vec<u8>> {
    let Kind::File(content) = kind else {
        return Err(Problem::new(format!("what the recipe left as {path} is no file")));
    };
    let mut bytes = Vec::new();
    Contents::new(store)
        .copy(path, content, &mut bytes)
        .map_err(|e| Problem::new(format!("{path} cannot be read from the store")).because(e))?;
    Ok(bytes)
}
