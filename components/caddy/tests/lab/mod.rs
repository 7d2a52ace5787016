//! A machine's folders with Caddy running over them, and a client.
// Each test file is a crate of its own and uses its own part of this.
#![allow(dead_code)]

pub mod upstream;

use hookos_caddy::service::{Machine, run};
use hookos_onboarding::files::{File, Files};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::io;
use std::net::TcpListener as Probe;
use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub const ACCESS: &str = "access-token-that-nobody-may-see";
pub const RELEASE: &str = "release-token-that-nobody-may-see";
pub const PROJECT: &str = "project-7";
pub const GUID: &str = "4c4c4544-0031-3510-8052-b4c04f4d3732";

/// What Caddy logged so far.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

pub struct Lab {
    pub files: Files,
    pub log: Log,
    pub offset: u16,
    pub service: JoinHandle<io::Result<()>>,
    stop: Option<oneshot::Sender<()>>,
    folder: tempfile::TempDir,
}

impl Lab {
    /// Starts Caddy with these settings and waits until it listens.
    pub async fn start(env_config: &str, ca: &str, patience: Duration) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("tokens")).unwrap();
        std::fs::write(at("cmdline"), "quiet DEBUG=true\n").unwrap();
        std::fs::write(at("env_config"), env_config).unwrap();
        std::fs::write(at("ca.pem"), ca).unwrap();
        std::fs::write(at("uuid"), format!("{GUID}\n")).unwrap();
        let machine = Machine {
            caddy: caddy(),
            cmdline: at("cmdline"),
            env_config: at("env_config"),
            ca: at("ca.pem"),
            product_uuid: at("uuid"),
            tokens: at("tokens"),
            run: at("run"),
            patience,
            offset: free_offset(),
        };
        let (stop, stopped) = oneshot::channel::<()>();
        let log = Log::default();
        let (offset, files) = (machine.offset, Files::at(at("tokens")));
        let service = tokio::spawn({
            let log = log.clone();
            async move { run(&machine, log, async move { drop(stopped.await) }).await }
        });
        let lab = Self { files, log, offset, service, stop: Some(stop), folder };
        let started = Instant::now();
        while TcpStream::connect(("127.0.0.1", 24224 + lab.offset)).await.is_err() {
            assert!(!lab.service.is_finished(), "Caddy ended: {}", lab.log.text());
            assert!(started.elapsed() < Duration::from_secs(30), "Caddy does not listen: {}", lab.log.text());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        lab
    }

    pub fn tokens_come(&self) {
        self.files.write(File::AccessToken, ACCESS).unwrap();
        self.files.write(File::ReleaseToken, RELEASE).unwrap();
        self.files.write(File::ProjectId, PROJECT).unwrap();
    }

    pub fn run_folder(&self) -> &Path {
        self.folder.path()
    }

    pub async fn get(&self, port: u16, path: &str) -> (StatusCode, Response<()>, Bytes) {
        self.ask(port, Request::get(path).body(Full::default()).unwrap()).await
    }

    /// One request over HTTP/1.1; `Host` is set.
    pub async fn ask(
        &self,
        port: u16,
        mut request: Request<Full<Bytes>>,
    ) -> (StatusCode, Response<()>, Bytes) {
        let stream = TcpStream::connect(("127.0.0.1", port + self.offset)).await.unwrap();
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        request.headers_mut().insert("host", format!("localhost:{port}").parse().unwrap());
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status, Response::from_parts(head, ()), bytes)
    }

    /// A connection that speaks HTTP/2 from its first byte, as gRPC clients do.
    pub async fn h2c<B>(&self, port: u16) -> http2::SendRequest<B>
    where
        B: hyper::body::Body<Data = Bytes> + Send + Unpin + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let stream = TcpStream::connect(("127.0.0.1", port + self.offset)).await.unwrap();
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream));
        let (sender, connection) = handshake.await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        sender
    }

    /// Asks the service to end.
    pub async fn stop(mut self) -> (io::Result<()>, String) {
        drop(self.stop.take());
        let done = tokio::time::timeout(Duration::from_secs(10), &mut self.service).await;
        (done.unwrap().unwrap(), self.log.text())
    }
}

pub fn header<'a>(response: &'a Response<()>, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

fn caddy() -> std::path::PathBuf {
    let found = ["/usr/bin/caddy", "/usr/local/bin/caddy"].into_iter().find(|path| Path::new(path).exists());
    found.expect("these tests run Debian's Caddy: apt-get install caddy").into()
}

/// Ports that nobody listens on; each test has its own.
fn free_offset() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = u16::try_from(std::process::id() % 1000).unwrap() * 16;
    loop {
        let offset = 1000 + start + NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(offset < 23000, "no free ports");
        if [80, 7443, 24224, 42113].iter().all(|port| Probe::bind(("127.0.0.1", port + offset)).is_ok()) {
            return offset;
        }
    }
}
