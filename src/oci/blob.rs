//! A registry's blob as a stream that survives a broken line: what is missing is asked for by `Range`, and at
//! the next place where one fails for good.
//!
//! Source: RFC 9110, section 14 (range requests); the OCI distribution specification 1.1 allows them for
//! blobs. A blob is named by its content, so that what comes later belongs to what came before.

use super::places::Places;
use super::wire::{Ask, Endpoint};
use crate::http::{self, Failures, Fault};
use crate::store::Digest;
use hyper::body::Bytes;
use reqwest::header::RANGE;
use reqwest::{Method, Response};
use std::io::{self, Read};

/// No place has the rest of a blob: all that a request can do about it was done.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct GivenUp(String);

/// The bytes of a blob; whoever reads them compares their digest.
pub(super) struct BlobReader<'r, 'a> {
    places: &'r Places<'a>,
    /// The place that is asked.
    n: usize,
    digest: Digest,
    size: u64,
    /// Bytes that came so far.
    at: u64,
    response: Option<Response>,
    piece: Bytes,
    failures: Failures,
}

impl<'r, 'a> BlobReader<'r, 'a> {
    /// `skip` places have given wrong bytes before.
    pub fn open(places: &'r Places<'a>, digest: &Digest, size: u64, skip: u32) -> Result<Self, Fault> {
        let (n, response) = places.first(skip, |place, n, attempts| {
            let get = || place.ask(&Ask::new(Method::GET, place.url(&format!("blobs/{digest}"))?));
            Ok((n, place.patiently(attempts, get)?))
        })?;
        Ok(Self {
            places,
            n,
            digest: *digest,
            size,
            at: 0,
            response: Some(response),
            piece: Bytes::new(),
            failures: Failures::default(),
        })
    }

    fn place(&self) -> &'r Endpoint<'a> {
        self.places.at(self.n)
    }

    /// Asks for what is missing. The first piece of it may be there afterwards.
    fn request(&mut self) -> Result<(), Fault> {
        let place = self.place();
        let mut ask = Ask::new(Method::GET, place.url(&format!("blobs/{}", self.digest))?);
        if self.at > 0 {
            ask = ask.header(RANGE, format!("bytes={}-", self.at));
        }
        let mut response = place.ask(&ask)?;
        let mut skip = http::known(&response, self.at)?;
        while skip > 0 {
            let Some(mut piece) = place.next(&mut response)? else {
                return Err(Fault::passing("it ended before the bytes that are missing"));
            };
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            skip -= known as u64;
            self.piece = piece.split_off(known);
        }
        self.at += self.piece.len() as u64;
        self.response = Some(response);
        Ok(())
    }

    /// Waits for more bytes; says whether there are any.
    fn more(&mut self) -> Result<bool, Fault> {
        if self.response.is_none() {
            self.request()?;
        }
        if !self.piece.is_empty() {
            return Ok(true);
        }
        // Only an answer that is still good is kept.
        let Some(mut response) = self.response.take() else { return Ok(false) };
        match self.place().next(&mut response)? {
            None if self.at < self.size => {
                return Err(Fault::passing(format!("it ended after {} of {} bytes", self.at, self.size)));
            }
            None => {}
            Some(piece) => {
                self.at += piece.len() as u64;
                self.piece = piece;
            }
        }
        self.response = Some(response);
        Ok(!self.piece.is_empty())
    }

    /// After a failure: whether to go on, here or at another place.
    fn goes_on(&mut self, fault: &Fault) -> bool {
        let (attempts, progress) = (self.places.attempts(self.n), self.place().progress);
        if self.failures.go_on(self.at, attempts, fault, progress) {
            return true;
        }
        if progress.cancelled() {
            return false;
        }
        let Some(next) = self.places.after(self.n, fault) else { return false };
        self.n = next;
        self.failures.forget();
        self.places.stay(next);
        true
    }
}

impl Read for BlobReader<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() && !buffer.is_empty() {
            match self.more() {
                Ok(true) => {}
                Ok(false) => return Ok(0),
                Err(fault) if !self.goes_on(&fault) => return Err(io::Error::other(GivenUp(fault.why))),
                Err(_) => {}
            }
        }
        let n = buffer.len().min(self.piece.len());
        buffer[..n].copy_from_slice(&self.piece.split_to(n));
        Ok(n)
    }
}
