//! Packages and recipes on the real archive. Needs apt, Debian's archive keyring and the network.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hookos::component::{self, Built, Context, Definition};
use hookos::debian::apt::{Apt, Freshness, Settings};
use hookos::debian::lock::Mode;
use hookos::debian::{Error, deb};
use hookos::initramfs::tree::{Content, Kind, TreePath};
use hookos::oci;
use hookos::progress::Silent;
use hookos::store::Store;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use support::Registry;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn packages_of_two_suites_are_resolved_fetched_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let apt = Apt::new(&store, &Settings::default());
    for (suite, wanted) in [("trixie", "busybox-static"), ("bullseye", "busybox-static")] {
        let found = apt.resolve(suite, &names(&[wanted]), &[], Freshness::Now, &Silent).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        apt.fetch(suite, &found, &Silent).unwrap();
        let (control, tree) = deb::contents(&store, &found[0].sha256).unwrap();
        assert_eq!(control.field("Version"), found[0].version);
        assert!(tree.iter().any(|(p, _)| p.name() == b"busybox"), "{suite}");
    }
    let error =
        apt.resolve("trixie", &names(&["no-such-package-x"]), &[], Freshness::Any, &Silent).unwrap_err();
    let text = hookos::problem::Problem::from(error).to_string();
    assert!(text.contains("no-such-package-x"), "{text}");
    let error = apt.resolve("nosuchsuite", &names(&["bash"]), &[], Freshness::Any, &Silent).unwrap_err();
    assert!(matches!(error, Error::Update { .. }), "{error}");
    println!("{}", hookos::problem::Problem::from(error));
    // A version that the archive does not have.
    let mut gone = apt.resolve("trixie", &names(&["busybox-static"]), &[], Freshness::Any, &Silent).unwrap();
    gone[0].version = "1:0.1-1".to_owned();
    gone[0].sha256 = hookos::store::Digest::of(b"gone");
    let error = apt.fetch("trixie", &gone, &Silent).unwrap_err();
    assert!(
        matches!(&error, Error::Gone { name, available, .. } if name == "busybox-static" && available.len() == 1)
    );
}

/// A folder of components as a person would write them.
fn write_component(root: &Path, name: &str, text: &str) -> Definition {
    let folder = root.join(name);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("component.toml"), text).unwrap();
    component::load(&folder).unwrap()
}

fn context(store: &Store, settings: &Settings, mode: Mode) -> Context {
    Context::new(store, env!("CARGO_MANIFEST_DIR"), settings, mode)
}

fn broken() -> Settings {
    Settings { mirror: Some("http://127.0.0.1:9/debian".to_owned()), security_mirror: None }
}

const BUSYBOX: &str = r#"
description = "a shell"
[recipe]
suite = "trixie"
packages = ["busybox-static"]
[[recipe.links]]
path = "/bin/sh"
target = "busybox"
[[recipe.users]]
name = "_x"
uid = 110
gid = 110
[[recipe.files]]
path = "/sbin/hello"
contents = "hello\n"
mode = "0755"
[run]
stage = "service"
command = ["/bin/sh"]
"#;

const CERTIFICATES: &str = r#"
description = "TLS"
[recipe]
suite = "bullseye"
packages = ["ca-certificates"]
leave_out = ["debconf"]
drop = ["usr/share/ca-certificates"]
ca_bundle = true
[run]
stage = "onboot"
command = ["/usr/bin/openssl"]
"#;

