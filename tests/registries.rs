//! Registries, through the built program: Debian's docker-registry on loopback, a proxy in front of it that
//! does things wrong, skopeo, docker and openssl as the others who read what we write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/engine.rs"]
mod engine;
#[path = "support/faults.rs"]
mod faults;
mod support;
#[path = "support/tokens.rs"]
mod tokens;
#[path = "support/tunnel.rs"]
mod tunnel;

#[path = "registries/docker.rs"]
mod docker;
#[path = "registries/login.rs"]
mod login;
#[path = "registries/network.rs"]
mod network;
#[path = "registries/places.rs"]
mod places;
#[path = "registries/room.rs"]
mod room;
#[path = "registries/stick.rs"]
mod stick;

use hookos::oci;
use hookos::store::Store;
use room::{Authority, HTPASSWD, Room, digest_of, run};
use std::fs;
use support::{Registry, ok};

#[test]
fn an_image_travels_with_tls_and_a_password_and_others_read_it() {
    let room = Room::new();
    let authority = Authority::new();
    fs::create_dir_all(room.path("trust")).unwrap();
    fs::write(room.path("trust/ca.crt"), authority.pem()).unwrap();
    let (certificate, key) = authority.certificate("127.0.0.1");
    fs::write(room.path("tls.crt"), certificate).unwrap();
    fs::write(room.path("tls.key"), key).unwrap();
    fs::write(room.path("htpasswd"), HTPASSWD).unwrap();
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
    let file = room.path("docker/config.json").display().to_string();
    assert!(wrong.contains("does not take the login of me") && wrong.contains(&file), "{wrong}");
    assert!(!wrong.contains("wants a login"), "{wrong}");
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
