//! The site's settings for this program, from `/etc/hook/env_config` and `/etc/idp/ca.pem`.

use crate::place::Place;
use hookos_guest::env_config;
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use tonic::codegen::http::uri::Authority;

pub const ENV_CONFIG: &str = "/etc/hook/env_config";
pub const CA: &str = "/etc/idp/ca.pem";

/// A server: host and port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub host: String,
    pub port: u16,
}

impl Server {
    /// `host` or `host:port`. A scheme and a slash that people paste along are passed over.
    pub fn parse(text: &str, default_port: u16) -> Option<Self> {
        let text = text.trim();
        let text = text.strip_prefix("https://").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let authority: Authority = text.parse().ok()?;
        let host = authority.host();
        let user = text.contains('@');
        let port = match authority.as_str().strip_prefix(host)?.strip_prefix(':') {
            Some(port) => port.parse().ok().filter(|port| *port != 0)?,
            None => default_port,
        };
        (!host.is_empty() && !user).then(|| Self { host: host.to_owned(), port })
    }
}

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// What this program needs of a site.
#[derive(Clone)]
pub struct Site {
    pub keycloak: Server,
    pub release: Server,
    pub manager: Server,
    pub stream: Server,
    /// Names that the site knows and its DNS does not.
    pub hosts: Vec<(String, IpAddr)>,
    /// May hold a password: see [`Site::proxy_name`].
    pub https_proxy: Option<String>,
    pub no_proxy: String,
    pub authorities: Vec<CertificateDer<'static>>,
    /// What is odd and does not stop the work.
    pub notes: Vec<String>,
}

impl Site {
    /// The settings, or everything that is missing, in words.
    pub fn read(place: &Place) -> Result<Self, Vec<String>> {
        let text = match std::fs::read(place.at(ENV_CONFIG)) {
            Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Err(e) => return Err(vec![format!("cannot read {ENV_CONFIG}, the site's settings: {e}")]),
        };
        Self::parse(&text, &std::fs::read(place.at(CA)).unwrap_or_default())
    }

    fn parse(text: &str, ca: &[u8]) -> Result<Self, Vec<String>> {
        let values = env_config::parse(text);
        let (mut missing, mut notes) = (Vec::new(), Vec::new());
        let port = required(&values, "OBM_PORT", "onboarding_port", &mut missing).and_then(|text| {
            let port = text.parse::<u16>().ok().filter(|port| *port != 0);
            if port.is_none() {
                missing.push(wrong("OBM_PORT", "onboarding_port", text, "a port, 1 to 65535"));
            }
            port
        });
        let mut server = |key, field, default_port| {
            let text = required(&values, key, field, &mut missing)?;
            let server = Server::parse(text, default_port);
            if server.is_none() {
                missing.push(wrong(key, field, text, "a host, or host:port"));
            }
            server
        };
        let keycloak = server("KEYCLOAK_URL", "keycloak_url", 443);
        let manager = server("onboarding_manager_svc", "onboarding_manager_svc", port.unwrap_or(443));
        let stream = server("onboarding_stream_svc", "onboarding_stream_svc", port.unwrap_or(443));
        let value = |key: &str| values.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
        let https_proxy = value("https_proxy").map(str::to_owned);
        if let Some(text) = &https_proxy
            && !is_http_proxy(text)
        {
            missing.push("https_proxy in /etc/hook/env_config (profile field `https_proxy`) is not a proxy that can be used; accepted is http://host:port or host:port".to_owned());
        }
        let authorities: Vec<_> = CertificateDer::pem_slice_iter(ca).filter_map(Result::ok).collect();
        if authorities.is_empty() {
            missing.push(format!("{CA} holds no certificate, so no server can be trusted: set the profile field `ca` to the PEM file of the orchestrator's authority and build the image again"));
        }
        let hosts = extra_hosts(value("EXTRA_HOSTS").unwrap_or_default(), &mut notes);
        match (keycloak, manager, stream, port) {
            (Some(keycloak), Some(manager), Some(stream), Some(_)) if missing.is_empty() => {
                // The first occurrence only: that is the contract with the orchestrator's DNS names.
                let release =
                    Server { host: keycloak.host.replacen("keycloak", "release", 1), ..keycloak.clone() };
                if release == keycloak {
                    notes.push(format!("KEYCLOAK_URL names {keycloak}, without the word `keycloak`, so release tokens are asked of the same host"));
                }
                let no_proxy = value("no_proxy").unwrap_or_default().to_owned();
                Ok(Self {
                    keycloak,
                    release,
                    manager,
                    stream,
                    hosts,
                    https_proxy,
                    no_proxy,
                    authorities,
                    notes,
                })
            }
            _ => Err(missing),
        }
    }

    /// The proxy without its user name and password.
    pub fn proxy_name(&self) -> Option<String> {
        let text = self.https_proxy.as_deref()?;
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        Some(text.trim_start_matches("http://").trim_end_matches('/').to_owned())
    }
}