/// Builds components side by side, as a build does.
fn build(ctx: &Context, all: &[&Definition]) -> Vec<Built> {
    component::prepare(ctx, all, &Silent).unwrap();
    std::thread::scope(|scope| {
        let mut running = Vec::new();
        for definition in all {
            running.push(scope.spawn(|| component::build_one(ctx, definition, &Silent).unwrap()));
        }
        running.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

#[test]
fn two_stores_give_the_same_images_and_a_lock_needs_no_network() {
    let root = tempfile::tempdir().unwrap();
    let definitions = [
        write_component(root.path(), "busybox", BUSYBOX),
        write_component(root.path(), "certificates", CERTIFICATES),
    ];
    let all: Vec<&Definition> = definitions.iter().collect();
    let mut images = Vec::new();
    for name in ["store-1", "store-2"] {
        let store = Store::open(root.path().join(name)).unwrap();
        let ctx = context(&store, &Settings::default(), Mode::Default);
        let built = build(&ctx, &all);
        assert!(built.iter().all(|b| !b.cached));
        images.push(built.iter().map(|b| b.image.manifest).collect::<Vec<_>>());

        // Again, with no way to an archive: from the store.
        let ctx = context(&store, &broken(), Mode::Locked);
        let again = build(&ctx, &all);
        assert!(again.iter().all(|b| b.cached));
        assert_eq!(again[1].packages, built[1].packages);

        // And with the images forgotten: from the packages in the store.
        fs::remove_dir_all(root.path().join(name).join("work")).unwrap();
        let store = Store::open(root.path().join(name)).unwrap();
        let ctx = context(&store, &broken(), Mode::Locked);
        let anew = build(&ctx, &all);
        assert!(anew.iter().all(|b| !b.cached));
        assert_eq!(anew.iter().map(|b| b.image.manifest).collect::<Vec<_>>(), images[0]);

        let tree = oci::image_tree(&store, &anew[1].image).unwrap();
        let get = |path: &str| tree.get(&TreePath::new(path).unwrap()).cloned();
        assert!(matches!(&get("lib").unwrap().kind, Kind::Symlink(to) if to == b"usr/lib"));
        assert!(get("usr/lib/x86_64-linux-gnu/libc.so.6").is_some(), "bullseye ships it in /lib");
        assert!(get("usr/share/doc").is_none() && get("usr/share/ca-certificates").is_none());
        let Kind::File(bundle) = &get("etc/ssl/certs/ca-certificates.crt").unwrap().kind else { panic!() };
        assert!(bundle.len() > 100_000, "{bundle:?}");
        let openssl = built[1].packages.iter().find(|p| p.name == "openssl").unwrap();
        assert_eq!(openssl.source, "openssl");
        let libc = built[1].packages.iter().find(|p| p.name == "libc6").unwrap();
        assert_eq!(libc.source, "glibc");
        assert!(built[1].packages.iter().any(|p| !p.licences.is_empty()));
        assert!(built[1].packages.iter().all(|p| p.name != "debconf"));

        let tree = oci::image_tree(&store, &anew[0].image).unwrap();
        let get = |path: &str| tree.get(&TreePath::new(path).unwrap()).cloned();
        assert!(matches!(&get("usr/bin/sh").unwrap().kind, Kind::Symlink(to) if to == b"busybox"));
        assert_eq!(get("usr/sbin/hello").unwrap().mode, 0o755);
        assert_eq!(anew[0].image.config.labels["org.mobyproject.config"], r#"{"command":["/bin/sh"]}"#);
        for line in ["_x:*:110:110::/nonexistent:/usr/sbin/nologin\n", "root:*:0:0:root:/root:/bin/sh\n"] {
            let Kind::File(Content::Blob { digest, offset, len }) = &get("etc/passwd").unwrap().kind else {
                panic!()
            };
            let blob = store.read(digest).unwrap();
            let text =
                String::from_utf8_lossy(&blob[*offset as usize..(*offset + *len) as usize]).into_owned();
            assert!(text.contains(line), "{text}");
        }
    }
    assert_eq!(images[0], images[1]);
    let lock = fs::read_to_string(root.path().join("certificates/packages.lock")).unwrap();
    assert!(!lock.contains("://"), "a lock names no host");

    // The layer is a tar that everybody reads.
    let store = Store::open(root.path().join("store-1")).unwrap();
    let ctx = context(&store, &broken(), Mode::Locked);
    let built = component::build_one(&ctx, all[1], &Silent).unwrap();
    let listing = Command::new("tar").arg("-tf").arg(store.path(&built.image.layers[0])).output().unwrap();
    assert!(listing.status.success(), "{}", String::from_utf8_lossy(&listing.stderr));
    assert!(String::from_utf8_lossy(&listing.stdout).contains("usr/bin/openssl"));
}

#[test]
fn locks_are_enforced_and_renewed() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store")).unwrap();
    let definition = write_component(root.path(), "busybox", BUSYBOX);
    let lock = root.path().join("busybox/packages.lock");

    let locked = context(&store, &Settings::default(), Mode::Locked);
    let text = component::build_one(&locked, &definition, &Silent).unwrap_err().to_string();
    assert!(
        text.contains("no package lock") && text.contains("hookos components --update busybox"),
        "{text}"
    );

    let ctx = context(&store, &Settings::default(), Mode::Default);
    component::build_one(&ctx, &definition, &Silent).unwrap();
    let right = fs::read_to_string(&lock).unwrap();

    // A lock of an older archive: refused when locked, renewed otherwise.
    let version = right.lines().find(|l| l.starts_with("version = \"")).unwrap();
    let sha = right.lines().find(|l| l.starts_with("sha256 = \"")).unwrap();
    let old = right
        .replace(version, "version = \"1:0.1-1\"")
        .replace(sha, &format!("sha256 = \"sha256:{}\"", "0".repeat(64)));
    fs::write(&lock, &old).unwrap();
    let text = component::build_one(&locked, &definition, &Silent).unwrap_err().to_string();
    let named =
        ["busybox-static 1:0.1-1", "packages.lock", "--update", "trixie"].iter().all(|w| text.contains(w));
    assert!(named, "{text}");
    assert_eq!(fs::read_to_string(&lock).unwrap(), old, "a locked build changes nothing");
    component::build_one(&ctx, &definition, &Silent).unwrap();
    assert_eq!(fs::read_to_string(&lock).unwrap(), right);

    // An edit of component.toml.
    let edited =
        write_component(root.path(), "busybox", &BUSYBOX.replace("[\"busybox-static\"]", "[\"busybox\"]"));
    let text = component::build_one(&locked, &edited, &Silent).unwrap_err().to_string();
    assert!(text.contains("busybox is new") && text.contains("busybox-static is gone"), "{text}");
    let built = component::build_one(&ctx, &edited, &Silent).unwrap();
    assert!(built.packages.iter().any(|p| p.name == "libc6"));

    // The same version with other bytes.
    let text = right.replace(sha, &format!("sha256 = \"sha256:{}\"", "1".repeat(64)));
    fs::write(&lock, text).unwrap();
    let definition = write_component(root.path(), "busybox", BUSYBOX);
    let text = component::build_one(&ctx, &definition, &Silent).unwrap_err().to_string();
    assert!(text.contains("was asked for") && text.contains("do not use this mirror"), "{text}");
    let update = context(&store, &Settings::default(), Mode::Update);
    component::build_one(&update, &definition, &Silent).unwrap();
    assert_eq!(fs::read_to_string(&lock).unwrap(), right);

    // No way to the archive.
    let other = Store::open(root.path().join("empty")).unwrap();
    let text = component::build_one(&context(&other, &broken(), Mode::Locked), &definition, &Silent)
        .unwrap_err()
        .to_string();
    assert!(text.contains("127.0.0.1") && text.contains("try:"), "{text}");
}

#[test]
fn a_library_that_was_left_out_is_named() {
    let root = tempfile::tempdir().unwrap();
    let store = Store::open(root.path().join("store")).unwrap();
    let text = BUSYBOX.replace("[\"busybox-static\"]", "[\"busybox\"]\nleave_out = [\"libc6\"]");
    let definition = write_component(root.path(), "shell", &text);
    let ctx = context(&store, &Settings::default(), Mode::Default);
    let text = component::build_one(&ctx, &definition, &Silent).unwrap_err().to_string();
    assert!(text.contains("libc.so.6 is needed by /usr/bin/busybox"), "{text}");
    assert!(text.contains("take libc6 out of `leave_out`"), "{text}");
}

/// Runs the locked, the resolving and the fetching steps as somebody who is not root: this test calls
/// itself through `setpriv` when it is root.
#[test]
fn an_ordinary_user_builds_too() {
    const INNER: &str = "HOOKOS_TEST_ORDINARY_USER";
    if let Some(folder) = std::env::var_os(INNER) {
        let root = Path::new(&folder);
        let store = Store::open(root.join("store")).unwrap();
        let definition = write_component(root, "busybox", BUSYBOX);
        let ctx = context(&store, &Settings::default(), Mode::Default);
        let built = component::build_one(&ctx, &definition, &Silent).unwrap();
        println!("manifest {}", built.image.manifest);
        return;
    }
    let root = tempfile::tempdir().unwrap();
    let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
    // The folder of the test programs may be closed to others, so they run a copy.
    let program = root.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    for path in [root.path(), &program] {
        fs::set_permissions(path, PermissionsExt::from_mode(0o777)).unwrap();
    }
    let mut command = if is_root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups"]).arg(&program);
        command
    } else {
        Command::new(&program)
    };
    let output = command
        .args(["--exact", "an_ordinary_user_builds_too", "--nocapture"])
        .current_dir(root.path())
        .env(INNER, root.path())
        .env("HOME", root.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let manifest = said.lines().find_map(|l| l.split("manifest ").nth(1)).unwrap().trim().to_owned();
    let store = Store::open(root.path().join("root-store")).unwrap();
    let definition = component::load(&root.path().join("busybox")).unwrap();
    let built =
        component::build_one(&context(&store, &Settings::default(), Mode::Locked), &definition, &Silent)
            .unwrap();
    assert_eq!(built.image.manifest.to_string(), manifest);
}

/// Puts an image into the registry as `hello:1`.
fn push(registry: &Registry, maker: &Store, image: &oci::Image, folder: &Path) {
    let layout = folder.join("layout");
    oci::export_layout(maker, image, &layout, "hello").unwrap();
    let output = Command::new("skopeo")
        .args(["copy", "--insecure-policy", "--dest-tls-verify=false"])
        .arg(format!("oci:{}:hello", layout.display()))
        .arg(format!("docker://{}/hello:1", registry.host))
        .output()
        .expect("this test needs the program skopeo: apt-get install skopeo");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn an_image_of_a_registry_is_a_component() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::start(root.path(), "");
    let maker = Store::open(root.path().join("maker")).unwrap();
    let mut tree = hookos::initramfs::tree::Tree::new();
    let hello = TreePath::new("hello").unwrap();
    tree.insert(hello.clone(), hookos::initramfs::tree::Node::file(b"hello".to_vec(), 0o755, 1));
    let layer = oci::write_layer(&maker, &tree, 1).unwrap();
    let config = oci::Config { cmd: vec!["/hello".to_owned()], ..oci::Config::default() };
    let image = oci::write_image(&maker, &[layer], &config).unwrap();
    push(&registry, &maker, &image, root.path());

    let store = Store::open(root.path().join("store")).unwrap();
    let text = format!(
        "description = \"x\"\nimage = \"{}/hello:1\"\n[run]\nstage = \"service\"\nnet = \"host\"\n",
        registry.host
    );
    let definition = write_component(root.path(), "hello", &text);
    let options = oci::registry::Options { insecure: vec![registry.host.clone()], ..Default::default() };
    let ctx = context(&store, &broken(), Mode::Locked).with_registry(options);
    let built = component::build_one(&ctx, &definition, &Silent).unwrap();
    assert!(!built.cached);
    assert_eq!(built.image.config.labels["org.mobyproject.config"], r#"{"net":"host"}"#);
    assert_eq!(built.image.config.cmd, ["/hello"]);
    assert_eq!(oci::read_image(&store, &built.image.manifest).unwrap(), built.image);
    assert!(oci::image_tree(&store, &built.image).unwrap().get(&hello).is_some());
    drop(registry);
    let again = component::build_one(&ctx, &definition, &Silent).unwrap();
    assert!(again.cached);
    assert_eq!(again.image, built.image);
    let text = text.replace("hello:1", "hello:2");
    let definition = write_component(root.path(), "hello", &text);
    let text = component::build_one(&ctx, &definition, &Silent).unwrap_err().to_string();
    assert!(text.contains("hello:2") && text.contains("component.toml"), "{text}");
}

#[test]
fn a_component_puts_files_and_programs_over_an_image_of_a_registry() {
    let root = tempfile::tempdir().unwrap();
    let registry = Registry::start(root.path(), "");
    let maker = Store::open(root.path().join("maker")).unwrap();
    let mut tree = hookos::initramfs::tree::Tree::new();
    let at = |path: &str| TreePath::new(path).unwrap();
    let mut private = hookos::initramfs::tree::Node::directory(0o700, 50);
    private.uid = 7;
    tree.insert(at("private"), private);
    tree.insert(at("usr"), hookos::initramfs::tree::Node::directory(0o755, 50));
    tree.insert(at("usr/bin"), hookos::initramfs::tree::Node::directory(0o755, 50));
    tree.insert(at("bin"), hookos::initramfs::tree::Node::symlink(b"usr/bin", 50));
    tree.insert(at("usr/bin/a"), hookos::initramfs::tree::Node::file(b"theirs".to_vec(), 0o755, 90));
    let layer = oci::write_layer(&maker, &tree, 100).unwrap();
    let image = oci::write_image(&maker, &[layer], &oci::Config::default()).unwrap();
    push(&registry, &maker, &image, root.path());

    let text = format!(
        r#"
description = "x"
image = "{}/hello:1"
[[files]]
path = "/private/ours"
source = "ours"
uid = 3
[[files]]
path = "/bin/a"
contents = "replaced"
mode = "0700"
[[binaries]]
package = "hookos-collector"
binary = "hookos-collector"
path = "/opt/new/collector"
[[links]]
path = "/usr/bin/b"
target = "a"
[run]
stage = "service"
"#,
        registry.host
    );
    fs::create_dir_all(root.path().join("hello")).unwrap();
    fs::write(root.path().join("hello/ours"), "ours").unwrap();
    let definition = write_component(root.path(), "hello", &text);
    let store = Store::open(root.path().join("store")).unwrap();
    let options = oci::registry::Options { insecure: vec![registry.host.clone()], ..Default::default() };
    let ctx = context(&store, &broken(), Mode::Locked).with_registry(options);
    let built = component::build_one(&ctx, &definition, &Silent).unwrap();
    assert_eq!(built.image.layers.len(), 2, "theirs is as it was, ours on top");
    assert_eq!(built.image.layers[0], layer.diff_id);
    let tree = oci::image_tree(&store, &built.image).unwrap();
    let node = |path: &str| tree.get(&at(path)).unwrap_or_else(|| panic!("no {path}")).clone();
    let folder = node("private");
    assert_eq!((folder.mode & 0o7777, folder.uid, folder.mtime), (0o700, 7, 50), "a folder keeps its owner");
    let ours = node("private/ours");
    assert_eq!((ours.mode & 0o7777, ours.uid, ours.mtime), (0o644, 3, 90), "no time of a checkout");
    assert!(matches!(node("bin").kind, Kind::Symlink(_)), "a link stays a link");
    assert_eq!(node("usr/bin/a").mode & 0o7777, 0o700);
    assert!(matches!(node("usr/bin/b").kind, Kind::Symlink(_)));
    assert!(
        matches!(&node("opt/new/collector").kind, Kind::File(Content::Blob { len, .. }) if *len > 100_000)
    );
    assert!(
        built.inputs.iter().any(|i| i.kind == "file") && built.inputs.iter().any(|i| i.kind == "program")
    );
    assert!(built.crates.iter().any(|c| c.name == "hookos-collector"));
    let again = component::build_one(&ctx, &definition, &Silent).unwrap();
    assert_eq!((&again.image, &again.key), (&built.image, &built.key));
    // The file's bytes are part of the key.
    fs::write(root.path().join("hello/ours"), "other").unwrap();
    let changed = component::build_one(&ctx, &definition, &Silent).unwrap();
    assert!(changed.key != built.key && changed.image != built.image);
}

#[test]
fn a_registry_that_cannot_be_reached_leads_to_another_component_of_the_role() {
    let root = tempfile::tempdir().unwrap();
    let text = "description = \"x\"\nrole = \"logging\"\nimage = \"127.0.0.1:9/hello:1\"\n";
    let definition = write_component(root.path(), "hello", text);
    let store = Store::open(root.path().join("store")).unwrap();
    let ctx = context(&store, &broken(), Mode::Locked);
    let alone = component::build_one(&ctx, &definition, &Silent).unwrap_err().to_string();
    assert!(alone.contains("the registry 127.0.0.1:9") && !alone.contains("roles"), "{alone}");
    write_component(root.path(), "other", "description = \"x\"\nrole = \"logging\"\n[recipe]\n");
    write_component(root.path(), "far", &text.replace("hello", "far"));
    write_component(root.path(), "unlike", "description = \"x\"\nrole = \"ntp\"\n[recipe]\n");
    let text = component::build_one(&ctx, &definition, &Silent).unwrap_err().to_string();
    assert!(text.contains("roles = [\"logging=other\"]") && text.contains("--roles logging=other"), "{text}");
    assert!(!text.contains("unlike") && !text.contains("logging=far"), "{text}");
}
