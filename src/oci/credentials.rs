//! Who we are to a registry: what `docker login` or `podman login` wrote down.
//!
//! Read are `$REGISTRY_AUTH_FILE`, `$DOCKER_CONFIG/config.json` (or `~/.docker/config.json`) and
//! `$XDG_RUNTIME_DIR/containers/auth.json`: credentials in the file, or a `docker-credential-NAME`
//! program that the file names. A secret is never part of an error or of the debug output.
//!
//! Sources: docs.docker.com "docker login" (credsStore, credHelpers), the credential helper protocol of
//! docker/docker-credential-helpers, and containers-auth.json(5) (keys that name a repository).

use crate::process::Group;
use crate::progress::{Progress, Unit};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::HashMap;
use std::fmt;
use std::io::{ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A credential helper may ask a person, but not for ever.
const HELPER: Duration = Duration::from_secs(if cfg!(test) { 2 } else { 60 });
/// Most that is read of a helper's answer, in bytes.
const LARGEST_ANSWER: u64 = 1 << 20;

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

impl Login {
    /// For messages.
    pub fn who(&self) -> &str {
        if self.user.is_empty() { "a token" } else { &self.user }
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// What a search for a login came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    pub login: Option<Login>,
    /// Where the login is from; without one, what stood in the way, if anything did.
    pub told: String,
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
    pub fn login(&self, host: &str, repository: &str, progress: &dyn Progress) -> Result<Found, String> {
        let mut found = Found::default();
        let Self::Files(files) = self else { return Ok(found) };
        for file in files {
            let text = match std::fs::read(file) {
                Ok(text) => text,
                Err(e) if e.kind() == ErrorKind::NotFound => continue,
                Err(e) => return Err(format!("{}: {e}", file.display())),
            };
            // serde's own words could quote the file.
            let parsed: File = serde_json::from_slice(&text).map_err(|e| {
                format!("{}:{}:{}: not a login file of Docker", file.display(), e.line(), e.column())
            })?;
            let here = parsed.login(host, repository, file, progress)?;
            if here.login.is_some() {
                return Ok(here);
            }
            if !here.told.is_empty() {
                found = here;
            }
        }
        Ok(found)
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
    fn login(
        &self,
        host: &str,
        repository: &str,
        file: &Path,
        progress: &dyn Progress,
    ) -> Result<Found, String> {
        let keys: Vec<String> = parts(host, repository).into_iter().chain(self::keys(host)).collect();
        let of = |helper: &str, key: &str| -> Result<Found, String> {
            let told = format!("docker-credential-{helper}, which {} names", file.display());
            let login =
                ask(helper, key, progress).map_err(|e| format!("{e} ({} names it)", file.display()))?;
            Ok(Found { told: if login.is_some() { told } else { String::new() }, login })
        };
        for key in &keys {
            if let Some(helper) = self.helpers.get(key) {
                return of(helper, key);
            }
        }
        let entry = keys.iter().find_map(|key| Some((key, self.auths.get(key)?)));
        if let Some((key, entry)) = entry
            && let Some(login) = entry.login(key, file)?
        {
            return Ok(Found { login: Some(login), told: file.display().to_string() });
        }
        // The store is asked for every registry, as Docker does: some helpers make logins as they are asked.
        match (&self.store, entry) {
            (None, _) => Ok(Found::default()),
            (Some(helper), Some((key, _))) => of(helper, key),
            // Many a file names a store that is not on this machine; images that anyone may have need none.
            (Some(helper), None) if !installed(helper) => Ok(Found {
                login: None,
                told: format!("{} names docker-credential-{helper}, which is not installed", file.display()),
            }),
            (Some(helper), None) => of(helper, &self::keys(host)[0]),
        }
    }
}

/// Whether a credential helper is in the search path.
fn installed(helper: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(format!("docker-credential-{helper}")).is_file())
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
fn ask(helper: &str, key: &str, progress: &dyn Progress) -> Result<Option<Login>, String> {
    let program = format!("docker-credential-{helper}");
    if helper.is_empty() || !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(format!("{program:?} is not the name of a credential helper"));
    }
    ask_program(&program, key, progress)
}

fn ask_program(program: &str, key: &str, progress: &dyn Progress) -> Result<Option<Login>, String> {
    let failed = |e: std::io::Error| format!("{program}: {e}");
    let mut command = Command::new(program);
    command.arg("get").stdout(Stdio::piped()).stderr(Stdio::null());
    let mut group = Group::start_with(&mut command, Stdio::piped()).map_err(failed)?;
    if let Some(mut input) = group.child.stdin.take() {
        // A helper that does not read its input answers all the same.
        let _ = input.write_all(key.as_bytes());
    }
    let output = group.child.stdout.take();
    let patience = Patience { progress, until: Instant::now() + HELPER };
    let (read, status) = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let mut bytes = Vec::new();
            output.map_or(Ok(0), |output| output.take(LARGEST_ANSWER).read_to_end(&mut bytes)).map(|_| bytes)
        });
        let status = group.wait(&patience, Duration::ZERO, || ());
        (reading.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), status)
    });
    let status = status.map_err(failed)?.ok_or_else(|| match progress.cancelled() {
        true => format!("{program} was cancelled"),
        false => format!("{program} did not answer within {} seconds", HELPER.as_secs()),
    })?;
    let output = read.map_err(failed)?;
    if !status.success() {
        let missing = String::from_utf8_lossy(&output).contains("not found");
        return if missing { Ok(None) } else { Err(format!("{program} failed: {status}")) };
    }
    let answer: Answer = serde_json::from_slice(&output)
        .map_err(|_| format!("{program} answered something that is not a login"))?;
    if answer.user == "<token>" {
        return Ok(Some(Login { user: String::new(), secret: Secret::IdentityToken(answer.secret) }));
    }
    Ok(Some(Login::with_password(answer.user, answer.secret)))
}

