//! What is in the image against its record: kernel modules, our own programs, and the site's files, which are made
//! once more of the settings that the image itself states.

use super::Checks;
use crate::build::image::KERNEL;
use crate::build::inspect::Files;
use crate::build::manifest::Manifest;
use crate::build::stamp;
use crate::initramfs::{Content, Kind};
use crate::linuxkit::LINUXKIT_TIME;
use crate::problem::Result;
use crate::site::certificates::Bundle;
use crate::site::segment::Recorded;
use crate::site::{Id, SiteCertificates, Sources, resolve, site_tree};
use crate::store::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

const RECORD: &str = "etc/hook/site.json";
const CERTIFICATES: [(&str, &str); 2] =
    [("ca.pem", "etc/idp/ca.pem"), ("server_cert.pem", "etc/idp/server_cert.pem")];

/// Modules are for the kernel that the record names.
pub fn modules(files: &Files, kernel: &str) -> Option<String> {
    let release = |name: &String| {
        let rest = name.strip_prefix("lib/modules/").or_else(|| name.strip_prefix("usr/lib/modules/"))?;
        rest.split('/').next().filter(|release| !release.is_empty()).map(str::to_owned)
    };
    let releases: BTreeSet<String> = files.all.keys().filter_map(release).collect();
    let other = releases.iter().find(|release| *release != kernel);
    other.map(|other| format!("there are modules of {other}, and by the record the kernel is {kernel}"))
}

/// Programs and component files that the record names are in the image.
pub fn inputs(files: &Files, record: &Manifest) -> Option<String> {
    let there: BTreeSet<Digest> = files.all.values().map(|item| item.digest).collect();
    let mut stated = record.inputs.iter().filter(|input| matches!(input.kind.as_str(), "program" | "file"));
    let missing = stated.find(|input| !there.contains(&input.digest))?;
    Some(format!("the {} {} of the record is not in it ({})", missing.kind, missing.name, missing.digest))
}

/// The site's part of an image; gives the image's own record. `member` is the number of the site's member.
pub fn check(files: &Files, member: usize, record: &Manifest, checks: &mut Checks) -> Option<Recorded> {
    let text = files.site.get(RECORD);
    let read = text.ok_or_else(|| "it is not there".to_owned());
    let read = read.and_then(|text| serde_json::from_slice(text).map_err(|e| e.to_string()));
    let recorded: Recorded = match read {
        Ok(recorded) => recorded,
        Err(e) => {
            checks.add(RECORD, Some(e));
            return None;
        }
    };
    checks.add(RECORD, same(&recorded, record));
    checks.add("certificates in the image", certificates(files, record));
    // Another version may write the files in another way.
    if recorded.hookos == env!("CARGO_PKG_VERSION") {
        let made = again(files, &recorded);
        let wrong = match made {
            Ok(made) => differ(files, member, &made, &recorded),
            Err(problem) => Some(format!("its settings are not valid: {problem}")),
        };
        checks.add("settings in the image", wrong);
    }
    Some(recorded)
}

/// The image's record and that beside it say the same.
fn same(recorded: &Recorded, record: &Manifest) -> Option<String> {
    let texts = [
        ("profile", &recorded.profile, &record.profile),
        ("version", &recorded.hookos, &record.hookos),
        ("kernel", &recorded.kernel, &record.kernel),
    ];
    if let Some((what, found, stated)) = texts.into_iter().find(|(_, found, stated)| found != stated) {
        return Some(format!("its {what} is {found}, and by the record {stated}"));
    }
    let images = record.inputs.iter().filter_map(|input| match input.kind.as_str() {
        // Images that a component is made of are named with it.
        "image" if input.name != KERNEL && !input.name.contains(": ") => {
            Some((input.name.clone(), input.digest))
        }
        stamp::BASE => Some((stamp::BASE.to_owned(), input.digest)),
        _ => None,
    });
    let stated: BTreeMap<String, Digest> = images.collect();
    let names: BTreeSet<&String> = stated.keys().chain(recorded.images.keys()).collect();
    let other = names.into_iter().find(|name| stated.get(*name) != recorded.images.get(*name));
    if let Some(name) = other {
        let word = |digest: Option<&Digest>| digest.map_or_else(|| "not there".to_owned(), Digest::to_string);
        let (found, by) = (word(recorded.images.get(name)), word(stated.get(name)));
        return Some(format!("its image {name} is {found}, and by the record {by}"));
    }
    let append = recorded.fields.get(&Id::KernelAppend.field().path());
    let append = append.and_then(serde_json::Value::as_str).unwrap_or_default();
    (append != record.cmdline.site)
        .then(|| format!("its kernel.append is {append:?}, and by the record {:?}", record.cmdline.site))
}

