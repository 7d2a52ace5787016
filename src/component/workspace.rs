//! The Cargo workspace of our own programs, read without cargo, so that an unchanged program costs
//! no build.

use super::build::CrateRecord;
use crate::problem::{Problem, Result};
use crate::store::{Digest, Key, KeyMaker};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// A workspace as its manifests state it.
pub(super) struct Workspace {
    pub root: PathBuf,
    pub lock: cargo_lock::Lockfile,
    manifest: toml::Table,
    /// Folder and manifest of each member, by package name.
    members: BTreeMap<String, (PathBuf, toml::Table)>,
}

impl Workspace {
    pub(super) fn read(root: &Path) -> Result<Self> {
        let bad = |e| {
            Problem::usage("the folder of our own programs is not there").in_file(root).because(e).remedy(
                "run this in a checkout of the project: components with [[recipe.binaries]] are built from its sources",
            )
        };
        let root = fs::canonicalize(root).map_err(bad)?;
        let manifest = read_manifest(&root)?;
        let mut members = BTreeMap::new();
        let stated = manifest.get("workspace").and_then(|w| w.get("members")).and_then(toml::Value::as_array);
        for member in stated.into_iter().flatten().filter_map(toml::Value::as_str) {
            for folder in expand(&root, member)? {
                let own = read_manifest(&folder)?;
                let name = own.get("package").and_then(|p| p.get("name")).and_then(toml::Value::as_str);
                if let Some(name) = name {
                    members.insert(name.to_owned(), (folder, own));
                }
            }
        }
        let path = root.join("Cargo.lock");
        let lock = cargo_lock::Lockfile::load(&path)
            .map_err(|e| Problem::new("Cargo's lock file cannot be read").in_file(&path).because(e))?;
        Ok(Self { root, lock, manifest, members })
    }

    /// The packages that are selected together when programs for an image are built: the components.
    pub(super) fn guests(&self) -> impl Iterator<Item = (&str, &toml::Table)> {
        let components = self.root.join("components");
        let guest = self.members.iter().filter(move |(_, (folder, _))| folder.starts_with(&components));
        guest.map(|(name, (_, manifest))| (name.as_str(), manifest))
    }

    /// A key of everything in the workspace that decides the programs of a package: the sources
    /// of the package and of the members that it depends on, what the root manifest states for all,
    /// and what all packages that are built together ask of the locked crates.
    pub(super) fn sources(&self, package: &str) -> Result<Key> {
        let mut key = KeyMaker::new("sources 2");
        for (table, name) in [("workspace", "package"), ("workspace", "dependencies"), ("workspace", "lints")]
        {
            let text = self.manifest.get(table).and_then(|t| t.get(name)).map(ToString::to_string);
            key = key.add(name, text.unwrap_or_default());
        }
        for name in ["guest", "release"] {
            let text = self.manifest.get("profile").and_then(|t| t.get(name)).map(ToString::to_string);
            key = key.add(name, text.unwrap_or_default());
        }
        let mut local = BTreeSet::new();
        let mut todo = vec![package.to_owned()];
        while let Some(name) = todo.pop() {
            if !local.insert(name.clone()) {
                continue;
            }
            let Some((folder, manifest)) = self.members.get(&name) else {
                let known = self.members.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
                return Err(Problem::usage(format!("the workspace has no package {name:?}"))
                    .in_file(self.root.join("Cargo.toml"))
                    .remedy(format!("its packages are: {known}")));
            };
            todo.extend(dependencies(manifest).into_iter().filter(|name| self.members.contains_key(name)));
            key = key.add("member", &name).add("files", hash_folder(folder)?.hex());
        }
        let mut crates = BTreeSet::new();
        for (name, manifest) in self.guests() {
            key = key.add("guest", name);
            for table in ["dependencies", "build-dependencies", "target", "features"] {
                key = key.add(table, manifest.get(table).map(ToString::to_string).unwrap_or_default());
            }
            for dependency in dependencies(manifest) {
                self.locked(&dependency, &mut crates);
            }
        }
        for (name, version, checksum) in crates {
            key = key.add("crate", name).add("version", version).add("checksum", checksum);
        }
        Ok(key.finish())
    }

