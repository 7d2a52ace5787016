//! Image manifests and configurations in the store.
//!
//! Source: OCI image specification 1.1, manifest.md and config.md.

use super::layer::Layer;
use super::{Config, Image};
use crate::store::{Digest, Store};
use oci_spec::image::{
    Arch, ConfigBuilder, DescriptorBuilder, ImageConfiguration, ImageConfigurationBuilder, ImageManifest,
    ImageManifestBuilder, MediaType, Os, RootFsBuilder, SCHEMA_VERSION,
};
use std::collections::HashMap;

/// Why an image in the store cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error("image {image}: {source}")]
    Spec { image: String, source: oci_spec::OciSpecError },
    #[error("image {image}: {why}")]
    Odd { image: String, why: String },
}

fn spec(image: impl ToString) -> impl FnOnce(oci_spec::OciSpecError) -> Error {
    move |source| Error::Spec { image: image.to_string(), source }
}

/// Stores configuration and manifest of an image made of uncompressed layers, bottom first.
pub fn write_image(store: &Store, layers: &[Layer], config: &Config) -> Result<Image, Error> {
    const NEW: &str = "that is written";
    let diff_ids: Vec<String> = layers.iter().map(|l| l.diff_id.to_string()).collect();
    let mut run = ConfigBuilder::default();
    if !config.entrypoint.is_empty() {
        run = run.entrypoint(config.entrypoint.clone());
    }
    if !config.cmd.is_empty() {
        run = run.cmd(config.cmd.clone());
    }
    if !config.env.is_empty() {
        run = run.env(config.env.clone());
    }
    if !config.working_dir.is_empty() {
        run = run.working_dir(config.working_dir.clone());
    }
    let labels: HashMap<String, String> = config.labels.clone().into_iter().collect();
    let configuration = ImageConfigurationBuilder::default()
        .architecture(Arch::Amd64)
        .os(Os::Linux)
        .config(run.labels(labels).build().map_err(spec(NEW))?)
        .rootfs(RootFsBuilder::default().typ("layers").diff_ids(diff_ids).build().map_err(spec(NEW))?)
        .build()
        .map_err(spec(NEW))?;
    // Through a value, so that maps come out sorted: the same image has the same bytes.
    let config_text = sorted_json(&configuration, NEW)?;
    let config_digest = store.put(&config_text)?;
    let descriptor = |kind: MediaType, digest: Digest, size: u64| {
        let digest: oci_spec::image::Digest = digest.to_string().parse().map_err(spec(NEW))?;
        DescriptorBuilder::default().media_type(kind).digest(digest).size(size).build().map_err(spec(NEW))
    };
    let mut described = Vec::new();
    for layer in layers {
        described.push(descriptor(MediaType::ImageLayer, layer.diff_id, layer.size)?);
    }
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(descriptor(MediaType::ImageConfig, config_digest, config_text.len() as u64)?)
        .layers(described)
        .build()
        .map_err(spec(NEW))?;
    let manifest = store.put(&sorted_json(&manifest, NEW)?)?;
    Ok(Image { manifest, layers: layers.iter().map(|l| l.diff_id).collect(), config: config.clone() })
}

/// Reads an image whose layers are in the store uncompressed.
pub fn read_image(store: &Store, manifest: &Digest) -> Result<Image, Error> {
    let text = store.read(manifest)?;
    let parsed = ImageManifest::from_reader(text.as_slice()).map_err(spec(manifest))?;
    let odd = |why: String| Error::Odd { image: manifest.to_string(), why };
    let config_digest: Digest =
        parsed.config().digest().to_string().parse().map_err(|e| odd(format!("its configuration: {e}")))?;
    let text = store.read(&config_digest)?;
    let configuration = ImageConfiguration::from_reader(text.as_slice()).map_err(spec(manifest))?;
    let mut layers = Vec::new();
    for diff_id in configuration.rootfs().diff_ids() {
        layers.push(diff_id.parse().map_err(|e| odd(format!("a layer: {e}")))?);
    }
    Ok(Image { manifest: *manifest, layers, config: run_config(&configuration) })
}

/// The digest of the configuration that a manifest names.
pub fn config_digest(store: &Store, manifest: &Digest) -> Result<Digest, Error> {
    let text = store.read(manifest)?;
    let parsed = ImageManifest::from_reader(text.as_slice()).map_err(spec(manifest))?;
    let odd = |why: String| Error::Odd { image: manifest.to_string(), why };
    parsed.config().digest().to_string().parse().map_err(|e| odd(format!("its configuration: {e}")))
}

/// The part of a configuration that says how to run the image.
pub fn run_config(configuration: &ImageConfiguration) -> Config {
    let Some(config) = configuration.config() else { return Config::default() };
    Config {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        cmd: config.cmd().clone().unwrap_or_default(),
        env: config.env().clone().unwrap_or_default(),
        working_dir: config.working_dir().clone().unwrap_or_default(),
        labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
    }
}

/// JSON with sorted keys: the same value has the same bytes.
pub(super) fn sorted_json(value: &impl serde::Serialize, image: &str) -> Result<Vec<u8>, Error> {
    let failed = |e: serde_json::Error| Error::Odd { image: image.to_owned(), why: e.to_string() };
    let mut value = serde_json::to_value(value).map_err(failed)?;
    value.sort_all_objects();
    serde_json::to_vec(&value).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_reads_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let diff_id = store.put(&[0; 1024]).unwrap();
        let config = Config {
            cmd: vec!["/x".to_owned()],
            labels: (0..20).map(|n| (format!("l{n}"), "v".to_owned())).collect(),
            ..Config::default()
        };
        let image = write_image(&store, &[Layer { diff_id, size: 1024 }], &config).unwrap();
        assert_eq!(read_image(&store, &image.manifest).unwrap(), image);
        assert_eq!(write_image(&store, &[Layer { diff_id, size: 1024 }], &config).unwrap(), image);
    }
}
