//! The way to a server through the site's proxy: which servers it is for, and CONNECT.

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::TokioIo;
use std::fmt;
use std::net::Ipv4Addr;
use tokio::net::TcpStream;

/// The proxy that stands before a server; shown as `HOST:PORT`.
#[derive(Debug, Clone)]
pub struct Proxy {
    pub host: String,
    pub port: u16,
    /// Sensitive: never printed.
    authorization: Option<HeaderValue>,
}

/// `https_proxy` is not `http://HOST:PORT`. Does not hold the value, which may have a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadProxy;

/// Why a proxy opens no way.
#[derive(Debug)]
pub enum Refusal {
    /// It does not speak as a proxy does.
    Broken(String),
    Status(StatusCode),
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Broken(why) => f.write_str(why),
            Self::Status(status) => write!(f, "it answers {status}"),
        }
    }
}

impl Proxy {
    /// The proxy on the way to `host`, if there is one. Never for the machine itself.
    pub fn to(host: &str, port: u16, https_proxy: &str, no_proxy: &str) -> Result<Option<Self>, BadProxy> {
        let own = host == "localhost" || host.parse().is_ok_and(|ip: Ipv4Addr| ip.is_loopback());
        if https_proxy.is_empty() || own {
            return Ok(None);
        }
        let uri = format!("https://{host}:{port}").parse().map_err(|_| BadProxy)?;
        let way = |no: &str| Matcher::builder().https(https_proxy).no(no).build().intercept(&uri);
        // Asked first without exceptions: a value that the matcher does not take must not mean "no proxy".
        let proxy = way("").ok_or(BadProxy)?;
        if proxy.uri().scheme_str() != Some("http") {
            return Err(BadProxy);
        }
        if way(no_proxy).is_none() {
            return Ok(None);
        }
        let host = proxy.uri().host().ok_or(BadProxy)?.trim_matches(['[', ']']).to_owned();
        let port = proxy.uri().port_u16().unwrap_or(80);
        Ok(Some(Self { host, port, authorization: proxy.basic_auth().cloned() }))
    }

    /// Whether it is given a user name and password.
    pub fn has_login(&self) -> bool {
        self.authorization.is_some()
    }

    /// Asks for the way to `target`, `HOST:PORT`, on a connection to the proxy (CONNECT, RFC 9110 section 9.3.6).
    pub async fn connect(
        &self,
        stream: TcpStream,
        target: &str,
    ) -> Result<TokioIo<hyper::upgrade::Upgraded>, Refusal> {
        fn broken(error: impl fmt::Display) -> Refusal {
            Refusal::Broken(error.to_string())
        }
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
        let carried = tokio::spawn(async move { drop(connection.with_upgrades().await) });
        let mut request = Request::new(Empty::<Bytes>::new());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = target.parse().map_err(broken)?;
        request.headers_mut().insert(HOST, HeaderValue::from_str(target).map_err(broken)?);
        if let Some(authorization) = &self.authorization {
            request.headers_mut().insert(PROXY_AUTHORIZATION, authorization.clone());
        }
        let response = sender.send_request(request).await.map_err(broken)?;
        if !response.status().is_success() {
            carried.abort();
            return Err(Refusal::Status(response.status()));
        }
        hyper::upgrade::on(response).await.map(TokioIo::new).map_err(broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(host: &str, https_proxy: &str, no_proxy: &str) -> Result<Option<String>, BadProxy> {
        Ok(Proxy::to(host, 443, https_proxy, no_proxy)?.map(|proxy| proxy.to_string()))
    }

    #[test]
    fn the_proxy_is_for_what_the_exceptions_do_not_name() {
        let through = |proxy: &str| Ok(Some(proxy.to_owned()));
        assert_eq!(to("a.example.com", "http://proxy.example.com:911", ""), through("proxy.example.com:911"));
        assert_eq!(to("a.example.com", "http://[2001:db8::1]", ""), through("2001:db8::1:80"));
        assert_eq!(to("a.example.com", "http://u:p@h:1", "b.example.com"), through("h:1"));
        assert_eq!(to("a.example.com", "http://h:1", "localhost,.example.com"), Ok(None));
        assert_eq!(to("192.0.2.7", "http://h:1", "192.0.2.0/24"), Ok(None));
        assert_eq!(to("a.example.com", "", ""), Ok(None));
    }

    /// A host whose name began with `127.` was once taken for the machine itself.
    #[test]
    fn the_machine_itself_needs_no_proxy() {
        for own in ["localhost", "127.0.0.1", "127.9.8.7"] {
            assert_eq!(to(own, "http://h:1", ""), Ok(None), "{own}");
        }
        assert_eq!(to("127.example.com", "http://h:1", ""), Ok(Some("h:1".to_owned())));
    }

    #[test]
    fn a_proxy_of_another_kind_is_refused() {
        for value in ["https://u:canary@h:1", "socks5://u:canary@h:1", "http://u:canary@h ost", "http://"] {
            assert_eq!(to("a.example.com", value, ""), Err(BadProxy), "{value}");
        }
    }
}
