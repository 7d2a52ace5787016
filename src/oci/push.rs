//! Images of the store, sent to a registry.
//!
//! The store keeps layers uncompressed; they travel as gzip, which every engine reads. The same layer gives
//! the same bytes, so an image has one digest wherever it was built.

use super::Image;
use super::artifact::Manifest;
use super::image::sorted_json;
use super::import::Error;
use super::registry::{Options, parse, pinned};
use super::repository::{Blob, Found, Repository, Sent};
use crate::initramfs::compress::Compression;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, KeyMaker, Store};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageManifest, ImageManifestBuilder, MediaType, SCHEMA_VERSION,
};
use std::io::{self, Read as _, Write as _};

/// An image that was pushed.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Pushed {
    /// `host/repository:tag`.
    pub reference: String,
    /// Of the manifest in the registry.
    pub digest: Digest,
    /// Whether the tag named the same image before.
    pub unchanged: bool,
    pub sent: Sent,
}

impl std::fmt::Display for Pushed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.unchanged {
            return write!(f, "{} was there: {}", self.reference, self.digest);
        }
        let Sent { blobs, bytes, present, mounted } = self.sent;
        write!(
            f,
            "{} is {} ({blobs} blobs sent, {bytes} bytes; {present} were there, {mounted} linked)",
            self.reference, self.digest
        )
    }
}

/// An image as it travels: its manifest, and its blobs.
pub struct Packed {
    pub manifest: Vec<u8>,
    pub blobs: Vec<Blob>,
}

impl Packed {
    pub fn digest(&self) -> Digest {
        Digest::of(&self.manifest)
    }

    /// Adds an annotation to the manifest, which has another digest then.
    pub fn annotate(&mut self, name: String, text: String) -> Result<(), Error> {
        let mut manifest = Manifest::read("an image that is pushed", &self.manifest)?;
        manifest.annotations.insert(name, text);
        self.manifest = manifest.bytes()?;
        Ok(())
    }
}

/// Sends the image to where `reference` says. Blobs that the registry has, there or in the repository
/// `from`, are not sent.
pub fn push(
    store: &Store,
    image: &Image,
    reference: &str,
    from: Option<&str>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Pushed, Error> {
    let packed = pack(store, image, progress)?;
    let digest = packed.digest();
    if let Some(named) = pinned(&parse(reference)?).filter(|named| *named != digest) {
        let why = format!(
            "it names the digest {named}; what is sent has layers that are compressed anew, and so the digest \
             {digest}: send it to a name with a tag and without a digest"
        );
        return Err(Error::Content { what: reference.to_owned(), why });
    }
    let repository = Repository::open(reference, options, progress)?;
    let before = repository.find(repository.tag())?;
    let reference = format!("{}:{}", repository.name(), repository.tag());
    if before.is_some_and(|found: Found| found.digest == digest) {
        let present = packed.blobs.len() as u64;
        return Ok(Pushed { reference, digest, unchanged: true, sent: Sent { present, ..Sent::default() } });
    }
    let sent = repository.put_blobs(&packed.blobs, from)?;
    repository.put_manifest(repository.tag(), MediaType::ImageManifest.as_ref(), &packed.manifest)?;
    Ok(Pushed { reference, digest, unchanged: false, sent })
}

/// The image with its layers compressed; they stay in the store for the next time.
pub fn pack(store: &Store, image: &Image, progress: &dyn Progress) -> Result<Packed, Error> {
    let odd = |why: String| Error::Content { what: format!("image {}", image.manifest), why };
    let spec = |e: oci_spec::OciSpecError| odd(e.to_string());
    let text = store.read(&image.manifest)?;
    let manifest = ImageManifest::from_reader(text.as_slice()).map_err(spec)?;
    let config: Digest = manifest.config().digest().to_string().parse().map_err(|e| odd(format!("{e}")))?;
    let mut blobs = vec![Blob::of_store(store, &config)?];
    for layer in &image.layers {
        blobs.push(Blob::of_store(store, &compressed(store, layer, Compression::Gzip, progress)?)?);
    }
    let describe = |media_type: MediaType, blob: &Blob| -> Result<Descriptor, Error> {
        let digest: oci_spec::image::Digest = blob.digest.to_string().parse().map_err(spec)?;
        DescriptorBuilder::default()
            .media_type(media_type)
            .digest(digest)
            .size(blob.size)
            .build()
            .map_err(spec)
    };
    let layers = blobs[1..].iter().map(|blob| describe(MediaType::ImageLayerGzip, blob));
    let manifest = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(describe(MediaType::ImageConfig, &blobs[0])?)
        .layers(layers.collect::<Result<Vec<_>, _>>()?)
        .build()
        .map_err(spec)?;
    Ok(Packed { manifest: sorted_json(&manifest, "that is pushed")?, blobs })
}

/// The layer compressed, made once.
pub(super) fn compressed(
    store: &Store,
    layer: &Digest,
    compression: Compression,
    progress: &dyn Progress,
) -> Result<Digest, Error> {
    let key = KeyMaker::new("oci layer compressed 1")
        .add("layer", layer.bytes())
        .add("compression", compression.identity())
        .local()
        .finish();
    if let Some(known) = store.work(&key) {
        return Ok(known);
    }
    let mut from = store.open_blob(layer)?;
    let failed = |source: io::Error| crate::store::Error::Io { path: store.path(layer), source };
    let total = from.metadata().map_err(failed)?.len();
    let mut to = compression.writer(store.writer()?).map_err(failed)?;
    let mut piece = vec![0; 256 << 10];
    let mut done = 0;
    progress.log(&format!("compressing the layer {layer}"));
    loop {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let n = from.read(&mut piece).map_err(failed)?;
        if n == 0 {
            break;
        }
        to.write_all(&piece[..n]).map_err(failed)?;
        done += n as u64;
        progress.at(done, total, Unit::Bytes);
    }
    let (digest, _) = to.finish().map_err(failed)?.commit()?;
    store.set_work(&key, &digest)?;
    Ok(digest)
}
