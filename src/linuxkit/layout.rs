//! The plan of an image's root: pieces that are built and cached on their own.

use super::definition::{Container, Definition, Volume};
use super::files::{self, PlannedFile};
use super::kernel::KernelRef;
use super::links::{through_links, with_parents};
use super::oci_spec::SpecMount;
use super::options::ContainerOptions;
use super::parse_options::LABEL;
use super::rootfs::{Resolver, filtered, path, without_boot};
use super::runtime::{self, Ids};
use super::volumes::Volumes;
use super::{go_json, reference};
use crate::initramfs::{Content, Kind, Node, Tree, TreePath};
use crate::oci;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

/// Where an Alpine root lists its packages.
const APK_DB: &str = "lib/apk/db/installed";

/// What planning needs to know besides the definition.
pub struct Planning<'a> {
    /// The configuration of an image, by the name that [`Plan`] gives it: labels, entrypoint, and so on.
    /// Called once for each container; never for kernel, init and volume images.
    pub config: &'a dyn Fn(&str) -> Result<oci::Config>,
    /// Whether a name in the YAML is a component: such a name is not expanded to a registry's.
    pub is_component: &'a dyn Fn(&str) -> bool,
    /// Time of every entry that no image supplies, in seconds since 1970; see
    /// [`LINUXKIT_TIME`](super::LINUXKIT_TIME).
    pub mtime: i64,
}

/// An image's root, decided: which pieces there are and what decides their bytes.
#[derive(Debug)]
pub struct Plan {
    pub kernel: Option<KernelRef>,
    /// In the order in which they are unpacked: init, volumes, onboot, onshutdown, services, files.
    /// The kernel's modules (see [`super::modules_tree`]) are not among them.
    pub pieces: Vec<Piece>,
    /// What is accepted and has no effect.
    pub warnings: Vec<Problem>,
}

/// A part of the root that becomes a segment of its own.
#[derive(Debug)]
pub struct Piece {
    /// `init/0`, `init/apk`, `volumes/data`, `onboot/000-sysctl`, `onshutdown/000-x`, `services/ntpd`, `files`.
    pub name: String,
    /// Images whose trees [`Piece::tree`] asks for: expanded references or component names. Mostly one;
    /// none where an earlier container unpacked the same image, in a blank volume and in `files`.
    pub images: Vec<String>,
    /// Labelled values that decide the piece's bytes, next to the digests of `images`.
    pub key_inputs: Vec<(String, Vec<u8>)>,
    /// Whether the bytes depend on all earlier pieces too, so that their keys belong into the key.
    pub depends_on_earlier: bool,
    /// Whether the piece may hold paths that earlier pieces hold: it is written to replace them.
    pub replaces_earlier: bool,
    mtime: i64,
    work: Work,
}

#[derive(Debug)]
enum Work {
    /// Whether it is the first, which finds an empty root.
    Init {
        first: bool,
    },
    ApkDatabase,
    Volume(String),
    Bundle(Bundle),
    Files(Vec<PlannedFile>),
}

#[derive(Debug)]
struct Bundle {
    /// `containers/services/ntpd`
    base: String,
    /// Folder below `base` that takes the image: `lower` or `rootfs`.
    image_in: Option<&'static str>,
    readonly: bool,
    config_json: String,
    runtime_json: String,
}

/// What [`Piece::tree`] reads from.
pub trait Trees {
    /// The image's layers merged: whiteouts applied, hard links as shared nodes.
    fn image(&self, image: &str) -> Result<Tree>;
    /// The bytes of a file. Asked for small files only.
    fn bytes(&self, content: &Content) -> Result<Vec<u8>>;
    /// All earlier pieces laid over one another. Asked for by pieces that depend on them.
    fn earlier(&self) -> Result<&Tree>;
    /// The content of a file of this machine. The default keeps it in memory.
    fn local(&self, path: &Path) -> Result<Content> {
        let bytes =
            std::fs::read(path).map_err(|e| Problem::usage("cannot read a file").in_file(path).because(e))?;
        Ok(Content::Inline(bytes.into()))
    }
}

