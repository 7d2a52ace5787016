//! From many sources to one value per field: default, then profile, then environment, then flag.

use super::field::Field;
use super::fields::{FIELDS, Id};
use super::profile::Profile;
use super::value::{Invalid, Value};
use crate::initramfs::Compression;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    /// Made from `cluster_domain`.
    Domain,
    /// One of the machine's standard variables, such as `https_proxy`.
    Ambient(&'static str),
    /// The profile's file and the line.
    Profile {
        file: PathBuf,
        line: usize,
    },
    /// The field's own variable.
    Environment(&'static str),
    /// The field's flag.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Domain => f.write_str("from cluster_domain"),
            Self::Ambient(name) | Self::Environment(name) => write!(f, "environment {name}"),
            // Set since the file was read, as by an import.
            Self::Profile { line: 0, .. } => f.write_str("profile"),
            Self::Profile { file, line } => {
                let name = file.file_name().unwrap_or(file.as_os_str());
                write!(f, "{}:{line}", name.to_string_lossy())
            }
            Self::Flag(name) => write!(f, "flag --{name}"),
        }
    }
}

/// A field's value and its origin. No value means that the field is unset, or was set to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    pub value: Option<Value>,
    pub origin: Origin,
}

/// Texts given as flags, by field. An empty text unsets the field.
pub type FlagValues = BTreeMap<Id, String>;

/// Looks up an environment variable.
pub type Lookup = dyn Fn(&str) -> Option<String>;

/// Everything that can say a value.
#[derive(Default)]
pub struct Sources<'a> {
    pub profile: Option<&'a Profile>,
    pub flags: FlagValues,
    /// Looks up an environment variable; [`Sources::environment`] for the real one.
    pub env: Option<&'a Lookup>,
    /// Whether the machine's standard proxy variables count (below the profile). Only `configure`
    /// wants them: an image must not depend on who builds it.
    pub ambient: bool,
}

impl Sources<'_> {
    /// The process's environment. Values that are not UTF-8 read as U+FFFD, which no field takes.
    pub fn environment(name: &str) -> Option<String> {
        std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
    }
}

/// What was found, good and bad.
pub struct Resolution {
    pub site: ResolvedSite,
    /// Problems with values; a field with a problem has its default in `site`.
    pub problems: Vec<(Option<Id>, Problem)>,
    /// Nothing that stops a build.
    pub warnings: Vec<Problem>,
}

impl Resolution {
    /// The site and warnings, or all problems as one.
    pub fn into_result(self) -> Result<(ResolvedSite, Vec<Problem>)> {
        let problems: Vec<_> = self.problems.into_iter().map(|(_, problem)| problem).collect();
        match together(problems) {
            None => Ok((self.site, self.warnings)),
            Some(problem) => Err(problem),
        }
    }
}

/// Many problems as one; none for none.
pub fn together(mut problems: Vec<Problem>) -> Option<Problem> {
    match problems.len() {
        0 => None,
        1 => problems.pop(),
        n => {
            let exit = problems[0].exit();
            let all = Problem::new(format!("{n} settings are not usable")).exit_with(exit);
            // `because` drops a cause that repeats the one before it; these must all be shown.
            let mut seen: Vec<String> = Vec::new();
            problems.retain(|p| {
                let text = p.to_string();
                let new = !seen.contains(&text);
                seen.push(text);
                new
            });
            Some(problems.into_iter().fold(all, Problem::because))
        }
    }
}

/// The settings of one site, each with its origin.
#[derive(Debug, Clone)]
pub struct ResolvedSite {
    /// The profile's name: the folder in `out/` and `certs/`.
    pub name: String,
    /// The profile's file.
    pub profile: Option<PathBuf>,
    fields: Vec<Resolved>,
}

