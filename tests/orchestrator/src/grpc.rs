//! The gRPC services: onboarding by stream, by a person, and the Tinkerbell server.

use crate::Shared;
use crate::machines;
use crate::misbehaviour::Misbehaviour;
use crate::record::Event;
use crate::tinkerbell::{
    Empty, GET_WORKFLOW_ACTIONS, GET_WORKFLOW_CONTEXTS, REPORT_ACTION_STATUS, WorkflowAction,
    WorkflowActionList, WorkflowActionStatus, WorkflowActionsRequest, WorkflowContext,
    WorkflowContextRequest,
};
use crate::tokens::{Use, Worth};
use hookos_onboarding::messages::{
    CREATE_NODES, CreateNodesRequest, CreateNodesResponse, ONBOARD_NODE_STREAM, OnboardNodeStreamRequest,
    OnboardNodeStreamResponse,
};
use http::{Request, Response};
use hyper::body::Incoming;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;
use tower::service_fn;

/// Whether a request is a gRPC call.
pub fn is(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.is_some_and(|kind| kind.starts_with("application/grpc"))
}

pub async fn answer(request: Request<Incoming>, shared: Arc<Shared>) -> Response<Body> {
    let conduct = shared.conduct.now();
    if let Some(status) = conduct.and_then(Misbehaviour::status) {
        let code = match status {
            401 => Code::Unauthenticated,
            429 => Code::ResourceExhausted,
            _ => Code::Internal,
        };
        return Status::new(code, format!("the stand-in answers everything with {status}")).into_http();
    }
    match request.uri().path() {
        ONBOARD_NODE_STREAM => {
            let call = service_fn(|request: tonic::Request<Streaming<OnboardNodeStreamRequest>>| {
                let shared = Arc::clone(&shared);
                async move { Ok(tonic::Response::new(onboard(request.into_inner(), shared))) }
            });
            Grpc::new(ProstCodec::default()).streaming(call, request).await
        }
        CREATE_NODES => {
            let call = service_fn(|request: tonic::Request<CreateNodesRequest>| {
                let answer = create(&request, &shared);
                async move { answer.map(tonic::Response::new) }
            });
            Grpc::new(ProstCodec::default()).unary(call, request).await
        }
        GET_WORKFLOW_CONTEXTS => {
            let call = service_fn(|request: tonic::Request<WorkflowContextRequest>| {
                let answer = contexts(&request, &shared);
                async move { answer.map(tonic::Response::new) }
            });
            Grpc::new(ProstCodec::default()).server_streaming(call, request).await
        }
        GET_WORKFLOW_ACTIONS => {
            let call = service_fn(|request: tonic::Request<WorkflowActionsRequest>| {
                let answer = actions(&request, &shared);
                async move { answer.map(tonic::Response::new) }
            });
            Grpc::new(ProstCodec::default()).unary(call, request).await
        }
        REPORT_ACTION_STATUS => {
            let call = service_fn(|request: tonic::Request<WorkflowActionStatus>| {
                let worker_id = request.get_ref().worker_id.clone();
                let answer = authorized(request.metadata(), &shared, "ReportActionStatus", &worker_id);
                async move { answer.map(|()| tonic::Response::new(Empty {})) }
            });
            Grpc::new(ProstCodec::default()).unary(call, request).await
        }
        path => Status::unimplemented(format!("the stand-in has no {path}")).into_http(),
    }
}

type Answers = ReceiverStream<Result<OnboardNodeStreamResponse, Status>>;

