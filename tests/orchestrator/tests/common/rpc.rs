//! Calls of the gRPC services, as a machine and its worker make them.

use super::{ADDRESS, Lab, MAC, SERIAL, UUID};
use hookos_onboarding::messages::{
    CREATE_NODES, CreateNodesRequest, CreateNodesResponse, HwData, NodeData, ONBOARD_NODE_STREAM,
    OnboardNodeStreamRequest, OnboardNodeStreamResponse,
};
use http::uri::PathAndQuery;
use prost::Message;
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// A channel to a name below the lab's domain.
pub async fn channel_to(lab: &Lab, name: &str) -> Result<Channel, tonic::transport::Error> {
    let tls = ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(lab.orchestrator.ca_pem()))
        .domain_name(format!("{name}.lab.example.com"));
    let endpoint = Endpoint::from_shared(format!("https://{}", lab.orchestrator.address()))?;
    endpoint.tls_config(tls)?.connect().await
}

/// The machine's side of the onboarding stream.
pub struct Stream {
    sender: Sender<OnboardNodeStreamRequest>,
    answers: Streaming<OnboardNodeStreamResponse>,
}

pub fn machine() -> OnboardNodeStreamRequest {
    OnboardNodeStreamRequest {
        uuid: UUID.into(),
        serialnum: SERIAL.into(),
        mac_id: MAC.into(),
        host_ip: ADDRESS.into(),
    }
}

impl Stream {
    pub async fn open(lab: &Lab) -> Result<Self, Status> {
        let channel =
            channel_to(lab, "onboarding-stream").await.map_err(|e| Status::unknown(e.to_string()))?;
        let mut rpc = Grpc::new(channel);
        rpc.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
        let (sender, messages) = channel_of_messages();
        let path = PathAndQuery::from_static(ONBOARD_NODE_STREAM);
        let codec = ProstCodec::default();
        let answers = rpc.streaming(Request::new(messages), path, codec).await?.into_inner();
        Ok(Self { sender, answers })
    }

    pub async fn send(&self, message: OnboardNodeStreamRequest) {
        self.sender.send(message).await.unwrap();
    }

    /// None when the server has ended the stream without an error.
    pub async fn answer(&mut self) -> Result<Option<OnboardNodeStreamResponse>, Status> {
        self.answers.message().await
    }

    /// Sends the machine's message and waits for the answer to it.
    pub async fn ask(&mut self) -> Result<Option<OnboardNodeStreamResponse>, Status> {
        self.send(machine()).await;
        self.answer().await
    }
}

fn channel_of_messages() -> (Sender<OnboardNodeStreamRequest>, ReceiverStream<OnboardNodeStreamRequest>) {
    let (sender, receiver) = channel(4);
    (sender, ReceiverStream::new(receiver))
}

fn request<M>(message: M, token: Option<&str>) -> Request<M> {
    let mut request = Request::new(message);
    if let Some(token) = token {
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
    }
    request
}

/// A call with one answer.
pub async fn call<M, A>(
    lab: &Lab,
    name: &str,
    path: &'static str,
    message: M,
    token: Option<&str>,
) -> Result<A, Status>
where
    M: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let channel = channel_to(lab, name).await.map_err(|e| Status::unknown(e.to_string()))?;
    let mut rpc = Grpc::new(channel);
    rpc.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
    let codec = ProstCodec::<M, A>::default();
    Ok(rpc.unary(request(message, token), PathAndQuery::from_static(path), codec).await?.into_inner())
}

/// A call with a stream of answers.
pub async fn stream_of<M, A>(
    lab: &Lab,
    name: &str,
    path: &'static str,
    message: M,
    token: Option<&str>,
) -> Result<Streaming<A>, Status>
where
    M: Message + Default + 'static,
    A: Message + Default + 'static,
{
    let channel = channel_to(lab, name).await.map_err(|e| Status::unknown(e.to_string()))?;
    let mut rpc = Grpc::new(channel);
    rpc.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
    let codec = ProstCodec::<M, A>::default();
    let path = PathAndQuery::from_static(path);
    Ok(rpc.server_streaming(request(message, token), path, codec).await?.into_inner())
}

/// A person adds a machine.
pub async fn create(lab: &Lab, uuid: &str, token: Option<&str>) -> Result<CreateNodesResponse, Status> {
    let machine =
        HwData { uuid: uuid.into(), serialnum: SERIAL.into(), mac_id: MAC.into(), sut_ip: ADDRESS.into() };
    let message = CreateNodesRequest { payload: vec![NodeData { hwdata: vec![machine] }] };
    call(lab, "onboarding", CREATE_NODES, message, token).await
}
