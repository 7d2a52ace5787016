//! The software bill of materials: CycloneDX 1.5 JSON, each Debian package, each Rust crate and each image of
//! others that went into the image. Sorted and without a time or a random number, so the same image has the
//! same bytes of SBOM.

use crate::oci::registry;
use crate::problem::{Problem, Result};
use cyclonedx_bom::external_models::normalized_string::NormalizedString;
use cyclonedx_bom::models::component::Classification;
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::property::{Properties, Property};
use cyclonedx_bom::prelude::{Bom, Component, Components, Metadata, SpecVersion};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Where a part comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    Debian,
    Cargo,
    /// An image from a registry, or one that Docker built; its version is its digest.
    Oci,
    /// Compiled from a tarball.
    Source,
}

/// One thing that is in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Part {
    pub origin: Origin,
    pub name: String,
    pub version: String,
    /// Debian architecture such as `amd64`; none for crates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Hex SHA-256 of the package file or of the image's manifest, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// How an image of a registry is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A part, and the component that brings it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PartRecord {
    #[serde(flatten)]
    pub part: Part,
    pub component: String,
}

impl PartRecord {
    pub fn new((part, component): &(Part, String)) -> Self {
        Self { part: part.clone(), component: component.clone() }
    }
}

impl Part {
    /// The package URL: <https://github.com/package-url/purl-spec>, types `deb`, `cargo`, `oci`,
    /// `generic`.
    fn purl(&self) -> String {
        let escape = |text: &str| {
            text.bytes().fold(String::new(), |mut out, b| {
                match b {
                    b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => out.push(b.into()),
                    b => out.push_str(&format!("%{b:02X}")),
                }
                out
            })
        };
        let (name, version) = (escape(&self.name), escape(&self.version));
        match self.origin {
            Origin::Debian => {
                let arch = self.architecture.as_deref().unwrap_or("amd64");
                format!("pkg:deb/debian/{name}@{version}?arch={arch}")
            }
            Origin::Cargo => format!("pkg:cargo/{name}@{version}"),
            Origin::Oci => match self.reference.as_deref().map(registry::parse) {
                Some(Ok(reference)) => {
                    let (registry, repository) = (reference.registry(), reference.repository());
                    // The type's name is the last part; the whole is a qualifier.
                    let name = escape(repository.rsplit('/').next().unwrap_or(repository));
                    let place = repository.split('/').map(escape).collect::<Vec<_>>().join("/");
                    let tag = reference.tag().map(|tag| format!("&tag={}", escape(tag)));
                    format!(
                        "pkg:oci/{name}@{version}?arch=amd64&repository_url={}/{place}{}",
                        escape(registry),
                        tag.unwrap_or_default()
                    )
                }
                _ => format!("pkg:oci/{name}@{version}"),
            },
            Origin::Source => format!("pkg:generic/{name}@{version}"),
        }
    }
}

/// Writes the SBOM of an image.
pub fn write(profile: &str, parts: &[PartRecord]) -> Result<Vec<u8>> {
    let mut brought: BTreeMap<&Part, BTreeSet<&str>> = BTreeMap::new();
    for PartRecord { part, component } in parts {
        brought.entry(part).or_default().insert(component.as_str());
    }
    let components = brought.iter().map(|(part, by)| component(part, by)).collect();
    let metadata = Metadata {
        component: Some(Component::new(
            Classification::OperatingSystem,
            &format!("hookos-{profile}"),
            env!("CARGO_PKG_VERSION"),
            Some("image".to_owned()),
        )),
        ..Metadata::default()
    };
    let bom = Bom {
        serial_number: None,
        metadata: Some(metadata),
        components: Some(Components(components)),
        ..Bom::default()
    };
    let mut out = Vec::new();
    bom.output_as_json(&mut out, SpecVersion::V1_5)
        .map_err(|e| Problem::new("cannot write the SBOM").because(e))?;
    out.push(b'\n');
    Ok(out)
}

fn component(part: &Part, by: &BTreeSet<&str>) -> Component {
    let purl = part.purl();
    // Two files may share name and version (an architecture, a rebuilt crate): the digest tells them apart.
    let reference = match &part.sha256 {
        Some(sha256) => format!("{purl}#{sha256}"),
        None => purl.clone(),
    };
    let kind = match part.origin {
        Origin::Oci => Classification::Container,
        Origin::Debian | Origin::Cargo | Origin::Source => Classification::Library,
    };
    let mut component = Component::new(kind, &part.name, &part.version, Some(reference));
    component.purl = purl.parse().ok();
    component.hashes = part
        .sha256
        .as_ref()
        .map(|hex| Hashes(vec![Hash { alg: HashAlgorithm::SHA_256, content: HashValue(hex.clone()) }]));
    let property =
        |name: &&str| Property { name: "hookos:component".to_owned(), value: NormalizedString::new(name) };
    component.properties = Some(Properties(by.iter().map(property).collect()));
    component
}

#[cfg(test)]
mod tests {
    use super::*;
    use cyclonedx_bom::prelude::Validate;

    #[test]
    fn a_bom_is_valid_sorted_and_the_same_each_time() {
        let part = |origin, name: &str, version: &str| Part {
            origin,
            name: name.to_owned(),
            version: version.to_owned(),
            architecture: None,
            sha256: Some("ab".repeat(32)),
            reference: None,
        };
        let parts = [
            (part(Origin::Cargo, "serde", "1.0.0"), "init".to_owned()),
            (part(Origin::Debian, "libstdc++6", "1:2+b1"), "udev".to_owned()),
            (part(Origin::Debian, "libstdc++6", "1:2+b1"), "init".to_owned()),
        ];
        let parts: Vec<PartRecord> = parts.iter().map(PartRecord::new).collect();
        let text = write("lab", &parts).unwrap();
        let mut reversed = parts.clone();
        reversed.reverse();
        assert_eq!(text, write("lab", &reversed).unwrap());
        let bom = Bom::parse_from_json(text.as_slice()).unwrap();
        assert!(bom.validate_version(SpecVersion::V1_5).passed());
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(json["components"][0]["purl"], "pkg:deb/debian/libstdc%2B%2B6@1%3A2%2Bb1?arch=amd64");
        assert_eq!(json["components"].as_array().unwrap().len(), 2);
        assert!(json.get("serialNumber").is_none());
    }

    #[test]
    fn an_image_is_named_by_its_digest_and_where_it_is_from() {
        let purl = |name: &str, reference: Option<&str>| {
            let part = Part {
                origin: Origin::Oci,
                name: name.to_owned(),
                version: "sha256:00ff".to_owned(),
                architecture: None,
                sha256: None,
                reference: reference.map(str::to_owned),
            };
            part.purl()
        };
        let of = |reference| purl("ignored", Some(reference));
        assert_eq!(
            of("fluent/fluent-bit:3.2.9"),
            "pkg:oci/fluent-bit@sha256%3A00ff?arch=amd64&repository_url=docker.io/fluent/fluent-bit&tag=3.2.9"
        );
        assert_eq!(
            of(&format!("r.example.com:5000/a/b@sha256:{}", "ab".repeat(32))),
            "pkg:oci/b@sha256%3A00ff?arch=amd64&repository_url=r.example.com%3A5000/a/b"
        );
        assert_eq!(purl("web", None), "pkg:oci/web@sha256%3A00ff");
    }
}
