//! What of Caddy's log is passed on.
//!
//! At level DEBUG Caddy writes lines for each request. The log collectors read those lines and send them
//! through Caddy, which writes lines: without end, and without news. So what Caddy does well for
//! the logging route is left out here. Errors stay; of the logging route, one of a kind now and then.

use crate::NAME;
use hookos_guest::again::Again;
use hookos_guest::notice;
use serde_json::Value;
use std::io::{self, Write};
use std::time::Instant;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};

/// The collectors' path.
const LOGS: &str = "/v1/logs";

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
        let mut told = Again::default();
        loop {
            line.clear();
            if from.read_until(b'\n', &mut line).await? == 0 {
                return Ok(());
            }
            let failure = failure(&line);
            let news = failure.as_ref().is_some_and(|f| told.is_due(&f.kind, Instant::now()));
            if news && let Some(failure) = &failure {
                notice::warn(NAME, &failure.text);
            }
            // Each try to send logs fails with a line, which is a log to send.
            let endless = !news && failure.is_some_and(|f| f.of_logging);
            if !endless && !self.drops(&line) {
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
        own || logging && uri.is_none_or(|uri| uri.starts_with(LOGS))
            || says("msg") == Some("handling response")
    }
}

/// A request that came to nothing.
#[derive(Debug, PartialEq, Eq)]
struct Failure {
    /// The sentence for the console.
    text: String,
    /// What it has in common with others of its kind: no path, and no numbers, such as those of ports.
    kind: String,
    of_logging: bool,
}

fn failure(line: &[u8]) -> Option<Failure> {
    let entry: Value = serde_json::from_slice(line).ok()?;
    let says = |from: &Value, key: &str| from.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = says(&entry, "msg")?;
    // A client that goes away is no failure.
    if says(&entry, "logger")? != "http.log.error" || message == "context canceled" {
        return None;
    }
    let request = entry.get("request")?;
    let (method, host, uri) = (says(request, "method")?, says(request, "host")?, says(request, "uri")?);
    let kind = message.chars().filter(|c| !c.is_ascii_digit()).collect::<String>();
    Some(Failure {
        text: format!("{method} {host}{uri}: {message}"),
        kind: format!("{host} {kind}"),
        of_logging: uri.starts_with(LOGS),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failing(host: &str, uri: &str, message: &str) -> String {
        format!(
            r#"{{"level":"error","logger":"http.log.error","msg":"{message}","request":{{"method":"GET","host":"{host}","uri":"{uri}"}},"status":502}}"#
        ) + "\n"
    }

    #[test]
    fn failures_of_a_kind_are_told_apart_from_others() {
        let of = |host: &str, message: &str| failure(failing(host, "/v2/", message).as_bytes()).unwrap();
        let text = of("localhost:7443", "dial tcp: no such host").text;
        assert_eq!(text, "GET localhost:7443/v2/: dial tcp: no such host");
        assert_eq!(failure(failing("a", "/", "context canceled").as_bytes()), None);
        assert_eq!(failure(b"no JSON"), None);
        let kind = |host: &str, message: &str| of(host, message).kind;
        assert_eq!(kind("a", "read from port 1234"), kind("a", "read from port 56789"));
        assert_ne!(kind("a", "read from port 1"), kind("b", "read from port 1"));
        assert_ne!(kind("a", "read from port 1"), kind("a", "another"));
    }

    #[tokio::test]
    async fn failures_to_send_logs_do_not_fill_the_log() {
        let quiet = Quiet { socket: "/s".to_owned(), logging: None };
        let one = failing("127.0.0.1:24224", "/v1/logs", "dial tcp: refused");
        let other = failing("127.0.0.1", "/tink-stack/a", "dial tcp: refused");
        let mut log = Vec::new();
        quiet.pass_on(format!("{one}{other}{one}{other}{one}").as_bytes(), &mut log).await.unwrap();
        assert_eq!(String::from_utf8(log).unwrap(), format!("{one}{other}{other}"));
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
