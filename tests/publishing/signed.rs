//! Signatures: ours and others'; and what somebody can do who writes to the registry and has no key.

use super::*;
use hookos::oci::artifact::{Artifact, File, MANIFEST};
use hookos::oci::repository::{Blob, Found};
use hookos::oci::signature::{self, SigningKey};
use hookos::publish::TYPE;
use hookos::publish::attached::{CHECKSUMS, SBOM_TYPE};

const IMAGE: &str = "edge-orch/en/files/provisioning-hook-os";
const ARCHIVE: &str = "hook_x86_64.tar.gz";

/// A pair of keys as openssl makes it.
pub fn keys(lab: &Lab, name: &str) -> (String, String) {
    let path = |end: &str| lab.path(&format!("{name}.{end}")).to_str().unwrap().to_owned();
    let (key, public) = (path("key"), path("pub"));
    run("openssl", &["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", &key]);
    run("openssl", &["pkey", "-in", &key, "-pubout", "-out", &public]);
    (key, public)
}

/// An artifact with one file.
fn artifact(kind: &str, title: &str, bytes: &[u8], subject: Option<Found>) -> Artifact {
    let files = vec![File::new(title, kind, Blob::of_bytes(bytes.to_vec()))];
    Artifact { artifact_type: kind.to_owned(), files, subject, ..Artifact::default() }
}

/// The tag of a digest's signatures.
fn sig(found: &Found) -> String {
    format!("sha256-{}.sig", found.digest.hex())
}

impl Lab {
    /// The manifest under a tag, as JSON.
    fn json(&self, there: &Remote<'_>, name: &str) -> serde_json::Value {
        serde_json::from_slice(&there.manifest(name).unwrap().unwrap()).unwrap()
    }

    /// The tag that the kernel is published under, and its reference.
    pub fn kernel(&self) -> (String, String) {
        let said = ok(self.publish("push-kernel-ci", &["--dry-run"]));
        let reference = said.trim().trim_start_matches("would publish ").to_owned();
        (reference.rsplit_once(':').unwrap().1.to_owned(), reference)
    }
}

