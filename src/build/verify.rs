//! Is this folder what its record says? Every file and every segment is read again and compared.

use super::files::Artifact;
use super::image::{ARCHIVE, INITRAMFS, SBOM, VMLINUZ};
use super::manifest::{Input, Manifest, SegmentRecord};
use super::provenance;
use crate::problem::Result;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Hasher};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
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
}

impl Verified {
    pub fn is_good(&self) -> bool {
        self.checks.iter().all(|check| check.wrong.is_none())
    }
}

/// Compares the files in `out` with `manifest.json` there, and that with what is in them.
pub fn verify(out: &Path, progress: &dyn Progress) -> Result<Verified> {
    let record = Manifest::read(out)?;
    let total: u64 = record.artifacts.iter().map(|artifact| artifact.bytes).sum();
    let mut checks = Vec::new();
    let mut check = |what: String, wrong: Option<String>| checks.push(Check { what, wrong });
    let mut done = 0;
    for artifact in &record.artifacts {
        let wrong = file(&out.join(&artifact.name), artifact, &mut |bytes| {
            done += bytes;
            progress.at(done, total.max(done), Unit::Bytes);
        });
        check(artifact.name.clone(), wrong);
        progress.check()?;
    }
    // A bundle has few of them, and what was stamped has no SBOM of ours.
    let has = |name: &str| record.artifacts.iter().any(|artifact| artifact.name == name);
    if has(INITRAMFS) {
        let wrong = segments(&out.join(INITRAMFS), &record.segments, record.padding);
        check(format!("segments of {INITRAMFS}"), wrong);
    }
    if has(ARCHIVE) {
        check(format!("files in {ARCHIVE}"), archive(&out.join(ARCHIVE), &record.artifacts));
    }
    if has(SBOM) {
        check(format!("components of {SBOM}"), sbom(&out.join(SBOM), &record.inputs));
    }
    if has(provenance::FILE) {
        check(format!("statement of {}", provenance::FILE), statement(&out.join(provenance::FILE), &record));
    }
    Ok(Verified { profile: record.profile, checks })
}

/// Reads to the end; gives digest and bytes.
fn digest(mut from: impl Read, told: &mut dyn FnMut(u64)) -> io::Result<(Digest, u64)> {
    let (mut hasher, mut bytes, mut buffer) = (Hasher::new(), 0, vec![0; 1 << 18]);
    loop {
        let n = from.read(&mut buffer)?;
        if n == 0 {
            return Ok((hasher.finish(), bytes));
        }
        hasher.update(&buffer[..n]);
        bytes += n as u64;
        told(n as u64);
    }
}

fn file(path: &Path, stated: &Artifact, told: &mut dyn FnMut(u64)) -> Option<String> {
    match File::open(path).and_then(|file| digest(file, told)) {
        Err(e) => Some(e.to_string()),
        Ok((found, _)) if found == stated.sha256 => None,
        Ok((found, bytes)) => {
            Some(format!("it has {bytes} bytes and the digest {found}, not {}", stated.sha256))
        }
    }
}

/// The initramfs ends with its segments, in order; before them there is microcode at most.
fn segments(path: &Path, stated: &[SegmentRecord], padding: u64) -> Option<String> {
    let read = || -> io::Result<Option<String>> {
        let mut file = BufReader::with_capacity(1 << 18, File::open(path)?);
        let all: u64 = stated.iter().map(|segment| segment.compressed).sum::<u64>() + padding;
        let len = file.get_ref().metadata()?.len();
        let Some(before) = len.checked_sub(all) else {
            return Ok(Some(format!("the segments have {all} bytes, the file {len}")));
        };
        file.seek(SeekFrom::Start(before))?;
        for segment in stated {
            let (found, _) = digest((&mut file).take(segment.compressed), &mut |_| {})?;
            // Members of a base that somebody else has built have no names and digests of their own.
            if found != segment.digest && !segment.name.starts_with("base/") {
                return Ok(Some(format!("{} has the digest {found}, not {}", segment.name, segment.digest)));
            }
        }
        let mut rest = Vec::new();
        file.read_to_end(&mut rest)?;
        Ok(rest.iter().any(|byte| *byte != 0).then(|| "something follows the last segment".to_owned()))
    };
    read().unwrap_or_else(|e| Some(e.to_string()))
}

/// The archive holds the kernel and the initramfs that lie beside it.
fn archive(path: &Path, stated: &[Artifact]) -> Option<String> {
    let read = || -> io::Result<Option<String>> {
        let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(BufReader::new(File::open(path)?)));
        let mut missing: BTreeSet<&str> = [VMLINUZ, INITRAMFS].into();
        for entry in tar.entries()? {
            let entry = entry?;
            let name = entry.path()?.to_string_lossy().into_owned();
            let Some(stated) = stated.iter().find(|artifact| artifact.name == name) else {
                return Ok(Some(format!("{name} is not in the record")));
            };
            missing.remove(name.as_str());
            let (found, _) = digest(entry, &mut |_| {})?;
            if found != stated.sha256 {
                return Ok(Some(format!("{name} in it has the digest {found}, not {}", stated.sha256)));
            }
        }
        Ok(missing.first().map(|name| format!("{name} is not in it")))
    };
    read().unwrap_or_else(|e| Some(e.to_string()))
}

/// Every Debian package of the record is in the SBOM, with its digest.
fn sbom(path: &Path, inputs: &[Input]) -> Option<String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) => return Some(e.to_string()),
    };
    let parsed: serde_json::Value = match serde_json::from_slice(&text) {
        Ok(parsed) => parsed,
        Err(e) => return Some(format!("it is no JSON: {e}")),
    };
    let hashes = parsed["components"].as_array().into_iter().flatten().flat_map(|component| {
        let hashes = component["hashes"].as_array().into_iter().flatten();
        hashes.filter_map(|hash| hash["content"].as_str())
    });
    let known: BTreeSet<&str> = hashes.collect();
    let packages = inputs.iter().filter(|input| input.kind == "package");
    let missing: Vec<&str> = packages
        .filter(|package| !known.contains(package.digest.hex().as_str()))
        .map(|package| package.name.as_str())
        .collect();
    (!missing.is_empty()).then(|| format!("packages are missing in it: {}", missing.join(", ")))
}

/// The provenance speaks of these files and inputs.
fn statement(path: &Path, record: &Manifest) -> Option<String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) => return Some(e.to_string()),
    };
    let parsed: serde_json::Value = match serde_json::from_slice(&text) {
        Ok(parsed) => parsed,
        Err(e) => return Some(format!("it is no JSON: {e}")),
    };
    let subjects = parsed["subject"].as_array().into_iter().flatten();
    for subject in subjects.clone() {
        let (name, sha256) = (subject["name"].as_str(), subject["digest"]["sha256"].as_str());
        let same = record.artifacts.iter().any(|artifact| {
            Some(artifact.name.as_str()) == name && Some(artifact.sha256.hex().as_str()) == sha256
        });
        if !same {
            return Some(format!("it speaks of {}, which is not in the record", name.unwrap_or("?")));
        }
    }
    // All but the statement itself.
    if subjects.count() + 1 != record.artifacts.len() {
        return Some("it does not speak of every file".to_owned());
    }
    let dependencies = &parsed["predicate"]["buildDefinition"]["resolvedDependencies"];
    let count = dependencies.as_array().map_or(0, Vec::len);
    (count != record.inputs.len())
        .then(|| format!("it names {count} inputs, the record {}", record.inputs.len()))
}
