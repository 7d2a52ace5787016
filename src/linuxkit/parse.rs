//! From YAML to a [`Definition`]: unknown keys and wrong types are errors with their place.

use super::definition::*;
use super::reference;
use super::yaml::{self, Key, Mark, Node, Value};
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The image label that says how the image runs.
pub const LABEL: &str = "org.mobyproject.config";

const TOP: &[&str] = &["kernel", "init", "volumes", "onboot", "onshutdown", "services", "files", "trust"];
const OPTIONS: &[&str] = &[
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

impl Definition {
    /// Reads and merges YAML files, left to right.
    pub fn read<P: AsRef<Path>>(files: &[P]) -> Result<Self> {
        let mut all = Self::default();
        for path in files {
            let path = path.as_ref();
            let wrong = |e| Problem::usage("cannot read the image definition").in_file(path).because(e);
            let mut text = Vec::new();
            // One byte more than is accepted, so that a longer file is told from one that just fits.
            let file = std::fs::File::open(path).map_err(wrong)?;
            file.take(yaml::LONGEST + 1).read_to_end(&mut text).map_err(wrong)?;
            all.append(Self::one(&text, path)?);
        }
        all.check()?;
        Ok(all)
    }

    /// Parses one YAML text; `file` is named in problems, and its folder is where `source:` paths begin.
    pub fn parse(text: &str, file: impl AsRef<Path>) -> Result<Self> {
        let definition = Self::one(text.as_bytes(), file.as_ref())?;
        definition.check()?;
        Ok(definition)
    }

    fn one(text: &[u8], file: &Path) -> Result<Self> {
        let node = yaml::read(text, file)?;
        refuse_templates(&node, file)?;
        let top = Fields::new(file, &node, "the definition", TOP)?;
        if let Some(trust) = top.map("trust", &["image", "org"])? {
            trust.texts("image")?;
            trust.texts("org")?;
        }
        let init = top.texts("init")?.unwrap_or_default();
        let mut init_origins = Vec::new();
        for (image, mark) in init.iter().zip(top.element_marks("init")) {
            let origin = Origin::at(file, mark);
            check_reference(&origin, "", image)?;
            init_origins.push(origin);
        }
        Ok(Self {
            kernel: top
                .map("kernel", &["image", "cmdline", "binary", "tar", "ucode"])?
                .map(|fields| kernel(&fields))
                .transpose()?,
            init,
            init_origins,
            volumes: top
                .maps("volumes", &["name", "image", "readonly", "format", "platforms"])?
                .iter()
                .map(volume)
                .collect::<Result<_>>()?,
            onboot: containers(&top, "onboot")?,
            onshutdown: containers(&top, "onshutdown")?,
            services: containers(&top, "services")?,
            files: top
                .maps(
                    "files",
                    &[
                        "path",
                        "directory",
                        "symlink",
                        "contents",
                        "source",
                        "metadata",
                        "optional",
                        "mode",
                        "uid",
                        "gid",
                    ],
                )?
                .iter()
                .map(file_entry)
                .collect::<Result<_>>()?,
        })
    }
}

impl ContainerOptions {
    /// Parses the text of a label (JSON or YAML, without `name` and `image`). `whose` names the image.
    pub fn from_label(text: &str, whose: &str) -> Result<(Self, Origin)> {
        let file = PathBuf::from(format!("{whose} (label {LABEL})"));
        let node = yaml::read(text.as_bytes(), &file)?;
        let fields = Fields::new(&file, &node, "the label", OPTIONS)?;
        Ok((options(&fields)?, fields.origin()))
    }
}

fn refuse_templates(node: &Node, file: &Path) -> Result<()> {
    match &node.value {
        Value::Text(text) if text.starts_with("@pkg:") => Err(Problem::usage(format!(
            "the template {text:?} is not supported"
        ))
        .at(file, node.mark.line, Some(node.mark.column))
        .remedy(
            "write the image's full reference: it is what `linuxkit pkg show-tag` prints for that folder",
        )),
        Value::List(list) => list.iter().try_for_each(|node| refuse_templates(node, file)),
        Value::Map(map) => map.iter().try_for_each(|(_, node)| refuse_templates(node, file)),
        _ => Ok(()),
    }
}

fn check_reference(origin: &Origin, key: &str, image: &str) -> Result<()> {
    match reference::fault(image) {
        Some(fault) => Err(origin.problem(key, fault)),
        None => Ok(()),
    }
}

fn kernel(fields: &Fields<'_>) -> Result<KernelEntry> {
    let origin = fields.origin();
    let kernel = KernelEntry {
        image: fields.text("image")?.unwrap_or_default(),
        cmdline: fields.text("cmdline")?.unwrap_or_default(),
        binary: fields.text("binary")?.unwrap_or_default(),
        tar: fields.text("tar")?,
        ucode: fields.text("ucode")?,
        origin,
    };
    if !kernel.image.is_empty() {
        check_reference(&kernel.origin, "image", &kernel.image)?;
    }
    Ok(kernel)
}

fn volume(fields: &Fields<'_>) -> Result<Volume> {
    let volume = Volume {
        name: fields.needed("name")?,
        image: fields.text("image")?.unwrap_or_default(),
        readonly: fields.bool("readonly")?.unwrap_or(false),
        format: fields.text("format")?.unwrap_or_default(),
        platforms: fields.texts("platforms")?.unwrap_or_default(),
        origin: fields.origin(),
    };
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
    if volume.name.is_empty() || !volume.name.bytes().all(letter) {
        return Err(volume
            .origin
            .problem("name", format!("invalid volume name: {:?}", volume.name))
            .remedy("a volume's name has small letters, digits, `_` and `-`"));
    }
    if !matches!(volume.format.as_str(), "" | "oci" | "filesystem") {
        return Err(volume
            .origin
            .problem("format", format!("unknown volume format {:?}", volume.format))
            .remedy("a volume's format is `filesystem` or `oci`"));
    }
    if !volume.image.is_empty() {
        check_reference(&volume.origin, "image", &volume.image)?;
    }
    Ok(volume)
}

fn containers(top: &Fields<'_>, section: &'static str) -> Result<Vec<Container>> {
    let accepted: Vec<&'static str> = ["name", "image"].iter().chain(OPTIONS).copied().collect();
    let mut out = Vec::new();
    for fields in top.maps(section, &accepted)? {
        let container = Container {
            name: fields.needed("name")?,
            image: fields.needed("image")?,
            options: options(&fields)?,
            origin: fields.origin(),
        };
        let parts: Vec<&str> = container.name.split('/').collect();
        if parts.iter().any(|part| matches!(*part, "" | "." | "..")) || container.name.contains('\0') {
            return Err(container
                .origin
                .problem("name", format!("{:?} cannot be a container's name", container.name))
                .remedy("the name becomes a folder below /containers"));
        }
        check_reference(&container.origin, "image", &container.image)?;
        out.push(container);
    }
    Ok(out)
}

fn options(fields: &Fields<'_>) -> Result<ContainerOptions> {
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

fn file_entry(fields: &Fields<'_>) -> Result<FileEntry> {
    let file = FileEntry {
        path: fields.needed("path")?,
        directory: fields.bool("directory")?.unwrap_or(false),
        symlink: fields.text("symlink")?.unwrap_or_default(),
        contents: fields.text("contents")?,
        source: fields.text("source")?.unwrap_or_default(),
        metadata: fields.text("metadata")?.unwrap_or_default(),
        optional: fields.bool("optional")?.unwrap_or(false),
        mode: fields.octal_text("mode")?,
        uid: fields.id("uid")?,
        gid: fields.id("gid")?,
        origin: fields.origin(),
    };
    let wrong = |key, what: String| Err(file.origin.problem(key, what));
    match crate::initramfs::TreePath::new(&file.path) {
        Ok(path) if path.is_root() => return wrong("path", "a file's path is empty".into()),
        Ok(_) => {}
        Err(e) => return Err(file.origin.problem("path", "the path cannot be used").because(e)),
    }
    let given: Vec<&str> = [
        ("contents", file.contents.is_some()),
        ("source", !file.source.is_empty()),
        ("metadata", !file.metadata.is_empty()),
    ]
    .iter()
    .filter(|(_, given)| *given)
    .map(|(key, _)| *key)
    .collect();
    match (file.directory, file.symlink.is_empty(), given.as_slice()) {
        (true, true, []) | (false, true, [_]) => {}
        (true, false, _) => {
            return wrong("symlink", format!("{} is a directory and a symlink at once", file.path));
        }
        (true, _, [key, ..]) => return wrong(key, format!("{} is a directory: it has no {key}", file.path)),
        // What is beside a symlink is dropped, as by LinuxKit; the plan warns of it.
        (false, false, _) => {}
        (false, true, []) => {
            return Err(file
                .origin
                .problem("path", format!("{} has no content", file.path))
                .remedy("give it one of contents, source, metadata, symlink or directory"));
        }
        (false, true, [_, second, ..]) => {
            return wrong(second, format!("{} has two contents: {}", file.path, given.join(" and ")));
        }
    }
    if !matches!(file.metadata.as_str(), "" | "yaml" | "json") {
        return wrong("metadata", format!("unknown metadata format {:?}; it is yaml or json", file.metadata));
    }
    Ok(file)
}

/// The entries of one map, all of them known keys.
struct Fields<'a> {
    file: &'a Path,
    what: String,
    mark: Mark,
    map: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    fn new(file: &'a Path, node: &'a Node, what: &str, accepted: &[&'static str]) -> Result<Self> {
        let Value::Map(map) = &node.value else {
            return Err(Problem::usage(format!("{what} must be a map, and is {}", node.value.kind())).at(
                file,
                node.mark.line,
                Some(node.mark.column),
            ));
        };
        for (key, _) in map {
            if accepted.contains(&key.text.as_str()) {
                continue;
            }
            let problem = Problem::usage(format!("unknown key `{}` in {what}", key.text)).at(
                file,
                key.mark.line,
                Some(key.mark.column),
            );
            return Err(match nearest(&key.text, accepted) {
                Some(near) => problem.remedy(format!("did you mean `{near}`?")),
                None => problem.remedy(format!("accepted: {}", accepted.join(", "))),
            });
        }
        Ok(Self { file, what: what.to_owned(), mark: node.mark, map })
    }

    fn get(&self, key: &str) -> Option<&'a Node> {
        self.map.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    fn path(&self, key: &str) -> String {
        if self.what.starts_with("the ") { key.to_owned() } else { format!("{}.{key}", self.what) }
    }

    fn wrong<T>(&self, key: &str, node: &Node, wanted: &str) -> Result<T> {
        let what = format!("`{}` must be {wanted}, and is {}", self.path(key), node.value.kind());
        let problem = Problem::usage(what).at(self.file, node.mark.line, Some(node.mark.column));
        Err(match (&node.value, wanted) {
            (Value::Null, _) => problem.remedy("leave the key out, or give it a value"),
            (Value::Int(_) | Value::Bool(_) | Value::Float(_), "a text") => {
                problem.remedy("put it in quotes")
            }
            (Value::Text(_), "a list") => problem.remedy("write a list: [\"...\"]"),
            (Value::Text(_), "true or false") => {
                problem.remedy("only true and false, without quotes, are booleans")
            }
            _ => problem,
        })
    }

    fn origin(&self) -> Origin {
        let mut origin = Origin::at(self.file, self.mark);
        for (key, node) in self.map {
            origin.marks.insert(key.text.clone(), key.mark);
            if let Value::List(list) = &node.value {
                for (i, node) in list.iter().enumerate() {
                    origin.marks.insert(format!("{}[{i}]", key.text), node.mark);
                }
            }
        }
        origin
    }

    fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(node) => self.wrong(key, node, "a text"),
        }
    }

    fn needed(&self, key: &str) -> Result<String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => Err(Problem::usage(format!("`{}` is missing", self.path(key))).at(
                self.file,
                self.mark.line,
                Some(self.mark.column),
            )),
        }
    }

    /// A mode: a quoted octal number up to 7777, or empty.
    fn octal_text(&self, key: &str) -> Result<String> {
        let text = match self.get(key) {
            Some(node @ Node { value: Value::Int(_), .. }) => {
                return self.wrong(key, node, "a quoted octal number such as \"0644\"");
            }
            _ => self.text(key)?.unwrap_or_default(),
        };
        if !text.is_empty() && octal(&text).is_none() {
            let problem = format!("`{}` {text:?} is not an octal number from 0 to 7777", self.path(key));
            return Err(self.origin().problem(key, problem).remedy("such as \"0644\""));
        }
        Ok(text)
    }

    fn bool(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { value: Value::Bool(value), .. }) => Ok(Some(*value)),
            Some(node) => self.wrong(key, node, "true or false"),
        }
    }

    fn integer<T: TryFrom<i128>>(&self, key: &str) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(node) => match node.value {
                Value::Int(value) => match T::try_from(value) {
                    Ok(value) => Ok(Some(value)),
                    Err(_) => self.wrong(key, node, "a number in range"),
                },
                _ => self.wrong(key, node, "an integer"),
            },
        }
    }

    fn id(&self, key: &str) -> Result<Option<Id>> {
        self.get(key).map(|node| self.id_of(key, node)).transpose()
    }

    fn id_of(&self, key: &str, node: &Node) -> Result<Id> {
        match &node.value {
            Value::Text(name) => Ok(Id::Name(name.clone())),
            Value::Int(number) => match u32::try_from(*number) {
                Ok(number) => Ok(Id::Number(number)),
                Err(_) => self.wrong(key, node, "a number from 0 to 4294967295"),
            },
            _ => self.wrong(key, node, "a number, or a container's name"),
        }
    }

    fn elements<'b>(
        &self,
        key: &'b str,
        node: &'a Node,
    ) -> Result<impl Iterator<Item = (String, &'a Node)> + use<'a, 'b>> {
        match &node.value {
            Value::List(list) => {
                Ok(list.iter().enumerate().map(move |(i, node)| (format!("{key}[{i}]"), node)))
            }
            _ => self.wrong(key, node, "a list"),
        }
    }

    fn element_marks(&self, key: &str) -> Vec<Mark> {
        match self.get(key).map(|node| &node.value) {
            Some(Value::List(list)) => list.iter().map(|node| node.mark).collect(),
            _ => Vec::new(),
        }
    }

    fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        self.elements(key, node)?
            .map(|(key, node)| match &node.value {
                Value::Text(text) => Ok(text.clone()),
                _ => self.wrong(&key, node, "a text"),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    fn text_map(&self, key: &str) -> Result<Option<BTreeMap<String, String>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let Value::Map(map) = &node.value else { return self.wrong(key, node, "a map") };
        map.iter()
            .map(|(k, node)| match &node.value {
                Value::Text(text) => Ok((k.text.clone(), text.clone())),
                _ => self.wrong(&format!("{key}.{}", k.text), node, "a text"),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    fn map(&self, key: &str, accepted: &[&'static str]) -> Result<Option<Fields<'a>>> {
        self.get(key)
            .map(|node| match node.value {
                Value::Map(_) => Fields::new(self.file, node, &self.path(key), accepted),
                _ => self.wrong(key, node, "a map"),
            })
            .transpose()
    }

    fn maps(&self, key: &str, accepted: &[&'static str]) -> Result<Vec<Fields<'a>>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        self.elements(key, node)?
            .map(|(key, node)| Fields::new(self.file, node, &self.path(&key), accepted))
            .collect()
    }

    fn list<T>(
        &self,
        key: &str,
        accepted: &[&'static str],
        read: impl Fn(&Fields<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        if self.get(key).is_none() {
            return Ok(None);
        }
        self.maps(key, accepted)?.iter().map(read).collect::<Result<_>>().map(Some)
    }
}

/// An octal mode; none unless the text is 1 to 7 octal digits and the mode at most 7777.
pub fn octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 7 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok()?;
    (digits && mode <= 0o7777).then_some(mode)
}

/// The accepted key that is closest to `key`, if one is close.
fn nearest(key: &str, accepted: &[&'static str]) -> Option<&'static str> {
    if key.len() > 64 {
        return None;
    }
    let lower = key.to_lowercase();
    accepted
        .iter()
        .map(|candidate| (distance(&lower, &candidate.to_lowercase()), *candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= 1 + candidate.len() / 4)
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let change = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
