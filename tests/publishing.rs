//! What is built reaches a registry and comes back: published, signed, shared between builders, carried on a
//! stick. Debian's docker-registry on loopback; skopeo and openssl read what we write.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

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
        fs::create_dir_all(folder.path().join("config/hookos")).unwrap();
        let settings = format!("[registry.\"{}\"]\ntls = \"off\"\n", registry.host);
        fs::write(folder.path().join("config/hookos/registries.toml"), settings).unwrap();
        let store = support::work("store");
        // One image is enough for all.
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let out = BUILT.get_or_init(|| {
            let out = support::work("published");
            ok(support::build(Path::new(ROOT), &store, &out));
            out
        });
        let out = out.clone();
        Self { folder, registry, out, store }
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
        let out = self.out.to_str().unwrap();
        let mut args = vec![command, "lab", "--out", out, "--publish-registry", &self.registry.host];
        args.extend(more);
        self.hookos(&args)
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

#[test]
fn an_image_is_published_with_what_is_to_be_known_of_it() {
    let lab = Lab::new();
    let version = ["--publish-version", "1.2.3"];
    let said = ok(lab.publish("artifact-publish", &version));
    assert!(said.contains("edge-orch/en/files/provisioning-hook-os:1.2.3 is published"), "{said}");
    assert!(said.contains("edge-orch/edge-node/hook-kernel:5.10."), "{said}");
    let reference = format!("{}/edge-orch/en/files/provisioning-hook-os:1.2.3", lab.registry.host);
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &format!("docker://{reference}")]);
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
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

    // It comes back whole, with checksums that others can check.
    let back = lab.path("back");
    let fresh = lab.path("fresh-store");
    ok(lab
        .command(&fresh, &["images", "fetch", &reference, "--out", back.to_str().unwrap()])
        .output()
        .unwrap());
    for name in ["hook_x86_64.tar.gz", "manifest.json", "sbom.cdx.json"] {
        assert_eq!(fs::read(back.join(name)).unwrap(), fs::read(lab.out.join(name)).unwrap(), "{name}");
    }
    let checked = Command::new("sha256sum")
        .args(["--check", "--ignore-missing", "SHA256SUMS"])
        .current_dir(&back)
        .output()
        .unwrap();
    assert!(ok(checked).contains("hook_x86_64.tar.gz: OK"));

    args.push("--force");
    assert!(ok(lab.hookos(&args)).contains("is published"));
    // Somebody else's archive is not published under this record.
    fs::write(other.join("hook_x86_64.tar.gz"), "other").unwrap();
    let mixed = lab.hookos(&args);
    assert!(String::from_utf8_lossy(&mixed.stderr).contains("not the one"), "{mixed:?}");
}

#[test]
fn a_signature_is_checked_by_us_and_by_others() {
    let lab = Lab::new();
    let (key, public) = (lab.path("cosign.key"), lab.path("cosign.pub"));
    let (key, public) = (key.to_str().unwrap(), public.to_str().unwrap());
    run("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]);
    run("openssl", &["pkey", "-in", key, "-pubout", "-out", public]);
    let said = ok(lab.publish("artifact-publish", &["--sign-key", key]));
    assert_eq!(said.matches("\n  signed").count(), 2, "{said}");
    let again = ok(lab.publish("artifact-publish", &["--sign-key", key]));
    assert_eq!((again.matches("was there").count(), again.matches("\n  signed").count()), (2, 2), "{again}");

    let kernel = said.lines().find(|line| line.contains("hook-kernel:")).unwrap();
    let kernel = kernel.split(' ').next().unwrap();
    let fresh = lab.path("fresh");
    ok(lab.command(&fresh, &["images", "pull", kernel, "--verify-key", public]).output().unwrap());

    // An implementation of its own: openssl, on what cosign's specification says is signed.
    let digest = said.lines().find(|line| line.contains("hook-kernel:")).unwrap().rsplit(' ').next().unwrap();
    let repository = kernel.rsplit_once(':').unwrap().0;
    let signature = format!("docker://{repository}:{}.sig", digest.replace(':', "-"));
    let raw = run("skopeo", &["inspect", "--raw", "--tls-verify=false", &signature]);
    let raw: serde_json::Value = serde_json::from_str(&raw).unwrap();
    let layer = &raw["layers"][0];
    let folder = format!("dir:{}", lab.path("signature").display());
    run("skopeo", &["copy", "--insecure-policy", "--src-tls-verify=false", &signature, &folder]);
    let statement =
        lab.path("signature").join(layer["digest"].as_str().unwrap().trim_start_matches("sha256:"));
    let text = fs::read_to_string(&statement).unwrap();
    assert!(text.contains(digest) && text.contains("cosign container image signature"), "{text}");
    fs::write(
        lab.path("sig.b64"),
        layer["annotations"]["dev.cosignproject.cosign/signature"].as_str().unwrap(),
    )
    .unwrap();
    let (encoded, plain) = (lab.path("sig.b64"), lab.path("sig"));
    run(
        "openssl",
        &["base64", "-d", "-A", "-in", encoded.to_str().unwrap(), "-out", plain.to_str().unwrap()],
    );
    let checked = run(
        "openssl",
        &[
            "dgst",
            "-sha256",
            "-verify",
            public,
            "-signature",
            plain.to_str().unwrap(),
            statement.to_str().unwrap(),
        ],
    );
    assert!(checked.contains("Verified OK"), "{checked}");

    // Another key is refused, for images and for artifacts.
    run("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", key]);
    run("openssl", &["pkey", "-in", key, "-pubout", "-out", public]);
    let refused = lab.command(&fresh, &["images", "pull", kernel, "--verify-key", public]).output().unwrap();
    assert!(!refused.status.success(), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no signature of this key"), "{refused:?}");
    let image = format!(
        "{}/edge-orch/en/files/provisioning-hook-os:{}",
        lab.registry.host,
        env!("CARGO_PKG_VERSION")
    );
    let refused = lab.command(&fresh, &["images", "fetch", &image, "--verify-key", public]).output().unwrap();
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no signature of this key"), "{refused:?}");
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
