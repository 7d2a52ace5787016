//! The site's proxy. Caddy 2.6 reads `https_proxy` and then connects past it, so for an upstream behind
//! the proxy Caddy is given a Unix socket of ours, and its TLS goes through that and a CONNECT
//! to the upstream.

use crate::NAME;
use crate::endpoint;
use crate::site::Upstream;
use hookos_guest::notice;
use hookos_guest::tunnel::Proxy;
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
    proxy: Proxy,
    target: String,
}

impl Tunnel {
    /// The tunnel to `upstream`, if it lies behind the proxy. The error is a sentence without the value,
    /// which may hold a password.
    pub fn to(upstream: &Upstream, https_proxy: &str, no_proxy: &str) -> Result<Option<Self>, String> {
        let proxy = Proxy::to(&upstream.host, upstream.port, https_proxy, no_proxy).map_err(
            |_| "https_proxy is not of the form http://HOST:PORT, as a proxy for this image must be",
        )?;
        let target = format!("{}:{}", upstream.host, upstream.port);
        Ok(proxy.map(|proxy| Self { proxy, target }))
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
                            let what =
                                format!("no way to {} by the proxy {}: {e}", tunnel.target, tunnel.proxy);
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
        let mut upstream = opened.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        // How a connection ends is known to both of its ends.
        let _ = tokio::io::copy_bidirectional(&mut caddy, &mut upstream).await;
        Ok(())
    }

    async fn connect(&self) -> io::Result<TokioIo<hyper::upgrade::Upgraded>> {
        let stream = TcpStream::connect((self.proxy.host.as_str(), self.proxy.port)).await?;
        stream.set_nodelay(true)?;
        self.proxy.connect(stream, &self.target).await.map_err(|e| io::Error::other(e.to_string()))
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
