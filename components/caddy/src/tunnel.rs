//! The site's proxy. Caddy 2.6 reads `https_proxy` and then connects past it, so for an upstream behind
//! the proxy Caddy is given a Unix socket of ours, and its TLS goes through that and a CONNECT
//! to the upstream.

use crate::NAME;
use crate::endpoint;
use crate::site::Upstream;
use hookos_guest::notice;
use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpStream, UnixListener, UnixStream};

/// As long as Caddy would try to connect.
const PATIENCE: Duration = Duration::from_secs(10);

/// The way to an upstream through a proxy.
#[derive(Debug, Clone)]
pub struct Tunnel {
    proxy: (String, u16),
    /// Sensitive: never printed.
    authorization: Option<HeaderValue>,
    target: String,
}

impl Tunnel {
    /// The tunnel to `upstream`, if it lies behind the proxy. The error is a sentence without the value,
    /// which may hold a password.
    pub fn to(upstream: &Upstream, https_proxy: &str, no_proxy: &str) -> Result<Option<Self>, String> {
        if https_proxy.is_empty() || upstream.host == "localhost" || upstream.host.starts_with("127.") {
            return Ok(None);
        }
        let wrong = || {
            "https_proxy is not of the form http://HOST:PORT, as a proxy for this image must be".to_owned()
        };
        let target = format!("{}:{}", upstream.host, upstream.port);
        let uri = format!("https://{target}").parse().map_err(|_| wrong())?;
        let way = |no: &str| Matcher::builder().https(https_proxy).no(no).build().intercept(&uri);
        // Asked first without exceptions: a value that the matcher does not take must not mean "no proxy".
        let proxy = way("").ok_or_else(wrong)?;
        if proxy.uri().scheme_str() != Some("http") {
            return Err(wrong());
        }
        if way(no_proxy).is_none() {
            return Ok(None);
        }
        let host = proxy.uri().host().ok_or_else(wrong)?.trim_matches(['[', ']']).to_owned();
        let port = proxy.uri().port_u16().unwrap_or(80);
        Ok(Some(Self { proxy: (host, port), authorization: proxy.basic_auth().cloned(), target }))
    }

    /// Makes the socket and carries what comes there, for as long as the program runs.
    pub fn open(self, socket: &Path) -> io::Result<()> {
        let listener = endpoint::bind(socket)?;
        tokio::spawn(async move { self.serve(listener).await });
        Ok(())
    }

    async fn serve(self, listener: UnixListener) {
        let said = Arc::new(Mutex::new(None));
        loop {
            match listener.accept().await {
                Ok((stream, _)) => {
                    let (tunnel, said) = (self.clone(), Arc::clone(&said));
                    tokio::spawn(async move {
                        if let Err(e) = tunnel.carry(stream).await
                            && due(&said)
                        {
                            let (host, port) = &tunnel.proxy;
                            let what = format!("no way to {} by the proxy {host}:{port}: {e}", tunnel.target);
                            notice::say(NAME, &what);
                        }
                    });
                }
                Err(e) => {
                    notice::say(NAME, &format!("the tunnel cannot take a connection: {e}"));
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    async fn carry(&self, mut caddy: UnixStream) -> io::Result<()> {
        let opened = tokio::time::timeout(PATIENCE, self.connect()).await;
        let mut upstream = TokioIo::new(opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??);
        // How a connection ends is known to both of its ends.
        let _ = tokio::io::copy_bidirectional(&mut caddy, &mut upstream).await;
        Ok(())
    }

    async fn connect(&self) -> io::Result<hyper::upgrade::Upgraded> {
        let stream = TcpStream::connect((self.proxy.0.as_str(), self.proxy.1)).await?;
        stream.set_nodelay(true)?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = self.target.parse().map_err(io::Error::other)?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(&self.target).map_err(io::Error::other)?);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = sender.send_request(request).await.map_err(io::Error::other)?;
        if !response.status().is_success() {
            return Err(io::Error::other(format!("it answers {}", response.status())));
        }
        hyper::upgrade::on(response).await.map_err(io::Error::other)
    }
}

/// Whether to say it again: a line for each try to send logs would be a log to send.
fn due(said: &Mutex<Option<Instant>>) -> bool {
    let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
    let due = said.is_none_or(|at| at.elapsed() >= Duration::from_secs(60));
    if due {
        *said = Some(Instant::now());
    }
    due
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, https_proxy: &str, no_proxy: &str) -> Result<Option<(String, u16)>, String> {
        let upstream = Upstream { host: host.to_owned(), port: 443 };
        Tunnel::to(&upstream, https_proxy, no_proxy).map(|tunnel| tunnel.map(|t| t.proxy))
    }

    #[test]
    fn the_proxy_is_for_what_the_exceptions_do_not_name() {
        let through = |host: &str, port| Ok(Some((host.to_owned(), port)));
        assert_eq!(
            to("a.example.com", "http://proxy.example.com:911", ""),
            through("proxy.example.com", 911)
        );
        assert_eq!(to("a.example.com", "http://[2001:db8::1]", ""), through("2001:db8::1", 80));
        assert_eq!(to("a.example.com", "http://u:p@h:1", "b.example.com"), through("h", 1));
        assert_eq!(to("a.example.com", "http://h:1", "localhost,.example.com"), Ok(None));
        assert_eq!(to("192.0.2.7", "http://h:1", "192.0.2.0/24"), Ok(None));
        assert_eq!(to("localhost", "http://h:1", ""), Ok(None));
        assert_eq!(to("a.example.com", "", ""), Ok(None));
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused_without_its_value() {
        for value in ["https://u:canary@h:1", "socks5://u:canary@h:1", "http://u:canary@h ost", "http://"] {
            let why = to("a.example.com", value, "").unwrap_err();
            assert!(why.contains("https_proxy") && !why.contains("canary"), "{why}");
        }
    }
}
