//! Builds that are to take only what is signed from registries, and only what they do not have.

use super::*;
use faults::Faults;
use hookos::initramfs::tree::{Node, Tree, TreePath};
use hookos::oci;
use hookos::oci::artifact::MANIFEST;
use hookos::oci::signature::{self, SigningKey};

const NO_SIGNATURE: &str = "no signature of this key";

/// Signs what a tag of the repository names.
fn sign(there: &Remote<'_>, tag: &str, key: &str) {
    let found = there.find(tag).unwrap().unwrap();
    signature::sign(there, &found, &SigningKey::read(Path::new(key), None).unwrap()).unwrap();
}

#[test]
fn a_build_takes_an_image_of_a_registry_only_if_it_is_signed() {
    let lab = Lab::new();
    let proxy = Faults::before(&lab.registry.host);
    lab.without_tls(&[&lab.registry.host, &proxy.host]);
    let (key, public) = signed::keys(&lab, "ours");
    let (_, other) = signed::keys(&lab, "other");
    let reference = format!("{}/site/tools:v1", proxy.host);
    let store = Store::open(lab.path("theirs")).unwrap();
    let mut tree = Tree::new();
    tree.insert(TreePath::new("tool").unwrap(), Node::file(b"tool".to_vec(), 0o755, 1));
    let layer = oci::write_layer(&store, &tree, 1).unwrap();
    let config = oci::Config { cmd: vec!["/tool".to_owned()], ..oci::Config::default() };
    let image = oci::write_image(&store, &[layer], &config).unwrap();
    oci::registry::set_name(&store, &reference, &image).unwrap();
    ok(lab.hookos_in("theirs", &["images", "push", &reference]));

    let text = fs::read_to_string(Path::new(ROOT).join("components/hook.yaml")).unwrap();
    let service = format!("\nservices:\n  - name: tool\n    image: {reference}\n");
    let definition = lab.path("tools.yaml");
    fs::write(&definition, text.replacen("\nservices:\n", &service, 1)).unwrap();
    let out = lab.path("out");
    let build = |more: &[&str], variable: &str| {
        let mut args = vec!["build", "lab", "--definition", definition.to_str().unwrap()];
        args.extend(["--out", out.to_str().unwrap()]);
        args.extend(more);
        lab.command(&lab.store, &args).env("HOOKOS_VERIFY_KEY", variable).output().unwrap()
    };
    let refused = |output: Output| {
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && text.contains(NO_SIGNATURE), "{text}");
    };
    let by_registry = |public: &str| {
        let text = format!("[registry.\"{}\"]\ntls = \"off\"\nverify_key = \"{public}\"\n", proxy.host);
        fs::write(lab.path("config/hookos/registries.toml"), text).unwrap();
    };
    refused(build(&["--verify-key", &public], ""));
    refused(build(&[], &public));
    by_registry(&public);
    refused(build(&[], ""));
    lab.without_tls(&[&proxy.host]);
    ok(build(&[], ""));
    // It is in the store now, unchecked.
    refused(build(&["--verify-key", &public], ""));
    by_registry(&public);
    refused(build(&[], ""));
    refused(lab.hookos(&["images", "pull", &reference]));
    sign(&lab.remote("site/tools"), "v1", &key);
    ok(build(&[], ""));
    // The command's own key takes the place of the registry's.
    refused(build(&["--verify-key", &other], ""));
    // What was checked once is not asked for again.
    proxy.seen();
    ok(build(&["--verify-key", &public], ""));
    assert_eq!(proxy.seen().len(), 0);
    // A mirror that has the image may have its signature too; the registry itself cannot be reached.
    let nowhere = format!("[registry.\"127.0.0.1:1\"]\ntls = \"off\"\nmirrors = [\"{}\"]\n", proxy.host);
    let text = format!("{nowhere}[registry.\"{}\"]\ntls = \"off\"\n", proxy.host);
    fs::write(lab.path("config/hookos/registries.toml"), text).unwrap();
    let pull = ["images", "pull", "127.0.0.1:1/site/tools:v1", "--verify-key", &public];
    ok(lab.hookos_in("fresh", &pull));
    let gone = build(&["--verify-key", "gone.pub"], "");
    assert!(gone.status.code() == Some(2) && String::from_utf8_lossy(&gone.stderr).contains("gone.pub"));
}

#[test]
fn a_kernel_of_the_release_service_is_taken_only_if_it_is_signed() {
    let lab = Lab::new();
    let proxy = Faults::before(&lab.registry.host);
    lab.without_tls(&[&lab.registry.host, &proxy.host]);
    let (key, public) = signed::keys(&lab, "ours");
    // Debian's kernel stands for one that somebody has compiled.
    let said = ok(lab.publish("push-kernel-ci", &["--publish-kernel-repository", "kernels"]));
    let tag = said.split([' ', ':']).find(|word| word.starts_with("5.10.")).unwrap();
    // Its release is 5.10.0-N-amd64.
    let source = ["--kernel-source", "source", "--kernel-point", "0"];
    let plan = ok(lab.hookos(&[&["kernel", "lab", "--dry-run", "--json"], &source[..]].concat()));
    let plan: serde_json::Value = serde_json::from_str(plan.trim()).unwrap();
    let wanted = plan["tag"].as_str().unwrap();
    let there = lab.remote("kernels");
    let manifest = there.manifest(tag).unwrap().unwrap();
    there.put_manifest(wanted, MANIFEST, &manifest).unwrap();

    let (repository, out) = (format!("{}/kernels", proxy.host), lab.path("out"));
    let binaries = |more: &[&str]| {
        let mut args = vec!["binaries", "lab", "--kernel-repository", &repository];
        args.extend(source);
        args.extend(["--out", out.to_str().unwrap()]);
        args.extend(more);
        lab.hookos(&args)
    };
    let refused = || {
        let output = binaries(&["--verify-key", &public]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{text}");
        assert!(text.contains(NO_SIGNATURE) && text.contains("`hookos kernel lab`"), "{text}");
    };
    refused();
    ok(binaries(&[]));
    proxy.seen();
    ok(binaries(&[]));
    assert_eq!(proxy.seen().len(), 0, "it is in the store");
    refused();
    sign(&there, wanted, &key);
    ok(binaries(&["--verify-key", &public]));
    proxy.seen();
    ok(binaries(&["--verify-key", &public]));
    assert_eq!(proxy.seen().len(), 0, "it was checked");
}
