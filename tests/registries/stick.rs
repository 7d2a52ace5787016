//! Images in files.

use crate::room::{Room, run};
use crate::support::ok;
use hookos::oci;
use hookos::store::Store;
use std::fs;

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
    let saved = format!("docker-archive:{archive}:saved.test/x:1");
    run("skopeo", &["copy", "--insecure-policy", "--additional-tag", "saved.test/y:2", &ours, &saved]);
    ok(room.hookos("third", &["images", "import", &archive]));
    for name in ["saved.test/x:1", "saved.test/y:2"] {
        assert_eq!(room.named("third", name).unwrap().layers, image.layers, "{name}");
    }
    // The same file is an archive of `docker save`.
    for name in ["r.test/tools:v1", "docker.io/library/more:v2"] {
        let copy = format!("dir:{}", room.path(name.split('/').next_back().unwrap()).display());
        run("skopeo", &["copy", "--insecure-policy", &format!("docker-archive:{tar}:{name}"), &copy]);
    }
    let nameless = room.path("layout").display().to_string();
    run("skopeo", &["copy", "--insecure-policy", &ours, &format!("oci:{nameless}")]);
    let said = room.fails("third", &["images", "import", &nameless]);
    assert!(said.contains("--name"), "{said}");
    ok(room.hookos("third", &["images", "import", &nameless, "--name", "given.test/y"]));
    assert!(room.named("third", "given.test/y:latest").is_some());

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
