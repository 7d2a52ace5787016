//! Connection tests: whether the orchestrator's endpoints can be reached, and trusted, with a site's
//! settings.
//!
//! A test walks the way that the image's programs walk, from this machine: `extra_hosts` before DNS, the
//! site's HTTPS proxy unless `no_proxy` names the server, and a TLS handshake that trusts `ca.pem` and
//! nothing else. What it cannot know is the image's own network: names are looked up by this machine.
//!
//! | to learn | read |
//! |---|---|
//! | which servers a site has, and by which way each is reached | [`target`] |
//! | names, sockets and the proxy | [`connect`] |
//! | the handshake and why it fails | [`tls`] |
//! | reading a server's certificates to take its authority | [`chain`] |

pub mod chain;
pub mod connect;
pub mod target;
pub mod tls;

use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::site::certificates::{Bundle, date};
use crate::site::{Field, Id, ResolvedSite};
use connect::Attempt;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use serde::Serialize;
use std::net::SocketAddr;
use std::time::Duration;
use target::Target;
use tls::Trust;

/// One step of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// From a name to addresses: the server's, or the proxy's where one is used.
    Dns,
    /// The connection to that address.
    Tcp,
    /// The proxy's answer to CONNECT.
    Proxy,
    /// The handshake, with every check of the certificate.
    Tls,
}

impl Phase {
    pub fn name(self) -> &'static str {
        match self {
            Self::Dns => "dns",
            Self::Tcp => "tcp",
            Self::Proxy => "proxy",
            Self::Tls => "tls",
        }
    }
}

/// Why a server cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The step that failed.
    pub phase: Phase,
    /// A few words, for a line that has little room.
    pub brief: String,
    /// A sentence without its full stop.
    pub why: String,
    pub remedy: Option<String>,
}

impl Failure {
    fn new(phase: Phase, brief: impl Into<String>, why: impl Into<String>) -> Self {
        Self { phase, brief: brief.into(), why: why.into(), remedy: None }
    }

    fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }
}

/// What a server did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The proxy on the way, as `HOST:PORT`.
    pub proxy: Option<String>,
    /// Who was connected to: the server, or the proxy.
    pub address: Option<SocketAddr>,
    /// How long each step took that went well.
    pub took: Vec<(Phase, Duration)>,
    pub failure: Option<Failure>,
}

impl Outcome {
    /// How long all steps took, and each, in milliseconds: `34 ms: dns 2, tcp 10, tls 22`.
    pub fn times(&self) -> String {
        let total: Duration = self.took.iter().map(|(_, took)| *took).sum();
        let each = |(phase, took): &(Phase, Duration)| format!("{} {}", phase.name(), took.as_millis());
        let steps: Vec<String> = self.took.iter().map(each).collect();
        format!("{} ms: {}", total.as_millis(), steps.join(", "))
    }

    /// The times, or the failure in a few words.
    pub fn brief(&self) -> String {
        match &self.failure {
            Some(failure) => failure.brief.clone(),
            None => self.times(),
        }
    }
}

/// The outcome for one endpoint of a site.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The field that names the server.
    pub id: Id,
    /// The field's key, or what else the server is for.
    pub label: String,
    /// `HOST:PORT`.
    pub target: String,
    pub outcome: Outcome,
}

/// How long a test may take.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// To find the name, and again to connect.
    pub connect: Duration,
    /// From the beginning to the end of the handshake.
    pub whole: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), whole: Duration::from_secs(10) }
    }
}

/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a field names a server that can be tested.
pub fn is_endpoint(field: &Field) -> bool {
    use crate::site::{Kind, Section};
    field.section == Section::Endpoints
        && matches!(field.kind, Kind::Host | Kind::HostPort)
        && field.id != Id::ClusterDomain
}

/// The endpoints that this site has.
pub fn endpoints(site: &ResolvedSite) -> Vec<Id> {
    site.iter()
        .filter(|(field, r)| is_endpoint(field) && r.value.is_some())
        .map(|(field, _)| field.id)
        .collect()
}

