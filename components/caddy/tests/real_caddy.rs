//! Debian's Caddy under our program, against a TLS service.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod lab;

use hookos_onboarding::files::File;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::Request;
use hyper::body::{Bytes, Frame};
use lab::{ACCESS, GUID, Lab, PROJECT, RELEASE, header, upstream};
use std::convert::Infallible;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

const LONG: Duration = Duration::from_secs(30);
/// Port, path, setting and token of each route.
const ALL: [(u16, &str, &str, &str); 5] = [
    (7443, "/v2/edge-orch/lab/hello/manifests/latest", "oci_release_svc", RELEASE),
    (80, "/tink-stack/hello.txt", "tink_stack_svc", ACCESS),
    (80, "/files-edge-orch/repository/a/b.raw.gz", "release_svc", RELEASE),
    (42113, "/proto.WorkflowService/GetWorkflowContexts", "tink_server_svc", ACCESS),
    (24224, "/v1/logs", "logging_svc", ACCESS),
];

fn settings(value: &str) -> String {
    ALL.iter().map(|(_, _, key, _)| format!("{key}={value}\n")).collect()
}

#[tokio::test]
async fn every_route_has_its_upstream_and_its_token() {
    let upstream = upstream::start(&["localhost"]).await;
    let lab = Lab::start(&settings(&format!("localhost:{}", upstream.port)), &upstream.ca, LONG).await;
    lab.tokens_come();
    let body: Vec<u8> = (0..3_000_000_u32).map(|i| u8::try_from(i * 7 % 251).unwrap()).collect();
    for (port, path, key, token) in ALL {
        let request = Request::post(path)
            .header("authorization", "Bearer a-token-of-the-client")
            .header("hostguid", "the-client's-own")
            .header("x-scope-orgid", "the-client's-own")
            .body(Full::new(Bytes::from(body.clone())))
            .unwrap();
        let (status, response, got) = lab.ask(port, request).await;
        assert_eq!(status, 200, "{key}: {}", lab.log.text());
        assert!(got == body, "{key}: the body came back as {} bytes", got.len());
        assert_eq!(header(&response, "seen-authorization"), format!("Bearer {token}"), "{key}");
        let count = response.headers().get_all("seen-authorization").iter().count();
        assert_eq!(count, 1, "{key}: the client's own token is gone");
        assert_eq!(header(&response, "seen-path"), path);
        assert_eq!(header(&response, "seen-version"), "HTTP/2.0", "{key}");
        assert_eq!(header(&response, "seen-host"), format!("localhost:{}", upstream.port), "{key}");
        if key == "logging_svc" {
            assert_eq!(header(&response, "seen-hostguid"), GUID);
            assert_eq!(header(&response, "seen-x-scope-orgid"), PROJECT);
        }
    }
    assert_eq!(lab.get(80, "/elsewhere").await.0, 404);

    let configuration = std::fs::read_to_string(lab.run_folder().join("run/caddy.json")).unwrap();
    let (ended, log) = lab.stop().await;
    ended.unwrap();
    for secret in [ACCESS, RELEASE, "a-token-of-the-client"] {
        assert!(!log.contains(secret), "{log}");
        assert!(!configuration.contains(secret));
    }
    assert!(log.contains("\"uri\":\"/tink-stack/hello.txt\""), "debug lines are there: {log}");
    assert!(!log.contains("/v1/logs") && !log.contains("/credentials/"), "a log of logging: {log}");
}

