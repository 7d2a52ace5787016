//! A repository of a registry: what it has by name, and what of it comes into the store.
//!
//! Protocol: OCI distribution specification 1.1.

use super::acquire::{Blobs, LARGEST_DOCUMENT, with_retries};
use super::blob::{BlobReader, GivenUp};
use super::import::{Error, import_blob};
use super::places::{CONTENT_DIGEST, MANIFESTS, Places, manifest};
use super::registry::{Options, parse};
use super::wire::{Ask, Endpoint, Payload};
use crate::http::{ATTEMPTS, Fault, rest};
use crate::progress::Progress;
use crate::store::{Digest, Store};
use hyper::body::Bytes;
use oci_spec::distribution::Reference;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap, LINK};
use reqwest::{Method, StatusCode};
use std::io::{Cursor, Read};

pub use super::upload::{Blob, Content, Sent};

/// How often a blob is asked for whose bytes are wrong, at least.
const ATTEMPTS_AT_WRONG_BYTES: u32 = 3;
/// The most pages that a list may have.
const MOST_PAGES: usize = 100;

/// A manifest that a repository has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub digest: Digest,
    pub media_type: String,
    /// Bytes.
    pub size: u64,
}

/// A repository. It is written to at its own registry only; who reads may ask the registry's mirrors first.
pub struct Repository<'a> {
    places: Places<'a>,
    reference: Reference,
    pub(super) progress: &'a dyn Progress,
}

impl<'a> Repository<'a> {
    /// The repository that `reference` names, at its own registry. Nothing is asked yet.
    pub fn open(reference: &str, options: &Options, progress: &'a dyn Progress) -> Result<Self, Error> {
        Self::of(parse(reference)?, false, options, progress)
    }

    /// As [`Repository::open`], for somebody who only reads: mirrors are asked first.
    pub fn reading(reference: &str, options: &Options, progress: &'a dyn Progress) -> Result<Self, Error> {
        Self::of(parse(reference)?, true, options, progress)
    }

    fn of(
        reference: Reference,
        mirrors: bool,
        options: &Options,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        match Places::of(&reference, mirrors, options, progress) {
            Ok(places) => Ok(Self { places, reference, progress }),
            Err(fault) => Err(Error::refused(reference.whole(), reference.registry(), fault)),
        }
    }

    /// `host` or `host:port` of its own registry.
    pub fn host(&self) -> &str {
        self.reference.registry()
    }

