//! Where the engine is: `DOCKER_HOST`, the context that the Docker client uses, Docker's socket, Podman's.
//!
//! Source: docs.docker.com, "Docker contexts" and "Environment variables"; podman-system-service(1).

use super::Error;
use serde::Deserialize;
use std::fmt;
use std::path::{Path, PathBuf};

/// An engine's address, and who says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `unix:///var/run/docker.sock`, `tcp://host:2375`, `https://host:2376`.
    pub host: String,
    /// Whom TLS trusts, and who we are. None: without TLS.
    pub tls: Option<Tls>,
    pub said_by: &'static str,
}

/// PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The authority of the engine's certificate; none for the system's.
    pub ca: Option<PathBuf>,
    /// Ours. Where they are not there the engine is not told who we are.
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Tls {
    /// The names that the Docker client gives them.
    fn of(folder: &Path) -> Self {
        let ca = Some(folder.join("ca.pem")).filter(|ca| ca.exists());
        Self { ca, certificate: folder.join("cert.pem"), key: folder.join("key.pem") }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.host, self.said_by)
    }
}

#[derive(Deserialize, Default)]
struct Settings {
    #[serde(rename = "currentContext")]
    context: Option<String>,
}

#[derive(Deserialize)]
struct Meta {
    #[serde(rename = "Endpoints")]
    endpoints: Endpoints,
}

#[derive(Deserialize)]
struct Endpoints {
    docker: Endpoint,
}

#[derive(Deserialize)]
struct Endpoint {
    #[serde(rename = "Host")]
    host: String,
    #[serde(rename = "SkipTLSVerify", default)]
    unverified: bool,
}

impl Place {
    /// The engine of this person.
    pub fn find() -> Result<Self, Error> {
        Self::find_with(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn find_with(env: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let settings = env("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| Path::new(&home).join(".docker")));
        if let Some(host) = env("DOCKER_HOST") {
            let secured = host.starts_with("https://")
                || host.starts_with("tcp://") && env("DOCKER_TLS_VERIFY").is_some();
            let folder = env("DOCKER_CERT_PATH").map(PathBuf::from).or(settings);
            let tls = folder.filter(|_| secured).map(|folder| Tls::of(&folder));
            return Ok(Self { host, tls, said_by: "DOCKER_HOST" });
        }
        let context = env("DOCKER_CONTEXT").or_else(|| {
            let text = std::fs::read(settings.as_ref()?.join("config.json")).ok()?;
            serde_json::from_slice::<Settings>(&text).ok()?.context
        });
        if let (Some(name), Some(settings)) = (context.filter(|name| name != "default"), &settings) {
            return of_context(settings, name);
        }
        let docker = Path::new("/var/run/docker.sock");
        let podman = env("XDG_RUNTIME_DIR").map(|run| Path::new(&run).join("podman/podman.sock"));
        let podman = podman.into_iter().chain([PathBuf::from("/run/podman/podman.sock")]);
        let socket =
            |path: &Path, said_by| Self { host: format!("unix://{}", path.display()), tls: None, said_by };
        Ok(match podman.filter(|_| !docker.exists()).find(|socket| socket.exists()) {
            Some(podman) => socket(&podman, "Podman's socket"),
            None => socket(docker, "Docker's socket"),
        })
    }
}

/// A context's folders are named by the SHA-256 of its name: one has its address, one its certificates.
fn of_context(settings: &Path, name: String) -> Result<Place, Error> {
    let folder = crate::store::Digest::of(name.as_bytes()).hex();
    let file = settings.join("contexts/meta").join(&folder).join("meta.json");
    let bad = |why: String| Error::Context { name: name.clone(), why };
    let text = std::fs::read(&file).map_err(|e| bad(format!("{}: {e}", file.display())))?;
    let meta: Meta = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    let Endpoint { host, unverified } = meta.endpoints.docker;
    let certificates = settings.join("contexts/tls").join(folder).join("docker");
    let tls = certificates.is_dir() || host.starts_with("https://");
    if unverified && (tls || host.starts_with("tcp://")) {
        return Err(bad(format!(
            "it says that the certificate of {host} is not to be verified; give it the authority's: \
             docker context update {name} --docker host={host},ca=FILE"
        )));
    }
    let tls = tls.then(|| Tls::of(&certificates));
    Ok(Place { host, tls, said_by: "the Docker client's context" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_variable_comes_before_the_context_and_that_before_the_socket() {
        let home = tempfile::tempdir().unwrap();
        let docker = home.path().join(".docker");
        let folder = docker.join("contexts/meta").join(crate::store::Digest::of(b"lab").hex());
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(docker.join("config.json"), r#"{"auths":{},"currentContext":"lab"}"#).unwrap();
        let meta = r#"{"Name":"lab","Metadata":{},"Endpoints":{"docker":{"Host":"tcp://lab:2375"}}}"#;
        std::fs::write(folder.join("meta.json"), meta).unwrap();
        let with = |more: &'static [(&str, &str)]| {
            let home = home.path().display().to_string();
            Place::find_with(move |name| {
                let given = more.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
                given.or_else(|| (name == "HOME").then(|| home.clone()))
            })
        };
        assert_eq!(with(&[]).unwrap().host, "tcp://lab:2375");
        assert_eq!(with(&[]).unwrap().tls, None);
        assert_eq!(with(&[("DOCKER_HOST", "unix:///x")]).unwrap().host, "unix:///x");
        assert_eq!(with(&[("DOCKER_CONTEXT", "default")]).unwrap().host, "unix:///var/run/docker.sock");
        let error = with(&[("DOCKER_CONTEXT", "other")]).unwrap_err();
        assert!(error.to_string().contains("context other"), "{error}");

        // Certificates: beside the context, or where the variable's are.
        let tls =
            with(&[("DOCKER_HOST", "tcp://lab:2376"), ("DOCKER_TLS_VERIFY", "1")]).unwrap().tls.unwrap();
        assert_eq!((tls.ca, tls.key), (None, docker.join("key.pem")));
        let own = docker.join("contexts/tls").join(crate::store::Digest::of(b"lab").hex()).join("docker");
        std::fs::create_dir_all(&own).unwrap();
        std::fs::write(own.join("ca.pem"), "").unwrap();
        let tls = with(&[]).unwrap().tls.unwrap();
        assert_eq!((tls.ca, tls.certificate), (Some(own.join("ca.pem")), own.join("cert.pem")));
        std::fs::write(folder.join("meta.json"), meta.replace("2375\"", "2375\",\"SkipTLSVerify\":true"))
            .unwrap();
        assert!(with(&[]).unwrap_err().to_string().contains("docker context update lab"));
    }
}
