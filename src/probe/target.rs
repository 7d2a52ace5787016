//! The servers of a site, and the way to each.

use super::{Failure, Phase};
use crate::site::{Id, ResolvedSite};
use hookos_guest::tunnel::Proxy;
use std::fmt;

/// Where an endpoint whose field says nothing else is: the image uses HTTPS only.
const HTTPS: u16 = 443;

/// A server to connect to; shown as `HOST:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The field that names it.
    pub id: Id,
    /// The field's key, or what else the server is for.
    pub label: String,
    pub host: String,
    pub port: u16,
}

impl Target {
    pub fn same_server(&self, other: &Self) -> bool {
        (&self.host, self.port) == (&other.host, other.port)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The servers that a field stands for: none if it is not set. The identity provider's name stands for a
/// second one, which hands out release tokens (docs/onboarding.md).
pub fn of_field(site: &ResolvedSite, id: Id) -> Vec<Target> {
    let Some(text) = site.text(id) else { return Vec::new() };
    let key = id.field().key;
    let port = match id {
        Id::OnboardingManagerSvc | Id::OnboardingStreamSvc => {
            site.text(Id::OnboardingPort).and_then(|port| port.parse().ok()).unwrap_or(HTTPS)
        }
        _ => HTTPS,
    };
    let target = parse(&text, port, id, key.to_owned());
    let mut all = vec![target];
    if id == Id::KeycloakUrl {
        let identity = &all[0];
        let host = identity.host.replacen("keycloak", "release", 1);
        if host != identity.host {
            all.push(Target { host, label: "release tokens".to_owned(), ..identity.clone() });
        }
    }
    all
}

/// `HOST` or `HOST:PORT`, as the fields have it.
pub fn parse(text: &str, port: u16, id: Id, label: String) -> Target {
    let (host, port) = match text.split_once(':') {
        Some((host, own)) => (host, own.parse().unwrap_or(port)),
        None => (text, port),
    };
    Target { id, label, host: host.to_owned(), port }
}

/// The proxy on the way to a server, by the rules of the image: it takes `http://HOST:PORT` alone, and
/// never for the machine itself. The failure does not show the value, which may hold a password.
pub fn proxy(https_proxy: &str, no_proxy: &str, target: &Target) -> Result<Option<Proxy>, Failure> {
    Proxy::to(&target.host, target.port, https_proxy, no_proxy).map_err(|_| {
        Failure::new(
            Phase::Proxy,
            "unusable proxy",
            "https_proxy is not of the form http://HOST:PORT, as the image needs it",
        )
        .remedy("give network.https_proxy in this form, also for a proxy that carries TLS")
    })
}
