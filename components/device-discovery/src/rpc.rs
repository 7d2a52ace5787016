//! The two gRPC services of the onboarding manager.

use crate::failure;
use crate::net::{CONNECT, Net, REQUEST};
use crate::pace::Pace;
use crate::site::Server;
use crate::tokens::Secret;
use hookos_onboarding::messages::{
    CREATE_NODES, CreateNodesRequest, CreateNodesResponse, HwData, NodeData, NodeState, ONBOARD_NODE_STREAM,
    OnboardNodeStreamRequest, OnboardNodeStreamResponse,
};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status, Streaming};
use tonic_prost::ProstCodec;

/// Time for one answer on the stream. The reference waits for ever and so hangs with its server.
const ANSWER: Duration = Duration::from_secs(60);

/// What the orchestrator says about the machine.
#[derive(Clone, PartialEq)]
pub enum Answer {
    /// Known, and not released yet.
    Registered,
    Onboarded(Credentials),
    /// Not known: a person has to add it.
    Unknown,
    /// Will not have it, or not now, in words.
    Refused(String),
}

/// What an onboarded machine gets.
#[derive(Clone, PartialEq)]
pub struct Credentials {
    pub project_id: String,
    pub client_id: String,
    pub client_secret: Secret,
}

impl Answer {
    fn of(response: OnboardNodeStreamResponse, peer: &str) -> Result<Self, String> {
        let status = response.status.unwrap_or_default();
        if status.code != 0 {
            return Self::of_code(Code::from(status.code), &status.message, peer)
                .ok_or_else(|| format!("{peer} answers {}: {}", Code::from(status.code), status.message));
        }
        match NodeState::try_from(response.node_state) {
            Ok(NodeState::Registered) => Ok(Self::Registered),
            Ok(NodeState::Onboarded) => Ok(Self::Onboarded(Credentials {
                project_id: response.project_id,
                client_id: response.client_id,
                client_secret: Secret::new(response.client_secret),
            })),
            _ => Err(format!("{peer} answers with the state {}, which has no meaning", response.node_state)),
        }
    }

    /// The codes that are about the machine and not about the server, whether they come in an answer
    /// or end the call.
    fn of_code(code: Code, message: &str, peer: &str) -> Option<Self> {
        match code {
            Code::NotFound => Some(Self::Unknown),
            Code::FailedPrecondition => {
                Some(Self::Refused(format!("{peer} will not onboard this machine now: {message}")))
            }
            Code::InvalidArgument => Some(Self::Refused(format!(
                "{peer} does not accept what this machine says of itself: {message}"
            ))),
            _ => None,
        }
    }
}

/// A call to `OnboardNodeStream`: questions and answers in turn.
pub struct Stream {
    peer: String,
    grpc: Grpc<Channel>,
    pace: Pace,
    questions: mpsc::Sender<OnboardNodeStreamRequest>,
    /// Until the call is made, the other end of `questions`; then the answers.
    state: State,
}

enum State {
    Ready(ReceiverStream<OnboardNodeStreamRequest>),
    Running(Box<Streaming<OnboardNodeStreamResponse>>),
}

impl Stream {
    pub async fn connect(net: &Net, server: &Server) -> Result<Self, String> {
        let (questions, rest) = mpsc::channel(1);
        Ok(Self {
            peer: server.to_string(),
            grpc: Grpc::new(net.grpc(server).await?),
            pace: net.pace,
            questions,
            state: State::Ready(ReceiverStream::new(rest)),
        })
    }

    /// One question, one answer, and the stream if it goes on. A stream whose future was dropped is
    /// of no more use; hence by value.
    pub async fn ask(self, question: OnboardNodeStreamRequest) -> Result<(Option<Self>, Answer), String> {
        let peer = self.peer.clone();
        let limit = self.pace.of(ANSWER);
        match tokio::time::timeout(limit, self.turn(question)).await {
            Ok(result) => result,
            Err(_) => Err(format!("{peer} took the question and does not answer it")),
        }
    }

    async fn turn(mut self, question: OnboardNodeStreamRequest) -> Result<(Option<Self>, Answer), String> {
        let closed = || format!("{} ended the conversation without an answer", self.peer);
        // Before the call: a server may wait for the first question before it answers at all.
        self.questions.send(question).await.map_err(|_| closed())?;
        let mut answers = match self.state {
            State::Running(answers) => answers,
            State::Ready(questions) => {
                self.grpc.ready().await.map_err(|e| failure::explain(&e, &self.peer))?;
                let path = PathAndQuery::from_static(ONBOARD_NODE_STREAM);
                match self.grpc.streaming(Request::new(questions), path, ProstCodec::default()).await {
                    Ok(response) => Box::new(response.into_inner()),
                    Err(status) => return end(&status, &self.peer),
                }
            }
        };
        match answers.message().await {
            Ok(Some(response)) => {
                let answer = Answer::of(response, &self.peer)?;
                Ok((Some(Self { state: State::Running(answers), ..self }), answer))
            }
            Ok(None) => Err(closed()),
            Err(status) => end(&status, &self.peer),
        }
    }
}

