//! The containers that lie in the image: `/containers/{onboot,onshutdown,services}/<name>`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::runtime::Runtime;

/// Annotation in `config.json` that says when a service is started again.
pub const RESTART: &str = "org.hookos.restart";

/// When a service that ended is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Restart {
    /// However it ended. The default: LinuxKit's services are meant to stay.
    #[default]
    Always,
    /// Unless it ended with exit code 0.
    OnFailure,
    /// Never.
    No,
}

impl Restart {
    /// The annotation's value; an unknown one is an error that names the three.
    pub fn parse(value: &str) -> Result<Self, String> {
        match value {
            "always" => Ok(Self::Always),
            "on-failure" => Ok(Self::OnFailure),
            "no" => Ok(Self::No),
            other => {
                Err(format!("the annotation {RESTART} is `{other}`; it can be always, on-failure or no"))
            }
        }
    }
}

/// What PID 1 itself needs to know of a bundle.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    pub runtime: Runtime,
    pub restart: Restart,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    annotations: Option<std::collections::BTreeMap<String, String>>,
}

impl Bundle {
    /// Reads config.json (its annotations) and runtime.json.
    pub fn read(folder: &Path) -> Result<Self, String> {
        let path = folder.join("config.json");
        let bytes = std::fs::read(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        let config: Config =
            serde_json::from_slice(&bytes).map_err(|e| format!("{}: {e}", path.display()))?;
        let restart = match config.annotations.unwrap_or_default().get(RESTART) {
            Some(value) => Restart::parse(value).map_err(|e| format!("{}: {e}", path.display()))?,
            None => Restart::default(),
        };
        Ok(Self { runtime: Runtime::read(folder)?, restart })
    }
}

/// The folders below `folder`, sorted by name; a missing folder has none.
pub fn list(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries.map(|e| e.path()).filter(|p| p.is_dir()).collect();
    found.sort();
    found
}

/// The last part of a bundle's path, which is also its container's id.
pub fn name(folder: &Path) -> String {
    folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations() {
        let dir = tempfile::tempdir().unwrap();
        let write = |text: &str| std::fs::write(dir.path().join("config.json"), text).unwrap();
        assert!(Bundle::read(dir.path()).unwrap_err().contains("config.json"));
        write("{}");
        assert_eq!(Bundle::read(dir.path()).unwrap().restart, Restart::Always);
        write(r#"{"annotations":{"org.hookos.restart":"on-failure"}}"#);
        assert_eq!(Bundle::read(dir.path()).unwrap().restart, Restart::OnFailure);
        write(r#"{"annotations":{"org.hookos.restart":"sometimes"}}"#);
        assert!(Bundle::read(dir.path()).unwrap_err().contains("always, on-failure or no"));
        write(r#"{"annotations":null}"#);
        assert!(Bundle::read(dir.path()).is_ok());
    }

    #[test]
    fn bundles_are_listed_by_name() {
        let dir = tempfile::tempdir().unwrap();
        for d in ["010-b", "000-a", "002-c"] {
            std::fs::create_dir(dir.path().join(d)).unwrap();
        }
        std::fs::write(dir.path().join("001-file"), "").unwrap();
        let names: Vec<String> = list(dir.path()).iter().map(|p| name(p)).collect();
        assert_eq!(names, ["000-a", "002-c", "010-b"]);
        assert!(list(&dir.path().join("missing")).is_empty());
    }
}
