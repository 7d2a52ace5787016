//! Which server is asked: mirrors, proxies, an image for several platforms.

use crate::faults::{Fault, Faults};
use crate::room::{Authority, Room, digest_of, run};
use crate::support::{Registry, ok};
use crate::tunnel::Tunnel;
use hookos::oci;
use hookos::store::{Digest, Store};
use serde_json::json;
use std::fs;
use std::path::Path;

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_it_fails() {
    let room = Room::new();
    let [near, far] = ["near", "far"].map(|name| Registry::start(&room.path(name), ""));
    let settings = |mirror: &str| {
        let mirrors = format!("mirrors = [\"{mirror}/hub\"]\n");
        room.without_tls(&[&near.host, "127.0.0.1:1", &far.host], &mirrors);
    };
    let reference = format!("{}/tools:v1", far.host);
    let image = room.image("maker", &reference, 1000);
    settings(&near.host);
    ok(room.hookos("maker", &["images", "push", &reference, &format!("{}/hub/tools:v1", near.host)]));
    ok(room.hookos("first", &["images", "pull", &reference]));
    let first = Store::open(room.path("first")).unwrap();
    assert_eq!(oci::registry::named(&first, &reference).unwrap().unwrap().layers, image.layers);
    // A push goes to the registry itself; then the mirror may be gone.
    ok(room.hookos("maker", &["images", "push", &reference]));
    settings("127.0.0.1:1");
    let said = ok(room.hookos("second", &["images", "pull", &reference]));
    assert!(said.contains("mirror 127.0.0.1:1"), "{said}");
}

#[test]
fn a_mirror_that_fails_somehow_is_left_for_the_registry() {
    let room = Room::new();
    let [near, far] = ["near", "far"].map(|name| Registry::start(&room.path(name), ""));
    let (mirror, origin) = (Faults::before(&near.host), Faults::before(&far.host));
    let mirrored = format!(
        "silence_seconds = 1\n[registry.\"{}\"]\ntls = \"off\"\nmirrors = [\"{}\"]\n",
        origin.host, mirror.host
    );
    room.without_tls(&[&near.host, &mirror.host], &mirrored);
    let reference = format!("{}/tools:v1", origin.host);
    let image = room.image("maker", &reference, 1_000_000);
    ok(room.hookos("maker", &["images", "push", &reference]));
    ok(room.hookos("maker", &["images", "push", &reference, &format!("{}/tools:v1", near.host)]));
    for (n, (part, fault, rest)) in [
        ("/manifests/", Fault::Status(500), false),
        ("/manifests/", Fault::Status(401), false),
        ("/manifests/", Fault::Damage, false),
        ("/manifests/", Fault::Stall(std::time::Duration::from_secs(3)), false),
        ("/blobs/", Fault::Status(404), false),
        ("/blobs/", Fault::Damage, false),
        ("/blobs/", Fault::Cut(0), true),
    ]
    .into_iter()
    .enumerate()
    {
        for _ in 0..20 {
            mirror.plan("GET", part, fault.clone());
        }
        origin.seen();
        let store = format!("store{n}");
        let said = ok(room.hookos(&store, &["images", "pull", &reference]));
        assert_eq!(room.named(&store, &reference).unwrap().layers, image.layers, "{fault:?}");
        assert!(
            rest || said.contains("mirror 127.0.0.1") || matches!(fault, Fault::Damage),
            "{fault:?}: {said}"
        );
        assert!(origin.seen().iter().any(|seen| seen.line.contains(part)), "{fault:?}");
        room.is_sound(&store);
        mirror.drop_plan();
    }
}

#[test]
fn a_registry_behind_a_proxy_is_reached_by_its_name() {
    let room = Room::new();
    let authority = Authority::new();
    let (certificate, key) = authority.certificate("registry.test");
    let (crt, private) = (room.path("crt"), room.path("key"));
    fs::write(&crt, certificate).unwrap();
    fs::write(&private, key).unwrap();
    let plain = Registry::start(&room.path("plain"), "");
    let secure = Registry::start_with_tls(&room.path("secure"), &crt, &private, "");
    room.registries(
        "[registry.\"plain.test\"]\ntls = \"off\"\n[registry.\"registry.test\"]\nca = [\"ca.pem\"]\n",
    );
    fs::write(room.path("config/hookos/ca.pem"), authority.pem()).unwrap();
    // Names that only the proxy knows.
    let (to_plain, to_secure) = (Tunnel::to(&plain.host), Tunnel::to(&secure.host));
    let command = |store: &str, args: &[&str]| {
        let mut command = room.command(store, args);
        command.env("http_proxy", &to_plain.url).env("https_proxy", &to_secure.url);
        command
    };
    for (host, tunnel, first) in [
        ("plain.test", &to_plain, "http://plain.test/v2/"),
        ("registry.test", &to_secure, "CONNECT registry.test:443"),
    ] {
        let reference = format!("{host}/a:v1");
        let image = room.image("maker", &reference, 100_000);
        ok(command("maker", &["images", "push", &reference]).output().unwrap());
        ok(command(host, &["images", "pull", &reference]).output().unwrap());
        assert_eq!(room.named(host, &reference).unwrap().layers, image.layers);
        let asked = tunnel.asked();
        assert!(!asked.is_empty() && asked.iter().all(|line| line.contains(first)), "{asked:?}");

        let output =
            command("none", &["images", "pull", &reference]).env("no_proxy", ".test").output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains("no_proxy") && said.contains(host), "{said}");
        assert_eq!(tunnel.asked(), [""; 0], "no_proxy names it");
    }
}

