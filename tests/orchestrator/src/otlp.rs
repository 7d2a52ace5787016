//! Log records of OTLP over HTTP, in JSON and in protocol buffers
//! (opentelemetry-proto, `opentelemetry/proto/logs/v1/logs.proto`, `common/v1/common.proto`).

use crate::record::LogLine;
use prost::Message as _;
use serde_json::Value;

/// The lines in a request's body; none when it cannot be read.
pub fn lines(content_type: &str, body: &[u8]) -> Option<Vec<LogLine>> {
    if content_type.starts_with("application/x-protobuf") {
        return Some(wire::Request::decode(body).ok()?.lines());
    }
    let value: Value = serde_json::from_slice(body).ok()?;
    let mut out = Vec::new();
    for resource in value["resourceLogs"].as_array()? {
        for scope in resource["scopeLogs"].as_array()? {
            for record in scope["logRecords"].as_array()? {
                out.push(line(
                    &text(&record["body"]),
                    record["attributes"].as_array().into_iter().flatten().map(|attribute| {
                        (attribute["key"].as_str().unwrap_or_default().to_owned(), text(&attribute["value"]))
                    }),
                ));
            }
        }
    }
    Some(out)
}

fn text(value: &Value) -> String {
    match &value["stringValue"] {
        Value::String(text) => text.clone(),
        _ => value.to_string(),
    }
}

fn line(body: &str, attributes: impl Iterator<Item = (String, String)>) -> LogLine {
    let mut line = LogLine { body: body.to_owned(), ..LogLine::default() };
    for (key, value) in attributes {
        match key.as_str() {
            "FileType" => line.file_type = value,
            "source" => line.source = value,
            "hostGuid" => line.host_guid = value,
            _ => {}
        }
    }
    line
}

mod wire {
    use super::{LogLine, line};

    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        #[prost(message, repeated, tag = "1")]
        pub resource_logs: Vec<ResourceLogs>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ResourceLogs {
        #[prost(message, repeated, tag = "2")]
        pub scope_logs: Vec<ScopeLogs>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct ScopeLogs {
        #[prost(message, repeated, tag = "2")]
        pub log_records: Vec<LogRecord>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct LogRecord {
        #[prost(message, optional, tag = "5")]
        pub body: Option<AnyValue>,
        #[prost(message, repeated, tag = "6")]
        pub attributes: Vec<KeyValue>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct KeyValue {
        #[prost(string, tag = "1")]
        pub key: String,
        #[prost(message, optional, tag = "2")]
        pub value: Option<AnyValue>,
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct AnyValue {
        #[prost(oneof = "Kind", tags = "1, 6")]
        pub kind: Option<Kind>,
    }
    #[derive(Clone, PartialEq, prost::Oneof)]
    pub enum Kind {
        #[prost(string, tag = "1")]
        Text(String),
        #[prost(message, tag = "6")]
        Map(KeyValueList),
    }
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct KeyValueList {
        #[prost(message, repeated, tag = "1")]
        pub values: Vec<KeyValue>,
    }

    impl AnyValue {
        /// A map's text is what is under `log` in it: what Fluent Bit's tail makes of a line.
        fn text(&self) -> String {
            match &self.kind {
                Some(Kind::Text(text)) => text.clone(),
                Some(Kind::Map(map)) => {
                    let log = map.values.iter().find(|pair| pair.key == "log");
                    log.and_then(|pair| pair.value.as_ref()).map(Self::text).unwrap_or_default()
                }
                None => String::new(),
            }
        }

        fn pairs(&self) -> Vec<(String, String)> {
            match &self.kind {
                Some(Kind::Map(map)) => pairs(&map.values),
                _ => Vec::new(),
            }
        }
    }

    fn pairs(values: &[KeyValue]) -> Vec<(String, String)> {
        let pair =
            |pair: &KeyValue| (pair.key.clone(), pair.value.as_ref().map(AnyValue::text).unwrap_or_default());
        values.iter().map(pair).collect()
    }

    impl Request {
        pub fn lines(&self) -> Vec<LogLine> {
            let scopes = self.resource_logs.iter().flat_map(|resource| &resource.scope_logs);
            scopes
                .flat_map(|scope| &scope.log_records)
                .map(|record| {
                    let body = record.body.clone().unwrap_or_default();
                    let attributes = body.pairs().into_iter().chain(pairs(&record.attributes));
                    line(&body.text(), attributes)
                })
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected() -> LogLine {
        LogLine {
            file_type: "uOS_caddyLogs".into(),
            source: "edgenode_provisioning".into(),
            host_guid: "g".into(),
            body: "hello".into(),
        }
    }

    #[test]
    fn json() {
        let attribute =
            |key: &str, value: &str| serde_json::json!({ "key": key, "value": { "stringValue": value } });
        let attributes = [
            attribute("FileType", "uOS_caddyLogs"),
            attribute("source", "edgenode_provisioning"),
            attribute("hostGuid", "g"),
        ];
        let record = serde_json::json!({ "body": { "stringValue": "hello" }, "attributes": attributes });
        let body = serde_json::json!({ "resourceLogs": [{ "scopeLogs": [{ "logRecords": [record] }] }] });
        assert_eq!(lines("application/json", body.to_string().as_bytes()), Some(vec![expected()]));
        assert_eq!(lines("application/json", b"{}"), None);
    }

    #[test]
    fn protocol_buffers_with_a_map_as_body() {
        use super::wire::*;
        let text = |text: &str| Some(AnyValue { kind: Some(Kind::Text(text.into())) });
        let pair = |key: &str, value: &str| KeyValue { key: key.into(), value: text(value) };
        let body = AnyValue {
            kind: Some(Kind::Map(KeyValueList { values: vec![pair("log", "hello"), pair("hostGuid", "g")] })),
        };
        let attributes = vec![pair("FileType", "uOS_caddyLogs"), pair("source", "edgenode_provisioning")];
        let record = LogRecord { body: Some(body), attributes };
        let request = Request {
            resource_logs: vec![ResourceLogs { scope_logs: vec![ScopeLogs { log_records: vec![record] }] }],
        };
        assert_eq!(lines("application/x-protobuf", &request.encode_to_vec()), Some(vec![expected()]));
        assert_eq!(lines("application/x-protobuf", b"\xff"), None);
    }
}
