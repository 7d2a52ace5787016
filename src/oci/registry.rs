//! Images pulled from a registry.
//!
//! Protocol: OCI distribution specification 1.1.

use super::Image;
use super::acquire::{Platform, acquire, way};
use super::credentials::Credentials;
use super::image::read_image;
use super::import::Error;
use super::registries::Registries;
use super::repository::Repository;
use super::signature::{self, VerifyingKey};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker, Store};
use oci_spec::distribution::Reference;

/// How registries are spoken to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Hosts (`host` or `host:port`) that are spoken to without TLS, on top of those in `registries`.
    pub insecure: Vec<String>,
    /// Certificates (PEM) of authorities that are trusted on top of the system's.
    pub certificates: Vec<Vec<u8>>,
    /// Without these the environment's `https_proxy`, `http_proxy` and `no_proxy` count.
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub credentials: Credentials,
    pub registries: Registries,
    pub platform: Platform,
    /// Asks the registry even where the reference was pulled before.
    pub refresh: bool,
    /// What is taken from any registry must be signed with this key; without it, with the one that
    /// `registries` has for that registry.
    pub verify: Option<VerifyingKey>,
}

impl Options {
    /// This user's logins, and what this user and the project in `root` say of registries.
    pub fn of_user(root: &std::path::Path) -> crate::problem::Result<Self> {
        let registries = Registries::of_user(root)?;
        Ok(Self { credentials: Credentials::of_user(), registries, ..Self::default() })
    }

    /// The key that must have signed what is taken from a registry.
    pub fn key(&self, host: &str) -> Option<VerifyingKey> {
        self.verify.clone().or_else(|| self.registries.get(host).verify)
    }
}

/// The name that the store keeps an image under: the whole reference, and the platform where it is not the
/// usual one.
fn name(reference: &Reference, platform: &Platform) -> String {
    match platform {
        usual if *usual == Platform::default() => reference.whole(),
        other => format!("{} {other}", reference.whole()),
    }
}

/// The image that the store has under a reference, without asking anyone.
pub fn named(store: &Store, reference: &str) -> Result<Option<Image>, Error> {
    Ok(recall(store, &parse(reference)?, &Platform::default()))
}

fn recall(store: &Store, reference: &Reference, platform: &Platform) -> Option<Image> {
    let image = read_image(store, &store.named(&name(reference, platform))?).ok()?;
    let whole = image.layers.iter().all(|layer| store.has(layer));
    (whole && holds(store, reference, &image.manifest, platform)).then_some(image)
}

/// Whether the reference names no digest, or one that the store can lead from to this manifest. A name alone
/// proves nothing: it may have come on a stick.
fn holds(store: &Store, reference: &Reference, manifest: &Digest, platform: &Platform) -> bool {
    let read = |digest: &Digest| store.read(digest).ok();
    pinned(reference).is_none_or(|pinned| way(pinned, manifest, platform, read).is_some())
}

/// The digest that a reference names.
pub(super) fn pinned(reference: &Reference) -> Option<Digest> {
    reference.digest().and_then(|digest| digest.parse().ok())
}

/// Gives an image of the store a reference, as if it had been pulled by it. Returns the whole reference. One
/// with a digest must name this image, or an index that is in the store too.
pub fn set_name(store: &Store, reference: &str, image: &Image) -> Result<String, Error> {
    let (parsed, platform) = (parse(reference)?, Platform::default());
    let name = name(&parsed, &platform);
    if !holds(store, &parsed, &image.manifest, &platform) {
        let why = format!("this is another image than its digest names: {}", image.manifest);
        return Err(Error::Content { what: name, why });
    }
    store.set_name(&name, &image.manifest)?;
    Ok(name)
}

/// Reads a reference. Without a registry it means Docker Hub, without tag and digest `latest`.
pub fn parse(reference: &str) -> Result<Reference, Error> {
    let wrong = |why: String| Error::Content { what: format!("image reference {reference:?}"), why };
    let parsed: Reference = reference.parse().map_err(|e| wrong(format!("{e}")))?;
    match parsed.digest() {
        Some(digest) if digest.parse::<Digest>().is_err() => {
            let kind = digest.split(':').next().unwrap_or_default();
            Err(wrong(format!(
                "its digest is of the kind {kind}, which is not compared here; name it by its sha256 digest"
            )))
        }
        _ => Ok(parsed),
    }
}

/// The image of a reference, pulled unless it was pulled before. A reference without a registry means
/// Docker Hub, one without tag and digest means `latest`.
pub fn pull(
    store: &Store,
    reference: &str,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let parsed = parse(reference)?;
    let key = options.key(parsed.registry());
    let here = recall(store, &parsed, &options.platform)
        .filter(|image| !options.refresh && was_signed(store, image, key.as_ref()));
    if let Some(image) = here {
        return Ok(image);
    }
    let repository = Repository::reading(reference, options, progress)?;
    let document = repository.first_document()?;
    if let Some(key) = &key {
        signature::verify(&repository, &Digest::of(&document), key)?;
    }
    let image = acquire(store, &repository, document.clone(), &options.platform, progress)?;
    if let Some(key) = &key {
        store.set_work(&signed(key, &image.manifest), &image.manifest)?;
    }
    // An index is what a digest may name.
    store.put(&document)?;
    store.set_name(&name(&parsed, &options.platform), &image.manifest)?;
    Ok(image)
}

/// Whether an image that the store has from `reference` may be used: it was signed with the key that is asked
/// for, if one is.
pub fn is_trusted(store: &Store, reference: &str, image: &Image, options: &Options) -> Result<bool, Error> {
    Ok(was_signed(store, image, options.key(parse(reference)?.registry()).as_ref()))
}

fn was_signed(store: &Store, image: &Image, key: Option<&VerifyingKey>) -> bool {
    key.is_none_or(|key| store.work(&signed(key, &image.manifest)).is_some())
}

/// The check of an image's signature, as a piece of work.
fn signed(key: &VerifyingKey, manifest: &Digest) -> Key {
    KeyMaker::new("oci signed 1")
        .add("key", key.digest().bytes())
        .add("manifest", manifest.bytes())
        .local()
        .finish()
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
