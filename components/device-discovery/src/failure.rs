//! Why a connection failed, in words that say what to look at.

use rustls::{AlertDescription, CertificateError, Error as Tls};
use rustls_pki_types::UnixTime;
use std::error::Error;
use std::fmt;
use std::io;
use std::time::{SystemTime, UNIX_EPOCH};

/// The name of a server that the site's DNS does not know.
#[derive(Debug)]
pub struct NoSuchHost {
    pub host: String,
}

impl fmt::Display for NoSuchHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the name {} is not known to the name servers", self.host)
    }
}

impl Error for NoSuchHost {}

/// 2025-01-01: no clock that is right shows an earlier time.
const EARLIEST: u64 = 1_735_689_600;

/// What went wrong with `peer`, from the first cause in the chain that has words of its own.
pub fn explain(error: &(dyn Error + 'static), peer: &str) -> String {
    let mut next = Some(error);
    let mut last = String::new();
    while let Some(error) = next {
        if let Some(words) = words(error, peer) {
            return words;
        }
        last = error.to_string();
        next = cause(error);
    }
    format!("{peer}: {last}")
}

/// The error below. An `io::Error` that wraps another one hides it from `source`.
fn cause<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a (dyn Error + 'static)> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner);
    }
    error.source()
}

fn words(error: &(dyn Error + 'static), peer: &str) -> Option<String> {
    if let Some(error) = error.downcast_ref::<Tls>() {
        return Some(tls(error, peer));
    }
    if let Some(error) = error.downcast_ref::<NoSuchHost>() {
        return Some(format!(
            "{error}; check the network's DNS, or give the name with the profile field `extra_hosts`"
        ));
    }
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return io_words(error, peer);
    }
    let text = error.to_string();
    if text.starts_with("tunnel error: ") {
        return match text.as_str() {
            "tunnel error: proxy authorization required" => Some(format!(
                "the proxy wants a user name and password before it connects to {peer}; give them in https_proxy when the image is built"
            )),
            "tunnel error: unsuccessful" => {
                Some(format!("the proxy refuses or cannot reach {peer}; does it belong into no_proxy?"))
            }
            "tunnel error: failed to create underlying connection" => {
                Some(format!("the proxy on the way to {peer} cannot be reached: {}", innermost(error)))
            }
            _ => Some(format!("the proxy on the way to {peer} broke the connection")),
        };
    }
    None
}

fn innermost(error: &(dyn Error + 'static)) -> String {
    let mut last = error;
    while let Some(next) = cause(last) {
        last = next;
    }
    last.to_string()
}

fn io_words(error: &io::Error, peer: &str) -> Option<String> {
    // One that wraps another error says less than that one.
    if error
        .get_ref()
        .is_some_and(|inner| inner.is::<Tls>() || inner.is::<NoSuchHost>() || cause(inner).is_some())
    {
        return None;
    }
    Some(match error.kind() {
        io::ErrorKind::ConnectionRefused => {
            format!("{peer} refuses connections; is the service running, and is the port right?")
        }
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::NetworkDown => {
            format!("{peer} cannot be reached: this machine has no route to it; check gateway and network")
        }
        io::ErrorKind::HostUnreachable => {
            format!("{peer} cannot be reached: no such host answers on the network")
        }
        io::ErrorKind::TimedOut => no_answer(peer),
        io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => {
            format!("{peer} broke the connection")
        }
        _ => return None,
    })
}

/// For time limits.
pub fn no_answer(peer: &str) -> String {
    format!("{peer} does not answer")
}

fn tls(error: &Tls, peer: &str) -> String {
    match error {
        Tls::InvalidCertificate(why) => certificate(why, peer),
        Tls::AlertReceived(AlertDescription::UnrecognisedName) => {
            format!("{peer} has no certificate for this name")
        }
        Tls::AlertReceived(alert) => format!("{peer} ended the TLS handshake: {alert:?}"),
        Tls::InvalidMessage(_) => {
            format!("{peer} does not speak TLS; is the port right, and is there a proxy in between?")
        }
        other => format!("{peer}: TLS failed: {other}"),
    }
}

fn certificate(why: &CertificateError, peer: &str) -> String {
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => format!(
            "the certificate of {peer} is not from an authority in this image's /etc/idp/ca.pem; if the server is the right one, set the profile field `ca` to its authority and build the image again"
        ),
        CertificateError::Expired => format!("the certificate of {peer} has expired{}", clock(now())),
        CertificateError::ExpiredContext { time, not_after } => {
            format!("the certificate of {peer} expired on {}{}", date(*not_after), clock(*time))
        }
        CertificateError::NotValidYet => {
            format!("the certificate of {peer} is not valid yet{}", clock(now()))
        }
        CertificateError::NotValidYetContext { time, not_before } => {
            format!("the certificate of {peer} is valid from {} only{}", date(*not_before), clock(*time))
        }
        CertificateError::NotValidForName => format!("the certificate of {peer} is for another name"),
        CertificateError::NotValidForNameContext { presented, .. } => {
            let names: Vec<_> = presented.iter().take(5).map(|name| dns_name(name)).collect();
            format!("the certificate of {peer} is for other names: {}", names.join(", "))
        }
        other => format!("the certificate of {peer} cannot be used: {other}"),
    }
}

