//! `/etc/hook/settings`: what a site decides about the base services. The site segment writes it, so
//! that the base image stays the same for every site. Its form is that of env_config.
//!
//! | key | values | when absent |
//! |---|---|---|
//! | `GETTY` | `login`, `insecure`, `off` | `off` |
//! | `ROOT_PASSWORD_HASH` | crypt(3) text, `$6$...` | nobody can log in |
//! | `NTP_SERVERS` | hosts or addresses, or `none` | DHCP's, else the public pool |
//!
//! Lists are separated by commas or blanks.

use std::collections::BTreeMap;

/// Where the file lies on the machine and, by a bind mount, in the containers that read it.
pub const PATH: &str = "/etc/hook/settings";

/// The settings of a site.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings(BTreeMap<String, String>);

impl Settings {
    pub fn parse(text: &str) -> Self {
        Self(crate::env_config::parse(text))
    }

    /// Reads [`PATH`]; an unreadable file is an empty one.
    pub fn of_this_machine() -> Self {
        let bytes = std::fs::read(PATH).unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    /// A value that is there and not empty.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str).filter(|v| !v.is_empty())
    }

    /// The items of a list.
    pub fn list(&self, key: &str) -> Vec<String> {
        let text = self.0.get(key).map_or("", String::as_str);
        let items = text.split([',', ' ', '\t']).map(str::trim);
        items.filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::Settings;

    #[test]
    fn values_and_lists() {
        let s = Settings::parse("GETTY=login\nNTP_SERVERS=\"192.0.2.1, 192.0.2.2\"\nEMPTY=\n");
        assert_eq!(s.value("GETTY"), Some("login"));
        assert_eq!(s.value("EMPTY"), None);
        assert_eq!(s.list("NTP_SERVERS"), ["192.0.2.1", "192.0.2.2"]);
        assert!(s.list("OTHERS").is_empty());
    }
}
