//! Tokens from the identity provider (Keycloak) and the release service.

use crate::failure;
use crate::jwt;
use crate::net::Net;
use crate::site::Server;
use reqwest::{Response, StatusCode};
use serde::Deserialize;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use zeroize::Zeroizing;

/// No answer of the two services is longer.
const LONGEST: usize = 256 * 1024;
/// For a token that does not say how long it lives: shorter than Keycloak's default of a minute.
const UNSAID: Duration = Duration::from_secs(45);

/// A value that is never shown; its memory is wiped.
#[derive(Clone, PartialEq)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    pub fn bearer(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("Bearer {}", self.text()))
    }
}

/// What a token is asked for with.
pub enum Grant<'a> {
    Machine { id: &'a str, secret: &'a Secret },
    Password { user: &'a str, password: &'a Secret },
    Refresh { token: &'a Secret },
}

/// The account at the identity provider by which a person logs in.
const SYSTEM_CLIENT: &str = "system-client";

/// What the identity provider gave.
pub struct Granted {
    pub access: Secret,
    pub refresh: Option<Secret>,
    pub lifetime: Duration,
}

/// Why there is no token.
#[derive(Debug, PartialEq, Eq)]
pub enum Denied {
    /// The identity provider looked at the credentials and does not take them.
    Refused(String),
    /// Anything that asking again may mend.
    Unreachable(String),
}

