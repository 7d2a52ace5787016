//! Archives that `docker save` writes: one tar with `manifest.json`, configurations and layers.
//!
//! Source: Moby's image/spec/v1.2.md ("Combined Image JSON + Filesystem Changeset Format") and
//! image/tarexport. An archive of Docker 25 and later is an OCI layout as well; `manifest.json` is in both.

use super::Image;
use super::acquire::{Blobs, Platform, acquire};
use super::image::sorted_json;
use super::import::Error;
use super::layout::Files;
use crate::progress::Progress;
use crate::store::{Digest, Store};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageConfiguration, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

/// The list of an archive's images.
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Saved {
    config: String,
    #[serde(default)]
    repo_tags: Option<Vec<String>>,
    layers: Vec<String>,
}

/// Brings in an image of the archive at `path`: the one called `name`, or the only one.
pub fn import_docker_archive(
    store: &Store,
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let files = Files::open(path)?;
    let refused = |why: String| Error::Content { what: path.display().to_string(), why };
    let text =
        files.document(MANIFEST).map_err(|e| refused(format!("it is no archive of `docker save`: {e}")))?;
    let all: Vec<Saved> = serde_json::from_slice(&text).map_err(|e| refused(format!("{MANIFEST}: {e}")))?;
    let tags = |saved: &Saved| saved.repo_tags.clone().unwrap_or_default();
    let mut chosen =
        all.iter().filter(|saved| name.is_none_or(|name| tags(saved).iter().any(|tag| tag == name)));
    let (Some(saved), None) = (chosen.next(), chosen.next()) else {
        let has: Vec<String> = all.iter().flat_map(tags).collect();
        let wanted = name.map_or_else(|| "one image".to_owned(), |name| format!("an image {name}"));
        return Err(refused(format!("it does not hold {wanted}, but: {}", has.join(", "))));
    };
    let archive = Archive::read(&files, saved, path)?;
    acquire(store, &archive, archive.manifest.clone(), platform, progress)
}

/// The names of each image in an archive.
pub(super) fn names(files: &Files) -> Result<Vec<Vec<String>>, Error> {
    let refused = |why: String| Error::Content { what: files.name(), why };
    let text = files.document(MANIFEST).map_err(|_| {
        refused("it is neither an OCI image layout nor an archive of `docker save` (a tar file must not be compressed)".to_owned())
    })?;
    let all: Vec<Saved> = serde_json::from_slice(&text).map_err(|e| refused(format!("{MANIFEST}: {e}")))?;
    Ok(all.into_iter().map(|saved| saved.repo_tags.unwrap_or_default()).collect())
}

/// What makes an OCI layout an archive of `docker save` too: engines before Docker 25 read nothing else. Each
/// image is its names, its configuration and its layers.
pub(super) fn manifest(images: Vec<(Vec<String>, Digest, Vec<Digest>)>) -> Result<Vec<u8>, Error> {
    let place = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
    let saved = images.into_iter().map(|(names, config, layers)| Saved {
        config: place(&config),
        repo_tags: Some(names),
        layers: layers.iter().map(place).collect(),
    });
    Ok(sorted_json(&saved.collect::<Vec<_>>(), "that is carried")?)
}

/// An image in an archive, as blobs.
struct Archive<'a> {
    name: String,
    files: &'a Files,
    /// Where each blob is.
    places: HashMap<Digest, String>,
    manifest: Vec<u8>,
}

impl<'a> Archive<'a> {
    fn read(files: &'a Files, saved: &Saved, path: &Path) -> Result<Self, Error> {
        let name = path.display().to_string();
        let refused = |why: String| Error::Content { what: name.clone(), why };
        let text = files.document(&saved.config)?;
        let config = ImageConfiguration::from_reader(text.as_slice())
            .map_err(|e| refused(format!("{}: {e}", saved.config)))?;
        let ids = config.rootfs().diff_ids();
        if ids.len() != saved.layers.len() {
            return Err(refused(format!("{} layers have {} digests", saved.layers.len(), ids.len())));
        }
        let mut places = HashMap::from([(Digest::of(&text), saved.config.clone())]);
        let mut layers = Vec::new();
        for (layer, id) in saved.layers.iter().zip(ids) {
            let mut head = [0; 4];
            let read = files.file(layer)?.read(&mut head).map_err(files.failed())?;
            let (kind, digest) = match &head[..read] {
                [0x1f, 0x8b, ..] => (MediaType::ImageLayerGzip, of_name(layer)),
                [0x28, 0xb5, 0x2f, 0xfd] => (MediaType::ImageLayerZstd, of_name(layer)),
                // What is not compressed has the digest that the configuration states.
                _ => (MediaType::ImageLayer, id.parse().ok()),
            };
            let digest: Digest =
                digest.ok_or_else(|| refused(format!("the digest of the layer {layer} is not known")))?;
            layers.push(descriptor(kind, &digest, files.len(layer)?).map_err(|e| refused(e.to_string()))?);
            places.insert(digest, layer.clone());
        }
        let manifest = descriptor(MediaType::ImageConfig, &Digest::of(&text), text.len() as u64)
            .and_then(|config| {
                ImageManifestBuilder::default()
                    .schema_version(SCHEMA_VERSION)
                    .media_type(MediaType::ImageManifest)
                    .config(config)
                    .layers(layers)
                    .build()
            })
            .and_then(|manifest| manifest.to_string())
            .map_err(|e| refused(e.to_string()))?;
        Ok(Self { name, files, places, manifest: manifest.into_bytes() })
    }
}

/// The digest in a name such as `blobs/sha256/<hex>`.
fn of_name(name: &str) -> Option<Digest> {
    format!("sha256:{}", name.strip_prefix("blobs/sha256/")?).parse().ok()
}

fn descriptor(kind: MediaType, digest: &Digest, size: u64) -> Result<Descriptor, oci_spec::OciSpecError> {
    let digest: oci_spec::image::Digest = digest.to_string().parse()?;
    DescriptorBuilder::default().media_type(kind).digest(digest).size(size).build()
}

impl Blobs for Archive<'_> {
    fn called(&self) -> String {
        self.name.clone()
    }

    fn open(&self, blob: &Digest, _: u64, _: u32) -> Result<Box<dyn Read + Send + '_>, Error> {
        let missing = || Error::Content {
            what: format!("{blob} of {}", self.name),
            why: "it is not in the archive".to_owned(),
        };
        self.files.file(self.places.get(blob).ok_or_else(missing)?)
    }
}
