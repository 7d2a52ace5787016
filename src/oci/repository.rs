//! A repository of a registry that is written to: blobs that are there are not sent again, large ones go in
//! pieces that survive a broken line.
//!
//! Protocol: OCI distribution specification 1.1, "Push" and "Cross-repository mount".

use super::acquire::LARGEST_DOCUMENT;
use super::blob::BlobReader;
use super::import::{Error, import_blob};
use super::registry::{CONTENT_DIGEST, Connector, MANIFESTS, Options, manifest, parse};
use super::wire::{ATTEMPTS, Ask, Endpoint, Fault, FileRange, Payload, rest};
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Hasher, Store};
use hyper::body::Bytes;
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Method, Response, StatusCode, Url};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A blob up to this size goes in one request, a larger one in pieces of it, in bytes.
const PIECE: u64 = 16 << 20;
const BYTES: &str = "application/octet-stream";

/// A blob that is to be sent.
#[derive(Debug, Clone)]
pub struct Blob {
    pub digest: Digest,
    pub size: u64,
    pub content: Content,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub enum Content {
    Bytes(Vec<u8>),
    File(PathBuf),
}

impl Blob {
    pub fn of_bytes(bytes: Vec<u8>) -> Self {
        Self { digest: Digest::of(&bytes), size: bytes.len() as u64, content: Content::Bytes(bytes) }
    }

    /// Reads the file once, for its digest.
    pub fn of_file(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let failed = |source| Error::Read { what: path.display().to_string(), source };
        let mut hasher = Hasher::new();
        let size =
            std::io::copy(&mut std::fs::File::open(&path).map_err(failed)?, &mut hasher).map_err(failed)?;
        Ok(Self { digest: hasher.finish(), size, content: Content::File(path) })
    }

    /// A blob of the store, checked.
    pub fn of_store(store: &Store, digest: &Digest) -> Result<Self, Error> {
        let path = store.path(digest);
        let file = store.open_blob(digest)?;
        let size =
            file.metadata().map_err(|source| crate::store::Error::Io { path: path.clone(), source })?.len();
        Ok(Self { digest: *digest, size, content: Content::File(path) })
    }

    fn payload(&self, offset: u64, len: u64, sent: &Arc<AtomicU64>) -> Payload {
        match &self.content {
            Content::Bytes(bytes) => {
                let at = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).min(bytes.len());
                Payload::Bytes(Bytes::copy_from_slice(&bytes[at(offset)..at(offset + len)]))
            }
            Content::File(path) => {
                Payload::File(FileRange { path: path.clone(), offset, len, sent: Arc::clone(sent) })
            }
        }
    }
}

/// What became of the blobs of a push.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Sent {
    /// Blobs that were sent, and their bytes.
    pub blobs: u64,
    pub bytes: u64,
    /// Blobs that the repository had.
    pub present: u64,
    /// Blobs that the registry had in another repository.
    pub mounted: u64,
}

impl std::ops::AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.blobs += other.blobs;
        self.bytes += other.bytes;
        self.present += other.present;
        self.mounted += other.mounted;
    }
}

/// A manifest that a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// A repository, at its own registry: mirrors are for reading only.
pub struct Repository<'a> {
    endpoint: Endpoint<'a>,
    reference: Reference,
    progress: &'a dyn Progress,
}

impl<'a> Repository<'a> {
    /// The repository that `reference` names. Nothing is asked yet.
    pub fn open(reference: &str, options: &Options, progress: &'a dyn Progress) -> Result<Self, Error> {
        let reference = parse(reference)?;
        let endpoint = Connector::new(options, progress)
            .and_then(|connector| connector.endpoint(reference.registry(), reference.repository()));
        match endpoint {
            Ok(endpoint) => Ok(Self { endpoint, reference, progress }),
            Err(fault) => Err(Error::Refused {
                what: reference.whole(),
                host: reference.registry().to_owned(),
                why: fault.why,
            }),
        }
    }

