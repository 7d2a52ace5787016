//! Images pulled from a registry.
//!
//! Protocol: OCI distribution specification 1.1.

use super::Image;
use super::acquire::{Blobs, LARGEST_DOCUMENT, Platform, acquire};
use super::blob::BlobReader;
use super::credentials::Credentials;
use super::image::read_image;
use super::import::Error;
use super::registries::{Registries, Tls};
use super::repository::Repository;
use super::signature::{self, VerifyingKey};
use super::trust;
use super::wire::{ATTEMPTS, Ask, Endpoint, Fault, rest};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker, Store};
use oci_spec::distribution::Reference;
use oci_spec::image::Descriptor;
use reqwest::header::ACCEPT;
use reqwest::{Client, Method, NoProxy, Proxy, Url};
use std::io::{Cursor, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CONNECT: Duration = Duration::from_secs(20);
/// Attempts for one document at a mirror, where another place is left.
const ATTEMPTS_AT_MIRROR: u32 = 2;
/// The header in which a registry says which digest a manifest has.
pub(super) const CONTENT_DIGEST: &str = "docker-content-digest";

pub(super) const MANIFESTS: &str = "application/vnd.oci.image.index.v1+json, \
     application/vnd.oci.image.manifest.v1+json, \
     application/vnd.docker.distribution.manifest.list.v2+json, \
     application/vnd.docker.distribution.manifest.v2+json";

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
    /// What is pulled must be signed with this key.
    pub verify: Option<VerifyingKey>,
}

impl Options {
    /// This user's logins, and what this user and the project in `root` say of registries.
    pub fn of_user(root: &std::path::Path) -> crate::problem::Result<Self> {
        let registries = Registries::of_user(root)?;
        Ok(Self { credentials: Credentials::of_user(), registries, ..Self::default() })
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
    Ok(recall(store, &name(&parse(reference)?, &Platform::default())))
}

fn recall(store: &Store, name: &str) -> Option<Image> {
    let image = read_image(store, &store.named(name)?).ok()?;
    image.layers.iter().all(|layer| store.has(layer)).then_some(image)
}

/// Gives an image of the store a reference, as if it had been pulled by it. Returns the whole reference.
pub fn set_name(store: &Store, reference: &str, image: &Image) -> Result<String, Error> {
    let name = name(&parse(reference)?, &Platform::default());
    store.set_name(&name, &image.manifest)?;
    Ok(name)
}

/// Reads a reference. Without a registry it means Docker Hub, without tag and digest `latest`.
pub fn parse(reference: &str) -> Result<Reference, Error> {
    reference
        .parse()
        .map_err(|e| Error::Content { what: format!("image reference {reference:?}"), why: format!("{e}") })
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
    let name = name(&parsed, &options.platform);
    let trusted = |image: &Image| match &options.verify {
        None => true,
        Some(key) => store.work(&signed(key, &image.manifest)).is_some(),
    };
    if let Some(image) = recall(store, &name).filter(|image| !options.refresh && trusted(image)) {
        return Ok(image);
    }
    let registry = Registry::new(parsed, options, progress)?;
    let document = registry.first_document()?;
    if let Some(key) = &options.verify {
        let repository = Repository::open(reference, options, progress)?;
        signature::verify(&repository, &Digest::of(&document), key)?;
    }
    let image = acquire(store, &registry, document, &options.platform, progress)?;
    if let Some(key) = &options.verify {
        store.set_work(&signed(key, &image.manifest), &image.manifest)?;
    }
    store.set_name(&name, &image.manifest)?;
    Ok(image)
}

/// The check of an image's signature, as a piece of work.
fn signed(key: &VerifyingKey, manifest: &Digest) -> Key {
    KeyMaker::new("oci signed 1")
        .add("key", key.digest().bytes())
        .add("manifest", manifest.bytes())
        .local()
        .finish()
}

/// The runtime and the clients that the requests of one job share.
pub(super) struct Connector<'o, 'a> {
    pub options: &'o Options,
    pub progress: &'a dyn Progress,
    runtime: Arc<tokio::runtime::Runtime>,
}

impl<'o, 'a> Connector<'o, 'a> {
    pub fn new(options: &'o Options, progress: &'a dyn Progress) -> Result<Self, Fault> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| Fault::lasting(e.to_string()))?;
        Ok(Self { options, progress, runtime: Arc::new(runtime) })
    }

    /// The repository of a registry (`host` or `host:port`).
    pub fn endpoint(&self, host: &str, repository: &str) -> Result<Endpoint<'a>, Fault> {
        let known = self.options.registries.get(host);
        let plain = known.tls == Tls::Off || self.options.insecure.iter().any(|insecure| insecure == host);
        let mut client = Client::builder()
            .user_agent(concat!("hookos/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .tls_danger_accept_invalid_certs(known.tls == Tls::Unverified);
        let given: Vec<&[u8]> =
            self.options.certificates.iter().chain(&known.certificates).map(Vec::as_slice).collect();
        if !given.is_empty() && known.tls == Tls::Verified {
            client = client.tls_backend_preconfigured(trust::client(&given).map_err(Fault::lasting)?);
        }
        let no_proxy = self.options.no_proxy.as_deref().and_then(NoProxy::from_string);
        if let Some(proxy) = &self.options.https_proxy {
            client = client.proxy(Proxy::https(proxy)?.no_proxy(no_proxy.clone()));
        }
        if let Some(proxy) = &self.options.http_proxy {
            client = client.proxy(Proxy::http(proxy)?.no_proxy(no_proxy));
        }
        with_cryptography();
        // Docker Hub's registry is not where its name is.
        let at = if matches!(host, "docker.io" | "index.docker.io") { "registry-1.docker.io" } else { host };
        let scheme = if plain { "http" } else { "https" };
        let root = format!("{scheme}://{at}/");
        let root: Url = root.parse().map_err(|e| Fault::lasting(format!("{root:?} is no address: {e}")))?;
        Ok(Endpoint {
            host: host.to_owned(),
            repository: repository.to_owned(),
            root,
            client: client.build()?,
            runtime: Arc::clone(&self.runtime),
            login: self.options.credentials.login(host, repository).map_err(Fault::lasting)?,
            silence: known.silence,
            grant: Mutex::default(),
            progress: self.progress,
        })
    }

    /// Where the repository of a reference is read: its mirrors first.
    pub fn places(&self, reference: &Reference) -> Result<Vec<Endpoint<'a>>, Fault> {
        let host = reference.registry();
        let mut places = Vec::new();
        for mirror in self.options.registries.get(host).mirrors {
            let (mirror, prefix) = mirror.split_once('/').unwrap_or((&mirror, ""));
            let repository = format!("{prefix}/{}", reference.repository());
            places.push(self.endpoint(mirror, repository.trim_start_matches('/'))?);
        }
        places.push(self.endpoint(host, reference.repository())?);
        Ok(places)
    }
}

