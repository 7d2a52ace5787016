//! The proxies that programs of the image use: those of the kernel command line, else the site's.

use crate::cmdline::Cmdline;
use crate::secret::Secrets;
use std::collections::BTreeMap;

/// Proxy settings; an empty text means none.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Proxies {
    pub http: String,
    pub https: String,
    /// Hosts, domains and networks that are asked directly, comma between them.
    pub none: String,
}

impl Proxies {
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` of the command line; where none of the three has a
    /// value, the same in lower case of env_config. Not mixed: a boot server that names proxies means
    /// all of them.
    pub fn choose(cmdline: &Cmdline, env_config: &BTreeMap<String, String>) -> Self {
        let given = Self::of(|key| cmdline.value(key).map(str::to_owned));
        if given != Self::default() {
            return given;
        }
        Self::of(|key| env_config.get(&key.to_ascii_lowercase()).cloned())
    }

    fn of(value: impl Fn(&str) -> Option<String>) -> Self {
        let value = |key| value(key).unwrap_or_default().trim().to_owned();
        Self { http: value("HTTP_PROXY"), https: value("HTTPS_PROXY"), none: value("NO_PROXY") }
    }

    /// As environment variables.
    pub fn environment(&self) -> [(&'static str, &str); 3] {
        [("HTTP_PROXY", &self.http), ("HTTPS_PROXY", &self.https), ("NO_PROXY", &self.none)]
    }

    /// The passwords in the two URLs.
    pub fn secrets(&self, secrets: &mut Secrets) {
        secrets.add_url(&self.http);
        secrets.add_url(&self.https);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_comes_first() {
        let site = crate::env_config::parse("http_proxy=http://site:1\nhttps_proxy=\nno_proxy=a,b\n");
        let got = Proxies::choose(&Cmdline::parse(b"HTTP_PROXY HTTPS_PROXY= quiet"), &site);
        assert_eq!(
            got.environment(),
            [("HTTP_PROXY", "http://site:1"), ("HTTPS_PROXY", ""), ("NO_PROXY", "a,b")]
        );
        let got = Proxies::choose(&Cmdline::parse(b"HTTPS_PROXY=http://u:secret@line:2"), &site);
        assert_eq!((got.http.as_str(), got.https.as_str()), ("", "http://u:secret@line:2"));
        let mut secrets = Secrets::default();
        got.secrets(&mut secrets);
        assert_eq!(secrets.hide(&got.https), "http://u:***@line:2");
    }
}
