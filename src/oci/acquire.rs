//! An image brought into the store from wherever its blobs are: a registry, a layout folder, an archive.
//!
//! Source: OCI image specification 1.1 (image-index.md, manifest.md, config.md); Docker's schema 2
//! manifests differ in their media types only.

use super::Image;
use super::image::read_image;
use super::import::{Error, Limits, Stated, import_layer};
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Store};
use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, Os};
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

/// Largest manifest, index or configuration, in bytes (registries take 4 MiB at most).
pub(super) const LARGEST_DOCUMENT: u64 = 4 << 20;
/// Most layers of an image (Docker takes 127).
const MOST_LAYERS: usize = 1000;
/// How deep indexes may stand in indexes.
const DEEPEST_INDEX: usize = 4;
/// Layers on their way at the same time.
const AT_ONCE: usize = 3;

/// Where blobs come from.
pub(super) trait Blobs: Sync {
    /// The name that people know it by.
    fn called(&self) -> String;
    /// Opens a blob of `size` bytes; they need not be checked. They were wrong `failures` times before.
    fn open(&self, blob: &Digest, size: u64, failures: u32) -> Result<Box<dyn Read + Send + '_>, Error>;
    /// As [`Blobs::open`], for a manifest or an index.
    fn open_manifest(
        &self,
        manifest: &Digest,
        size: u64,
        failures: u32,
    ) -> Result<Box<dyn Read + Send + '_>, Error> {
        self.open(manifest, size, failures)
    }
    /// After failure number `failure` (from 1): says what failed, waits and says yes, where another attempt may help.
    fn again(&self, _failure: u32, _error: &Error, _progress: &dyn Progress) -> bool {
        false
    }
}

/// The platform that an image is chosen for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub os: Os,
    pub architecture: Arch,
}

impl Default for Platform {
    fn default() -> Self {
        Self { os: Os::Linux, architecture: Arch::Amd64 }
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)
    }
}

/// Brings in the image of the manifest or index `document`.
pub(super) fn acquire(
    store: &Store,
    from: &dyn Blobs,
    mut document: Vec<u8>,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let refused = |why: String| Error::Content { what: from.called(), why };
    let mut inner = Vec::new();
    for _ in 0..DEEPEST_INDEX {
        match parse(&document).map_err(refused)? {
            Document::Index(index) => {
                let chosen = choose(index.manifests(), platform).map_err(refused)?;
                document = document_of(from, chosen, true, progress)?;
                inner.push(document.clone());
            }
            Document::Manifest(manifest) => {
                let image = image(store, from, &document, &manifest, platform, progress)?;
                // What leads to it: see `way`.
                inner.iter().try_for_each(|index| store.put(index).map(drop))?;
                return Ok(image);
            }
        }
    }
    Err(refused("its indexes refer to one another too often".to_owned()))
}

/// The documents that lead a reader of this platform from the index `from` to the manifest `to`, both
/// included; one where they are the same. None if `from` leads somewhere else, or to what `document` has not.
pub(super) fn way(
    from: Digest,
    to: &Digest,
    platform: &Platform,
    document: impl Fn(&Digest) -> Option<Vec<u8>>,
) -> Option<Vec<Digest>> {
    let mut way = vec![from];
    while way.last() != Some(to) {
        let text = document(way.last()?).filter(|_| way.len() <= DEEPEST_INDEX)?;
        let Document::Index(index) = parse(&text).ok()? else { return None };
        way.push(choose(index.manifests(), platform).ok()?.digest().to_string().parse().ok()?);
    }
    Some(way)
}

enum Document {
    Index(Box<ImageIndex>),
    Manifest(Box<ImageManifest>),
}

