//! Onboarding, log-in and the workflow as they should be, by real clients over TLS.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::rpc::{self, Stream, call, create, machine, stream_of};
use common::{
    ADDRESS, Asked, Lab, MAC, PASSWORD, PATIENCE, SERIAL, TOKEN, USER, UUID, Version, form, get, log_in, post,
};
use hookos_onboarding::messages::{NodeState, OnboardNodeStreamResponse};
use orchestrator_stand_in::tinkerbell::{
    Empty, GET_WORKFLOW_ACTIONS, GET_WORKFLOW_CONTEXTS, REPORT_ACTION_STATUS, WorkflowActionList,
    WorkflowActionStatus, WorkflowActionsRequest, WorkflowContext, WorkflowContextRequest,
};
use orchestrator_stand_in::{Event, Known};
use std::time::Duration;
use tonic::Code;

fn code(answer: &OnboardNodeStreamResponse) -> i32 {
    answer.status.clone().unwrap().code
}

#[tokio::test]
async fn a_machine_is_registered_then_onboarded_and_gets_both_tokens() {
    let lab = Lab::with(|config| config.registered_rounds = 2);
    let mut stream = Stream::open(&lab).await.unwrap();
    for _ in 0..2 {
        let answer = stream.ask().await.unwrap().unwrap();
        assert_eq!((code(&answer), answer.node_state()), (0, NodeState::Registered));
        assert!(!answer.project_id.is_empty());
        assert!(answer.client_id.is_empty() && answer.client_secret.is_empty());
    }
    let answer = stream.ask().await.unwrap().unwrap();
    assert_eq!((code(&answer), answer.node_state()), (0, NodeState::Onboarded));
    assert_eq!(stream.answer().await.unwrap(), None, "the stream closes after the credentials");

    let grant = |secret: &str| {
        form(&[
            ("grant_type", "client_credentials"),
            ("client_id", &answer.client_id),
            ("client_secret", secret),
        ])
    };
    let token = lab.ask(grant(&answer.client_secret)).await.unwrap();
    assert_eq!(token.status, 200);
    let (token, given) = (token.json(), lab.last());
    assert_eq!((&token["token_type"], &token["expires_in"]), (&"Bearer".into(), &3600.into()));
    let account = answer.client_id.clone();
    assert_eq!(given, Event::Token { grant: "client_credentials".into(), account, status: 200 });
    let token = token["access_token"].as_str().unwrap();
    let release = lab.release(token).await;

    let secrets = lab.orchestrator.secrets();
    for secret in [&answer.client_secret, token, &release, PASSWORD] {
        assert!(secrets.iter().any(|known| known == secret), "listed as a secret");
    }
    let records = serde_json::to_string(&lab.orchestrator.records()).unwrap();
    assert!(!secrets.iter().any(|secret| records.contains(secret)), "and not in the records");

    let requests: Vec<Event> = lab.orchestrator.records().into_iter().map(|record| record.event).collect();
    let request = |answer: &str| Event::OnboardRequest {
        uuid: UUID.into(),
        serial: SERIAL.into(),
        mac: MAC.into(),
        address: ADDRESS.into(),
        answer: answer.into(),
    };
    assert_eq!(requests[1..4], [request("registered"), request("registered"), request("onboarded")]);

    let again = Stream::open(&lab).await.unwrap().ask().await.unwrap().unwrap();
    assert_eq!(code(&again), 9, "it is onboarded already");
    assert_eq!(lab.ask(grant("wrong")).await.unwrap().status, 401);
    assert_eq!(
        lab.last(),
        Event::Token { grant: "client_credentials".into(), account: String::new(), status: 401 }
    );
}

#[tokio::test]
async fn a_stream_survives_what_it_refuses() {
    let lab = Lab::with(|config| config.registered_rounds = 0);
    let mut stream = Stream::open(&lab).await.unwrap();
    let mut stranger = machine();
    stranger.uuid = UUID.replace('0', "a");
    stream.send(stranger).await;
    let answer = stream.answer().await.unwrap().unwrap();
    assert_eq!((code(&answer), answer.status.unwrap().message), (5, "Device not found".into()));
    let mut invalid = machine();
    invalid.serialnum = "with a blank".into();
    stream.send(invalid).await;
    assert_eq!(code(&stream.answer().await.unwrap().unwrap()), 3);
    assert_eq!(stream.ask().await.unwrap().unwrap().node_state(), NodeState::Onboarded);
}

#[tokio::test]
async fn without_known_machines_every_machine_is() {
    let lab = Lab::with(|config| (config.known, config.registered_rounds) = (Vec::new(), 0));
    let answer = Stream::open(&lab).await.unwrap().ask().await.unwrap().unwrap();
    assert_eq!(answer.node_state(), NodeState::Onboarded);
}

