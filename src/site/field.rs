//! What a field is. The table of all fields is in [`super::fields`].
//!
//! One declaration drives everything that knows of a field: its flag, environment name, profile key,
//! `config.template` key, env_config key, validation, help, docs/fields.md and every screen.

use super::fields::{FIELDS, Id};
use super::value::Value;
use crate::secret;

/// A table of the profile. The order here is the order in files and on screens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Section {
    Endpoints,
    Network,
    Certificates,
    Kernel,
    Image,
    Debian,
    Publish,
}

impl Section {
    pub const ALL: &[Self] = &[
        Self::Endpoints,
        Self::Network,
        Self::Certificates,
        Self::Kernel,
        Self::Image,
        Self::Debian,
        Self::Publish,
    ];

    /// The table's name in a profile.
    pub fn name(self) -> &'static str {
        match self {
            Self::Endpoints => "endpoints",
            Self::Network => "network",
            Self::Certificates => "certificates",
            Self::Kernel => "kernel",
            Self::Image => "image",
            Self::Debian => "debian",
            Self::Publish => "publish",
        }
    }

    /// One line that says what the section is about.
    pub fn about(self) -> &'static str {
        match self {
            Self::Endpoints => "the orchestrator's services that a machine talks to",
            Self::Network => "name resolution and proxies, in the image",
            Self::Certificates => "which certificate authority the image trusts",
            Self::Kernel => "the kernel and its parameters",
            Self::Image => "what is in the image and how it is packed",
            Self::Debian => "where Debian packages come from while the image is built",
            Self::Publish => "the registry that a finished image goes to",
        }
    }
}

/// What values a field takes. The rules are in [`super::value`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A host name or IPv4 address, without scheme and port.
    Host,
    /// A host name or IPv4 address with an optional port.
    HostPort,
    /// `http://` or `https://` and a host.
    Url,
    /// `[scheme://][user:password@]host[:port]`.
    Proxy,
    /// Hosts, domains (`.example.com`, `*.example.com`) and networks that need no proxy.
    NoProxy,
    /// At most this many IP addresses.
    Ips(usize),
    /// Domain names.
    Domains,
    /// Host names and IP addresses.
    Servers,
    /// `ADDRESS NAME...` entries, as in /etc/hosts.
    Hosts,
    Choice(&'static [&'static str]),
    Bool,
    /// From the first to the second, both accepted.
    Integer(i64, i64),
    /// A file; a relative path counts from the folder of the profile that says it, or from the
    /// working folder if a flag or variable says it.
    Path,
    /// Printable characters on one line.
    Text,
    /// Names of services or components: letters, digits, `.`, `_`, `-`.
    Names,
    /// The name of a repository in a registry: words in lower case with `/` between them.
    Repository,
    /// A tag of an image: letters, digits, `.`, `_`, `-`.
    Tag,
    /// `role=component` pairs.
    Roles,
    /// A password's crypt(3) text, SHA-256 or SHA-512. Always a secret.
    PasswordHash,
}

impl Kind {
    /// Whether values are lists (written as arrays in profiles, with commas elsewhere).
    pub fn is_list(self) -> bool {
        matches!(
            self,
            Self::NoProxy
                | Self::Ips(_)
                | Self::Domains
                | Self::Servers
                | Self::Hosts
                | Self::Names
                | Self::Roles
        )
    }

    /// Whether this value, in its one-line form, is or carries a secret: a password's hash, or a URL
    /// with a user name or password.
    pub fn is_secret(self, text: &str) -> bool {
        match self {
            Self::PasswordHash => true,
            Self::Url | Self::Proxy => secret::has_credentials(text),
            _ => false,
        }
    }

    /// A value's one-line form as it may be shown.
    pub fn masked(self, text: &str) -> String {
        match self {
            Self::PasswordHash => secret::MASK.to_owned(),
            Self::Url | Self::Proxy => secret::mask(text),
            _ => text.to_owned(),
        }
    }

