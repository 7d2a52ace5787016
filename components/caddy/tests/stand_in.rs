//! Debian's Caddy under our program, between a machine's programs and the orchestrator's stand-in.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use hookos_onboarding::files::File;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper::client::conn::{http1, http2};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use lab::{GUID, Lab, upstream};
use orchestrator_stand_in::{Config, Event, Orchestrator};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

const DOMAIN: &str = "lab.example.com";
const PASSWORD: &str = "a-password-for-the-stand-in";
const PATIENCE: Duration = Duration::from_secs(20);

fn orchestrator(folder: &Path) -> Orchestrator {
    let config = Config {
        domain: DOMAIN.to_owned(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        known: Vec::new(),
        registered_rounds: 0,
        token_seconds: 4,
        user: ("operator".to_owned(), PASSWORD.to_owned()),
        worker: None,
        folder: folder.to_owned(),
    };
    Orchestrator::start(config).unwrap()
}

/// One request to the stand-in itself, as onboarding would make it.
async fn ask(orchestrator: &Orchestrator, name: &str, request: Request<Full<Bytes>>) -> String {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(orchestrator.ca_pem().as_bytes()).unwrap()).unwrap();
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = format!("{name}.{DOMAIN}");
    let stream = TcpStream::connect(orchestrator.address()).await.unwrap();
    let name = ServerName::try_from(host.clone()).unwrap();
    let stream = TlsConnector::from(Arc::new(tls)).connect(name, stream).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let mut request = request;
    request.headers_mut().insert("host", host.parse().unwrap());
    let response = sender.send_request(request).await.unwrap();
    assert_eq!(response.status(), 200);
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

/// Fresh tokens into the machine's files.
async fn tokens(orchestrator: &Orchestrator, lab: &Lab) {
    let form = format!(
        "grant_type=password&client_id=system-client&scope=openid&username=operator&password={PASSWORD}"
    );
    let request = Request::post("/realms/master/protocol/openid-connect/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Full::from(form))
        .unwrap();
    let answer: serde_json::Value =
        serde_json::from_str(&ask(orchestrator, "keycloak", request).await).unwrap();
    let access = answer["access_token"].as_str().unwrap();
    let request = Request::get("/token").header("authorization", format!("Bearer {access}"));
    let release = ask(orchestrator, "release", request.body(Full::default()).unwrap()).await;
    lab.files.write(File::ProjectId, "project-7").unwrap();
    lab.files.write(File::AccessToken, access).unwrap();
    lab.files.write(File::ReleaseToken, &release).unwrap();
}

/// The worker's first call, on a connection that stays.
async fn worker_calls(connection: &mut http2::SendRequest<Full<Bytes>>) -> StatusCode {
    // Five bytes of gRPC framing, then field 1: the worker's id.
    let message = b"\x00\x00\x00\x00\x04\x0a\x02w1";
    let request = Request::post("http://127.0.0.1/proto.WorkflowService/GetWorkflowContexts")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Full::new(Bytes::from_static(message)))
        .unwrap();
    let response = connection.send_request(request).await.unwrap();
    let status = response.status();
    drop(response.into_body().collect().await);
    status
}

#[test]
fn all_routes_reach_the_orchestrator_also_after_tokens_were_renewed() {
    let folder = tempfile::tempdir().unwrap();
    // It has a runtime of its own, which cannot start inside another.
    let orchestrator = orchestrator(folder.path());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(use_all_routes(&orchestrator));
}

async fn use_all_routes(orchestrator: &Orchestrator) {
    // The names of the services exist for the proxy alone.
    let (proxy, _) = upstream::proxy(orchestrator.address().port()).await;
    let settings = format!(
        "oci_release_svc=registry-rs.{DOMAIN}\nrelease_svc=files-rs.{DOMAIN}\ntink_stack_svc=tink-stack.{DOMAIN}\n\
         tink_server_svc=tink-server.{DOMAIN}\nlogging_svc=logs-node.{DOMAIN}\nhttps_proxy=http://127.0.0.1:{proxy}\n"
    );
    let lab = Lab::start(&settings, orchestrator.ca_pem(), PATIENCE).await;
    tokens(orchestrator, &lab).await;
    let mut worker = lab.h2c(42113).await;
    let fetches = [
        (80, "/tink-stack/hello.txt", "tink-stack"),
        (80, "/files-edge-orch/repository/hello.txt", "files"),
        (7443, "/v2/", "oci"),
    ];
    for round in 0..2 {
        for (port, path, route) in fetches {
            let (status, _, _) = lab.get(port, path).await;
            let fetched = |event: &Event| matches!(event, Event::Fetch { route: r, .. } if r == route);
            let all = orchestrator.records();
            let last =
                all.iter().rev().find(|r| fetched(&r.event)).unwrap_or_else(|| panic!("{path}: {status}"));
            let Event::Fetch { host, token, status, .. } = &last.event else { unreachable!() };
            assert_eq!((token.as_str(), *status), ("valid", 200), "round {round}: {path}");
            assert!(host.ends_with(&format!("{DOMAIN}:443")) || host.ends_with(DOMAIN), "{host}");
        }
        assert_eq!(worker_calls(&mut worker).await, 200);
        let call = |event: &Event| matches!(event, Event::Worker { worker_id, token, .. } if worker_id == "w1" && token == "valid");
        assert_eq!(orchestrator.records().iter().filter(|r| call(&r.event)).count(), round + 1);
        if round == 0 {
            // The tokens end; nothing here renews them by itself.
            tokio::time::sleep(Duration::from_secs(5)).await;
            assert_eq!(lab.get(80, "/tink-stack/hello.txt").await.0, 401);
            tokens(orchestrator, &lab).await;
        }
    }
    let record = r#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a line"},"attributes":[
        {"key":"FileType","value":{"stringValue":"uOS_bootkitLogs"}},
        {"key":"source","value":{"stringValue":"edgenode_provisioning"}},
        {"key":"hostGuid","value":{"stringValue":"g"}}]}]}]}]}"#;
    let request = Request::post("/v1/logs").header("content-type", "application/json");
    assert_eq!(lab.ask(24224, request.body(Full::from(record)).unwrap()).await.0, 200);
    let logs = orchestrator.wait_for(PATIENCE, |r| matches!(r.event, Event::Logs { .. })).unwrap();
    let Event::Logs { scope_org_id, host_guid, token, lines } = logs.event else { unreachable!() };
    assert_eq!((scope_org_id.as_str(), host_guid.as_str(), token.as_str()), ("project-7", GUID, "valid"));
    assert_eq!((lines[0].file_type.as_str(), lines[0].body.as_str()), ("uOS_bootkitLogs", "a line"));

    let (ended, log) = lab.stop().await;
    ended.unwrap();
    assert!(log.contains("/tink-stack/hello.txt"), "debug lines are there");
    let secrets = orchestrator.secrets();
    assert!(secrets.len() >= 4, "two tokens, twice");
    for secret in secrets {
        assert!(!log.contains(&secret), "a secret in the log");
    }
}
