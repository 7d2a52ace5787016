//! From YAML to [`ContainerOptions`]: the keys that an entry and a label share.

use super::definition::Origin;
use super::fields::Fields;
use super::options::*;
use super::resources::*;
use super::yaml;
use crate::problem::{Problem, Result};
use std::path::PathBuf;

/// The image label that says how the image runs.
pub const LABEL: &str = "org.mobyproject.config";

/// The keys of a label; an entry of the YAML has `name` and `image` too.
pub const OPTIONS: &[&str] = &[
    "capabilities",
    "capabilities.add",
    "ambient",
    "mounts",
    "binds",
    "binds.add",
    "devices",
    "tmpfs",
    "command",
    "env",
    "cwd",
    "net",
    "pid",
    "ipc",
    "uts",
    "userns",
    "hostname",
    "readonly",
    "maskedPaths",
    "readonlyPaths",
    "uid",
    "gid",
    "additionalGids",
    "noNewPrivileges",
    "oomScoreAdj",
    "rootfsPropagation",
    "cgroupsPath",
    "resources",
    "sysctl",
    "rlimits",
    "uidMappings",
    "gidMappings",
    "annotations",
    "runtime",
];
const MOUNT: &[&str] = &["destination", "type", "source", "options", "uidmappings", "gidmappings"];

impl ContainerOptions {
    /// Parses the text of a label (JSON or YAML, without `name` and `image`). `whose` names the image.
    pub fn from_label(text: &str, whose: &str) -> Result<(Self, Origin)> {
        let file = PathBuf::from(format!("{whose} (label {LABEL})"));
        let node = yaml::read(text.as_bytes(), &file)?;
        let fields = Fields::new(&file, &node, "the label", OPTIONS)?;
        Ok((options(&fields)?, fields.origin()))
    }
}

pub fn options(fields: &Fields<'_>) -> Result<ContainerOptions> {
    let unless_empty = |key| Ok::<_, Problem>(fields.text(key)?.filter(|text| !text.is_empty()));
    Ok(ContainerOptions {
        capabilities: fields.texts("capabilities")?,
        capabilities_add: fields.texts("capabilities.add")?,
        ambient: fields.texts("ambient")?,
        mounts: fields.list("mounts", MOUNT, mount)?,
        binds: fields.texts("binds")?,
        binds_add: fields.texts("binds.add")?,
        devices: fields.list("devices", &["path", "type", "major", "minor", "mode"], |f| {
            Ok(Device {
                path: f.text("path")?.unwrap_or_default(),
                kind: f.text("type")?.unwrap_or_default(),
                major: f.integer("major")?.unwrap_or(0),
                minor: f.integer("minor")?.unwrap_or(0),
                mode: f.octal_text("mode")?,
            })
        })?,
        tmpfs: fields.texts("tmpfs")?,
        command: fields.texts("command")?,
        env: fields.texts("env")?,
        cwd: unless_empty("cwd")?,
        net: unless_empty("net")?,
        pid: unless_empty("pid")?,
        ipc: unless_empty("ipc")?,
        uts: unless_empty("uts")?,
        userns: unless_empty("userns")?,
        hostname: unless_empty("hostname")?,
        readonly: fields.bool("readonly")?,
        masked_paths: fields.texts("maskedPaths")?,
        readonly_paths: fields.texts("readonlyPaths")?,
        uid: fields.id("uid")?,
        gid: fields.id("gid")?,
        additional_gids: match fields.get("additionalGids") {
            None => None,
            Some(node) => {
                let ids = fields.elements("additionalGids", node)?;
                Some(ids.map(|(key, node)| fields.id_of(&key, node)).collect::<Result<_>>()?)
            }
        },
        no_new_privileges: fields.bool("noNewPrivileges")?,
        oom_score_adj: fields.integer("oomScoreAdj")?,
        rootfs_propagation: fields.text("rootfsPropagation")?,
        cgroups_path: fields.text("cgroupsPath")?,
        resources: fields
            .map("resources", &["devices", "memory", "cpu", "pids", "blockio", "hugepageLimits", "network"])?
            .map(|f| resources(&f))
            .transpose()?,
        sysctl: fields.text_map("sysctl")?,
        rlimits: fields.texts("rlimits")?,
        uid_mappings: mappings(fields, "uidMappings")?,
        gid_mappings: mappings(fields, "gidMappings")?,
        annotations: fields.text_map("annotations")?,
        runtime: fields
            .map("runtime", &["cgroups", "mounts", "mkdir", "interfaces", "bindNS", "namespace"])?
            .map(|f| runtime(&f))
            .transpose()?,
    })
}

fn mount(f: &Fields<'_>) -> Result<Mount> {
    Ok(Mount {
        destination: f.text("destination")?.unwrap_or_default(),
        kind: f.text("type")?.unwrap_or_default(),
        source: f.text("source")?.unwrap_or_default(),
        options: f.texts("options")?.unwrap_or_default(),
        uid_mappings: mappings(f, "uidmappings")?.unwrap_or_default(),
        gid_mappings: mappings(f, "gidmappings")?.unwrap_or_default(),
    })
}

fn mappings(fields: &Fields<'_>, key: &'static str) -> Result<Option<Vec<IdMapping>>> {
    fields.list(key, &["hostID", "containerID", "size"], |f| {
        Ok(IdMapping {
            container: f.integer("containerID")?.unwrap_or(0),
            host: f.integer("hostID")?.unwrap_or(0),
            size: f.integer("size")?.unwrap_or(0),
        })
    })
}

