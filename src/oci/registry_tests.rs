use super::*;
use crate::progress::{Silent, Unit};
use crate::store::Digest;
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

/// What the server does wrong with a path, one item for each request; then it answers rightly.
#[derive(Clone, Copy)]
enum Fault {
    Status(u16),
    /// Half of the body, then the connection ends.
    Cut,
    /// The right length, other bytes.
    Damaged,
}

/// A registry with one image, on loopback, over plain HTTP.
struct Server {
    host: String,
    faults: Arc<Mutex<HashMap<String, Vec<Fault>>>>,
    requests: Arc<AtomicUsize>,
    layer: String,
}

impl Server {
    fn start() -> Self {
        let plain: Vec<u8> = (0..200_000u32).flat_map(u32::to_le_bytes).collect();
        let layer = zstd::encode_all(plain.as_slice(), 1).unwrap();
        let describe = |bytes: &[u8], media_type: &str| serde_json::json!({"mediaType": media_type, "digest": Digest::of(bytes).to_string(), "size": bytes.len()});
        let config = serde_json::json!({"architecture": "amd64", "os": "linux",
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(&plain).to_string()]}});
        let config = config.to_string().into_bytes();
        let manifest = serde_json::json!({"schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": describe(&config, "application/vnd.oci.image.config.v1+json"),
            "layers": [describe(&layer, "application/vnd.oci.image.layer.v1.tar+zstd")]});
        let layer_path = format!("/v2/a/b/blobs/{}", Digest::of(&layer));
        let bodies = HashMap::from([
            ("/v2/".to_owned(), Vec::new()),
            ("/v2/a/b/manifests/latest".to_owned(), manifest.to_string().into_bytes()),
            (format!("/v2/a/b/blobs/{}", Digest::of(&config)), config),
            (layer_path.clone(), layer),
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let faults: Arc<Mutex<HashMap<String, Vec<Fault>>>> = Arc::default();
        let requests: Arc<AtomicUsize> = Arc::default();
        let (planned, counted) = (Arc::clone(&faults), Arc::clone(&requests));
        std::thread::spawn(move || {
            for connection in listener.incoming() {
                let connection = connection.unwrap();
                let _ = answer(connection, &bodies, &planned, &counted);
            }
        });
        Self { host, faults, requests, layer: layer_path }
    }

    fn fail(&self, path: &str, faults: &[Fault]) {
        self.faults.lock().unwrap().insert(path.to_owned(), faults.to_vec());
    }

    fn options(&self) -> Options {
        Options { insecure: vec![self.host.clone()], ..Options::default() }
    }

    fn reference(&self) -> String {
        format!("{}/a/b", self.host)
    }
}

fn answer(
    connection: TcpStream,
    bodies: &HashMap<String, Vec<u8>>,
    faults: &Mutex<HashMap<String, Vec<Fault>>>,
    requests: &AtomicUsize,
) -> io::Result<()> {
    let mut reader = BufReader::new(connection.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    if path != "/v2/" {
        requests.fetch_add(1, Ordering::SeqCst);
    }
    let fault = {
        let mut faults = faults.lock().unwrap();
        faults.get_mut(path).filter(|f| !f.is_empty()).map(|f| f.remove(0))
    };
    let mut out = &connection;
    let (status, body) = match (fault, bodies.get(path)) {
        (Some(Fault::Status(status)), _) => (status, &Vec::new()),
        (_, Some(body)) => (200, body),
        (_, None) => (404, &Vec::new()),
    };
    write!(out, "HTTP/1.1 {status} x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    match fault {
        Some(Fault::Cut) => out.write_all(&body[..body.len() / 2]),
        Some(Fault::Damaged) => out.write_all(&vec![b'x'; body.len()]),
        _ => out.write_all(body),
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

const MANIFEST: &str = "/v2/a/b/manifests/latest";

#[test]
fn transient_failures_are_tried_again_and_a_pulled_reference_is_not_asked_for() {
    struct Count(AtomicU64);
    impl Progress for Count {
        fn at(&self, done: u64, total: u64, unit: Unit) {
            assert!(done <= total && unit == Unit::Bytes);
            self.0.fetch_max(done, Ordering::SeqCst);
        }
        fn log(&self, line: &str) {
            assert!(line.starts_with("attempt"), "{line}");
        }
        fn cancelled(&self) -> bool {
            false
        }
    }
    let server = Server::start();
    let (_folder, store) = store();
    server.fail(MANIFEST, &[Fault::Status(503), Fault::Status(429), Fault::Cut]);
    server.fail(&server.layer, &[Fault::Cut, Fault::Damaged]);
    let progress = Count(AtomicU64::new(0));
    let image = pull(&store, &server.reference(), &server.options(), &progress).unwrap();
    assert_eq!(store.read(&image.layers[0]).unwrap().len(), 800_000);
    assert!(progress.0.load(Ordering::SeqCst) > 0);
    let asked = server.requests.load(Ordering::SeqCst);
    assert_eq!(asked, 4 + 1 + 3);

    assert_eq!(pull(&store, &server.reference(), &server.options(), &Silent).unwrap(), image);
    assert_eq!(server.requests.load(Ordering::SeqCst), asked, "known references need no registry");
    let refresh = Options { refresh: true, ..server.options() };
    assert_eq!(pull(&store, &server.reference(), &refresh, &Silent).unwrap(), image);
    assert_eq!(server.requests.load(Ordering::SeqCst), asked + 2, "the layer is known");

    std::fs::remove_file(store.path(&image.layers[0])).unwrap();
    assert_eq!(pull(&store, &server.reference(), &server.options(), &Silent).unwrap(), image);
    assert!(store.has(&image.layers[0]), "a lost layer comes again");
}

#[test]
fn final_failures_name_the_reference_and_the_host_and_are_not_repeated() {
    let server = Server::start();
    let (_folder, store) = store();
    let options = server.options();
    server.fail(MANIFEST, &[Fault::Status(401)]);
    for (reference, options, why) in [
        (server.reference(), &options, "wants a login"),
        (format!("{}/other:v1", server.host), &options, "status 404"),
        // Spoken to with TLS, which it does not speak.
        (server.reference(), &Options::default(), "error sending request"),
    ] {
        let before = server.requests.load(Ordering::SeqCst);
        let error = pull(&store, &reference, options, &Silent).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains(&reference) && error.contains(&server.host), "{error}");
        assert!(error.contains("needs a registry that can be reached"), "{error}");
        assert!(server.requests.load(Ordering::SeqCst) <= before + 1, "{reference}");
    }
    assert!(pull(&store, "UPPER/case", &options, &Silent).unwrap_err().to_string().contains("UPPER/case"));
}

#[test]
fn a_pull_that_is_cancelled_ends_soon() {
    struct Stop;
    impl Progress for Stop {
        fn at(&self, _: u64, _: u64, _: Unit) {}
        fn log(&self, _: &str) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    // It takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (_folder, store) = store();
    let options = Options { insecure: vec![host.clone()], ..Options::default() };
    let started = std::time::Instant::now();
    let result = pull(&store, &format!("{host}/x"), &options, &Stop);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}