impl Denied {
    pub fn words(&self) -> &str {
        match self {
            Self::Refused(words) | Self::Unreachable(words) => words,
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<Zeroizing<String>>,
    refresh_token: Option<Zeroizing<String>>,
    expires_in: Option<f64>,
}

#[derive(Deserialize, Default)]
struct ErrorAnswer {
    error: Option<String>,
    error_description: Option<String>,
}

/// Asks Keycloak's realm `master` for a token.
pub async fn access(net: &Net, keycloak: &Server, grant: Grant<'_>) -> Result<Granted, Denied> {
    let form: Vec<(&str, &str)> = match &grant {
        Grant::Machine { id, secret } => {
            vec![("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret.text())]
        }
        Grant::Password { user, password } => vec![
            ("grant_type", "password"),
            ("client_id", SYSTEM_CLIENT),
            ("scope", "openid"),
            ("username", user),
            ("password", password.text()),
        ],
        Grant::Refresh { token } => {
            vec![
                ("grant_type", "refresh_token"),
                ("client_id", SYSTEM_CLIENT),
                ("refresh_token", token.text()),
            ]
        }
    };
    let peer = keycloak.to_string();
    let url = format!("https://{peer}/realms/master/protocol/openid-connect/token");
    let response =
        net.http.post(url).form(&form).send().await.map_err(|e| Denied::Unreachable(http_words(e, &peer)))?;
    let status = response.status();
    let body = body(response, &peer).await.map_err(Denied::Unreachable)?;
    granted(status, &body, &peer)
}

fn granted(status: StatusCode, body: &[u8], peer: &str) -> Result<Granted, Denied> {
    if status != StatusCode::OK {
        let said: ErrorAnswer = serde_json::from_slice(body).unwrap_or_default();
        let why = said.error_description.or(said.error).map(|why| format!(" ({why})")).unwrap_or_default();
        return Err(match status {
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Denied::Refused(
                format!("{peer} does not accept the credentials, HTTP {}{why}", status.as_u16()),
            ),
            _ => Denied::Unreachable(format!("{}{why}", status_words(status, peer))),
        });
    }
    let unusable = |what: &str| Denied::Unreachable(format!("{peer} answers without {what}"));
    let answer: TokenAnswer = serde_json::from_slice(body)
        .map_err(|_| unusable("the JSON of a token; is the address that of an identity provider?"))?;
    let given = |token: Option<Zeroizing<String>>| token.filter(|t| is_token(t)).map(Secret);
    let access = given(answer.access_token).ok_or_else(|| unusable("an access token"))?;
    let stated = answer.expires_in.and_then(|s| Duration::try_from_secs_f64(s).ok()).filter(|d| !d.is_zero());
    let lifetime = stated.or_else(|| jwt::lifetime(access.text(), now())).unwrap_or(UNSAID);
    Ok(Granted { access, refresh: given(answer.refresh_token), lifetime })
}

/// Asks the release service for its token, with the identity provider's; gives it and its life time
/// if it tells one.
pub async fn release(
    net: &Net,
    release: &Server,
    access: &Secret,
) -> Result<(Secret, Option<Duration>), String> {
    let peer = release.to_string();
    let request = net.http.get(format!("https://{peer}/token")).bearer_auth(access.text());
    let response = request.send().await.map_err(|e| http_words(e, &peer))?;
    let status = response.status();
    let body = body(response, &peer).await?;
    match status {
        StatusCode::OK => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(format!(
                "{peer} does not accept the identity provider's token, HTTP {}",
                status.as_u16()
            ));
        }
        _ => return Err(status_words(status, &peer)),
    }
    let text = std::str::from_utf8(&body).unwrap_or_default().trim();
    if !is_token(text) {
        return Err(format!("{peer} answers without a release token"));
    }
    Ok((Secret::new(text.to_owned()), jwt::lifetime(text, now())))
}

/// Whether a text can be a token: it ends up in a header, and scripts print `null` for none.
fn is_token(text: &str) -> bool {
    !text.is_empty() && text != "null" && text.bytes().all(|b| b.is_ascii_graphic())
}

fn status_words(status: StatusCode, peer: &str) -> String {
    let code = status.as_u16();
    match code {
        404 => format!("{peer} has no such service, HTTP 404; is the address right?"),
        429 => format!("{peer} is overloaded, HTTP 429"),
        500.. => format!("{peer} has an error of its own, HTTP {code}"),
        300..=399 => format!("{peer} sends elsewhere, HTTP {code}; is the address right?"),
        _ => format!("{peer} answers HTTP {code}"),
    }
}

fn http_words(error: reqwest::Error, peer: &str) -> String {
    if error.is_timeout() {
        return failure::no_answer(peer);
    }
    // The URL holds no secret, but says nothing new either.
    failure::explain(&error.without_url(), peer)
}

async fn body(mut response: Response, peer: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut body = Zeroizing::new(Vec::new());
    while let Some(part) = response.chunk().await.map_err(|e| http_words(e, peer))? {
        if body.len() + part.len() > LONGEST {
            return Err(format!("{peer} answers with more than a token"));
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(status: u16, body: &str) -> Result<Granted, Denied> {
        granted(StatusCode::from_u16(status).unwrap(), body.as_bytes(), "h:443")
    }

    #[test]
    fn answers_of_keycloak() {
        let got =
            of(200, r#"{"access_token":"a.b.c","expires_in":20,"refresh_token":"r","token_type":"Bearer"}"#)
                .ok()
                .unwrap();
        assert_eq!((got.access.text(), got.lifetime.as_secs()), ("a.b.c", 20));
        assert_eq!(got.refresh.as_ref().map(Secret::text), Some("r"));
        let bare = of(200, r#"{"access_token":"opaque","expires_in":0}"#).ok().unwrap();
        assert_eq!((bare.lifetime, bare.refresh.is_none()), (UNSAID, true));
        for none in [
            r#"{"access_token":"null"}"#,
            r#"{"access_token":""}"#,
            r#"{"access_token":null}"#,
            "{}",
            "<html>",
            r#"{"access_token":"a\nb"}"#,
        ] {
            assert!(matches!(of(200, none), Err(Denied::Unreachable(_))), "{none}");
        }
        let no = of(401, r#"{"error":"invalid_grant","error_description":"Invalid user credentials"}"#)
            .err()
            .unwrap();
        assert_eq!(
            no,
            Denied::Refused(
                "h:443 does not accept the credentials, HTTP 401 (Invalid user credentials)".into()
            )
        );
        for (status, word) in
            [(429, "overloaded"), (503, "error of its own"), (404, "address"), (302, "elsewhere")]
        {
            assert!(
                matches!(of(status, ""), Err(Denied::Unreachable(text)) if text.contains(word)),
                "{status}"
            );
        }
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_fail(status in 100u16..600, body in ".{0,80}", seconds in any::<f64>()) {
            let _ = of(status, &body);
            let _ = of(200, &format!(r#"{{"access_token":"a","expires_in":{seconds}}}"#));
        }
    }
}
