//! Whether a site's endpoints can be reached from this machine, and what certificates they show.
//!
//! | to learn | read |
//! |---|---|
//! | name, address, proxy: how a connection is made | [`way`] |
//! | the TLS handshake, and its failures in words | [`tls`] |
//!
//! Nothing is sent over a connection but the handshake. It is this machine's name server and route that
//! are tried: the machine that boots the image may have others.

mod tls;
mod way;

pub use tls::{Trust, chain};
pub use way::Way;

use crate::problem::{Problem, Result};
use crate::site::{FIELDS, Id, Kind, ResolvedSite};
use serde::Serialize;
use std::time::{Duration, Instant};

/// A TCP connection may take this long.
const CONNECT: Duration = Duration::from_secs(5);
/// All of a try may take this long.
const WHOLE: Duration = Duration::from_secs(10);

/// Who is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The field that names it.
    pub id: Id,
    pub host: String,
    pub port: u16,
}

/// How a try went, and how long its parts took.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Answer {
    /// The address that was connected to; the proxy's, if there is one between.
    pub address: String,
    /// `host:port` of the proxy.
    pub proxy: Option<String>,
    pub name_ms: u64,
    pub connect_ms: u64,
    pub handshake_ms: u64,
}

impl Answer {
    pub fn total(&self) -> Duration {
        Duration::from_millis(self.name_ms + self.connect_ms + self.handshake_ms)
    }
}

impl std::fmt::Display for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// The endpoints of a site, in the order of its fields. Port 443 unless the site says another.
pub fn targets(site: &ResolvedSite) -> Vec<Target> {
    let fields = FIELDS.iter().filter(|f| f.onboarding && matches!(f.kind, Kind::Host | Kind::HostPort));
    fields.filter_map(|field| Some(target(field.id, &site.text(field.id)?, site))).collect()
}

/// The host names of a site's endpoints, each once.
pub fn hosts(site: &ResolvedSite) -> Vec<String> {
    let mut hosts: Vec<String> = targets(site).into_iter().map(|target| target.host).collect();
    let mut seen = std::collections::BTreeSet::new();
    hosts.retain(|host| seen.insert(host.clone()));
    hosts
}

fn target(id: Id, text: &str, site: &ResolvedSite) -> Target {
    let of_field = match id {
        Id::OnboardingManagerSvc | Id::OnboardingStreamSvc => site.text(Id::OnboardingPort),
        _ => None,
    };
    let default = of_field.and_then(|port| port.parse().ok()).unwrap_or(443);
    match text.rsplit_once(':').map(|(host, port)| (host, port.parse())) {
        Some((host, Ok(port))) => Target { id, host: host.to_owned(), port },
        _ => Target { id, host: text.to_owned(), port: default },
    }
}

/// Tries one endpoint: name, connection, handshake.
pub fn probe(target: &Target, way: &Way, trust: &Trust) -> Result<Answer> {
    let until = Instant::now() + WHOLE;
    let link = way.connect(&target.host, target.port, until)?;
    let began = Instant::now();
    tls::handshake(link.stream, &target.host, trust)?;
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    Ok(Answer {
        address: link.address.to_string(),
        proxy: link.proxy,
        name_ms: milliseconds(link.name),
        connect_ms: milliseconds(link.connect),
        handshake_ms: milliseconds(began.elapsed()),
    })
}

/// Tries all endpoints at the same time; the answers are in the order of the targets.
pub fn probe_all(targets: &[Target], way: &Way, trust: &Trust) -> Vec<Result<Answer>> {
    std::thread::scope(|scope| {
        let tries: Vec<_> =
            targets.iter().map(|target| scope.spawn(move || probe(target, way, trust))).collect();
        let lost = || Err(Problem::new("the program has made a mistake here"));
        tries.into_iter().map(|one| one.join().unwrap_or_else(|_| lost())).collect()
    })
}

#[cfg(test)]
mod tests;