    /// `host/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.endpoint.host, self.endpoint.repository)
    }

    /// The tag of the reference (`latest` without one), or its digest.
    pub fn tag(&self) -> &str {
        self.reference.digest().or(self.reference.tag()).unwrap_or("latest")
    }

    fn refused(&self, what: impl ToString) -> impl FnOnce(Fault) -> Error + '_ {
        let what = what.to_string();
        move |fault| {
            if fault.cancelled {
                return Error::Cancelled;
            }
            Error::Refused { what, host: self.endpoint.host.clone(), why: fault.why }
        }
    }

    /// The manifest that a tag or digest names, if the repository has it.
    pub fn find(&self, name: &str) -> Result<Option<Found>, Error> {
        self.look(name, ATTEMPTS).map_err(self.refused(format!("{}:{name}", self.name())))
    }

    /// As [`Repository::find`], for somebody who would rather have no answer than wait for one.
    pub fn peek(&self, name: &str) -> Result<Option<Found>, Error> {
        self.look(name, 1).map_err(self.refused(format!("{}:{name}", self.name())))
    }

    fn look(&self, name: &str, attempts: u32) -> Result<Option<Found>, Fault> {
        let ask = Ask::new(Method::HEAD, self.endpoint.url(&format!("manifests/{name}"))?)
            .header(ACCEPT, MANIFESTS);
        let response = match self.endpoint.patiently(attempts, || self.endpoint.ask(&ask)) {
            Ok(response) => response,
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => return Ok(None),
            Err(fault) => return Err(fault),
        };
        let text = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
        let digest: Option<Digest> = text(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
        let size: Option<u64> = text("content-length").and_then(|size| size.parse().ok());
        match (digest, size, text("content-type")) {
            (Some(digest), Some(size), Some(media_type)) => Ok(Some(Found { digest, media_type, size })),
            // A registry that says less is asked for the whole.
            (.., media_type) => {
                let bytes = self.endpoint.patiently(attempts, || manifest(&self.endpoint, name))?;
                let media_type = media_type.unwrap_or_else(|| media_type_of(&bytes));
                Ok(Some(Found { digest: Digest::of(&bytes), media_type, size: bytes.len() as u64 }))
            }
        }
    }

    /// The manifest that a tag or digest names; its digest was compared. None where there is none.
    pub fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        match self.endpoint.patiently(ATTEMPTS, || manifest(&self.endpoint, name)) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(fault) => Err(self.refused(format!("{}:{name}", self.name()))(fault)),
        }
    }

    /// A document below the repository, of at most 4 MiB; none where there is none.
    pub(super) fn document(&self, below: &str) -> Result<Option<Vec<u8>>, Error> {
        let get = || {
            let response = self.endpoint.ask(&Ask::new(Method::GET, self.endpoint.url(below)?))?;
            self.endpoint.whole(response, LARGEST_DOCUMENT)
        };
        match self.endpoint.patiently(ATTEMPTS, get) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(fault) => Err(self.refused(format!("{}/{below}", self.name()))(fault)),
        }
    }

    /// Brings a blob into the store, unless it is there.
    pub fn fetch(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), Error> {
        if store.has(digest) {
            return Ok(());
        }
        let what = format!("{digest} of {}", self.name());
        import_blob(store, &what, self.open_blob(digest, size)?, digest, size, self.progress)
    }

    /// The bytes of a blob, not yet compared with its digest.
    pub(super) fn open_blob(&self, digest: &Digest, size: u64) -> Result<BlobReader<'_, 'a>, Error> {
        let what = format!("{digest} of {}", self.name());
        BlobReader::open(&self.endpoint, &digest.to_string(), size, ATTEMPTS).map_err(self.refused(what))
    }

    /// Sends what the repository does not have. Where the registry has a blob in the repository `from`, it
    /// is linked from there.
    pub fn put_blobs(&self, blobs: &[Blob], from: Option<&str>) -> Result<Sent, Error> {
        let mut all = Sent::default();
        let total = blobs.iter().map(|blob| blob.size).sum();
        let mut before = 0;
        for blob in blobs {
            if self.progress.cancelled() {
                return Err(Error::Cancelled);
            }
            let tick = |sent: u64| self.progress.at(before + sent.min(blob.size), total, Unit::Bytes);
            all += self.put_blob(blob, from, &tick).map_err(self.refused(format!(
                "{} to {}",
                blob.digest,
                self.name()
            )))?;
            before += blob.size;
            self.progress.at(before, total, Unit::Bytes);
        }
        Ok(all)
    }

    fn put_blob(&self, blob: &Blob, from: Option<&str>, tick: &dyn Fn(u64)) -> Result<Sent, Fault> {
        let there = Ask::new(Method::HEAD, self.endpoint.url(&format!("blobs/{}", blob.digest))?);
        match self.endpoint.ask_patiently(&there) {
            Ok(_) => return Ok(Sent { present: 1, ..Sent::default() }),
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => {}
            Err(fault) => return Err(fault),
        }
        let mut failures = 0;
        loop {
            match self.upload(blob, from, tick) {
                Ok(Upload::Sent) => return Ok(Sent { blobs: 1, bytes: blob.size, ..Sent::default() }),
                Ok(Upload::Mounted) => return Ok(Sent { mounted: 1, ..Sent::default() }),
                Err(fault) => {
                    failures += 1;
                    if failures >= ATTEMPTS || !rest(failures, &fault, self.progress) {
                        return Err(fault);
                    }
                }
            }
        }
    }

    fn upload(&self, blob: &Blob, from: Option<&str>, tick: &dyn Fn(u64)) -> Result<Upload, Fault> {
        let mut start = self.endpoint.url("blobs/uploads/")?;
        if let Some(from) = from.filter(|from| *from != self.endpoint.repository) {
            start.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from);
        }
        let response = self.endpoint.ask_patiently(&Ask::new(Method::POST, start))?;
        if response.status() == StatusCode::CREATED {
            return Ok(Upload::Mounted);
        }
        let mut at = self.location(&response)?;
        let sent = Arc::new(AtomicU64::new(0));
        if blob.size > PIECE {
            at = self.send_pieces(blob, at, least_piece(&response).max(PIECE), tick)?;
            at.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
            self.endpoint.ask(&Ask::new(Method::PUT, at))?;
        } else {
            at.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
            let look = || tick(sent.load(Ordering::Relaxed));
            let mut ask = Ask::new(Method::PUT, at).header(CONTENT_TYPE, BYTES);
            ask = ask.payload(blob.payload(0, blob.size, &sent));
            ask.tick = Some(&look);
            self.endpoint.ask(&ask)?;
        }
        Ok(Upload::Sent)
    }

    /// Sends a blob piece by piece; after a failure the registry says how much it has.
    fn send_pieces(&self, blob: &Blob, mut at: Url, piece: u64, tick: &dyn Fn(u64)) -> Result<Url, Fault> {
        let mut done = 0;
        let mut failures = 0;
        while done < blob.size {
            let len = piece.min(blob.size - done);
            let sent = Arc::new(AtomicU64::new(0));
            let look = || tick(done + sent.load(Ordering::Relaxed));
            let mut ask = Ask::new(Method::PATCH, at.clone())
                .header(CONTENT_TYPE, BYTES)
                .header(CONTENT_RANGE, format!("{done}-{}", done + len - 1))
                .payload(blob.payload(done, len, &sent));
            ask.tick = Some(&look);
            match self.endpoint.ask(&ask) {
                Ok(response) => {
                    at = self.location(&response)?;
                    done += len;
                    failures = 0;
                }
                Err(mut fault) => {
                    // "These are not the bytes that come next": it says which do.
                    fault.transient |= fault.is(StatusCode::RANGE_NOT_SATISFIABLE);
                    failures += 1;
                    if failures >= ATTEMPTS || !rest(failures, &fault, self.progress) {
                        return Err(fault);
                    }
                    let asked = self.endpoint.ask_patiently(&Ask::new(Method::GET, at.clone()));
                    // One that has lost the thread gets the blob from its beginning.
                    let response = asked.map_err(|lost| Fault {
                        transient: !lost.cancelled,
                        why: format!("{}; the upload cannot go on: {}", fault.why, lost.why),
                        ..lost
                    })?;
                    done = received(&response).unwrap_or(0);
                    at = self.location(&response).unwrap_or(at);
                }
            }
            tick(done);
        }
        Ok(at)
    }

    /// Where an upload goes on. Registries give an address with or without their own name.
    fn location(&self, response: &Response) -> Result<Url, Fault> {
        let text = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let text = text.ok_or_else(|| Fault::lasting("it does not say where the upload goes on"))?;
        self.endpoint
            .root
            .join(text)
            .map_err(|e| Fault::lasting(format!("it sends an upload to {text:?}: {e}")))
    }

    /// Puts a manifest or an index under a tag, or under its own digest. Says whether the registry has
    /// taken note of the manifest's subject.
    pub fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<bool, Error> {
        let put = || {
            let url = self.endpoint.url(&format!("manifests/{name}"))?;
            let ask = Ask::new(Method::PUT, url)
                .header(CONTENT_TYPE, media_type)
                .payload(Payload::Bytes(Bytes::copy_from_slice(bytes)));
            let response = self.endpoint.ask(&ask)?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let found: Option<Digest> = header(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
            match found {
                Some(found) if found != Digest::of(bytes) => {
                    Err(Fault::passing(format!("it has the manifest with another digest, {found}")))
                }
                _ => Ok(header("oci-subject").is_some()),
            }
        };
        self.endpoint
            .patiently(ATTEMPTS, put)
            .map_err(self.refused(format!("the manifest {}:{name}", self.name())))
    }
}

enum Upload {
    Sent,
    Mounted,
}

/// The media type that a manifest says of itself.
fn media_type_of(manifest: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    value["mediaType"].as_str().unwrap_or("application/vnd.oci.image.manifest.v1+json").to_owned()
}

/// Registries in front of cloud storage want pieces of a least size, in bytes.
fn least_piece(response: &Response) -> u64 {
    let text = response.headers().get("oci-chunk-min-length").and_then(|value| value.to_str().ok());
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// How many bytes of an upload a registry has, from `Range: 0-<last>`; it writes `0-0` for none too.
fn received(response: &Response) -> Option<u64> {
    let text = response.headers().get(RANGE)?.to_str().ok()?;
    let last: u64 = text.trim_start_matches("bytes=").split_once('-')?.1.parse().ok()?;
    Some(if last == 0 { 0 } else { last + 1 })
}

#[cfg(test)]
#[path = "repository_tests.rs"]
mod tests;