fn certificates(files: &Files, record: &Manifest) -> Option<String> {
    CERTIFICATES.into_iter().find_map(|(name, path)| {
        let found = files.site.get(path).map(|bytes| Digest::of(bytes));
        let stated = record.inputs.iter().find(|input| input.kind == "certificate" && input.name == name);
        match (found, stated) {
            (Some(found), Some(stated)) if found == stated.digest => None,
            (None, _) => Some(format!("{path} is not there")),
            (_, None) => Some(format!("the record does not name {name}")),
            (Some(found), Some(stated)) => {
                Some(format!("{path} has the digest {found}, and by the record {}", stated.digest))
            }
        }
    })
}

/// The site's files once more, of what the image says of itself.
fn again(files: &Files, recorded: &Recorded) -> Result<BTreeMap<String, Vec<u8>>> {
    let (flags, _) = recorded.flags();
    let sources = Sources { flags, ..Sources::default() };
    let (site, _) = resolve(&recorded.profile, &sources).into_result()?;
    let bundle = |(_, path): (&str, &str)| {
        Bundle::from_bytes(Path::new(path), files.site.get(path).map_or(&[][..], Vec::as_slice))
    };
    let [ca, server] = CERTIFICATES.map(bundle);
    let placeholder = recorded.placeholder_certificates;
    let certificates = SiteCertificates { ca: ca?, server: server?, placeholder, warnings: Vec::new() };
    let tree = site_tree(&site, &certificates, &recorded.build(), LINUXKIT_TIME)?;
    let files = tree.iter().filter_map(|(path, node)| match &node.kind {
        Kind::File(Content::Inline(bytes)) => {
            Some((path.to_string().trim_start_matches('/').to_owned(), bytes.to_vec()))
        }
        _ => None,
    });
    Ok(files.collect())
}

fn differ(
    files: &Files,
    member: usize,
    made: &BTreeMap<String, Vec<u8>>,
    recorded: &Recorded,
) -> Option<String> {
    // What the record masks cannot be made again.
    let (_, masked) = recorded.flags();
    let secret = |name: &str| match name {
        RECORD => !masked.is_empty(),
        "etc/hook/env_config" => masked.iter().any(|(field, _)| field.id != Id::RootPasswordHash),
        "etc/hook/settings" => masked.iter().any(|(field, _)| field.id == Id::RootPasswordHash),
        _ => false,
    };
    for (name, bytes) in made {
        match files.site.get(name) {
            None => return Some(format!("{name} is not there")),
            Some(found) if found != bytes && !secret(name) => {
                return Some(format!("{name} is not what its settings make: {}", first_change(found, bytes)));
            }
            Some(_) => {}
        }
    }
    let surplus = files
        .all
        .iter()
        .find(|(name, item)| item.member == member && !item.is_folder() && !made.contains_key(name.as_str()));
    surplus.map(|(name, _)| format!("{name} is no file of a site"))
}

/// The first line that differs.
fn first_change(found: &[u8], made: &[u8]) -> String {
    let (found, made) = (String::from_utf8_lossy(found), String::from_utf8_lossy(made));
    let (mut found, mut made) = (found.lines(), made.lines());
    loop {
        match (found.next(), made.next()) {
            (None, None) => return "another end".to_owned(),
            (found, made) if found == made => {}
            (found, made) => {
                let word = |line: Option<&str>| {
                    line.map_or_else(|| "nothing".to_owned(), |line| format!("{line:?}"))
                };
                return format!("{} in place of {}", word(found), word(made));
            }
        }
    }
}