#[tokio::test]
async fn a_person_adds_a_machine() {
    let stranger = Known { uuid: UUID.replace('0', "a"), serial: "OTHER1".into() };
    let lab = Lab::with(|config| config.known = vec![stranger]);
    let denied = create(&lab, UUID, None).await.unwrap_err();
    assert_eq!(denied.code(), Code::Unauthenticated);
    assert!(matches!(lab.last(), Event::CreateNodes { authorized: false, .. }));
    let token = lab.access().await;
    assert_eq!(create(&lab, "no-uuid", Some(&token)).await.unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(create(&lab, UUID, Some(&token)).await.unwrap().project_id, "");
    let project_id = create(&lab, UUID, Some(&token)).await.unwrap().project_id;
    assert!(!project_id.is_empty());
    let event = Event::CreateNodes {
        uuid: UUID.into(),
        serial: SERIAL.into(),
        mac: MAC.into(),
        address: ADDRESS.into(),
        authorized: true,
        project_id,
    };
    assert_eq!(lab.last(), event);
    let answer = Stream::open(&lab).await.unwrap().ask().await.unwrap().unwrap();
    assert_eq!(answer.node_state(), NodeState::Onboarded, "it is known from now on");
}

#[tokio::test]
async fn keycloak_refuses_as_the_real_one_does() {
    let lab = Lab::new();
    let password = |client: &str, scope: &str, user: &str, password: &str| {
        form(&[
            ("grant_type", "password"),
            ("client_id", client),
            ("scope", scope),
            ("username", user),
            ("password", password),
        ])
    };
    let json = post("keycloak", TOKEN, "application/json", "{}");
    let cases: [(Asked, u16, &str); 8] = [
        (password("system-client", "openid", USER, "wrong"), 401, "invalid_grant"),
        (password("system-client", "openid", "", PASSWORD), 401, "invalid_request"),
        (password("other-client", "openid", USER, PASSWORD), 401, "invalid_client"),
        (password("system-client", "email", USER, PASSWORD), 400, "invalid_scope"),
        (form(&[("grant_type", "client_credentials"), ("client_id", "nobody")]), 401, "invalid_client"),
        (form(&[("client_id", "system-client")]), 400, "invalid_request"),
        (form(&[("grant_type", "device_code")]), 400, "unsupported_grant_type"),
        (json, 415, ""),
    ];
    for (asked, status, error) in cases {
        let body = String::from_utf8(asked.body.clone()).unwrap();
        let answer = lab.ask(asked).await.unwrap();
        assert_eq!(answer.status, status, "{body}");
        if !error.is_empty() {
            assert_eq!(answer.json()["error"], error, "{body}");
        }
        assert!(
            matches!(lab.last(), Event::Token { account, status: s, .. } if account.is_empty() && s == status)
        );
    }
    let wrong = lab.ask(get("keycloak", TOKEN)).await.unwrap();
    assert_eq!((wrong.status.as_u16(), wrong.headers["allow"].as_bytes()), (405, &b"POST"[..]));
    assert_eq!(lab.orchestrator.secrets(), [PASSWORD], "nothing was handed out");
    lab.access().await;
}

#[tokio::test]
async fn the_worker_has_a_workflow() {
    let lab = Lab::new();
    let (token, id) = (lab.access().await, MAC.to_owned());
    let request = WorkflowContextRequest { worker_id: id.clone() };
    let contexts = async |token| {
        stream_of::<_, WorkflowContext>(&lab, "tink-stack", GET_WORKFLOW_CONTEXTS, request.clone(), token)
            .await
    };
    assert_eq!(contexts(None).await.unwrap_err().code(), Code::Unauthenticated);
    let mut contexts = contexts(Some(&token)).await.unwrap();
    let context = contexts.message().await.unwrap().unwrap();
    assert_eq!((context.current_worker, context.total_number_of_actions), (id.clone(), 1));
    assert_eq!(contexts.message().await.unwrap(), None);

    let request = WorkflowActionsRequest { workflow_id: context.workflow_id.clone() };
    let actions: WorkflowActionList =
        call(&lab, "tink-server", GET_WORKFLOW_ACTIONS, request, Some(&token)).await.unwrap();
    assert_eq!(actions.action_list.len(), 1);
    let status = WorkflowActionStatus {
        workflow_id: context.workflow_id,
        task_name: actions.action_list[0].task_name.clone(),
        action_name: actions.action_list[0].name.clone(),
        action_status: 3,
        worker_id: id.clone(),
    };
    let Empty {} = call(&lab, "tink-server", REPORT_ACTION_STATUS, status, Some(&token)).await.unwrap();
    let calls: Vec<(String, String, String)> = lab
        .orchestrator
        .records()
        .into_iter()
        .filter_map(|record| match record.event {
            Event::Worker { method, worker_id, token } => Some((method, worker_id, token)),
            _ => None,
        })
        .collect();
    let expected = [
        ("GetWorkflowContexts", MAC, "missing"),
        ("GetWorkflowContexts", MAC, "valid"),
        ("GetWorkflowActions", "", "valid"),
        ("ReportActionStatus", MAC, "valid"),
    ];
    assert_eq!(calls, expected.map(|(a, b, c)| (a.into(), b.into(), c.into())));
}

#[tokio::test]
async fn dropping_it_stops_it() {
    let lab = Lab::new();
    let ca = std::fs::read_to_string(lab.folder.path().join("ca.pem")).unwrap();
    assert_eq!(ca, lab.orchestrator.ca_pem());
    let address = lab.orchestrator.address();
    let mut stream = Stream::open(&lab).await.unwrap();
    drop(lab);
    assert!(tokio::time::timeout(PATIENCE, stream.answer()).await.unwrap().is_err());
    let refused = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test]
async fn what_is_not_there_is_said() {
    let lab = Lab::new();
    let call: Result<Empty, _> = call(&lab, "onboarding", "/proto.Other/Call", Empty {}, None).await;
    assert_eq!(call.unwrap_err().code(), Code::Unimplemented);
    assert!(rpc::channel_to(&lab, "other").await.is_err(), "the certificate names the services alone");
    assert!(lab.ask(log_in().over(Version::One)).await.is_ok());
}