/// The host names of a site's endpoints, each once.
pub fn hosts(site: &ResolvedSite) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for target in endpoints(site).into_iter().flat_map(|id| target::of_field(site, id)) {
        if !hosts.contains(&target.host) {
            hosts.push(target.host);
        }
    }
    hosts
}

/// Tests endpoints, all at the same time; answers are in the order of `ids`. `ca` is what the image would
/// trust, or why it has nothing to trust; then all but the certificates is tested.
///
/// None if it was cancelled.
pub fn test(
    site: &ResolvedSite,
    ids: &[Id],
    ca: &Result<Bundle>,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Option<Vec<Answer>>> {
    let targets: Vec<Target> = ids.iter().flat_map(|id| target::of_field(site, *id)).collect();
    // Fields often name the same server, which is asked once.
    let mut servers: Vec<&Target> = Vec::new();
    for target in &targets {
        if !servers.iter().any(|known| known.same_server(target)) {
            servers.push(target);
        }
    }
    let net = connect::Net::new(site, limits);
    let trust = Trust::new(ca.as_ref(), &site.name);
    let total = servers.len() as u64;
    let outcomes = wait(progress, async {
        let all = servers.iter().enumerate().map(|(i, target)| {
            let (net, trust) = (&net, &trust);
            async move { (i, one(net, target, trust).await) }
        });
        let mut running: FuturesUnordered<_> = all.collect();
        let mut done = Vec::new();
        progress.at(0, total, Unit::Items);
        while let Some(outcome) = running.next().await {
            done.push(outcome);
            progress.at(done.len() as u64, total, Unit::Items);
        }
        done
    })?;
    let Some(outcomes) = outcomes else { return Ok(None) };
    let outcome = |target: &Target| {
        let at = servers.iter().position(|server| server.same_server(target))?;
        outcomes.iter().find(|(i, _)| *i == at).map(|(_, outcome)| outcome.clone())
    };
    let answers = targets.iter().filter_map(|target| {
        Some(Answer {
            id: target.id,
            label: target.label.clone(),
            target: target.to_string(),
            outcome: outcome(target)?,
        })
    });
    Ok(Some(answers.collect()))
}

async fn one(net: &connect::Net, target: &Target, trust: &Trust) -> Outcome {
    let mut attempt = Attempt::new(net, target);
    let result = match attempt.open().await {
        Ok(stream) => attempt.handshake(stream, trust).await.map(drop),
        Err(failure) => Err(failure),
    };
    attempt.end(result.err())
}

/// Waits for a future on this thread; none if the work was cancelled meanwhile.
fn wait<T>(progress: &dyn Progress, future: impl Future<Output = T>) -> Result<Option<T>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Problem::new("cannot prepare for network connections").because(e))?;
    let done = runtime.block_on(async {
        let mut future = std::pin::pin!(future);
        loop {
            match tokio::time::timeout(LOOK, &mut future).await {
                Ok(done) => return Some(done),
                Err(_) if progress.cancelled() => return None,
                Err(_) => {}
            }
        }
    });
    // A resolver that waits for its name server must not hold up the end.
    runtime.shutdown_background();
    Ok(done)
}

/// What a person should know of the test itself.
pub fn notes(site: &ResolvedSite) -> Vec<String> {
    let mut notes = Vec::new();
    let servers = site.list(Id::Nameservers);
    let own = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let own: Vec<&str> =
        own.lines().filter_map(|line| line.trim().strip_prefix("nameserver")).map(str::trim).collect();
    if !servers.is_empty() && servers.iter().ne(own.iter()) {
        notes.push(format!(
            "Names were looked up by this machine's resolver; the image asks {} (network.nameservers).",
            servers.join(", ")
        ));
    }
    let unset: Vec<&str> =
        site.iter().filter(|(f, r)| is_endpoint(f) && r.value.is_none()).map(|(f, _)| f.key).collect();
    if !unset.is_empty() {
        notes.push(format!("Not set, so not tested: {}.", unset.join(", ")));
    }
    notes
}

/// A day for people.
fn day(time: rustls_pki_types::UnixTime) -> String {
    date(i64::try_from(time.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests;
