//! What a site says of registries: mirrors, certificates, and which are spoken to without TLS.
//!
//! One TOML file for each user and one for the project; docs/registries.md describes it.

use super::signature::VerifyingKey;
use crate::problem::{Problem, Result};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file's name, in the project and in the user's configuration folder.
pub const FILE: &str = "registries.toml";
/// Without a byte for so long, a connection is given up.
const SILENCE: Duration = Duration::from_secs(60);

/// How a registry is spoken to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tls {
    /// TLS, with a certificate that the system or the file's `ca` trusts.
    #[default]
    Verified,
    /// TLS with any certificate.
    Unverified,
    /// Plain HTTP.
    Off,
}

/// What is known of one registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    pub tls: Tls,
    /// Certificates of authorities (PEM) that are trusted on top of the system's.
    pub certificates: Vec<Vec<u8>>,
    /// `host[:port][/prefix]` of places that are asked first, in order.
    pub mirrors: Vec<String>,
    pub silence: Duration,
    /// What is taken from it must be signed with this key.
    pub verify: Option<VerifyingKey>,
}

impl Default for Registry {
    fn default() -> Self {
        Self {
            tls: Tls::default(),
            certificates: Vec::new(),
            mirrors: Vec::new(),
            silence: SILENCE,
            verify: None,
        }
    }
}

/// Registries by `host` or `host:port`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Registries(BTreeMap<String, Registry>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    registry: BTreeMap<toml::Spanned<String>, Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    #[serde(default)]
    tls: Tls,
    #[serde(default)]
    ca: Vec<toml::Spanned<PathBuf>>,
    #[serde(default)]
    mirrors: Vec<toml::Spanned<String>>,
    silence_seconds: Option<toml::Spanned<u64>>,
    verify_key: Option<toml::Spanned<PathBuf>>,
}

impl Registries {
    /// The user's file, and over it the project's in `root`. A file that is not there says nothing.
    pub fn of_user(root: &Path) -> Result<Self> {
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let user = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|home| home.join(".config")));
        let user = user.map(|folder| folder.join("hookos").join(FILE));
        let mut all = Self::default();
        for file in user.into_iter().chain([root.join(FILE)]) {
            match fs::read_to_string(&file) {
                Ok(text) => all.0.extend(Self::parse(&file, &text)?.0),
                Err(e) if e.kind() == ErrorKind::NotFound => {}
                Err(e) => {
                    return Err(Problem::usage("the file cannot be read").in_file(&file).because(e));
                }
            }
        }
        Ok(all)
    }

    /// Reads the text of the file `path`; certificates are looked for beside it.
    pub fn parse(path: &Path, text: &str) -> Result<Self> {
        let at = |offset: usize, problem: Problem| {
            let before = text.get(..offset).unwrap_or_default();
            problem.at(path, before.matches('\n').count() + 1, None)
        };
        let file: File = toml::from_str(text).map_err(|e| {
            let start = e.span().map_or(0, |span| span.start);
            at(start, Problem::usage(format!("this is no list of registries: {}", e.message())))
                .remedy("docs/registries.md describes the file")
        })?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut all = BTreeMap::new();
        for (host, entry) in file.registry {
            let start = host.span().start;
            let host = host.into_inner();
            if !is_host(&host) {
                return Err(at(start, Problem::usage(format!("{host:?} is not the name of a registry")))
                    .remedy("[registry.\"HOST\"] or [registry.\"HOST:PORT\"], without https:// and path"));
            }
            let mut registry = Registry { tls: entry.tls, ..Registry::default() };
            for file in entry.ca {
                let place = folder.join(file.get_ref());
                let bytes = fs::read(&place).map_err(|e| {
                    let what = format!("the certificate file {} cannot be read", place.display());
                    at(file.span().start, Problem::usage(what)).because(e)
                })?;
                if reqwest::Certificate::from_pem_bundle(&bytes).map_or(0, |all| all.len()) == 0 {
                    let what = format!("{} holds no certificate", place.display());
                    return Err(at(file.span().start, Problem::usage(what))
                        .remedy("it must be a PEM file with the certificate of the registry's authority"));
                }
                registry.certificates.push(bytes);
            }
            for mirror in entry.mirrors {
                let name = mirror.get_ref().trim_end_matches('/').to_owned();
                if !is_host(name.split_once('/').map_or(name.as_str(), |(host, _)| host)) {
                    let what = format!("{name:?} is not the name of a mirror");
                    return Err(at(mirror.span().start, Problem::usage(what))
                        .remedy("\"HOST\", \"HOST:PORT\" or \"HOST/PREFIX\", without https://"));
                }
                registry.mirrors.push(name);
            }
            if let Some(seconds) = entry.silence_seconds {
                if !(1..=3600).contains(seconds.get_ref()) {
                    let what = format!("silence_seconds = {} is not from 1 to 3600", seconds.get_ref());
                    return Err(at(seconds.span().start, Problem::usage(what)));
                }
                registry.silence = Duration::from_secs(seconds.into_inner());
            }
            if let Some(file) = entry.verify_key {
                let key = VerifyingKey::read(&folder.join(file.get_ref()));
                registry.verify = Some(key.map_err(|e| at(file.span().start, e.into()))?);
            }
            all.insert(canonical(&host).to_owned(), registry);
        }
        Ok(Self(all))
    }

    /// What is known of the registry `host`.
    pub fn get(&self, host: &str) -> Registry {
        self.0.get(canonical(host)).cloned().unwrap_or_default()
    }

    /// Adds or replaces what is known of a registry.
    #[must_use]
    pub fn with(mut self, host: &str, registry: Registry) -> Self {
        self.0.insert(canonical(host).to_owned(), registry);
        self
    }
}

