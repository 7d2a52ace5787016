//! Registries, through the built program: Debian's docker-registry on loopback, a proxy in front of it that
//! does things wrong, skopeo and openssl as the others who read what we write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/faults.rs"]
mod faults;
mod support;
#[path = "support/tokens.rs"]
mod tokens;

use faults::{Fault, Faults};
use hookos::initramfs::tree::{Node, Tree, TreePath};
use hookos::oci;
use hookos::store::Store;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use support::{ROOT, Registry, ok};

/// A folder with a store and with this test's own configuration of the user.
struct Room {
    folder: tempfile::TempDir,
}

impl Room {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `registries.toml` of the user.
    fn registries(&self, text: &str) {
        fs::create_dir_all(self.path("config/hookos")).unwrap();
        fs::write(self.path("config/hookos/registries.toml"), text).unwrap();
    }

    fn login(&self, text: &str) {
        fs::create_dir_all(self.path("docker")).unwrap();
        fs::write(self.path("docker/config.json"), text).unwrap();
    }

    fn command(&self, store: &str, args: &[&str]) -> Command {
        let mut command = support::hookos(Path::new(ROOT), &self.path(store), args);
        command
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("DOCKER_CONFIG", self.path("docker"))
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("XDG_RUNTIME_DIR");
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }

    fn hookos(&self, store: &str, args: &[&str]) -> Output {
        self.command(store, args).output().unwrap()
    }

    /// What a call that must fail says.
    #[track_caller]
    fn fails(&self, store: &str, args: &[&str]) -> String {
        let output = self.hookos(store, args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// An image of one layer with `bytes` that do not compress, in the store `store` as `name`.
    fn image(&self, store: &str, name: &str, bytes: usize) -> oci::Image {
        let store = Store::open(self.path(store)).unwrap();
        let mut tree = Tree::new();
        let mut state = 1u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        let file = Node::file(noise.take(bytes).collect::<Vec<u8>>(), 0o644, 1);
        tree.insert(TreePath::new("noise").unwrap(), file);
        let layer = oci::write_layer(&store, &tree, 1).unwrap();
        let config = oci::Config { cmd: vec!["/noise".to_owned()], ..oci::Config::default() };
        let image = oci::write_image(&store, &[layer], &config).unwrap();
        oci::registry::set_name(&store, name, &image).unwrap();
        image
    }

    /// Nothing wrong is in the store, and no half-written file.
    #[track_caller]
    fn is_sound(&self, store: &str) {
        ok(self.hookos(store, &["cache", "verify"]));
        let left = fs::read_dir(self.path(store).join("tmp")).unwrap().count();
        assert_eq!(left, 0, "files are left in tmp");
    }
}

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    ok(output.unwrap_or_else(|e| panic!("this test needs {program} (tests/run installs it): {e}")))
}

fn digest_of(text: &str) -> &str {
    let at = text.find("sha256:").unwrap();
    &text[at..at + 71]
}

#[test]
fn an_image_travels_with_tls_and_a_password_and_others_read_it() {
    let room = Room::new();
    let (key, authority_key) = (rcgen::KeyPair::generate().unwrap(), rcgen::KeyPair::generate().unwrap());
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&authority_key).unwrap();
    let issuer = rcgen::Issuer::new(params, authority_key);
    let params = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::create_dir_all(room.path("trust")).unwrap();
    fs::write(room.path("trust/ca.crt"), authority.pem()).unwrap();
    fs::write(room.path("tls.crt"), certificate.pem()).unwrap();
    fs::write(room.path("tls.key"), key.serialize_pem()).unwrap();
    // bcrypt of `secret`.
    fs::write(room.path("htpasswd"), "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n")
        .unwrap();
    let more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", room.path("htpasswd").display());
    let (certificate, key) = (room.path("tls.crt"), room.path("tls.key"));
    let registry = Registry::start_with_tls(room.folder.path(), &certificate, &key, &more);
    let reference = format!("{}/site/tools:v1", registry.host);
    let image = room.image("store", &reference, 3_000_000);

