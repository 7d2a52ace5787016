//! Is this folder what its record says? Every file is read again; what is in the files is compared with the record,
//! and what the record says with itself: SBOM, provenance and the image's own record are made anew and compared.

mod papers;
mod read;
mod site;

use super::files::Artifact;
use super::image::{ARCHIVE, CMDLINE, INITRAMFS, SBOM, VMLINUZ, names_of_files};
use super::manifest::{self, Manifest, SegmentRecord};
use super::published::Role;
use super::{provenance, stamp};
use crate::initramfs::members::{Member, Packing};
use crate::kernel::bzimage;
use crate::problem::Result;
use crate::progress::Progress;
use crate::site::segment::Recorded;
use crate::store::{Digest, Reading};
use read::{Archive, Initramfs};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// One thing that was compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub what: String,
    /// None: it is what it must be.
    pub wrong: Option<String>,
}

/// What `hookos verify` found.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    pub profile: String,
    pub checks: Vec<Check>,
    /// What it would be built of again.
    #[serde(skip)]
    pub made: Made,
}

/// What an image's record and the image itself say of how it was made.
#[derive(Debug, Clone)]
pub struct Made {
    pub record: Manifest,
    /// The image's own record; none in the base of bundles.
    pub site: Option<Recorded>,
    /// `ca.pem` and `server_cert.pem`.
    pub certificates: [Vec<u8>; 2],
}

impl Verified {
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.wrong.is_none())
    }
}

/// Compares the files in `out` with `manifest.json` there, and that with what is in them.
pub fn verify(out: &Path, progress: &dyn Progress) -> Result<Verified> {
    let record = Manifest::read(out)?;
    let has = |name: &str| record.artifacts.iter().any(|artifact| artifact.name == name);
    let site_file =
        record.artifacts.iter().map(|a| a.name.as_str()).find(|name| name.starts_with("site.cpio."));
    let total = record.artifacts.iter().map(|artifact| artifact.bytes).sum();
    let reading = Reading::new(total, progress);
    // The image and its archive are as large as all the rest together is small.
    let (image, archive) = std::thread::scope(|scope| {
        let archive = has(ARCHIVE).then(|| scope.spawn(|| Archive::read(&out.join(ARCHIVE), &reading)));
        // A bundle has the site's part alone.
        let image = if has(INITRAMFS) { Some(INITRAMFS) } else { site_file };
        let image = image.map(|name| (name, Initramfs::read(&out.join(name), &reading)));
        (image, archive.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))))
    });
    let mut checks = Checks::default();
    for artifact in &record.artifacts {
        let read = match (&image, &archive) {
            (Some((name, image)), _) if *name == artifact.name => image.file.clone(),
            (_, Some(archive)) if artifact.name == ARCHIVE => archive.file.clone(),
            _ => read::file(&out.join(&artifact.name), &reading),
        };
        checks.add(&artifact.name, file(artifact, &read));
    }
    progress.check()?;
    for name in names_of_files().iter().filter(|name| *name != manifest::FILE && !has(name)) {
        if out.join(name).exists() {
            checks.add(name, Some("it lies here, and the record has no such file".to_owned()));
        }
    }
    let whole = has(INITRAMFS);
    if let Some((name, image)) = &image {
        checks.add(&format!("segments of {name}"), segments(image, &record, whole));
    }
    if let Some(archive) = &archive {
        checks.add(&format!("files in {ARCHIVE}"), in_archive(archive, &record));
    }
    if has(VMLINUZ) {
        checks.add(&format!("release of {VMLINUZ}"), release(&out.join(VMLINUZ), &record.kernel));
    }
    if has(CMDLINE) {
        let text = fs::read_to_string(out.join(CMDLINE)).unwrap_or_default();
        let stated = record.cmdline.text();
        let wrong = (text != stated).then(|| format!("it is {:?}, not {:?}", text.trim(), stated.trim()));
        checks.add(&format!("words of {CMDLINE}"), wrong);
    }
    let files = image.as_ref().and_then(|(_, image)| image.content.as_ref().ok());
    let mut site = None;
    if let Some((members, files)) = files {
        if whole {
            checks.add("kernel modules in the image", site::modules(files, &record.kernel));
            checks.add("programs and files in the image", site::inputs(files, &record));
        }
        if record.segments.last().is_some_and(|segment| segment.name == manifest::SITE) {
            let last = members.len().saturating_sub(1);
            site = site::check(files, last, &record, &mut checks);
        }
    }
    if has(SBOM) {
        checks.add(&format!("components of {SBOM}"), papers::sbom(&out.join(SBOM), &record));
    }
    if has(provenance::FILE) {
        let wrong = papers::statement(&out.join(provenance::FILE), &record, site.as_ref());
        checks.add(&format!("statement of {}", provenance::FILE), wrong);
    }
    let pem = |name: &str| files.and_then(|(_, files)| files.site.get(name).cloned()).unwrap_or_default();
    let certificates = [pem("etc/idp/ca.pem"), pem("etc/idp/server_cert.pem")];
    let profile = record.profile.clone();
    Ok(Verified { profile, checks: checks.0, made: Made { record, site, certificates } })
}

