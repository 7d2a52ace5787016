//! `runtime.json`: what a LinuxKit bundle wants done around the OCI runtime (linuxkit
//! `pkg/init`/`cmd/service`: prepare the file system before `create`, interfaces and namespace
//! files between `create` and `start`).

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use serde::{Deserialize, Deserializer};

use crate::mounts;

/// The file's content. Every key may be missing or null; unknown keys are for others.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Runtime {
    #[serde(deserialize_with = "or_default")]
    pub cgroups: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub mounts: Vec<Mount>,
    #[serde(deserialize_with = "or_default")]
    pub mkdir: Vec<String>,
    #[serde(deserialize_with = "or_default")]
    pub interfaces: Vec<Interface>,
    #[serde(rename = "bindNS", deserialize_with = "or_default")]
    pub bind_ns: BindNs,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Mount {
    #[serde(deserialize_with = "or_default")]
    pub destination: String,
    #[serde(rename = "type", deserialize_with = "or_default")]
    pub kind: String,
    #[serde(deserialize_with = "or_default")]
    pub source: String,
    #[serde(deserialize_with = "or_default")]
    pub options: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct Interface {
    #[serde(deserialize_with = "or_default")]
    pub name: String,
    /// Kind of link to make.
    #[serde(deserialize_with = "or_default")]
    pub add: String,
    /// Name of a veth's other end, which stays in the root namespace.
    #[serde(deserialize_with = "or_default")]
    pub peer: String,
    #[serde(rename = "createInRoot", deserialize_with = "or_default")]
    pub create_in_root: bool,
}

/// Files that the container's namespaces are bound to; empty means none.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct BindNs {
    #[serde(deserialize_with = "or_default")]
    pub cgroup: String,
    #[serde(deserialize_with = "or_default")]
    pub ipc: String,
    #[serde(deserialize_with = "or_default")]
    pub mnt: String,
    #[serde(deserialize_with = "or_default")]
    pub net: String,
    #[serde(deserialize_with = "or_default")]
    pub pid: String,
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    #[serde(deserialize_with = "or_default")]
    pub uts: String,
}

fn or_default<'de, D: Deserializer<'de>, T: Default + Deserialize<'de>>(d: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(d)?.unwrap_or_default())
}

impl Runtime {
    /// Reads `runtime.json` of a bundle; a missing file is an empty one.
    pub fn read(bundle: &Path) -> Result<Self, String> {
        let path = bundle.join("runtime.json");
        match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(e) => Err(format!("{}: {e}", path.display())),
        }
    }

    /// Mounts, makes folders and cgroups. Mounts inside the bundle are made for every start (and
    /// taken away after it, so that a restarted container finds a fresh root and no stale pid file);
    /// mounts elsewhere on the machine only when `first` says that this is the bundle's first start.
    pub fn prepare(&self, bundle: &Path, first: bool) -> Result<(), String> {
        for mount in &self.mounts {
            let target = at(bundle, &mount.destination);
            if first || target.starts_with(bundle) {
                make_mount(mount, &target).map_err(|e| {
                    let kind = if mount.kind.is_empty() { "bind or remount" } else { &mount.kind };
                    let why = match Errno::from_io_error(&e) {
                        Some(Errno::NODEV) => format!(
                            "the kernel does not know the file system `{kind}` and could not load a module for it"
                        ),
                        _ => e.to_string(),
                    };
                    format!("cannot mount {} ({kind}): {why}", target.display())
                })?;
            }
        }
        for folder in &self.mkdir {
            let folder = at(bundle, folder);
            make_folder(&folder).map_err(|e| format!("cannot make {}: {e}", folder.display()))?;
        }
        for group in &self.cgroups {
            let folder = Path::new("/sys/fs/cgroup").join(inside(group));
            make_folder(&folder).map_err(|e| format!("cannot make the cgroup {}: {e}", folder.display()))?;
        }
        Ok(())
    }

    /// Whether [`Self::attach`] has anything to do.
    pub fn attaches(&self) -> bool {
        !self.interfaces.is_empty() || self.bind_ns != BindNs::default()
    }

    /// Gives the created, not yet started, container its interfaces and binds its namespaces to files.
    pub fn attach(&self, pid: i32) -> Result<(), String> {
        for interface in &self.interfaces {
            attach_interface(interface, pid)
                .map_err(|e| format!("cannot set up the interface {}: {e}", interface.name))?;
        }
        let ns = &self.bind_ns;
        let files = [
            ("cgroup", &ns.cgroup),
            ("ipc", &ns.ipc),
            ("mnt", &ns.mnt),
            ("net", &ns.net),
            ("pid", &ns.pid),
            ("user", &ns.user),
            ("uts", &ns.uts),
        ];
        for (name, path) in files.into_iter().filter(|(_, path)| !path.is_empty()) {
            bind_namespace(pid, name, Path::new(path))
                .map_err(|e| format!("cannot bind the {name} namespace to {path}: {e}"))?;
        }
        Ok(())
    }
}

