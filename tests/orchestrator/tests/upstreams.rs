//! What machines reach through their proxy: files, artifacts, logs, each with its token.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::rpc::{call, create};
use common::{Lab, UUID, Version, get, post};
use http::Method;
use orchestrator_stand_in::tinkerbell::{GET_WORKFLOW_ACTIONS, WorkflowActionList, WorkflowActionsRequest};
use orchestrator_stand_in::{Event, LogLine};
use std::io::Write as _;
use std::time::Duration;
use tonic::Code;

/// Every place that looks at a token: name, path, and whether it wants the release token.
const GUARDED: [(&str, &str, bool); 5] = [
    ("release", "/token", false),
    ("tink-stack", "/tink-stack/hello.txt", false),
    ("files-rs", "/files-edge-orch/repository/hello.txt", true),
    ("registry-rs", "/v2/", true),
    ("registry-rs", "/v2/edge-orch/lab/hello/manifests/latest", true),
];

#[tokio::test]
async fn each_upstream_takes_its_own_token_alone() {
    let lab = Lab::new();
    let access = lab.access().await;
    let release = lab.release(&access).await;
    for version in [Version::One, Version::Two] {
        for (name, path, wants_release) in GUARDED {
            let (right, wrong) = if wants_release { (&release, &access) } else { (&access, &release) };
            for (token, status, word) in
                [(Some(right), 200, "valid"), (Some(wrong), 401, "wrong"), (None, 401, "missing")]
            {
                let asked = get(name, path).over(version);
                let asked = token.into_iter().fold(asked, |asked, token| asked.bearer(token));
                assert_eq!(lab.ask(asked).await.unwrap().status, status, "{version:?} {path} {word}");
                match lab.last() {
                    Event::ReleaseToken { status: s, token } => {
                        assert_eq!((s, &*token, path), (status, word, "/token"));
                    }
                    Event::Fetch { host, path: p, status: s, token, .. } => {
                        assert_eq!((s, &*token, &*p), (status, word, path));
                        assert_eq!(host, format!("{name}.lab.example.com"));
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }
    let missing = get("files-rs", "/files-edge-orch/repository/other").bearer(&release);
    assert_eq!(lab.ask(missing).await.unwrap().status, 404);
    let mut posted = get("tink-stack", "/tink-stack/hello.txt").bearer(&access);
    posted.method = Method::POST;
    assert_eq!(lab.ask(posted).await.unwrap().status, 405);
    assert_eq!(lab.ask(get("release", "/other")).await.unwrap().status, 404);
}

#[tokio::test]
async fn the_workers_image_is_pulled_by_tag_and_digest() {
    let program = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(&program, "as if it were a program").unwrap();
    let lab = Lab::with(|config| config.worker = Some(program.path().into()));
    let release = lab.release(&lab.access().await).await;
    let pull = async |below: &str| {
        let path = format!("/v2/edge-orch/lab/tink-worker/{below}");
        lab.ask(get("registry-rs", &path).bearer(&release)).await.unwrap()
    };
    for version in [Version::One, Version::Two] {
        let path = "/v2/edge-orch/lab/tink-worker/manifests/latest";
        let mut head = get("registry-rs", path).bearer(&release).over(version);
        head.method = Method::HEAD;
        let (head, manifest) = (lab.ask(head).await.unwrap(), pull("manifests/latest").await);
        assert_eq!(head.status, 200);
        assert!(head.body.is_empty());
        for name in ["content-length", "content-type", "docker-content-digest"] {
            assert_eq!(head.headers[name], manifest.headers[name], "{version:?} {name}");
        }
    }
    let manifest = pull("manifests/latest").await;
    let digest = manifest.headers["docker-content-digest"].to_str().unwrap();
    assert_eq!(pull(&format!("manifests/{digest}")).await.body, manifest.body);
    let manifest = manifest.json();
    let blob = async |descriptor: &serde_json::Value| {
        let blob = pull(&format!("blobs/{}", descriptor["digest"].as_str().unwrap())).await;
        assert_eq!(descriptor["size"], blob.body.len());
        blob
    };
    let config = blob(&manifest["config"]).await.json();
    assert_eq!(config["config"]["Entrypoint"][0], "/lab-worker");
    assert_eq!(
        config["rootfs"]["diff_ids"][0], manifest["layers"][0]["digest"],
        "the layer is not compressed"
    );
    let layer = blob(&manifest["layers"][0]).await;
    let mut archive = tar::Archive::new(&layer.body[..]);
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!((entry.path().unwrap().to_str(), entry.header().mode().unwrap()), (Some("lab-worker"), 0o755));
    assert_eq!(pull("manifests/other").await.status, 404);
    assert!(lab.orchestrator.worker_layout().unwrap().join("oci-layout").is_file());
}

/// A field of a protocol buffer that holds bytes.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

fn attribute(key: &str, value: &str) -> Vec<u8> {
    [field(1, key.as_bytes()), field(2, &field(1, value.as_bytes()))].concat()
}

#[tokio::test]
async fn logs_are_taken_in_each_form() {
    let lab = Lab::new();
    let token = lab.access().await;
    let line = LogLine {
        file_type: "uOS_caddyLogs".into(),
        source: "edgenode".into(),
        host_guid: UUID.into(),
        body: "hello".into(),
    };
    let pair = |key: &str, value: &str| serde_json::json!({ "key": key, "value": { "stringValue": value } });
    let json = serde_json::json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [{
        "body": { "stringValue": line.body },
        "attributes": [pair("FileType", &line.file_type), pair("source", &line.source), pair("hostGuid", UUID)],
    }] }] }] });
    let json = json.to_string().into_bytes();
    // ExportLogsServiceRequest 1 > ResourceLogs 2 > ScopeLogs 2 > LogRecord: body 5, attributes 6.
    let record = [
        field(5, &field(1, b"hello")),
        field(6, &attribute("FileType", &line.file_type)),
        field(6, &attribute("source", &line.source)),
        field(6, &attribute("hostGuid", UUID)),
    ]
    .concat();
    let record = [field(2, &record)].concat();
    let binary = {
        // Longer than one byte can say: the outer lengths are varints of two.
        let long = |number: u8, content: &[u8]| {
            let (low, high) = (content.len() as u8 & 0x7f | 0x80, u8::try_from(content.len() >> 7).unwrap());
            [&[number << 3 | 2, low, high], content].concat()
        };
        long(1, &long(2, &record))
    };
    let gzip = |plain: &[u8]| {
        let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        out.write_all(plain).unwrap();
        out.finish().unwrap()
    };
    let send = |kind: &'static str, body: Vec<u8>, encoding: &'static str| {
        let asked = post("logs-node", "/v1/logs", kind, body).bearer(&token);
        let asked = asked.with("x-scope-orgid", "project-1").with("hostguid", UUID);
        if encoding.is_empty() { asked } else { asked.with("content-encoding", encoding) }
    };
    for (kind, plain) in [("application/json", json), ("application/x-protobuf", binary)] {
        for asked in [send(kind, plain.clone(), ""), send(kind, gzip(&plain), "gzip")] {
            assert_eq!(lab.ask(asked).await.unwrap().status, 200, "{kind}");
            let event = Event::Logs {
                scope_org_id: "project-1".into(),
                host_guid: UUID.into(),
                token: "valid".into(),
                lines: vec![line.clone()],
            };
            assert_eq!(lab.last(), event);
        }
        assert_eq!(lab.ask(send(kind, plain.clone(), "gzip")).await.unwrap().status, 400, "not gzip");
        assert_eq!(lab.ask(send(kind, plain.clone(), "br")).await.unwrap().status, 400);
        let unknown = post("logs-node", "/v1/logs", kind, plain);
        assert_eq!(lab.ask(unknown).await.unwrap().status, 401);
    }
    assert_eq!(lab.ask(send("application/json", b"{}".to_vec(), "")).await.unwrap().status, 400);
}

#[tokio::test]
async fn tokens_end() {
    let lab = Lab::with(|config| config.token_seconds = 2);
    let access = lab.access().await;
    let release = lab.release(&access).await;
    tokio::time::sleep(Duration::from_millis(2100)).await;
    for (name, path, wants_release) in GUARDED {
        let token = if wants_release { &release } else { &access };
        let answer = lab.ask(get(name, path).bearer(token)).await.unwrap();
        assert_eq!(answer.status, 401, "{path}");
        assert!(matches!(
            lab.last(),
            Event::Fetch { token, .. } | Event::ReleaseToken { token, .. } if token == "expired"
        ));
    }
    assert_eq!(create(&lab, UUID, Some(&access)).await.unwrap_err().code(), Code::Unauthenticated);
    let request = WorkflowActionsRequest::default();
    let ended: Result<WorkflowActionList, _> =
        call(&lab, "tink-stack", GET_WORKFLOW_ACTIONS, request, Some(&access)).await;
    assert_eq!(ended.unwrap_err().code(), Code::Unauthenticated);
    lab.release(&lab.access().await).await;
}