#[tokio::test]
async fn an_open_connection_sees_a_new_token_and_its_streams_go_both_ways() {
    let upstream = upstream::start(&["localhost"]).await;
    let lab = Lab::start(&settings(&format!("localhost:{}", upstream.port)), &upstream.ca, LONG).await;
    lab.tokens_come();
    let mut connection = lab.h2c(42113).await;
    let open = || {
        let (send, receive) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
        let request =
            Request::post(format!("http://localhost:{}/proto.WorkflowService/Stream", 42113 + lab.offset))
                .header("content-type", "application/grpc")
                .header("te", "trailers")
                .body(StreamBody::new(tokio_stream(receive)))
                .unwrap();
        (send, request)
    };
    let (send, request) = open();
    let response = connection.send_request(request).await.unwrap();
    assert_eq!(response.headers()["seen-authorization"], format!("Bearer {ACCESS}"));
    let mut body = response.into_body();
    // Each message is answered before the next is sent: nothing is held back on the way.
    for round in 0..5_u8 {
        send.send(Ok(Frame::data(Bytes::from(vec![round; 1000])))).await.unwrap();
        let mut got = Vec::new();
        while got.len() < 1000 {
            let frame = tokio::time::timeout(LONG, body.frame()).await.unwrap().unwrap().unwrap();
            got.extend_from_slice(&frame.into_data().unwrap());
        }
        assert_eq!(got, vec![round; 1000]);
    }
    lab.files.write(File::AccessToken, "the-next-token").unwrap();
    // Another request on the same connection, while the stream is open.
    let (other, request) = open();
    let response = connection.send_request(request).await.unwrap();
    assert_eq!(response.headers()["seen-authorization"], "Bearer the-next-token");
    drop(other);
    send.send(Ok(Frame::data(Bytes::from_static(b"last")))).await.unwrap();
    drop(send);
    let end = tokio::time::timeout(LONG, body.collect()).await.unwrap().unwrap();
    assert_eq!(end.trailers().unwrap()["grpc-status"], "0");
    assert_eq!(end.to_bytes(), "last");
    let (ended, log) = lab.stop().await;
    ended.unwrap();
    assert!(!log.contains("the-next-token"));
}

/// A channel as a stream of frames.
fn tokio_stream<T>(mut receive: mpsc::Receiver<T>) -> impl futures_core::Stream<Item = T> + Unpin {
    Stream(move |cx: &mut std::task::Context<'_>| receive.poll_recv(cx))
}

struct Stream<F>(F);

impl<T, F> futures_core::Stream for Stream<F>
where
    F: FnMut(&mut std::task::Context<'_>) -> std::task::Poll<Option<T>> + Unpin,
{
    type Item = T;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<T>> {
        (self.0)(cx)
    }
}

#[tokio::test]
async fn requests_wait_for_tokens_that_come_late() {
    let upstream = upstream::start(&["localhost"]).await;
    let lab = Lab::start(&settings(&format!("localhost:{}", upstream.port)), &upstream.ca, LONG).await;
    let started = Instant::now();
    let late = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        lab.tokens_come();
    };
    let (first, second, ()) = tokio::join!(lab.get(80, "/tink-stack/a"), lab.get(24224, "/v1/logs"), late);
    assert_eq!((first.0.as_u16(), second.0.as_u16()), (200, 200));
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(700) && took < Duration::from_secs(5), "{took:?}");
    assert_eq!(header(&second.1, "seen-x-scope-orgid"), PROJECT);
    lab.stop().await.0.unwrap();
}

#[tokio::test]
async fn without_tokens_the_answer_says_why() {
    let upstream = upstream::start(&["localhost"]).await;
    let url = format!("localhost:{}", upstream.port);
    let lab = Lab::start(&settings(&url), &upstream.ca, Duration::from_millis(300)).await;
    lab.files.write(File::AccessToken, ACCESS).unwrap();
    let (status, _, text) = lab.get(24224, "/v1/logs").await;
    assert_eq!(status, 503);
    assert!(String::from_utf8_lossy(&text).contains("no project_id yet"), "{text:?}");
    assert_eq!(lab.get(80, "/tink-stack/a").await.0, 200);
    lab.stop().await.0.unwrap();
}

#[tokio::test]
async fn a_route_without_an_upstream_names_the_setting_and_the_others_work() {
    let upstream = upstream::start(&["localhost"]).await;
    let text = format!("tink_stack_svc=localhost:{}\nrelease_svc=\n", upstream.port);
    let lab = Lab::start(&text, &upstream.ca, LONG).await;
    lab.tokens_come();
    for (port, path, key, _) in ALL.into_iter().filter(|(_, _, key, _)| *key != "tink_stack_svc") {
        let (status, _, text) = lab.get(port, path).await;
        let text = String::from_utf8_lossy(&text).into_owned();
        assert!(status == 503 && text.starts_with(&format!("{key} is not set")), "{status} {text}");
    }
    assert_eq!(lab.get(80, "/tink-stack/a").await.0, 200);
    lab.stop().await.0.unwrap();
}