/// Docker Hub has several names.
fn canonical(host: &str) -> &str {
    match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    }
}

fn is_host(text: &str) -> bool {
    let (name, port) = match text.rsplit_once(':') {
        Some((name, port)) if !text.ends_with(']') => (name, Some(port)),
        _ => (text, None),
    };
    let inner = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let good = match inner {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b)),
    };
    good && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_and_docker_hub_has_one_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let pem = rcgen::generate_simple_self_signed(["r.test".to_owned()]).unwrap().cert.pem();
        fs::write(folder.path().join("ca.pem"), &pem).unwrap();
        let text = "[registry.\"docker.io\"]\nmirrors = [\"r.test:5000/hub/\", \"[::1]:80\"]\n\
                    [registry.\"r.test:5000\"]\nca = [\"ca.pem\"]\nsilence_seconds = 5\n\
                    [registry.\"plain.test\"]\ntls = \"off\"\n";
        let all = Registries::parse(&path, text).unwrap();
        assert_eq!(all.get("index.docker.io").mirrors, ["r.test:5000/hub", "[::1]:80"]);
        let mirror = all.get("r.test:5000");
        assert_eq!((mirror.certificates, mirror.silence.as_secs()), (vec![pem.into_bytes()], 5));
        assert_eq!(all.get("plain.test").tls, Tls::Off);
        assert_eq!(all.get("other.test"), Registry::default());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        fs::write(folder.path().join("empty.pem"), "").unwrap();
        for (text, line, what) in [
            ("\n[registry.\"https://r.test\"]\n", 2, "not the name of a registry"),
            ("[registry.\"r.test\"]\nmirror = [\"x\"]\n", 2, "unknown field"),
            ("[registry.\"r.test\"]\ntls = \"no\"\n", 2, "unknown variant"),
            ("[registry.\"r.test\"]\n\nca = [\"gone.pem\"]\n", 3, "gone.pem"),
            ("[registry.\"r.test\"]\nca = [\"empty.pem\"]\n", 2, "holds no certificate"),
            ("[registry.\"r.test\"]\nmirrors = [\"https://m.test\"]\n", 2, "not the name of a mirror"),
            ("[registry.\"r.test\"]\nsilence_seconds = 0\n", 2, "silence_seconds"),
            ("[registry.\"r.test\"]\nverify_key = \"empty.pem\"\n", 2, "not a public key"),
        ] {
            let problem = Registries::parse(&path, text).unwrap_err();
            assert_eq!(problem.place().and_then(|p| p.line), Some(line), "{problem}");
            assert!(problem.to_string().contains(what), "{problem}");
        }
    }
}