    let stranger = room.fails("store", &["images", "push", &reference]);
    assert!(stranger.contains("UnknownIssuer") && !stranger.contains("attempt"), "{stranger}");
    fs::create_dir_all(room.path("config/hookos")).unwrap();
    fs::copy(room.path("trust/ca.crt"), room.path("config/hookos/ca.pem")).unwrap();
    room.registries(&format!("[registry.\"{}\"]\nca = [\"ca.pem\"]\n", registry.host));
    let anonymous = room.fails("store", &["images", "push", &reference]);
    assert!(anonymous.contains("wants a login") && anonymous.contains("docker login"), "{anonymous}");
    // me:wrong, then me:secret.
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6d3Jvbmc="}}}}}}"#, registry.host));
    let wrong = room.fails("store", &["images", "push", &reference]);
    assert!(wrong.contains("login") && !wrong.contains("wrong"), "{wrong}");
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.host));
    let pushed = ok(room.hookos("store", &["images", "push", &reference]));
    assert!(pushed.contains("2 blobs sent"), "{pushed}");
    let again = ok(room.hookos("store", &["images", "push", &reference]));
    assert!(again.contains("was there"), "{again}");
    assert_eq!(digest_of(&again), digest_of(&pushed));

    let theirs = format!("docker://{reference}");
    let trust = room.path("trust").display().to_string();
    let seen = run("skopeo", &["inspect", "--creds", "me:secret", "--cert-dir", &trust, &theirs]);
    let seen: serde_json::Value = serde_json::from_str(&seen).unwrap();
    assert_eq!(seen["Digest"], digest_of(&pushed));
    let other = format!("docker://{}/theirs:v1", registry.host);
    run(
        "skopeo",
        &[
            "copy",
            "--insecure-policy",
            "--src-creds",
            "me:secret",
            "--dest-creds",
            "me:secret",
            "--src-cert-dir",
            &trust,
            "--dest-cert-dir",
            &trust,
            "--format",
            "v2s2",
            &theirs,
            &other,
        ],
    );
    for name in [reference.clone(), format!("{}/theirs:v1", registry.host)] {
        ok(room.hookos("second", &["images", "pull", &name]));
        let second = Store::open(room.path("second")).unwrap();
        let pulled = oci::registry::named(&second, &name).unwrap().unwrap();
        assert_eq!((&pulled.layers, &pulled.config.cmd), (&image.layers, &image.config.cmd), "{name}");
    }
    let listed = ok(room.hookos("second", &["images"]));
    assert!(listed.contains(&reference) && listed.contains("/theirs:v1"), "{listed}");
    // Another repository of the same registry: the blobs are linked there, not sent.
    let moved =
        ok(room.hookos("second", &["images", "push", &reference, &format!("{}/other:v2", registry.host)]));
    assert!(moved.contains("0 blobs sent") && moved.contains("2 linked"), "{moved}");
    room.is_sound("second");
}

#[test]
fn a_registry_with_a_certificate_of_its_own_making_is_trusted_when_that_is_given() {
    let room = Room::new();
    let (certificate, key) = (room.path("own.pem"), room.path("own.key"));
    let (crt, private) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    // As Docker's documentation of the registry makes one: it says of itself that it is an authority.
    run(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-256",
            "-nodes",
            "-days",
            "2",
            "-subj",
            "/CN=registry",
            "-addext",
            "subjectAltName=IP:127.0.0.1",
            "-keyout",
            private,
            "-out",
            crt,
        ],
    );
    let registry = Registry::start_with_tls(room.folder.path(), &certificate, &key, "");
    let reference = format!("{}/own:v1", registry.host);
    room.image("store", &reference, 1000);
    assert!(room.fails("store", &["images", "push", &reference]).contains("certificate"));
    room.registries(&format!("[registry.\"{}\"]\nca = [\"{crt}\"]\n", registry.host));
    ok(room.hookos("store", &["images", "push", &reference]));
    room.registries(&format!("[registry.\"{}\"]\ntls = \"unverified\"\n", registry.host));
    ok(room.hookos("second", &["images", "pull", &reference]));
}

