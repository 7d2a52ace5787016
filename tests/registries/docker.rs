//! A real Docker engine as the other side.

use crate::engine::Engine;
use crate::room::{Room, digest_of};
use crate::support::{Registry, ok};

#[test]
fn docker_and_hookos_take_each_others_images() {
    let room = Room::new();
    let registry = Registry::start(room.folder.path(), "");
    room.without_tls(&[&registry.host], "");
    let engine = Engine::start(&room.path("engine"), &["--bridge=none"]);
    engine.base(&room.path("base"));
    let docker = |words: &[&str]| ok(engine.docker(words));

    // What docker pushes, and what it saves, under each of its names.
    let theirs = format!("{}/theirs:v1", registry.host);
    docker(&["tag", "base:1", &theirs]);
    let pushed = docker(&["push", &theirs]);
    ok(room.hookos("store", &["images", "pull", &theirs]));
    let image = room.named("store", &theirs).unwrap();
    assert_eq!(image.manifest.to_string(), digest_of(&pushed));
    let saved = room.path("saved.tar").display().to_string();
    docker(&["tag", "base:1", "other.test/name:2"]);
    docker(&["save", "--output", &saved, "base:1", "other.test/name:2"]);
    ok(room.hookos("second", &["images", "import", &saved]));
    for name in ["base:1", "other.test/name:2"] {
        assert_eq!(room.named("second", name).unwrap().layers, image.layers, "{name}");
    }

    // What we push, and what we export: docker's image ID is the digest of the configuration.
    let ours = format!("{}/ours:v1", registry.host);
    ok(room.hookos("store", &["images", "push", &theirs, &ours]));
    docker(&["pull", &ours]);
    let id = |name: &str| docker(&["image", "inspect", "--format", "{{.Id}}", name]);
    assert_eq!(id(&ours), id("base:1"));
    let made = room.image("store", "made.test/x:1", 100_000);
    let stick = room.path("stick.tar").display().to_string();
    ok(room.hookos("store", &["images", "export", &stick, "made.test/x:1", &theirs]));
    docker(&["rmi", "--force", id("base:1").trim()]);
    let loaded = docker(&["load", "--input", &stick]);
    assert!(loaded.contains("made.test/x:1") && loaded.contains(&theirs), "{loaded}");
    let layers = docker(&["image", "inspect", "--format", "{{json .RootFS.Layers}}", "made.test/x:1"]);
    assert_eq!(layers.trim(), serde_json::to_string(&made.layers).unwrap());
}
