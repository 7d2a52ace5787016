//! What every image's tree goes through before it becomes a root, a container's root or a volume.

use crate::initramfs::{Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use std::sync::Arc;

/// Entries that belong to the machine on which the image was made.
const DROPPED: [&[u8]; 6] =
    [b".dockerenv", b"Dockerfile", b"dev/console", b"dev/pts", b"dev/shm", b"etc/hostname"];

/// The hosts file that Docker puts into a container without a network.
pub const HOSTS: &str = "127.0.0.1       localhost
::1     localhost ip6-localhost ip6-loopback
fe00::0 ip6-localnet
ff00::0 ip6-mcastprefix
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
";
const NO_RESOLVER: &str = "\n# no resolv.conf configured\n";
const RESOLVER_LINK: &str = "/run/resolvconf/resolv.conf";

/// What `/etc/resolv.conf` becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Resolver {
    /// Init images and volumes: a link to the file that the machine's DHCP client writes.
    Link,
    /// Containers: a stub, over which the file is bound.
    Stub,
}

/// A path that is written in this program.
pub fn path(text: impl AsRef<[u8]>) -> Result<TreePath> {
    let text = text.as_ref();
    TreePath::new(text).map_err(|e| {
        Problem::new(format!("the path {:?} cannot be used", String::from_utf8_lossy(text))).because(e)
    })
}

/// The image's tree without [`DROPPED`], with LinuxKit's own entries: `/dev`, `/dev/pts`, `/dev/shm`,
/// `/etc`, `/proc`, `/sys` as 0755 root:root, hosts, resolv.conf, and mtab where the image has none.
/// The entry of the root itself is left out.
pub fn filtered(image: &Tree, resolver: Resolver, mtime: i64) -> Result<Tree> {
    let mut out = Tree::new();
    for (path, node) in image.iter() {
        if !path.is_root() && !DROPPED.contains(&path.as_bytes()) {
            out.insert(path.clone(), Arc::clone(node));
        }
    }
    for folder in ["dev", "dev/pts", "dev/shm", "etc", "proc", "sys"] {
        out.insert(path(folder)?, Node::directory(0o755, mtime));
    }
    out.insert(path("etc/hosts")?, Node::file(HOSTS.as_bytes(), 0o644, mtime));
    let mtab = path("etc/mtab")?;
    let mtab_node = match out.get(&mtab) {
        Some(own) => Node { mtime, ..Node::clone(own) },
        None => Node { mode: 0o755, ..Node::symlink("/proc/mounts", mtime) },
    };
    out.insert(mtab, mtab_node);
    let resolver = match resolver {
        Resolver::Stub => Node::file(NO_RESOLVER.as_bytes(), 0o644, mtime),
        Resolver::Link => Node { mode: 0o644, ..Node::symlink(RESOLVER_LINK, mtime) },
    };
    out.insert(path("etc/resolv.conf")?, resolver);
    Ok(out)
}

/// The tree without what lies below `/boot`, for which LinuxKit's initramfs has no place, and without
/// an entry for the root itself.
pub fn without_boot(tree: &Tree) -> Result<Tree> {
    let boot = path("boot")?;
    let mut out = Tree::new();
    for (path, node) in tree.iter() {
        if !path.is_root() && (*path == boot || !path.starts_with(&boot)) {
            out.insert(path.clone(), Arc::clone(node));
        }
    }
    Ok(out)
}