/// Decides the layout of `definition`. Reads image configurations, and local files named in `files`;
/// never an image's content.
pub fn plan(definition: &Definition, how: &Planning<'_>) -> Result<Plan> {
    let named = |image: &str| {
        if (how.is_component)(image) { image.to_owned() } else { reference::expand(image) }
    };
    let ids = Ids::of(definition);
    let mut warnings = Vec::new();
    let mut pieces = Vec::new();
    let mut add = |name: String, images: Vec<String>, mut key_inputs: Vec<(String, Vec<u8>)>, work: Work| {
        key_inputs.push(("time".into(), how.mtime.to_string().into_bytes()));
        let depends_on_earlier = matches!(work, Work::Files(_) | Work::Init { first: false });
        let replaces_earlier = depends_on_earlier || matches!(work, Work::ApkDatabase);
        let mtime = how.mtime;
        pieces.push(Piece { name, images, key_inputs, depends_on_earlier, replaces_earlier, mtime, work });
    };

    let init: Vec<String> = definition.init.iter().map(|image| named(image)).collect();
    for (i, image) in init.iter().enumerate() {
        add(format!("init/{i}"), vec![image.clone()], kind("init"), Work::Init { first: i == 0 });
    }
    if init.len() > 1 {
        add("init/apk".into(), init, kind("apk"), Work::ApkDatabase);
    }
    for volume in &definition.volumes {
        let images = volume_image(volume)?.map(named).into_iter().collect();
        add(format!("volumes/{}", volume.name), images, kind("volume"), Work::Volume(volume.name.clone()));
    }

    let volumes = Volumes::of(definition);
    // Where an image was unpacked first, by its full name.
    let mut unpacked: BTreeMap<String, String> = BTreeMap::new();
    for (section, list, numbered) in [
        ("onboot", &definition.onboot, true),
        ("onshutdown", &definition.onshutdown, true),
        ("services", &definition.services, false),
    ] {
        for (i, container) in list.iter().enumerate() {
            let folder = if numbered { format!("{i:03}-{}", container.name) } else { container.name.clone() };
            let image = named(&container.image);
            let config = (how.config)(&image)?;
            let container = volumes.resolve(container)?;
            let base = format!("containers/{section}/{folder}");
            let bundle = bundle(&container, &config, &ids, base, &image, &mut unpacked)?;
            let images = bundle.image_in.iter().map(|_| image.clone()).collect();
            let inputs = [
                kind("container"),
                vec![
                    ("base".into(), bundle.base.clone().into_bytes()),
                    ("image in".into(), bundle.image_in.unwrap_or("").into()),
                    ("readonly".into(), vec![u8::from(bundle.readonly)]),
                    ("config.json".into(), bundle.config_json.clone().into_bytes()),
                    ("runtime.json".into(), bundle.runtime_json.clone().into_bytes()),
                ],
            ];
            add(format!("{section}/{folder}"), images, inputs.concat(), Work::Bundle(bundle));
        }
    }

    let files = files::planned(definition, &ids, how.is_component, &mut warnings)?;
    if !files.is_empty() {
        let inputs = kind("files").into_iter().chain(files.iter().map(PlannedFile::key_input)).collect();
        add("files".into(), Vec::new(), inputs, Work::Files(files));
    }
    let kernel = KernelRef::of(definition, how.is_component)?;
    Ok(Plan { kernel, pieces, warnings })
}

/// The kind of work, and the version of the code that does it.
fn kind(kind: &str) -> Vec<(String, Vec<u8>)> {
    vec![("layout".into(), format!("{kind} 1").into_bytes())]
}

fn volume_image(volume: &Volume) -> Result<Option<&str>> {
    if volume.format == "oci" {
        return Err(volume
            .origin
            .problem("format", format!("the volume {} is an OCI layout, which is not built", volume.name))
            .remedy("use `format: filesystem`"));
    }
    if !volume.platforms.is_empty() {
        return Err(volume
            .origin
            .problem("platforms", "`platforms` is only for volumes of format oci, which are not built"));
    }
    Ok(Some(volume.image.as_str()).filter(|image| !image.is_empty()))
}

fn bundle(
    container: &Container,
    config: &oci::Config,
    ids: &Ids,
    base: String,
    image: &str,
    unpacked: &mut BTreeMap<String, String>,
) -> Result<Bundle> {
    let label = match config.labels.get(LABEL).filter(|label| !label.is_empty()) {
        Some(text) => ContainerOptions::from_label(text, image)?.0,
        None => ContainerOptions::default(),
    };
    let options = container.options.clone().over(label);
    let spec = runtime::spec(&options, config, ids).map_err(|wrong| {
        wrong
            .problem(&container.origin)
            .while_doing(format!("container {} cannot be configured", container.name))
    })?;
    let readonly = spec.root.readonly;
    let own = if readonly { "rootfs" } else { "lower" };
    let (image_in, root) = match unpacked.get(image) {
        Some(root) => (None, root.clone()),
        None => {
            let root = format!("{base}/{own}");
            unpacked.insert(image.to_owned(), root.clone());
            (Some(own), root)
        }
    };
    let runtime = runtime::runtime(&options, root_mounts(&base, &root, readonly));
    let text = |e| Problem::new(format!("cannot write the configuration of {}", container.name)).because(e);
    Ok(Bundle {
        image_in,
        readonly,
        config_json: go_json::to_string(&spec).map_err(text)?,
        runtime_json: go_json::to_string(&runtime).map_err(text)?,
        base,
    })
}

