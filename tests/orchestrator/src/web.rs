//! The HTTP services: Keycloak's tokens, release tokens, files, OCI artifacts, logs.

use crate::Shared;
use crate::misbehaviour::Misbehaviour;
use crate::otlp;
use crate::record::Event;
use crate::tokens::{Use, Worth};
use bytes::Bytes;
use http::header::{
    ALLOW, AUTHORIZATION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use std::collections::HashMap;
use std::io::Read as _;
use tonic::body::Body;

const TOKEN_PATH: &str = "/realms/master/protocol/openid-connect/token";
/// The client by which people log in.
const PEOPLE: &str = "system-client";
/// Largest body that is taken.
const LARGEST: usize = 16 << 20;

/// Status, headers, content.
struct Reply {
    status: u16,
    headers: Vec<(HeaderName, String)>,
    content: Vec<u8>,
}

impl Reply {
    fn new(status: u16, content: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), content: content.into() }
    }

    fn with(mut self, name: HeaderName, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, value.to_string()).with(CONTENT_TYPE, "application/json")
    }
}

pub async fn answer(request: Request<Incoming>, shared: &Shared) -> Response<Body> {
    let conduct = shared.conduct.now();
    let head = request.method() == Method::HEAD;
    let (parts, body) = request.into_parts();
    let host = match parts.uri.host() {
        Some(host) => host.to_owned(),
        None => text(&parts.headers, &HOST),
    };
    let host = host.split(':').next().unwrap_or_default().to_owned();
    let path = parts.uri.path().to_owned();
    let body = Limited::new(body, LARGEST).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let forced = conduct.and_then(Misbehaviour::status).map(|status| {
        let reply = Reply::new(status, format!("the stand-in answers everything with {status}\n"));
        if status == 429 { reply.with(RETRY_AFTER, "2") } else { reply }
    });
    let methods: &[Method] = match path.as_str() {
        TOKEN_PATH | "/v1/logs" => &[Method::POST],
        _ => &[Method::GET, Method::HEAD],
    };
    let reply = match path.as_str() {
        _ if !methods.contains(&parts.method) => {
            let allowed = methods.iter().map(Method::as_str).collect::<Vec<_>>().join(", ");
            Reply::new(405, format!("{path} takes {allowed}\n")).with(ALLOW, allowed)
        }
        TOKEN_PATH => token(&parts.headers, &body, forced, shared),
        "/token" => release_token(&parts.headers, forced, shared),
        "/v1/logs" => logs(&parts.headers, &body, forced, shared),
        _ => artifact(&parts.headers, &host, &path, forced, shared),
    };
    let length = reply.content.len();
    let content = if head { Vec::new() } else { reply.content };
    let body = if conduct == Some(Misbehaviour::HalfClosed) {
        broken(content)
    } else {
        Body::new(Full::new(Bytes::from(content)))
    };
    let mut response = Response::new(body);
    // Of a HEAD's answer too: clients learn a manifest's size by it.
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    *response.status_mut() = http::StatusCode::from_u16(reply.status).unwrap_or_default();
    for (name, value) in reply.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Half of the content, then the end of the connection.
fn broken(content: Vec<u8>) -> Body {
    let half = Bytes::from(content[..content.len() / 2].to_vec());
    let frames = [Ok(Frame::data(half)), Err(std::io::Error::other("the stand-in breaks off"))];
    Body::new(StreamBody::new(tokio_stream::iter(frames)))
}

fn text(headers: &HeaderMap, name: &HeaderName) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

fn worth(headers: &HeaderMap, what: Use, shared: &Shared) -> Worth {
    shared.tokens.check(headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()), what)
}

/// A form's fields (application/x-www-form-urlencoded).
fn form(body: &[u8]) -> HashMap<String, String> {
    let pairs = body.split(|b| *b == b'&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let mut parts = pair.splitn(2, |b| *b == b'=');
            let mut part = || unescape(parts.next().unwrap_or_default());
            (part(), part())
        })
        .collect()
}

fn unescape(text: &[u8]) -> String {
    let mut out = Vec::new();
    let mut rest = text;
    while let [first, more @ ..] = rest {
        let hex = |b: u8| char::from(b).to_digit(16);
        rest = match (first, more) {
            (b'%', [high, low, more @ ..]) if hex(*high).is_some() && hex(*low).is_some() => {
                let value = hex(*high).unwrap_or(0) * 16 + hex(*low).unwrap_or(0);
                out.push(u8::try_from(value).unwrap_or(b'?'));
                more
            }
            (b'+', more) => {
                out.push(b' ');
                more
            }
            (byte, more) => {
                out.push(*byte);
                more
            }
        };
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Keycloak's token endpoint: client credentials, and a person's password.
fn token(headers: &HeaderMap, body: &[u8], forced: Option<Reply>, shared: &Shared) -> Reply {
    let fields = form(body);
    let field = |name: &str| fields.get(name).map_or("", String::as_str);
    let grant = field("grant_type");
    let account = if text(headers, &CONTENT_TYPE).starts_with("application/x-www-form-urlencoded") {
        account(&field, shared)
    } else {
        Err(Reply::new(415, "only application/x-www-form-urlencoded is taken\n"))
    };
    // What somebody typed in place of a user name may be a password: only a good one is recorded.
    let name = account.as_ref().map_or("", |name| name).to_owned();
    let reply = forced.unwrap_or_else(|| match account {
        Ok(_) => Reply::json(
            200,
            &serde_json::json!({
                "access_token": shared.tokens.give(Use::Access),
                "expires_in": shared.tokens.lifetime().as_secs(),
                "token_type": "Bearer",
            }),
        ),
        Err(reply) => reply,
    });
    let grant = match grant {
        "client_credentials" | "password" => grant,
        "" => "missing",
        _ => "unsupported",
    };
    shared.records.add(Event::Token { grant: grant.to_owned(), account: name, status: reply.status });
    reply
}

/// Whose token a form asks for, or how Keycloak refuses it.
fn account<'a>(field: &impl Fn(&str) -> &'a str, shared: &Shared) -> Result<&'a str, Reply> {
    let no = |status, error: &str, description: &str| {
        Reply::json(status, &serde_json::json!({ "error": error, "error_description": description }))
    };
    let client = field("client_id");
    let stranger = || no(401, "invalid_client", "Invalid client or Invalid client credentials");
    match field("grant_type") {
        "client_credentials" if shared.machines.account_is(client, field("client_secret")) => Ok(client),
        "client_credentials" => Err(stranger()),
        "password" if client != PEOPLE => Err(stranger()),
        "password" if field("username").is_empty() => {
            Err(no(401, "invalid_request", "Missing parameter: username"))
        }
        "password" if (field("username"), field("password")) != (&*shared.user.0, &*shared.user.1) => {
            Err(no(401, "invalid_grant", "Invalid user credentials"))
        }
        "password" if !field("scope").split(' ').any(|scope| scope == "openid") => {
            Err(no(400, "invalid_scope", "Invalid scopes: openid is wanted"))
        }
        "password" => Ok(field("username")),
        "" => Err(no(400, "invalid_request", "Missing form parameter: grant_type")),
        _ => Err(no(400, "unsupported_grant_type", "Unsupported grant_type")),
    }
}

