//! What is in an image, whoever has built it: members, services, settings, certificates, kernel.

use super::stamp::{Base, LARGEST};
use crate::initramfs::cpio::Entry;
use crate::initramfs::members::{self, Member};
use crate::kernel::bzimage;
use crate::problem::{Problem, Result};
use crate::secret::MASK;
use crate::site::Kind;
use crate::site::certificates::{Bundle, Info};
use crate::store::Digest;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

/// What the mode of a file says of its kind (cpio newc, as `stat` has it).
const KIND: u32 = 0o170_000;
const FOLDER: u32 = 0o040_000;

/// A file of the image; of several with one name the last counts, as in the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Item {
    pub mode: u32,
    pub bytes: u64,
    /// Of its content; of a symbolic link, its target.
    pub digest: Digest,
    /// The number of the member that has it, from 0.
    pub member: usize,
}

/// What was found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inspection {
    /// As `uname -r` says it.
    pub kernel: Option<String>,
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
    #[serde(skip)]
    pub files: BTreeMap<String, Item>,
}

impl Inspection {
    /// Bytes in the file.
    pub fn packed(&self) -> u64 {
        self.members.iter().map(|member| member.packed).sum()
    }

    /// Bytes of files that stay in the machine's memory.
    pub fn unpacked(&self) -> u64 {
        self.files.values().map(|item| item.bytes).sum()
    }
}

/// Looks into an image.
pub fn inspect(path: &Path) -> Result<Inspection> {
    let mut found = Inspection::default();
    match Base::find(path)? {
        Base::Folder { kernel, initramfs } => {
            found.kernel = Some(release(&kernel, open(&kernel)?)?);
            found.read(&initramfs, open(&initramfs)?)?;
        }
        Base::Initramfs(initramfs) => found.read(&initramfs, open(&initramfs)?)?,
        Base::Archive(archive) => {
            let bad = |e| Problem::usage("the archive cannot be read").in_file(&archive).because(e);
            let reader = BufReader::with_capacity(1 << 18, open(&archive)?);
            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(reader));
            for entry in tar.entries().map_err(bad)? {
                let entry = entry.map_err(bad)?;
                let name =
                    entry.path().map_err(bad)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
                if name.starts_with("vmlinuz") || name == "kernel" {
                    found.kernel = Some(release(&archive, entry)?);
                } else if name.starts_with("initramfs") || name.starts_with("initrd") {
                    found.read(&archive, entry)?;
                }
            }
        }
    }
    Ok(found)
}

fn open(path: &Path) -> Result<File> {
    File::open(path).map_err(|e| Problem::usage("the image cannot be read").in_file(path).because(e))
}

fn release(path: &Path, mut kernel: impl Read) -> Result<String> {
    let bad =
        |e: &dyn std::error::Error| Problem::usage(format!("the kernel cannot be used: {e}")).in_file(path);
    let mut bytes = Vec::new();
    kernel.read_to_end(&mut bytes).map_err(|e| bad(&e))?;
    bzimage::release(&bytes).map(str::to_owned).map_err(|e| bad(&e))
}

impl Inspection {
    fn read(&mut self, path: &Path, initramfs: impl Read) -> Result<()> {
        let members = members::read(initramfs, LARGEST, |member, entry| self.take(member, &entry));
        self.members =
            members.map_err(|e| Problem::usage(format!("this is no initramfs: {e}")).in_file(path))?;
        Ok(())
    }

    fn take(&mut self, member: usize, entry: &Entry) {
        let name = String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
        let parts: Vec<&str> = name.split('/').collect();
        if let ["containers", stage, container, ..] = parts[..] {
            self.containers.entry(stage.to_owned()).or_default().insert(container.to_owned());
        }
        if entry.mode & KIND == FOLDER {
            return;
        }
        match name.as_str() {
            "etc/hook/env_config" => self.env_config = pairs(&entry.data),
            "etc/hook/settings" => self.settings = pairs(&entry.data),
            "etc/hook/site.json" => self.site = serde_json::from_slice(&entry.data).ok(),
            "etc/idp/ca.pem" | "etc/idp/server_cert.pem" => {
                let bundle = Bundle::from_bytes(Path::new(&name), &entry.data);
                let infos = bundle.map(|b| b.certificates.into_iter().map(|c| c.info).collect());
                self.certificates.insert(name.clone(), infos.unwrap_or_default());
            }
            _ => {}
        }
        // Names that share one file come without content but for the last.
        let before = self
            .files
            .get(&name)
            .filter(|item| entry.nlink > 1 && entry.data.is_empty() && item.member == member);
        if before.is_none() {
            let (bytes, digest) = (entry.data.len() as u64, Digest::of(&entry.data));
            self.files.insert(name, Item { mode: entry.mode, bytes, digest, member });
        }
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
    pub kernel: Option<(Option<String>, Option<String>)>,
    /// Keys of env_config and settings with both values.
    pub settings: BTreeMap<String, (Option<String>, Option<String>)>,
    /// Files with both sizes; none where there is no such file. The same size means another content or mode.
    pub files: BTreeMap<String, (Option<u64>, Option<u64>)>,
}

/// Compares two images.
pub fn difference(one: &Inspection, other: &Inspection) -> Difference {
    let mut found = Difference::default();
    if one.kernel != other.kernel {
        found.kernel = Some((one.kernel.clone(), other.kernel.clone()));
    }
    for (a, b) in [(&one.env_config, &other.env_config), (&one.settings, &other.settings)] {
        for key in a.keys().chain(b.keys()) {
            let values = (a.get(key).cloned(), b.get(key).cloned());
            if values.0 != values.1 {
                found.settings.insert(key.clone(), values);
            }
        }
    }
    for name in one.files.keys().chain(other.files.keys()) {
        let (a, b) = (one.files.get(name), other.files.get(name));
        let same = matches!((a, b), (Some(a), Some(b)) if a.digest == b.digest && a.mode == b.mode);
        if !same {
            found.files.insert(name.clone(), (a.map(|item| item.bytes), b.map(|item| item.bytes)));
        }
    }
    found
}