#[derive(Default)]
struct Checks(Vec<Check>);

impl Checks {
    fn add(&mut self, what: &str, wrong: Option<String>) {
        self.0.push(Check { what: what.to_owned(), wrong });
    }
}

fn file(stated: &Artifact, read: &Result<(Digest, u64), String>) -> Option<String> {
    match read {
        Err(e) => Some(e.clone()),
        Ok((found, bytes)) if *found == stated.sha256 && *bytes == stated.bytes => None,
        Ok((found, bytes)) => Some(format!(
            "it has {bytes} bytes and the digest {found}, not {} and {}",
            stated.bytes, stated.sha256
        )),
    }
}

/// The file's last members are the record's segments, in order; before them there is microcode at most.
fn segments(image: &Initramfs, record: &Manifest, whole: bool) -> Option<String> {
    let (members, _) = match &image.content {
        Ok(content) => content,
        Err(e) => return Some(e.clone()),
    };
    // Beside a bundle lies the last of them.
    let from = if whole { 0 } else { record.segments.len().saturating_sub(1) };
    let stated = record.segments.get(from..).unwrap_or_default();
    let Some(before) = members.len().checked_sub(stated.len()) else {
        return Some(format!(
            "it has {} members, and the record names {} segments",
            members.len(),
            stated.len()
        ));
    };
    let (first, members) = members.split_at(before);
    if let Some(other) = first.iter().find(|member| member.packing != Packing::Raw) {
        return Some(format!("at byte {} is a member that the record does not name", other.offset));
    }
    if let Some(wrong) = stated.iter().zip(members).find_map(|(stated, member)| segment(stated, member)) {
        return Some(wrong);
    }
    let end = members.last().map_or(0, |member| member.offset + member.packed);
    let behind = image.file.as_ref().map_or(0, |(_, bytes)| bytes.saturating_sub(end));
    let padding = if whole { record.padding } else { 0 };
    (behind != padding)
        .then(|| format!("behind the last segment are {behind} bytes, and by the record {padding}"))
}

fn segment(stated: &SegmentRecord, member: &Member) -> Option<String> {
    if member.digest != stated.digest {
        return Some(format!("{} has the digest {}, not {}", stated.name, member.digest, stated.digest));
    }
    let numbers = [
        ("bytes in the file", member.packed, stated.compressed),
        ("bytes of files", member.unpacked, stated.unpacked),
        ("bytes in memory", member.memory, stated.memory),
        ("files", member.files, stated.files),
    ];
    let wrong = numbers.into_iter().find(|(_, found, stated)| found != stated);
    wrong.map(|(what, found, by)| format!("{} has {found} {what}, and by the record {by}", stated.name))
}

/// The archive holds the kernel and the initramfs that lie beside it, and what the record names.
fn in_archive(archive: &Archive, record: &Manifest) -> Option<String> {
    let members = match &archive.members {
        Ok(members) => members,
        Err(e) => return Some(e.clone()),
    };
    let artifact = |name: &str| record.artifacts.iter().find(|a| a.name == name).map(|a| a.sha256);
    let beside = record.inputs.iter().filter(|input| input.kind == stamp::BESIDE);
    let mut missing: BTreeMap<String, Digest> =
        beside.map(|input| (input.name.clone(), input.digest)).collect();
    let (mut kernel, mut initramfs) = (false, false);
    for (member, found) in members {
        let stated = match member.role {
            Role::Kernel => {
                kernel = true;
                artifact(VMLINUZ)
            }
            Role::Initramfs => {
                initramfs = true;
                artifact(INITRAMFS)
            }
            Role::Cmdline | Role::Other => missing.remove(&member.name),
        };
        match stated {
            None => return Some(format!("{} is not in the record", member.name)),
            Some(stated) if stated != *found => {
                return Some(format!("{} in it has the digest {found}, not {stated}", member.name));
            }
            Some(_) => {}
        }
    }
    let absent = [(kernel, VMLINUZ), (initramfs, INITRAMFS)].into_iter().find(|(there, _)| !there);
    let absent = absent.map(|(_, name)| name.to_owned()).or_else(|| missing.into_keys().next());
    absent.map(|name| format!("{name} is not in it"))
}

fn release(kernel: &Path, stated: &str) -> Option<String> {
    let bytes = match fs::read(kernel) {
        Ok(bytes) => bytes,
        Err(e) => return Some(e.to_string()),
    };
    match bzimage::release(&bytes) {
        Ok(found) if found == stated => None,
        Ok(found) => Some(format!("it is {found}, and by the record {stated}")),
        Err(e) => Some(e.to_string()),
    }
}
