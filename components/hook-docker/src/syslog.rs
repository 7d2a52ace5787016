//! Where the containers' output goes.

use crate::host::Host;

/// The log shipper of this machine. The reference's empty host means the same.
pub const LOCAL: &str = "udp://127.0.0.1:5140";
/// The port of syslog over UDP (RFC 5426).
const PORT: u16 = 514;

/// The address for `syslog_host`: a host with or without a port. The error says what is taken instead.
pub fn address(host: &str) -> Result<String, String> {
    let host = host.trim();
    if host.is_empty() {
        return Ok(LOCAL.to_owned());
    }
    match Host::parse(host) {
        Some(Host { name, port }) => Ok(format!("udp://{name}:{}", port.unwrap_or(PORT))),
        None => Err(format!(
            "syslog_host={host} is neither HOST nor HOST:PORT; the containers' logs go to {LOCAL} instead"
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        assert_eq!(address("").unwrap(), LOCAL);
        assert_eq!(address("logs.example.com").unwrap(), "udp://logs.example.com:514");
        assert_eq!(address("logs.example.com:5514").unwrap(), "udp://logs.example.com:5514");
        assert_eq!(address("2001:db8::5").unwrap(), "udp://[2001:db8::5]:514");
        assert!(address("tcp://x").unwrap_err().contains("tcp://x"));
    }
}
