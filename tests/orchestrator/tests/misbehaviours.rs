//! Each way in which the stand-in goes wrong, as clients of every service see it, and the way back.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::rpc::{Stream, call, create, stream_of};
use common::{Answer, Asked, Failure, Lab, PATIENCE, UUID, Version, get, log_in, post};
use hookos_onboarding::messages::NodeState;
use orchestrator_stand_in::tinkerbell::{
    Empty, GET_WORKFLOW_ACTIONS, GET_WORKFLOW_CONTEXTS, REPORT_ACTION_STATUS, WorkflowActionList,
    WorkflowActionStatus, WorkflowActionsRequest, WorkflowContext, WorkflowContextRequest,
};
use orchestrator_stand_in::{Event, Misbehaviour};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tonic::{Code, Status};

const SHORT: Duration = Duration::from_millis(300);

/// One good request to each HTTP service.
fn requests(access: &str, release: &str) -> Vec<Asked<'static>> {
    let logs = r#"{"resourceLogs":[]}"#;
    vec![
        log_in(),
        get("release", "/token").bearer(access),
        get("tink-stack", "/tink-stack/hello.txt").bearer(access),
        get("files-rs", "/files-edge-orch/repository/hello.txt").bearer(release),
        get("registry-rs", "/v2/edge-orch/lab/hello/manifests/latest").bearer(release),
        post("logs-node", "/v1/logs", "application/json", logs).bearer(access),
    ]
}

/// What each HTTP service answers, in either version of HTTP.
async fn web(lab: &Lab, access: &str, release: &str) -> Vec<(String, Result<Answer, Failure>)> {
    let mut answers = Vec::new();
    for version in [Version::One, Version::Two] {
        for asked in requests(access, release) {
            let name = format!("{} over {version:?}", asked.path);
            answers.push((name, lab.ask(asked.over(version)).await));
        }
    }
    answers
}

/// What each gRPC call comes to.
async fn grpc(lab: &Lab, access: &str) -> Vec<(&'static str, Result<(), Status>)> {
    let token = Some(access);
    let stream = async { Stream::open(lab).await?.ask().await.map(drop) };
    let contexts = async {
        let request = WorkflowContextRequest::default();
        let stream =
            stream_of::<_, WorkflowContext>(lab, "tink-stack", GET_WORKFLOW_CONTEXTS, request, token);
        stream.await?.message().await.map(drop)
    };
    let actions = WorkflowActionsRequest::default();
    let actions = call::<_, WorkflowActionList>(lab, "tink-stack", GET_WORKFLOW_ACTIONS, actions, token);
    let status = WorkflowActionStatus::default();
    let report = call::<_, Empty>(lab, "tink-stack", REPORT_ACTION_STATUS, status, token);
    vec![
        ("OnboardNodeStream", stream.await),
        ("CreateNodes", create(lab, UUID, token).await.map(drop)),
        ("GetWorkflowContexts", contexts.await),
        ("GetWorkflowActions", actions.await.map(drop)),
        ("ReportActionStatus", report.await.map(drop)),
    ]
}

/// A lab, and good tokens of it.
async fn lab() -> (Lab, String, String) {
    let lab = Lab::with(|config| config.registered_rounds = 1000);
    let access = lab.access().await;
    let release = lab.release(&access).await;
    (lab, access, release)
}

async fn behaves(lab: &Lab, access: &str, release: &str) {
    lab.orchestrator.misbehave(None);
    for (name, answer) in web(lab, access, release).await {
        assert_eq!(answer.unwrap().status, 200, "{name}");
    }
    for (name, answer) in grpc(lab, access).await {
        assert!(answer.is_ok(), "{name}: {answer:?}");
    }
}

/// The alert or the reason, wherever it stands in a chain of causes.
fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words.push_str(&format!(": {error}"));
        cause = error.source();
    }
    words
}