/// Gives the HTTP client its cryptography, which it has none of: call it before one is made.
pub fn with_cryptography() {
    // Another part of the program may have been first, with the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
}

/// A repository, read at its mirrors or where it is.
pub(super) struct Registry<'a> {
    pub reference: Reference,
    places: Vec<Endpoint<'a>>,
    /// The place that had the manifest.
    current: AtomicUsize,
    progress: &'a dyn Progress,
}

impl<'a> Registry<'a> {
    pub fn new(reference: Reference, options: &Options, progress: &'a dyn Progress) -> Result<Self, Error> {
        let places = Connector::new(options, progress).and_then(|connector| connector.places(&reference));
        let places = places.map_err(|fault| failed(&reference, reference.registry(), fault))?;
        Ok(Self { reference, places, current: AtomicUsize::new(0), progress })
    }

    fn failed(&self, place: &Endpoint<'_>, fault: Fault) -> Error {
        failed(&self.reference, &place.host, fault)
    }

    /// The first of the places that gives something, from the one that had the manifest on.
    fn first<'r, T>(&'r self, from: impl Fn(&'r Endpoint<'a>, u32) -> Result<T, Fault>) -> Result<T, Error> {
        let start = self.current.load(Ordering::Relaxed);
        for (n, place) in self.places.iter().enumerate().skip(start) {
            let last = n + 1 == self.places.len();
            match from(place, if last { ATTEMPTS } else { ATTEMPTS_AT_MIRROR }) {
                Ok(done) => {
                    self.current.fetch_max(n, Ordering::Relaxed);
                    return Ok(done);
                }
                Err(fault) if last || fault.cancelled => return Err(self.failed(place, fault)),
                Err(fault) => self.progress.log(&format!("mirror {}: {}", place.host, fault.why)),
            }
        }
        Err(self.failed(&self.places[self.places.len() - 1], Fault::lasting("no place is left")))
    }

    /// The manifest or index that the reference names.
    pub fn first_document(&self) -> Result<Vec<u8>, Error> {
        let name = self.reference.digest().or(self.reference.tag()).unwrap_or("latest");
        self.first(|place, attempts| place.patiently(attempts, || manifest(place, name)))
    }
}

/// A manifest or an index by tag or digest. It has the digest that was asked for, or that the registry says.
pub(super) fn manifest(place: &Endpoint<'_>, name: &str) -> Result<Vec<u8>, Fault> {
    let ask = Ask::new(Method::GET, place.url(&format!("manifests/{name}"))?).header(ACCEPT, MANIFESTS);
    let response = place.ask(&ask)?;
    let said = response.headers().get(CONTENT_DIGEST).and_then(|value| value.to_str().ok());
    let wanted: Option<Digest> = name.parse().ok().or_else(|| said.and_then(|said| said.parse().ok()));
    let bytes = place.whole(response, LARGEST_DOCUMENT)?;
    let found = Digest::of(&bytes);
    match wanted {
        Some(wanted) if wanted != found => {
            Err(Fault::passing(format!("the manifest {wanted} comes with the digest {found}")))
        }
        _ => Ok(bytes),
    }
}

fn failed(reference: &Reference, host: &str, fault: Fault) -> Error {
    if fault.cancelled {
        return Error::Cancelled;
    }
    Error::Registry { reference: reference.whole(), host: host.to_owned(), why: fault.why }
}

impl Blobs for Registry<'_> {
    fn name(&self) -> String {
        self.reference.whole()
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let digest = blob.digest().to_string();
        let open = |place, attempts| BlobReader::open(place, &digest, blob.size(), attempts);
        Ok(Box::new(self.first(open)?))
    }

    fn open_manifest(&self, manifest_wanted: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let digest = manifest_wanted.digest().to_string();
        let bytes = self.first(|place, attempts| place.patiently(attempts, || manifest(place, &digest)))?;
        Ok(Box::new(Cursor::new(bytes)))
    }

    fn again(&self, failure: u32, error: &Error, progress: &dyn Progress) -> bool {
        // Damaged on its way, perhaps, but more likely wrong at its source. All that a request can do
        // about a bad network it has done by now.
        let damaged = matches!(error, Error::Content { .. });
        damaged && failure < 3 && rest(failure, &Fault::passing(error.to_string()), progress)
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
