//! How long a token lives, by its own claims (RFC 7519). The signature is the servers' business.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use std::time::Duration;

#[derive(Deserialize)]
struct Claims {
    exp: f64,
    iat: Option<f64>,
}

/// The rest of a token's life at `now` (seconds since 1970); none for a token that does not say.
///
/// A clock that is wrong must not make every token look dead or eternal, so the span from issue to
/// end counts as well: what is left is never more than that, and it is taken whole when by the
/// machine's clock nothing would be left.
pub fn lifetime(token: &str, now: f64) -> Option<Duration> {
    let payload = token.split('.').nth(1)?;
    let bytes = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Claims = serde_json::from_slice(&bytes).ok()?;
    let left = claims.exp - now;
    let seconds = match claims.iat.map(|iat| claims.exp - iat).filter(|span| *span > 0.0) {
        Some(span) if left <= 0.0 => span,
        Some(span) => left.min(span),
        None => left,
    };
    Duration::try_from_secs_f64(seconds.max(0.0)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(claims: &str) -> String {
        format!("{}.{}.sig", URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#), URL_SAFE_NO_PAD.encode(claims))
    }

    #[test]
    fn claims_and_clocks() {
        let both = token(r#"{"exp":1020,"iat":1000,"sub":"x"}"#);
        let seconds = |token: &str, now| lifetime(token, now).map(|d| d.as_secs());
        assert_eq!(seconds(&both, 1000.0), Some(20));
        assert_eq!(seconds(&both, 1015.0), Some(5));
        assert_eq!(seconds(&both, 5.0), Some(20), "a clock that is behind");
        assert_eq!(seconds(&both, 9999.0), Some(20), "a clock that is ahead");
        assert_eq!(seconds(&token(r#"{"exp":1020.5}"#), 1000.0), Some(20));
        assert_eq!(seconds(&token(r#"{"exp":1020}"#), 2000.0), Some(0));
        for opaque in ["", "abc", "a.b.c", &token("{}"), &token(r#"{"exp":"x"}"#), &token("[]")] {
            assert_eq!(lifetime(opaque, 1000.0), None, "{opaque}");
        }
    }

    proptest! {
        #[test]
        fn no_token_makes_it_fail(text in ".{0,60}", claims in ".{0,60}", exp in any::<f64>(), now in any::<f64>()) {
            let _ = lifetime(&text, now);
            let _ = lifetime(&token(&claims), now);
            let _ = lifetime(&token(&format!(r#"{{"exp":{exp}}}"#)), now);
        }
    }
}
