//! The kernel image: which of its entries go where.

use super::definition::{Definition, KernelEntry};
use super::links::with_parents;
use super::reference;
use super::rootfs::{path, without_boot};
use crate::initramfs::{Content, Kind, Node, Tree};
use crate::problem::{Problem, Result};

/// The kernel of a plan, with the defaults filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelRef {
    /// Expanded reference, or a component's name.
    pub image: String,
    /// Word for word from the YAML.
    pub cmdline: String,
    /// Path of the kernel in the image.
    pub binary: String,
    /// Path of the tar whose content goes to `/`; none when none is wanted.
    pub tar: Option<String>,
    /// Path of the CPU microcode archive, which goes in front of the initramfs as it is.
    pub ucode: Option<String>,
}

/// The contents taken out of a kernel image. All are byte ranges in the store or inline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelParts {
    pub binary: Content,
    pub tar: Option<Content>,
    /// None also when the image does not have the file that was asked for.
    pub ucode: Option<Content>,
}

impl KernelRef {
    pub(super) fn of(definition: &Definition, is_component: &dyn Fn(&str) -> bool) -> Result<Option<Self>> {
        let Some(KernelEntry { image, cmdline, binary, tar, ucode, origin }) = &definition.kernel else {
            return Ok(None);
        };
        if image.is_empty() {
            return Err(origin.problem("", "the kernel has no image").remedy("add `image:` to `kernel:`"));
        }
        let or =
            |text: &str, default: &str| if text.is_empty() { default.to_owned() } else { text.to_owned() };
        Ok(Some(Self {
            image: if is_component(image) { image.clone() } else { reference::expand(image) },
            cmdline: cmdline.clone(),
            binary: or(binary, "kernel"),
            tar: match tar.as_deref() {
                None => Some("kernel.tar".to_owned()),
                Some("" | "none") => None,
                Some(tar) => Some(tar.to_owned()),
            },
            ucode: ucode.clone().filter(|name| !name.is_empty() && name != "none"),
        }))
    }

    /// Finds the kernel, the tar and the microcode in the kernel image's tree.
    pub fn parts(&self, image: &Tree) -> Result<KernelParts> {
        let find = |name: &str| -> Result<Option<Content>> {
            Ok(match image.get(&path(name)?).map(|node| &node.kind) {
                Some(Kind::File(content)) => Some(content.clone()),
                _ => None,
            })
        };
        let there = || {
            let names = image.iter().map(|(path, _)| path.to_string());
            format!(
                "at its root it has {}",
                names.filter(|n| n.matches('/').count() == 1).collect::<Vec<_>>().join(", ")
            )
        };
        let missing = |what: &str, name: &str, key: &str| {
            Problem::new(format!("did not find {what} {name:?} in the kernel image {}", self.image))
                .remedy(format!("{}; name the right one with `{key}:` below `kernel:`", there()))
        };
        let binary = find(&self.binary)?.ok_or_else(|| missing("the kernel", &self.binary, "binary"))?;
        let tar = match &self.tar {
            None => None,
            Some(name) => Some(find(name)?.ok_or_else(|| missing("the kernel tar", name, "tar"))?),
        };
        let ucode = self.ucode.as_deref().map(find).transpose()?.flatten();
        Ok(KernelParts { binary, tar, ucode })
    }
}

/// The tree of the piece `modules`: the kernel tar's entries at `/` with their own times, without
/// those below `/boot`, and the empty `/boot` that LinuxKit leaves.
pub fn modules_tree(tar: &Tree, mtime: i64) -> Result<Tree> {
    let mut out = with_parents(without_boot(tar)?, &Tree::new(), mtime);
    out.insert(path("boot")?, Node::directory(0o755, mtime));
    Ok(out)
}
