use super::*;
use crate::oci::registries::{Registry, Tls};
use crate::oci::repository::Repository;
use crate::oci::stand_in::{self, Answer};
use crate::progress::{Silent, Stopped, Unit};
use crate::store::Digest;
use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the server does wrong with a path, one item for each request; then it answers rightly.
#[derive(Clone, Copy)]
enum Fault {
    Status(u16),
    /// Half of the body, then the connection ends.
    Cut,
    /// The right length, other bytes.
    Damaged,
}

type Faults = Arc<Mutex<HashMap<String, Vec<Fault>>>>;

/// A registry with one image, over plain HTTP.
struct Server {
    inner: stand_in::Server,
    faults: Faults,
    layer: String,
    manifest: Vec<u8>,
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
        let manifest = manifest.to_string().into_bytes();
        let mut index = describe(&manifest, "application/vnd.oci.image.manifest.v1+json");
        index["platform"] = serde_json::json!({"os": "linux", "architecture": "amd64"});
        let index = serde_json::json!({"schemaVersion": 2, "manifests": [index]}).to_string().into_bytes();
        let layer_path = format!("/v2/a/b/blobs/{}", Digest::of(&layer));
        let bodies = HashMap::from([
            (format!("/v2/a/b/manifests/{}", Digest::of(&manifest)), manifest.clone()),
            (format!("/v2/a/b/manifests/{}", Digest::of(&index)), index.clone()),
            ("/v2/a/b/manifests/latest".to_owned(), manifest.clone()),
            ("/v2/a/b/manifests/all".to_owned(), index),
            ("/v2/a/b/tags/list".to_owned(), br#"{"name": "a/b", "tags": ["5.10.1-x", "latest"]}"#.to_vec()),
            ("/v2/a/none/tags/list".to_owned(), br#"{"name": "a/none", "tags": null}"#.to_vec()),
            (format!("/v2/a/b/blobs/{}", Digest::of(&config)), config),
            (layer_path.clone(), layer),
        ]);
        let faults: Faults = Arc::default();
        let planned = Arc::clone(&faults);
        let inner = stand_in::Server::start(move |request| {
            let fault = {
                let mut faults = planned.lock().unwrap();
                faults.get_mut(&request.path).filter(|f| !f.is_empty()).map(|f| f.remove(0))
            };
            let Some(body) = bodies.get(&request.path) else { return Some(Answer::status(404)) };
            Some(match fault {
                Some(Fault::Status(status)) => Answer::status(status),
                Some(Fault::Cut) => Answer { until: Some(body.len() / 2), ..Answer::body(body.clone()) },
                Some(Fault::Damaged) => Answer::body(vec![b'x'; body.len()]),
                None => Answer::body(body.clone()),
            })
        });
        Self { inner, faults, layer: layer_path, manifest }
    }

    fn host(&self) -> &str {
        &self.inner.host
    }

    fn fail(&self, path: &str, faults: &[Fault]) {
        self.faults.lock().unwrap().insert(path.to_owned(), faults.to_vec());
    }

    fn asked(&self) -> usize {
        self.inner.seen().len()
    }

    fn asked_for_layer(&self) -> usize {
        self.inner.seen().iter().filter(|request| request.path == self.layer).count()
    }

    fn options(&self) -> Options {
        Options { insecure: vec![self.host().to_owned()], ..Options::default() }
    }

    fn reference(&self) -> String {
        format!("{}/a/b", self.host())
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

const MANIFEST: &str = "/v2/a/b/manifests/latest";

#[test]
fn a_repository_tells_its_tags() {
    let server = Server::start();
    let tags = |reference: &str| Repository::open(reference, &server.options(), &Silent).unwrap().tags();
    assert_eq!(tags(&server.reference()).unwrap(), ["5.10.1-x", "latest"]);
    for empty in ["none", "absent"] {
        assert_eq!(tags(&format!("{}/a/{empty}", server.host())).unwrap(), [] as [String; 0]);
    }
    server.fail("/v2/a/b/tags/list", &[Fault::Status(403)]);
    assert!(tags(&server.reference()).is_err(), "a refusal is no empty list");
}

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
        fn warn(&self, text: &str) {
            panic!("{text}");
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
    let asked = server.asked();
    assert_eq!(asked, 4 + 1 + 3);

    assert_eq!(pull(&store, &server.reference(), &server.options(), &Silent).unwrap(), image);
    assert_eq!(server.asked(), asked, "known references need no registry");
    let refresh = Options { refresh: true, ..server.options() };
    assert_eq!(pull(&store, &server.reference(), &refresh, &Silent).unwrap(), image);
    assert_eq!(server.asked(), asked + 2, "the layer is known");

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
        (format!("{}/other:v1", server.host()), &options, "status 404"),
        // Spoken to with TLS, which it does not speak.
        (server.reference(), &Options::default(), "error sending request"),
    ] {
        let before = server.asked();
        let error = pull(&store, &reference, options, &Silent).unwrap_err().to_string();
        assert!(
            error.contains(why) && error.contains(&reference) && error.contains(server.host()),
            "{error}"
        );
        assert!(server.asked() <= before + 1, "{reference}");
    }
    assert!(pull(&store, "UPPER/case", &options, &Silent).unwrap_err().to_string().contains("UPPER/case"));
}

#[test]
fn a_pull_that_is_cancelled_ends_soon() {
    // It takes the connection and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (_folder, store) = store();
    let options = Options { insecure: vec![host.clone()], ..Options::default() };
    let started = std::time::Instant::now();
    let result = pull(&store, &format!("{host}/x"), &options, &Stopped);
    assert!(matches!(result, Err(Error::Cancelled)), "{result:?}");
    assert!(started.elapsed() < Duration::from_secs(10));
}

/// A login file of Docker with `me:secret` for these hosts.
fn login(hosts: &[&str]) -> (tempfile::NamedTempFile, Credentials) {
    let entries: HashMap<&str, serde_json::Value> =
        hosts.iter().map(|host| (*host, serde_json::json!({"auth": "bWU6c2VjcmV0"}))).collect();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), serde_json::json!({"auths": entries}).to_string()).unwrap();
    let credentials = Credentials::Files(vec![file.path().to_owned()]);
    (file, credentials)
}

