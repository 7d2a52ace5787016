//! How a connection to a host is made: its name, a proxy between, a time limit for all of it.

use super::CONNECT;
use crate::problem::{Problem, Result};
use crate::site::{Id, ResolvedSite};
use http::Uri;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use std::collections::BTreeMap;
use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream, ToSocketAddrs as _};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The most that a proxy may say before the connection is ours.
const PROXY_ANSWER: usize = 16 * 1024;

/// What a site says of the way to its endpoints.
pub struct Way {
    hosts: BTreeMap<String, IpAddr>,
    proxies: Matcher,
}

/// A connection, and how it came about.
pub struct Link {
    pub stream: TcpStream,
    pub address: SocketAddr,
    /// `host:port` of the proxy.
    pub proxy: Option<String>,
    pub name: Duration,
    pub connect: Duration,
}

impl Way {
    /// The site's extra hosts and proxies; the variables of this machine's environment say nothing.
    pub fn of(site: &ResolvedSite) -> Self {
        let mut hosts = BTreeMap::new();
        for entry in site.list(Id::ExtraHosts) {
            let mut words = entry.split_whitespace();
            let Some(address) = words.next().and_then(|word| word.parse().ok()) else { continue };
            hosts.extend(words.map(|name| (name.to_lowercase(), address)));
        }
        let text = |id| site.text(id).unwrap_or_default();
        let proxies = Matcher::builder().https(text(Id::HttpsProxy)).no(text(Id::NoProxy)).build();
        Self { hosts, proxies }
    }

    /// Connects, through the proxy if there is one for this host.
    pub fn connect(&self, host: &str, port: u16, until: Instant) -> Result<Link> {
        let uri: Uri = format!("https://{host}:{port}/")
            .parse()
            .map_err(|e| Problem::usage(format!("{host} is not a host name")).because(e))?;
        match self.proxies.intercept(&uri) {
            None => self.direct(host, port, until),
            Some(proxy) => self.through(&proxy, host, port, until),
        }
    }

    fn direct(&self, host: &str, port: u16, until: Instant) -> Result<Link> {
        let began = Instant::now();
        let addresses = self.resolve(host, port, until)?;
        let name = began.elapsed();
        let began = Instant::now();
        let mut last = None;
        for address in addresses {
            match TcpStream::connect_timeout(&address, limit(until)) {
                Ok(stream) => {
                    patience(&stream, until);
                    return Ok(Link { stream, address, proxy: None, name, connect: began.elapsed() });
                }
                Err(e) => last = Some((address, e)),
            }
        }
        Err(match last {
            Some((address, e)) => refused(&address, &e),
            None => unknown(host),
        })
    }

    /// The addresses of a name: those of the site's extra hosts, else what the name server says. Looking
    /// up cannot be stopped, so it is left behind when it takes too long.
    fn resolve(&self, host: &str, port: u16, until: Instant) -> Result<Vec<SocketAddr>> {
        if let Some(address) = self.hosts.get(&host.to_lowercase()) {
            return Ok(vec![SocketAddr::new(*address, port)]);
        }
        let (sender, receiver) = mpsc::channel();
        let name = host.to_owned();
        std::thread::Builder::new()
            .name("name".to_owned())
            .spawn(move || {
                let found = (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
                let _ = sender.send(found);
            })
            .map_err(|e| Problem::new("cannot start a thread").because(e))?;
        let found: io::Result<Vec<SocketAddr>> = receiver.recv_timeout(limit(until)).map_err(|_| {
            Problem::new(format!("the name server does not answer about {host}"))
                .remedy("check this machine's network, or give the address as an extra host")
        })?;
        match found {
            Ok(addresses) if !addresses.is_empty() => Ok(addresses),
            Ok(_) => Err(unknown(host)),
            Err(e) => Err(unknown(host).because(e)),
        }
    }

    fn through(&self, proxy: &Intercept, host: &str, port: u16, until: Instant) -> Result<Link> {
        let uri = proxy.uri();
        let scheme = uri.scheme_str().unwrap_or("http");
        let name = uri.host().unwrap_or_default().trim_matches(['[', ']']);
        if scheme != "http" {
            return Err(Problem::new(format!("a {scheme} proxy cannot be tried from here: {name}"))
                .remedy("try the connection with another program, or skip the test"));
        }
        let at = uri.port_u16().unwrap_or(80);
        let shown = format!("{name}:{at}");
        let mut link = self
            .direct(name, at, until)
            .map_err(|p| p.while_doing(format!("the proxy {shown} cannot be reached")))?;
        let began = Instant::now();
        let mut request = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}:{port}\r\n");
        if let Some(value) = proxy.basic_auth().and_then(|value| value.to_str().ok()) {
            request.push_str(&format!("Proxy-Authorization: {value}\r\n"));
        }
        request.push_str("\r\n");
        let lost = |e: io::Error| Problem::new(format!("the proxy {shown} does not answer")).because(e);
        link.stream.write_all(request.as_bytes()).map_err(lost)?;
        let status = status(&mut link.stream).map_err(lost)?;
        let code = status.split_whitespace().nth(1).unwrap_or_default();
        if code != "200" {
            let said = status.split_once(' ').map_or(status.as_str(), |(_, rest)| rest);
            let problem =
                Problem::new(format!("the proxy {shown} does not let {host}:{port} through: {said}"));
            return Err(problem.remedy(match code {
                "407" => {
                    "the proxy wants a user name and password: give them in the environment, as in \
                          HOOKOS_HTTPS_PROXY=http://user:password@host:port"
                }
                "502" | "503" | "504" => {
                    "the proxy cannot reach it: ask who runs the proxy, or add it to no_proxy"
                }
                _ => "ask who runs the proxy to allow it, or add the host to no_proxy",
            }));
        }
        link.connect += began.elapsed();
        Ok(Link { proxy: Some(shown), ..link })
    }
}

/// The status line of an answer; all of its head is taken, and nothing behind it.
fn status(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > PROXY_ANSWER {
            return Err(io::Error::other("its answer has no end"));
        }
        stream.read_exact(&mut byte)?;
        head.push(byte[0]);
    }
    let text = String::from_utf8_lossy(&head);
    Ok(text.lines().next().unwrap_or_default().trim().to_owned())
}

/// What is left of the time, at most as much as one connection may take.
fn limit(until: Instant) -> Duration {
    // Zero would mean no limit.
    until.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), CONNECT)
}

/// A server that says nothing is waited for no longer than that.
fn patience(stream: &TcpStream, until: Instant) {
    let left = Some(limit(until));
    // Without the limit the handshake still ends when the server closes.
    let _ = stream.set_read_timeout(left).and_then(|()| stream.set_write_timeout(left));
}

fn unknown(host: &str) -> Problem {
    Problem::new(format!("no such name: {host}"))
        .remedy("check its spelling and this machine's name server, or give the address as an extra host")
}

fn refused(address: &SocketAddr, error: &io::Error) -> Problem {
    let problem = match error.kind() {
        io::ErrorKind::ConnectionRefused => Problem::new(format!("nobody listens at {address}"))
            .remedy("check the port, and that the service runs"),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => {
            Problem::new(format!("{address} does not answer"))
                .remedy("check the route and firewalls; a site with a proxy must name it")
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => {
            Problem::new(format!("there is no way to {address}")).remedy("check this machine's network")
        }
        _ => Problem::new(format!("no connection to {address}")),
    };
    problem.because(io::Error::new(error.kind(), error.to_string()))
}