#[test]
fn a_referrer_that_somebody_adds_replaces_no_file() {
    let lab = Lab::new();
    let (key, public) = keys(&lab, "ours");
    ok(lab.publish("publish-binaries-ci", &["--publish-version", "1.0", "--sign-key", &key]));
    let reference = format!("{}/{IMAGE}:1.0", lab.registry.host);
    let there = lab.remote(&format!("{IMAGE}:1.0"));
    let subject = there.find("1.0").unwrap();
    for (kind, title) in
        [(SBOM_TYPE, ARCHIVE), (SBOM_TYPE, "sbom.cdx.json"), (CHECKSUMS, "SHA256SUMS"), (SBOM_TYPE, "new")]
    {
        there.put_artifact(&artifact(kind, title, b"theirs", subject.clone()), None).unwrap();
    }
    for (n, more) in [vec![], vec!["--verify-key", &public]].into_iter().enumerate() {
        let back = lab.path(&format!("back-{n}"));
        let mut args = vec!["images", "fetch", &reference, "--out", back.to_str().unwrap()];
        args.extend(more);
        ok(lab.hookos_in("fresh", &args));
        for name in [ARCHIVE, "sbom.cdx.json", "manifest.json", "provenance.intoto.json"] {
            lab.is_ours(&back, name);
        }
        check(&back);
        assert!(!back.join("new").exists());
    }
    let out = lab.path("site");
    let mut stamp = vec!["stamp", &reference, "--profile", "lab", "--verify-key", &public];
    stamp.extend(["--out", out.to_str().unwrap()]);
    ok(lab.hookos_in("fresh", &stamp));
    let (_, other) = keys(&lab, "other");
    let n = stamp.iter().position(|word| *word == public).unwrap();
    stamp[n] = &other;
    let refused = lab.hookos_in("fresh", &stamp);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no signature of this key"), "{refused:?}");

    // Two files of one name, by somebody who may publish.
    let mut twice = artifact(TYPE, ARCHIVE, b"one", None);
    twice.files.push(File::new(ARCHIVE, TYPE, Blob::of_bytes(b"two".to_vec())));
    there.put_artifact(&twice, Some("twice")).unwrap();
    let out = lab.path("twice");
    let reference = reference.replace(":1.0", ":twice");
    let refused = lab.hookos_in("fresh", &["images", "fetch", &reference, "--out", out.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("two files with the name"), "{refused:?}");
    assert!(!out.exists());
}

#[test]
fn what_was_changed_after_it_was_signed_is_refused() {
    let lab = Lab::new();
    let (key, public) = keys(&lab, "ours");
    ok(lab.publish("publish-binaries-ci", &["--publish-version", "1.0", "--sign-key", &key]));
    let there = lab.remote(IMAGE);
    let signed = there.find("1.0").unwrap().unwrap();
    let refused = |tag: &str| {
        let (reference, out) = (format!("{}/{IMAGE}:{tag}", lab.registry.host), lab.path("out"));
        let args = ["images", "fetch", &reference, "--verify-key", &public, "--out", out.to_str().unwrap()];
        let output = lab.hookos_in("fresh", &args);
        assert_eq!(output.status.code(), Some(1), "{tag}: {output:?}");
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(text.contains("no signature of this key"), "{tag}: {text}");
        assert!(!out.exists());
    };

    // The signed manifest, but with another SBOM.
    there.put_blobs(&[Blob::of_bytes(b"theirs".to_vec())], None).unwrap();
    let mut changed = lab.json(&there, "1.0");
    let attached = changed["annotations"]["hookos.attached"].as_str().unwrap();
    let mut parts: serde_json::Value = serde_json::from_str(attached).unwrap();
    let bom =
        parts.as_array_mut().unwrap().iter_mut().find(|part| part["artifactType"] == SBOM_TYPE).unwrap();
    bom["digest"] = format!("sha256:{}", sha256(b"theirs")).into();
    bom["size"] = 6.into();
    changed["annotations"]["hookos.attached"] = parts.to_string().into();
    there.put_manifest("changed", MANIFEST, changed.to_string().as_bytes()).unwrap();
    refused("changed");

    // Another archive, with no signature, with that of ours, and with a statement that was changed to name it.
    let (theirs, _) = there.put_artifact(&artifact(TYPE, ARCHIVE, b"theirs", None), Some("theirs")).unwrap();
    refused("theirs");
    let mut signature = lab.json(&there, &sig(&signed));
    there.put_manifest(&sig(&theirs), MANIFEST, signature.to_string().as_bytes()).unwrap();
    refused("theirs");
    let layer = &mut signature["layers"][0];
    let digest = layer["digest"].as_str().unwrap().parse().unwrap();
    let store = Store::open(lab.path("theirs")).unwrap();
    there.fetch(&store, &digest, layer["size"].as_u64().unwrap()).unwrap();
    let statement = String::from_utf8(store.read(&digest).unwrap()).unwrap();
    let statement = statement.replace(&signed.digest.to_string(), &theirs.digest.to_string());
    layer["digest"] = format!("sha256:{}", sha256(statement.as_bytes())).into();
    there.put_blobs(&[Blob::of_bytes(statement.into_bytes())], None).unwrap();
    there.put_manifest(&sig(&theirs), MANIFEST, signature.to_string().as_bytes()).unwrap();
    refused("theirs");
}

#[test]
fn a_kernel_that_is_not_the_one_here_is_not_signed() {
    let lab = Lab::new();
    let (key, public) = keys(&lab, "ours");
    let (tag, reference) = lab.kernel();
    let there = lab.remote("edge-orch/edge-node/hook-kernel");
    let (theirs, _) = there.put_artifact(&artifact("x/y", "kernel", b"theirs", None), Some(&tag)).unwrap();
    assert!(ok(lab.publish("push-kernel-ci", &[])).contains("was there"));
    let refused = lab.publish("push-kernel-ci", &["--sign-key", &key]);
    let text = String::from_utf8_lossy(&refused.stderr);
    assert!(refused.status.code() == Some(1) && text.contains("was not signed"), "{text}");
    assert_eq!(there.find(&sig(&theirs)).unwrap(), None);
    // Signed where it was made.
    let signing = SigningKey::read(Path::new(&key), None).unwrap();
    signature::sign(&there, &theirs, &signing).unwrap();
    let said = ok(lab.publish("push-kernel-ci", &["--sign-key", &key]));
    assert!(said.contains("was there") && said.contains("signed"), "{said}");

    let said = ok(lab.publish("push-kernel-ci", &["--sign-key", &key, "--force"]));
    assert!(said.contains("is published") && said.contains("signed"), "{said}");
    ok(lab.hookos_in("fresh", &["images", "pull", &reference, "--verify-key", &public]));
    let (_, other) = keys(&lab, "other");
    let refused = lab.hookos_in("fresh", &["images", "pull", &reference, "--verify-key", &other]);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("no signature of this key"), "{refused:?}");
}