#[test]
fn a_login_does_not_go_where_a_redirect_leads() {
    let stranger = Arc::new(Mutex::new(String::new()));
    let realm = stranger.clone();
    let evil = stand_in::Server::start(move |request| {
        if request.path.starts_with("/token") {
            return Some(Answer::body(r#"{"token": "x"}"#));
        }
        let challenge = format!("Bearer realm=\"{}\"", realm.lock().unwrap());
        Some(Answer::status(401).header("WWW-Authenticate", challenge))
    });
    *stranger.lock().unwrap() = format!("http://{}/token", evil.host);
    let to = format!("http://{}/blob", evil.host);
    let registry = stand_in::Server::start(move |request| {
        if request.header("authorization").is_none() {
            return Some(Answer::status(401).header("WWW-Authenticate", "Basic realm=\"r\""));
        }
        Some(Answer::status(307).header("Location", to.clone()))
    });
    let (_file, credentials) = login(&[&registry.host]);
    let options = Options { insecure: vec![registry.host.clone()], credentials, ..Options::default() };
    let (_folder, store) = store();
    let repository = Repository::open(&format!("{}/a", registry.host), &options, &Silent).unwrap();
    // The second time the login is known before the redirect comes.
    for _ in 0..2 {
        let error = repository.fetch(&store, &Digest::of(b"x"), 1).unwrap_err().to_string();
        assert!(error.contains("leads to 127.0.0.1") && error.contains("401"), "{error}");
    }
    assert!(registry.seen().iter().any(|request| request.header("authorization").is_some()));
    let seen = evil.seen();
    assert!(!seen.is_empty() && seen.iter().all(|request| request.path == "/blob"), "{seen:?}");
    assert!(seen.iter().all(|request| request.header("authorization").is_none()), "{seen:?}");
}

#[test]
fn a_login_that_is_refused_is_named_with_its_file() {
    let registry = stand_in::Server::start(|_| {
        let body = r#"{"errors": [{"code": "UNAUTHORIZED", "message": "wrong password"}]}"#;
        let answer = Answer { status: 401, ..Answer::body(body) };
        Some(answer.header("WWW-Authenticate", "Basic realm=\"r\""))
    });
    let (file, credentials) = login(&[&registry.host]);
    let options = Options { insecure: vec![registry.host.clone()], credentials, ..Options::default() };
    let (_folder, store) = store();
    let error = pull(&store, &format!("{}/a", registry.host), &options, &Silent).unwrap_err().to_string();
    for part in ["does not take the login of me", &file.path().display().to_string(), "wrong password"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("wants a login") && !error.contains("secret"), "{error}");
    assert_eq!(registry.seen().len(), 2);
}

#[test]
fn a_digest_that_cannot_be_compared_is_refused() {
    for (kind, length) in [("sha512", 128), ("sha384", 96)] {
        let error = parse(&format!("r.test/a@{kind}:{}", "0".repeat(length))).unwrap_err().to_string();
        assert!(error.contains(kind) && error.contains("sha256"), "{error}");
    }
    assert!(parse(&format!("r.test/a@sha256:{}", "0".repeat(64))).is_ok());
}

#[test]
fn a_name_with_a_digest_names_no_other_image() {
    let server = Server::start();
    let (_folder, store) = store();
    let image = pull(&store, &server.reference(), &server.options(), &Silent).unwrap();
    let other = format!("r.test/a@{}", Digest::of(b"other"));
    let error = set_name(&store, &other, &image).unwrap_err().to_string();
    assert!(error.contains("another image") && error.contains(&image.manifest.to_string()), "{error}");
    // Nor where somebody has written it there.
    store.set_name(&other, &image.manifest).unwrap();
    assert_eq!(named(&store, &other).unwrap(), None);
    let right = format!("r.test/a@{}", image.manifest);
    set_name(&store, &right, &image).unwrap();
    assert_eq!(named(&store, &right).unwrap().as_ref(), Some(&image));

    // The digest may be that of an index.
    let options = server.options();
    let repository = Repository::open(&server.reference(), &options, &Silent).unwrap();
    let index = repository.find("all").unwrap().unwrap().digest;
    assert_ne!(index, image.manifest);
    let by_index = format!("{}@{index}", server.reference());
    assert_eq!(pull(&store, &by_index, &server.options(), &Silent).unwrap(), image);
    let asked = server.asked();
    assert_eq!(pull(&store, &by_index, &server.options(), &Silent).unwrap(), image);
    assert_eq!(server.asked(), asked);
    assert_eq!(Digest::of(&server.manifest), image.manifest);
}

#[test]
fn a_registry_without_ranges_sends_a_broken_blob_once_more_and_not_for_each_piece() {
    let server = Server::start();
    let (_folder, store) = store();
    server.fail(&server.layer, &[Fault::Cut]);
    pull(&store, &server.reference(), &server.options(), &Silent).unwrap();
    assert_eq!(server.asked_for_layer(), 2);
}

#[test]
fn a_mirror_that_fails_on_the_way_is_left_for_the_registry() {
    for faults in [vec![Fault::Cut; 50], vec![Fault::Damaged; 50], vec![Fault::Status(500); 50]] {
        let (mirror, origin) = (Server::start(), Server::start());
        mirror.fail(&mirror.layer, &faults);
        let mut registries = Registries::default();
        for (host, mirrors) in [(mirror.host(), Vec::new()), (origin.host(), vec![mirror.host().to_owned()])]
        {
            registries = registries.with(host, Registry { tls: Tls::Off, mirrors, ..Registry::default() });
        }
        let options = Options { registries, ..Options::default() };
        let (_folder, store) = store();
        pull(&store, &origin.reference(), &options, &Silent).unwrap();
        assert!(mirror.asked() > 0);
        let seen = origin.inner.seen();
        let paths: Vec<&str> = seen.iter().map(|request| request.path.as_str()).collect();
        assert_eq!(paths, [origin.layer.as_str()], "the mirror gave the rest");

        // What is fetched by digest takes the same way, and so does a question.
        drop(seen);
        mirror.fail(&mirror.layer, &faults);
        let (_folder, other) = self::store();
        let manifest: serde_json::Value = serde_json::from_slice(&origin.manifest).unwrap();
        let layer = &manifest["layers"][0];
        let digest = layer["digest"].as_str().unwrap().parse().unwrap();
        let repository = Repository::reading(&origin.reference(), &options, &Silent).unwrap();
        repository.fetch(&other, &digest, layer["size"].as_u64().unwrap()).unwrap();
        assert!(other.has(&digest));
        let asked = origin.asked();
        assert!(
            Repository::reading(&origin.reference(), &options, &Silent)
                .unwrap()
                .peek("all")
                .unwrap()
                .is_some()
        );
        assert_eq!(origin.asked(), asked, "the mirror answers");
    }
}

#[test]
fn wrong_bytes_of_a_file_are_asked_for_three_times() {
    let server = Server::start();
    let manifest: serde_json::Value = serde_json::from_slice(&server.manifest).unwrap();
    let layer = &manifest["layers"][0];
    let digest = layer["digest"].as_str().unwrap().parse().unwrap();
    let size = layer["size"].as_u64().unwrap();
    let (_folder, store) = store();
    let options = server.options();
    let repository = Repository::reading(&server.reference(), &options, &Silent).unwrap();
    server.fail(&server.layer, &[Fault::Damaged; 3]);
    assert!(repository.fetch(&store, &digest, size).unwrap_err().to_string().contains("digest"));
    server.fail(&server.layer, &[Fault::Damaged; 2]);
    repository.fetch(&store, &digest, size).unwrap();
    assert_eq!(server.asked_for_layer(), 6);
}