/// Ends what waits for too long.
struct Patience<'a> {
    progress: &'a dyn Progress,
    until: Instant,
}

impl Progress for Patience<'_> {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, _: &str) {}
    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
    fn cancelled(&self) -> bool {
        self.progress.cancelled() || Instant::now() >= self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Silent, Stopped};

    fn write(text: &str) -> (tempfile::NamedTempFile, Credentials) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let credentials = Credentials::Files(vec!["/does/not/exist".into(), file.path().to_owned()]);
        (file, credentials)
    }

    fn login(credentials: &Credentials, host: &str, repository: &str) -> Option<Login> {
        credentials.login(host, repository, &Silent).unwrap().login
    }

    #[test]
    fn logins_of_docker_are_found() {
        let secret = base64::engine::general_purpose::STANDARD.encode("me:pass:word");
        let (_file, credentials) = write(&format!(
            r#"{{"auths": {{"registry.test:5000": {{"auth": "{secret}"}}, "empty.test": {{}},
                "https://index.docker.io/v1/": {{"auth": "{secret}"}}}}, "HttpHeaders": {{}}}}"#
        ));
        let expected = Some(Login::with_password("me", "pass:word"));
        assert_eq!(login(&credentials, "registry.test:5000", "a/b"), expected);
        assert_eq!(login(&credentials, "docker.io", "library/a"), expected);
        for host in ["registry.test", "empty.test", "other.test"] {
            assert_eq!(login(&credentials, host, "a"), None, "{host}");
        }
        assert_eq!(login(&Credentials::None, "docker.io", "a"), None);
    }

    #[test]
    fn the_login_of_a_part_of_a_registry_goes_first() {
        let (_file, credentials) = write(
            r#"{"auths": {"r.test": {"username": "all", "password": "p"},
                "r.test/team": {"username": "team", "password": "p"},
                "r.test/team/secret": {"auth": "dTo=", "identitytoken": "t"}}}"#,
        );
        let user = |repository: &str| login(&credentials, "r.test", repository).unwrap().user;
        assert_eq!(user("teams/x"), "all");
        assert_eq!(user("team/x"), "team");
        let login = login(&credentials, "r.test", "team/secret").unwrap();
        assert!(login.user == "u" && login.secret == Secret::IdentityToken("t".to_owned()));
    }

    #[test]
    fn a_secret_is_in_no_message() {
        let login = Login::with_password("me", "geheim");
        assert!(!format!("{login:?}").contains("geheim"));
        for text in [r#"{"auths": {"h": {"auth": "geheim!"}}}"#, r#"{"auths": {"h": "geheim"}}"#, "geheim"] {
            let (file, credentials) = write(text);
            let error = credentials.login("h", "r", &Silent).unwrap_err();
            assert!(
                !error.contains("geheim") && error.contains(&file.path().display().to_string()),
                "{error}"
            );
        }
        let (_file, credentials) = write(r#"{"credHelpers": {"h": "../evil"}}"#);
        assert!(credentials.login("h", "r", &Silent).unwrap_err().contains("not the name"));
        let (_file, credentials) = write(r#"{"credHelpers": {"h": "no-such-helper"}}"#);
        assert!(
            credentials.login("h", "r", &Silent).unwrap_err().contains("docker-credential-no-such-helper")
        );
    }

    #[test]
    fn a_store_is_asked_for_every_registry() {
        // It stands for none of them by name, as the documentation of Amazon's helper has it.
        let (file, credentials) = write(r#"{"credsStore": "no-such-store"}"#);
        let found = credentials.login("h", "r", &Silent).unwrap();
        assert!(found.login.is_none() && found.told.contains("docker-credential-no-such-store"), "{found:?}");
        assert!(found.told.contains(&file.path().display().to_string()), "{found:?}");
        // For a registry that the file knows it is needed.
        let (_file, credentials) = write(r#"{"auths": {"h": {}}, "credsStore": "no-such-store"}"#);
        assert!(credentials.login("h", "r", &Silent).unwrap_err().contains("no-such-store"));
        // A login that stands in the file needs none.
        let (file, credentials) =
            write(r#"{"auths": {"h": {"auth": "dTpw"}}, "credsStore": "no-such-store"}"#);
        let found = credentials.login("h", "r", &Silent).unwrap();
        assert_eq!(found.login.unwrap().user, "u");
        assert!(found.told.contains(&file.path().display().to_string()), "{}", found.told);
    }

    #[test]
    fn a_helper_that_says_nothing_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
            std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let good = program("good", "cat >/dev/null; echo '{\"Username\":\"u\",\"Secret\":\"p\"}'");
        assert_eq!(ask_program(&good, "h", &Silent).unwrap(), Some(Login::with_password("u", "p")));
        let none = program("none", "echo credentials not found in native keychain; exit 1");
        assert_eq!(ask_program(&none, "h", &Silent).unwrap(), None);
        let mute = program("mute", "exec sleep 1000");
        assert!(ask_program(&mute, "h", &Silent).unwrap_err().contains("did not answer"));
        assert!(ask_program(&mute, "h", &Stopped).unwrap_err().contains("cancelled"));
    }
}