/// An image for two platforms under `name` of the layout folder `to`.
fn for_two_platforms(room: &Room, to: &Path, name: &str) {
    let image = room.image("parts", "r.test/part:v1", 50_000);
    let store = Store::open(room.path("parts")).unwrap();
    oci::export_layout(&store, &image, to, "part").unwrap();
    let put = |value: &serde_json::Value, media_type: &str| {
        let bytes = value.to_string().into_bytes();
        let digest = Digest::of(&bytes);
        fs::write(to.join("blobs/sha256").join(digest.hex()), &bytes).unwrap();
        json!({"mediaType": media_type, "digest": digest.to_string(), "size": bytes.len()})
    };
    let read = |digest: &str| -> serde_json::Value {
        let path = to.join("blobs/sha256").join(digest.trim_start_matches("sha256:"));
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    let layout: serde_json::Value =
        serde_json::from_slice(&fs::read(to.join("index.json")).unwrap()).unwrap();
    let manifest = read(layout["manifests"][0]["digest"].as_str().unwrap());
    let config = read(manifest["config"]["digest"].as_str().unwrap());
    let parts: Vec<serde_json::Value> = ["arm64", "amd64"]
        .into_iter()
        .map(|architecture| {
            let (mut manifest, mut config) = (manifest.clone(), config.clone());
            config["architecture"] = json!(architecture);
            manifest["config"] = put(&config, "application/vnd.oci.image.config.v1+json");
            let mut part = put(&manifest, "application/vnd.oci.image.manifest.v1+json");
            part["platform"] = json!({"os": "linux", "architecture": architecture});
            part
        })
        .collect();
    let media_type = "application/vnd.oci.image.index.v1+json";
    let mut index =
        put(&json!({"schemaVersion": 2, "mediaType": media_type, "manifests": parts}), media_type);
    index["annotations"] = json!({"org.opencontainers.image.ref.name": name});
    fs::write(to.join("index.json"), json!({"schemaVersion": 2, "manifests": [index]}).to_string()).unwrap();
}

#[test]
fn an_image_for_several_platforms_is_pinned_pulled_and_carried() {
    let room = Room::new();
    let registry = Registry::start(room.folder.path(), "");
    room.without_tls(&[&registry.host], "");
    let layout = room.path("layout");
    for_two_platforms(&room, &layout, "v1");
    let (ours, theirs) =
        (format!("oci:{}:v1", layout.display()), format!("docker://{}/multi:v1", registry.host));
    run("skopeo", &["copy", "--all", "--insecure-policy", "--dest-tls-verify=false", &ours, &theirs]);
    let index = run("skopeo", &["inspect", "--tls-verify=false", "--format", "{{.Digest}}", &theirs]);
    let index = digest_of(&index);

    let (tagged, pinned) =
        (format!("{}/multi:v1", registry.host), format!("{}/multi@{index}", registry.host));
    for reference in [&tagged, &pinned] {
        ok(room.hookos("store", &["images", "pull", reference]));
    }
    let image = room.named("store", &pinned).unwrap();
    assert_eq!(room.named("store", &tagged).unwrap(), image);
    assert_ne!(image.manifest.to_string(), index);

    // Without a target its name has nowhere to go: it would get another digest.
    let said = room.fails("store", &["images", "push", &pinned]);
    assert!(said.contains("with a tag and without a digest") && !said.contains("400"), "{said}");
    ok(room.hookos("store", &["images", "push", &pinned, &format!("{}/again:v1", registry.host)]));

    // A stick carries what the digest stands for: the other side has the same image, and knows that.
    drop(registry);
    let stick = room.path("stick").display().to_string();
    ok(room.hookos("store", &["images", "export", &stick, &pinned, &tagged]));
    ok(room.hookos("second", &["images", "import", &stick]));
    assert_eq!(room.named("second", &pinned).unwrap(), image);
    assert_eq!(room.named("second", &tagged).unwrap(), image);
    ok(room.hookos("second", &["images", "pull", &pinned]));
    room.is_sound("second");

    // A stick that says another image were that is refused.
    room.image("evil", "evil.test/x:v1", 1000);
    let evil = room.path("evil-stick");
    ok(room.hookos("evil", &["images", "export", evil.to_str().unwrap(), "evil.test/x:v1"]));
    let text = fs::read_to_string(evil.join("index.json")).unwrap();
    fs::write(evil.join("index.json"), text.replace("evil.test/x:v1", &pinned)).unwrap();
    let said = room.fails("third", &["images", "import", evil.to_str().unwrap()]);
    assert!(said.contains("another image than its digest names"), "{said}");
    assert!(room.named("third", &pinned).is_none());
    assert!(!ok(room.hookos("third", &["images"])).contains(digest_of(&pinned)));
}
