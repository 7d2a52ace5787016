//! An image definition: what the YAML files say, before labels are merged in.
//!
//! Field order follows LinuxKit's own structures, because the metadata file prints it.

use super::yaml::Mark;
use crate::problem::{Problem, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The merged content of one or more YAML files.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelEntry>,
    /// Image references, unpacked at `/` in order.
    pub init: Vec<String>,
    pub onboot: Vec<Container>,
    pub onshutdown: Vec<Container>,
    pub services: Vec<Container>,
    pub files: Vec<FileEntry>,
    pub volumes: Vec<Volume>,
    /// Where each of `init` stands.
    #[serde(skip)]
    pub init_origins: Vec<Origin>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KernelEntry {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub binary: String,
    /// None: the default `kernel.tar`; empty or `none`: no tar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucode: Option<String>,
    #[serde(skip)]
    pub origin: Origin,
}

/// An entry of onboot, onshutdown or services.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Container {
    pub name: String,
    pub image: String,
    #[serde(flatten)]
    pub options: ContainerOptions,
    #[serde(skip)]
    pub origin: Origin,
}

/// How a container runs: the keys of an image entry without name and image, and the whole of the
/// label. `None` means that the key is not there; an empty list or map counts as set.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub capabilities: Option<Vec<String>>,
    #[serde(rename = "capabilities.add", skip_serializing_if = "Option::is_none")]
    pub capabilities_add: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ambient: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binds: Option<Vec<String>>,
    #[serde(rename = "binds.add", skip_serializing_if = "Option::is_none")]
    pub binds_add: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub devices: Option<Vec<Device>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmpfs: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// In this and the next six an empty text counts as not set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub userns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub masked_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub readonly_paths: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub additional_gids: Option<Vec<Id>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub no_new_privileges: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oom_score_adj: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sysctl: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimits: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid_mappings: Option<Vec<IdMapping>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid_mappings: Option<Vec<IdMapping>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub annotations: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeOptions>,
}

/// What is done on the machine before and after the container is created.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuntimeOptions {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroups: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mounts: Option<Vec<Mount>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mkdir: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interfaces: Option<Vec<Interface>>,
    #[serde(rename = "bindNS", skip_serializing_if = "Option::is_none")]
    pub bind_ns: Option<BindNamespaces>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Interface {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub add: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub peer: String,
    #[serde(rename = "createInRoot")]
    pub create_in_root: bool,
}

/// Paths at which the container's namespaces are bound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct BindNamespaces {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipc: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mnt: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub net: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uts: Option<String>,
}

/// A mount; empty texts and lists count as not set. The keys of the mappings are all-lower-case in YAML.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Mount {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub destination: String,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(rename = "uidmappings", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(rename = "gidmappings", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct IdMapping {
    #[serde(rename = "containerID")]
    pub container: u32,
    #[serde(rename = "hostID")]
    pub host: u32,
    pub size: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    pub path: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub major: i64,
    pub minor: i64,
    /// Octal; needed unless `path` is `all`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
}

/// A number, or the name of a container (see 1.6 of docs/linuxkit.md).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Id {
    Number(u32),
    Name(String),
}

