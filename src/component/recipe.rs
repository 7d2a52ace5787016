//! A recipe becomes an image: packages merged, filtered, completed by what their scripts would have
//! made, checked, and written as one layer.

use super::binaries::Program;
use super::build::{Context, Input, PackageRecord};
use super::definition::{Definition, LABEL, Recipe};
use super::own::{self, OwnFile};
use super::{accounts, ca_bundle, elf, filter, merge};
use crate::debian::deb::{self, Control};
use crate::debian::lock::Package;
use crate::debian::{Error as DebianError, copyright};
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, Node, Tree, TreePath};
use crate::oci::{self, Image, layer::through_links};
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};

/// What Debian's login gives to root; runc takes it from the image's configuration.
const PATH_VARIABLE: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Makes the image. Every package must be in the store.
pub(super) fn assemble(
    ctx: &Context,
    definition: &Definition,
    recipe: &Recipe,
    packages: &[Package],
    files: &[OwnFile<'_>],
    programs: &[Program],
    progress: &dyn Progress,
) -> Result<(Image, Vec<PackageRecord>)> {
    let total = packages.len() as u64 + 2;
    let mut opened: Vec<(&Package, Control, Tree)> = Vec::new();
    for (done, package) in packages.iter().enumerate() {
        progress.at(done as u64, total, Unit::Items);
        progress.check()?;
        let (control, tree) = deb::contents(&ctx.store, &package.sha256)
            .map_err(|source| DebianError::Deb { name: package.file.clone(), source })?;
        for (what, locked) in [("Package", &package.name), ("Version", &package.version)] {
            if control.field(what) != locked {
                return Err(Problem::new(format!(
                    "{} says it is {what} {:?}",
                    package.file,
                    control.field(what)
                ))
                .in_file(super::packages::lock_path(definition))
                .remedy(format!("write the lock anew: hookos components --update {}", definition.name)));
            }
        }
        opened.push((package, control, tree));
    }

    // Times: nothing is later than the newest package, and what we add ourselves has that time, never
    // that of somebody's checkout.
    let times = opened.iter().flat_map(|(_, _, tree)| tree.iter().map(|(_, node)| node.mtime));
    let latest = ctx.epoch.or_else(|| times.max()).unwrap_or(0).max(0);

    let mut tree = merge::skeleton(latest)?;
    let mut merger = merge::Merger::new(&mut tree, progress);
    for (package, _, files) in &opened {
        merger.add(&package.name, files)?;
    }
    let records = opened.iter().map(|(package, control, _)| record(ctx, &tree, package, control)).collect();
    drop(opened);

    let bundle = recipe.ca_bundle.then(|| ca_bundle::of(&ctx.store, &tree)).transpose()?;
    filter::apply(&mut tree, &recipe.drop, &recipe.keep)?;
    add_own(&mut tree, recipe, files, programs, bundle, latest)?;
    progress.at(total - 2, total, Unit::Items);
    elf::check(&ctx.store, &tree, &recipe.optional_libraries, &recipe.leave_out, progress)?;
    progress.check()?;

    progress.at(total - 1, total, Unit::Items);
    let layer = oci::write_layer(&ctx.store, &tree, latest)
        .map_err(|e| Problem::new("the component's layer cannot be written").because(e))?;
    let mut config = oci::Config { env: vec![PATH_VARIABLE.to_owned()], ..oci::Config::default() };
    if let Some(label) = &definition.label {
        config.labels.insert(LABEL.to_owned(), label.clone());
    }
    let image = oci::write_image(&ctx.store, &[layer], &config)
        .map_err(|e| Problem::new("the component's image cannot be written").because(e))?;
    progress.at(total, total, Unit::Items);
    Ok((image, records))
}

fn record(ctx: &Context, tree: &Tree, package: &Package, control: &Control) -> PackageRecord {
    let (source, source_version) = control.source();
    // Where a package shares another's documentation, its folder is a link.
    let path = TreePath::new(format!("usr/share/doc/{}/copyright", package.name)).unwrap_or_default();
    let mut text = Vec::new();
    let place = through_links(tree, &path).unwrap_or_default();
    if let Some(Kind::File(content)) = tree.get(&place).map(|n| &n.kind) {
        let _ = Contents::new(&ctx.store).copy(&path, content, &mut text);
    }
    PackageRecord {
        name: package.name.clone(),
        version: package.version.clone(),
        architecture: package.architecture.clone(),
        sha256: package.sha256,
        source,
        source_version,
        licences: copyright::licences(&String::from_utf8_lossy(&text)),
    }
}

/// Everything that is in no package. Later steps win: accounts, then directories, files, programs,
/// links.
fn add_own(
    tree: &mut Tree,
    recipe: &Recipe,
    files: &[OwnFile<'_>],
    programs: &[Program],
    bundle: Option<Vec<u8>>,
    latest: i64,
) -> Result<()> {
    let add = |tree: &mut Tree, path: &TreePath, node: Node| -> Result<()> {
        let at = merge::merged(path).ok_or_else(|| {
            Problem::usage(format!("{path} is a link into /usr and cannot be something else"))
        })?;
        let at = merge::place(tree, &at)?;
        tree.ensure_parents(&at, latest);
        tree.insert(at, node);
        Ok(())
    };
    let fixed = |text: &str| TreePath::new(text).map_err(|e| Problem::new(e.to_string()));
    // Where the kernel's and the runtime's own file systems go.
    for (name, mode) in [
        ("dev", 0o755),
        ("etc", 0o755),
        ("proc", 0o555),
        ("root", 0o700),
        ("run", 0o755),
        ("sys", 0o555),
        ("tmp", 0o1777),
        ("var", 0o755),
    ] {
        let path = fixed(name)?;
        if tree.get(&path).is_none() {
            tree.insert(path, Node::directory(mode, latest));
        }
    }
    let shadow = recipe.files.iter().any(|f| f.path.get_ref().0.as_bytes() == b"etc/shadow");
    let (passwd, group) = accounts::texts(&recipe.users, &recipe.groups, shadow);
    add(tree, &fixed("etc/passwd")?, Node::file(passwd.into_bytes(), 0o644, latest))?;
    add(tree, &fixed("etc/group")?, Node::file(group.into_bytes(), 0o644, latest))?;
    if let Some(bundle) = bundle {
        add(tree, &fixed(ca_bundle::PATH)?, Node::file(bundle, 0o644, latest))?;
    }
    recipe.own().put(files, programs, latest, |path, node| add(tree, path, node))
}

/// What decided the image, for the manifest.
pub(super) fn inputs(
    definition: &Definition,
    packages: &[Package],
    files: &[OwnFile<'_>],
    programs: &[Program],
) -> Vec<Input> {
    let mut all = vec![Input::of_definition(definition)];
    all.extend(packages.iter().map(|p| Input {
        kind: "package".to_owned(),
        name: p.file.clone(),
        digest: p.sha256,
    }));
    all.extend(own::inputs(definition, files, programs));
    all
}