/// Tells an index from a manifest by what it holds. One that is both is refused: two readers could see
/// two images in it (CVE-2021-41190).
fn parse(document: &[u8]) -> Result<Document, String> {
    let value: serde_json::Value =
        serde_json::from_slice(document).map_err(|e| format!("its manifest is not JSON: {e}"))?;
    let has = |key: &str| value.get(key).is_some();
    let index = has("manifests");
    if index && (has("layers") || has("config")) {
        return Err("its manifest is an index and an image at the same time".to_owned());
    }
    if value.get("schemaVersion").and_then(serde_json::Value::as_u64) != Some(2) {
        return Err("its manifest has another schemaVersion than 2".to_owned());
    }
    if index {
        let index = ImageIndex::from_reader(document).map_err(|e| format!("its index: {e}"))?;
        return Ok(Document::Index(Box::new(index)));
    }
    let manifest = ImageManifest::from_reader(document).map_err(|e| format!("its manifest: {e}"))?;
    Ok(Document::Manifest(Box::new(manifest)))
}

/// The manifest for a platform; one that names no platform counts where it is alone.
fn choose<'a>(manifests: &'a [Descriptor], platform: &Platform) -> Result<&'a Descriptor, String> {
    if let [only] = manifests
        && only.platform().is_none()
    {
        return Ok(only);
    }
    let fits = |manifest: &&Descriptor| {
        let stated = manifest.platform().as_ref();
        stated.is_some_and(|p| *p.os() == platform.os && *p.architecture() == platform.architecture)
    };
    manifests.iter().find(fits).ok_or_else(|| {
        let has: Vec<String> = manifests
            .iter()
            .filter_map(|m| m.platform().as_ref())
            .map(|p| format!("{}/{}", p.os(), p.architecture()))
            .filter(|p| !p.contains("unknown"))
            .collect();
        format!("it has no image for {platform}, only for: {}", has.join(", "))
    })
}

/// The whole of a small blob, checked.
fn document_of(
    from: &dyn Blobs,
    stated: &Descriptor,
    manifest: bool,
    progress: &dyn Progress,
) -> Result<Vec<u8>, Error> {
    let what = || format!("{} of {}", stated.digest(), from.called());
    let refused = |why: String| Error::Content { what: what(), why };
    let digest: Digest = stated.digest().to_string().parse().map_err(|e| refused(format!("{e}")))?;
    if stated.size() > LARGEST_DOCUMENT {
        return Err(refused(format!("a document of {} bytes, over {LARGEST_DOCUMENT}", stated.size())));
    }
    with_retries(from, progress, |failures| {
        let open = if manifest { Blobs::open_manifest } else { Blobs::open };
        let reader = open(from, &digest, stated.size(), failures)?;
        let mut bytes = Vec::new();
        let read = reader.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes);
        read.map_err(|source| Error::Read { what: what(), source })?;
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(refused(format!("its content has the digest {found}")));
        }
        Ok(bytes)
    })
}

/// Attempts, as long as another may help; `attempt` gets the number of those that failed.
pub(super) fn with_retries<T>(
    from: &dyn Blobs,
    progress: &dyn Progress,
    mut attempt: impl FnMut(u32) -> Result<T, Error>,
) -> Result<T, Error> {
    let mut failures = 0;
    loop {
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        match attempt(failures) {
            Ok(done) => return Ok(done),
            // What was under way says that it broke.
            Err(_) if progress.cancelled() => return Err(Error::Cancelled),
            Err(error) => {
                failures += 1;
                if matches!(error, Error::Cancelled) || !from.again(failures, &error, progress) {
                    return Err(error);
                }
            }
        }
    }
}

