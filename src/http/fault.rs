//! What goes wrong with a server: words for it, whether another attempt may help, and after which rest.

use super::LOOK;
use crate::progress::Progress;
use jiff::fmt::rfc2822;
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use std::time::Duration;

/// Wait after the first failure; it doubles each time.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
/// A server that wants a longer rest than this is not waited for.
const LONGEST_REST: Duration = Duration::from_secs(180);

/// Why a request has not given what it should.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    pub why: String,
    /// What the server answered, if it did.
    pub status: Option<StatusCode>,
    /// Whether another attempt may help: the network, too many requests, a server in trouble.
    pub transient: bool,
    /// How long the server wants to be left alone.
    pub after: Option<Duration>,
    pub cancelled: bool,
}

impl Fault {
    /// One that another attempt does not mend.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), status: None, transient: false, after: None, cancelled: false }
    }

    pub fn passing(why: impl Into<String>) -> Self {
        Self { transient: true, ..Self::lasting(why) }
    }

    pub fn cancelled() -> Self {
        Self { cancelled: true, ..Self::lasting("cancelled") }
    }

    /// An answer that is none, with what the server says of it.
    pub fn of_answer(status: StatusCode, headers: &HeaderMap, said: Option<String>) -> Self {
        let said = said.map_or_else(String::new, |said| format!(": {said}"));
        let transient = status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Self {
            why: format!("it answers with status {}{said}", status.as_u16()),
            status: Some(status),
            transient,
            after: rest_wanted(headers, jiff::Timestamp::now()),
            cancelled: false,
        }
    }

    pub fn is(&self, status: StatusCode) -> bool {
        self.status == Some(status)
    }
}

impl From<reqwest::Error> for Fault {
    fn from(error: reqwest::Error) -> Self {
        // rustls's words: its errors come wrapped more than once.
        let certificate = sources(&error).any(|e| e.to_string().contains("invalid peer certificate"));
        let lasting = error.is_builder() || error.is_redirect() || certificate;
        // An address that a server redirects to may hold a signature.
        let why = with_sources(&error.without_url());
        if lasting { Self::lasting(why) } else { Self::passing(why) }
    }
}

/// An error with its sources: `reqwest` says what broke in the last of them only.
pub(crate) fn with_sources(error: &dyn std::error::Error) -> String {
    sources(error).fold(error.to_string(), |text, error| match error.to_string() {
        more if text.contains(&more) => text,
        more => format!("{text}: {more}"),
    })
}

/// An error, what it comes from, and so on.
fn sources(error: &dyn std::error::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |error| error.source())
}

/// After failure number `failure` (from 1): waits and says yes, where another attempt may help.
///
/// The wait doubles each time and is shortened by chance, so that many builders that were refused
/// together do not come back together. A server that says how long is taken at its word.
pub(crate) fn rest(failure: u32, fault: &Fault, progress: &dyn Progress) -> bool {
    if !fault.transient || progress.cancelled() {
        return false;
    }
    let doubled = WAIT * 2u32.pow(failure.saturating_sub(1).min(8));
    let mut left = match fault.after {
        Some(after) if after > LONGEST_REST => return false,
        Some(after) => after + WAIT.mul_f32(fastrand::f32()),
        None => doubled.mul_f32(0.5 + fastrand::f32() / 2.0),
    };
    let why = &fault.why;
    match fault.after {
        Some(after) => {
            progress.log(&format!("attempt {} follows in {} s: {why}", failure + 1, after.as_secs()));
        }
        None => progress.log(&format!("attempt {} follows: {why}", failure + 1)),
    }
    while !left.is_zero() && !progress.cancelled() {
        let nap = left.min(LOOK);
        std::thread::sleep(nap);
        left -= nap;
    }
    !progress.cancelled()
}

/// `Retry-After`: seconds, or a date. Source: RFC 9110, section 10.2.3.
fn rest_wanted(headers: &HeaderMap, now: jiff::Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = rfc2822::parse(text).ok()?.timestamp();
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_stated_in_seconds_or_as_a_date() {
        let now: jiff::Timestamp = "2026-11-23T10:00:00Z".parse().unwrap();
        let wanted = |text: &str| {
            let headers = HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
            rest_wanted(&headers, now).map(|rest| rest.as_secs())
        };
        assert_eq!(wanted("7"), Some(7));
        assert_eq!(wanted("Mon, 23 Nov 2026 10:00:30 GMT"), Some(30));
        assert_eq!(wanted("Mon, 23 Nov 2026 09:00:30 GMT"), Some(0), "it is over");
        assert_eq!(wanted("soon"), None);
    }
}
