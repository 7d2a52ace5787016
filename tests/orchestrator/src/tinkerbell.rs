//! Messages of Tinkerbell's `proto.WorkflowService`, as far as a worker uses them.

pub const GET_WORKFLOW_CONTEXTS: &str = "/proto.WorkflowService/GetWorkflowContexts";
pub const GET_WORKFLOW_ACTIONS: &str = "/proto.WorkflowService/GetWorkflowActions";
pub const REPORT_ACTION_STATUS: &str = "/proto.WorkflowService/ReportActionStatus";

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowContextRequest {
    #[prost(string, tag = "1")]
    pub worker_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowContext {
    #[prost(string, tag = "1")]
    pub workflow_id: String,
    #[prost(string, tag = "2")]
    pub current_worker: String,
    #[prost(int64, tag = "7")]
    pub total_number_of_actions: i64,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowActionsRequest {
    #[prost(string, tag = "1")]
    pub workflow_id: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowActionList {
    #[prost(message, repeated, tag = "1")]
    pub action_list: Vec<WorkflowAction>,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowAction {
    #[prost(string, tag = "1")]
    pub task_name: String,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub image: String,
}

#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct WorkflowActionStatus {
    #[prost(string, tag = "1")]
    pub workflow_id: String,
    #[prost(string, tag = "2")]
    pub task_name: String,
    #[prost(string, tag = "3")]
    pub action_name: String,
    /// 3 is success.
    #[prost(int32, tag = "4")]
    pub action_status: i32,
    #[prost(string, tag = "8")]
    pub worker_id: String,
}

#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct Empty {}
