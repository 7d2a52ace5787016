//! Values of fields: parsing and validation.
//!
//! Everything that can reach `/etc/hook/env_config` is made of characters that a plain reader and a
//! POSIX shell read alike without quotes: ASCII letters, digits and `. _ - : / @ % + , = * [ ]`.
//! (Assignments undergo no word splitting and no pathname expansion, so `*` and `[` are plain
//! there; `~` is not, because it expands.) Only `extra_hosts` has blanks; its line is double-quoted.

use super::field::Kind;
use crate::secret::mask;
use std::net::{IpAddr, Ipv4Addr};

/// A valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
    /// Never empty: an empty list is no value.
    List(Vec<String>),
}

/// Why a text is not a value; shows no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Value {
    /// Parses the one-line form that flags, the environment and `config` files have. An empty text
    /// is no value.
    pub fn parse(kind: Kind, text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if kind.is_list() {
            return Self::list(kind, text.split(','));
        }
        if text.is_empty() {
            return Ok(None);
        }
        let value = match kind {
            Kind::Bool => match text {
                "true" | "yes" | "1" => Self::Bool(true),
                "false" | "no" | "0" => Self::Bool(false),
                _ => return Err(Invalid(format!("{text:?} is neither true nor false"))),
            },
            Kind::Integer(..) => {
                let number = text.parse();
                return Self::integer(
                    kind,
                    number.map_err(|_| Invalid(format!("{text:?} is not a whole number")))?,
                )
                .map(Some);
            }
            _ => {
                check_text(kind, text)?;
                Self::Text(text.to_owned())
            }
        };
        Ok(Some(value))
    }

    /// A list value; blank entries are left out.
    pub fn list<'a>(kind: Kind, items: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, Invalid> {
        let mut list: Vec<String> = Vec::new();
        for item in items {
            let item = item.split_whitespace().collect::<Vec<_>>().join(" ");
            if item.is_empty() {
                continue;
            }
            check_item(kind, &item)?;
            list.push(item);
        }
        if let Kind::Ips(most) = kind
            && list.len() > most
        {
            return Err(Invalid(format!("{} addresses are given", list.len())));
        }
        if kind == Kind::Roles {
            let mut roles: Vec<_> =
                list.iter().filter_map(|item| item.split_once('=')).map(|(r, _)| r).collect();
            roles.sort_unstable();
            if let Some(pair) = roles.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Invalid(format!("the role {:?} is given twice", pair[0])));
            }
        }
        Ok((!list.is_empty()).then_some(Self::List(list)))
    }

    /// A whole number within the kind's bounds.
    pub fn integer(kind: Kind, number: i64) -> Result<Self, Invalid> {
        match kind {
            Kind::Integer(least, most) if (least..=most).contains(&number) => Ok(Self::Integer(number)),
            _ => Err(Invalid(format!("{number} is out of range"))),
        }
    }

    /// The one-line form, with commas between items; parses to the same value.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(yes) => yes.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::List(items) => items.join(","),
        }
    }

    /// The one-line form for people: credentials are masked.
    pub fn shown(&self, kind: Kind) -> String {
        kind.masked(&self.text())
    }

    /// For machine-readable output: credentials are masked.
    pub fn json(&self, kind: Kind) -> serde_json::Value {
        match self {
            Self::Text(_) => self.shown(kind).into(),
            Self::Bool(yes) => (*yes).into(),
            Self::Integer(number) => (*number).into(),
            Self::List(items) => items.clone().into(),
        }
    }

    pub fn items(&self) -> &[String] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}

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

