//! The one place that speaks HTTP to a registry: requests with a login, silence noticed, cancelled soon.
//!
//! Its futures run on a small runtime of their own; nothing outside knows of it.

use super::auth::{self, Grant};
use super::client::client;
use super::credentials::Found;
use super::fault;
use super::registry::Options;
use crate::http::{self, ATTEMPTS, Fault};
use crate::progress::Progress;
use futures_util::stream;
use hyper::body::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Body, Client, Method, Response, StatusCode, Url};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

/// Most that is read of an answer that tells of a failure, in bytes.
const FAILURE_TEXT: u64 = 64 << 10;
/// Bytes of a file that are handed on at once.
const PIECE: usize = 64 << 10;

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
    client: Client,
    runtime: Arc<tokio::runtime::Runtime>,
    options: Arc<Options>,
    /// Looked for when the registry wants one.
    login: OnceLock<Result<Found, Fault>>,
    /// A server that sends nothing for so long is given up.
    silence: Duration,
    grant: Mutex<Option<Grant>>,
    pub progress: &'a dyn Progress,
}

impl<'a> Endpoint<'a> {
    pub fn new(
        host: &str,
        repository: &str,
        root: Url,
        client: Client,
        runtime: &Arc<tokio::runtime::Runtime>,
        options: &Arc<Options>,
        progress: &'a dyn Progress,
    ) -> Self {
        Self {
            host: host.to_owned(),
            repository: repository.to_owned(),
            root,
            client,
            runtime: Arc::clone(runtime),
            silence: options.registries.get(host).silence,
            options: Arc::clone(options),
            login: OnceLock::new(),
            grant: Mutex::default(),
            progress,
        }
    }

    /// `/v2/<repository>/<below>`.
    pub fn url(&self, below: &str) -> Result<Url, Fault> {
        let path = format!("v2/{}/{below}", self.repository);
        self.root.join(&path).map_err(|e| Fault::lasting(format!("{path:?} is no address: {e}")))
    }

    pub fn same_place(&self, url: &Url) -> bool {
        url.origin() == self.root.origin()
    }

    /// What is known of a login here.
    pub fn login(&self) -> Result<&Found, Fault> {
        let look = || {
            let found = self.options.credentials.login(&self.host, &self.repository, self.progress);
            found.map_err(|why| match self.progress.cancelled() {
                true => Fault::cancelled(),
                false => Fault::lasting(why),
            })
        };
        self.login.get_or_init(look).as_ref().map_err(Fault::clone)
    }

    /// The client for another server that gets the login. How the registry's own certificate is looked at says
    /// nothing of that one, but an authority that is trusted here is trusted there.
    pub fn client_for(&self, url: &Url) -> Result<Client, Fault> {
        if self.same_place(url) {
            return Ok(self.client.clone());
        }
        let host = url.host_str().unwrap_or_default();
        let place = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut known = self.options.registries.get(&place);
        known.certificates.extend(self.options.registries.get(&self.host).certificates);
        client(&self.options, &known)
    }

    /// Asks once, with the login that the registry wants. Answers other than 2xx are faults.
    pub fn ask(&self, ask: &Ask<'_>) -> Result<Response, Fault> {
        let mut grant = self.granted();
        let mut response = self.send(ask, grant.clone())?;
        // Another place that the registry has led to has no business with the login, nor with what it is worth.
        let here = self.same_place(response.url());
        let unauthorized = |response: &Response| response.status() == StatusCode::UNAUTHORIZED;
        if unauthorized(&response) && here {
            grant = Some(self.be_granted(response.headers())?);
            response = self.send(ask, grant.clone())?;
        }
        if response.status().is_success() {
            return Ok(response);
        }
        let elsewhere = Some(response.url()).filter(|url| !self.same_place(url)).cloned();
        let refused = unauthorized(&response);
        let mut fault = self.failure(response);
        if let Some(url) = elsewhere {
            let host = url.host_str().unwrap_or_default();
            fault.why = format!("it leads to {host}, of which: {}", fault.why);
        } else if refused {
            fault.why = auth::refused(self, grant.is_some(), &fault.why);
        }
        Err(fault)
    }

    /// As [`Endpoint::ask`], more than once where that may help.
    pub fn ask_patiently(&self, ask: &Ask<'_>) -> Result<Response, Fault> {
        self.patiently(ATTEMPTS, || self.ask(ask))
    }

    /// Repeats what fails for a passing reason.
    pub fn patiently<T>(&self, attempts: u32, attempt: impl FnMut() -> Result<T, Fault>) -> Result<T, Fault> {
        http::patiently(attempts, self.progress, attempt)
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
        http::wait(&self.runtime, self.silence, self.progress, future, sent, tick)
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
        let (status, headers) = (response.status(), response.headers().clone());
        match self.whole(response, FAILURE_TEXT) {
            Err(fault) if fault.cancelled => fault,
            text => Fault::of_answer(status, &headers, fault::complaint(&text.unwrap_or_default())),
        }
    }
}
