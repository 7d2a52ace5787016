//! What is in an image, whoever has built it: members, services, settings, certificates, kernel.

use super::image::CMDLINE;
use super::published::{self, Base, Role};
use crate::initramfs::cpio::{self, BadArchive, Entry};
use crate::initramfs::members::{self, Member, Place};
use crate::kernel::bzimage;
use crate::problem::{Problem, Result};
use crate::secret::MASK;
use crate::site::Kind;
use crate::site::certificates::{Bundle, Info};
use crate::store::Digest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// No file of a site is larger. Others are read as a stream.
const LARGEST: u64 = 16 << 20;

/// A file or folder of the image; of several with one name the last counts, as in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Major and minor, of a device.
    pub device: (u32, u32),
    pub bytes: u64,
    /// Of its content; of a symbolic link, its target.
    pub digest: Digest,
    /// The number of the member that has it, from 0.
    pub member: usize,
    /// Names with the same number here are one file.
    pub file: usize,
}

impl Item {
    pub fn is_folder(&self) -> bool {
        self.mode & cpio::KIND == cpio::FOLDER
    }

    /// Whether a machine could tell it from the other, apart from times.
    fn same(&self, other: &Self) -> bool {
        let of = |item: &Self| (item.mode, item.uid, item.gid, item.device, item.bytes, item.digest);
        of(self) == of(other)
    }
}

/// The kernel's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Kernel {
    /// As `uname -r` says it.
    pub release: String,
    pub bytes: u64,
    pub digest: Digest,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inspection {
    pub kernel: Option<Kernel>,
    /// The kernel command line, if it comes with the image.
    pub cmdline: Option<String>,
    pub members: Vec<Member>,
    /// Containers in the order in which init starts them, by folder: `onboot`, `services`, `onshutdown`.
    pub containers: BTreeMap<String, BTreeSet<String>>,
    /// KEY=VALUE of `/etc/hook/env_config`; passwords are masked.
    pub env_config: BTreeMap<String, String>,
    /// KEY=VALUE of `/etc/hook/settings`; a password's hash is masked.
    pub settings: BTreeMap<String, String>,
    /// By file.
    pub certificates: BTreeMap<String, Vec<Info>>,
    /// `/etc/hook/site.json`: which build this is.
    pub site: Option<serde_json::Value>,
    /// What else is in the archive: signatures, device trees, certificates.
    pub beside: BTreeMap<String, Digest>,
    #[serde(skip)]
    pub files: BTreeMap<String, Item>,
}

impl Inspection {
    /// Bytes in the file.
    pub fn packed(&self) -> u64 {
        self.members.iter().map(|member| member.packed).sum()
    }

    /// Bytes of files that stay in the machine's memory; a file with several names counts once.
    pub fn unpacked(&self) -> u64 {
        let once: BTreeMap<usize, u64> = self.files.values().map(|item| (item.file, item.bytes)).collect();
        once.values().sum()
    }

    /// How many names there are, folders apart.
    pub fn count(&self) -> usize {
        self.files.values().filter(|item| !item.is_folder()).count()
    }
}

/// Looks into an image.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let mut found = Inspection::default();
    let base = Base::find(path)?;
    match &base {
        Base::Folder { kernel, initramfs } => {
            let cmdline = std::fs::read_to_string(kernel.with_file_name(CMDLINE));
            found.cmdline = cmdline.ok().map(|text| text.trim().to_owned());
            found.kernel = Some(Kernel::read(kernel, open(kernel)?)?);
            found.read(initramfs, open(initramfs)?)?;
        }
        Base::Initramfs(initramfs) => found.read(initramfs, open(initramfs)?)?,
        Base::Archive(archive) => published::members(archive, open(archive)?, |member, data| {
            let bad = |e| Problem::usage("the archive cannot be read").in_file(archive).because(e);
            match member.role {
                Role::Kernel => found.kernel = Some(Kernel::read(archive, data)?),
                Role::Initramfs => found.read(archive, data)?,
                Role::Cmdline => {
                    let mut text = String::new();
                    data.take(LARGEST).read_to_string(&mut text).map_err(bad)?;
                    found.cmdline = Some(text.trim().to_owned());
                }
                Role::Other => {
                    let (digest, _) = Digest::of_reader(data).map_err(bad)?;
                    found.beside.insert(member.name, digest);
                }
            }
            Ok(())
        })?,
    }
    Ok(found)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Problem::usage("the image cannot be read").in_file(path).because(e))
}

impl Kernel {
    fn read(path: &Path, mut kernel: impl Read) -> Result<Self> {
        let bad = |e: &dyn std::error::Error| {
            Problem::usage(format!("the kernel cannot be used: {e}")).in_file(path)
        };
        let mut bytes = Vec::new();
        kernel.read_to_end(&mut bytes).map_err(|e| bad(&e))?;
        let release = bzimage::release(&bytes).map_err(|e| bad(&e))?.to_owned();
        Ok(Self { release, bytes: bytes.len() as u64, digest: Digest::of(&bytes) })
    }
}

/// The files of an initramfs, as the kernel would leave them.
#[derive(Debug, Default)]
pub struct Files {
    pub all: BTreeMap<String, Item>,
    /// The content of the files that the site is told by.
    pub site: BTreeMap<String, Vec<u8>>,
    /// Names that share a file, by what they have in common; and the file's number.
    shared: HashMap<(u64, (u32, u32, u32)), (usize, Vec<String>)>,
    next: usize,
}