/// Resolves every field. Reads no file.
pub fn resolve(name: &str, sources: &Sources<'_>) -> Resolution {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    if let Some(profile) = sources.profile {
        warnings.extend(profile.warnings().iter().cloned());
        problems.extend(profile.problems().iter().cloned().map(|p| (None, p)));
    }
    let mut fields: Vec<Resolved> = Vec::with_capacity(FIELDS.len());
    for field in FIELDS {
        let domain = fields.first().and_then(|d| d.value.as_ref()).map(Value::text);
        match said(field, sources) {
            Ok(Some(resolved)) => fields.push(resolved),
            other => {
                if let Err(problem) = other {
                    problems.push((Some(field.id), problem));
                }
                let origin = match field.default {
                    super::field::Default::OfDomain(_) => Origin::Domain,
                    _ => Origin::Default,
                };
                fields.push(Resolved { value: field.default_value(domain.as_deref()), origin });
            }
        }
    }
    let site = ResolvedSite {
        name: name.to_owned(),
        profile: sources.profile.and_then(|p| p.path().map(Path::to_owned)),
        fields,
    };
    if let Some(Value::Text(host)) = site.get(Id::KeycloakUrl)
        && !host.contains("keycloak")
    {
        warnings.push(Problem::usage(format!(
            "{host} has no `keycloak` in its name, so the host that hands out release tokens cannot be told from it"
        )));
    }
    if site.getty() == Getty::Login && site.get(Id::RootPasswordHash).is_none() {
        warnings.push(
            Problem::usage("getty is `login` and no password is given, so nobody can log in on a console")
                .remedy("give HOOKOS_ROOT_PASSWORD_HASH when you build: openssl passwd -6 makes one"),
        );
    }
    Resolution { site, problems, warnings }
}

/// The strongest source's value for a field.
fn said(field: &'static Field, sources: &Sources<'_>) -> Result<Option<Resolved>> {
    let parse = |text: &str, origin: Origin| match Value::parse(field.kind, text) {
        Ok(value) => Ok(Some(Resolved { value, origin })),
        Err(why) => Err(explain(field, &why, &origin)),
    };
    if let Some(text) = sources.flags.get(&field.id) {
        return parse(text, Origin::Flag(field.flag));
    }
    let env = |name: &str| sources.env.and_then(|look| look(name)).filter(|text| !text.trim().is_empty());
    if let Some(text) = env(field.env) {
        return parse(&text, Origin::Environment(field.env));
    }
    if let Some(found) = sources.profile.map(|p| p.value(field)).transpose()?.flatten() {
        return Ok(Some(found));
    }
    if sources.ambient {
        for name in field.ambient {
            if let Some(text) = env(name) {
                return parse(&text, Origin::Ambient(name));
            }
        }
    }
    Ok(None)
}

/// A problem with a value, by its origin.
pub(super) fn explain(field: &Field, why: &Invalid, origin: &Origin) -> Problem {
    let place = match origin {
        Origin::Flag(flag) => format!("--{flag}"),
        Origin::Environment(name) | Origin::Ambient(name) => (*name).to_owned(),
        _ => field.path(),
    };
    let example = format!("{}, for example {}", field.kind.accepts(), field.example);
    Problem::usage(format!("{place}: {why}")).remedy(example)
}

impl ResolvedSite {
    /// The value of a field, if it has one.
    pub fn get(&self, id: Id) -> Option<&Value> {
        self.fields[id as usize].value.as_ref()
    }

    /// The value of a field with its origin.
    pub fn resolved(&self, id: Id) -> &Resolved {
        &self.fields[id as usize]
    }

    /// Every field with its value and origin, in the order of the table.
    pub fn iter(&self) -> impl Iterator<Item = (&'static Field, &Resolved)> {
        FIELDS.iter().zip(&self.fields)
    }

    /// Text of a field in its one-line form.
    pub fn text(&self, id: Id) -> Option<String> {
        self.get(id).map(Value::text)
    }

    /// The items of a list field.
    pub fn list(&self, id: Id) -> &[String] {
        self.get(id).map_or(&[], Value::items)
    }