fn runtime(f: &Fields<'_>) -> Result<RuntimeOptions> {
    Ok(RuntimeOptions {
        cgroups: f.texts("cgroups")?,
        mounts: f.list("mounts", MOUNT, mount)?,
        mkdir: f.texts("mkdir")?,
        interfaces: f.list("interfaces", &["name", "add", "peer", "createInRoot"], |f| {
            Ok(Interface {
                name: f.text("name")?.unwrap_or_default(),
                add: f.text("add")?.unwrap_or_default(),
                peer: f.text("peer")?.unwrap_or_default(),
                create_in_root: f.bool("createInRoot")?.unwrap_or(false),
            })
        })?,
        bind_ns: f
            .map("bindNS", &["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"])?
            .map(|f| {
                Ok::<_, Problem>(BindNamespaces {
                    cgroup: f.text("cgroup")?,
                    ipc: f.text("ipc")?,
                    mnt: f.text("mnt")?,
                    net: f.text("net")?,
                    pid: f.text("pid")?,
                    user: f.text("user")?,
                    uts: f.text("uts")?,
                })
            })
            .transpose()?,
        namespace: f.text("namespace")?,
    })
}

fn resources(f: &Fields<'_>) -> Result<Resources> {
    let throttle = |f: &Fields<'_>, key| {
        f.list(key, &["major", "minor", "rate"], |f| {
            Ok(ThrottleDevice {
                major: f.integer("major")?.unwrap_or(0),
                minor: f.integer("minor")?.unwrap_or(0),
                rate: f.integer("rate")?.unwrap_or(0),
            })
        })
        .map(Option::unwrap_or_default)
    };
    let memory = |f: Fields<'_>| {
        Ok::<_, Problem>(Memory {
            limit: f.integer("limit")?,
            reservation: f.integer("reservation")?,
            swap: f.integer("swap")?,
            kernel: f.integer("kernel")?,
            kernel_tcp: f.integer("kernelTCP")?,
            swappiness: f.integer("swappiness")?,
            disable_oom_killer: f.bool("disableOOMKiller")?,
        })
    };
    let cpu = |f: Fields<'_>| {
        Ok::<_, Problem>(Cpu {
            shares: f.integer("shares")?,
            quota: f.integer("quota")?,
            period: f.integer("period")?,
            realtime_runtime: f.integer("realtimeRuntime")?,
            realtime_period: f.integer("realtimePeriod")?,
            cpus: f.text("cpus")?.unwrap_or_default(),
            mems: f.text("mems")?.unwrap_or_default(),
        })
    };
    let block_io = |f: Fields<'_>| {
        Ok::<_, Problem>(BlockIo {
            weight: f.integer("weight")?,
            leaf_weight: f.integer("leafWeight")?,
            weight_device: f
                .list("weightDevice", &["major", "minor", "weight", "leafWeight"], |f| {
                    Ok(WeightDevice {
                        major: f.integer("major")?.unwrap_or(0),
                        minor: f.integer("minor")?.unwrap_or(0),
                        weight: f.integer("weight")?,
                        leaf_weight: f.integer("leafWeight")?,
                    })
                })?
                .unwrap_or_default(),
            throttle_read_bps_device: throttle(&f, "throttleReadBpsDevice")?,
            throttle_write_bps_device: throttle(&f, "throttleWriteBpsDevice")?,
            throttle_read_iops_device: throttle(&f, "throttleReadIOPSDevice")?,
            throttle_write_iops_device: throttle(&f, "throttleWriteIOPSDevice")?,
        })
    };
    let network = |f: Fields<'_>| {
        Ok::<_, Problem>(Network {
            class_id: f.integer("classID")?,
            priorities: f
                .list("priorities", &["name", "priority"], |f| {
                    Ok(Priority {
                        name: f.text("name")?.unwrap_or_default(),
                        priority: f.integer("priority")?.unwrap_or(0),
                    })
                })?
                .unwrap_or_default(),
        })
    };
    Ok(Resources {
        devices: f
            .list("devices", &["allow", "type", "major", "minor", "access"], |f| {
                Ok(DeviceRule {
                    allow: f.bool("allow")?.unwrap_or(false),
                    kind: f.text("type")?.unwrap_or_default(),
                    major: f.integer("major")?,
                    minor: f.integer("minor")?,
                    access: f.text("access")?.unwrap_or_default(),
                })
            })?
            .unwrap_or_default(),
        memory: f
            .map(
                "memory",
                &["limit", "reservation", "swap", "kernel", "kernelTCP", "swappiness", "disableOOMKiller"],
            )?
            .map(memory)
            .transpose()?,
        cpu: f
            .map("cpu", &["shares", "quota", "period", "realtimeRuntime", "realtimePeriod", "cpus", "mems"])?
            .map(cpu)
            .transpose()?,
        pids: f
            .map("pids", &["limit"])?
            .map(|f| Ok::<_, Problem>(Pids { limit: f.integer("limit")?.unwrap_or(0) }))
            .transpose()?,
        block_io: f
            .map(
                "blockio",
                &[
                    "weight",
                    "leafWeight",
                    "weightDevice",
                    "throttleReadBpsDevice",
                    "throttleWriteBpsDevice",
                    "throttleReadIOPSDevice",
                    "throttleWriteIOPSDevice",
                ],
            )?
            .map(block_io)
            .transpose()?,
        // The page size is written like `2MB`, though the schema of LinuxKit asks for an integer.
        hugepage_limits: f
            .list("hugepageLimits", &["pageSize", "limit"], |f| {
                Ok(HugepageLimit {
                    page_size: f.text("pageSize")?.unwrap_or_default(),
                    limit: f.integer("limit")?.unwrap_or(0),
                })
            })?
            .unwrap_or_default(),
        network: f.map("network", &["classID", "priorities"])?.map(network).transpose()?,
    })
}
