//! Images pulled from a registry.
//!
//! Protocol: OCI distribution specification 1.1, spoken by `oci-client`. Its futures run on a small
//! runtime of this module; nothing outside knows of it.

use super::Image;
use super::acquire::{Blobs, Platform, acquire};
use super::credentials::Credentials;
use super::image::read_image;
use super::import::Error;
use crate::progress::Progress;
use crate::store::{Key, KeyMaker, Store};
use futures_util::StreamExt as _;
use oci_client::client::{Certificate, CertificateEncoding, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use oci_spec::image::Descriptor;
use std::io::{self, Cursor, Read};
use std::time::Duration;

/// A server that sends nothing for so long is given up.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
/// How often a blocked read looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// Attempts for one document or layer.
const ATTEMPTS: u32 = 5;
/// Wait after the first failure; it doubles each time.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });

const MANIFESTS: &[&str] = &[
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// How registries are spoken to.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Hosts (`host` or `host:port`) that are spoken to without TLS.
    pub insecure: Vec<String>,
    /// Certificates (PEM) of authorities that are trusted on top of the system's.
    pub certificates: Vec<Vec<u8>>,
    /// Without these the environment's `https_proxy`, `http_proxy` and `no_proxy` count.
    pub https_proxy: Option<String>,
    pub http_proxy: Option<String>,
    pub no_proxy: Option<String>,
    pub credentials: Credentials,
    pub platform: Platform,
    /// Asks the registry even where the reference was pulled before.
    pub refresh: bool,
}

fn key(reference: &Reference, platform: &Platform) -> Key {
    KeyMaker::new("oci pull 1")
        .add("reference", reference.whole())
        .add("platform", platform.to_string())
        .finish()
}

/// The image of a reference, pulled unless it was pulled before. A reference without a registry means
/// Docker Hub, one without tag and digest means `latest`.
pub fn pull(
    store: &Store,
    reference: &str,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let parsed: Reference = reference.parse().map_err(|e| Error::Content {
        what: format!("image reference {reference:?}"),
        why: format!("{e}"),
    })?;
    let key = key(&parsed, &options.platform);
    let known = store.work(&key).and_then(|manifest| read_image(store, &manifest).ok());
    if let Some(image) = known.filter(|image| !options.refresh && image.layers.iter().all(|l| store.has(l))) {
        return Ok(image);
    }
    let registry = Registry::new(parsed, options, progress)?;
    let document = registry.first_document()?;
    let image = acquire(store, &registry, document, &options.platform, progress)?;
    store.set_work(&key, &image.manifest)?;
    Ok(image)
}

struct Registry<'a> {
    reference: Reference,
    auth: RegistryAuth,
    client: Client,
    runtime: tokio::runtime::Runtime,
    progress: &'a dyn Progress,
}

impl<'a> Registry<'a> {
    fn new(reference: Reference, options: &Options, progress: &'a dyn Progress) -> Result<Self, Error> {
        let fault = |why: String| Error::Registry {
            reference: reference.whole(),
            host: reference.resolve_registry().to_owned(),
            why,
            transient: false,
        };
        let login = options.credentials.login(reference.registry()).map_err(fault)?;
        let auth = login.map_or(RegistryAuth::Anonymous, |l| RegistryAuth::Basic(l.user, l.password));
        let certificates = options.certificates.iter();
        let config = ClientConfig {
            protocol: ClientProtocol::HttpsExcept(options.insecure.clone()),
            extra_root_certificates: certificates
                .map(|pem| Certificate { encoding: CertificateEncoding::Pem, data: pem.clone() })
                .collect(),
            read_timeout: Some(SILENCE),
            connect_timeout: Some(CONNECT),
            user_agent: concat!("hookos/", env!("CARGO_PKG_VERSION")),
            https_proxy: options.https_proxy.clone(),
            http_proxy: options.http_proxy.clone(),
            no_proxy: options.no_proxy.clone(),
            ..ClientConfig::default()
        };
        // Not `Client::new`: it falls back to a default client without a word.
        let client = Client::try_from(config).map_err(|e| fault(reason(&e)))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .map_err(|e| fault(e.to_string()))?;
        Ok(Self { reference, auth, client, runtime, progress })
    }

    fn fault(&self, error: &OciDistributionError) -> Error {
        Error::Registry {
            reference: self.reference.whole(),
            host: self.reference.resolve_registry().to_owned(),
            why: reason(error),
            transient: is_transient(error),
        }
    }