/// The mounts that make the container's root file system of the image at `root`.
fn root_mounts(base: &str, root: &str, readonly: bool) -> Vec<SpecMount> {
    let mount = |destination: String, kind: &str, source: String, options: Vec<String>| SpecMount {
        destination,
        kind: kind.to_owned(),
        source,
        options,
        ..SpecMount::default()
    };
    let rootfs = format!("/{base}/rootfs");
    if readonly {
        // From itself on first use: OCI runtimes want a mount point.
        return vec![mount(rootfs, "", format!("/{root}"), vec!["bind".into()])];
    }
    let tmp = format!("/{base}/tmp");
    let overlay =
        vec![format!("lowerdir=/{root}"), format!("upperdir={tmp}/upper"), format!("workdir={tmp}/work")];
    vec![
        mount(tmp.clone(), "tmpfs", "tmpfs".into(), Vec::new()),
        mount(tmp, "", String::new(), vec!["remount".into(), "private".into()]),
        mount(rootfs, "overlay", "overlay".into(), overlay),
    ]
}

impl Piece {
    /// The piece's entries, at their paths in the final root. Every folder on the way is among them or
    /// in an earlier piece; folders that pieces share have the same mode in each.
    pub fn tree(&self, from: &dyn Trees) -> Result<Tree> {
        let image = || self.images.first().map(|image| from.image(image)).transpose();
        match &self.work {
            Work::Init { first } => {
                let image = image()?.unwrap_or_default();
                let tree = without_boot(&filtered(&image, Resolver::Link, self.mtime)?)?;
                let none = Tree::new();
                let earlier = if *first { &none } else { from.earlier()? };
                Ok(with_parents(through_links(&tree, earlier)?, earlier, self.mtime))
            }
            Work::ApkDatabase => self.apk_database(from),
            Work::Volume(name) => {
                let base = format!("containers/volumes/{name}");
                let image = image()?.map(|tree| filtered(&tree, Resolver::Link, self.mtime)).transpose()?;
                let mut out = self.folders(&base, &["lower", "tmp", "merged"])?;
                if let Some(image) = image {
                    out.overlay(&path(format!("{base}/lower"))?, &image);
                }
                Ok(with_parents(out, &Tree::new(), self.mtime))
            }
            Work::Bundle(bundle) => self.bundle(bundle, image()?),
            Work::Files(files) => files::tree(files, from, self.mtime),
        }
    }

    /// config.json and runtime.json of a container's piece.
    pub fn configuration(&self) -> Option<(&str, &str)> {
        match &self.work {
            Work::Bundle(bundle) => Some((&bundle.config_json, &bundle.runtime_json)),
            _ => None,
        }
    }

    fn bundle(&self, bundle: &Bundle, image: Option<Tree>) -> Result<Tree> {
        let base = &bundle.base;
        let mut out = match bundle.readonly {
            true => self.folders(base, &["rootfs"])?,
            false => self.folders(base, &["tmp", "rootfs"])?,
        };
        if let (Some(folder), Some(image)) = (bundle.image_in, image) {
            let at = path(format!("{base}/{folder}"))?;
            out.insert(at.clone(), Node::directory(0o755, self.mtime));
            out.overlay(&at, &filtered(&image, Resolver::Stub, self.mtime)?);
        }
        for (name, text) in [("config.json", &bundle.config_json), ("runtime.json", &bundle.runtime_json)] {
            out.insert(path(format!("{base}/{name}"))?, Node::file(text.as_bytes(), 0o644, self.mtime));
        }
        Ok(with_parents(out, &Tree::new(), self.mtime))
    }

    /// `base` with its parents, and the folders `below` it.
    fn folders(&self, base: &str, below: &[&str]) -> Result<Tree> {
        let mut out = Tree::new();
        for name in below {
            let at: TreePath = path(format!("{base}/{name}"))?;
            out.ensure_parents(&at, self.mtime);
            out.insert(at, Node::directory(0o755, self.mtime));
        }
        Ok(out)
    }

    /// The package databases of all init images, one after the other, each with two newlines at its
    /// end; nothing unless two images have one.
    fn apk_database(&self, from: &dyn Trees) -> Result<Tree> {
        let at = path(APK_DB)?;
        let mut databases = Vec::new();
        for image in &self.images {
            if let Some(Kind::File(content)) = from.image(image)?.get(&at).map(|node| &node.kind) {
                databases.push(content.clone());
            }
        }
        let mut out = Tree::new();
        if databases.len() > 1 {
            let mut text = Vec::new();
            for content in &databases {
                text.extend(from.bytes(content)?);
                text.extend(b"\n\n");
            }
            // No parents: the images have them, with modes of their own. Time 0 as in LinuxKit.
            out.insert(at, Arc::new(Node::file(text, 0o644, 0)));
        }
        Ok(out)
    }
}