/// What a call means that ended with a status.
fn end(status: &Status, peer: &str) -> Result<(Option<Stream>, Answer), String> {
    match Answer::of_code(status.code(), status.message(), peer) {
        Some(answer) => Ok((None, answer)),
        None => Err(words(status, peer)),
    }
}

/// Adds the machine in the name of the person whose token it is; gives the project, which is empty
/// in the first answer for a machine that was just created.
pub async fn create_nodes(
    net: &Net,
    server: &Server,
    machine: &OnboardNodeStreamRequest,
    token: &Secret,
) -> Result<String, String> {
    let peer = server.to_string();
    let machine = HwData {
        uuid: machine.uuid.clone(),
        serialnum: machine.serialnum.clone(),
        mac_id: machine.mac_id.clone(),
        sut_ip: machine.host_ip.clone(),
    };
    let mut request = Request::new(CreateNodesRequest { payload: vec![NodeData { hwdata: vec![machine] }] });
    let mut bearer: tonic::metadata::AsciiMetadataValue = token
        .bearer()
        .as_str()
        .parse()
        .map_err(|_| "the identity provider's token has characters that no token has".to_owned())?;
    bearer.set_sensitive(true);
    request.metadata_mut().insert("authorization", bearer);
    let mut grpc = Grpc::new(net.grpc(server).await?);
    let call = async {
        grpc.ready().await.map_err(|e| failure::explain(&e, &peer))?;
        let path = PathAndQuery::from_static(CREATE_NODES);
        let codec = ProstCodec::<_, CreateNodesResponse>::default();
        grpc.unary(request, path, codec).await.map_err(|status| words(&status, &peer))
    };
    match tokio::time::timeout(net.pace.of(REQUEST + CONNECT), call).await {
        Ok(response) => Ok(response?.into_inner().project_id),
        Err(_) => Err(failure::no_answer(&peer)),
    }
}

/// A gRPC status, in words.
fn words(status: &Status, peer: &str) -> String {
    let said = if status.message().is_empty() { String::new() } else { format!(": {}", status.message()) };
    match status.code() {
        Code::Unauthenticated => format!("{peer} refuses access{said}"),
        Code::PermissionDenied => format!("{peer} does not permit this{said}"),
        Code::Unimplemented => {
            format!("{peer} does not offer the onboarding service; is the address right?{said}")
        }
        Code::ResourceExhausted => format!("{peer} is overloaded{said}"),
        code => match std::error::Error::source(status) {
            // The connection broke; the status is tonic's own.
            Some(cause) => failure::explain(cause, peer),
            None => format!("{peer} answers {code:?}{said}"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookos_onboarding::messages;

    fn response(code: i32, state: i32) -> OnboardNodeStreamResponse {
        OnboardNodeStreamResponse {
            status: Some(messages::Status { code, message: "why".into(), details: Vec::new() }),
            node_state: state,
            client_id: "i".into(),
            client_secret: "s".into(),
            project_id: "p".into(),
        }
    }

    #[test]
    fn codes_and_states() {
        let of = |code, state| Answer::of(response(code, state), "h:443");
        assert!(matches!(of(0, 1), Ok(Answer::Registered)));
        assert!(matches!(of(0, 2), Ok(Answer::Onboarded(c)) if c.project_id == "p" && c.client_id == "i"));
        assert!(matches!(of(5, 0), Ok(Answer::Unknown)));
        assert!(matches!(of(3, 0), Ok(Answer::Refused(text)) if text.contains("why")));
        assert!(matches!(of(9, 0), Ok(Answer::Refused(text)) if text.contains("why")));
        assert!(of(0, 0).is_err_and(|text| text.contains("state 0")));
        assert!(of(0, 77).is_err());
        assert!(of(14, 1).is_err_and(|text| text.contains("why")));
        let bare = OnboardNodeStreamResponse { status: None, node_state: 1, ..response(0, 1) };
        assert!(matches!(Answer::of(bare, "h"), Ok(Answer::Registered)));
    }

    #[test]
    fn a_status_that_ends_the_call_means_the_same() {
        assert!(matches!(end(&Status::not_found("x"), "h"), Ok((None, Answer::Unknown))));
        assert!(end(&Status::unavailable("x"), "h").is_err_and(|text| text == "h answers Unavailable: x"));
    }
}
