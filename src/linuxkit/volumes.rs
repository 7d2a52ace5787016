//! Volumes named in the YAML's binds and mounts.

use super::definition::{Container, Definition, Volume};
use crate::problem::Result;
use std::collections::BTreeMap;

/// The volumes of a definition, by name.
pub struct Volumes<'a>(BTreeMap<&'a str, &'a Volume>);

impl<'a> Volumes<'a> {
    pub fn of(definition: &'a Definition) -> Self {
        Self(definition.volumes.iter().map(|volume| (volume.name.as_str(), volume)).collect())
    }

    /// The container with every volume name in its `binds`, `binds.add` and `mounts` turned into the
    /// volume's path on the machine. (LinuxKit checks the names in `mounts`, and leaves them.)
    pub fn resolve(&self, container: &Container) -> Result<Container> {
        let mut out = container.clone();
        for (key, list) in [("binds", &mut out.options.binds), ("binds.add", &mut out.options.binds_add)] {
            for (i, bind) in list.iter_mut().flatten().enumerate() {
                let (source, rest) = bind.split_once(':').unwrap_or((bind.as_str(), ""));
                if source.starts_with('/') || rest.is_empty() {
                    continue;
                }
                let readonly = bind.split(':').nth(2) == Some("ro");
                let path = self.path(container, &format!("{key}[{i}]"), source, readonly)?;
                *bind = format!("{path}:{rest}");
            }
        }
        for (i, mount) in out.options.mounts.iter_mut().flatten().enumerate() {
            if mount.kind != "bind" || mount.source.is_empty() || mount.source.starts_with('/') {
                continue;
            }
            let readonly = mount.options.iter().any(|option| option == "ro");
            mount.source = self.path(container, &format!("mounts[{i}]"), &mount.source, readonly)?;
        }
        Ok(out)
    }

    fn path(&self, container: &Container, key: &str, name: &str, readonly: bool) -> Result<String> {
        let Some(volume) = self.0.get(name) else {
            let known: Vec<&str> = self.0.keys().copied().collect();
            let problem = container
                .origin
                .problem(key, format!("volume {name} not found, needed by the container {}", container.name));
            return Err(if known.is_empty() {
                problem.remedy("a source without a leading `/` names a volume, and no volume is declared")
            } else {
                problem.remedy(format!("declared volumes: {}", known.join(", ")))
            });
        };
        if volume.readonly && !readonly {
            return Err(container
                .origin
                .problem(
                    key,
                    format!("the volume {name} is read-only, and {} mounts it for writing", container.name),
                )
                .remedy("add `ro` as the only option: volume:/path:ro"));
        }
        Ok(format!("/containers/volumes/{name}/merged"))
    }
}
