//! Protocol buffers (proto3) of the package `onboardingmgr.v1`, written down from the field table of the
//! orchestrator's onboarding manager, so that no `protoc` is needed to build.
//!
//! Two services over TLS: a stream by which a machine that the orchestrator knows gets its credentials
//! ([`ONBOARD_NODE_STREAM`], no authentication), and a call by which a person who has logged in adds
//! a machine that it does not know ([`CREATE_NODES`], `authorization: Bearer <token>`).

/// Path of the bidirectional stream of `NonInteractiveOnboardingService`.
pub const ONBOARD_NODE_STREAM: &str = "/onboardingmgr.v1.NonInteractiveOnboardingService/OnboardNodeStream";
/// Path of the unary call of `InteractiveOnboardingService`.
pub const CREATE_NODES: &str = "/onboardingmgr.v1.InteractiveOnboardingService/CreateNodes";

/// What a machine says of itself.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct OnboardNodeStreamRequest {
    /// SMBIOS system UUID, as sysfs shows it: lower case with hyphens.
    #[prost(string, tag = "1")]
    pub uuid: String,
    /// SMBIOS system serial number.
    #[prost(string, tag = "2")]
    pub serialnum: String,
    /// MAC address of the boot NIC.
    #[prost(string, tag = "3")]
    pub mac_id: String,
    /// IPv4 address of the boot NIC.
    #[prost(string, tag = "4")]
    pub host_ip: String,
}

/// The orchestrator's answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct OnboardNodeStreamResponse {
    /// `code` 0 with a state, or a gRPC status code: 3 for what does not validate, 5 for a machine
    /// that is not known, 9 for one that may not onboard (again).
    #[prost(message, optional, tag = "1")]
    pub status: Option<Status>,
    #[prost(enumeration = "NodeState", tag = "2")]
    pub node_state: i32,
    #[prost(string, tag = "3")]
    pub client_id: String,
    #[prost(string, tag = "4")]
    pub client_secret: String,
    #[prost(string, tag = "5")]
    pub project_id: String,
}

/// How far a machine has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum NodeState {
    Unspecified = 0,
    /// Known, not released for onboarding yet: ask again.
    Registered = 1,
    /// The answer holds the credentials.
    Onboarded = 2,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Status {
    #[prost(int32, tag = "1")]
    pub code: i32,
    #[prost(string, tag = "2")]
    pub message: String,
    #[prost(message, repeated, tag = "3")]
    pub details: Vec<Any>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Any {
    #[prost(string, tag = "1")]
    pub type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub value: Vec<u8>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CreateNodesRequest {
    #[prost(message, repeated, tag = "1")]
    pub payload: Vec<NodeData>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct CreateNodesResponse {
    #[prost(message, repeated, tag = "1")]
    pub payload: Vec<NodeData>,
    /// Empty in the first answer for a machine that was just created; asking again gives it.
    #[prost(string, tag = "2")]
    pub project_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct NodeData {
    #[prost(message, repeated, tag = "1")]
    pub hwdata: Vec<HwData>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct HwData {
    #[prost(string, tag = "1")]
    pub uuid: String,
    #[prost(string, tag = "2")]
    pub serialnum: String,
    #[prost(string, tag = "3")]
    pub mac_id: String,
    #[prost(string, tag = "4")]
    pub sut_ip: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use prost::Message as _;

    #[test]
    fn field_numbers_are_those_of_the_wire() {
        let request = OnboardNodeStreamRequest {
            uuid: "u".into(),
            serialnum: "s".into(),
            mac_id: "m".into(),
            host_ip: "h".into(),
        };
        assert_eq!(request.encode_to_vec(), b"\x0a\x01u\x12\x01s\x1a\x01m\x22\x01h");
        let response = OnboardNodeStreamResponse {
            status: Some(Status { code: 5, message: "n".into(), details: Vec::new() }),
            node_state: NodeState::Onboarded.into(),
            client_id: "i".into(),
            client_secret: "s".into(),
            project_id: "p".into(),
        };
        let bytes = b"\x0a\x05\x08\x05\x12\x01n\x10\x02\x1a\x01i\x22\x01s\x2a\x01p";
        assert_eq!(response.encode_to_vec(), bytes);
        assert_eq!(OnboardNodeStreamResponse::decode(&bytes[..]).unwrap(), response);
    }

    #[test]
    fn nodes_are_nested_twice() {
        let hwdata = HwData { uuid: "u".into(), sut_ip: "a".into(), ..HwData::default() };
        let request = CreateNodesRequest { payload: vec![NodeData { hwdata: vec![hwdata] }] };
        assert_eq!(request.encode_to_vec(), b"\x0a\x08\x0a\x06\x0a\x01u\x22\x01a");
        let response = CreateNodesResponse { payload: Vec::new(), project_id: "p".into() };
        assert_eq!(response.encode_to_vec(), b"\x12\x01p");
    }
}