#[test]
fn a_pull_survives_a_bad_network_or_says_what_is_wrong() {
    let room = Room::new();
    let registry = Registry::start(room.folder.path(), "");
    let faults = Faults::before(&registry.host);
    room.registries(&format!(
        "[registry.\"{}\"]\ntls = \"off\"\n[registry.\"{}\"]\ntls = \"off\"\nsilence_seconds = 1\n",
        registry.host, faults.host
    ));
    let reference = format!("{}/a/b:v1", registry.host);
    let image = room.image("maker", &reference, 2_000_000);
    ok(room.hookos("maker", &["images", "push", &reference]));
    let reference = format!("{}/a/b:v1", faults.host);

    // The whole catalogue of what passes, in one pull.
    faults
        .plan("GET", "/manifests/v1", Fault::Status(500))
        .plan("GET", "/manifests/v1", Fault::Busy(1))
        .plan("GET", "/manifests/v1", Fault::Truncate)
        .plan("GET", "/manifests/v1", Fault::Damage)
        .plan("GET", "/blobs/", Fault::Status(503));
    let started = Instant::now();
    ok(room.hookos("store", &["images", "pull", &reference]));
    assert_eq!(faults.left(), 0);
    assert!(started.elapsed() >= Duration::from_secs(1), "a registry that asks for a second gets it");
    room.is_sound("store");

    // A line that breaks in the middle of a layer costs what was under way, not what came.
    let store = Store::open(room.path("broken")).unwrap();
    let layer = {
        faults.seen();
        ok(room.hookos("other", &["images", "pull", &reference]));
        let seen = faults.seen();
        let largest = seen.iter().rfind(|(line, _)| line.contains("/blobs/")).unwrap();
        largest.0.split("/blobs/").nth(1).unwrap().to_owned()
    };
    faults
        .plan("GET", &layer, Fault::Cut(1_500_000))
        .plan("GET", &layer, Fault::Stall(Duration::from_secs(3)))
        .plan("GET", &layer, Fault::Cut(100_000));
    ok(room.hookos("broken", &["images", "pull", &reference]));
    assert_eq!(faults.left(), 0);
    let got = oci::registry::named(&store, &reference).unwrap().unwrap();
    assert_eq!(got.layers, image.layers);
    room.is_sound("broken");

    // What does not pass is told, and leaves nothing.
    for (part, fault, why) in [
        ("/manifests/v1", Fault::Status(404), "404"),
        ("/manifests/v1", Fault::Status(403), "403"),
        (layer.as_str(), Fault::Damage, "damaged"),
        (layer.as_str(), Fault::Truncate, "ended after"),
        ("/manifests/v1", Fault::Busy(100_000), "429"),
    ] {
        for _ in 0..30 {
            faults.plan("GET", part, fault.clone());
        }
        let name = format!("{why}-{}", part.len());
        let said = room.fails(&name, &["images", "pull", &reference]);
        assert!(said.contains(why) && said.contains(&reference), "{fault:?}: {said}");
        assert!(ok(room.hookos(&name, &["images", "--json"])).contains("[]"), "nothing has a name");
        room.is_sound(&name);
        faults.drop_plan();
    }
}

