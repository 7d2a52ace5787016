//! An image definition: what the YAML files say, before labels are merged in.
//!
//! Field order follows LinuxKit's own structures, because the metadata file prints it.

use super::options::{ContainerOptions, Id};
use super::yaml::Mark;
use crate::problem::{Problem, Result};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The merged content of one or more YAML files.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Definition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelEntry>,
    /// Image references, unpacked at `/` in order.
    pub init: Vec<String>,
    pub onboot: Vec<Container>,
    pub onshutdown: Vec<Container>,
    pub services: Vec<Container>,
    pub files: Vec<FileEntry>,
    pub volumes: Vec<Volume>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct KernelEntry {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cmdline: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub binary: String,
    /// None: the default `kernel.tar`; empty or `none`: no tar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tar: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ucode: Option<String>,
    #[serde(skip)]
    pub origin: Origin,
}

/// An entry of onboot, onshutdown or services.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Container {
    pub name: String,
    pub image: String,
    #[serde(flatten)]
    pub options: ContainerOptions,
    #[serde(skip)]
    pub origin: Origin,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct FileEntry {
    /// As written: with or without a leading `/`.
    pub path: String,
    pub directory: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub symlink: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contents: Option<String>,
    /// Relative paths start at the folder of the YAML file.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub source: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub metadata: String,
    pub optional: bool,
    /// Octal; empty: 0600, 0700 for a directory.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub mode: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uid: Option<Id>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gid: Option<Id>,
    #[serde(skip)]
    pub origin: Origin,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Volume {
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub image: String,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub readonly: bool,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub format: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub platforms: Vec<String>,
    #[serde(skip)]
    pub origin: Origin,
}

/// Where something was written. It says nothing about what was written, so all origins are equal.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    pub(super) file: PathBuf,
    /// By key, such as `binds` or `binds[2]`; the empty key is the whole.
    pub(super) marks: BTreeMap<String, Mark>,
}

impl PartialEq for Origin {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}
impl Eq for Origin {}

impl Origin {
    pub(super) fn at(file: &Path, mark: Mark) -> Self {
        Self { file: file.to_owned(), marks: BTreeMap::from([(String::new(), mark)]) }
    }

    pub fn file(&self) -> &Path {
        &self.file
    }

    /// A problem at `key`, or at the whole where the key was not written here.
    pub(super) fn problem(&self, key: &str, what: impl Into<String>) -> Problem {
        let list = key.split('[').next().unwrap_or("");
        match [key, list, ""].iter().find_map(|key| self.marks.get(*key)) {
            Some(mark) => Problem::usage(what).at(&self.file, mark.line, Some(mark.column)),
            None if self.file.as_os_str().is_empty() => Problem::usage(what),
            None => Problem::usage(what).in_file(&self.file),
        }
    }
}

impl Definition {
    /// Onboot, onshutdown and services, in this order.
    pub fn containers(&self) -> impl Iterator<Item = &Container> {
        self.onboot.iter().chain(&self.onshutdown).chain(&self.services)
    }

    /// Every image that the definition names, as written, each once, in the order of use: kernel,
    /// init, volumes, onboot, onshutdown, services.
    pub fn components_named(&self) -> Vec<&str> {
        let mut seen = BTreeSet::new();
        let kernel = self.kernel.iter().map(|kernel| kernel.image.as_str());
        kernel
            .chain(self.init.iter().map(String::as_str))
            .chain(self.volumes.iter().map(|volume| volume.image.as_str()))
            .chain(self.containers().map(|container| container.image.as_str()))
            .filter(|image| !image.is_empty() && seen.insert(*image))
            .collect()
    }

    /// Adds what a later file says: kernel keys win when set, lists grow.
    pub(super) fn append(&mut self, later: Self) {
        match (&mut self.kernel, later.kernel) {
            (Some(kernel), Some(later)) => kernel.append(later),
            (kernel @ None, later) => *kernel = later,
            (Some(_), None) => {}
        }
        self.init.extend(later.init);
        self.onboot.extend(later.onboot);
        self.onshutdown.extend(later.onshutdown);
        self.services.extend(later.services);
        self.files.extend(later.files);
        self.volumes.extend(later.volumes);
    }

    /// The rules that reach over several entries or files.
    pub(super) fn check(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for service in &self.services {
            if !names.insert(&service.name) {
                return Err(service
                    .origin
                    .problem("name", format!("duplicate service name: {}", service.name))
                    .remedy("services run side by side, so each needs a name of its own"));
            }
        }
        let mut names = BTreeSet::new();
        for volume in &self.volumes {
            if !names.insert(&volume.name) {
                return Err(volume.origin.problem("name", format!("duplicate volume name: {}", volume.name)));
            }
        }
        Ok(())
    }
}

impl KernelEntry {
    fn append(&mut self, later: Self) {
        for (old, new) in [
            (&mut self.image, later.image),
            (&mut self.cmdline, later.cmdline),
            (&mut self.binary, later.binary),
        ] {
            if !new.is_empty() {
                *old = new;
            }
        }
        self.tar = later.tar.or_else(|| self.tar.take());
        self.ucode = later.ucode.or_else(|| self.ucode.take());
        self.origin = later.origin;
    }
}
