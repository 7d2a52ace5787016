//! What is built reaches a registry and comes back: published, signed, shared between builders, carried on a
//! stick. Debian's docker-registry on loopback; skopeo, openssl, cosign and ORAS read what we write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "publishing/asked.rs"]
mod asked;
#[path = "support/faults.rs"]
mod faults;
#[path = "support/package.rs"]
mod package;
#[path = "publishing/signed.rs"]
mod signed;
mod support;
#[path = "publishing/tools.rs"]
mod tools;
#[path = "publishing/unfinished.rs"]
mod unfinished;

use hookos::oci::registry::Options;
use hookos::oci::repository::Repository as Remote;
use hookos::progress::Silent;
use hookos::store::Store;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use support::{ROOT, Registry, ok};

/// A registry, the user's settings for it, and `lab` as it was built.
struct Lab {
    folder: tempfile::TempDir,
    registry: Registry,
    out: PathBuf,
    store: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let registry = Registry::start(folder.path(), "");
        let store = support::work("store");
        // One image is enough for all.
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let out = BUILT.get_or_init(|| {
            let out = support::work("published");
            ok(support::build(Path::new(ROOT), &store, &out));
            out
        });
        let out = out.clone();
        let lab = Self { folder, registry, out, store };
        lab.without_tls(&[&lab.registry.host]);
        lab
    }

    /// The user says that these registries have no TLS.
    fn without_tls(&self, hosts: &[&str]) {
        fs::create_dir_all(self.path("config/hookos")).unwrap();
        let text: String =
            hosts.iter().map(|host| format!("[registry.\"{host}\"]\ntls = \"off\"\n")).collect();
        fs::write(self.path("config/hookos/registries.toml"), text).unwrap();
    }

    /// Somebody else who writes to the registry: its repository `name`, which may end in `:tag`.
    fn remote(&self, name: &str) -> Remote<'static> {
        let options = Options { insecure: vec![self.registry.host.clone()], ..Options::default() };
        Remote::open(&format!("{}/{name}", self.registry.host), &options, &Silent).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, store: &Path, args: &[&str]) -> Command {
        let mut command = support::hookos(Path::new(ROOT), store, args);
        command.env("XDG_CONFIG_HOME", self.path("config"));
        for proxy in ["http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        command
    }

    fn hookos(&self, args: &[&str]) -> Output {
        self.command(&self.store, args).output().unwrap()
    }

    fn publish(&self, command: &str, more: &[&str]) -> Output {
        self.publish_to(&self.registry.host, command, more)
    }

    fn publish_to(&self, host: &str, command: &str, more: &[&str]) -> Output {
        let out = self.out.to_str().unwrap();
        let mut args = vec![command, "lab", "--out", out, "--publish-registry", host];
        args.extend(more);
        self.hookos(&args)
    }

    /// As a machine whose store is `store`.
    fn hookos_in(&self, store: &str, args: &[&str]) -> Output {
        self.command(&self.path(store), args).output().unwrap()
    }

    /// The published file `name` of `reference` is the one that was built.
    #[track_caller]
    fn is_ours(&self, folder: &Path, name: &str) {
        assert!(fs::read(folder.join(name)).unwrap() == fs::read(self.out.join(name)).unwrap(), "{name}");
    }

    /// Digests of all files of an image.
    fn sums(&self, out: &Path) -> Vec<(String, hookos::store::Digest)> {
        let text = fs::read(out.join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let artifacts = manifest["artifacts"].as_array().unwrap();
        let name = |a: &serde_json::Value| a["name"].as_str().unwrap().to_owned();
        let all = artifacts.iter().map(|a| {
            let bytes = fs::read(out.join(name(a))).unwrap();
            assert_eq!(hookos::store::Digest::of(&bytes).to_string(), a["sha256"].as_str().unwrap());
            (name(a), hookos::store::Digest::of(&bytes))
        });
        all.collect()
    }
}

#[track_caller]
fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    ok(output.unwrap_or_else(|e| panic!("this test needs {program} (tests/run installs it): {e}")))
}

