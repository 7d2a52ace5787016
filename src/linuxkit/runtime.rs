//! config.json and runtime.json of one container.

use super::caps;
use super::definition::{Definition, Origin};
use super::fields::octal;
use super::oci_spec::*;
use super::options::{ContainerOptions, Id, Mount};
use super::resources::DeviceRule;
use crate::oci;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;

/// The version of the runtime specification that LinuxKit states.
const OCI_VERSION: &str = "1.2.1";

const RLIMITS: [&str; 16] = [
    "CPU",
    "FSIZE",
    "DATA",
    "STACK",
    "CORE",
    "RSS",
    "NPROC",
    "NOFILE",
    "MEMLOCK",
    "AS",
    "LOCKS",
    "SIGPENDING",
    "MSGQUEUE",
    "NICE",
    "RTPRIO",
    "RTTIME",
];

/// What is wrong with a container's options: the key and the sentence.
#[derive(Debug)]
pub struct Wrong {
    pub key: String,
    pub what: String,
}

type Checked<T> = std::result::Result<T, Wrong>;

fn wrong<T>(key: impl Into<String>, what: impl Into<String>) -> Checked<T> {
    Err(Wrong { key: key.into(), what: what.into() })
}

impl Wrong {
    pub fn problem(self, origin: &Origin) -> Problem {
        origin.problem(&self.key, self.what)
    }
}

/// Numbers that stand for containers' names in uid and gid.
#[derive(Debug)]
pub enum Ids {
    /// Of one definition.
    Named(BTreeMap<String, u32>),
    /// Any name is fine: the definition is not known.
    Unknown,
}

impl Ids {
    /// From 100, one for each entry of onboot, onshutdown and services; of equal names the later counts.
    pub fn of(definition: &Definition) -> Self {
        let names = definition.containers().map(|container| container.name.clone());
        Self::Named(names.zip(100..).collect())
    }

    pub fn number(&self, key: &str, id: Option<&Id>) -> Checked<u32> {
        match (id, self) {
            (None, _) => Ok(0),
            (Some(Id::Number(number)), _) => Ok(*number),
            (Some(Id::Name(name)), _) if name.is_empty() || name == "root" => Ok(0),
            (Some(Id::Name(name)), _) if name.bytes().all(|b| b.is_ascii_digit()) => {
                wrong(key, format!("cannot find the id {name:?}: leave the quotes away if it is a number"))
            }
            (Some(Id::Name(_)), Self::Unknown) => Ok(0),
            (Some(Id::Name(name)), Self::Named(numbers)) => match numbers.get(name) {
                Some(number) => Ok(*number),
                None => {
                    wrong(key, format!("cannot find the id {name:?}: a name must be that of a container"))
                }
            },
        }
    }
}

/// Checks the text of a label alone, as far as that can be done without an image definition: keys,
/// types, capabilities, binds, mounts, devices, limits.
pub fn validate_run(label: &str) -> Result<()> {
    let (options, origin) = ContainerOptions::from_label(label, "run")?;
    if let Some((key, _)) =
        [("capabilities.add", &options.capabilities_add), ("binds.add", &options.binds_add)]
            .iter()
            .find(|(_, l)| l.is_some())
    {
        return Err(origin
            .problem(key, format!("`{key}` in a label has no effect"))
            .remedy("list everything under the key without `.add`"));
    }
    spec(&options, &oci::Config::default(), &Ids::Unknown).map(|_| ()).map_err(|e| e.problem(&origin))
}

/// Options that are merged already, and the image's own configuration, as config.json.
pub fn spec(options: &ContainerOptions, image: &oci::Config, ids: &Ids) -> Checked<Spec> {
    let list = |list: &Option<Vec<String>>| list.clone().unwrap_or_default();
    let readonly = options.readonly.unwrap_or(false);
    let in_key = |key: &str, what| Wrong { key: key.to_owned(), what };
    let effective = caps::named(&list(&options.capabilities)).map_err(|e| in_key("capabilities", e))?;
    let ambient = caps::named(&list(&options.ambient)).map_err(|e| in_key("ambient", e))?;
    let bounding = caps::bounding(&effective, &ambient);
    let (devices, rules) = devices(options)?;
    let mut resources = SpecResources::from(options.resources.clone().unwrap_or_default());
    resources.devices.extend(rules);
    Ok(Spec {
        oci_version: OCI_VERSION,
        process: Process {
            user: User {
                uid: ids.number("uid", options.uid.as_ref())?,
                gid: ids.number("gid", options.gid.as_ref())?,
                additional_gids: options
                    .additional_gids
                    .iter()
                    .flatten()
                    .enumerate()
                    .map(|(i, id)| ids.number(&format!("additionalGids[{i}]"), Some(id)))
                    .collect::<Checked<_>>()?,
            },
            args: match &options.command {
                Some(command) => command.clone(),
                None => image.entrypoint.iter().chain(&image.cmd).cloned().collect(),
            },
            env: options.env.clone().unwrap_or_else(|| image.env.clone()),
            cwd: match &options.cwd {
                Some(cwd) => cwd.clone(),
                None if image.working_dir.is_empty() => "/".to_owned(),
                None => image.working_dir.clone(),
            },
            capabilities: Capabilities {
                bounding: bounding.clone(),
                effective,
                inheritable: bounding.clone(),
                permitted: bounding,
                ambient,
            },
            rlimits: rlimits(options)?,
            no_new_privileges: options.no_new_privileges.unwrap_or(false),
            oom_score_adj: options.oom_score_adj,
        },
        root: Root { path: "rootfs", readonly },
        hostname: options.hostname.clone().unwrap_or_default(),
        mounts: mounts(options, readonly)?,
        annotations: options.annotations.clone().unwrap_or_default(),
        linux: Linux {
            uid_mappings: options.uid_mappings.clone().unwrap_or_default(),
            gid_mappings: options.gid_mappings.clone().unwrap_or_default(),
            sysctl: options.sysctl.clone().unwrap_or_default(),
            resources,
            cgroups_path: options.cgroups_path.clone().unwrap_or_default(),
            namespaces: namespaces(options),
            devices,
            rootfs_propagation: options.rootfs_propagation.clone().unwrap_or_default(),
            masked_paths: list(&options.masked_paths),
            readonly_paths: list(&options.readonly_paths),
        },
    })
}