/// What a site's settings are in.
fn is_of_site(name: &str) -> bool {
    name.starts_with("etc/hook/") || name.starts_with("etc/idp/")
}

impl Files {
    pub fn take(&mut self, place: Place, entry: &Entry, data: &mut dyn Read) -> Result<(), BadArchive> {
        let name = String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
        let site = is_of_site(&name) && entry.kind() == cpio::FILE;
        let (digest, bytes) = if site {
            let content = cpio::whole(entry, data, LARGEST)?;
            let found = (Digest::of(&content), content.len() as u64);
            self.site.insert(name.clone(), content);
            found
        } else {
            Digest::of_reader(data)?
        };
        self.next += 1;
        let mut item = Item {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            device: entry.rdev,
            bytes,
            digest,
            member: place.member,
            file: self.next,
        };
        if let Some(inode) = entry.inode() {
            let (file, names) = self.shared.entry((place.table, inode)).or_insert((self.next, Vec::new()));
            item.file = *file;
            // One of the names brings the content of all; it is mostly the last.
            for other in names.iter() {
                if let Some(other) = self.all.get_mut(other).filter(|other| other.file == *file) {
                    if bytes > 0 {
                        (other.bytes, other.digest) = (bytes, digest);
                    } else {
                        (item.bytes, item.digest) = (other.bytes, other.digest);
                    }
                }
            }
            names.push(name.clone());
        }
        self.all.insert(name, item);
        Ok(())
    }
}

impl Inspection {
    fn read(&mut self, path: &Path, initramfs: impl Read) -> Result<()> {
        let mut files = Files::default();
        let members = members::read(initramfs, |place, entry, data| files.take(place, entry, data));
        self.members =
            members.map_err(|e| Problem::usage(format!("this is no initramfs: {e}")).in_file(path))?;
        for name in files.all.keys() {
            let parts: Vec<&str> = name.split('/').collect();
            if let ["containers", stage, container, ..] = parts[..] {
                self.containers.entry(stage.to_owned()).or_default().insert(container.to_owned());
            }
        }
        for (name, content) in &files.site {
            match name.as_str() {
                "etc/hook/env_config" => self.env_config = pairs(content),
                "etc/hook/settings" => self.settings = pairs(content),
                "etc/hook/site.json" => self.site = serde_json::from_slice(content).ok(),
                "etc/idp/ca.pem" | "etc/idp/server_cert.pem" => {
                    let bundle = Bundle::from_bytes(Path::new(name), content);
                    let infos = bundle.map(|b| b.certificates.into_iter().map(|c| c.info).collect());
                    self.certificates.insert(name.clone(), infos.unwrap_or_default());
                }
                _ => {}
            }
        }
        self.files = files.all;
        Ok(())
    }
}

/// KEY=VALUE lines, fit to be shown.
fn pairs(bytes: &[u8]) -> BTreeMap<String, String> {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let pair = |line: &str| {
        let (key, value) = line.trim().split_once('=')?;
        let value = value.trim_matches(['"', '\'']);
        let kind = if key.to_ascii_lowercase().contains("proxy") { Kind::Proxy } else { Kind::Text };
        let value =
            if key.contains("PASSWORD") && !value.is_empty() { MASK.to_owned() } else { kind.masked(value) };
        (!key.starts_with('#')).then(|| (key.to_owned(), value))
    };
    text.lines().filter_map(pair).collect()
}

/// How two images differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub kernel: Option<(Option<Kernel>, Option<Kernel>)>,
    pub cmdline: Option<(Option<String>, Option<String>)>,
    /// Keys of env_config and settings with both values.
    pub settings: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Files, folders and everything else with both; none where there is no such name.
    pub files: BTreeMap<String, (Option<Item>, Option<Item>)>,
    /// What else is in the archives, with both digests.
    pub beside: BTreeMap<String, (Option<Digest>, Option<Digest>)>,
}

/// The names whose values differ.
fn changed<T: Clone>(
    one: &BTreeMap<String, T>,
    other: &BTreeMap<String, T>,
    same: impl Fn(&T, &T) -> bool,
) -> BTreeMap<String, (Option<T>, Option<T>)> {
    let names: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let both = names.into_iter().map(|name| (name, one.get(name), other.get(name)));
    let differ = both.filter(|(_, a, b)| !matches!((a, b), (Some(a), Some(b)) if same(a, b)));
    differ.map(|(name, a, b)| (name.clone(), (a.cloned(), b.cloned()))).collect()
}

/// Compares two images.
pub fn difference(one: &Inspection, other: &Inspection) -> Difference {
    let mut settings = changed(&one.env_config, &other.env_config, PartialEq::eq);
    settings.extend(changed(&one.settings, &other.settings, PartialEq::eq));
    // An archive seldom brings the command line that lies beside it: then nothing is known of it.
    let cmdline = one.cmdline.is_some() && other.cmdline.is_some() && one.cmdline != other.cmdline;
    Difference {
        kernel: (one.kernel != other.kernel).then(|| (one.kernel.clone(), other.kernel.clone())),
        cmdline: cmdline.then(|| (one.cmdline.clone(), other.cmdline.clone())),
        settings,
        files: changed(&one.files, &other.files, Item::same),
        beside: changed(&one.beside, &other.beside, PartialEq::eq),
    }
}
