//! Archives that `docker save` writes: one tar with `manifest.json`, configurations and layers.
//!
//! Source: Moby's image/spec/v1.2.md ("Combined Image JSON + Filesystem Changeset Format") and
//! image/tarexport. An archive of Docker 25 and later is an OCI layout as well; `manifest.json` is in both.

use super::Image;
use super::acquire::{Blobs, Platform, acquire};
use super::import::Error;
use super::layout::Files;
use crate::progress::Progress;
use crate::store::{Digest, Store};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageConfiguration, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};
use serde::Deserialize;
use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

#[derive(Debug, Deserialize)]
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
    let text = files
        .document("manifest.json")
        .map_err(|e| refused(format!("it is no archive of `docker save`: {e}")))?;
    let all: Vec<Saved> =
        serde_json::from_slice(&text).map_err(|e| refused(format!("manifest.json: {e}")))?;
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

/// The first name of each image in an archive.
pub(super) fn names(files: &Files) -> Result<Vec<Option<String>>, Error> {
    let refused = |why: String| Error::Content { what: files.name(), why };
    let text = files.document("manifest.json").map_err(|_| {
        refused("it is neither an OCI image layout nor an archive of `docker save` (a tar file must not be compressed)".to_owned())
    })?;
    let all: Vec<Saved> =
        serde_json::from_slice(&text).map_err(|e| refused(format!("manifest.json: {e}")))?;
    Ok(all.into_iter().map(|saved| saved.repo_tags.and_then(|tags| tags.into_iter().next())).collect())
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
    fn name(&self) -> String {
        self.name.clone()
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let refused =
            |why: String| Error::Content { what: format!("{} of {}", blob.digest(), self.name), why };
        let digest: Digest = blob.digest().to_string().parse().map_err(|e| refused(format!("{e}")))?;
        let place = self.places.get(&digest).ok_or_else(|| refused("it is not in the archive".to_owned()))?;
        self.files.file(place)
    }
}
