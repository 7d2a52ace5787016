//! What a registry says goes wrong, and what a person can do about it.

use crate::http::Fault;
use reqwest::StatusCode;

/// What a person can do about it.
pub(super) fn remedy(fault: &Fault) -> &'static str {
    match fault.status {
        Some(StatusCode::UNAUTHORIZED) => {
            "`docker login REGISTRY` or `podman login REGISTRY` writes a login down; `hookos` reads it there"
        }
        Some(StatusCode::FORBIDDEN) => {
            "see that the login may do this: whoever runs the registry gives the right"
        }
        Some(StatusCode::NOT_FOUND) => "check the reference: registry, repository, tag",
        Some(StatusCode::TOO_MANY_REQUESTS) => {
            "wait, or log in (`docker login`): a registry allows more to those it knows"
        }
        Some(status) if status.is_server_error() => "the registry is in trouble: try again later",
        Some(_) => "docs/registries.md tells what hookos asks of a registry",
        None => {
            "check the registry's name, the network and the proxy (https_proxy, no_proxy); docs/registries.md \
             tells of mirrors, own certificates and registries without TLS"
        }
    }
}

/// What a registry says of a failure. Source: OCI distribution specification 1.1, "Error Codes".
pub(super) fn complaint(text: &[u8]) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Errors {
        errors: Vec<One>,
    }
    #[derive(serde::Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let short = |text: &str| {
        let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(200).collect();
        clean.trim().to_owned()
    };
    let said = match serde_json::from_slice::<Errors>(text) {
        Ok(all) => {
            let each = all.errors.iter().map(|one| format!("{}: {}", one.code, one.message));
            each.collect::<Vec<_>>().join("; ")
        }
        // A page of a proxy says nothing that helps.
        Err(_) if text.trim_ascii_start().starts_with(b"<") => return None,
        Err(_) => String::from_utf8_lossy(text).into_owned(),
    };
    Some(short(&said)).filter(|said| !said.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_registry_says_is_short_and_clean() {
        let text = br#"{"errors":[{"code":"DENIED","message":"no\u001b[2Jaccess"},{"code":"X"}]}"#;
        assert_eq!(complaint(text).unwrap(), "DENIED: no [2Jaccess; X:");
        assert_eq!(complaint(b"<html>busy</html>"), None);
        assert_eq!(complaint(b""), None);
        assert_eq!(complaint(&[b'a'; 1000]).unwrap().len(), 200);
    }
}