/// `sha256sum --check`, of all that the list names.
#[track_caller]
fn check(folder: &Path) -> String {
    let mut command = Command::new("sha256sum");
    ok(command.args(["--check", "--strict", "SHA256SUMS"]).current_dir(folder).output().unwrap())
}

fn sha256(bytes: &[u8]) -> String {
    hookos::store::Digest::of(bytes).hex()
}

/// A manifest as skopeo reads it.
#[track_caller]
fn raw_bytes(reference: &str) -> String {
    run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")])
}

#[test]
fn an_image_is_published_with_what_is_to_be_known_of_it() {
    let lab = Lab::new();
    let version = ["--publish-version", "1.2.3"];
    let said = ok(lab.publish("artifact-publish", &version));
    assert!(said.contains("edge-orch/en/files/provisioning-hook-os:1.2.3 is published"), "{said}");
    assert!(said.contains("edge-orch/edge-node/hook-kernel:5.10."), "{said}");
    let reference = format!("{}/edge-orch/en/files/provisioning-hook-os:1.2.3", lab.registry.host);
    let raw: serde_json::Value = serde_json::from_str(&raw_bytes(&reference)).unwrap();
    assert_eq!(raw["artifactType"], "application/vnd.intel.hookos.file");
    assert_eq!(raw["layers"][0]["annotations"]["org.opencontainers.image.title"], "hook_x86_64.tar.gz");

    // The same once more changes nothing; another image does not take the tag unless it is forced to.
    let again = ok(lab.publish("artifact-publish", &version));
    assert!(again.matches("was there").count() == 2, "{again}");
    let other = lab.path("other");
    ok(lab.hookos(&[
        "build",
        "lab",
        "--out",
        other.to_str().unwrap(),
        "--cluster-domain",
        "other.example.com",
    ]));
    let mut args = vec!["publish-binaries-ci", "lab", "--out", other.to_str().unwrap()];
    args.extend(["--publish-registry", &lab.registry.host, "--publish-version", "1.2.3"]);
    let refused = lab.hookos(&args);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(refused.status.code() == Some(1) && text.contains("--force"), "{text}");

    // A site is put on it without a build, and it can be looked into.
    let site = lab.path("site");
    let to = site.to_str().unwrap();
    let words =
        ["stamp", &reference, "--profile", "lab", "--cluster-domain", "site.example.com", "--out", to];
    ok(lab.hookos(&words));
    let seen = ok(lab.hookos(&["inspect", &reference, site.to_str().unwrap()]));
    assert!(seen.contains("site.example.com"), "{seen}");

    // It comes back whole, with checksums of all that came.
    let back = lab.path("back");
    ok(lab.hookos_in("fresh", &["images", "fetch", &reference, "--out", back.to_str().unwrap()]));
    let names = ["hook_x86_64.tar.gz", "manifest.json", "sbom.cdx.json", "provenance.intoto.json"];
    names.iter().for_each(|name| lab.is_ours(&back, name));
    let checked = check(&back);
    assert!(names.iter().all(|name| checked.contains(&format!("{name}: OK"))), "{checked}");
    assert_eq!(fs::read_dir(&back).unwrap().count(), names.len() + 1);

    // Each refers to the image, for whoever lists referrers.
    let digest = format!("sha256:{}", sha256(raw_bytes(&reference).as_bytes()));
    let list = format!("{}:{}", reference.rsplit_once(':').unwrap().0, digest.replace(':', "-"));
    let list: serde_json::Value = serde_json::from_str(&raw_bytes(&list)).unwrap();
    let kinds: Vec<_> =
        list["manifests"].as_array().unwrap().iter().map(|m| m["artifactType"].as_str().unwrap()).collect();
    for kind in ["hookos.checksums.v1", "cyclonedx+json", "hookos.record.v1+json", "in-toto+json"] {
        assert!(kinds.iter().any(|found| found.ends_with(kind)), "{kind} is not in {kinds:?}");
    }

    // A kernel's image has as much: the files in it are what the checksums say.
    let kernel = said.lines().find(|line| line.contains("hook-kernel:")).unwrap().split(' ').next().unwrap();
    let about = lab.path("kernel");
    ok(lab.hookos_in("fresh", &["images", "fetch", kernel, "--out", about.to_str().unwrap()]));
    let bom = fs::read_to_string(about.join("sbom.cdx.json")).unwrap();
    assert!(bom.contains("pkg:deb/debian/linux-image-"), "{bom}");
    let layers = lab.path("layers");
    let copied = format!("dir:{}", layers.display());
    run(
        "skopeo",
        &["copy", "--insecure-policy", "--src-tls-verify=false", &format!("docker://{kernel}"), &copied],
    );
    let text = fs::read(layers.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let layer = manifest["layers"][0]["digest"].as_str().unwrap().trim_start_matches("sha256:");
    run("tar", &["-xzf", layers.join(layer).to_str().unwrap(), "-C", about.to_str().unwrap()]);
    assert!(check(&about).contains("kernel.tar: OK"));

    args.push("--force");
    assert!(ok(lab.hookos(&args)).contains("is published"));
    // Somebody else's archive is not published under this record.
    fs::write(other.join("hook_x86_64.tar.gz"), "other").unwrap();
    let mixed = lab.hookos(&args);
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("not the one"), "{mixed:?}");
}

