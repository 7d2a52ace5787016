//! The one place that speaks HTTP to a registry: requests with a login, silence noticed, cancelled soon, and
//! words for what went wrong.
//!
//! Its futures run on a small runtime of their own; nothing outside knows of it.

use super::auth::{self, Grant};
use super::credentials::Login;
use crate::progress::Progress;
use futures_util::stream;
use hyper::body::Bytes;
use jiff::fmt::rfc2822;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// Attempts for one request.
pub(super) const ATTEMPTS: u32 = 5;
/// Wait after the first failure; it doubles each time.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
/// A registry that wants a longer rest than this is not waited for.
const LONGEST_REST: Duration = Duration::from_secs(180);
/// Most that is read of an answer that tells of a failure, in bytes.
const FAILURE_TEXT: u64 = 64 << 10;
/// Bytes of a file that are handed on at once.
const PIECE: usize = 64 << 10;

/// Why a request has not given what it should.
#[derive(Debug, Clone)]
pub(super) struct Fault {
    pub why: String,
    /// What the registry answered, if it did.
    pub status: Option<StatusCode>,
    /// Whether another attempt may help: the network, too many requests, a server in trouble.
    pub transient: bool,
    /// How long the registry wants to be left alone.
    pub after: Option<Duration>,
    pub cancelled: bool,
}

impl Fault {
    /// One that another attempt does not mend.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), status: None, transient: false, after: None, cancelled: false }
    }

    pub fn passing(why: impl Into<String>) -> Self {
        Self { transient: true, ..Self::lasting(why) }
    }

    fn cancelled() -> Self {
        Self { cancelled: true, ..Self::lasting("cancelled") }
    }

    pub fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // rustls's words: its errors come wrapped more than once.
        let certificate = sources(&error).any(|e| e.to_string().contains("invalid peer certificate"));
        let lasting = error.is_builder() || error.is_redirect() || certificate;
        // An address that a registry redirects to may hold a signature.
        let why = with_sources(&error.without_url());
        if lasting { Self::lasting(why) } else { Self::passing(why) }
    }
}

/// An error with its sources: `reqwest` says what broke in the last of them only.
fn with_sources(error: &dyn std::error::Error) -> String {
    sources(error).fold(error.to_string(), |text, error| match error.to_string() {
        more if text.contains(&more) => text,
        more => format!("{text}: {more}"),
    })
}

/// An error, what it comes from, and so on.
fn sources(error: &dyn std::error::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error| error.source())
}

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub(super) enum Payload {
    #[default]
    None,
    Bytes(Bytes),
    File(FileRange),
}

/// A part of a file.
#[derive(Debug, Clone)]
pub(super) struct FileRange {
    pub path: PathBuf,
    pub offset: u64,
    pub len: u64,
    /// Counts the bytes that were handed to the connection.
    pub sent: Arc<AtomicU64>,
}

impl FileRange {
    fn body(&self) -> io::Result<Body> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.offset))?;
        let start = (file.take(self.len), Arc::clone(&self.sent));
        Ok(Body::wrap_stream(stream::try_unfold(start, |(mut file, sent)| async move {
            let mut piece = vec![0; PIECE];
            // The files are on a local disk: this blocks no longer than a page takes.
            let n = file.read(&mut piece)?;
            piece.truncate(n);
            sent.fetch_add(n as u64, Ordering::Relaxed);
            io::Result::Ok((n > 0).then(|| (Bytes::from(piece), (file, sent))))
        })))
    }
}

/// One request.
pub(super) struct Ask<'q> {
    pub method: Method,
    pub url: Url,
    pub headers: Vec<(HeaderName, HeaderValue)>,
    pub payload: Payload,
    /// Called now and then while it is under way.
    pub tick: Option<&'q dyn Fn()>,
}

impl Ask<'_> {
    pub fn new(method: Method, url: Url) -> Self {
        Self { method, url, headers: Vec::new(), payload: Payload::None, tick: None }
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: impl AsRef<str>) -> Self {
        // What this program writes there are digests, numbers and media types.
        if let Ok(value) = HeaderValue::from_str(value.as_ref()) {
            self.headers.push((name, value));
        }
        self
    }

    #[must_use]
    pub fn payload(mut self, payload: Payload) -> Self {
        self.payload = payload;
        self
    }
}