/// `DnsName("x")` is how rustls presents a name.
fn dns_name(text: &str) -> String {
    text.trim_start_matches("DnsName(").trim_end_matches(')').trim_matches('"').to_owned()
}

/// Dates of certificates mean something only beside the clock that they were compared with.
fn clock(time: UnixTime) -> String {
    if time.as_secs() < EARLIEST {
        format!(
            "; but this machine's clock says {}, which is wrong: check the battery and the time servers",
            date(time)
        )
    } else {
        format!("; this machine's clock says {}", date(time))
    }
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// Date and time in UTC.
pub fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map_or_else(|_| format!("second {seconds}"), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Wrapped(Box<dyn Error + Send + Sync>);

    impl fmt::Display for Wrapped {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("transport error")
        }
    }

    impl Error for Wrapped {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    fn text(error: impl Into<Box<dyn Error + Send + Sync>>) -> String {
        explain(&Wrapped(error.into()), "h:443")
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
    }

    #[test]
    fn tls_errors_are_found_below_others() {
        let wrap = |e: CertificateError| {
            text(io::Error::new(io::ErrorKind::InvalidData, Tls::InvalidCertificate(e)))
        };
        assert!(wrap(CertificateError::UnknownIssuer).contains("/etc/idp/ca.pem"));
        let expired =
            wrap(CertificateError::ExpiredContext { time: at(1_800_000_000), not_after: at(1_600_000_000) });
        assert_eq!(
            expired,
            "the certificate of h:443 expired on 2020-09-13T12:26:40Z; this machine's clock says 2027-01-15T08:00:00Z"
        );
        let early =
            wrap(CertificateError::NotValidYetContext { time: at(86_400), not_before: at(1_700_000_000) });
        assert!(early.contains("clock says 1970-01-02T00:00:00Z, which is wrong"), "{early}");
        let name = CertificateError::NotValidForNameContext {
            expected: rustls_pki_types::ServerName::try_from("h").unwrap(),
            presented: vec!["DnsName(\"other.example.com\")".to_owned()],
        };
        assert!(wrap(name).ends_with("is for other names: other.example.com"));
    }

    #[test]
    fn sockets_and_names() {
        assert!(text(io::Error::from(io::ErrorKind::ConnectionRefused)).contains("refuses connections"));
        assert!(text(NoSuchHost { host: "h".into() }).contains("`extra_hosts`"));
        assert!(text(io::Error::other(NoSuchHost { host: "h".into() })).contains("`extra_hosts`"));
        assert!(
            text(io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof"))
                .contains("broke the connection")
        );
        assert_eq!(text("something new"), "h:443: something new");
        let inner = io::Error::new(io::ErrorKind::ConnectionReset, Wrapped("deeper".into()));
        assert_eq!(text(inner), "h:443: deeper");
    }
}
