//! From a name to a connection: extra hosts, DNS, TCP, and the proxy's CONNECT.

use super::target::{self, Target};
use super::tls::{self, Shown, Trust};
use super::{Failure, Limits, Outcome, Phase};
use crate::site::{Id, ResolvedSite};
use hookos_guest::tunnel::{Proxy, Refusal};
use hyper::StatusCode;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// What a site's settings say of its network.
pub struct Net {
    hosts: Vec<(String, IpAddr)>,
    https_proxy: String,
    no_proxy: String,
    limits: Limits,
}

impl Net {
    pub fn new(site: &ResolvedSite, limits: Limits) -> Self {
        let mut hosts = Vec::new();
        for entry in site.list(Id::ExtraHosts) {
            let mut words = entry.split_whitespace();
            if let Some(Ok(address)) = words.next().map(str::parse) {
                hosts.extend(words.map(|name| (name.to_ascii_lowercase(), address)));
            }
        }
        let text = |id| site.text(id).unwrap_or_default();
        Self { hosts, https_proxy: text(Id::HttpsProxy), no_proxy: text(Id::NoProxy), limits }
    }

    fn extra(&self, host: &str) -> Vec<IpAddr> {
        let host = host.to_ascii_lowercase();
        self.hosts.iter().filter(|(name, _)| *name == host).map(|(_, address)| *address).collect()
    }
}

/// Bytes both ways: straight to the server, or through a proxy.
pub trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// One connection, with how far it came.
pub struct Attempt<'a> {
    net: &'a Net,
    target: &'a Target,
    until: Instant,
    proxy: Option<String>,
    address: Option<SocketAddr>,
    took: Vec<(Phase, Duration)>,
}

impl<'a> Attempt<'a> {
    pub fn new(net: &'a Net, target: &'a Target) -> Self {
        let until = Instant::now() + net.limits.whole;
        Self { net, target, until, proxy: None, address: None, took: Vec::new() }
    }

    pub fn end(self, failure: Option<Failure>) -> Outcome {
        Outcome { proxy: self.proxy, address: self.address, took: self.took, failure }
    }

    /// A connection to the server.
    pub async fn open(&mut self) -> Result<Box<dyn Stream>, Failure> {
        let (net, target) = (self.net, self.target);
        let proxy = target::proxy(&net.https_proxy, &net.no_proxy, target)?;
        self.proxy = proxy.as_ref().map(ToString::to_string);
        let (host, port) = match &proxy {
            Some(proxy) => (proxy.host.as_str(), proxy.port),
            None => (target.host.as_str(), target.port),
        };
        let of_proxy = proxy.is_some();
        let limit = net.limits.connect;
        let addresses =
            self.timed(Phase::Dns, limit, || no_name_server(host), net.look_up(host, port)).await?;
        let silent = || no_answer(&addresses, of_proxy);
        let stream = self.timed(Phase::Tcp, limit, silent, reach(&addresses, limit, of_proxy)).await?;
        self.address = stream.peer_addr().ok();
        let Some(proxy) = proxy else { return Ok(Box::new(stream)) };
        let silent = || {
            let why = format!("the proxy {proxy} took the connection and did not answer");
            Failure::new(Phase::Proxy, "the proxy is silent", why)
                .remedy("see that network.https_proxy names an HTTP proxy and its port")
        };
        let hint = !net.extra(&target.host).is_empty();
        self.timed(Phase::Proxy, net.limits.whole, silent, tunnel(stream, &proxy, target, hint)).await
    }

    /// The TLS handshake; gives what the server showed.
    pub async fn handshake(&mut self, stream: Box<dyn Stream>, trust: &Trust) -> Result<Shown, Failure> {
        let (target, whole) = (self.target, self.net.limits.whole);
        let silent = || {
            let why = format!("{target} took the connection and then said nothing");
            Failure::new(Phase::Tls, "no answer to TLS", why)
                .remedy("see that the port is right and that it speaks TLS")
        };
        self.timed(Phase::Tls, whole, silent, tls::handshake(stream, target, trust)).await
    }

    async fn timed<T>(
        &mut self,
        phase: Phase,
        limit: Duration,
        silent: impl FnOnce() -> Failure,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let begun = Instant::now();
        let limit = limit.min(self.until.saturating_duration_since(begun));
        let done = tokio::time::timeout(limit, work).await.unwrap_or_else(|_| Err(silent()));
        if done.is_ok() {
            self.took.push((phase, begun.elapsed()));
        }
        done
    }
}