#[tokio::test]
async fn only_the_images_own_certificates_are_trusted() {
    let upstream = upstream::start(&["localhost", "other.example.com"]).await;
    let other = upstream::start(&["localhost"]).await;
    let lab = Lab::start(&settings(&format!("localhost:{}", upstream.port)), &other.ca, LONG).await;
    lab.tokens_come();
    for (port, path, key, _) in ALL {
        assert_eq!(lab.get(port, path).await.0, 502, "{key}");
    }
    let (_, log) = lab.stop().await;
    assert!(log.contains("certificate signed by unknown authority"), "{log}");
    assert!(!log.contains(ACCESS) && !log.contains(RELEASE), "{log}");

    let lab = Lab::start(&settings("localhost"), "# nothing yet\n", LONG).await;
    lab.tokens_come();
    let (status, _, text) = lab.get(7443, "/v2/").await;
    assert!(status == 503 && String::from_utf8_lossy(&text).contains("holds no certificate"), "{text:?}");
    lab.stop().await.0.unwrap();
}

#[tokio::test]
async fn upstreams_are_reached_through_the_sites_proxy() {
    let upstream = upstream::start(&["files.lab.example.com"]).await;
    let (proxy, asked) = upstream::proxy(upstream.port).await;
    let text = format!(
        "{}https_proxy=http://user:a-password@127.0.0.1:{proxy}\nhttp_proxy=http://127.0.0.1:9\nno_proxy=\n",
        settings("files.lab.example.com")
    );
    let lab = Lab::start(&text, &upstream.ca, LONG).await;
    lab.tokens_come();
    let (status, response, _) = lab.get(80, "/files-edge-orch/repository/a").await;
    assert_eq!(status, 200, "{}", lab.log.text());
    assert_eq!(header(&response, "seen-authorization"), format!("Bearer {RELEASE}"));
    assert_eq!(header(&response, "seen-host"), "files.lab.example.com:443");
    assert_eq!(header(&response, "seen-version"), "HTTP/2.0");
    let request = Request::post("/v1/logs").body(Full::new(Bytes::from(vec![7; 500_000]))).unwrap();
    let (status, _, body) = lab.ask(24224, request).await;
    assert!(status == 200 && body.len() == 500_000, "{status}");
    let asked = asked.lock().unwrap().clone();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for head in asked {
        assert!(head.starts_with("CONNECT files.lab.example.com:443 HTTP/1.1\r\n"), "{head}");
        // user:a-password
        assert!(head.contains("Basic dXNlcjphLXBhc3N3b3Jk\r\n"), "{head}");
    }
    let configuration = std::fs::read_to_string(lab.run_folder().join("run/caddy.json")).unwrap();
    let (ended, log) = lab.stop().await;
    ended.unwrap();
    assert!(!log.contains("a-password") && !configuration.contains("a-password"));
    assert!(!log.contains("/v1/logs") && !log.contains("logging_svc"), "a log of logging: {log}");
}

#[tokio::test]
async fn the_service_ends_with_caddy_and_caddy_with_the_service() {
    let upstream = upstream::start(&["localhost"]).await;
    let lab = Lab::start(&settings(&format!("localhost:{}", upstream.port)), &upstream.ca, LONG).await;
    let offset = lab.offset;
    lab.stop().await.0.unwrap();
    assert!(std::net::TcpListener::bind(("127.0.0.1", 80 + offset)).is_ok(), "Caddy still listens");

    // A port that is taken ends Caddy, and that is an error here.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut machine = hookos_caddy::service::Machine::this();
    machine.tokens = folder.path().to_owned();
    machine.run = folder.path().join("run");
    machine.caddy = "/usr/bin/caddy".into();
    machine.offset = taken.local_addr().unwrap().port() - 80;
    let log = lab::Log::default();
    let ended = hookos_caddy::service::run(&machine, log, std::future::pending()).await;
    assert!(ended.unwrap_err().to_string().contains("Caddy ended: exit status: 1"));
}