/// Limits; each part is written to config.json as it stands.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Resources {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceRule>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pids: Option<Pids>,
    #[serde(rename = "blockio", skip_serializing_if = "Option::is_none")]
    pub block_io: Option<BlockIo>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hugepage_limits: Vec<HugepageLimit>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<Network>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct DeviceRule {
    pub allow: bool,
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub access: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Memory {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reservation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<i64>,
    #[serde(rename = "kernelTCP", skip_serializing_if = "Option::is_none")]
    pub kernel_tcp: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swappiness: Option<u64>,
    #[serde(rename = "disableOOMKiller", skip_serializing_if = "Option::is_none")]
    pub disable_oom_killer: Option<bool>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shares: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quota: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub period: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_runtime: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realtime_period: Option<u64>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cpus: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mems: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Pids {
    pub limit: i64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockIo {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub weight_device: Vec<WeightDevice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttle_read_bps_device: Vec<ThrottleDevice>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub throttle_write_bps_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleReadIOPSDevice", skip_serializing_if = "Vec::is_empty")]
    pub throttle_read_iops_device: Vec<ThrottleDevice>,
    #[serde(rename = "throttleWriteIOPSDevice", skip_serializing_if = "Vec::is_empty")]
    pub throttle_write_iops_device: Vec<ThrottleDevice>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WeightDevice {
    pub major: i64,
    pub minor: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weight: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub leaf_weight: Option<u16>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ThrottleDevice {
    pub major: i64,
    pub minor: i64,
    pub rate: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct HugepageLimit {
    #[serde(rename = "pageSize")]
    pub page_size: String,
    pub limit: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    #[serde(rename = "classID", skip_serializing_if = "Option::is_none")]
    pub class_id: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priorities: Vec<Priority>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Priority {
    pub name: String,
    pub priority: u32,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// As written: with or without a leading `/`.
    pub path: String,
    pub directory: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub symlink: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// Relative paths start at the folder of the YAML file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    pub optional: bool,
    /// Octal; empty: 0600, 0700 for a directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    #[serde(skip)]
    pub origin: Origin,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    #[serde(skip)]
    pub origin: Origin,
}

/// Where something was written. It says nothing about what was written, so all origins are equal.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub(super) file: PathBuf,
    /// By key, such as `binds` or `binds[2]`; the empty key is the whole.
    pub(super) marks: BTreeMap<String, Mark>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Origin {}

impl Origin {
    pub(super) fn at(file: &Path, mark: Mark) -> Self {
        Self { file: file.to_owned(), marks: BTreeMap::from([(String::new(), mark)]) }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A problem at `key`, or at the whole where the key was not written here.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>) -> Problem {
        let list = key.split('[').next().unwrap_or("");
        match [key, list, ""].iter().find_map(|key| self.marks.get(*key)) {
            Some(mark) => Problem::usage(what).at(&self.file, mark.line, Some(mark.column)),
            None if self.file.as_os_str().is_empty() => Problem::usage(what),
            None => Problem::usage(what).in_file(&self.file),
        }
    }
}

impl Definition {
    /// Onboot, onshutdown and services, in this order.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.onboot.iter().chain(&self.onshutdown).chain(&self.services)
    }

    /// Every image that the definition names, as written, each once, in the order of use: kernel,
    /// init, volumes, onboot, onshutdown, services.
    pub fn components_named(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let kernel = self.kernel.iter().map(|kernel| kernel.image.as_str());
        kernel
            .chain(self.init.iter().map(String::as_str))
            .chain(self.volumes.iter().map(|volume| volume.image.as_str()))
            .chain(self.containers().map(|container| container.image.as_str()))
            .filter(|image| !image.is_empty() && seen.insert(*image))
            .collect()
    }

    /// Adds what a later file says: kernel keys win when set, lists grow.
    pub(super) fn append(&mut self, later: Self) {
        match (&mut self.kernel, later.kernel) {
            (Some(kernel), Some(later)) => kernel.append(later),
            (kernel @ None, later) => *kernel = later,
            (Some(_), None) => {}
        }
        self.init.extend(later.init);
        self.init_origins.extend(later.init_origins);
        self.onboot.extend(later.onboot);
        self.onshutdown.extend(later.onshutdown);
        self.services.extend(later.services);
        self.files.extend(later.files);
        self.volumes.extend(later.volumes);
    }

    /// The rules that reach over several entries or files.
    pub(super) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for service in &self.services {
            if !names.insert(&service.name) {
                return Err(service
                    .origin
                    .problem("name", format!("duplicate service name: {}", service.name))
                    .remedy("services run side by side, so each needs a name of its own"));
            }
        }
        let mut names = BTreeSet::new();
        for volume in &self.volumes {
            if !names.insert(&volume.name) {
                return Err(volume.origin.problem("name", format!("duplicate volume name: {}", volume.name)));
            }
        }
        Ok(())
    }
}

impl KernelEntry {
    fn append(&mut self, later: Self) {
        for (old, new) in [
            (&mut self.image, later.image),
            (&mut self.cmdline, later.cmdline),
            (&mut self.binary, later.binary),
        ] {
            if !new.is_empty() {
                *old = new;
            }
        }
        self.tar = later.tar.or_else(|| self.tar.take());
        self.ucode = later.ucode.or_else(|| self.ucode.take());
        self.origin = later.origin;
    }
}
