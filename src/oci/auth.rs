//! What a registry wants of a login: a name and a password with each request, or a token that another
//! server gives for them.
//!
//! Source: the distribution project's specifications "Token Authentication" and "OAuth2"
//! (distribution.github.io/distribution/spec/auth), which the OCI distribution specification leaves open and
//! registries follow; RFC 7617 for `Basic`.

use super::credentials::{Found, Login, Secret};
use super::wire::Endpoint;
use crate::http::Fault;
use base64::Engine as _;
use reqwest::header::{HeaderMap, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{StatusCode, Url};
use serde::Deserialize;
use std::fmt;

/// Largest answer of a token server, in bytes.
const LARGEST_TOKEN: u64 = 1 << 20;
/// How this program calls itself to a token server.
const CLIENT: &str = "hookos";

/// The value of the header `Authorization`.
#[derive(Clone)]
pub(super) struct Grant(HeaderValue);

impl Grant {
    fn new(scheme: &str, secret: &str) -> Result<Self, Fault> {
        let mut value = HeaderValue::from_str(&format!("{scheme} {secret}"))
            .map_err(|_| Fault::lasting("its token has characters that a header may not have"))?;
        value.set_sensitive(true);
        Ok(Self(value))
    }

    pub fn header(&self) -> HeaderValue {
        self.0.clone()
    }
}

impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Grant")
    }
}

/// What a registry asks for.
#[derive(Debug, PartialEq, Eq)]
enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scopes: Vec<String> },
}

/// Does what the challenge of a registry's answer asks for.
pub(super) fn answer(endpoint: &Endpoint<'_>, headers: &HeaderMap) -> Result<Grant, Fault> {
    let Some(challenge) = challenge(headers) else {
        let found = endpoint.login()?;
        return Err(match found.login {
            None => no_login(found),
            Some(_) => {
                Fault::lasting("it wants a login in a way that is not known: neither Basic nor Bearer")
            }
        });
    };
    match challenge {
        Challenge::Basic => {
            let found = endpoint.login()?;
            match &found.login {
                None => Err(no_login(found)),
                Some(Login { user, secret: Secret::Password(password) }) => {
                    Grant::new("Basic", &basic(user, password))
                }
                Some(Login { secret: Secret::IdentityToken(_), .. }) => Err(Fault::lasting(format!(
                    "it wants a password, and the login that is written down for it is a token ({})",
                    found.told
                ))),
            }
        }
        Challenge::Bearer { realm, service, scopes } => token(endpoint, &realm, service, &scopes),
    }
}

fn no_login(found: &Found) -> Fault {
    let why = "it wants a login, or the image does not exist (`docker login` or `podman login` give one)";
    let told = match (&found.login, found.told.as_str()) {
        (None, told) if !told.is_empty() => format!("; {told}"),
        _ => String::new(),
    };
    Fault { status: Some(StatusCode::UNAUTHORIZED), ..Fault::lasting(format!("{why}{told}")) }
}

/// Words for an answer 401, to a request with or without what [`answer`] gave.
pub(super) fn refused(endpoint: &Endpoint<'_>, granted: bool, said: &str) -> String {
    match endpoint.login() {
        Err(fault) => fault.why,
        Ok(Found { login: Some(login), told }) if granted => {
            format!("it does not take the login of {} ({told}) for this: {said}", login.who())
        }
        Ok(found) => format!("{} ({said})", no_login(found).why),
    }
}

/// The challenge that can be answered; a token is preferred.
fn challenge(headers: &HeaderMap) -> Option<Challenge> {
    let mut found = None;
    for text in headers.get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()) {
        for one in http_auth::parse_challenges(text).unwrap_or_default() {
            let of = |name: &str| {
                let value = one.params.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                value.map(|(_, value)| value.to_unescaped())
            };
            if one.scheme.eq_ignore_ascii_case("basic") {
                found.get_or_insert(Challenge::Basic);
            } else if one.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = of("realm")
            {
                let scopes = of("scope").unwrap_or_default();
                let scopes = scopes.split_whitespace().map(str::to_owned).collect();
                found = Some(Challenge::Bearer { realm, service: of("service"), scopes });
            }
        }
    }
    found
}

fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

/// Asks a token server.
fn token(
    endpoint: &Endpoint<'_>,
    realm: &str,
    service: Option<String>,
    scopes: &[String],
) -> Result<Grant, Fault> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let mut url: Url = realm
        .parse()
        .map_err(|e| Fault::lasting(format!("its challenge names {realm:?} as a token server: {e}")))?;
    // A password must not leave on a way that is less safe than the registry's own.
    if url.scheme() != "https" && url.scheme() != endpoint.root.scheme() {
        return Err(Fault::lasting(format!("its token server {realm} is not spoken to with TLS")));
    }
    let named = url.host_str().unwrap_or_default().to_owned();
    let (found, client) = (endpoint.login()?, endpoint.client_for(&url)?);
    let request = match &found.login {
        Some(Login { secret: Secret::IdentityToken(secret), .. }) => {
            let scope = scopes.join(" ");
            let mut form = vec![
                ("grant_type", "refresh_token"),
                ("client_id", CLIENT),
                ("refresh_token", secret),
                ("scope", &scope),
            ];
            form.extend(service.as_deref().map(|service| ("service", service)));
            client.post(url).form(&form)
        }
        login => {
            {
                let mut query = url.query_pairs_mut();
                query.extend_pairs(service.as_deref().map(|service| ("service", service)));
                query.extend_pairs(scopes.iter().map(|scope| ("scope", scope)));
                query.extend_pairs(login.iter().map(|login| ("account", &login.user)));
                query.append_pair("client_id", CLIENT);
            }
            let request = client.get(url);
            match login {
                Some(Login { user, secret: Secret::Password(password) }) => {
                    request.header("Authorization", Grant::new("Basic", &basic(user, password))?.header())
                }
                _ => request,
            }
        }
    };
    let while_asking = |fault: Fault| Fault {
        why: match (&found.login, fault.status) {
            (Some(login), Some(status)) if status.is_client_error() => {
                let who = login.who();
                format!(
                    "its token server {named} does not take the login of {who} ({}): {}",
                    found.told, fault.why
                )
            }
            (None, Some(StatusCode::UNAUTHORIZED)) => {
                format!("{} (its token server {named}: {})", no_login(found).why, fault.why)
            }
            _ => format!("its token server {named}: {}", fault.why),
        },
        ..fault
    };
    let response = endpoint.wait(request.send(), None, None)?.map_err(|e| while_asking(e.into()))?;
    if !response.status().is_success() {
        return Err(while_asking(endpoint.failure(response)));
    }
    let text = endpoint.whole(response, LARGEST_TOKEN).map_err(while_asking)?;
    // serde's own words could quote the token.
    let answer: Answer = serde_json::from_slice(&text).map_err(|_| {
        Fault::lasting(format!("its token server {named} answers something else than a token"))
    })?;
    match answer.token.or(answer.access_token).filter(|token| !token.is_empty()) {
        Some(token) => Grant::new("Bearer", &token),
        None => Err(Fault::lasting(format!("its token server {named} gives no token"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn challenges_are_read() {
        let of = |all: &[&'static str]| {
            challenge(&all.iter().map(|t| (WWW_AUTHENTICATE, HeaderValue::from_static(t))).collect())
        };
        let bearer = Challenge::Bearer {
            realm: "https://auth.test/token".to_owned(),
            service: Some("registry.test".to_owned()),
            scopes: vec!["repository:a/b:pull,push".to_owned(), "repository:c:pull".to_owned()],
        };
        let text = "Bearer realm=\"https://auth.test/token\",service=\"registry.test\",\
                    scope=\"repository:a/b:pull,push repository:c:pull\"";
        assert_eq!(of(&[text]), Some(bearer));
        assert!(matches!(of(&["Basic realm=\"x\"", text]), Some(Challenge::Bearer { .. })));
        assert_eq!(of(&["basic realm=x"]), Some(Challenge::Basic));
        assert_eq!(of(&["Negotiate"]), None);
        assert_eq!(of(&[]), None);
    }
}