fn required<'a>(
    values: &'a BTreeMap<String, String>,
    key: &str,
    field: &str,
    missing: &mut Vec<String>,
) -> Option<&'a str> {
    let value = values.get(key).map(|v| v.trim()).filter(|v| !v.is_empty());
    if value.is_none() {
        missing.push(format!(
            "{key} is missing in {ENV_CONFIG}: set the profile field `{field}` and build the image again"
        ));
    }
    value
}

fn wrong(key: &str, field: &str, text: &str, accepted: &str) -> String {
    format!(
        "{key}={text:?} in {ENV_CONFIG} is not {accepted}: correct the profile field `{field}` and build the image again"
    )
}

/// The tunnel to the proxy itself is plain HTTP.
fn is_http_proxy(text: &str) -> bool {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => rest,
        Some(_) => return false,
        None => text,
    };
    rest.trim_end_matches('/').parse::<Authority>().is_ok_and(|a| !a.host().is_empty())
}

/// `IP name,IP name ...`, with quotes around all of it or none.
fn extra_hosts(text: &str, notes: &mut Vec<String>) -> Vec<(String, IpAddr)> {
    let mut hosts = Vec::new();
    for entry in text.trim_matches(['"', '\'']).split(',').map(str::trim).filter(|e| !e.is_empty()) {
        let mut words = entry.split_whitespace();
        match words.next().and_then(|ip| ip.parse::<IpAddr>().ok()) {
            Some(ip) => hosts.extend(words.map(|name| (name.to_ascii_lowercase(), ip))),
            None => notes.push(format!("EXTRA_HOSTS: {entry:?} is not `IP name`; passed over")),
        }
    }
    hosts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ca() -> Vec<u8> {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem().into_bytes()
    }

    const TEXT: &str = "KEYCLOAK_URL=keycloak.keycloak.example.com\nonboarding_manager_svc=m.example.com\n\
        onboarding_stream_svc=s.example.com\nOBM_PORT=8443\n\
        EXTRA_HOSTS=\"192.0.2.1 A.example.com b, nonsense,2001:db8::1 c\"\n\
        https_proxy=http://me:se%40cret@proxy.example.com:3128/\n";

    #[test]
    fn a_whole_site() {
        let site = Site::parse(TEXT, &ca()).map_err(|e| e.join("\n")).unwrap();
        assert_eq!(site.keycloak.to_string(), "keycloak.keycloak.example.com:443");
        assert_eq!(site.release.to_string(), "release.keycloak.example.com:443");
        assert_eq!((site.manager.to_string().as_str(), site.stream.port), ("m.example.com:8443", 8443));
        assert_eq!(
            site.hosts.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
            ["a.example.com", "b", "c"]
        );
        assert_eq!(site.notes.len(), 1);
        assert_eq!(site.proxy_name().as_deref(), Some("proxy.example.com:3128"));
    }

    #[test]
    fn every_missing_key_names_its_field() {
        let problems =
            Site::parse("OBM_PORT=70000\nKEYCLOAK_URL=\nhttps_proxy=socks5://x:1", b"no certificate")
                .err()
                .unwrap();
        let text = problems.join("\n");
        for word in [
            "`onboarding_port`",
            "`keycloak_url`",
            "`onboarding_manager_svc`",
            "`onboarding_stream_svc`",
            "`ca`",
            "`https_proxy`",
        ] {
            assert!(text.contains(word), "{word} is not in {text}");
        }
        assert_eq!(problems.len(), 6);
    }

    #[test]
    fn servers() {
        let text = |text: &str| Server::parse(text, 443).map(|s| s.to_string());
        assert_eq!(text("h.example.com"), Some("h.example.com:443".to_owned()));
        assert_eq!(text(" https://h:8443/ "), Some("h:8443".to_owned()));
        assert_eq!(text("[2001:db8::1]:8443"), Some("[2001:db8::1]:8443".to_owned()));
        for bad in ["", ":443", "h:0", "h:99999", "h:x", "h/path", "a b", "user@h", "h:"] {
            assert_eq!(text(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_fail(text in "(KEYCLOAK_URL=|https_proxy=|EXTRA_HOSTS=|OBM_PORT=)?.{0,60}", ca in ".{0,40}") {
            let _ = Site::parse(&text, ca.as_bytes());
            if let Some(server) = Server::parse(&text, 443) {
                prop_assert_eq!(Server::parse(&server.to_string(), 1), Some(server));
            }
        }

        #[test]
        fn a_proxys_password_is_not_in_its_name(user in "[a-z]{1,8}", password in "[!-~&&[^/?#\\[\\]@]]{8,16}", host in "[a-z]{3,8}") {
            let text = format!("{TEXT}https_proxy=http://{user}:{password}@{host}:3128\n");
            let text = text.replacen("https_proxy=http://me:se%40cret@proxy.example.com:3128/\n", "", 1);
            if let Ok(site) = Site::parse(&text, &ca()) {
                prop_assert_eq!(site.proxy_name(), Some(format!("{host}:3128")));
            }
        }
    }
}