fn release_token(headers: &HeaderMap, forced: Option<Reply>, shared: &Shared) -> Reply {
    let worth = worth(headers, Use::Access, shared);
    let reply = match forced {
        Some(reply) => reply,
        None if worth == Worth::Valid => Reply::new(200, shared.tokens.give(Use::Release)),
        None => Reply::new(401, "the token does not hold\n"),
    };
    shared.records.add(Event::ReleaseToken { status: reply.status, token: worth.word().to_owned() });
    reply
}

/// Files of the Tinkerbell stack and of the release service, and OCI artifacts.
fn artifact(headers: &HeaderMap, host: &str, path: &str, forced: Option<Reply>, shared: &Shared) -> Reply {
    let (route, what) = if path.starts_with("/tink-stack/") {
        ("tink-stack", Use::Access)
    } else if path.starts_with("/files-edge-orch/repository/") {
        ("files", Use::Release)
    } else if path == "/v2" || path.starts_with("/v2/") {
        ("oci", Use::Release)
    } else {
        return forced.unwrap_or_else(|| Reply::new(404, "the stand-in has nothing here\n"));
    };
    let worth = worth(headers, what, shared);
    let reply = match forced {
        Some(reply) => reply,
        None if worth != Worth::Valid => {
            Reply::new(401, "the token does not hold\n").with(WWW_AUTHENTICATE, "Bearer realm=\"stand-in\"")
        }
        None if route == "oci" => registry(path, shared),
        None if path.ends_with("/hello.txt") => Reply::new(200, format!("hello from {route}\n")),
        None => Reply::new(404, "the stand-in has hello.txt only\n"),
    };
    shared.records.add(Event::Fetch {
        route: route.to_owned(),
        host: host.to_owned(),
        path: path.to_owned(),
        status: reply.status,
        token: worth.word().to_owned(),
    });
    reply
}

/// The pulling half of the OCI distribution specification.
fn registry(path: &str, shared: &Shared) -> Reply {
    let below = path.trim_start_matches("/v2").trim_start_matches('/');
    if below.is_empty() {
        return Reply::json(200, &serde_json::json!({}));
    }
    match shared.artifacts.find(below) {
        Some((digest, kind, content)) => Reply::new(200, content)
            .with(CONTENT_TYPE, kind)
            .with(HeaderName::from_static("docker-content-digest"), digest),
        None => {
            let error = serde_json::json!({ "errors": [{ "code": "MANIFEST_UNKNOWN", "message": below }] });
            Reply::json(404, &error)
        }
    }
}

fn logs(headers: &HeaderMap, body: &[u8], forced: Option<Reply>, shared: &Shared) -> Reply {
    let worth = worth(headers, Use::Access, shared);
    let mut plain = Vec::new();
    let body = match &*text(headers, &CONTENT_ENCODING) {
        "gzip" => {
            let limit = LARGEST as u64;
            let read = flate2::read::GzDecoder::new(body).take(limit).read_to_end(&mut plain);
            read.ok().map(|_| plain.as_slice())
        }
        "" | "identity" => Some(body),
        _ => None,
    };
    let lines = body.and_then(|body| otlp::lines(&text(headers, &CONTENT_TYPE), body));
    let reply = match forced {
        Some(reply) => reply,
        None if worth != Worth::Valid => Reply::new(401, "the token does not hold\n"),
        None if lines.is_none() => Reply::new(400, "this is not an OTLP request\n"),
        None => Reply::json(200, &serde_json::json!({})),
    };
    shared.records.add(Event::Logs {
        scope_org_id: text(headers, &HeaderName::from_static("x-scope-orgid")),
        host_guid: text(headers, &HeaderName::from_static("hostguid")),
        token: worth.word().to_owned(),
        lines: lines.unwrap_or_default(),
    });
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_unescaped() {
        let fields = form(b"grant_type=password&username=a%40b&password=x+y%2&empty=&flag");
        assert_eq!(fields["username"], "a@b");
        assert_eq!(fields["password"], "x y%2");
        assert_eq!((fields["empty"].as_str(), fields["flag"].as_str()), ("", ""));
    }
}
