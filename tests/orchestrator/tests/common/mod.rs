//! A stand-in at work, and a client that speaks its languages over real TLS.
#![allow(dead_code, reason = "each test file uses its own part of it")]

pub mod rpc;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use orchestrator_stand_in::{Config, Event, Known, Orchestrator, Record};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

pub const UUID: &str = "0e5f1d5c-6f0a-4a8e-9d51-2f8b6a7c9d10";
pub const SERIAL: &str = "LAB0001";
pub const MAC: &str = "52:54:00:12:34:56";
pub const ADDRESS: &str = "10.0.2.15";
pub const USER: &str = "operator";
/// Letters that a form escapes.
pub const PASSWORD: &str = "Correct horse&7%+";

pub const TOKEN: &str = "/realms/master/protocol/openid-connect/token";
pub const PATIENCE: Duration = Duration::from_secs(10);

pub struct Lab {
    // Before the folder that it works in.
    pub orchestrator: Orchestrator,
    pub folder: tempfile::TempDir,
}

/// Which HTTP a client offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    One,
    Two,
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What one request says.
pub struct Asked<'a> {
    pub version: Version,
    /// `keycloak` and so on.
    pub name: &'a str,
    pub method: Method,
    pub path: &'a str,
    pub headers: Vec<(&'a str, String)>,
    pub body: Vec<u8>,
}

pub fn get<'a>(name: &'a str, path: &'a str) -> Asked<'a> {
    Asked { version: Version::Two, name, method: Method::GET, path, headers: Vec::new(), body: Vec::new() }
}

pub fn post<'a>(name: &'a str, path: &'a str, kind: &str, body: impl Into<Vec<u8>>) -> Asked<'a> {
    let mut asked = get(name, path).with(CONTENT_TYPE.as_str(), kind);
    asked.method = Method::POST;
    asked.body = body.into();
    asked
}

pub fn form(fields: &[(&str, &str)]) -> Asked<'static> {
    let escape = |text: &str| -> String {
        let byte = |b: u8| match b {
            b' ' => "+".to_owned(),
            b if b.is_ascii_alphanumeric() => char::from(b).to_string(),
            b => format!("%{b:02X}"),
        };
        text.bytes().map(byte).collect()
    };
    let pairs: Vec<String> = fields.iter().map(|(name, value)| format!("{name}={}", escape(value))).collect();
    post("keycloak", TOKEN, "application/x-www-form-urlencoded", pairs.join("&"))
}

/// The form by which the lab's person logs in.
pub fn log_in() -> Asked<'static> {
    form(&[
        ("grant_type", "password"),
        ("client_id", "system-client"),
        ("scope", "openid"),
        ("username", USER),
        ("password", PASSWORD),
    ])
}

impl<'a> Asked<'a> {
    pub fn with(mut self, name: &'a str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn bearer(self, token: &str) -> Self {
        self.with(AUTHORIZATION.as_str(), format!("Bearer {token}"))
    }

    pub fn over(mut self, version: Version) -> Self {
        self.version = version;
        self
    }
}

impl Lab {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    /// One machine is known, and registered once before it is onboarded.
    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config {
            known: vec![Known { uuid: UUID.into(), serial: SERIAL.into() }],
            user: (USER.into(), PASSWORD.into()),
            folder: folder.path().into(),
            ..Config::default()
        };
        change(&mut config);
        Self { orchestrator: Orchestrator::start(config).unwrap(), folder }
    }

    /// A connection to one of the orchestrator's names, trusting its authority alone.
    pub async fn connect(&self, name: &str, version: Version) -> Result<TlsStream<TcpStream>, Failure> {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.orchestrator.ca_pem().as_bytes())?)?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = match version {
            Version::One => vec![b"http/1.1".to_vec()],
            Version::Two => vec![b"h2".to_vec()],
        };
        let stream = TcpStream::connect(self.orchestrator.address()).await?;
        let name = ServerName::try_from(format!("{name}.lab.example.com"))?;
        Ok(TlsConnector::from(Arc::new(config)).connect(name, stream).await?)
    }

    /// One request on a connection of its own.
    pub async fn ask(&self, asked: Asked<'_>) -> Result<Answer, Failure> {
        let stream = TokioIo::new(self.connect(asked.name, asked.version).await?);
        let host = format!("{}.lab.example.com", asked.name);
        let mut request = Request::builder().method(asked.method);
        for (name, value) in asked.headers {
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(asked.body));
        let response = match asked.version {
            Version::One => {
                let request = request.uri(asked.path).header(HOST, host).body(body)?;
                let (mut sender, connection) = http1::handshake(stream).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
            Version::Two => {
                let request = request.uri(format!("https://{host}{}", asked.path)).body(body)?;
                let (mut sender, connection) = http2::handshake(TokioExecutor::new(), stream).await?;
                tokio::spawn(connection);
                sender.send_request(request).await?
            }
        };
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: parts.status, headers: parts.headers, body })
    }

    /// An access token, by the person's log-in.
    pub async fn access(&self) -> String {
        let answer = self.ask(log_in()).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["access_token"].as_str().unwrap().to_owned()
    }

    pub async fn release(&self, access: &str) -> String {
        let answer = self.ask(get("release", "/token").bearer(access)).await.unwrap();
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.text().to_owned()
    }

    /// The last thing that happened.
    pub fn last(&self) -> Event {
        self.orchestrator.records().pop().unwrap().event
    }

    /// Waits for a record.
    #[track_caller]
    pub fn sees(&self, what: impl Fn(&Event) -> bool) -> Record {
        let found = self.orchestrator.wait_for(PATIENCE, |record| what(&record.event));
        found.unwrap_or_else(|| panic!("not seen; there is {:#?}", self.orchestrator.records()))
    }
}
