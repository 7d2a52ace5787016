//! Who we are to a registry: what `docker login` or `podman login` wrote down.
//!
//! Read are `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` (or `~/.docker/config.json`) and
//! `$XDG_RUNTIME_DIR/containers/auth.json`: credentials in the file, or a `docker-credential-NAME`
//! program that the file names. A secret is never part of an error or of the debug output.
//!
//! Sources: docs.docker.com "docker login" (credsStore, credHelpers), the credential helper protocol of
//! docker/docker-credential-helpers, and containers-auth.json(5) (keys that name a repository).

use base64::Engine as _;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user name and what proves it.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub secret: Secret,
}

/// What proves a login.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    Password(String),
    /// Exchanged for tokens at the registry's token server.
    IdentityToken(String),
}

impl Login {
    pub fn with_password(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), secret: Secret::Password(password.into()) }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Where credentials are looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Credentials {
    /// Nowhere.
    #[default]
    None,
    /// In these files, in order.
    Files(Vec<PathBuf>),
}

impl Credentials {
    /// The files that Docker and Podman use for this user.
    pub fn of_user() -> Self {
        let folder = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let docker = folder("DOCKER_CONFIG").or_else(|| folder("HOME").map(|home| home.join(".docker")));
        let podman = folder("XDG_RUNTIME_DIR").map(|run| run.join("containers/auth.json"));
        let stated = folder("REGISTRY_AUTH_FILE");
        let docker = docker.map(|folder| folder.join("config.json"));
        Self::Files([stated, docker, podman].into_iter().flatten().collect())
    }

    /// The login for a repository of a registry (`host` or `host:port`), if one is written down. The text
    /// of an error says which file or program is at fault.
    pub fn login(&self, host: &str, repository: &str) -> Result<Option<Login>, String> {
        let Self::Files(files) = self else { return Ok(None) };
        for file in files {
            let text = match std::fs::read(file) {
                Ok(text) => text,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
                Err(e) => return Err(format!("{}: {e}", file.display())),
            };
            // serde's own words could quote the file.
            let parsed: File = serde_json::from_slice(&text).map_err(|e| {
                format!("{}:{}:{}: not a login file of Docker", file.display(), e.line(), e.column())
            })?;
            if let Some(login) = parsed.login(host, repository, file)? {
                return Ok(Some(login));
            }
        }
        Ok(None)
    }
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: HashMap<String, Auth>,
    #[serde(default, rename = "credHelpers")]
    helpers: HashMap<String, String>,
    #[serde(rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
    username: Option<String>,
    password: Option<String>,
    #[serde(default, rename = "identitytoken")]
    identity_token: String,
}

#[derive(Deserialize)]
struct Answer {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// The keys under which a registry stands in the file; Docker Hub has its own.
fn keys(host: &str) -> Vec<String> {
    let mut keys = vec![host.to_owned(), format!("https://{host}"), format!("https://{host}/")];
    if matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io") {
        keys.insert(0, "https://index.docker.io/v1/".to_owned());
        keys.push("docker.io".to_owned());
    }
    keys
}

/// `host/a/b`, `host/a`: Podman keeps logins for parts of a registry too.
fn parts(host: &str, repository: &str) -> Vec<String> {
    let ends = repository.match_indices('/').map(|(at, _)| at).chain([repository.len()]);
    let mut parts: Vec<String> = ends.map(|end| format!("{host}/{}", &repository[..end])).collect();
    parts.reverse();
    parts
}

impl File {
    fn login(&self, host: &str, repository: &str, file: &Path) -> Result<Option<Login>, String> {
        let keys: Vec<String> = parts(host, repository).into_iter().chain(keys(host)).collect();
        for key in &keys {
            if let Some(helper) = self.helpers.get(key) {
                return ask(helper, key);
            }
        }
        for key in &keys {
            let Some(entry) = self.auths.get(key) else { continue };
            return match (entry.login(key, file)?, &self.store) {
                // The file knows the registry, its secret is in the store of the system.
                (None, Some(helper)) => ask(helper, key),
                (login, _) => Ok(login),
            };
        }
        Ok(None)
    }
}

