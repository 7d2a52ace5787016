//! The control socket against clients of all kinds: polite, broken, slow, gone, too many.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use hookos_init::control::Control;
use hookos_init::protocol::{Answer, LONGEST, Request};

/// A control socket served by a thread, which answers every request with its own words as an error.
struct Server {
    dir: tempfile::TempDir,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut control = Control::open(&dir.path().join("sub/init.sock")).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                control.turn(|request| match request {
                    Request::List => Answer::default(),
                    other => Answer { error: Some(format!("{other:?}")), units: Vec::new() },
                });
                assert!(control.interests().count() <= 17, "connections are bounded");
                std::thread::sleep(Duration::from_millis(1));
            }
        });
        Self { dir, stop, thread: Some(thread) }
    }

    fn path(&self) -> PathBuf {
        self.dir.path().join("sub/init.sock")
    }

    fn connect(&self) -> UnixStream {
        let stream = UnixStream::connect(self.path()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let result = thread.join();
            assert!(std::thread::panicking() || result.is_ok());
        }
    }
}

fn ask(mut stream: UnixStream, bytes: &[u8]) -> Answer {
    stream.write_all(bytes).unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).unwrap();
    serde_json::from_str(&line).unwrap()
}

#[test]
fn only_the_owner_may_connect() {
    let server = Server::start();
    let mode = std::fs::metadata(server.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn requests_are_answered_and_nonsense_is_named() {
    let server = Server::start();
    assert_eq!(ask(server.connect(), b"{\"command\":\"list\"}\n"), Answer::default());
    let stop = ask(server.connect(), b"{\"command\":\"stop\",\"name\":\"ntp\"}\n");
    assert!(stop.error.unwrap().contains("ntp"));
    for bad in [&b"\n"[..], b"{}\n", b"\xff\xfe\n", b"[1,2]\n", b"{\"command\":\"list\n"] {
        assert!(ask(server.connect(), bad).error.unwrap().contains("not a request"));
    }
}

#[test]
fn a_request_without_end_is_cut_off() {
    let server = Server::start();
    let mut stream = server.connect();
    // The server hangs up once it has read too much, so a late part of this may fail.
    let _ = stream.write_all(&vec![b'x'; LONGEST * 4]);
    let mut rest = Vec::new();
    let ended = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{ended:?}");
}

#[test]
fn slow_silent_and_vanished_clients_keep_nobody_waiting() {
    let server = Server::start();
    let silent: Vec<UnixStream> = (0..8).map(|_| server.connect()).collect();
    for _ in 0..50 {
        drop(server.connect());
    }
    let mut slow = server.connect();
    for byte in b"{\"command\":\"li" {
        slow.write_all(&[*byte]).unwrap();
        std::thread::sleep(Duration::from_millis(2));
    }
    assert_eq!(ask(server.connect(), b"{\"command\":\"list\"}\n"), Answer::default());
    assert_eq!(ask(slow, b"st\"}\n"), Answer::default());
    drop(silent);
}

#[test]
fn clients_beyond_the_bound_are_served_later() {
    let server = Server::start();
    let first: Vec<UnixStream> = (0..16).map(|_| server.connect()).collect();
    std::thread::sleep(Duration::from_millis(50));
    let late = server.connect();
    let waiting = std::thread::spawn(move || ask(late, b"{\"command\":\"list\"}\n"));
    std::thread::sleep(Duration::from_millis(50));
    drop(first);
    assert_eq!(waiting.join().unwrap(), Answer::default());
}

#[test]
fn a_socket_left_by_an_earlier_run_is_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path: &Path = &dir.path().join("init.sock");
    drop(Control::open(path).unwrap());
    assert!(path.exists());
    Control::open(path).unwrap();
}