#[test]
fn two_builders_share_their_work_through_a_registry() {
    let lab = Lab::new();
    let cache = format!("{}/hookos/cache", lab.registry.host);
    let (first, second) = (lab.path("first"), lab.path("second"));
    let to = ["build", "lab", "--out", first.to_str().unwrap(), "--cache-to", &cache];
    let said = ok(lab.hookos(&to));
    assert!(said.contains("results sent"), "{said}");
    let again = ok(lab.hookos(&to));
    assert!(again.contains(" 0 results sent"), "{again}");
    // A builder that has nothing: no package, no compiler's work.
    let empty = lab.path("empty");
    let from = ["build", "lab", "--out", second.to_str().unwrap(), "--cache-from", &cache, "--locked"];
    let said = ok(lab.command(&empty, &from).output().unwrap());
    assert!(said.contains("comes from"), "{said}");
    assert!(!said.contains("downloading") && !said.contains("Compiling"), "{said}");
    assert_eq!(lab.sums(&second), lab.sums(&first));
    // A cache that is gone costs a warning, not the build.
    let gone = ["build", "lab", "--out", second.to_str().unwrap(), "--cache-from", "127.0.0.1:1/x"];
    ok(lab.command(&empty, &gone).output().unwrap());
}

#[test]
fn a_stick_builds_a_profile_without_network() {
    let lab = Lab::new();
    let stick = lab.path("stick.tar");
    ok(lab.hookos(&["images", "export", stick.to_str().unwrap(), "--profile", "lab"]));
    let empty = lab.path("empty");
    let before = lab.hookos(&["images", "export", stick.to_str().unwrap(), "missing:v1"]);
    assert_eq!(before.status.code(), Some(2), "{before:?}");
    let unbuilt = lab.command(&empty, &["images", "export", "x.tar", "--profile", "lab"]).output().unwrap();
    assert!(String::from_utf8_lossy(&unbuilt.stderr).contains("hookos build lab"), "{unbuilt:?}");
    ok(lab.command(&empty, &["images", "import", stick.to_str().unwrap()]).output().unwrap());
    let planned = ok(lab.command(&empty, &["build", "lab", "--dry-run"]).output().unwrap());
    assert!(!planned.contains("to do"), "{planned}");
    let out = lab.path("out");
    let mut build = lab.command(&empty, &["build", "lab", "--out", out.to_str().unwrap()]);
    // No route leads anywhere.
    build.env("http_proxy", "http://127.0.0.1:1").env("https_proxy", "http://127.0.0.1:1");
    ok(build.output().unwrap());
    assert_eq!(lab.sums(&out), lab.sums(&lab.out));
    assert!(Store::open(&empty).unwrap().contents().unwrap().blobs > 10);
}
