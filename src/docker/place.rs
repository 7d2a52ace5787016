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
    pub said_by: &'static str,
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
}

impl Place {
    /// The engine of this person.
    pub fn find() -> Result<Self, Error> {
        Self::find_with(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn find_with(env: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        if let Some(host) = env("DOCKER_HOST") {
            return Ok(Self { host, said_by: "DOCKER_HOST" });
        }
        let settings = env("DOCKER_CONFIG")
            .map(PathBuf::from)
            .or_else(|| env("HOME").map(|home| Path::new(&home).join(".docker")));
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
        Ok(match podman.filter(|_| !docker.exists()).find(|socket| socket.exists()) {
            Some(socket) => Self { host: format!("unix://{}", socket.display()), said_by: "Podman's socket" },
            None => Self { host: format!("unix://{}", docker.display()), said_by: "Docker's socket" },
        })
    }
}

/// A context's folder is named by the SHA-256 of its name.
fn of_context(settings: &Path, name: String) -> Result<Place, Error> {
    let folder = crate::store::Digest::of(name.as_bytes()).hex();
    let file = settings.join("contexts/meta").join(folder).join("meta.json");
    let bad = |why: String| Error::Context { name: name.clone(), why };
    let text = std::fs::read(&file).map_err(|e| bad(format!("{}: {e}", file.display())))?;
    let meta: Meta = serde_json::from_slice(&text).map_err(|e| bad(e.to_string()))?;
    Ok(Place { host: meta.endpoints.docker.host, said_by: "the Docker client's context" })
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
        assert_eq!(with(&[("DOCKER_HOST", "unix:///x")]).unwrap().host, "unix:///x");
        assert_eq!(with(&[("DOCKER_CONTEXT", "default")]).unwrap().host, "unix:///var/run/docker.sock");
        let error = with(&[("DOCKER_CONTEXT", "other")]).unwrap_err();
        assert!(error.to_string().contains("context other"), "{error}");
    }
}