fn image(
    store: &Store,
    from: &dyn Blobs,
    document: &[u8],
    manifest: &ImageManifest,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let refused = |why: String| Error::Content { what: from.called(), why };
    let config = document_of(from, manifest.config(), false, progress)?;
    let configuration = ImageConfiguration::from_reader(config.as_slice())
        .map_err(|e| refused(format!("its configuration: {e}")))?;
    if *configuration.os() != platform.os || *configuration.architecture() != platform.architecture {
        let (os, architecture) = (configuration.os(), configuration.architecture());
        return Err(refused(format!("it is an image for {os}/{architecture}, {platform} is needed")));
    }
    let diff_ids = configuration.rootfs().diff_ids();
    let layers = manifest.layers();
    if layers.len() != diff_ids.len() || layers.len() > MOST_LAYERS {
        return Err(refused(format!(
            "its manifest has {} layers, its configuration {} (at most {MOST_LAYERS})",
            layers.len(),
            diff_ids.len()
        )));
    }
    let media_types: Vec<String> = layers.iter().map(|layer| layer.media_type().to_string()).collect();
    let mut wanted = Vec::new();
    for ((layer, diff_id), media_type) in layers.iter().zip(diff_ids).zip(&media_types) {
        let digest = layer.digest().to_string().parse().map_err(|e| refused(format!("a layer: {e}")))?;
        let diff_id = diff_id.parse().map_err(|e| refused(format!("a layer: {e}")))?;
        wanted.push(Stated { media_type, digest, size: layer.size(), diff_id });
    }
    fetch_layers(store, from, &wanted, progress)?;
    store.put(&config)?;
    let manifest = store.put(document)?;
    Ok(read_image(store, &manifest)?)
}

/// Brings in the layers, some at the same time. The first failure stops the others.
fn fetch_layers(
    store: &Store,
    from: &dyn Blobs,
    wanted: &[Stated<'_>],
    progress: &dyn Progress,
) -> Result<(), Error> {
    let missing: Vec<_> = wanted.iter().filter(|stated| stated.known(store).is_none()).collect();
    let total = missing.iter().map(|stated| stated.size).fold(0, u64::saturating_add);
    let shared = Shared { progress, done: AtomicU64::new(0), total, stop: AtomicBool::new(false) };
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(None);
    let work = || {
        while let Some(stated) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = fetch_layer(store, from, **stated, &shared) {
                // First the reason, then the stop: what that ends is cancelled, which is no reason.
                failed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).get_or_insert(error);
                shared.stop.store(true, Ordering::Relaxed);
                return;
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..AT_ONCE.min(missing.len()) {
            scope.spawn(work);
        }
        work();
    });
    failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner).map_or(Ok(()), Err)
}

fn fetch_layer(
    store: &Store,
    from: &dyn Blobs,
    stated: Stated<'_>,
    shared: &Shared<'_>,
) -> Result<(), Error> {
    // Another process, or another image in this one, may be fetching the same layer.
    let _lock = store.lock(&format!("layer-{}", stated.digest.hex()))?;
    with_retries(from, shared, |failures| {
        let mut counted = Counted { shared, bytes: 0, reader: None };
        if stated.known(store).is_none() {
            counted.reader = Some(from.open(&stated.digest, stated.size, failures)?);
        }
        let layer = import_layer(store, &mut counted, stated, Limits::default(), shared);
        if layer.is_err() {
            shared.done.fetch_sub(counted.bytes, Ordering::Relaxed);
        }
        layer.map(|_| ())
    })
}

/// The progress of several layers as one.
struct Shared<'a> {
    progress: &'a dyn Progress,
    done: AtomicU64,
    total: u64,
    stop: AtomicBool,
}

impl Progress for Shared<'_> {
    fn at(&self, done: u64, total: u64, unit: Unit) {
        self.progress.at(done, total, unit);
    }
    fn log(&self, line: &str) {
        self.progress.log(line);
    }
    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.progress.cancelled()
    }
}

struct Counted<'a> {
    shared: &'a Shared<'a>,
    bytes: u64,
    /// None for a layer that is there.
    reader: Option<Box<dyn Read + Send + 'a>>,
}

impl Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let n = reader.read(buffer)? as u64;
        self.bytes += n;
        let done = self.shared.done.fetch_add(n, Ordering::Relaxed) + n;
        self.shared.at(done, self.shared.total, Unit::Bytes);
        Ok(usize::try_from(n).unwrap_or(usize::MAX))
    }
}

#[cfg(test)]
#[path = "acquire_tests.rs"]
mod tests;
