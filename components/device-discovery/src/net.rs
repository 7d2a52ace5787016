//! How servers are reached: names, the proxy, and the site's certificates as the only trust.

use crate::failure::{self, NoSuchHost};
use crate::pace::Pace;
use crate::site::{Server, Site};
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use rustls::RootCertStore;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

type AnyError = Box<dyn std::error::Error + Send + Sync>;
type Later<T> = Pin<Box<dyn Future<Output = Result<T, AnyError>> + Send>>;

/// TCP, CONNECT and the TLS handshake.
pub const CONNECT: Duration = Duration::from_secs(10);
/// A whole HTTP request.
pub const REQUEST: Duration = Duration::from_secs(30);

/// The ways to the orchestrator.
pub struct Net {
    names: Names,
    proxy: Option<Matcher>,
    roots: Vec<Certificate>,
    pub http: reqwest::Client,
    pub pace: Pace,
}

impl Net {
    pub fn new(site: &Site, pace: Pace) -> Result<Self, String> {
        let names = Names(Arc::new(site.hosts.clone()));
        let mut roots = RootCertStore::empty();
        let (_, refused) = roots.add_parsable_certificates(site.authorities.iter().cloned());
        if roots.is_empty() {
            return Err(format!(
                "{}: none of the {refused} certificates can be used as an authority; set the profile field `ca`",
                crate::site::CA
            ));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|e| format!("TLS cannot be set up: {e}"))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(true)
            .dns_resolver(names.clone())
            .connect_timeout(pace.of(CONNECT))
            .timeout(pace.of(REQUEST))
            // Credentials go where the site says and nowhere else.
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy();
        let mut proxy = None;
        if let Some(url) = &site.https_proxy {
            // The error would repeat the URL, and there may be a password in it.
            let for_http = reqwest::Proxy::https(url).map_err(|_| "https_proxy is not a URL".to_owned())?;
            http = http.proxy(for_http.no_proxy(reqwest::NoProxy::from_string(&site.no_proxy)));
            proxy = Some(Matcher::builder().https(url.as_str()).no(site.no_proxy.as_str()).build());
        }
        let http = http.build().map_err(|e| failure::explain(&e, "HTTP client"))?;
        let roots = site.authorities.iter().map(|der| Certificate::from_pem(pem(der))).collect();
        Ok(Self { names, proxy, roots, http, pace })
    }

    /// A gRPC connection.
    pub async fn grpc(&self, server: &Server) -> Result<Channel, String> {
        let peer = server.to_string();
        let uri: Uri =
            format!("https://{peer}").parse().map_err(|_| format!("{peer} is not a host and a port"))?;
        let tls = ClientTlsConfig::new()
            .ca_certificates(self.roots.iter().cloned())
            .domain_name(server.host.as_str());
        let endpoint =
            Endpoint::from(uri.clone()).tls_config(tls).map_err(|e| failure::explain(&e, &peer))?;
        let dialer = Dialer(self.names.clone());
        let connecting = async {
            match self.proxy.as_ref().and_then(|proxy| proxy.intercept(&uri)) {
                None => endpoint.connect_with_connector(dialer).await,
                Some(found) => {
                    let mut tunnel = Tunnel::new(found.uri().clone(), dialer);
                    if let Some(auth) = found.basic_auth() {
                        tunnel = tunnel.with_auth(auth.clone());
                    }
                    endpoint.connect_with_connector(tunnel).await
                }
            }
        };
        match tokio::time::timeout(self.pace.of(CONNECT), connecting).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(e)) => Err(failure::explain(&e, &peer)),
            Err(_) => Err(failure::no_answer(&peer)),
        }
    }
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Names to addresses: what the site says, else the system's resolver.
#[derive(Clone)]
struct Names(Arc<Vec<(String, IpAddr)>>);

impl Names {
    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, AnyError> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        let said = self.0.iter().filter(|(name, _)| name.eq_ignore_ascii_case(host));
        let said: Vec<_> = said.map(|(_, ip)| SocketAddr::new(*ip, port)).collect();
        if !said.is_empty() {
            return Ok(said);
        }
        let found: Vec<_> =
            tokio::net::lookup_host((host, port)).await.map(Iterator::collect).unwrap_or_default();
        if found.is_empty() {
            return Err(NoSuchHost { host: host.to_owned() }.into());
        }
        Ok(found)
    }
}

impl reqwest::dns::Resolve for Names {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let names = self.clone();
        Box::pin(async move {
            let found = names.look_up(name.as_str(), 0).await?;
            Ok(Box::new(found.into_iter()) as reqwest::dns::Addrs)
        })
    }
}

/// TCP to the host of a URI.
#[derive(Clone)]
struct Dialer(Names);

impl Service<Uri> for Dialer {
    type Response = TokioIo<TcpStream>;
    type Error = AnyError;
    type Future = Later<Self::Response>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), AnyError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let names = self.0.clone();
        Box::pin(async move {
            let default = if uri.scheme_str() == Some("http") { 80 } else { 443 };
            let host = uri.host().unwrap_or_default();
            let addresses = names.look_up(host, uri.port_u16().unwrap_or(default)).await?;
            let stream = TcpStream::connect(addresses.as_slice()).await?;
            stream.set_nodelay(true)?;
            Ok(TokioIo::new(stream))
        })
    }
}
