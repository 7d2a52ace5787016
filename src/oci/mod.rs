//! OCI images: references, manifests, layers, registries, archives.
//!
//! In the store a layer is kept **uncompressed** (its blob's digest is its diff ID), so that a file
//! in it is a byte range.

use crate::store::Digest;
use std::collections::BTreeMap;

/// What the rest of the program needs to know of an image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Image {
    /// Digest of the image manifest's blob in the store.
    pub manifest: Digest,
    /// Uncompressed layers, bottom first.
    pub layers: Vec<Digest>,
    pub config: Config,
}

impl Image {
    /// All its blobs in the store: manifest, configuration, layers.
    pub fn blobs(&self, store: &crate::store::Store) -> Result<Vec<Digest>, image::Error> {
        let config = image::config_digest(store, &self.manifest)?;
        Ok([self.manifest, config].into_iter().chain(self.layers.iter().copied()).collect())
    }
}

/// The part of an OCI image configuration that says how to run it.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Config {
    #[serde(default)]
    pub entrypoint: Vec<String>,
    #[serde(default)]
    pub cmd: Vec<String>,
    #[serde(default)]
    pub env: Vec<String>,
    #[serde(default)]
    pub working_dir: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

mod acquire;
pub mod artifact;
mod auth;
mod blob;
pub mod bundle;
pub mod cache;
mod client;
pub mod credentials;
mod docker_archive;
mod fault;
mod header;
pub mod image;
pub mod import;
pub mod index;
pub mod layer;
pub mod layout;
mod merge;
mod places;
pub mod push;
pub mod registries;
pub mod registry;
pub mod repository;
pub mod signature;
mod sigstore_bundle;
#[cfg(test)]
mod stand_in;
mod trust;
mod upload;
mod wire;

pub use acquire::Platform;
pub use docker_archive::import_docker_archive;
pub use image::{read_image, write_image};
pub use import::import_layer;
pub use index::{Error, Source};
pub use layer::{Layer, image_tree, nested_tree, write_layer};
pub use layout::{export_layout, import_layout};
pub use registry::pull;
