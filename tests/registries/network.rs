//! Bad networks.

use crate::faults::{Fault, Faults};
use crate::room::{Authority, HTPASSWD, Room, digest_of, run};
use crate::support::{Registry, ok};
use hookos::oci;
use hookos::store::Store;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_pull_survives_a_bad_network_or_says_what_is_wrong() {
    let room = Room::new();
    let (registry, faults) = room.faulty_registry("silence_seconds = 1\n");
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
    faults.seen();
    ok(room.hookos("other", &["images", "pull", &reference]));
    let seen = faults.seen();
    let whole =
        seen.iter().filter(|seen| seen.line.contains("/blobs/")).max_by_key(|seen| seen.served).unwrap();
    let layer = whole.line.split("/blobs/").nth(1).unwrap().to_owned();
    faults
        .plan("GET", &layer, Fault::Cut(1_500_000))
        .plan("GET", &layer, Fault::Stall(Duration::from_secs(3)))
        .plan("GET", &layer, Fault::Cut(100_000));
    ok(room.hookos("broken", &["images", "pull", &reference]));
    assert_eq!(faults.left(), 0);
    let got = oci::registry::named(&store, &reference).unwrap().unwrap();
    assert_eq!(got.layers, image.layers);
    room.is_sound("broken");
    let seen = faults.seen();
    let asked: Vec<_> = seen.iter().filter(|seen| seen.line.contains(&layer)).collect();
    let ranges: Vec<_> = asked.iter().map(|seen| seen.header("range").unwrap_or("all")).collect();
    assert_eq!(ranges, ["all", "bytes=1500000-", "bytes=1500000-", "bytes=1600000-"]);
    let served: usize = asked.iter().map(|seen| seen.served).sum();
    assert_eq!(served, whole.served, "no byte came twice");

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
        assert!(!said.contains("no help") && !said.contains("can be reached"), "{said}");
        assert!(ok(room.hookos(&name, &["images", "--json"])).contains("[]"), "nothing has a name");
        room.is_sound(&name);
        faults.drop_plan();
    }
}

#[test]
fn a_push_survives_a_bad_network_or_says_what_is_wrong() {
    let room = Room::new();
    let (registry, faults) = room.faulty_registry("");
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

/// A registry with a password, behind a proxy that speaks TLS and does things wrong.
#[test]
fn a_bad_network_with_tls_and_a_password_is_survived_too() {
    let room = Room::new();
    fs::write(room.path("htpasswd"), HTPASSWD).unwrap();
    let more = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", room.path("htpasswd").display());
    let registry = Registry::start(room.folder.path(), &more);
    let authority = Authority::new();
    let (certificate, key) = authority.certificate("127.0.0.1");
    let faults = Faults::before_with_tls(&registry.host, &certificate, &key);
    room.registries(&format!("[registry.\"{}\"]\nca = [\"ca.pem\"]\nsilence_seconds = 2\n", faults.host));
    fs::write(room.path("config/hookos/ca.pem"), authority.pem()).unwrap();
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, faults.host));
    let reference = format!("{}/deep/er:v1", faults.host);
    let image = room.image("store", &reference, 40_000_000);
    faults
        .plan("HEAD", "/blobs/", Fault::Status(503))
        .plan("POST", "/uploads/", Fault::Forget)
        .plan("PATCH", "/uploads/", Fault::Forget)
        .plan("PATCH", "/uploads/", Fault::CutUpload(5_000_000))
        .plan("PUT", "/uploads/", Fault::Lose)
        .plan("PUT", "/manifests/", Fault::Forget);
    ok(room.hookos("store", &["images", "push", &reference]));
    assert_eq!(faults.left(), 0);
    faults
        .plan("GET", "/manifests/", Fault::Busy(1))
        .plan("GET", "/blobs/", Fault::Stall(Duration::from_secs(5)))
        .plan("GET", "/blobs/", Fault::Forget);
    ok(room.hookos("second", &["images", "pull", &reference]));
    assert_eq!(faults.left(), 0);
    assert_eq!(room.named("second", &reference).unwrap().layers, image.layers);
    room.is_sound("second");
}

#[test]
fn ctrl_c_ends_a_pull_and_a_push_and_leaves_nothing_wrong() {
    let room = Room::new();
    let (_registry, faults) = room.faulty_registry("silence_seconds = 90\n");
    let reference = format!("{}/a:v1", faults.host);
    room.image("maker", &reference, 20_000_000);
    // Longer than anybody waits here, and than the connection is given up.
    let long = Duration::from_secs(100);
    let interrupted = |store: &str, args: &[&str], method: &'static str, part: &str, fault: Fault| {
        faults.seen();
        faults.plan(method, part, fault);
        let mut command = room.command(store, args);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while faults.left() > 0 {
            assert!(Instant::now() < until, "it never asks: {:?}", faults.seen());
            std::thread::sleep(Duration::from_millis(50));
        }
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130), "{args:?}");
        assert!(Instant::now() < until, "it takes too long");
        room.is_sound(store);
    };
    interrupted("maker", &["images", "push", &reference], "PATCH", "/uploads/", Fault::Mute(long));
    let missing = room.fails("fresh", &["images", "pull", &reference]);
    assert!(missing.contains("404"), "{missing}");
    ok(room.hookos("maker", &["images", "push", &reference]));
    for part in ["/manifests/", "/blobs/"] {
        interrupted("half", &["images", "pull", &reference], "GET", part, Fault::Stall(long));
        assert!(room.named("half", &reference).is_none());
    }
    ok(room.hookos("half", &["images", "pull", &reference]));
}
