//! A small Edge Orchestrator on loopback: what a HookOS image talks to, with the rules of the real one,
//! and with switches to misbehave. For tests, and for people who want to try an image.
//!
//! One TLS port serves everything, over HTTP/1.1 and HTTP/2: the onboarding services (gRPC), Keycloak's
//! token endpoint, the release service's, artifacts, logs and the Tinkerbell server (gRPC). What it sees
//! it keeps as [`Record`]s; what it hands out as secrets it lists, so that leaks can be looked for.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod grpc;
mod machines;
mod misbehaviour;
mod oci;
mod otlp;
mod record;
mod server;
pub mod tinkerbell;
mod tls;
mod tokens;
mod web;

pub use misbehaviour::Misbehaviour;
pub use record::{Event, LogLine, Record, Records};
pub use tls::NAMES;

use machines::Machines;
use misbehaviour::Conduct;
use oci::Artifacts;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokens::Tokens;

/// Why the stand-in cannot start.
#[derive(Debug)]
pub enum Error {
    /// A file, folder or address, and what is wrong with it.
    Io(String, std::io::Error),
    Other(String),
}

impl Error {
    /// For `map_err`.
    pub(crate) fn at(what: impl std::fmt::Display) -> impl FnOnce(std::io::Error) -> Self {
        move |e| Self::Io(what.to_string(), e)
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Io(what, e) => write!(f, "{what}: {e}"),
            Self::Other(text) => f.write_str(text),
        }
    }
}

impl std::error::Error for Error {}

impl From<rcgen::Error> for Error {
    fn from(e: rcgen::Error) -> Self {
        Self::Other(format!("certificates: {e}"))
    }
}

impl From<tokio_rustls::rustls::Error> for Error {
    fn from(e: tokio_rustls::rustls::Error) -> Self {
        Self::Other(format!("TLS: {e}"))
    }
}

/// A machine that an administrator has registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub uuid: String,
    pub serial: String,
}

/// How the stand-in is set up.
#[derive(Debug, Clone)]
pub struct Config {
    /// Its services are `keycloak.<domain>` and so on ([`NAMES`]).
    pub domain: String,
    /// Port 0 takes a free one.
    pub listen: SocketAddr,
    /// None: every machine is known.
    pub known: Vec<Known>,
    /// How often a machine hears that it is registered before it gets its credentials.
    pub registered_rounds: u32,
    /// How long tokens are valid, in seconds.
    pub token_seconds: u64,
    /// The person who may log in: name and password.
    pub user: (String, String),
    /// A static program to serve as the worker's image.
    pub worker: Option<PathBuf>,
    /// `ca.pem` and the worker's OCI layout are written here.
    pub folder: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            domain: "lab.example.com".to_owned(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            known: Vec::new(),
            registered_rounds: 1,
            token_seconds: 3600,
            user: ("engineer".to_owned(), "engineer-password".to_owned()),
            worker: None,
            folder: std::env::temp_dir(),
        }
    }
}

/// What every connection shares.
pub(crate) struct Shared {
    machines: Machines,
    tokens: Tokens,
    artifacts: Artifacts,
    records: Records,
    conduct: Conduct,
    user: (String, String),
}

/// A running stand-in; dropping it stops it.
pub struct Orchestrator {
    shared: Arc<Shared>,
    address: SocketAddr,
    ca: String,
    layout: Option<PathBuf>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Orchestrator {
    /// Starts it on threads of its own.
    pub fn start(config: Config) -> Result<Self, Error> {
        std::fs::create_dir_all(&config.folder).map_err(Error::at(config.folder.display()))?;
        let tls = tls::Tls::new(&config.domain)?;
        let ca = config.folder.join("ca.pem");
        std::fs::write(&ca, &tls.ca).map_err(Error::at(ca.display()))?;
        let tokens = Tokens::new(Duration::from_secs(config.token_seconds));
        tokens.keep_secret(&config.user.1);
        let shared = Arc::new(Shared {
            machines: Machines::new(&config.known, config.registered_rounds),
            tokens,
            artifacts: Artifacts::new(config.worker.as_deref(), &config.folder)?,
            records: Records::default(),
            conduct: Conduct::default(),
            user: config.user,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(Error::at("threads"))?;
        // Without waiting on the runtime, so that it may be started from within another one.
        let (address, listener) = {
            let _within = runtime.enter();
            listen(config.listen).map_err(Error::at(config.listen))?
        };
        let ca = tls.ca.clone();
        runtime.spawn(server::serve(listener, tls, Arc::clone(&shared)));
        shared.records.add(Event::Started { address });
        let layout = config.worker.is_some().then(|| config.folder.join("worker"));
        Ok(Self { shared, address, ca, layout, runtime: Some(runtime) })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// PEM of the certificate authority that a client should trust.
    pub fn ca_pem(&self) -> &str {
        &self.ca
    }

    pub fn records(&self) -> Vec<Record> {
        self.shared.records.all()
    }

    /// Writes records as JSON lines to a file or pipe, those so far too.
    pub fn record_to(&self, sink: std::fs::File) -> std::io::Result<()> {
        self.shared.records.write_to(sink)
    }

    /// The first record that is `what`, of those so far and those within `patience`.
    pub fn wait_for(&self, patience: Duration, what: impl FnMut(&Record) -> bool) -> Option<Record> {
        self.shared.records.wait_for(patience, what)
    }

    /// Misbehaves from now on, or (none) behaves again. Open connections end.
    pub fn misbehave(&self, how: Option<Misbehaviour>) {
        self.shared.conduct.set(how);
        self.shared.records.add(Event::Misbehaving { how: how.map_or("not".to_owned(), Misbehaviour::name) });
    }

    /// Every secret that was handed out or is accepted.
    pub fn secrets(&self) -> Vec<String> {
        self.shared.tokens.secrets()
    }

    /// The worker's image as an OCI layout, tag `latest`.
    pub fn worker_layout(&self) -> Option<PathBuf> {
        self.layout.clone()
    }
}

fn listen(address: SocketAddr) -> std::io::Result<(SocketAddr, tokio::net::TcpListener)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    Ok((listener.local_addr()?, tokio::net::TcpListener::from_std(listener)?))
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
