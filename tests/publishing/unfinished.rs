//! Publishing that fails on its way: it ends with the reason, and the tag is as it was.

use super::*;
use faults::{Fault, Faults};
use hookos::oci::artifact::Artifact;

#[test]
fn whatever_fails_the_tag_is_as_it_was_and_the_reason_is_said() {
    let lab = Lab::new();
    let proxy = Faults::before(&lab.registry.host);
    lab.without_tls(&[&lab.registry.host, &proxy.host]);
    let (key, public) = signed::keys(&lab, "ours");
    let publish = |repository: &str| {
        let more =
            ["--publish-version", "1.0", "--publish-repository", repository, "--sign-key", &key, "--force"];
        lab.publish_to(&proxy.host, "publish-binaries-ci", &more)
    };
    // What is written, in order; it is the same in every repository.
    ok(publish("whole/os"));
    let mut steps: Vec<String> = Vec::new();
    for request in proxy.seen() {
        if let Some(name) = request.line.strip_prefix("PUT /v2/whole/os/manifests/")
            && !steps.iter().any(|step| step == name)
        {
            steps.push(name.to_owned());
        }
    }
    // Image, four that refer to it and their list, signature, tag.
    assert_eq!(steps.len(), 8, "{steps:?}");
    assert!(steps[0].starts_with("sha256:") && steps[6].ends_with(".sig") && steps[7] == "1.0", "{steps:?}");

    for repository in ["empty/os", "taken/os"] {
        let there = lab.remote(repository);
        let other = Artifact { artifact_type: "x/y".to_owned(), ..Artifact::default() };
        let before = (repository == "taken/os").then(|| there.put_artifact(&other, Some("1.0")).unwrap().0);
        let fails = |method: &'static str, path: &str| {
            proxy.plan(method, path, Fault::Status(403));
            let output = publish(repository);
            let text = String::from_utf8_lossy(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{path}: {text}");
            assert!(text.contains("was not published") && text.contains("403"), "{path}: {text}");
            assert_eq!((there.find("1.0").unwrap(), proxy.left()), (before.clone(), 0), "{path}");
        };
        fails("POST", &format!("/{repository}/blobs/uploads/"));
        for step in &steps {
            fails("PUT", &format!("/{repository}/manifests/{step}"));
        }
        fails("HEAD", &format!("/{repository}/manifests/1.0"));
        // What was sent before helps the next attempt; an answer that is lost is asked for again.
        proxy.seen();
        proxy.plan("PUT", &format!("/{repository}/manifests/1.0"), Fault::Lose);
        assert!(ok(publish(repository)).contains("is published"));
        assert!(!proxy.seen().iter().any(|request| request.line.contains("/blobs/uploads/")));
        let (reference, out) = (format!("{}/{repository}:1.0", proxy.host), lab.path(repository));
        let fetch = ["images", "fetch", &reference, "--verify-key", &public, "--out", out.to_str().unwrap()];
        ok(lab.hookos_in("fresh", &fetch));
    }
}