    /// Adds a crate and all that it depends on. Where the lock has it in several versions, all count.
    fn locked(&self, name: &str, found: &mut BTreeSet<(String, String, String)>) {
        for package in self.lock.packages.iter().filter(|p| p.name.as_str() == name) {
            let checksum = package.checksum.as_ref().map(ToString::to_string).unwrap_or_default();
            if found.insert((name.to_owned(), package.version.to_string(), checksum)) {
                for dependency in &package.dependencies {
                    self.locked(dependency.name.as_str(), found);
                }
            }
        }
    }
}

/// What the lock knows of crates.
pub(super) fn crate_records(
    lock: &cargo_lock::Lockfile,
    names: impl Iterator<Item = (String, String)>,
) -> Vec<CrateRecord> {
    let names: BTreeSet<(String, String)> = names.collect();
    let record = |(name, version): (String, String)| {
        let is = |p: &&cargo_lock::Package| p.name.as_str() == name && p.version.to_string() == version;
        let package = lock.packages.iter().find(is);
        CrateRecord {
            checksum: package.and_then(|p| p.checksum.as_ref()).map(ToString::to_string),
            source: package.and_then(|p| p.source.as_ref()).map(ToString::to_string),
            name,
            version,
        }
    };
    names.into_iter().map(record).collect()
}

fn read_manifest(folder: &Path) -> Result<toml::Table> {
    let path = folder.join("Cargo.toml");
    let text = fs::read_to_string(&path)
        .map_err(|e| Problem::usage("a Cargo manifest cannot be read").in_file(&path).because(e))?;
    text.parse()
        .map_err(|e: toml::de::Error| Problem::usage("a Cargo manifest is damaged").in_file(&path).because(e))
}

/// A member may end in `/*`.
fn expand(root: &Path, member: &str) -> Result<Vec<PathBuf>> {
    let Some(parent) = member.strip_suffix("/*") else { return Ok(vec![root.join(member)]) };
    let folder = root.join(parent);
    let bad =
        |e: io::Error| Problem::usage("a folder of the workspace cannot be read").in_file(&folder).because(e);
    let mut found = Vec::new();
    for entry in fs::read_dir(&folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        if path.join("Cargo.toml").is_file() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Names of the packages that a manifest depends on, without those for tests only.
fn dependencies(manifest: &toml::Table) -> Vec<String> {
    fn of(table: &toml::Table, out: &mut Vec<String>) {
        for kind in ["dependencies", "build-dependencies"] {
            for (name, value) in table.get(kind).and_then(toml::Value::as_table).into_iter().flatten() {
                let real = value.get("package").and_then(toml::Value::as_str);
                out.push(real.unwrap_or(name).to_owned());
            }
        }
    }
    let mut out = Vec::new();
    of(manifest, &mut out);
    for table in manifest.get("target").and_then(toml::Value::as_table).into_iter().flatten() {
        if let Some(table) = table.1.as_table() {
            of(table, &mut out);
        }
    }
    out
}

/// Names and bytes of a crate's files, without what belongs to its component (`component.toml` and
/// `packages.lock` decide no program) and without tests.
fn hash_folder(folder: &Path) -> Result<Key> {
    let bad =
        |path: &Path, e: io::Error| Problem::new("a source file cannot be read").in_file(path).because(e);
    let mut key = KeyMaker::new("files");
    let skipped = |entry: &walkdir::DirEntry| {
        let name = entry.file_name().to_string_lossy();
        let top = entry.depth() == 1
            && matches!(name.as_ref(), "target" | "component.toml" | "packages.lock" | "tests" | "benches");
        entry.depth() > 0 && (top || name.starts_with('.'))
    };
    let walk = walkdir::WalkDir::new(folder).sort_by_file_name().into_iter().filter_entry(|e| !skipped(e));
    for entry in walk {
        let entry = entry.map_err(|e| bad(folder, e.into()))?;
        if !entry.file_type().is_file() {
            continue;
        }
        let path = entry.path();
        let (digest, _) = Digest::of_file(path).map_err(|e| bad(path, e))?;
        let name = path.strip_prefix(folder).unwrap_or(path);
        key = key.add("name", name.as_os_str().as_bytes()).add("bytes", digest.bytes());
    }
    Ok(key.finish())
}
