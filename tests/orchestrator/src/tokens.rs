//! Tokens and the other secrets: given out, checked, and remembered for those who look for leaks.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Use {
    /// The orchestrator's services.
    Access,
    /// The release services.
    Release,
}

/// What a bearer token is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Worth {
    Valid,
    Expired,
    Missing,
    Wrong,
}

impl Worth {
    pub fn word(self) -> &'static str {
        match self {
            Self::Valid => "valid",
            Self::Expired => "expired",
            Self::Missing => "missing",
            Self::Wrong => "wrong",
        }
    }
}

pub struct Tokens {
    lifetime: Duration,
    given: Mutex<Given>,
}

#[derive(Default)]
struct Given {
    tokens: HashMap<String, (Use, Instant)>,
    secrets: Vec<String>,
}

impl Tokens {
    pub fn new(lifetime: Duration) -> Self {
        Self { lifetime, given: Mutex::default() }
    }

    pub fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// A new token in the form of a JWT, whose `exp` says when it ends.
    pub fn give(&self, what: Use) -> String {
        let ends = SystemTime::now() + self.lifetime;
        let ends = ends.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_secs());
        let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let token = format!(
            "{}.{}.{}",
            part(serde_json::json!({ "alg": "none", "typ": "JWT" })),
            part(serde_json::json!({ "exp": ends, "jti": random(12) })),
            random(24)
        );
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        given.tokens.insert(token.clone(), (what, Instant::now() + self.lifetime));
        given.secrets.push(token.clone());
        token
    }

    /// What `Authorization: Bearer ...` is worth for this use.
    pub fn check(&self, header: Option<&str>, what: Use) -> Worth {
        let Some(token) = header.and_then(|text| text.strip_prefix("Bearer ")) else { return Worth::Missing };
        let given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        match given.tokens.get(token) {
            Some((use_, ends)) if *use_ == what => {
                if Instant::now() < *ends {
                    Worth::Valid
                } else {
                    Worth::Expired
                }
            }
            _ => Worth::Wrong,
        }
    }

    /// Remembers a secret that is no token.
    pub fn keep_secret(&self, secret: &str) {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).secrets.push(secret.to_owned());
    }

    /// Every secret so far.
    pub fn secrets(&self) -> Vec<String> {
        self.given.lock().unwrap_or_else(PoisonError::into_inner).secrets.clone()
    }
}

/// Letters and digits from the kernel's random numbers.
pub fn random(bytes: usize) -> String {
    use std::io::Read as _;
    let mut buffer = vec![0; bytes];
    let read = std::fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut buffer));
    if read.is_err() {
        // Not secret then, but still of its own kind: nothing real depends on it.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |d| d.as_nanos());
        return format!("x{now:x}");
    }
    buffer.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_for_one_use_and_one_time() {
        let tokens = Tokens::new(Duration::from_millis(80));
        let token = tokens.give(Use::Access);
        let header = format!("Bearer {token}");
        assert_eq!(tokens.check(Some(&header), Use::Access), Worth::Valid);
        assert_eq!(tokens.check(Some(&header), Use::Release), Worth::Wrong);
        assert_eq!(tokens.check(None, Use::Access), Worth::Missing);
        assert_eq!(tokens.check(Some("Bearer x"), Use::Access), Worth::Wrong);
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(tokens.check(Some(&header), Use::Access), Worth::Expired);
        assert_eq!(tokens.secrets(), [token]);
    }
}
