//! Blobs sent to a repository: those that are there are not sent again, large ones go in pieces that survive a
//! broken line.
//!
//! Protocol: OCI distribution specification 1.1, "Push" and "Cross-repository mount".

use super::import::Error;
use super::repository::Repository;
use super::wire::{Ask, FileRange, Payload};
use crate::http::{ATTEMPTS, Fault, rest};
use crate::progress::Unit;
use crate::store::{Digest, Store};
use hyper::body::Bytes;
use reqwest::header::{CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
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
        let (digest, size) = Digest::of_file(&path).map_err(failed)?;
        Ok(Self { digest, size, content: Content::File(path) })
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

impl Repository<'_> {
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

    /// Whether the repository has a blob.
    fn has_blob(&self, blob: &Digest) -> Result<bool, Fault> {
        let there = Ask::new(Method::HEAD, self.own().url(&format!("blobs/{blob}"))?);
        match self.own().ask_patiently(&there) {
            Ok(_) => Ok(true),
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    fn put_blob(&self, blob: &Blob, from: Option<&str>, tick: &dyn Fn(u64)) -> Result<Sent, Fault> {
        if self.has_blob(&blob.digest)? {
            return Ok(Sent { present: 1, ..Sent::default() });
        }
        let sent = Sent { blobs: 1, bytes: blob.size, ..Sent::default() };
        let mut failures = 0;
        loop {
            match self.upload(blob, from, tick) {
                Ok(Upload::Sent) => return Ok(sent),
                Ok(Upload::Mounted) => return Ok(Sent { mounted: 1, ..Sent::default() }),
                Err(fault) => {
                    failures += 1;
                    if failures >= ATTEMPTS || !rest(failures, &fault, self.progress) {
                        return Err(fault);
                    }
                }
            }
            // It may have been the answer that was lost, not the blob.
            if self.has_blob(&blob.digest)? {
                return Ok(sent);
            }
        }
    }

    fn upload(&self, blob: &Blob, from: Option<&str>, tick: &dyn Fn(u64)) -> Result<Upload, Fault> {
        let Some(response) = self.mount(blob, from)? else { return Ok(Upload::Mounted) };
        let mut at = self.location(&response)?;
        if blob.size > PIECE {
            at = self.send_pieces(blob, at, least_piece(&response).max(PIECE), tick)?;
            at.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
            self.commit(blob, &at)?;
        } else {
            at.query_pairs_mut().append_pair("digest", &blob.digest.to_string());
            let sent = Arc::new(AtomicU64::new(0));
            let look = || tick(sent.load(Ordering::Relaxed));
            let mut ask = Ask::new(Method::PUT, at).header(CONTENT_TYPE, BYTES);
            ask = ask.payload(blob.payload(0, blob.size, &sent));
            ask.tick = Some(&look);
            self.own().ask(&ask)?;
        }
        Ok(Upload::Sent)
    }

    /// Starts an upload; none where the registry could link the blob from the repository `from`.
    fn mount(&self, blob: &Blob, from: Option<&str>) -> Result<Option<Response>, Fault> {
        let start = self.own().url("blobs/uploads/")?;
        if let Some(from) = from.filter(|from| *from != self.own().repository) {
            let mut linked = start.clone();
            linked.query_pairs_mut().append_pair("mount", &blob.digest.to_string()).append_pair("from", from);
            match self.own().ask_patiently(&Ask::new(Method::POST, linked)) {
                Ok(response) if response.status() == StatusCode::CREATED => return Ok(None),
                Ok(response) => return Ok(Some(response)),
                Err(fault) if fault.cancelled => return Err(fault),
                // Who may write here need not be let read there.
                Err(fault) => self
                    .progress
                    .log(&format!("{} is sent: it cannot be linked from {from}: {}", blob.digest, fault.why)),
            }
        }
        self.own().ask_patiently(&Ask::new(Method::POST, start)).map(Some)
    }

    /// Ends an upload whose bytes have come. A registry may be long about it, and the answer may be lost: to ask
    /// again costs nothing, to send the blob again does.
    fn commit(&self, blob: &Blob, at: &Url) -> Result<(), Fault> {
        let mut failures = 0;
        loop {
            let Err(mut fault) = self.own().ask(&Ask::new(Method::PUT, at.clone())) else { return Ok(()) };
            let lost = failures > 0 && fault.is(StatusCode::NOT_FOUND);
            failures += 1;
            let again = failures < ATTEMPTS && rest(failures, &fault, self.progress);
            if (again || lost) && self.has_blob(&blob.digest)? {
                return Ok(());
            }
            if !again {
                // An upload that is not known any more starts anew.
                fault.transient |= lost;
                return Err(fault);
            }
        }
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
            match self.own().ask(&ask) {
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
                    let asked = self.own().ask_patiently(&Ask::new(Method::GET, at.clone()));
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
        self.own().root.join(text).map_err(|e| Fault::lasting(format!("it sends an upload to {text:?}: {e}")))
    }
}

enum Upload {
    Sent,
    Mounted,
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
#[path = "upload_tests.rs"]
mod tests;
