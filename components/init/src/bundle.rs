//! The containers that lie in the image: `/containers/{onboot,onshutdown,services}/<name>`.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::runtime::Runtime;

/// Annotation in `config.json` that says when a service is started again.
pub const RESTART: &str = "org.hookos.restart";

/// Annotation in `config.json` that says what a container waits for before its first start.
pub const AFTER: &str = "org.hookos.after";

/// What is waited for before a container is started for the first time.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum After {
    /// LinuxKit's order: an onboot container waits for those before it, a service for all of them.
    #[default]
    Order,
    /// These alone: onboot containers have ended, services have been started. None: it starts at once.
    Names(Vec<String>),
}

impl After {
    /// The annotation's value: names with spaces or commas between them, perhaps none.
    pub fn parse(value: &str) -> Self {
        let words = value.split([' ', ',']).filter(|word| !word.is_empty());
        Self::Names(words.map(str::to_owned).collect())
    }
}

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
    pub after: After,
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
        let annotations = config.annotations.unwrap_or_default();
        let restart = match annotations.get(RESTART) {
            Some(value) => Restart::parse(value).map_err(|e| format!("{}: {e}", path.display()))?,
            None => Restart::default(),
        };
        let after = annotations.get(AFTER).map(|value| After::parse(value)).unwrap_or_default();
        Ok(Self { runtime: Runtime::read(folder)?, restart, after })
    }
}

/// The name in the image definition: LinuxKit numbers the folders of steps that run once (`003-udev`).
pub fn plain_name(name: &str) -> &str {
    match name.split_once('-') {
        Some((number, rest)) if number.len() == 3 && number.bytes().all(|b| b.is_ascii_digit()) => rest,
        _ => name,
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
        assert_eq!(Bundle::read(dir.path()).unwrap().after, After::Order);
        write(r#"{"annotations":{"org.hookos.after":""}}"#);
        assert_eq!(Bundle::read(dir.path()).unwrap().after, After::Names(Vec::new()));
        write(r#"{"annotations":{"org.hookos.after":"rng, udev-coldplug"}}"#);
        let names = ["rng", "udev-coldplug"].map(str::to_owned).to_vec();
        assert_eq!(Bundle::read(dir.path()).unwrap().after, After::Names(names));
    }

    #[test]
    fn numbers_of_steps_are_no_part_of_their_names() {
        for (folder, name) in [("003-udev", "udev"), ("ntp", "ntp"), ("3-x", "3-x"), ("abc-x", "abc-x")] {
            assert_eq!(plain_name(folder), name);
        }
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
