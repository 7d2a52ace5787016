//! Which texts are values of which kind of field: as they are typed ([`Kind::refuses`]), and whole.
//!
//! Everything that can reach `/etc/hook/env_config` is made of characters that a plain reader and a
//! POSIX shell read alike without quotes: ASCII letters, digits and `. _ - : / @ % + , = * [ ]`.
//! (Assignments undergo no word splitting and no pathname expansion, so `*` and `[` are plain
//! there; `~` is not, because it expands.) Only `extra_hosts` has blanks; its line is double-quoted.

use super::field::Kind;
use super::value::Invalid;
use crate::secret::mask;
use std::net::{IpAddr, Ipv4Addr};

impl Kind {
    /// Why no value of this kind can have a character, for input that is typed key by key. What is
    /// merely at a wrong place is left to [`Value::parse`].
    pub fn refuses(self, c: char) -> Option<String> {
        let named = || if c == ' ' { "a space".to_owned() } else { format!("{c:?}") };
        if c.is_control() {
            return Some("a value has no control characters".to_owned());
        }
        let (good, what) = match self {
            Self::Host => (
                c.is_ascii_alphanumeric() || ".-".contains(c),
                "a host name has letters, digits, `.` and `-`; no https:// and no port here",
            ),
            Self::HostPort => (
                c.is_ascii_alphanumeric() || ".-:".contains(c),
                "a host and port have letters, digits, `.`, `-` and `:`; no https:// here",
            ),
            Self::Integer(..) => (c.is_ascii_digit() || c == '-', "a number has digits only"),
            Self::Ips(_) => {
                (c.is_ascii_hexdigit() || ".:, ".contains(c), "an address has digits, `.` and `:`")
            }
            Self::Url | Self::Proxy => {
                (c.is_ascii() && c != ' ', "a URL has no blanks and only ASCII characters")
            }
            Self::PasswordHash => (
                c.is_ascii_alphanumeric() || "./$=".contains(c),
                "a password's hash has letters, digits, `.`, `/`, `$`",
            ),
            Self::Domains | Self::Servers | Self::NoProxy | Self::Names | Self::Roles => {
                (is_plain(c) || c == ' ', "the value has letters, digits and `._-:/@%+,=*[]`")
            }
            Self::Hosts => {
                (is_plain(c) || c == ' ', "the entries have letters, digits, `.`, `-`, `:` and blanks")
            }
            Self::Repository => (
                c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c),
                "a repository has lower-case letters, digits, `.`, `_`, `-` and `/`",
            ),
            Self::Tag => (
                c.is_ascii_alphanumeric() || "._-".contains(c),
                "a tag has letters, digits, `.`, `_` and `-`",
            ),
            Self::Choice(_) | Self::Bool | Self::Path | Self::Text => (true, ""),
        };
        (!good).then(|| format!("{} is not taken: {what}", named()))
    }
}

/// Characters that `/etc/hook/env_config` takes without quotes.
pub fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "._-:/@%+,=*[]".contains(c)
}

fn invalid<T>(text: impl Into<String>) -> Result<T, Invalid> {
    Err(Invalid(text.into()))
}