async fn certificate(how: Misbehaviour, wanted: &str, alert: &str) {
    let (lab, access, release) = lab().await;
    let mut before = Stream::open(&lab).await.unwrap();
    before.ask().await.unwrap().unwrap();
    lab.orchestrator.misbehave(Some(how));
    let ended = timeout(PATIENCE, before.answer()).await.unwrap();
    assert!(ended.is_err(), "a connection with the good certificate does not go on: {ended:?}");
    for (name, answer) in web(&lab, &access, &release).await {
        let Err(error) = answer else { panic!("{name} was answered") };
        let error = words(&*error);
        assert!(error.contains(wanted), "{name}: {error}");
    }
    for (name, answer) in grpc(&lab, &access).await {
        assert!(answer.is_err(), "{name} was answered");
    }
    lab.sees(|event| matches!(event, Event::Refused { why } if why.contains(alert)));
    behaves(&lab, &access, &release).await;
}

#[tokio::test]
async fn wrong_ca() {
    certificate(Misbehaviour::WrongCa, "UnknownIssuer", "TLS handshake").await;
}

#[tokio::test]
async fn expired_certificate() {
    certificate(Misbehaviour::ExpiredCertificate, "expired", "TLS handshake").await;
}

async fn status(how: Misbehaviour, status: u16, code: Code) {
    let (lab, access, release) = lab().await;
    let secrets = lab.orchestrator.secrets();
    lab.orchestrator.misbehave(Some(how));
    let from = lab.orchestrator.records().len();
    for (name, answer) in web(&lab, &access, &release).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, status, "{name}");
        assert_eq!(answer.headers.contains_key("retry-after"), status == 429, "{name}");
    }
    for record in &lab.orchestrator.records()[from..] {
        match &record.event {
            Event::Token { status: s, .. }
            | Event::ReleaseToken { status: s, .. }
            | Event::Fetch { status: s, .. } => assert_eq!(*s, status),
            Event::Logs { token, .. } => assert_eq!(token, "valid"),
            other => panic!("{other:?}"),
        }
    }
    for (name, answer) in grpc(&lab, &access).await {
        assert_eq!(answer.unwrap_err().code(), code, "{name}");
    }
    assert_eq!(lab.orchestrator.secrets(), secrets, "nothing was handed out");
    behaves(&lab, &access, &release).await;
}

#[tokio::test]
async fn http_401() {
    status(Misbehaviour::Http401, 401, Code::Unauthenticated).await;
}

#[tokio::test]
async fn http_429() {
    status(Misbehaviour::Http429, 429, Code::ResourceExhausted).await;
}

#[tokio::test]
async fn http_500() {
    status(Misbehaviour::Http500, 500, Code::Internal).await;
}

#[tokio::test]
async fn hang() {
    let (lab, access, release) = lab().await;
    lab.orchestrator.misbehave(Some(Misbehaviour::Hang));
    for asked in requests(&access, &release) {
        let path = asked.path;
        assert!(timeout(SHORT, lab.ask(asked)).await.is_err(), "{path} was answered");
    }
    let stream = timeout(SHORT, async { Stream::open(&lab).await?.ask().await }).await;
    assert!(stream.is_err(), "the stream was answered");
    assert!(timeout(SHORT, create(&lab, UUID, Some(&access))).await.is_err(), "CreateNodes was answered");
    // Who waits is let go by the change.
    let waits = lab.ask(log_in());
    let change = async {
        tokio::time::sleep(SHORT).await;
        lab.orchestrator.misbehave(None);
    };
    let (waited, ()) = timeout(PATIENCE, async { tokio::join!(waits, change) }).await.unwrap();
    assert!(waited.is_err());
    behaves(&lab, &access, &release).await;
}

#[tokio::test]
async fn half_closed() {
    let (lab, access, release) = lab().await;
    lab.orchestrator.misbehave(Some(Misbehaviour::HalfClosed));
    let mut stream = Stream::open(&lab).await.unwrap();
    assert_eq!(stream.ask().await.unwrap(), None, "ended without an answer and without an error");
    lab.sees(|event| matches!(event, Event::OnboardRequest { answer, .. } if answer == "half-closed"));
    for (name, answer) in web(&lab, &access, &release).await {
        assert!(answer.is_err(), "{name} came whole");
    }
    behaves(&lab, &access, &release).await;
}