fn check_text(kind: Kind, text: &str) -> Result<(), Invalid> {
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

fn check_item(kind: Kind, item: &str) -> Result<(), Invalid> {
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
mod tests {
    use super::*;

    fn ok(kind: Kind, text: &str) {
        assert!(matches!(Value::parse(kind, text), Ok(Some(_))), "{text:?}: {:?}", Value::parse(kind, text));
    }
    fn bad(kind: Kind, text: &str) -> String {
        match Value::parse(kind, text) {
            Err(Invalid(why)) => why,
            other => panic!("{text:?} was taken: {other:?}"),
        }
    }

    #[test]
    fn hosts() {
        for text in ["a", "keycloak.kind.internal", "192.0.2.1", "a-b.c1", "1a.example"] {
            ok(Kind::Host, text);
        }
        for text in [
            "https://a",
            "a:443",
            "a/b",
            "a_b",
            "a..b",
            "-a",
            "a.",
            "1.2.3",
            "256.1.1.1",
            "ä.de",
            "a b",
            "$(x)",
            "u@h",
        ] {
            bad(Kind::Host, text);
        }
        // The one thing that is wrong is named, not all that could be.
        for (text, why) in [
            ("a..b", "two dots follow each other"),
            (".a", "begins with a dot"),
            ("a.", "ends with a dot"),
            ("a.-b", "part \"-b\" begins with `-`"),
            ("a-.b", "part \"a-\" ends with `-`"),
        ] {
            let said = bad(Kind::Host, text);
            assert!(said.contains(why) && !said.contains(" or "), "{said}");
        }
        assert!(bad(Kind::Host, &"a".repeat(64)).contains("longer than 63"));
        ok(Kind::HostPort, "keycloak.kind.internal:443");
        for text in ["a:0", "a:65536", "a:", "a:+1", ":443", "https://a:1", "a:1:2"] {
            bad(Kind::HostPort, text);
        }
    }

    #[test]
    fn proxies() {
        for text in [
            "http://proxy:3128",
            "proxy-us.example.com:911",
            "http://u:p%40@proxy:1/",
            "socks5://[2001:db8::1]:1080",
            "https://192.0.2.1",
        ] {
            ok(Kind::Proxy, text);
        }
        for text in [
            "ftp://a",
            "http://",
            "http://a:b:c",
            "http://a b",
            "http://[::1",
            "http://[x]:1",
            "http://a;b",
            "http://$a",
        ] {
            bad(Kind::Proxy, text);
        }
        for text in
            ["http://u:canary@ho st", "http://u:can$canary@h", "http://u:canary@h:99999", "x://u:canary@h"]
        {
            let why = bad(Kind::Proxy, text);
            assert!(!why.contains("canary"), "{why}");
        }
        bad(Kind::Url, "deb.example.com");
    }

    #[test]
    fn lists() {
        assert_eq!(
            Value::parse(Kind::Hosts, " 10.0.0.1  a  b ,, 10.0.0.2 c").unwrap(),
            Some(Value::List(vec!["10.0.0.1 a b".into(), "10.0.0.2 c".into()]))
        );
        assert_eq!(Value::parse(Kind::Ips(3), " , ").unwrap(), None);
        bad(Kind::Ips(1), "10.0.0.1,10.0.0.2");
        bad(Kind::Hosts, "a 10.0.0.1");
        bad(Kind::Hosts, "10.0.0.1");
        bad(Kind::Hosts, "10.0.0.1 a\"b");
        ok(Kind::NoProxy, "localhost,127.0.0.0/8,.example.com,*.x.org,::1,fe80::/10,*,a:8080,[::1]");
        for text in ["10.0.0.0/33", "a b", "a;b", "http://x", "~"] {
            bad(Kind::NoProxy, text);
        }
        ok(Kind::Roles, "logging=syslog-ng,ntp=chrony");
        bad(Kind::Roles, "logging=a,logging=b");
        bad(Kind::Names, "../x");
        ok(Kind::Repository, "edge-orch/en/files/hook_os.v2");
        for text in ["Edge/x", "a//b", "/a", "a/", "a b", "a/-b", "host:5000/a"] {
            bad(Kind::Repository, text);
        }
        ok(Kind::Tag, "1.2.3-rc1_x");
        for text in [".x", "-x", "a/b", "a:b", "a b"] {
            bad(Kind::Tag, text);
        }
    }

    #[test]
    fn numbers_and_choices() {
        bad(Kind::Integer(1, 65535), "0");
        bad(Kind::Integer(1, 65535), "99999999999999999999");
        bad(Kind::Choice(&["a"]), "b");
        bad(Kind::Bool, "maybe");
        bad(Kind::Text, "a\nb");
        ok(Kind::PasswordHash, "$6$saltsalt$abcdefgh.ijkl/0123");
        for text in ["canary", "$6$canary", "$1$canarycanarycanarycanary", "$6$canary canary canary:"] {
            assert!(!bad(Kind::PasswordHash, text).contains("canary"));
        }
        ok(Kind::Servers, "time.example.com,192.0.2.1,2001:db8::1");
    }

    #[test]
    fn no_character_of_a_valid_value_is_refused() {
        use crate::site::FIELDS;
        for field in FIELDS {
            for c in field.example.chars() {
                assert_eq!(field.kind.refuses(c), None, "{} {c:?}", field.key);
            }
            assert!(field.kind.refuses('\n').is_some());
        }
        assert!(Kind::Host.refuses(' ').is_some() && Kind::HostPort.refuses('/').is_some());
    }

    proptest::proptest! {
        #[test]
        fn what_parses_could_be_typed(text in "[ -~é]{0,12}") {
            for field in crate::site::FIELDS {
                if matches!(Value::parse(field.kind, &text), Ok(Some(_))) {
                    for c in text.trim().chars() {
                        proptest::prop_assert_eq!(field.kind.refuses(c), None, "{} {:?}", field.key, &text);
                    }
                }
            }
        }
    }
}