    /// Where it is written to.
    pub(super) fn own(&self) -> &Endpoint<'a> {
        self.places.own()
    }

    /// `host/repository`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.own().host, self.own().repository)
    }

    /// The tag of the reference (`latest` without one), or its digest.
    pub fn tag(&self) -> &str {
        self.reference.digest().or(self.reference.tag()).unwrap_or("latest")
    }

    /// `host/repository:tag` or `host/repository@digest`.
    fn named(&self, name: &str) -> String {
        format!("{}{}{name}", self.name(), if name.contains(':') { '@' } else { ':' })
    }

    pub(super) fn refused(&self, what: impl ToString) -> impl FnOnce(Fault) -> Error + '_ {
        let what = what.to_string();
        move |fault| Error::refused(what, &self.own().host, fault)
    }

    /// The manifest that a tag or digest names, if the repository has it.
    pub fn find(&self, name: &str) -> Result<Option<Found>, Error> {
        self.look(name, ATTEMPTS)
    }

    /// As [`Repository::find`], for somebody who would rather have no answer than wait for one.
    pub fn peek(&self, name: &str) -> Result<Option<Found>, Error> {
        self.look(name, 1)
    }

    fn look(&self, name: &str, most: u32) -> Result<Option<Found>, Error> {
        let found = self.places.first(0, |place, _, attempts| {
            let attempts = attempts.min(most);
            let ask =
                Ask::new(Method::HEAD, place.url(&format!("manifests/{name}"))?).header(ACCEPT, MANIFESTS);
            let response = place.patiently(attempts, || place.ask(&ask))?;
            let text =
                |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok()).map(str::to_owned);
            let digest: Option<Digest> = text(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
            let size: Option<u64> = text("content-length").and_then(|size| size.parse().ok());
            match (digest, size, text("content-type")) {
                (Some(digest), Some(size), Some(media_type)) => Ok(Found { digest, media_type, size }),
                // A registry that says less is asked for the whole.
                (.., media_type) => {
                    let bytes = place.patiently(attempts, || manifest(place, name))?;
                    let media_type = media_type.unwrap_or_else(|| media_type_of(&bytes));
                    Ok(Found { digest: Digest::of(&bytes), media_type, size: bytes.len() as u64 })
                }
            }
        });
        self.if_there(found, || self.named(name))
    }

    /// What came of asking; none where the answer is that there is nothing.
    fn if_there<T>(
        &self,
        asked: Result<T, Fault>,
        what: impl FnOnce() -> String,
    ) -> Result<Option<T>, Error> {
        match asked {
            Ok(found) => Ok(Some(found)),
            Err(fault) if fault.is(StatusCode::NOT_FOUND) => Ok(None),
            Err(fault) => Err(self.refused(what())(fault)),
        }
    }

    fn get_manifest(&self, name: &str, failures: u32) -> Result<Vec<u8>, Fault> {
        self.places.first(failures, |place, _, attempts| place.patiently(attempts, || manifest(place, name)))
    }

    /// The manifest that a tag or digest names; its digest was compared. None where there is none.
    pub fn manifest(&self, name: &str) -> Result<Option<Vec<u8>>, Error> {
        self.if_there(self.get_manifest(name, 0), || self.named(name))
    }

    /// The manifest or index that the reference names.
    pub(super) fn first_document(&self) -> Result<Vec<u8>, Error> {
        self.get_manifest(self.tag(), 0).map_err(self.refused(self.reference.whole()))
    }

    /// The tags that the repository says it has.
    pub fn tags(&self) -> Result<Vec<String>, Error> {
        #[derive(serde::Deserialize)]
        struct List {
            tags: Option<Vec<String>>,
        }
        let mut tags = Vec::new();
        for page in self.pages("tags/list")?.unwrap_or_default() {
            let bad = |e: serde_json::Error| self.refused(self.name())(Fault::lasting(e.to_string()));
            let list: List = serde_json::from_slice(&page).map_err(bad)?;
            tags.extend(list.tags.unwrap_or_default());
        }
        Ok(tags)
    }

    /// A document below the repository, of at most 4 MiB; none where there is none.
    pub(super) fn document(&self, below: &str) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.pages(below)?.map(|pages| pages.concat()))
    }

    /// As [`Repository::document`], for a list that may come in pages.
    pub(super) fn pages(&self, below: &str) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let pages = self.places.first(0, |place, _, attempts| {
            let mut pages = Vec::new();
            let mut next = Some(place.url(below)?);
            while let Some(url) = next {
                if pages.len() == MOST_PAGES {
                    return Err(Fault::lasting(format!("its list has more than {MOST_PAGES} pages")));
                }
                let (bytes, link) = place.patiently(attempts, || {
                    let response = place.ask(&Ask::new(Method::GET, url.clone()))?;
                    let link = next_page(response.headers());
                    Ok((place.whole(response, LARGEST_DOCUMENT)?, link))
                })?;
                pages.push(bytes);
                next = match link {
                    None => None,
                    Some(link) => match url.join(&link) {
                        Ok(url) if place.same_place(&url) => Some(url),
                        _ => return Err(Fault::lasting(format!("its list goes on at {link:?}"))),
                    },
                };
            }
            Ok(pages)
        });
        self.if_there(pages, || format!("{}/{below}", self.name()))
    }

    /// Brings a blob into the store, unless it is there.
    pub fn fetch(&self, store: &Store, digest: &Digest, size: u64) -> Result<(), Error> {
        if store.has(digest) {
            return Ok(());
        }
        let what = format!("{digest} of {}", self.name());
        with_retries(self, self.progress, |failures| {
            import_blob(store, &what, Blobs::open(self, digest, size, failures)?, digest, size, self.progress)
        })
    }

    /// Puts a manifest or an index under a tag, or under its own digest. Says whether the registry has
    /// taken note of the manifest's subject.
    pub fn put_manifest(&self, name: &str, media_type: &str, bytes: &[u8]) -> Result<bool, Error> {
        let put = || {
            let url = self.own().url(&format!("manifests/{name}"))?;
            let ask = Ask::new(Method::PUT, url)
                .header(CONTENT_TYPE, media_type)
                .payload(Payload::Bytes(Bytes::copy_from_slice(bytes)));
            let response = self.own().ask(&ask)?;
            let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
            let found: Option<Digest> = header(CONTENT_DIGEST).and_then(|digest| digest.parse().ok());
            match found {
                Some(found) if found != Digest::of(bytes) => {
                    Err(Fault::passing(format!("it has the manifest with another digest, {found}")))
                }
                _ => Ok(header("oci-subject").is_some()),
            }
        };
        self.own()
            .patiently(ATTEMPTS, put)
            .map_err(self.refused(format!("the manifest {}", self.named(name))))
    }
}

impl Blobs for Repository<'_> {
    fn called(&self) -> String {
        self.reference.whole()
    }

    fn open(&self, blob: &Digest, size: u64, failures: u32) -> Result<Box<dyn Read + Send + '_>, Error> {
        let reader = BlobReader::open(&self.places, blob, size, failures);
        Ok(Box::new(reader.map_err(self.refused(format!("{blob} of {}", self.called())))?))
    }

    fn open_manifest(
        &self,
        manifest: &Digest,
        _: u64,
        failures: u32,
    ) -> Result<Box<dyn Read + Send + '_>, Error> {
        let bytes = self.get_manifest(&manifest.to_string(), failures);
        Ok(Box::new(Cursor::new(bytes.map_err(self.refused(format!("{manifest} of {}", self.called())))?)))
    }

    fn again(&self, failure: u32, error: &Error, progress: &dyn Progress) -> bool {
        // Damaged on its way, perhaps, but more likely wrong at its source: the next attempt asks the next
        // place. All that a request can do about a bad network it has done by now.
        let damaged = match error {
            Error::Content { .. } => true,
            // A decoder's words, where they are not the network's.
            Error::Read { source, .. } => !source.get_ref().is_some_and(|inner| inner.is::<GivenUp>()),
            _ => false,
        };
        let places = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        damaged
            && failure < ATTEMPTS_AT_WRONG_BYTES.max(places)
            && rest(failure, &Fault::passing(error.to_string()), progress)
    }
}

/// Where a list goes on: `Link: </v2/...>; rel="next"`. Source: RFC 8288.
fn next_page(headers: &HeaderMap) -> Option<String> {
    let all = headers.get_all(LINK).iter().filter_map(|value| value.to_str().ok());
    all.flat_map(|text| text.split('<').skip(1)).find_map(|one| {
        let (url, parameters) = one.split_once('>')?;
        let next = parameters.split([';', ',']).any(|p| matches!(p.trim(), "rel=next" | "rel=\"next\""));
        next.then(|| url.to_owned())
    })
}

/// The media type that a manifest says of itself.
fn media_type_of(manifest: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(manifest).unwrap_or_default();
    value["mediaType"].as_str().unwrap_or("application/vnd.oci.image.manifest.v1+json").to_owned()
}
