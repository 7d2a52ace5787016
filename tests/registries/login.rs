//! Who we are to a registry.

use crate::faults::{Fault, Faults};
use crate::room::{Authority, Room};
use crate::support::{Registry, ok};
use crate::tokens::Tokens;
use std::fs;
use std::process::Stdio;
use std::time::{Duration, Instant};

#[test]
fn a_token_server_is_asked_with_a_password_a_token_or_a_helper() {
    let room = Room::new();
    let tokens = Tokens::start(300);
    let registry = Registry::start(room.folder.path(), &tokens.settings(room.folder.path()));
    room.without_tls(&[&registry.host], "");
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

    // A helper for one registry, and one for all of them.
    room.helper("test", "cat >/dev/null; echo '{\"Username\":\"me\",\"Secret\":\"secret\"}'");
    for (store, text) in [
        ("third", format!(r#"{{"credHelpers": {{"{}": "test"}}}}"#, registry.host)),
        ("fourth", r#"{"credsStore": "test"}"#.to_owned()),
    ] {
        room.login(&text);
        let mut command = room.command(store, &["images", "pull", &reference]);
        ok(command.env("PATH", room.helpers()).output().unwrap());
        let given = std::mem::take(&mut *tokens.given.lock().unwrap());
        assert!(!given.is_empty() && given.iter().all(|(_, who)| *who == "password"), "{text}: {given:?}");
    }

    // One that does not answer does not hold up Ctrl-C.
    room.helper("mute", &format!("touch {}; exec sleep 1000", room.path("asked").display()));
    room.login(r#"{"credsStore": "mute"}"#);
    let mut command = room.command("fifth", &["images", "pull", &reference]);
    command.env("PATH", room.helpers()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(50);
    while !room.path("asked").exists() {
        assert!(Instant::now() < until, "the helper is not asked");
        std::thread::sleep(Duration::from_millis(50));
    }
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(Instant::now() < until, "it waits for the helper");

    // A store that is not there is no matter where no login is needed, and named where one is.
    room.login(r#"{"credsStore": "gone"}"#);
    let said = room.fails("fifth", &["images", "pull", &reference]);
    assert!(said.contains("docker-credential-gone, which is not installed"), "{said}");
}

#[test]
fn a_token_that_runs_out_on_the_way_is_renewed() {
    let room = Room::new();
    let tokens = Tokens::start(300);
    let registry = Registry::start(room.folder.path(), &tokens.settings(room.folder.path()));
    let faults = Faults::before(&registry.host);
    room.without_tls(&[&faults.host], "");
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, faults.host));
    let reference = format!("{}/a:v1", faults.host);
    let image = room.image("store", &reference, 100_000);
    let given = || std::mem::take(&mut *tokens.given.lock().unwrap()).len();
    ok(room.hookos("store", &["images", "push", &reference, &format!("{}/usual:v1", faults.host)]));
    let usual = given();
    faults.plan("PUT", "/uploads/", Fault::Forget).plan("PUT", "/manifests/", Fault::Forget);
    ok(room.hookos("store", &["images", "push", &reference]));
    assert_eq!((faults.left(), given()), (0, usual + 2));

    ok(room.hookos("usual", &["images", "pull", &reference]));
    let usual = given();
    // The configuration comes whole; then the layer, whose rest is asked for with a token that is too old.
    faults.plan("GET", "/blobs/", Fault::Cut(50_000)).plan("GET", "/blobs/", Fault::Cut(50_000));
    faults.plan("GET", "/blobs/", Fault::Forget);
    ok(room.hookos("second", &["images", "pull", &reference]));
    assert_eq!((faults.left(), given()), (0, usual + 1));
    assert_eq!(room.named("second", &reference).unwrap().layers, image.layers);
    assert!(faults.seen().iter().any(|seen| seen.header("range") == Some("bytes=50000-")));
}

#[test]
fn a_blob_is_sent_where_the_login_may_not_read_the_other_repository() {
    let room = Room::new();
    let tokens = Tokens::start(300);
    let registry = Registry::start(room.folder.path(), &tokens.settings(room.folder.path()));
    room.without_tls(&[&registry.host], "");
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.host));
    let (from, to) = (format!("{}/theirs/a:v1", registry.host), format!("{}/ours/a:v1", registry.host));
    room.image("store", &from, 1000);
    ok(room.hookos("store", &["images", "push", &from]));
    *tokens.closed.lock().unwrap() = Some("theirs/a");
    let said = ok(room.hookos("store", &["images", "push", &from, &to]));
    assert!(said.contains("cannot be linked from theirs/a") && said.contains("2 blobs sent"), "{said}");
    ok(room.hookos("second", &["images", "pull", &to]));
    // And where it may, nothing is sent.
    *tokens.closed.lock().unwrap() = None;
    let said = ok(room.hookos("store", &["images", "push", &from, &format!("{}/more/a:v1", registry.host)]));
    assert!(said.contains("0 blobs sent") && said.contains("2 linked"), "{said}");
}

#[test]
fn a_registry_without_a_checked_certificate_does_not_make_its_token_server_one() {
    let room = Room::new();
    let authority = Authority::new();
    let (certificate, key) = authority.certificate("127.0.0.1");
    fs::write(room.path("crt"), &certificate).unwrap();
    fs::write(room.path("key"), &key).unwrap();
    let mut tokens = Tokens::start(300);
    let door = Faults::before_with_tls(tokens.realm.split('/').nth(2).unwrap(), &certificate, &key);
    tokens.realm = format!("https://{}/token", door.host);
    let settings = tokens.settings(room.folder.path());
    let registry =
        Registry::start_with_tls(room.folder.path(), &room.path("crt"), &room.path("key"), &settings);
    room.login(&format!(r#"{{"auths": {{"{}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#, registry.host));
    let reference = format!("{}/a:v1", registry.host);
    room.image("store", &reference, 1000);
    let unverified = |host: &str| format!("[registry.\"{host}\"]\ntls = \"unverified\"\n");
    room.registries(&unverified(&registry.host));
    let said = room.fails("store", &["images", "push", &reference]);
    assert!(said.contains("token server") && said.contains("UnknownIssuer"), "{said}");
    assert!(door.seen().is_empty() && tokens.given.lock().unwrap().is_empty());
    // Who wants that says so of the token server too.
    room.registries(&(unverified(&registry.host) + &unverified(&door.host)));
    ok(room.hookos("store", &["images", "push", &reference]));
    // An authority that is trusted for the registry is trusted for its token server.
    room.registries(&format!("[registry.\"{}\"]\nca = [\"ca.pem\"]\n", registry.host));
    fs::write(room.path("config/hookos/ca.pem"), authority.pem()).unwrap();
    ok(room.hookos("second", &["images", "pull", &reference]));
}
