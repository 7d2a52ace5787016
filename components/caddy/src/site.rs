//! What the site's settings and the kernel command line decide.

use hookos_guest::cmdline::Cmdline;
use std::collections::BTreeMap;

/// How much Caddy says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Debug,
    Error,
}

impl Level {
    /// Only `DEBUG=false`, spelled so, quiets Caddy.
    pub fn of(cmdline: &Cmdline) -> Self {
        if cmdline.value("DEBUG") == Some("false") { Self::Error } else { Self::Debug }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "DEBUG",
            Self::Error => "ERROR",
        }
    }
}

/// A service's host, and its port where the setting names one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    pub host: String,
    pub port: u16,
}

/// Why there is no upstream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Missing {
    NotSet,
    /// The value, which is neither `host` nor `host:port`.
    Unusable(String),
}

impl Missing {
    /// One sentence for the answer and for the console.
    pub fn reason(&self, service: &str) -> String {
        let remedy = format!("set `{service}` under [endpoints] in the profile and build the image again");
        match self {
            Self::NotSet => format!("{service} is not set: {remedy}"),
            Self::Unusable(value) => format!("{service} is {value:?}, which is not a host name: {remedy}"),
        }
    }
}

/// The site's part of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Site(BTreeMap<String, String>);

impl Site {
    pub fn parse(env_config: &str) -> Self {
        Self(hookos_guest::env_config::parse(env_config))
    }

    fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The upstream that the key `service` names.
    pub fn upstream(&self, service: &str) -> Result<Upstream, Missing> {
        let value = self.value(service).ok_or(Missing::NotSet)?;
        let unusable = || Missing::Unusable(value.to_owned());
        let (host, port) = match value.split_once(':') {
            None => (value, 443),
            Some((host, port)) => (host, port.parse().ok().filter(|p| *p > 0).ok_or_else(unusable)?),
        };
        // The host goes into Caddy's configuration, where `{` starts a placeholder.
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if host.is_empty() || !host.bytes().all(plain) {
            return Err(unusable());
        }
        Ok(Upstream { host: host.to_owned(), port })
    }

    /// The proxy for TLS, and what is reached without it.
    pub fn proxy(&self) -> (&str, &str) {
        (self.value("https_proxy").unwrap_or_default(), self.value("no_proxy").unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_false_quiets() {
        for (text, level) in [
            ("quiet DEBUG=false", Level::Error),
            ("quiet", Level::Debug),
            ("DEBUG", Level::Debug),
            ("DEBUG=False", Level::Debug),
            ("DEBUG=0", Level::Debug),
            ("DEBUG=false DEBUG=true", Level::Debug),
        ] {
            assert_eq!(Level::of(&Cmdline::parse(text.as_bytes())), level, "{text}");
        }
    }

    #[test]
    fn a_service_is_a_host_with_443_or_its_own_port() {
        let site =
            Site::parse("a=files.example.com\nb=files.example.com:9443\nc=\nd={env.HOME}\ne=h:x\nf=:1\n");
        let at = |port| Ok(Upstream { host: "files.example.com".to_owned(), port });
        assert_eq!(site.upstream("a"), at(443));
        assert_eq!(site.upstream("b"), at(9443));
        assert_eq!(site.upstream("c"), Err(Missing::NotSet));
        assert_eq!(site.upstream("z"), Err(Missing::NotSet));
        for key in ["d", "e", "f"] {
            assert!(matches!(site.upstream(key), Err(Missing::Unusable(_))), "{key}");
        }
        assert!(site.upstream("d").unwrap_err().reason("d").contains("{env.HOME}"));
    }
}

#[cfg(test)]
mod laws {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_setting_brings_a_placeholder_or_a_blank_into_the_configuration(value in "\\PC{0,40}") {
            if let Ok(upstream) = Site::parse(&format!("s={value}")).upstream("s") {
                prop_assert!(upstream.port > 0 && !upstream.host.is_empty());
                let steers = upstream.host.contains(['{', '}', '/', ' ', ':', '|']);
                prop_assert!(!steers, "{}", upstream.host);
            }
        }
    }
}
