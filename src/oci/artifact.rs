//! Artifacts: files that a registry keeps beside images, and what refers to what.
//!
//! Source: OCI image specification 1.1 (manifest.md, "Guidelines for Artifact Usage"; `subject`), OCI
//! distribution specification 1.1 ("Listing Referrers", and the tag that stands in where a registry has no
//! such list); the title annotation is the one that ORAS uses for a file's name.

use super::image::sorted_json;
use super::import::Error;
use super::repository::{Blob, Found, Repository, Sent};
use crate::store::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The media type of a manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// The type of a config that says nothing.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// The annotation that holds a file's name.
pub const TITLE: &str = "org.opencontainers.image.title";

/// An artifact that is to be pushed.
#[derive(Debug, Clone, Default)]
pub struct Artifact {
    /// What it is: a media type.
    pub artifact_type: String,
    pub files: Vec<File>,
    pub annotations: BTreeMap<String, String>,
    /// The manifest that it says something of.
    pub subject: Option<Found>,
}

/// A file of an artifact.
#[derive(Debug, Clone)]
pub struct File {
    pub blob: Blob,
    pub media_type: String,
    pub annotations: BTreeMap<String, String>,
}

impl File {
    pub fn new(title: &str, media_type: &str, blob: Blob) -> Self {
        let annotations = BTreeMap::from([(TITLE.to_owned(), title.to_owned())]);
        Self { blob, media_type: media_type.to_owned(), annotations }
    }
}

/// A part of a manifest or index.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Part {
    pub media_type: String,
    pub digest: Digest,
    /// Bytes.
    pub size: u64,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Part {
    /// The file's name.
    pub fn title(&self) -> Option<&str> {
        self.annotations.get(TITLE).map(String::as_str)
    }
}

/// The manifest of an artifact, or what of an image's manifest is common with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    schema_version: u32,
    #[serde(default = "usual_type")]
    pub media_type: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    pub config: Part,
    pub layers: Vec<Part>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Part>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a manifest is that does not say so.
fn usual_type() -> String {
    MANIFEST.to_owned()
}

impl Manifest {
    /// One of an image, without anything that makes it an artifact.
    pub(super) fn of_image(config: Part, layers: Vec<Part>) -> Self {
        Self {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: None,
            config,
            layers,
            subject: None,
            annotations: BTreeMap::new(),
        }
    }

    /// The same manifest has the same bytes.
    pub(super) fn bytes(&self) -> Result<Vec<u8>, Error> {
        Ok(sorted_json(self, "of an artifact")?)
    }

    /// Reads the manifest `what`.
    pub fn read(what: &str, bytes: &[u8]) -> Result<Self, Error> {
        let wrong = |why: String| Error::Content { what: what.to_owned(), why };
        serde_json::from_slice(bytes).map_err(|e| wrong(format!("it is no manifest of an artifact: {e}")))
    }
}

/// The parts of an index that this program can name. Others (a digest that is no sha256, say) are passed over,
/// and an index without any may say null.
fn parts(index: &serde_json::Value) -> Vec<Part> {
    let all = index["manifests"].as_array().into_iter().flatten();
    all.filter_map(|part| Part::deserialize(part).ok()).collect()
}

impl Artifact {
    /// Its manifest; the same artifact has the same bytes.
    pub fn manifest(&self) -> Result<Vec<u8>, Error> {
        let part = |media_type: &str, blob: &Blob, annotations: &BTreeMap<String, String>| Part {
            media_type: media_type.to_owned(),
            digest: blob.digest,
            size: blob.size,
            annotations: annotations.clone(),
            artifact_type: None,
        };
        let layers = self.files.iter().map(|file| part(&file.media_type, &file.blob, &file.annotations));
        let manifest = Manifest {
            schema_version: 2,
            media_type: MANIFEST.to_owned(),
            artifact_type: Some(self.artifact_type.clone()),
            config: part(EMPTY, &empty(), &BTreeMap::new()),
            layers: layers.collect(),
            subject: self.subject.as_ref().map(|subject| Part {
                media_type: subject.media_type.clone(),
                digest: subject.digest,
                size: subject.size,
                annotations: BTreeMap::new(),
                artifact_type: None,
            }),
            annotations: self.annotations.clone(),
        };
        manifest.bytes()
    }