impl Auth {
    fn login(&self, key: &str, file: &Path) -> Result<Option<Login>, String> {
        if let (Some(user), Some(password)) = (&self.username, &self.password) {
            return Ok(Some(Login::with_password(user, password)));
        }
        let mut login = None;
        if !self.auth.is_empty() {
            let bad = || format!("{}: the entry {key:?} is not base64 of user:password", file.display());
            let bytes = base64::engine::general_purpose::STANDARD.decode(&self.auth).map_err(|_| bad())?;
            let text = String::from_utf8(bytes).map_err(|_| bad())?;
            let (user, password) = text.split_once(':').ok_or_else(bad)?;
            login = Some(Login::with_password(user, password.trim_end_matches('\0')));
        }
        if !self.identity_token.is_empty() {
            let user = login.map(|login| login.user).unwrap_or_default();
            login = Some(Login { user, secret: Secret::IdentityToken(self.identity_token.clone()) });
        }
        Ok(login)
    }
}

/// Asks a credential helper: the key on its standard input, JSON on its standard output.
fn ask(helper: &str, key: &str) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(format!("{program:?} is not the name of a credential helper"));
    }
    let failed = |e: std::io::Error| format!("{program}: {e}");
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    if let Some(mut input) = child.stdin.take() {
        // A helper that does not read its input answers all the same.
        let _ = input.write_all(key.as_bytes());
    }
    let output = child.wait_with_output().map_err(failed)?;
    if !output.status.success() {
        let missing = String::from_utf8_lossy(&output.stdout).contains("not found");
        return if missing { Ok(None) } else { Err(format!("{program} failed: {}", output.status)) };
    }
    let answer: Answer = serde_json::from_slice(&output.stdout)
        .map_err(|_| format!("{program} answered something that is not a login"))?;
    if answer.user == "<token>" {
        return Ok(Some(Login { user: String::new(), secret: Secret::IdentityToken(answer.secret) }));
    }
    Ok(Some(Login::with_password(answer.user, answer.secret)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(text: &str) -> (tempfile::NamedTempFile, Credentials) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let credentials = Credentials::Files(vec!["/does/not/exist".into(), file.path().to_owned()]);
        (file, credentials)
    }

    #[test]
    fn logins_of_docker_are_found() {
        let secret = base64::engine::general_purpose::STANDARD.encode("me:pass:word");
        let (_file, credentials) = write(&format!(
            r#"{{"auths": {{"registry.test:5000": {{"auth": "{secret}"}}, "empty.test": {{}},
                "https://index.docker.io/v1/": {{"auth": "{secret}"}}}}, "HttpHeaders": {{}}}}"#
        ));
        let expected = Some(Login::with_password("me", "pass:word"));
        assert_eq!(credentials.login("registry.test:5000", "a/b").unwrap(), expected);
        assert_eq!(credentials.login("docker.io", "library/a").unwrap(), expected);
        for host in ["registry.test", "empty.test", "other.test"] {
            assert_eq!(credentials.login(host, "a").unwrap(), None, "{host}");
        }
        assert_eq!(Credentials::None.login("docker.io", "a").unwrap(), None);
    }

    #[test]
    fn the_login_of_a_part_of_a_registry_goes_first() {
        let (_file, credentials) = write(
            r#"{"auths": {"r.test": {"username": "all", "password": "p"},
                "r.test/team": {"username": "team", "password": "p"},
                "r.test/team/secret": {"auth": "dTo=", "identitytoken": "t"}}}"#,
        );
        let user = |repository: &str| credentials.login("r.test", repository).unwrap().unwrap().user;
        assert_eq!(user("teams/x"), "all");
        assert_eq!(user("team/x"), "team");
        let login = credentials.login("r.test", "team/secret").unwrap().unwrap();
        assert!(login.user == "u" && login.secret == Secret::IdentityToken("t".to_owned()));
    }

    #[test]
    fn a_secret_is_in_no_message() {
        let login = Login::with_password("me", "geheim");
        assert!(!format!("{login:?}").contains("geheim"));
        for text in [r#"{"auths": {"h": {"auth": "geheim!"}}}"#, r#"{"auths": {"h": "geheim"}}"#, "geheim"] {
            let (file, credentials) = write(text);
            let error = credentials.login("h", "r").unwrap_err();
            assert!(
                !error.contains("geheim") && error.contains(&file.path().display().to_string()),
                "{error}"
            );
        }
        let (_file, credentials) = write(r#"{"credHelpers": {"h": "../evil"}}"#);
        assert!(credentials.login("h", "r").unwrap_err().contains("not the name"));
        let (_file, credentials) = write(r#"{"credHelpers": {"h": "no-such-helper"}}"#);
        assert!(credentials.login("h", "r").unwrap_err().contains("docker-credential-no-such-helper"));
    }
}
