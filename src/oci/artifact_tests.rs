use super::*;
use crate::oci::registry::Options;
use crate::oci::stand_in::{Answer, Server};
use crate::progress::Silent;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

fn part(of: &[u8], kind: &str) -> Value {
    json!({"mediaType": MANIFEST, "digest": Digest::of(of), "size": of.len(), "artifactType": kind})
}

fn options(server: &Server) -> Options {
    Options { insecure: vec![server.host.clone()], ..Options::default() }
}

#[test]
fn a_list_of_referrers_is_read_to_its_end_and_past_what_is_odd() {
    let sha512 = json!({"mediaType": MANIFEST, "digest": format!("sha512:{}", "0".repeat(128)), "size": 1});
    let pages = [
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part(b"1", "a"), sha512]}),
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": null}),
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [part(b"2", "a"), part(b"3", "b")]}),
    ];
    let server = Server::start(move |request| {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, "n=0"));
        let n: usize = query.strip_prefix("n=").unwrap().parse().unwrap();
        let answer = Answer::body(pages[n].to_string());
        Some(match n {
            2 => answer,
            _ => answer.header("Link", format!("<{path}?n={}>; rel=\"next\"", n + 1)),
        })
    });
    let options = options(&server);
    let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
    let of = |kind| repository.referrers(&Digest::of(b"x"), kind).unwrap().len();
    assert_eq!((of(None), of(Some("a")), of(Some("c"))), (3, 2, 0));
}

#[test]
fn a_list_of_referrers_goes_on_at_no_other_place() {
    let server = Server::start(|_| {
        let answer = Answer::body(r#"{"manifests": []}"#);
        Some(answer.header("Link", "<http://elsewhere.test/v2/>; rel=\"next\""))
    });
    let options = options(&server);
    let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
    let error = repository.referrers(&Digest::of(b"x"), None).unwrap_err().to_string();
    assert!(error.contains("elsewhere.test"), "{error}");
}

#[test]
fn what_others_wrote_in_a_list_of_referrers_stays() {
    let sha512 = json!({"mediaType": MANIFEST, "digest": format!("sha512:{}", "0".repeat(128)), "size": 1});
    let mut theirs = part(b"theirs", "sbom");
    theirs["urls"] = json!(["https://example.com"]);
    let first = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": [theirs, sha512],
        "annotations": {"by": "them"}});
    let index = Arc::new(Mutex::new(first.clone()));
    let kept = index.clone();
    let server = Server::start(move |request| {
        let list = request.path.contains("/manifests/sha256-");
        Some(match request.method.as_str() {
            "HEAD" => Answer::status(200),
            "PUT" if list => {
                *kept.lock().unwrap() = serde_json::from_slice(&request.body).unwrap();
                Answer::status(201)
            }
            "PUT" => Answer::status(201),
            "GET" if list => Answer::body(kept.lock().unwrap().to_string()),
            _ => Answer::status(404),
        })
    });
    let options = options(&server);
    let repository = Repository::open(&format!("{}/a", server.host), &options, &Silent).unwrap();
    let subject = Found { digest: Digest::of(b"x"), media_type: MANIFEST.to_owned(), size: 1 };
    let artifact =
        Artifact { artifact_type: "mine".to_owned(), subject: Some(subject), ..Artifact::default() };
    let (found, _) = repository.put_artifact(&artifact, None).unwrap();
    let index = index.lock().unwrap().clone();
    assert_eq!(index["annotations"], first["annotations"]);
    assert_eq!(index["manifests"].as_array().unwrap()[..2], first["manifests"].as_array().unwrap()[..]);
    assert_eq!(index["manifests"][2]["digest"], found.digest.to_string());
    assert_eq!(repository.referrers(&Digest::of(b"x"), None).unwrap().len(), 2);
}