    /// Whether a field counts with what the others say.
    pub fn counts(&self, field: &Field) -> bool {
        field.needs.is_none_or(|(other, value)| self.text(other).as_deref() == Some(value))
    }

    /// Fields without which an image from this site cannot register its machine.
    pub fn missing_for_onboarding(&self) -> Vec<&'static Field> {
        self.iter().filter(|(f, r)| f.onboarding && r.value.is_none()).map(|(f, _)| f).collect()
    }

    /// The path that a [`super::field::Kind::Path`] field says: relative to the profile's folder if
    /// the profile says it, to the working folder if a flag or variable does, else to the project's root.
    pub fn path(&self, id: Id, root: &Path) -> Option<PathBuf> {
        let resolved = self.resolved(id);
        let Some(Value::Text(text)) = &resolved.value else { return None };
        Some(match &resolved.origin {
            Origin::Profile { file, .. } => file.parent().unwrap_or(root).join(text),
            Origin::Flag(_) | Origin::Environment(_) | Origin::Ambient(_) => PathBuf::from(text),
            Origin::Default | Origin::Domain => root.join(text),
        })
    }

    pub fn compression(&self) -> Compression {
        match self.text(Id::Compression).as_deref() {
            Some("gzip") => Compression::Gzip,
            _ => Compression::Zstd,
        }
    }

    pub fn getty(&self) -> Getty {
        match self.text(Id::Getty).as_deref() {
            Some("insecure") => Getty::Insecure,
            Some("login") => Getty::Login,
            _ => Getty::Off,
        }
    }

    pub fn kernel_source(&self) -> KernelSource {
        match self.text(Id::KernelSource).as_deref() {
            Some("source") => KernelSource::Source,
            _ => KernelSource::Debian,
        }
    }

    /// Parameters that `boot` adds to the kernel command line.
    pub fn kernel_append(&self) -> Option<String> {
        self.text(Id::KernelAppend)
    }

    /// The image definition; `components/hook.yaml` unless a setting says another.
    pub fn definition(&self, root: &Path) -> PathBuf {
        self.path(Id::Definition, root).unwrap_or_else(|| root.join("components/hook.yaml"))
    }

    pub fn components_off(&self) -> &[String] {
        self.list(Id::ComponentsOff)
    }

    pub fn components_on(&self) -> &[String] {
        self.list(Id::ComponentsOn)
    }

    /// Which component takes a role.
    pub fn roles(&self) -> BTreeMap<&str, &str> {
        self.list(Id::Roles).iter().filter_map(|pair| pair.split_once('=')).collect()
    }

    pub fn debian_mirror(&self) -> Option<String> {
        self.text(Id::DebianMirror)
    }

    pub fn debian_security_mirror(&self) -> Option<String> {
        self.text(Id::DebianSecurityMirror)
    }

    /// Whether placeholder certificates are accepted.
    pub fn placeholder_certificates(&self) -> bool {
        self.get(Id::PlaceholderCertificates) == Some(&Value::Bool(true))
    }
}

/// What each console shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Getty {
    /// A log-in prompt.
    Login,
    /// A root shell without a password.
    Insecure,
    /// Nothing.
    Off,
}

impl Getty {
    pub fn name(self) -> &'static str {
        match self {
            Self::Login => "login",
            Self::Insecure => "insecure",
            Self::Off => "off",
        }
    }
}