/// Whether a text is a value of a kind that has one.
pub(super) fn check_text(kind: Kind, text: &str) -> Result<(), Invalid> {
    match kind {
        Kind::Host => check_host(text),
        Kind::HostPort => check_host_port(text),
        Kind::Url => check_url(text, &["http", "https"], true),
        Kind::Proxy => check_url(text, &["http", "https", "socks4", "socks5", "socks5h"], false),
        Kind::Choice(choices) => {
            if choices.contains(&text) {
                Ok(())
            } else {
                invalid(format!("{text:?} is not a choice"))
            }
        }
        Kind::PasswordHash => check_hash(text),
        Kind::Repository => check_repository(text),
        Kind::Tag => check_tag(text),
        Kind::Path | Kind::Text => match text.chars().find(|c| c.is_control()) {
            Some(c) => invalid(format!("the value has the control character {:?}", c)),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// Whether a text is an item of a kind that is a list.
pub(super) fn check_item(kind: Kind, item: &str) -> Result<(), Invalid> {
    match kind {
        Kind::Ips(_) => match item.parse::<IpAddr>() {
            Ok(_) => Ok(()),
            Err(_) => invalid(format!("{item:?} is not an IP address")),
        },
        Kind::Domains => check_host(item),
        Kind::Servers if item.parse::<IpAddr>().is_ok() => Ok(()),
        Kind::Servers => check_host(item),
        Kind::NoProxy => check_no_proxy(item),
        Kind::Hosts => {
            let mut words = item.split(' ');
            let address = words.next().unwrap_or_default();
            if address.parse::<IpAddr>().is_err() {
                return invalid(format!("{item:?} does not begin with an IP address"));
            }
            let names: Vec<_> = words.collect();
            if names.is_empty() {
                return invalid(format!("{item:?} has no host name after the address"));
            }
            names.into_iter().try_for_each(check_host)
        }
        Kind::Names => check_name(item),
        Kind::Roles => match item.split_once('=') {
            Some((role, component)) => check_name(role).and_then(|()| check_name(component)),
            None => invalid(format!("{item:?} has no `=`")),
        },
        _ => Ok(()),
    }
}

/// Source: OCI distribution specification 1.1, "Pulling manifests".
fn check_repository(text: &str) -> Result<(), Invalid> {
    let alphanumeric = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let word = |word: &str| {
        word.starts_with(alphanumeric)
            && word.ends_with(alphanumeric)
            && word.chars().all(|c| alphanumeric(c) || "._-".contains(c))
    };
    if text.len() > 255 || !text.split('/').all(word) {
        return invalid(format!("{text:?} is not the name of a repository, such as `edge/files/hook-os`"));
    }
    Ok(())
}

fn check_tag(text: &str) -> Result<(), Invalid> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.len() > 128 || text.starts_with(['.', '-']) || !text.chars().all(good) {
        return invalid(format!("{text:?} is not a tag: letters, digits, `.`, `_` and `-`"));
    }
    Ok(())
}

fn check_name(text: &str) -> Result<(), Invalid> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if text.is_empty() || text.starts_with(['.', '-']) || !text.chars().all(good) {
        return invalid(format!("{text:?} is not a name"));
    }
    Ok(())
}

/// What the image's log-in program checks; the text goes into a line of /etc/shadow. No message shows it.
fn check_hash(text: &str) -> Result<(), Invalid> {
    let good = |b: u8| b.is_ascii_alphanumeric() || b"./$=".contains(&b);
    if !text.starts_with("$5$") && !text.starts_with("$6$") {
        return invalid("the value does not begin with $6$ or $5$ (a password itself is not taken)");
    }
    if !(20..=200).contains(&text.len()) || !text.bytes().all(good) {
        return invalid("the value is not a crypt(3) text");
    }
    Ok(())
}

/// RFC 1123 host names and dotted IPv4 addresses.
fn check_host(text: &str) -> Result<(), Invalid> {
    if text.contains("://") {
        return invalid(format!("{:?} has a scheme", mask(text)));
    }
    if text.contains('@') {
        return invalid(format!("{:?} has a user name", mask(text)));
    }
    if let Some((host, port)) = text.rsplit_once(':')
        && port.bytes().all(|b| b.is_ascii_digit())
        && !host.contains(':')
    {
        return invalid(format!("{text:?} has a port"));
    }
    if text.contains('/') {
        return invalid(format!("{text:?} has a path"));
    }
    if text.len() > 253 {
        return invalid("the host name is longer than 253 characters");
    }
    if let Some(c) = text.chars().find(|c| !c.is_ascii_alphanumeric() && *c != '-' && *c != '.') {
        let more = if c.is_ascii() { "" } else { "; write it in its ASCII form (xn--...)" };
        return invalid(format!("{text:?} has the character {c:?}, which host names do not have{more}"));
    }
    for label in text.split('.') {
        let why = match label {
            "" if text.is_empty() => "it is empty".to_owned(),
            "" if text.starts_with('.') => "it begins with a dot".to_owned(),
            "" if text.ends_with('.') => "it ends with a dot".to_owned(),
            "" => "two dots follow each other".to_owned(),
            _ if label.len() > 63 => format!("its part {label:?} is longer than 63 characters"),
            _ if label.starts_with('-') => format!("its part {label:?} begins with `-`"),
            _ if label.ends_with('-') => format!("its part {label:?} ends with `-`"),
            _ => continue,
        };
        return invalid(format!("{text:?} is not a host name: {why}"));
    }
    // A name whose last part is a number can only be an address.
    let last = text.rsplit('.').next().unwrap_or_default();
    if last.bytes().all(|b| b.is_ascii_digit()) && text.parse::<Ipv4Addr>().is_err() {
        return invalid(format!("{text:?} is not an IPv4 address"));
    }
    Ok(())
}

fn check_port(text: &str) -> Result<(), Invalid> {
    match text.parse::<u16>() {
        Ok(1..) if text.bytes().all(|b| b.is_ascii_digit()) => Ok(()),
        _ => invalid(format!("{:?} is not a port (1 to 65535)", mask(text))),
    }
}

fn check_host_port(text: &str) -> Result<(), Invalid> {
    if text.contains("://") {
        return invalid(format!("{:?} has a scheme", mask(text)));
    }
    match text.split_once(':') {
        Some((host, port)) => check_host(host).and_then(|()| check_port(port)),
        None => check_host(text),
    }
}

fn check_url(text: &str, schemes: &[&str], scheme_needed: bool) -> Result<(), Invalid> {
    let shown = mask(text);
    if text.chars().any(|c| !is_plain(c)) {
        return invalid(format!(
            "{shown:?} has a character outside letters, digits and . _ - : / @ % + , = * [ ]; write it as %XX"
        ));
    }
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if schemes.contains(&scheme) => rest,
        Some((scheme, _)) => return invalid(format!("{shown:?} has the scheme {:?}", mask(scheme))),
        None if scheme_needed => return invalid(format!("{shown:?} has no scheme")),
        None => text,
    };
    let authority = rest.split('/').next().unwrap_or_default();
    let host_port = authority.rsplit('@').next().unwrap_or_default();
    let bad = |Invalid(why): Invalid| Invalid(format!("{shown:?} is not usable: {why}"));
    if let Some(v6) = host_port.strip_prefix('[') {
        let Some((address, after)) = v6.split_once(']') else {
            return invalid(format!("{shown:?} has `[` without `]`"));
        };
        if address.parse::<std::net::Ipv6Addr>().is_err() {
            return invalid(format!("{shown:?} has no IPv6 address between `[` and `]`"));
        }
        return match after.strip_prefix(':') {
            Some(port) => check_port(port).map_err(bad),
            None if after.is_empty() => Ok(()),
            None => invalid(format!("{shown:?} has text after `]`")),
        };
    }
    if host_port.is_empty() {
        return invalid(format!("{shown:?} has no host"));
    }
    check_host_port(host_port).map_err(bad)
}

/// `*`, an address, a network `address/bits`, or a host or domain with an optional leading `.` or
/// `*.` and an optional port.
fn check_no_proxy(item: &str) -> Result<(), Invalid> {
    if item == "*" {
        return Ok(());
    }
    if let Some((address, bits)) = item.split_once('/') {
        let most = match address.parse::<IpAddr>() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return invalid(format!("{:?} is not a network", mask(item))),
        };
        return match bits.parse::<u8>() {
            Ok(bits) if bits <= most => Ok(()),
            _ => invalid(format!("{item:?} is not a network: its prefix is not 0 to {most}")),
        };
    }
    if item.parse::<IpAddr>().is_ok() {
        return Ok(());
    }
    if let Some(v6) = item.strip_prefix('[').and_then(|i| i.strip_suffix(']'))
        && v6.parse::<std::net::Ipv6Addr>().is_ok()
    {
        return Ok(());
    }
    let name = item.strip_prefix("*.").or_else(|| item.strip_prefix('.')).unwrap_or(item);
    check_host_port(name)
}

#[cfg(test)]
#[path = "rules_tests.rs"]
mod tests;