/// A path of runtime.json: absolute ones are the machine's, others lie in the bundle's rootfs.
fn at(bundle: &Path, path: &str) -> PathBuf {
    if path.starts_with('/') { PathBuf::from(path) } else { bundle.join("rootfs").join(path) }
}

/// The path without a leading `/` and without `..`, to be put below a folder.
fn inside(path: &str) -> PathBuf {
    Path::new(path).components().filter(|c| matches!(c, std::path::Component::Normal(_))).collect()
}

pub(crate) fn make_folder(folder: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder)
}

fn make_mount(mount: &Mount, target: &Path) -> io::Result<()> {
    let options = mounts::parse_options(&mount.options);
    let binds_file = (options.bind.is_some() || mount.kind == "bind") && Path::new(&mount.source).is_file();
    if binds_file {
        make_file(target)?;
    } else {
        make_folder(target)?;
    }
    for word in &options.data {
        if let Some(("upperdir" | "workdir", folder)) = word.split_once('=') {
            make_folder(Path::new(folder))?;
        }
    }
    mounts::mount(&mount.kind, &mount.source, target, &options)
}

fn make_file(path: &Path) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    std::fs::OpenOptions::new().create(true).append(true).open(path).map(drop)
}

/// LinuxKit's rules: `peer` means a veth; a veth, or `createInRoot`, is made here and moved; another
/// `add` is made in the container's namespace; no `add` moves a link that exists.
fn attach_interface(interface: &Interface, pid: i32) -> io::Result<()> {
    let Interface { name, add, peer, create_in_root } = interface;
    let kind = if !peer.is_empty() { "veth" } else { add.as_str() };
    let peer = (!peer.is_empty()).then_some(peer.as_str());
    match kind {
        "" => crate::netlink::move_to(name, pid),
        kind if *create_in_root || kind == "veth" => {
            crate::netlink::add(name, kind, peer, None)?;
            crate::netlink::move_to(name, pid)
        }
        kind => crate::netlink::add(name, kind, None, Some(pid)),
    }
}

fn bind_namespace(pid: i32, name: &str, path: &Path) -> io::Result<()> {
    // A file left by the run before holds the old namespace.
    if path.exists() {
        mounts::unmount(path);
    }
    make_file(path)?;
    rustix::mount::mount_bind(format!("/proc/{pid}/ns/{name}"), path)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_linuxkit_writes() {
        let text = r#"{"cgroups":[],"mounts":[
            {"destination":"/containers/services/a/tmp","type":"tmpfs"},
            {"destination":"/containers/services/a/tmp","options":["remount","private"]},
            {"destination":"/containers/services/a/rootfs","type":"overlay","source":"overlay",
             "options":["lowerdir=/l","upperdir=/t/upper","workdir=/t/work"]}],
            "mkdir":["/var/x"],"interfaces":[{"name":"v0","add":"","peer":"v1","createInRoot":false}],
            "bindNS":{"cgroup":"","ipc":"","mnt":"","net":"/run/netns/a","pid":"","user":"","uts":""},"namespace":""}"#;
        let r: Runtime = serde_json::from_str(text).unwrap();
        assert_eq!(r.mounts.len(), 3);
        assert_eq!(r.mounts[1].options, ["remount", "private"]);
        assert_eq!(r.interfaces[0].peer, "v1");
        assert_eq!(r.bind_ns.net, "/run/netns/a");
    }

    #[test]
    fn nothing_and_nulls() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(Runtime::read(dir.path()).unwrap(), Runtime::default());
        let r: Runtime = serde_json::from_str(r#"{"mounts":null,"mkdir":null,"bindNS":null}"#).unwrap();
        assert_eq!(r, Runtime::default());
        std::fs::write(dir.path().join("runtime.json"), "{").unwrap();
        assert!(Runtime::read(dir.path()).unwrap_err().contains("runtime.json"));
    }

    #[test]
    fn paths_stay_where_they_belong() {
        assert_eq!(at(Path::new("/b"), "etc"), Path::new("/b/rootfs/etc"));
        assert_eq!(at(Path::new("/b"), "/etc"), Path::new("/etc"));
        assert_eq!(inside("/../a/../b"), Path::new("a/b"));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = serde_json::from_str::<Runtime>(&text);
        }
    }
}