impl Net {
    /// The addresses of a name, from the site's extra hosts before anybody else.
    async fn look_up(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses = self.extra(host);
        if let Ok(address) = host.parse() {
            addresses = vec![address];
        }
        if addresses.is_empty() {
            let found = tokio::net::lookup_host((host, port)).await.map_err(|e| unknown_name(host, &e))?;
            addresses = found.map(|address| address.ip()).collect();
            addresses.dedup();
        }
        if addresses.is_empty() {
            return Err(unknown_name(host, &io::Error::from(io::ErrorKind::NotFound)));
        }
        Ok(addresses.into_iter().map(|address| SocketAddr::new(address, port)).collect())
    }
}

fn no_name_server(host: &str) -> Failure {
    Failure::new(
        Phase::Dns,
        "DNS does not answer",
        format!("no name server answers when it is asked for {host}"),
    )
    .remedy("check this machine's DNS, or give the address in network.extra_hosts")
}

/// The resolver's error is known by its text alone: `Temporary failure in name resolution` means that
/// nobody answered (EAI_AGAIN of getaddrinfo(3)), everything else that nobody knows the name.
pub(super) fn unknown_name(host: &str, error: &io::Error) -> Failure {
    if error.to_string().contains("emporary failure") {
        return no_name_server(host);
    }
    Failure::new(Phase::Dns, "no such name", format!("the name {host} is not known to DNS"))
        .remedy("check the name, or give its address in network.extra_hosts")
}

/// The first address that takes a connection. None may use up the time of those after it.
async fn reach(addresses: &[SocketAddr], limit: Duration, of_proxy: bool) -> Result<TcpStream, Failure> {
    let each = limit / u32::try_from(addresses.len().max(1)).unwrap_or(u32::MAX);
    let mut failure = no_answer(addresses, of_proxy);
    for address in addresses {
        match tokio::time::timeout(each, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                return Ok(stream);
            }
            Ok(Err(e)) => failure = unreachable(*address, &e, of_proxy),
            Err(_) => failure = no_answer(&[*address], of_proxy),
        }
    }
    Err(failure)
}

fn no_answer(addresses: &[SocketAddr], of_proxy: bool) -> Failure {
    let all: Vec<String> = addresses.iter().map(ToString::to_string).collect();
    let of = if of_proxy { "the proxy at " } else { "" };
    let remedy = if of_proxy {
        "check network.https_proxy, and whether a firewall is in between"
    } else {
        "a firewall may be in between, or the site needs a proxy (network.https_proxy)"
    };
    Failure::new(Phase::Tcp, "no answer", format!("no answer from {of}{}", all.join(", "))).remedy(remedy)
}

fn unreachable(address: SocketAddr, error: &io::Error, of_proxy: bool) -> Failure {
    let of = if of_proxy { "the proxy at " } else { "" };
    let (brief, why, remedy) = match error.kind() {
        io::ErrorKind::ConnectionRefused => (
            "connection refused",
            format!("connection refused by {of}{address}"),
            "see that the service runs, and that host and port are right",
        ),
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => (
            "no route",
            format!("there is no way from this machine to {of}{address}"),
            "check this machine's network; the image may be in another one",
        ),
        io::ErrorKind::TimedOut => return no_answer(&[address], of_proxy),
        _ => {
            ("cannot connect", format!("{of}{address} cannot be connected to: {error}"), "check the network")
        }
    };
    Failure::new(Phase::Tcp, brief, why).remedy(remedy)
}

/// Asks the proxy for the way to the server.
async fn tunnel(
    stream: TcpStream,
    proxy: &Proxy,
    target: &Target,
    in_extra_hosts: bool,
) -> Result<Box<dyn Stream>, Failure> {
    match proxy.connect(stream, &target.to_string()).await {
        Ok(stream) => Ok(Box::new(stream)),
        Err(Refusal::Status(status)) => Err(refused(proxy, target, status, in_extra_hosts)),
        Err(Refusal::Broken(e)) => {
            let why = format!("{proxy} does not behave like a proxy: {e}");
            Err(Failure::new(Phase::Proxy, "not a proxy", why)
                .remedy("check that network.https_proxy names an HTTP proxy and its port"))
        }
    }
}

fn refused(proxy: &Proxy, target: &Target, status: StatusCode, in_extra_hosts: bool) -> Failure {
    let code = status.as_u16();
    let failure = Failure::new(
        Phase::Proxy,
        format!("the proxy answers {code}"),
        format!("the proxy {proxy} answered {status} when it was asked for {target}"),
    );
    failure.remedy(match (code, proxy.has_login()) {
        (407, false) => {
            "it wants a user name and password: give them with HOOKOS_HTTPS_PROXY in the environment"
                .to_owned()
        }
        (407, true) => "it does not take this user name and password".to_owned(),
        _ if in_extra_hosts => format!(
            "a proxy looks names up by itself and knows no extra_hosts: {} may belong into network.no_proxy",
            target.host
        ),
        _ => format!("if {} is reached without the proxy, add it to network.no_proxy", target.host),
    })
}