    /// Waits for a future, looking now and then whether the work was cancelled.
    fn wait<T>(&self, future: impl Future<Output = T>) -> Result<T, Error> {
        self.runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            loop {
                match tokio::time::timeout(LOOK, &mut future).await {
                    Ok(done) => return Ok(done),
                    Err(_) if self.progress.cancelled() => return Err(Error::Cancelled),
                    Err(_) => {}
                }
            }
        })
    }

    /// The manifest or index that the reference names.
    fn first_document(&self) -> Result<Vec<u8>, Error> {
        let mut failures = 0;
        loop {
            let error = match self.manifest(&self.reference) {
                Ok(bytes) => return Ok(bytes),
                Err(error) => error,
            };
            failures += 1;
            if !self.again(failures, &error, self.progress) {
                return Err(error);
            }
            self.progress.log(&format!("attempt {} follows: {error}", failures + 1));
        }
    }

    /// Its digest is checked by the client where the reference states one.
    fn manifest(&self, reference: &Reference) -> Result<Vec<u8>, Error> {
        let answer = self.wait(self.client.pull_manifest_raw(reference, &self.auth, MANIFESTS))?;
        let (bytes, _) = answer.map_err(|e| self.fault(&e))?;
        Ok(bytes.to_vec())
    }
}

impl Blobs for Registry<'_> {
    fn name(&self) -> String {
        self.reference.whole()
    }

    fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let digest = blob.digest().to_string();
        let answer = self.wait(self.client.pull_blob_stream(&self.reference, digest.as_str()))?;
        let stream = answer.map_err(|e| self.fault(&e))?;
        Ok(Box::new(Stream { registry: self, stream: stream.stream, chunk: Cursor::default(), ended: false }))
    }

    fn open_manifest(&self, manifest: &Descriptor) -> Result<Box<dyn Read + Send + '_>, Error> {
        let reference = self.reference.clone_with_digest(manifest.digest().to_string());
        Ok(Box::new(Cursor::new(self.manifest(&reference)?)))
    }

    fn again(&self, failure: u32, error: &Error, progress: &dyn Progress) -> bool {
        let transient = match error {
            Error::Registry { transient, .. } => *transient,
            // A connection that broke.
            Error::Read { .. } => true,
            // Damaged on its way, perhaps, but more likely wrong at its source.
            Error::Content { .. } => failure < 3,
            _ => false,
        };
        if !transient || failure >= ATTEMPTS {
            return false;
        }
        let mut left = WAIT * 2u32.pow(failure - 1);
        while !left.is_zero() && !progress.cancelled() {
            let nap = left.min(LOOK);
            std::thread::sleep(nap);
            left -= nap;
        }
        !progress.cancelled()
    }
}

/// A blob's bytes, read by a thread that may block.
struct Stream<'a, S> {
    registry: &'a Registry<'a>,
    stream: S,
    chunk: Cursor<Vec<u8>>,
    /// The client's stream says that its digest is wrong when it is asked again after its end.
    ended: bool,
}

impl<S, B> Read for Stream<'_, S>
where
    S: futures_util::Stream<Item = io::Result<B>> + Unpin,
    B: AsRef<[u8]>,
{
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let n = self.chunk.read(buffer)?;
            if n > 0 || buffer.is_empty() || self.ended {
                return Ok(n);
            }
            match self.registry.wait(self.stream.next()).map_err(io::Error::other)? {
                None => self.ended = true,
                Some(Ok(bytes)) => self.chunk = Cursor::new(bytes.as_ref().to_vec()),
                Some(Err(e)) => return Err(io::Error::new(e.kind(), with_sources(&e))),
            }
        }
    }
}

/// An error with its sources: `reqwest` says what broke in the last of them only.
fn with_sources(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        next = error.source();
    }
    text
}

fn reason(error: &OciDistributionError) -> String {
    match error {
        OciDistributionError::UnauthorizedError { .. } => {
            "it wants a login, or the image does not exist (`docker login` or `podman login` give one)"
                .to_owned()
        }
        OciDistributionError::ImageManifestNotFoundError(_) => "it does not have this image".to_owned(),
        OciDistributionError::RegistryError { envelope, .. } => {
            let says = |e: &oci_client::errors::OciError| {
                let message = if e.message.is_empty() { "" } else { ": " };
                format!("{:?}{message}{}", e.code, e.message)
            };
            format!("it says {}", envelope.errors.iter().map(says).collect::<Vec<_>>().join("; "))
        }
        OciDistributionError::ServerError { code, message, .. } => {
            format!("it answers with status {code} {}", message.chars().take(200).collect::<String>())
                .trim_end()
                .to_owned()
        }
        other => with_sources(other),
    }
}

/// Whether another attempt may help: the network, too many requests, a server in trouble.
fn is_transient(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::RequestError(e) => {
            e.status().is_none_or(|status| status.is_server_error() || status == 429 || status == 408)
                && !e.is_builder()
        }
        OciDistributionError::ServerError { code, .. } => *code >= 500 || *code == 429 || *code == 408,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|e| e.code == OciErrorCode::Toomanyrequests)
        }
        OciDistributionError::IoError(_) | OciDistributionError::DigestError(_) => true,
        _ => false,
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
