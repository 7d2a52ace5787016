//! What lies in a kernel's packages: the kernel itself, its modules, their lists, firmware.

use super::bzimage;
use super::modules::depmod::Builtin;
use super::modules::elf::Module;
use super::modules::{self, is_module};
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// Where modules and firmware may lie: before and after Debian merged `/lib` into `/usr/lib`.
const LIBRARIES: [&str; 2] = ["usr/lib", "lib"];

/// The largest kernel or list that is read into memory, in bytes.
const LARGEST: u64 = 512 << 20;

/// The parts of a kernel's packages. Paths in here are those of the packages.
pub struct Parts {
    /// Name of the modules' folder, as in `5.10.0-46-amd64`.
    pub version: String,
    pub kernel: Arc<Node>,
    pub system_map: Option<Arc<Node>>,
    pub config: Option<Arc<Node>>,
    /// Every module, in the order of `modules.order`.
    pub modules: Vec<Module>,
    /// A module's file by its path below the modules' folder.
    pub files: HashMap<String, Arc<Node>>,
    pub builtin: Builtin,
    /// By name below `/lib/firmware`.
    pub firmware: BTreeMap<String, Arc<Node>>,
    /// The latest time of any file, in seconds since 1970.
    pub newest: i64,
}

impl Parts {
    /// Finds the parts in `tree`, all packages on top of each other, and reads every module.
    pub fn read(store: &Store, tree: &Tree, progress: &dyn Progress) -> Result<Self> {
        let mut contents = Contents::new(store);
        let boot = |name: &str| {
            let mut found = below(tree, "boot").filter(|(path, _)| path.starts_with(name));
            match (found.next(), found.next()) {
                (Some((path, node)), None) => Some((path[name.len()..].to_owned(), Arc::clone(node))),
                _ => None,
            }
        };
        let Some((version, kernel)) = boot("vmlinuz-") else {
            return Err(Problem::new("the packages do not hold exactly one /boot/vmlinuz-*")
                .remedy("name one kernel in kernel/debian.toml"));
        };
        let image = bytes(&mut contents, "boot/vmlinuz", &kernel)?;
        let release = bzimage::release(&image)
            .map_err(|e| Problem::new(format!("/boot/vmlinuz-{version} is not a kernel")).because(e))?;
        let Some(folder) = LIBRARIES
            .map(|l| format!("{l}/modules/{release}"))
            .into_iter()
            .find(|folder| below(tree, folder).next().is_some())
        else {
            return Err(Problem::new(format!(
                "the kernel says that it is {release}, and the packages have no modules for that"
            )));
        };
        let release = release.to_owned();
        let mut parts = Self {
            version: release,
            kernel,
            system_map: boot("System.map-").map(|(_, node)| node),
            config: boot("config-").map(|(_, node)| node),
            modules: Vec::new(),
            files: HashMap::new(),
            builtin: Builtin::default(),
            firmware: BTreeMap::new(),
            newest: tree.iter().map(|(_, node)| node.mtime).max().unwrap_or(0),
        };
        for library in LIBRARIES {
            let files = below(tree, &format!("{library}/firmware")).filter(|(_, node)| !node.is_directory());
            parts.firmware.extend(files.map(|(path, node)| (path.to_owned(), Arc::clone(node))));
        }
        parts.read_modules(&mut contents, tree, &folder, progress)?;
        Ok(parts)
    }

    /// Names below `/lib/firmware`.
    pub fn firmware_names(&self) -> BTreeSet<String> {
        self.firmware.keys().cloned().collect()
    }

    fn read_modules(
        &mut self,
        contents: &mut Contents<'_>,
        tree: &Tree,
        folder: &str,
        progress: &dyn Progress,
    ) -> Result<()> {
        let mut list = |name: &str| -> Result<Vec<u8>> {
            let path = TreePath::new(format!("{folder}/{name}")).map_err(|e| Problem::new(e.to_string()))?;
            match tree.get(&path) {
                Some(node) => bytes(contents, name, node),
                None => Err(Problem::new(format!("the kernel package has no {name}"))),
            }
        };
        let text = |name: &str, bytes: Vec<u8>| {
            String::from_utf8(bytes)
                .map_err(|_| Problem::new(format!("{name} of the kernel package is not UTF-8")))
        };
        let order = text("modules.order", list("modules.order")?)?;
        self.builtin.list = text("modules.builtin", list("modules.builtin")?)?;
        self.builtin.info = list("modules.builtin.modinfo")?;
        let places: HashMap<&str, usize> = order.lines().zip(0..).collect();
        let mut files: Vec<(&str, &Arc<Node>)> = below(tree, folder)
            .filter(|(path, node)| is_module(path) && matches!(node.kind, Kind::File(_)))
            .collect();
        // What the list does not have comes last; `below` is sorted, and so is this.
        files.sort_by_key(|(path, _)| places.get(modules::plain_path(path)).copied().unwrap_or(usize::MAX));
        let total = files.len() as u64;
        for (done, (path, node)) in files.into_iter().enumerate() {
            if done % 64 == 0 {
                if progress.cancelled() {
                    return Err(Problem::new("cancelled"));
                }
                progress.at(done as u64, total, Unit::Items);
            }
            let module = Module::read(path, &bytes(contents, path, node)?)
                .map_err(|e| Problem::new("a module of the kernel package cannot be read").because(e))?;
            let made_for = module.vermagic.split_ascii_whitespace().next().unwrap_or("");
            if made_for != self.version {
                return Err(Problem::new(format!(
                    "module {path} was made for kernel {made_for:?}, not for {:?}",
                    self.version
                )));
            }
            self.modules.push(module);
            self.files.insert(path.to_owned(), Arc::clone(node));
        }
        progress.at(total, total, Unit::Items);
        Ok(())
    }
}

/// Paths (relative) and nodes below a folder; names that are not UTF-8 are not a kernel's.
fn below<'a>(tree: &'a Tree, folder: &str) -> impl Iterator<Item = (&'a str, &'a Arc<Node>)> + use<'a> {
    let prefix = format!("{folder}/");
    tree.iter().filter_map(move |(path, node)| {
        Some((std::str::from_utf8(path.as_bytes()).ok()?.strip_prefix(&prefix)?, node))
    })
}

fn bytes(contents: &mut Contents<'_>, name: &str, node: &Node) -> Result<Vec<u8>> {
    let problem = |why: &str| Problem::new(format!("{name} of the kernel package {why}"));
    let Kind::File(content) = &node.kind else { return Err(problem("is not a file")) };
    if content.len() > LARGEST {
        return Err(problem("is too large"));
    }
    if let Content::Inline(bytes) = content {
        return Ok(bytes.to_vec());
    }
    let mut out = Vec::with_capacity(usize::try_from(content.len()).unwrap_or(0));
    contents
        .copy(&TreePath::root(), content, &mut out)
        .map_err(|e| problem("cannot be read from the store").because(e))?;
    Ok(out)
}