    /// The placeholder for a value in help texts.
    pub fn value_name(self) -> &'static str {
        match self {
            Self::Host => "HOST",
            Self::HostPort => "HOST[:PORT]",
            Self::Url => "URL",
            Self::Proxy => "PROXY",
            Self::NoProxy => "HOST,...",
            Self::Ips(_) => "ADDRESS,...",
            Self::Domains => "DOMAIN,...",
            Self::Servers => "HOST,...",
            Self::PasswordHash => "HASH",
            Self::Hosts => "ADDRESS NAME,...",
            Self::Choice(_) => "CHOICE",
            Self::Bool => "true|false",
            Self::Integer(..) => "NUMBER",
            Self::Path => "FILE",
            Self::Text => "TEXT",
            Self::Names => "NAME,...",
            Self::Repository => "REPOSITORY",
            Self::Tag => "TAG",
            Self::Roles => "ROLE=COMPONENT,...",
        }
    }

    /// What is accepted, for error messages and docs.
    pub fn accepts(self) -> String {
        match self {
            Self::Host => "a host name or IPv4 address, without https:// and without a port".into(),
            Self::HostPort => {
                "a host name or IPv4 address, with a port if it is not 443, without https://".into()
            }
            Self::Url => "a URL that begins with http:// or https://".into(),
            Self::Proxy => {
                "a proxy such as http://proxy.example.com:3128 (http, https, socks4, socks5 or socks5h)"
                    .into()
            }
            Self::NoProxy => "hosts, domains, addresses and networks, separated by commas".into(),
            Self::Ips(most) => format!("up to {most} IP addresses, separated by commas"),
            Self::Domains => "domain names, separated by commas".into(),
            Self::Servers => "host names and IP addresses, separated by commas".into(),
            Self::PasswordHash => {
                "a crypt(3) text `$6$salt$hash` or `$5$salt$hash`, as `openssl passwd -6` makes it".into()
            }
            Self::Hosts => "entries `ADDRESS NAME [NAME...]`, separated by commas".into(),
            Self::Choice(choices) => format!("one of {}", choices.join(", ")),
            Self::Bool => "true or false".into(),
            Self::Integer(least, most) => format!("a whole number from {least} to {most}"),
            Self::Path => "the path of a file".into(),
            Self::Text => "printable characters on one line".into(),
            Self::Repository => "the name of a repository: words of lower-case letters and digits with `/` between them, without host and tag".into(),
            Self::Tag => "a tag: letters, digits, `.`, `_` and `-`, at most 128".into(),
            Self::Names => "names made of letters, digits, `.`, `_` and `-`, separated by commas".into(),
            Self::Roles => "pairs role=component, separated by commas".into(),
        }
    }
}

/// The value of a field that nobody has set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    None,
    /// This value, in the form that a flag takes.
    Is(&'static str),
    /// The text with `{}` replaced by the field `cluster_domain`, if that one is set.
    OfDomain(&'static str),
}

/// One setting.
#[derive(Debug, Clone)]
pub struct Field {
    pub id: Id,
    /// Its name on screens: at most 20 columns.
    pub label: &'static str,
    pub section: Section,
    /// The key in the profile's section; its dashed form is the flag unless `flag` says otherwise.
    pub key: &'static str,
    /// The flag without its dashes.
    pub flag: &'static str,
    /// The variable that the program reads.
    pub env: &'static str,
    /// Variables that `configure` takes when nothing else says a value: the standard proxy names.
    pub ambient: &'static [&'static str],
    /// The key in the `config` file, if it has one.
    pub config_key: Option<&'static str>,
    /// The key in the image's `/etc/hook/env_config`, if it has one.
    pub image_key: Option<&'static str>,
    pub kind: Kind,
    pub default: Default,
    /// One line.
    pub help: &'static str,
    /// More to know; may be empty.
    pub more: &'static str,
    /// A valid value, in the form that a flag takes.
    pub example: &'static str,
    /// Whether an image cannot register its machine without this field.
    pub onboarding: bool,
    /// It counts only while the other field has this value; none: always.
    pub needs: Option<(Id, &'static str)>,
}

impl Field {
    /// `section.key`, as people name a field.
    pub fn path(&self) -> String {
        format!("{}.{}", self.section.name(), self.key)
    }

    /// The field with this profile key.
    pub fn in_profile(section: Section, key: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|f| f.section == section && f.key == key)
    }

    /// The field with this key in the `config` file.
    pub fn in_config(key: &str) -> Option<&'static Self> {
        FIELDS.iter().find(|f| f.config_key == Some(key))
    }

    /// The field called `section.key` or, where that is clear, `key`.
    pub fn named(name: &str) -> Option<&'static Self> {
        let mut found = FIELDS.iter().filter(|f| f.path() == name || f.key == name || f.flag == name);
        let first = found.next()?;
        found.next().is_none().then_some(first)
    }

    /// When it counts, in words; empty: always.
    pub fn when(&self) -> String {
        self.needs.map_or_else(String::new, |(id, value)| {
            let other = id.field();
            let word = if other.section == self.section { other.key.to_owned() } else { other.path() };
            format!("only with `{word} = \"{value}\"`")
        })
    }

    /// The default, given the resolved `cluster_domain`.
    pub fn default_value(&self, cluster_domain: Option<&str>) -> Option<Value> {
        let text = match self.default {
            Default::None => return None,
            Default::Is(text) => text.to_owned(),
            Default::OfDomain(pattern) => pattern.replace("{}", cluster_domain?),
        };
        // The table's own texts are checked by a test; a domain was checked before.
        Value::parse(self.kind, &text).ok().flatten()
    }

    /// The default as docs and help show it.
    pub fn default_text(&self) -> String {
        match self.default {
            Default::None => String::new(),
            Default::Is(text) => text.to_owned(),
            Default::OfDomain(pattern) => pattern.replace("{}", "<cluster_domain>"),
        }
    }
}
