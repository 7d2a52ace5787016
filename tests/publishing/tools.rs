//! The programs that registries are used with elsewhere, as Debian packages them: cosign and ORAS.

use super::*;
use hookos::publish::attached::SBOM_TYPE;

/// A program of a package, run in the folder of the test, where its settings and its cache are too.
fn tool(lab: &Lab, name: &str, args: &[&str]) -> Output {
    let (_, program) = package::file("trixie", name, &format!("usr/bin/{name}"));
    // As a file taken out of a package it may not be run yet.
    run("chmod", &["+x", program.to_str().unwrap()]);
    let mut command = Command::new(program);
    command.args(args).current_dir(lab.folder.path()).env("HOME", lab.folder.path()).stdin(Stdio::null());
    command.env("COSIGN_PASSWORD", "correct horse").output().unwrap()
}

#[test]
fn cosign_and_hookos_accept_each_others_signatures() {
    let lab = Lab::new();
    let on = ["--tlog-upload=false", "--allow-http-registry", "-y"];
    let check = ["--insecure-ignore-tlog", "--allow-http-registry"];
    let (_, kernel) = lab.kernel();
    // A locked key of cosign's own signs here.
    ok(tool(&lab, "cosign", &["generate-key-pair"]));
    let (key, public) = (lab.path("cosign.key"), lab.path("cosign.pub"));
    let (key, public) = (key.to_str().unwrap(), public.to_str().unwrap());
    let mut push = lab.command(&lab.store, &["push-kernel-ci", "lab", "--sign-key", key]);
    push.args(["--publish-registry", &lab.registry.host]).env("COSIGN_PASSWORD", "correct horse");
    assert!(ok(push.output().unwrap()).contains("signed"));
    let there = lab.remote("edge-orch/edge-node/hook-kernel");
    let found = there.find(kernel.rsplit_once(':').unwrap().1).unwrap().unwrap();
    let by_digest = format!("{}@{}", kernel.rsplit_once(':').unwrap().0, found.digest);
    let accepted =
        |public: &str| tool(&lab, "cosign", &[&["verify", "--key", public], &check[..], &[&kernel]].concat());
    let text = ok(accepted(public));
    assert!(text.contains(&found.digest.to_string()), "{text}");
    let pulled = |public: &str| {
        let output = lab.hookos_in("fresh", &["images", "pull", &kernel, "--verify-key", public]);
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // Beside ours: a signature by cosign, and one in a bundle, as cosign 3 makes it.
    let empty = lab.path("empty.json");
    fs::write(&empty, "{}").unwrap();
    let stated = ["--type", "https://sigstore.dev/cosign/sign/v1", "--predicate", empty.to_str().unwrap()];
    let bundle: Vec<&str> = ["attest", "--new-bundle-format"].into_iter().chain(stated).collect();
    for (name, words) in [("second", vec!["sign"]), ("third", bundle)] {
        ok(tool(&lab, "cosign", &["generate-key-pair", "--output-key-prefix", name]));
        let (key, public) = (format!("{name}.key"), lab.path(&format!("{name}.pub")));
        let public = public.to_str().unwrap();
        assert!(!accepted(public).status.success());
        let (taken, why) = pulled(public);
        assert!(!taken && why.contains("no signature of this key"), "{why}");
        ok(tool(&lab, "cosign", &[&words[..], &["--key", &key], &on, &[&by_digest]].concat()));
        let (taken, why) = pulled(public);
        assert!(taken, "{name}: {why}");
    }
    // What was there is still there.
    ok(accepted(public));
    let (taken, why) = pulled(public);
    assert!(taken, "{why}");
    assert_eq!(there.referrers(&found.digest, Some(SBOM_TYPE)).unwrap().len(), 1);
}

#[test]
fn oras_takes_what_we_publish_and_we_take_what_oras_pushes() {
    let lab = Lab::new();
    ok(lab.publish("publish-binaries-ci", &["--publish-version", "1.0"]));
    let reference = format!("{}/edge-orch/en/files/provisioning-hook-os", lab.registry.host);
    let oras = |words: &[&str], tag: &str| {
        let place = format!("{reference}:{tag}");
        ok(tool(&lab, "oras", &[&[words[0], "--plain-http"], &words[1..], &[place.as_str()]].concat()))
    };
    oras(&["pull", "--output", "by-oras"], "1.0");
    let archive = "hook_x86_64.tar.gz";
    lab.is_ours(&lab.path("by-oras"), archive);
    let tree = oras(&["discover"], "1.0");
    for kind in ["hookos.checksums.v1", "cyclonedx+json", "hookos.record.v1+json", "in-toto+json"] {
        assert!(tree.contains(kind), "{tree}");
    }
    fs::write(lab.path(archive), "theirs").unwrap();
    let kind = hookos::publish::TYPE;
    let place = format!("{reference}:2.0");
    ok(tool(&lab, "oras", &["push", "--plain-http", "--artifact-type", kind, &place, archive]));
    let back = lab.path("back");
    ok(lab.hookos_in("fresh", &["images", "fetch", &place, "--out", back.to_str().unwrap()]));
    assert_eq!(fs::read(back.join(archive)).unwrap(), b"theirs");
}
