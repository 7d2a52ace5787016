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
                progress.check()?;
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

pub(super) fn bytes(contents: &mut Contents<'_>, name: &str, node: &Node) -> Result<Vec<u8>> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::modules::elf::tests::module;
    use crate::progress::Silent;

    fn kernel(version: &str) -> Vec<u8> {
        let mut image = vec![0; 0x400];
        image[0x1fe..0x206].copy_from_slice(b"\x55\xaa\0\0HdrS");
        image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
        image[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
        image.extend(format!("{version} (x)\0").bytes());
        image
    }

    fn read(files: &[(&str, Vec<u8>)]) -> Result<Parts> {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        for (name, bytes) in files {
            tree.insert(TreePath::new(name).unwrap(), Node::file(bytes.clone(), 0o644, 7));
        }
        Parts::read(&store, &tree, &Silent)
    }

    fn package() -> Vec<(&'static str, Vec<u8>)> {
        vec![
            ("boot/vmlinuz-5.10-x", kernel("5.10-x")),
            ("lib/firmware/a/b.bin", vec![1]),
            ("lib/modules/5.10-x/kernel/b.ko", module(&["vermagic=5.10-x SMP"], &[], &[])),
            ("lib/modules/5.10-x/kernel/a.ko", module(&["vermagic=5.10-x SMP"], &[], &[])),
            ("lib/modules/5.10-x/modules.order", b"kernel/b.ko\nkernel/a.ko\n".to_vec()),
            ("lib/modules/5.10-x/modules.builtin", Vec::new()),
            ("lib/modules/5.10-x/modules.builtin.modinfo", Vec::new()),
        ]
    }

    #[test]
    fn the_parts_of_a_package_are_found() {
        let parts = read(&package()).unwrap();
        assert_eq!(parts.version, "5.10-x");
        assert_eq!(parts.newest, 7);
        let names: Vec<_> = parts.modules.iter().map(|m| m.path.as_str()).collect();
        assert_eq!(names, ["kernel/b.ko", "kernel/a.ko"], "in the order of modules.order");
        assert_eq!(parts.firmware_names(), BTreeSet::from(["a/b.bin".to_owned()]));
    }

    #[test]
    fn packages_that_do_not_fit_together_are_refused() {
        let refused = |change: &dyn Fn(&mut Vec<(&'static str, Vec<u8>)>)| {
            let mut files = package();
            change(&mut files);
            read(&files).err().map(|problem| problem.to_string()).unwrap_or_default()
        };
        let said = refused(&|files| files.push(("boot/vmlinuz-5.10-y", kernel("5.10-y"))));
        assert!(said.contains("exactly one"), "{said}");
        let said = refused(&|files| files[0].1 = kernel("5.10-y"));
        assert!(said.contains("no modules for that"), "{said}");
        let said = refused(&|files| files[0].1 = b"\x7fELF".to_vec());
        assert!(said.contains("not a kernel"), "{said}");
        let said = refused(&|files| files[2].1 = module(&["vermagic=5.9 SMP"], &[], &[]));
        assert!(said.contains("made for kernel \"5.9\""), "{said}");
        let said = refused(&|files| files[3].1 = b"cut".to_vec());
        assert!(said.contains("kernel/a.ko"), "{said}");
        let said = refused(&|files| {
            files.remove(4);
        });
        assert!(said.contains("modules.order"), "{said}");
    }
}