async fn refusal(how: Misbehaviour, code: i32, word: &str) {
    let (lab, access, release) = lab().await;
    lab.orchestrator.misbehave(Some(how));
    let mut stream = Stream::open(&lab).await.unwrap();
    for _ in 0..2 {
        let answer = stream.ask().await.unwrap().expect("the stream is kept");
        assert_eq!(answer.status.unwrap().code, code);
        assert!(answer.client_secret.is_empty());
    }
    lab.sees(|event| matches!(event, Event::OnboardRequest { answer, .. } if answer == word));
    assert!(create(&lab, UUID, Some(&access)).await.is_ok(), "a person can add the machine still");
    for (name, answer) in web(&lab, &access, &release).await {
        assert_eq!(answer.unwrap().status, 200, "{name}");
    }
    behaves(&lab, &access, &release).await;
    let answer = Stream::open(&lab).await.unwrap().ask().await.unwrap().unwrap();
    assert_eq!(answer.node_state(), NodeState::Registered, "it has not used up a round");
}

#[tokio::test]
async fn not_found() {
    refusal(Misbehaviour::NotFound, 5, "not-found").await;
}

#[tokio::test]
async fn failed_precondition() {
    refusal(Misbehaviour::FailedPrecondition, 9, "failed-precondition").await;
}

#[tokio::test]
async fn slow() {
    let (lab, access, release) = lab().await;
    lab.orchestrator.misbehave(Some(Misbehaviour::Slow));
    let late = |since: Instant, what: &str| {
        let waited = since.elapsed();
        assert!(waited.as_millis() >= 2900, "{what}: {waited:?}");
    };
    // Side by side, so that the test takes as long as the two answers of the stream.
    let since = Instant::now();
    let lab = Arc::new(lab);
    let mut web = JoinSet::new();
    for asked in requests(&access, &release) {
        let lab = Arc::clone(&lab);
        web.spawn(async move {
            let path = asked.path;
            assert_eq!(lab.ask(asked).await.unwrap().status, 200, "{path}");
            late(since, path);
        });
    }
    let stream = async {
        let mut stream = Stream::open(&lab).await.unwrap();
        stream.ask().await.unwrap().unwrap();
        late(since, "the stream's first answer");
        let since = Instant::now();
        stream.ask().await.unwrap().unwrap();
        late(since, "its second");
    };
    let created = async {
        create(&lab, UUID, Some(&access)).await.unwrap();
        late(since, "CreateNodes");
    };
    tokio::join!(stream, created);
    web.join_all().await;
    behaves(&lab, &access, &release).await;
}

#[tokio::test]
async fn drops() {
    let (lab, access, release) = lab().await;
    let mut before = Stream::open(&lab).await.unwrap();
    before.ask().await.unwrap().unwrap();
    lab.orchestrator.misbehave(Some(Misbehaviour::Drop));
    assert!(timeout(PATIENCE, before.answer()).await.unwrap().is_err(), "an open connection ends too");
    for (name, answer) in web(&lab, &access, &release).await {
        assert!(answer.is_err(), "{name} was answered");
    }
    for (name, answer) in grpc(&lab, &access).await {
        assert!(answer.is_err(), "{name} was answered");
    }
    lab.sees(|event| matches!(event, Event::Refused { why } if why.contains("drops")));
    behaves(&lab, &access, &release).await;
}

/// A new misbehaviour needs a test and a line in the README.
#[test]
fn none_is_forgotten() {
    let tests = include_str!("misbehaviours.rs");
    for how in Misbehaviour::ALL {
        let used = format!("Misbehaviour::{how:?}");
        assert!(tests.contains(&used), "{used} has no test");
        assert!(
            include_str!("../README.md").contains(&format!("`{}`", how.name())),
            "{used} is not in the README"
        );
    }
}