/// Answers each message of a machine until it has its credentials or goes away.
fn onboard(mut asked: Streaming<OnboardNodeStreamRequest>, shared: Arc<Shared>) -> Answers {
    let (sender, answers) = mpsc::channel(4);
    tokio::spawn(async move {
        while let Ok(Some(message)) = asked.message().await {
            let conduct = shared.conduct.now();
            let (answer, word, account) = match conduct {
                Some(Misbehaviour::NotFound) => {
                    (machines::refusal(machines::NOT_FOUND, "Device not found"), "not-found", None)
                }
                Some(Misbehaviour::FailedPrecondition) => (
                    machines::refusal(machines::FAILED_PRECONDITION, "Node is already onboarded"),
                    "failed-precondition",
                    None,
                ),
                Some(Misbehaviour::HalfClosed) => (OnboardNodeStreamResponse::default(), "half-closed", None),
                _ => shared.machines.answer(&message),
            };
            if let Some(account) = account {
                shared.tokens.keep_secret(&account.secret);
            }
            shared.records.add(Event::OnboardRequest {
                uuid: message.uuid,
                serial: message.serialnum,
                mac: message.mac_id,
                address: message.host_ip,
                answer: word.to_owned(),
            });
            if word == "half-closed" {
                return;
            }
            if conduct == Some(Misbehaviour::Slow) {
                tokio::time::sleep(crate::misbehaviour::LATE).await;
            }
            if sender.send(Ok(answer)).await.is_err() || word == "onboarded" {
                return;
            }
        }
    });
    ReceiverStream::new(answers)
}

fn bearer(metadata: &MetadataMap) -> Option<&str> {
    metadata.get("authorization").and_then(|value| value.to_str().ok())
}

fn create(
    request: &tonic::Request<CreateNodesRequest>,
    shared: &Shared,
) -> Result<CreateNodesResponse, Status> {
    let authorized = shared.tokens.check(bearer(request.metadata()), Use::Access) == Worth::Valid;
    // One machine asks for itself; more than one in a call is not looked at.
    let machine = request.get_ref().payload.first().and_then(|node| node.hwdata.first()).cloned();
    let added = match &machine {
        _ if !authorized => Err(Status::unauthenticated("the token does not hold")),
        None => Err(Status::invalid_argument("there is no hwdata in the payload")),
        Some(machine) => shared
            .machines
            .add(&machine.uuid, &machine.serialnum, &machine.mac_id, &machine.sut_ip)
            .map_err(Status::invalid_argument),
    };
    let machine = machine.unwrap_or_default();
    shared.records.add(Event::CreateNodes {
        uuid: machine.uuid,
        serial: machine.serialnum,
        mac: machine.mac_id,
        address: machine.sut_ip,
        authorized,
        project_id: added.clone().unwrap_or_default(),
    });
    Ok(CreateNodesResponse { payload: request.get_ref().payload.clone(), project_id: added? })
}

/// Records a worker's call; an error when its token does not hold.
fn authorized(metadata: &MetadataMap, shared: &Shared, method: &str, worker_id: &str) -> Result<(), Status> {
    let worth = shared.tokens.check(bearer(metadata), Use::Access);
    shared.records.add(Event::Worker {
        method: method.to_owned(),
        worker_id: worker_id.to_owned(),
        token: worth.word().to_owned(),
    });
    match worth {
        Worth::Valid => Ok(()),
        other => Err(Status::unauthenticated(format!("the token is {}", other.word()))),
    }
}

/// One workflow with one action, then the stream stays open for a moment, as a real server's does.
fn contexts(
    request: &tonic::Request<WorkflowContextRequest>,
    shared: &Shared,
) -> Result<ReceiverStream<Result<WorkflowContext, Status>>, Status> {
    let worker_id = request.get_ref().worker_id.clone();
    authorized(request.metadata(), shared, "GetWorkflowContexts", &worker_id)?;
    let (sender, contexts) = mpsc::channel(1);
    tokio::spawn(async move {
        let context = WorkflowContext {
            workflow_id: "lab-workflow".to_owned(),
            current_worker: worker_id,
            total_number_of_actions: 1,
        };
        let _ = sender.send(Ok(context)).await;
        tokio::time::sleep(Duration::from_millis(200)).await;
    });
    Ok(ReceiverStream::new(contexts))
}

fn actions(
    request: &tonic::Request<WorkflowActionsRequest>,
    shared: &Shared,
) -> Result<WorkflowActionList, Status> {
    authorized(request.metadata(), shared, "GetWorkflowActions", "")?;
    let action = WorkflowAction {
        task_name: "lab".to_owned(),
        name: "hello".to_owned(),
        image: format!("localhost:7443/{}:latest", crate::oci::HELLO),
    };
    Ok(WorkflowActionList { action_list: vec![action] })
}