/// A repository of one registry, with what is needed to speak to it.
pub(super) struct Endpoint<'a> {
    /// As a person writes it: `registry.example.com:5000`.
    pub host: String,
    pub repository: String,
    /// `https://registry.example.com:5000/`.
    pub root: Url,
    pub client: Client,
    pub runtime: Arc<tokio::runtime::Runtime>,
    pub login: Option<Login>,
    /// A server that sends nothing for so long is given up.
    pub silence: Duration,
    pub grant: Mutex<Option<Grant>>,
    pub progress: &'a dyn Progress,
}

impl Endpoint<'_> {
    /// `/v2/<repository>/<below>`.
    pub fn url(&self, below: &str) -> Result<Url, Fault> {
        let path = format!("v2/{}/{below}", self.repository);
        self.root.join(&path).map_err(|e| Fault::lasting(format!("{path:?} is no address: {e}")))
    }

    fn same_place(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
    }

    /// Asks once, with the login that the registry wants. Answers other than 2xx are faults.
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Response, Fault> {
        let mut response = self.send(ask, self.granted())?;
        if response.status() == StatusCode::UNAUTHORIZED && self.same_place(&ask.url) {
            let grant = self.be_granted(response.headers())?;
            response = self.send(ask, Some(grant))?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        Err(self.failure(response))
    }

    /// As [`Endpoint::ask`], more than once where that may help.
    pub fn ask_patiently(&self, ask: &Ask<'_>) -> Result<Response, Fault> {
        self.patiently(ATTEMPTS, || self.ask(ask))
    }

    /// Repeats what fails for a passing reason.
    pub fn patiently<T>(
        &self,
        attempts: u32,
        mut attempt: impl FnMut() -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        let mut failures = 0;
        loop {
            match attempt() {
                Ok(done) => return Ok(done),
                Err(fault) => {
                    failures += 1;
                    if failures >= attempts || !rest(failures, &fault, self.progress) {
                        return Err(if self.progress.cancelled() { Fault::cancelled() } else { fault });
                    }
                }
            }
        }
    }

    fn granted(&self) -> Option<Grant> {
        self.grant.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Gets what the registry's challenge asks for; the next requests use it too.
    fn be_granted(&self, headers: &HeaderMap) -> Result<Grant, Fault> {
        let grant = auth::answer(self, headers)?;
        *self.grant.lock().unwrap_or_else(PoisonError::into_inner) = Some(grant.clone());
        Ok(grant)
    }

    fn send(&self, ask: &Ask<'_>, grant: Option<Grant>) -> Result<Response, Fault> {
        let mut request = self.client.request(ask.method.clone(), ask.url.clone());
        for (name, value) in &ask.headers {
            request = request.header(name, value);
        }
        // An upload may be led to another place, which has no business with the login.
        if let Some(grant) = grant.filter(|_| self.same_place(&ask.url)) {
            request = request.header(AUTHORIZATION, grant.header());
        }
        let mut sent = None;
        match &ask.payload {
            Payload::None if matches!(ask.method, Method::POST | Method::PUT) => {
                request = request.header(CONTENT_LENGTH, 0);
            }
            Payload::None => {}
            Payload::Bytes(bytes) => request = request.body(bytes.clone()),
            Payload::File(range) => {
                let body = range
                    .body()
                    .map_err(|e| Fault::lasting(format!("{} cannot be read: {e}", range.path.display())))?;
                request = request.header(CONTENT_LENGTH, range.len).body(body);
                sent = Some(&*range.sent);
            }
        }
        self.wait(request.send(), sent, ask.tick)?.map_err(Fault::from)
    }

    /// Waits for a future. It is given up when it was cancelled, and after a silence: no end, and no byte
    /// `sent` meanwhile.
    pub fn wait<T>(
        &self,
        future: impl Future<Output = T>,
        sent: Option<&AtomicU64>,
        tick: Option<&dyn Fn()>,
    ) -> Result<T, Fault> {
        let count = || sent.map_or(0, |sent| sent.load(Ordering::Relaxed));
        self.runtime.block_on(async {
            let mut future = std::pin::pin!(future);
            let (mut last, mut moved) = (count(), Instant::now());
            loop {
                if let Ok(done) = tokio::time::timeout(LOOK, &mut future).await {
                    return Ok(done);
                }
                if self.progress.cancelled() {
                    return Err(Fault::cancelled());
                }
                if let Some(tick) = tick {
                    tick();
                }
                if count() != last {
                    (last, moved) = (count(), Instant::now());
                }
                if moved.elapsed() >= self.silence {
                    let seconds = self.silence.as_secs_f32();
                    return Err(Fault::passing(format!("it was silent for {seconds} seconds")));
                }
            }
        })
    }

    /// The next bytes of an answer; none at its end.
    pub fn next(&self, response: &mut Response) -> Result<Option<Bytes>, Fault> {
        self.wait(response.chunk(), None, None)?.map_err(Fault::from)
    }

    /// The whole of an answer, of at most `most` bytes.
    pub fn whole(&self, mut response: Response, most: u64) -> Result<Vec<u8>, Fault> {
        let mut bytes = Vec::new();
        while let Some(piece) = self.next(&mut response)? {
            if (bytes.len() + piece.len()) as u64 > most {
                return Err(Fault::lasting(format!("it answers with more than {most} bytes")));
            }
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes)
    }

    /// An answer that is none, in words.
    pub fn failure(&self, response: Response) -> Fault {
        let status = response.status();
        let after = rest_wanted(response.headers(), jiff::Timestamp::now());
        let said = match self.whole(response, FAILURE_TEXT) {
            Ok(text) => complaint(&text),
            Err(fault) if fault.cancelled => return fault,
            Err(_) => None,
        };
        let mut why = match status {
            StatusCode::UNAUTHORIZED => {
                "it wants a login, or the image does not exist (`docker login` or `podman login` give one)"
                    .to_owned()
            }
            _ => format!("it answers with status {}", status.as_u16()),
        };
        if let Some(said) = said {
            why = format!("{why}: {said}");
        }
        let transient = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Fault { why, status: Some(status), transient, after, cancelled: false }
    }
}

/// After failure number `failure` (from 1): waits and says yes, where another attempt may help.
///
/// The wait doubles each time and is shortened by chance, so that many builders that were refused
/// together do not come back together. A registry that says how long is taken at its word.
pub(super) fn rest(failure: u32, fault: &Fault, progress: &dyn Progress) -> bool {
    if !fault.transient || progress.cancelled() {
        return false;
    }
    let doubled = WAIT * 2u32.pow(failure.saturating_sub(1).min(8));
    let mut left = match fault.after {
        Some(after) if after > LONGEST_REST => return false,
        Some(after) => after + WAIT.mul_f32(fastrand::f32()),
        None => doubled.mul_f32(0.5 + fastrand::f32() / 2.0),
    };
    let why = &fault.why;
    match fault.after {
        Some(after) => {
            progress.log(&format!("attempt {} follows in {} s: {why}", failure + 1, after.as_secs()));
        }
        None => progress.log(&format!("attempt {} follows: {why}", failure + 1)),
    }
    while !left.is_zero() && !progress.cancelled() {
        let nap = left.min(LOOK);
        std::thread::sleep(nap);
        left -= nap;
    }
    !progress.cancelled()
}

/// `Retry-After`: seconds, or a date. Source: RFC 9110, section 10.2.3.
fn rest_wanted(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

/// What a registry says of a failure. Source: OCI distribution specification 1.1, "Error Codes".
fn complaint(text: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let short = |text: &str| {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        clean.trim().to_owned()
    };
    let said = match serde_json::from_slice::<Errors>(text) {
        Ok(all) => {
            let each = all.errors.iter().map(|one| format!("{}: {}", one.code, one.message));
            each.collect::<Vec<_>>().join("; ")
        }
        // A page of a proxy says nothing that helps.
        Err(_) if text.trim_ascii_start().starts_with(b"<") => return None,
        Err(_) => String::from_utf8_lossy(text).into_owned(),
    };
    Some(short(&said)).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_stated_in_seconds_or_as_a_date() {
        let now: jiff::Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let wanted = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            rest_wanted(&headers, now).map(|rest| rest.as_secs())
        };
        assert_eq!(wanted("7"), Some(7));
        assert_eq!(wanted("Mon, 23 Nov 2026 10:00:30 GMT"), Some(30));
        assert_eq!(wanted("Mon, 23 Nov 2026 09:00:30 GMT"), Some(0), "it is over");
        assert_eq!(wanted("soon"), None);
    }

    #[test]
    fn what_a_registry_says_is_short_and_clean() {
        let text = br#"{"errors":[{"code":"DENIED","message":"no\u001b[2Jaccess"},{"code":"X"}]}"#;
        assert_eq!(complaint(text).unwrap(), "DENIED: no [2Jaccess; X:");
        assert_eq!(complaint(b"<html>busy</html>"), None);
        assert_eq!(complaint(b""), None);
        assert_eq!(complaint(&[b'a'; 1000]).unwrap().len(), 200);
    }
}
