//! The token endpoint: HTTP/1.1 on a Unix socket that only Caddy can reach.

use crate::NAME;
use crate::routes::Credentials;
use crate::tokens::{Headers, Tokens};
use hookos_guest::notice;
use hookos_onboarding::files::File;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, server::conn::http1};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;
use tokio::net::UnixListener;

/// How long a request waits for credentials that are not there yet.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Makes the socket, for its owner alone.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers until dropped.
pub async fn serve(listener: UnixListener, tokens: Tokens, patience: Duration) -> Infallible {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let tokens = tokens.clone();
                tokio::spawn(async move {
                    let answer = service_fn(|request: Request<Incoming>| {
                        let tokens = tokens.clone();
                        async move { Ok::<_, Infallible>(answer(&tokens, request.uri().path(), patience).await) }
                    });
                    // A connection that breaks is Caddy's to open again.
                    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
                });
            }
            Err(e) => {
                notice::say(NAME, &format!("the token endpoint cannot take a connection: {e}"));
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
    }
}

async fn answer(tokens: &Tokens, path: &str, patience: Duration) -> Response<Full<Bytes>> {
    let Some(wanted) = Credentials::ALL.into_iter().find(|c| c.path() == path) else {
        return refusal(StatusCode::NOT_FOUND, format!("there are no credentials at {path}\n"));
    };
    match tokio::time::timeout(patience, tokens.when_there(wanted)).await {
        Ok(headers) => with_headers(headers).unwrap_or_else(|| {
            let text = "a token holds characters that no header may have\n";
            refusal(StatusCode::SERVICE_UNAVAILABLE, text.to_owned())
        }),
        Err(_) => {
            let missing = tokens.now(wanted).err().unwrap_or_default();
            refusal(StatusCode::SERVICE_UNAVAILABLE, reason(&missing))
        }
    }
}

fn with_headers(Headers(headers): Headers) -> Option<Response<Full<Bytes>>> {
    let mut response = Response::new(Full::default());
    for (name, value) in headers {
        let mut value = HeaderValue::from_str(&value).ok()?;
        value.set_sensitive(name == "Authorization");
        response.headers_mut().insert(HeaderName::from_bytes(name.as_bytes()).ok()?, value);
    }
    Some(response)
}

fn reason(missing: &[File]) -> String {
    let names: Vec<&str> = missing.iter().map(|file| file.name()).collect();
    format!(
        "the machine has no {} yet: onboarding has not finished; the console and \
         /var/log/device-discovery.log say how far it is\n",
        names.join(" and no ")
    )
}

fn refusal(status: StatusCode, text: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookos_onboarding::files::Files;
    use http_body_util::BodyExt as _;

    async fn text(response: Response<Full<Bytes>>) -> String {
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        String::from_utf8(bytes.to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_refusal_names_what_is_missing_and_never_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let files = Files::at(folder.path());
        let tokens = Tokens::watch(files.clone(), None).unwrap();
        files.write(File::AccessToken, "secret").unwrap();
        let soon = Duration::from_millis(10);
        let refused = answer(&tokens, "/credentials/logs", soon).await;
        assert_eq!(refused.status(), 503);
        let text = text(refused).await;
        assert!(text.contains("no project_id yet") && !text.contains("secret"), "{text}");
        assert_eq!(answer(&tokens, "/elsewhere", soon).await.status(), 404);
        files.write(File::ReleaseToken, "a\nb").unwrap();
        assert_eq!(answer(&tokens, "/credentials/release", soon).await.status(), 503);
        let given = answer(&tokens, "/credentials/access", soon).await;
        assert_eq!(given.headers()["authorization"], "Bearer secret");
    }
}