/// runtime.json: `first`, the mounts that make the root file system, then what the options say.
pub fn runtime(options: &ContainerOptions, first: Vec<SpecMount>) -> Runtime {
    let own = options.runtime.clone().unwrap_or_default();
    let ns = own.bind_ns.unwrap_or_default();
    Runtime {
        cgroups: own.cgroups.unwrap_or_default(),
        mounts: first.into_iter().chain(own.mounts.into_iter().flatten().map(SpecMount::from)).collect(),
        mkdir: own.mkdir.unwrap_or_default(),
        interfaces: own.interfaces.unwrap_or_default(),
        bind_ns: AllBindNamespaces {
            cgroup: ns.cgroup.unwrap_or_default(),
            ipc: ns.ipc.unwrap_or_default(),
            mnt: ns.mnt.unwrap_or_default(),
            net: ns.net.unwrap_or_default(),
            pid: ns.pid.unwrap_or_default(),
            user: ns.user.unwrap_or_default(),
            uts: ns.uts.unwrap_or_default(),
        },
        namespace: own.namespace.unwrap_or_default(),
    }
}

impl From<Mount> for SpecMount {
    fn from(m: Mount) -> Self {
        Self {
            destination: m.destination,
            kind: m.kind,
            source: m.source,
            options: m.options,
            uid_mappings: m.uid_mappings,
            gid_mappings: m.gid_mappings,
        }
    }
}

fn namespaces(options: &ContainerOptions) -> Vec<Namespace> {
    let mut out = Vec::new();
    let mut add = |kind, value: &Option<String>, unset: &str, new: &[&str]| {
        let value = value.as_deref().unwrap_or(unset);
        if !matches!(value, "host" | "root") {
            let path = if new.contains(&value) { String::new() } else { value.to_owned() };
            out.push(Namespace { kind, path });
        }
    };
    add("network", &options.net, "root", &["new", "none"]);
    add("ipc", &options.ipc, "root", &["new"]);
    add("uts", &options.uts, "root", &["new"]);
    add("pid", &options.pid, "new", &["new"]);
    add("user", &options.userns, "root", &["new"]);
    add("mount", &None, "new", &["new"]);
    out
}