    /// All that its manifest names.
    pub fn blobs(&self) -> Vec<Blob> {
        self.files.iter().map(|file| file.blob.clone()).chain([empty()]).collect()
    }
}

/// The configuration of what needs none.
fn empty() -> Blob {
    Blob::of_bytes(b"{}".to_vec())
}

impl Repository<'_> {
    /// Sends an artifact, under `tag` or under its digest alone. One with a subject is found by
    /// [`Repository::referrers`] from then on.
    pub fn put_artifact(&self, artifact: &Artifact, tag: Option<&str>) -> Result<(Found, Sent), Error> {
        let bytes = artifact.manifest()?;
        let digest = Digest::of(&bytes);
        let sent = self.put_blobs(&artifact.blobs(), None)?;
        let name = tag.map_or_else(|| digest.to_string(), str::to_owned);
        let noted = self.put_manifest(&name, MANIFEST, &bytes)?;
        let found = Found { digest, media_type: MANIFEST.to_owned(), size: bytes.len() as u64 };
        if let Some(subject) = artifact.subject.as_ref().filter(|_| !noted) {
            self.note_referrer(subject, artifact, &found)?;
        }
        Ok((found, sent))
    }

    /// A registry that keeps no list of referrers gets one as an index under a tag.
    fn note_referrer(&self, subject: &Found, artifact: &Artifact, found: &Found) -> Result<(), Error> {
        let tag = referrers_tag(&subject.digest);
        let mut index = match self.manifest(&tag)? {
            Some(bytes) => self.index(&tag, &bytes)?,
            None => serde_json::json!({"schemaVersion": 2, "mediaType": INDEX}),
        };
        let part = Part {
            media_type: found.media_type.clone(),
            digest: found.digest,
            size: found.size,
            annotations: artifact.annotations.clone(),
            artifact_type: Some(artifact.artifact_type.clone()),
        };
        // What others wrote there stays as it is.
        let mut manifests = index["manifests"].as_array().cloned().unwrap_or_default();
        manifests.retain(|part| part["digest"] != found.digest.to_string().as_str());
        manifests.push(serde_json::to_value(part).map_err(|e| self.no_index(&tag, &e))?);
        index["manifests"] = manifests.into();
        let bytes = sorted_json(&index, "that lists referrers")?;
        self.put_manifest(&tag, INDEX, &bytes).map(drop)
    }

    fn index(&self, name: &str, bytes: &[u8]) -> Result<serde_json::Value, Error> {
        let index: serde_json::Map<_, _> =
            serde_json::from_slice(bytes).map_err(|e| self.no_index(name, &e))?;
        Ok(index.into())
    }

    fn no_index(&self, name: &str, error: &serde_json::Error) -> Error {
        Error::Content { what: format!("{}:{name}", self.name()), why: format!("it is no index: {error}") }
    }

    /// The artifacts that say something of a manifest, of one type or of all.
    pub fn referrers(&self, subject: &Digest, artifact_type: Option<&str>) -> Result<Vec<Part>, Error> {
        let mut all = Vec::new();
        match self.pages(&format!("referrers/{subject}"))? {
            Some(pages) => {
                for page in pages {
                    all.extend(parts(&self.index("referrers", &page)?));
                }
            }
            None => {
                let tag = referrers_tag(subject);
                if let Some(bytes) = self.manifest(&tag)? {
                    all = parts(&self.index(&tag, &bytes)?);
                }
            }
        }
        all.retain(|part| artifact_type.is_none_or(|wanted| part.artifact_type.as_deref() == Some(wanted)));
        Ok(all)
    }

    /// The artifact or image manifest under a tag or digest.
    pub fn artifact(&self, name: &str) -> Result<Option<(Digest, Manifest)>, Error> {
        let Some(bytes) = self.manifest(name)? else { return Ok(None) };
        let manifest = Manifest::read(&format!("{}:{name}", self.name()), &bytes)?;
        Ok(Some((Digest::of(&bytes), manifest)))
    }

    /// Brings a part of a manifest into the store.
    pub fn fetch_part(&self, store: &Store, part: &Part) -> Result<(), Error> {
        self.fetch(store, &part.digest, part.size)
    }
}

/// The tag that lists referrers where a registry does not.
fn referrers_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

#[cfg(test)]
#[path = "artifact_tests.rs"]
mod tests;
