//! The program in the worker's image: in place of Tinkerbell's worker it asks for its workflow, fetches
//! an artifact through each route of the machine's proxy, reports, and does so again every 5 seconds.
#![forbid(unsafe_code)]

use http_body_util::{BodyExt as _, Empty as NoBody};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use orchestrator_stand_in::tinkerbell::{
    Empty, GET_WORKFLOW_ACTIONS, GET_WORKFLOW_CONTEXTS, REPORT_ACTION_STATUS, WorkflowActionList,
    WorkflowActionStatus, WorkflowActionsRequest, WorkflowContext, WorkflowContextRequest,
};
use std::time::Duration;
use tonic::client::Grpc;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

const FILES: [&str; 3] = [
    "http://127.0.0.1/tink-stack/hello.txt",
    "http://127.0.0.1/files-edge-orch/repository/hello.txt",
    "http://localhost:7443/v2/edge-orch/lab/hello/manifests/latest",
];
const SUCCESS: i32 = 3;
/// How long a round may take: what hangs must not end the worker's asking.
const PATIENCE: Duration = Duration::from_secs(30);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let worker_id = std::env::var("WORKER_ID").unwrap_or_default();
        let authority = std::env::var("TINKERBELL_GRPC_AUTHORITY").unwrap_or_default();
        println!("worker {worker_id} asks {authority}");
        // One connection for all its life, as the real worker's: the token must be that of the moment.
        let channel = Endpoint::from_shared(format!("http://{authority}"))?.connect_lazy();
        loop {
            match tokio::time::timeout(PATIENCE, round(&channel, &worker_id)).await {
                Ok(Ok(())) => {}
                Ok(Err(e)) => println!("{e}"),
                Err(_) => println!("no answer within {} s", PATIENCE.as_secs()),
            }
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    })
}

async fn round(channel: &Channel, worker_id: &str) -> Result<(), Failure> {
    let mut rpc = Grpc::new(channel.clone());
    rpc.ready().await?;
    let path = GET_WORKFLOW_CONTEXTS.parse()?;
    let request = Request::new(WorkflowContextRequest { worker_id: worker_id.to_owned() });
    let codec = ProstCodec::<WorkflowContextRequest, WorkflowContext>::default();
    let mut contexts = rpc.server_streaming(request, path, codec).await?.into_inner();
    let context =
        contexts.message().await?.ok_or_else(|| Status::not_found("there is no workflow for this worker"))?;
    println!("workflow {}", context.workflow_id);

    rpc.ready().await?;
    let request = Request::new(WorkflowActionsRequest { workflow_id: context.workflow_id.clone() });
    let codec = ProstCodec::<WorkflowActionsRequest, WorkflowActionList>::default();
    let actions = rpc.unary(request, GET_WORKFLOW_ACTIONS.parse()?, codec).await?.into_inner();
    println!("{} action(s)", actions.action_list.len());
    for url in FILES {
        match fetch(url).await {
            Ok((status, bytes)) => println!("{url}: {status}, {bytes} bytes"),
            Err(e) => println!("{url}: {e}"),
        }
    }
    for action in actions.action_list {
        rpc.ready().await?;
        let request = Request::new(WorkflowActionStatus {
            workflow_id: context.workflow_id.clone(),
            task_name: action.task_name,
            action_name: action.name,
            action_status: SUCCESS,
            worker_id: worker_id.to_owned(),
        });
        let codec = ProstCodec::<WorkflowActionStatus, Empty>::default();
        rpc.unary(request, REPORT_ACTION_STATUS.parse()?, codec).await?;
        println!("reported");
    }
    Ok(())
}

async fn fetch(url: &str) -> Result<(u16, usize), Failure> {
    let client = Client::builder(TokioExecutor::new()).build_http::<NoBody<bytes::Bytes>>();
    let response = client.get(url.parse()?).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await?.to_bytes().len()))
}