/// Defaults, then tmpfs, binds and mounts, keyed by destination; sorted by it.
fn mounts(options: &ContainerOptions, readonly: bool) -> Checked<Vec<SpecMount>> {
    let mut out: BTreeMap<String, SpecMount> = BTreeMap::new();
    let mut put = |destination: &str, kind: &str, source: &str, options: Vec<String>| {
        let mount = SpecMount {
            destination: destination.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            options,
            ..SpecMount::default()
        };
        out.insert(destination.to_owned(), mount);
    };
    let words = |words: &[&str], ro: bool| -> Vec<String> {
        words.iter().copied().chain(ro.then_some("ro")).map(str::to_owned).collect()
    };
    put("/proc", "proc", "proc", words(&["nosuid", "nodev", "noexec", "relatime"], false));
    put("/dev", "tmpfs", "tmpfs", words(&["nosuid", "strictatime", "mode=755", "size=65536k"], readonly));
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    put("/dev/pts", "devpts", "devpts", words(&pts, false));
    put("/sys", "sysfs", "sysfs", words(&["nosuid", "noexec", "nodev"], readonly));
    put("/sys/fs/cgroup", "cgroup", "cgroup", words(&["nosuid", "noexec", "nodev", "relatime", "ro"], false));

    for (i, tmpfs) in options.tmpfs.iter().flatten().enumerate() {
        let parts: Vec<&str> = tmpfs.split(':').collect();
        match parts.as_slice() {
            [destination] => put(destination, "tmpfs", "tmpfs", Vec::new()),
            [destination, options] => {
                put(destination, "tmpfs", "tmpfs", options.split(',').map(str::to_owned).collect());
            }
            _ => {
                return wrong(
                    format!("tmpfs[{i}]"),
                    format!("cannot parse the tmpfs {tmpfs:?}: too many `:`"),
                );
            }
        }
    }
    for (i, bind) in options.binds.iter().flatten().enumerate() {
        let parts: Vec<&str> = bind.split(':').collect();
        let (source, destination, options) = match parts.as_slice() {
            [source, destination] => (source, destination, words(&["rw", "rbind", "rshared"], false)),
            // `rbind` is always added, also where it is given.
            [source, destination, options] => {
                (source, destination, options.split(',').chain(["rbind"]).map(str::to_owned).collect())
            }
            _ => {
                let what = if parts.len() < 2 { "missing `:`" } else { "too many `:`" };
                return wrong(
                    format!("binds[{i}]"),
                    format!("cannot parse the bind {bind:?}: {what} (source:destination[:options])"),
                );
            }
        };
        put(destination, "bind", source, options);
    }
    for (i, mount) in options.mounts.iter().flatten().enumerate() {
        let key = format!("mounts[{i}]");
        let kind = match (mount.kind.as_str(), mount.source.as_str()) {
            ("", kind @ ("mqueue" | "devpts" | "proc" | "sysfs" | "cgroup")) => kind,
            ("", _) if mount.destination == "/dev" => "tmpfs",
            ("", _) => {
                return wrong(key, format!("the mount with destination {:?} has no type", mount.destination));
            }
            (kind, _) => kind,
        };
        let destination = match (mount.destination.as_str(), kind) {
            ("", "proc") => "/proc",
            ("", "devpts") => "/dev/pts",
            ("", "sysfs") => "/sys",
            ("", "cgroup") => "/sys/fs/cgroup",
            ("", "mqueue") => "/dev/mqueue",
            ("", _) => return wrong(key, format!("the mount of type {kind:?} has no destination")),
            (destination, _) => destination,
        };
        let source = if mount.source.is_empty() { kind } else { &mount.source };
        let spec = SpecMount {
            destination: destination.to_owned(),
            kind: kind.to_owned(),
            source: source.to_owned(),
            ..SpecMount::from(mount.clone())
        };
        out.insert(destination.to_owned(), spec);
    }
    Ok(out.into_values().collect())
}

fn rlimits(options: &ContainerOptions) -> Checked<Vec<Rlimit>> {
    let mut out = Vec::new();
    for (i, text) in options.rlimits.iter().flatten().enumerate() {
        let key = format!("rlimits[{i}]");
        let parts: Vec<&str> = text.splitn(3, ',').map(str::trim).collect();
        let [name, soft, hard] = parts.as_slice() else {
            return wrong(key, format!("cannot parse the limit {text:?}: write name,soft,hard"));
        };
        let upper = name.to_uppercase();
        let short = upper.strip_prefix("RLIMIT_").unwrap_or(&upper);
        if !RLIMITS.contains(&short) {
            let known = RLIMITS.map(str::to_lowercase).join(", ");
            return wrong(key, format!("unknown limit {name:?}; there are {known}"));
        }
        let value = |text: &str| match text.parse() {
            _ if text.eq_ignore_ascii_case("unlimited") => Ok(u64::MAX),
            Ok(value) => Ok(value),
            Err(_) => {
                wrong(key.clone(), format!("{text:?} in the limit {name} is not a number or `unlimited`"))
            }
        };
        out.push(Rlimit { kind: format!("RLIMIT_{short}"), hard: value(hard)?, soft: value(soft)? });
    }
    Ok(out)
}

/// Device nodes, and a cgroup rule for each; `all` makes a rule alone.
fn devices(options: &ContainerOptions) -> Checked<(Vec<SpecDevice>, Vec<DeviceRule>)> {
    let (mut nodes, mut rules) = (Vec::new(), Vec::new());
    for (i, device) in options.devices.iter().flatten().enumerate() {
        let mut rule = DeviceRule {
            allow: true,
            kind: device.kind.clone(),
            major: None,
            minor: None,
            access: "rwm".to_owned(),
        };
        if device.path != "all" {
            let Some(file_mode) = octal(&device.mode) else {
                return wrong(
                    format!("devices[{i}]"),
                    format!(
                        "the device {:?} needs a mode, a quoted octal number such as \"0666\"",
                        device.path
                    ),
                );
            };
            (rule.major, rule.minor) = (Some(device.major), Some(device.minor));
            nodes.push(SpecDevice {
                path: device.path.clone(),
                kind: device.kind.clone(),
                major: device.major,
                minor: device.minor,
                file_mode,
            });
        }
        rules.push(rule);
    }
    Ok((nodes, rules))
}
