//! What of Caddy's log is passed on.
//!
//! At level DEBUG Caddy writes lines for each request. The log collectors read those lines and send them
//! through Caddy, which writes lines: without end, and without news. So what Caddy does well for
//! the logging route is left out here; warnings and errors stay, for they come only as long as
//! something is wrong.

use crate::NAME;
use hookos_guest::notice;
use serde_json::Value;
use std::io::{self, Write};
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Which debug lines are not passed on.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// The token endpoint's socket.
    pub socket: String,
    /// What Caddy connects to for the logging service.
    pub logging: Option<String>,
}

impl Quiet {
    /// Copies lines until the stream ends.
    pub async fn pass_on(&self, from: impl AsyncRead + Unpin, mut to: impl Write) -> io::Result<()> {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        let mut complaints = Complaints::default();
        loop {
            line.clear();
            if from.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            if let Some(failure) = failure(&line)
                && complaints.take(&failure, Instant::now())
            {
                notice::warn(NAME, &failure);
            }
            if !self.drops(&line) {
                // Init reads the other end; when it does not, there is nowhere to say so.
                let _ = to.write_all(&line);
            }
        }
    }

    /// Three lines tell of each exchange with an upstream, and the first and last do not say of which
    /// request: "selected upstream", "upstream roundtrip" and, for the token endpoint's, "handling
    /// response".
    fn drops(&self, line: &[u8]) -> bool {
        let Ok(Value::Object(entry)) = serde_json::from_slice(line) else { return false };
        let says = |key: &str| entry.get(key).and_then(Value::as_str);
        if says("level") != Some("debug") || says("logger") != Some("http.handlers.reverse_proxy") {
            return false;
        }
        // Of a Unix socket, one line has the path alone.
        let bare = |text: &str| text.trim_start_matches("unix/").to_owned();
        let upstream = says("dial").or(says("upstream")).map(bare);
        let own = upstream.as_ref() == Some(&self.socket);
        let logging = upstream.is_some() && upstream == self.logging.as_deref().map(bare);
        // Another route may have the same upstream; a round trip tells which it was.
        let uri = entry.get("request").and_then(|r| r.get("uri")).and_then(Value::as_str);
        own || logging && uri.is_none_or(|uri| uri.starts_with("/v1/"))
            || says("msg") == Some("handling response")
    }
}

/// The sentence for the console, when a line tells of a request that came to nothing.
fn failure(line: &[u8]) -> Option<String> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let request = entry.get("request")?;
    let says = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = says(&entry, "msg")
        .filter(|m| says(&entry, "logger").as_deref() == Some("http.log.error") && m != "context canceled")?;
    Some(format!(
        "{} {}{}: {message}",
        says(request, "method")?,
        says(request, "host")?,
        says(request, "uri")?
    ))
}

/// Keeps the console readable: programs ask again and again.
#[derive(Default)]
struct Complaints(Option<(String, Instant)>);

impl Complaints {
    /// Whether to say it: something new, or the same after a minute; and at most one each second.
    fn take(&mut self, what: &str, now: Instant) -> bool {
        let due = self.0.as_ref().is_none_or(|(last, at)| {
            let wait = if last == what { Duration::from_secs(60) } else { Duration::from_secs(1) };
            now.duration_since(*at) >= wait
        });
        if due {
            self.0 = Some((what.to_owned(), now));
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_reach_the_console_now_and_then() {
        let line = br#"{"level":"error","logger":"http.log.error","msg":"dial tcp: no such host","request":{"method":"GET","host":"localhost:7443","uri":"/v2/"},"status":502}"#;
        let text = failure(line).unwrap();
        assert_eq!(text, "GET localhost:7443/v2/: dial tcp: no such host");
        assert_eq!(failure(&line.map(|b| if b == b'.' { b'-' } else { b })), None);
        assert_eq!(failure(b"no JSON"), None);
        let mut complaints = Complaints::default();
        let start = Instant::now();
        let mut at = |seconds, what: &str| complaints.take(what, start + Duration::from_secs(seconds));
        assert!(at(0, "a"));
        assert!(!at(0, "b") && !at(30, "a"));
        assert!(at(31, "b") && !at(90, "b") && at(91, "b"));
    }

    #[test]
    fn only_the_exchanges_that_carry_logs_are_left_out() {
        let quiet = Quiet {
            socket: "/run/caddy/t.sock".to_owned(),
            logging: Some("logs.example.com:443".to_owned()),
        };
        let line = |level: &str, rest: &str| {
            format!(r#"{{"level":"{level}","logger":"http.handlers.reverse_proxy",{rest}}}"#)
        };
        for rest in [
            r#""msg":"selected upstream","dial":"/run/caddy/t.sock""#,
            r#""msg":"upstream roundtrip","upstream":"unix//run/caddy/t.sock","request":{"uri":"/credentials/access"}"#,
            r#""msg":"handling response","handler":0"#,
            r#""msg":"selected upstream","dial":"logs.example.com:443""#,
            r#""msg":"upstream roundtrip","upstream":"logs.example.com:443","request":{"uri":"/v1/logs"}"#,
        ] {
            assert!(quiet.drops(line("debug", rest).as_bytes()), "{rest}");
            assert!(!quiet.drops(line("error", rest).as_bytes()), "{rest}");
        }
        for rest in [
            r#""msg":"selected upstream","dial":"files.example.com:443""#,
            r#""msg":"upstream roundtrip","upstream":"logs.example.com:443","request":{"uri":"/tink-stack/a"}"#,
        ] {
            assert!(!quiet.drops(line("debug", rest).as_bytes()), "{rest}");
        }
        assert!(!quiet.drops(b"not JSON\n"));
    }
}