#[test]
fn a_push_survives_a_bad_network_or_says_what_is_wrong() {
    let room = Room::new();
    let registry = Registry::start(room.folder.path(), "");
    let faults = Faults::before(&registry.host);
    room.registries(&format!("[registry.\"{}\"]\ntls = \"off\"\n", faults.host));
    let reference = format!("{}/big:v1", faults.host);
    // Three pieces of 16 MiB.
    room.image("store", &reference, 40_000_000);
    faults
        .plan("HEAD", "/blobs/", Fault::Status(500))
        .plan("POST", "/uploads/", Fault::Status(502))
        .plan("PATCH", "/uploads/", Fault::CutUpload(5_000_000))
        .plan("PATCH", "/uploads/", Fault::Lose)
        .plan("PATCH", "/uploads/", Fault::Busy(1))
        .plan("PUT", "/manifests/", Fault::Status(503));
    let pushed = ok(room.hookos("store", &["images", "push", &reference]));
    assert_eq!(faults.left(), 0);
    let theirs = format!("docker://{}/big:v1", registry.host);
    let seen = run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &theirs]);
    assert_eq!(seen.trim(), digest_of(&pushed));
    let folder = format!("dir:{}", room.path("copy").display());
    run("skopeo", &["copy", "--insecure-policy", "--src-tls-verify=false", &theirs, &folder]);

    for (method, part, status, why) in [
        ("POST", "/uploads/", 403, "403"),
        ("PUT", "/manifests/", 400, "400"),
        ("PUT", "/uploads/", 507, "507"),
    ] {
        let reference = format!("{}/refused-{status}:v1", faults.host);
        room.image("store", &reference, 1000 + status);
        for _ in 0..10 {
            faults.plan(method, part, Fault::Status(u16::try_from(status).unwrap()));
        }
        let said = room.fails("store", &["images", "push", &reference]);
        assert!(said.contains(why) && said.contains(&faults.host), "{said}");
        faults.drop_plan();
        let missing = room.fails("fresh", &["images", "pull", &reference]);
        assert!(missing.contains("404"), "nothing half done has a name: {missing}");
    }
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let room = Room::new();
    let (near, far) = (room.path("near"), room.path("far"));
    fs::create_dir_all(&near).unwrap();
    fs::create_dir_all(&far).unwrap();
    let (near, far) = (Registry::start(&near, ""), Registry::start(&far, ""));
    let settings = |mirror: &str| {
        format!(
            "[registry.\"{}\"]\ntls = \"off\"\nmirrors = [\"{mirror}/hub\"]\n[registry.\"{}\"]\ntls = \"off\"\n\
             [registry.\"127.0.0.1:1\"]\ntls = \"off\"\n",
            far.host, near.host
        )
    };
    let reference = format!("{}/tools:v1", far.host);
    let image = room.image("maker", &reference, 1000);
    room.registries(&settings(&near.host));
    ok(room.hookos("maker", &["images", "push", &reference, &format!("{}/hub/tools:v1", near.host)]));
    ok(room.hookos("first", &["images", "pull", &reference]));
    let first = Store::open(room.path("first")).unwrap();
    assert_eq!(oci::registry::named(&first, &reference).unwrap().unwrap().layers, image.layers);
    // A push goes to the registry itself; then the mirror may be gone.
    ok(room.hookos("maker", &["images", "push", &reference]));
    room.registries(&settings("127.0.0.1:1"));
    let said = ok(room.hookos("second", &["images", "pull", &reference]));
    assert!(said.contains("mirror 127.0.0.1:1"), "{said}");
}