/// Where the kernel comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum KernelSource {
    /// Debian's prebuilt package.
    Debian,
    /// Compiled from its source, here or by the release service.
    Source,
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILE: &str = "schema_version = 1\n[network]\nno_proxy = [\"profile\"]\n[endpoints]\n\
                           cluster_domain = \"a.example.com\"\nlogging_svc = \"\"\n";

    fn env(name: &str) -> Option<String> {
        let value = match name {
            "HOOKOS_CLUSTER_DOMAIN" => "b.example.com",
            "HOOKOS_GETTY" => " ",
            "http_proxy" => "http://ambient:1",
            "no_proxy" => "ambient",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn flag_beats_environment_beats_profile_beats_default() {
        let profile = Profile::from_bytes(Path::new("f/x.toml"), PROFILE.as_bytes()).unwrap();
        let mut flags = FlagValues::new();
        let look: &Lookup = &env;
        let get = |flags: &FlagValues, env: bool, ambient: bool| {
            let env = env.then_some(look);
            resolve("x", &Sources { profile: Some(&profile), flags: flags.clone(), env, ambient }).site
        };
        let host = |site: &ResolvedSite| {
            (site.text(Id::KeycloakUrl).unwrap(), site.resolved(Id::ClusterDomain).origin.to_string())
        };
        assert_eq!(
            host(&get(&flags, false, false)),
            ("keycloak.a.example.com:443".into(), "x.toml:5".into())
        );
        assert_eq!(
            host(&get(&flags, true, false)),
            ("keycloak.b.example.com:443".into(), "environment HOOKOS_CLUSTER_DOMAIN".into())
        );
        flags.insert(Id::ClusterDomain, "c.example.com".into());
        let site = get(&flags, true, true);
        assert_eq!(host(&site), ("keycloak.c.example.com:443".into(), "flag --cluster-domain".into()));
        // An empty text is an answer: this site has no log collector.
        assert_eq!(site.get(Id::LoggingSvc), None);
        assert_eq!(site.missing_for_onboarding().iter().map(|f| f.key).collect::<Vec<_>>(), ["logging_svc"]);
        // The machine's own proxy is weaker than the profile, and a blank variable is none.
        assert_eq!(site.resolved(Id::HttpProxy).origin, Origin::Ambient("http_proxy"));
        assert_eq!(site.list(Id::NoProxy), ["profile"]);
        assert_eq!(site.getty(), Getty::Off);
        assert_eq!(
            get(&flags, true, false).get(Id::HttpProxy),
            None,
            "a build does not depend on who builds"
        );
        flags.insert(Id::NoProxy, String::new());
        assert_eq!(get(&flags, true, true).get(Id::NoProxy), None);
    }

    #[test]
    fn paths_count_from_where_they_are_said() {
        let text = "schema_version = 1\n[certificates]\nca = \"x.pem\"\n";
        let profile = Profile::from_bytes(Path::new("f/x.toml"), text.as_bytes()).unwrap();
        let flags = FlagValues::from([(Id::ServerCertFile, "y.pem".to_owned())]);
        let site = resolve("x", &Sources { profile: Some(&profile), flags, ..Sources::default() }).site;
        let root = Path::new("/r");
        assert_eq!(site.path(Id::CaFile, root).unwrap(), Path::new("f/x.pem"));
        assert_eq!(site.path(Id::ServerCertFile, root).unwrap(), Path::new("y.pem"));
        assert_eq!(site.definition(root), Path::new("/r/components/hook.yaml"));
    }

    #[test]
    fn problems_of_all_sources_are_told_together_and_masked() {
        let profile =
            Profile::from_bytes(Path::new("x"), b"schema_version = 1\n[image]\ngetty = \"on\"\n").unwrap();
        let flags = FlagValues::from([(Id::HttpProxy, "http://u:canary@h:x".to_owned())]);
        let bad: &Lookup = &|name| (name == "HOOKOS_NAMESERVERS").then(|| "1.1.1".to_owned());
        let sources = Sources { profile: Some(&profile), flags, env: Some(bad), ..Sources::default() };
        let problem = resolve("x", &sources).into_result().unwrap_err();
        assert_eq!(problem.exit(), crate::problem::Exit::Usage);
        let text = problem.to_string();
        for part in ["--http-proxy", "HOOKOS_NAMESERVERS", "x:3:9", "login, insecure, off", "3 settings"] {
            assert!(text.contains(part), "{part}\n{text}");
        }
        assert!(!text.contains("canary"), "{text}");
    }
}