/// A signature as cosign 3 writes it: openssl signs what DSSE says is signed.
fn bundle(lab: &Lab, key: &str, predicate: &str, digest: &str) -> Vec<u8> {
    let subject = serde_json::json!([{"digest": {"sha256": digest.trim_start_matches("sha256:")}}]);
    let statement = serde_json::json!({"_type": "https://in-toto.io/Statement/v1", "subject": subject,
        "predicateType": predicate, "predicate": {}});
    let (kind, payload) = ("application/vnd.in-toto+json", statement.to_string());
    let signed = format!("DSSEv1 {} {kind} {} {payload}", kind.len(), payload.len());
    let (text, plain) = (lab.path("signed"), lab.path("signature"));
    fs::write(&text, signed).unwrap();
    let (text, plain) = (text.to_str().unwrap(), plain.to_str().unwrap());
    run("openssl", &["dgst", "-sha256", "-sign", key, "-out", plain, text]);
    fs::write(text, payload).unwrap();
    let base64 = |file: &str| run("openssl", &["base64", "-A", "-in", file]).trim().to_owned();
    let envelope = serde_json::json!({"payload": base64(text), "payloadType": kind,
        "signatures": [{"sig": base64(plain), "keyid": ""}]});
    let material = serde_json::json!({"publicKey": {"hint": "x"}, "tlogEntries": []});
    let bundle = serde_json::json!({"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": material, "dsseEnvelope": envelope});
    bundle.to_string().into_bytes()
}

/// In a registry that lists referrers itself, and in one that does not.
#[test]
fn a_bundle_of_cosign_3_is_a_signature_if_it_says_that_it_signs_this() {
    let lab = Lab::new();
    let listing = faults::Faults::listing_referrers(&lab.registry.host);
    lab.without_tls(&[&lab.registry.host, &listing.host]);
    let (key, public) = keys(&lab, "ours");
    const SIGN: &str = "https://sigstore.dev/cosign/sign/v1";
    for (host, repository) in [(&lab.registry.host, "plain/os"), (&listing.host, "listed/os")] {
        let more = ["--publish-version", "1.0", "--publish-repository", repository];
        ok(lab.publish_to(host, "publish-binaries-ci", &more));
        let options = Options { insecure: vec![host.clone()], ..Options::default() };
        let there = Remote::open(&format!("{host}/{repository}"), &options, &Silent).unwrap();
        let found = there.find("1.0").unwrap().unwrap();
        // Where the registry lists referrers itself, no list is kept beside its own.
        let kept = there.manifest(&format!("sha256-{}", found.digest.hex())).unwrap();
        assert_eq!(kept.is_some(), *host == lab.registry.host);
        let listed = there.referrers(&found.digest, None).unwrap();
        let kinds: Vec<_> = listed.iter().filter_map(|part| part.artifact_type.as_deref()).collect();
        assert!(kinds.len() == 4 && kinds[0] == SBOM_TYPE, "{kinds:?}");
        let reference = format!("{host}/{repository}:1.0");
        let out = lab.path("back");
        let fetch = ["images", "fetch", &reference, "--verify-key", &public, "--out", out.to_str().unwrap()];
        let attach = |bytes: Vec<u8>| {
            let kind = "application/vnd.dev.sigstore.bundle.v0.3+json";
            there
                .put_artifact(&artifact(kind, "x.sigstore.json", &bytes, Some(found.clone())), None)
                .unwrap();
        };
        let digest = found.digest.to_string();
        let good = bundle(&lab, &key, SIGN, &digest);
        let text = String::from_utf8(good.clone()).unwrap();
        let (other, _) = keys(&lab, "other");
        attach(bundle(&lab, &other, SIGN, &digest));
        attach(bundle(&lab, &key, "https://slsa.dev/provenance/v1", &digest));
        attach(bundle(&lab, &key, SIGN, &format!("sha256:{}", sha256(b"theirs"))));
        attach(text.replacen("in-toto", "in-tota", 1).into_bytes());
        attach(b"{}".to_vec());
        let refused = lab.hookos_in("fresh", &fetch);
        assert!(String::from_utf8_lossy(&refused.stderr).contains("no signature of this key"), "{refused:?}");
        attach(good);
        ok(lab.hookos_in("fresh", &fetch));
        lab.is_ours(&out, ARCHIVE);
    }
}
