//! `host`, `host:port`, `[v6]:port`: the one place that takes them apart.

use std::net::{Ipv4Addr, Ipv6Addr};

/// A host name or address, and a port if there is one.
#[derive(Debug, PartialEq, Eq)]
pub struct Host {
    /// As it stands in a URL: an IPv6 address in brackets.
    pub name: String,
    pub port: Option<u16>,
}

impl Host {
    /// None when the text is neither a name nor an address. An IPv6 address without brackets is one,
    /// and has no port.
    pub fn parse(text: &str) -> Option<Self> {
        if text.parse::<Ipv6Addr>().is_ok() {
            return Some(Self { name: format!("[{text}]"), port: None });
        }
        if let Some(rest) = text.strip_prefix('[') {
            let (address, rest) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            let port = match rest {
                "" => None,
                _ => Some(port(rest.strip_prefix(':')?)?),
            };
            return Some(Self { name: format!("[{address}]"), port });
        }
        let (name, port) = match text.split_once(':') {
            Some((name, digits)) => (name, Some(port(digits)?)),
            None => (text, None),
        };
        is_name(name).then(|| Self { name: name.to_owned(), port })
    }
}

fn port(digits: &str) -> Option<u16> {
    let fine = digits.bytes().all(|b| b.is_ascii_digit());
    digits.parse().ok().filter(|port| fine && *port > 0)
}

/// Labels as Docker's references know them: letters, digits, `-` inside. Four numbers are an address.
fn is_name(name: &str) -> bool {
    let label = |label: &str| {
        let bytes = label.as_bytes();
        let edge = |b: Option<&u8>| b.is_some_and(u8::is_ascii_alphanumeric);
        let inside = |b: &u8| b.is_ascii_alphanumeric() || *b == b'-';
        bytes.len() <= 63 && edge(bytes.first()) && edge(bytes.last()) && bytes.iter().all(inside)
    };
    let numbers = name.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    name.len() <= 253 && name.split('.').all(label) && (!numbers || name.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_addresses_ports() {
        let host = |name: &str, port| Some(Host { name: name.to_owned(), port });
        assert_eq!(Host::parse("reg.example.com:5000"), host("reg.example.com", Some(5000)));
        assert_eq!(Host::parse("192.0.2.1"), host("192.0.2.1", None));
        assert_eq!(Host::parse("2001:db8::1"), host("[2001:db8::1]", None));
        assert_eq!(Host::parse("[::1]:514"), host("[::1]", Some(514)));
        for bad in ["", "a b", "a:", "a:0", "a:65536", "a:+1", "[::1", "[::1]5", "-a", "a_b", "1.2.3", "a/b"]
        {
            assert_eq!(Host::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_taken_is_plain(text in ".{0,30}") {
            if let Some(host) = Host::parse(&text) {
                let plain = |b: u8| b.is_ascii_alphanumeric() || b"-.[]:".contains(&b);
                prop_assert!(host.name.bytes().all(plain));
                prop_assert!(text.contains(host.name.trim_matches(['[', ']'])));
            }
        }
    }
}
