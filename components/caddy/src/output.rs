//! What of Caddy's log is passed on.
//!
//! At level DEBUG Caddy writes lines for each request. The log collectors read those lines and send them
//! through Caddy, which writes lines: without end, and without news. So what Caddy does well for
//! the logging route is left out here; warnings and errors stay, for they come only as long as
//! something is wrong.

use serde_json::Value;
use std::io::{self, Write as _};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// Which debug lines are not passed on.
#[derive(Debug, Clone)]
pub struct Quiet {
    /// The token endpoint's socket.
    pub socket: String,
    /// `host:port` of the logging service.
    pub logging: Option<String>,
}

impl Quiet {
    /// Copies lines to our own standard error until the stream ends.
    pub async fn pass_on(&self, from: impl AsyncRead + Unpin) -> io::Result<()> {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        loop {
            line.clear();
            if from.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            if !self.drops(&line) {
                // Init reads the other end; when it does not, there is nowhere to say so.
                let _ = io::stderr().write_all(&line);
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
        let upstream = says("dial").or(says("upstream"));
        let own = upstream.is_some_and(|u| u.trim_start_matches("unix/") == self.socket);
        let logging = upstream.is_some() && upstream == self.logging.as_deref();
        // Another route may have the same upstream; a round trip tells which it was.
        let uri = entry.get("request").and_then(|r| r.get("uri")).and_then(Value::as_str);
        own || logging && uri.is_none_or(|uri| uri.starts_with("/v1/"))
            || says("msg") == Some("handling response")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