#[test]
fn a_stick_carries_images_between_tools() {
    let room = Room::new();
    let image = room.image("store", "r.test/tools:v1", 100_000);
    room.image("store", "docker.io/library/more:v2", 200_000);
    let tar = room.path("stick.tar").display().to_string();
    let told = ok(room.hookos("store", &["images", "export", &tar, "--all"]));
    assert!(told.contains("docker.io/library/more:v2") && told.contains("r.test/tools:v1"), "{told}");
    let again = room.path("again.tar").display().to_string();
    ok(room.hookos("store", &["images", "export", &again, "more:v2", "r.test/tools:v1"]));
    assert_eq!(fs::read(&tar).unwrap(), fs::read(&again).unwrap(), "the same content, the same bytes");
    ok(room.hookos("second", &["images", "import", &tar]));
    let second = Store::open(room.path("second")).unwrap();
    assert_eq!(oci::registry::named(&second, "r.test/tools:v1").unwrap().unwrap().layers, image.layers);
    room.is_sound("second");

    // skopeo reads ours, and we read what it and `docker save` write.
    let ours = format!("oci-archive:{tar}:r.test/tools:v1");
    let archive = room.path("docker.tar").display().to_string();
    run("skopeo", &["copy", "--insecure-policy", &ours, &format!("docker-archive:{archive}:saved.test/x:1")]);
    ok(room.hookos("third", &["images", "import", &archive]));
    let third = Store::open(room.path("third")).unwrap();
    assert_eq!(oci::registry::named(&third, "saved.test/x:1").unwrap().unwrap().layers, image.layers);
    let nameless = room.path("layout").display().to_string();
    run("skopeo", &["copy", "--insecure-policy", &ours, &format!("oci:{nameless}")]);
    let said = room.fails("third", &["images", "import", &nameless]);
    assert!(said.contains("--name"), "{said}");
    ok(room.hookos("third", &["images", "import", &nameless, "--name", "given.test/y"]));
    assert!(oci::registry::named(&third, "given.test/y:latest").unwrap().is_some());

    // Damage is noticed, and what is no archive is named.
    let mut bytes = fs::read(&tar).unwrap();
    let at = bytes.len() / 2;
    bytes[at] ^= 1;
    fs::write(&tar, bytes).unwrap();
    let said = room.fails("fourth", &["images", "import", &tar]);
    assert!(said.contains("digest") || said.contains("damaged"), "{said}");
    room.is_sound("fourth");
    fs::write(&tar, "text").unwrap();
    let said = room.fails("fourth", &["images", "import", &tar]);
    assert!(said.contains("stick.tar"), "{said}");
}

#[test]
fn a_token_server_is_asked_with_a_password_a_token_or_a_helper() {
    let room = Room::new();
    let tokens = tokens::Tokens::start(300);
    let registry = Registry::start(room.folder.path(), &tokens.settings(room.folder.path()));
    room.registries(&format!("[registry.\"{}\"]\ntls = \"off\"\n", registry.host));
    let reference = format!("{}/team/tools:v1", registry.host);
    room.image("store", &reference, 1000);
    let nobody = room.fails("store", &["images", "push", &reference]);
    assert!(nobody.contains("token server") && nobody.contains("who are you"), "{nobody}");

    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.host));
    ok(room.hookos("store", &["images", "push", &reference]));
    let given = std::mem::take(&mut *tokens.given.lock().unwrap());
    assert!(given.iter().any(|(scope, who)| scope.contains("push") && *who == "password"), "{given:?}");

    room.login(&format!(r#"{{"auths": {{"{}": {{"identitytoken": "lasting"}}}}}}"#, registry.host));
    ok(room.hookos("second", &["images", "pull", &reference]));
    let given = std::mem::take(&mut *tokens.given.lock().unwrap());
    assert!(
        given.iter().all(|(scope, who)| scope.ends_with(":pull") && *who == "identity token"),
        "{given:?}"
    );

    // A credential helper, as desktops have them.
    let helper = room.path("docker-credential-test");
    fs::write(&helper, "#!/bin/sh\ncat >/dev/null\necho '{\"Username\":\"me\",\"Secret\":\"secret\"}'\n")
        .unwrap();
    fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    room.login(&format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, registry.host));
    let path = format!("{}:{}", room.folder.path().display(), std::env::var("PATH").unwrap());
    ok(room.command("third", &["images", "pull", &reference]).env("PATH", path).output().unwrap());
    let given = std::mem::take(&mut *tokens.given.lock().unwrap());
    assert!(!given.is_empty() && given.iter().all(|(_, who)| *who == "password"), "{given:?}");
}
