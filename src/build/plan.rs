//! What a build would do, as data: `--dry-run` prints it.

use super::event::Stage;
use super::image::{KERNEL, Request, hindrance, names};
use super::manifest;
use crate::component;
use crate::kernel::image::Built;
use crate::oci::Image;
use crate::problem::{Problem, Result};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Whether a piece of work is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Its result is in the store.
    Cached,
    Todo,
    /// It is made each time: it costs next to nothing.
    Always,
}

/// One piece of work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub stage: Stage,
    pub item: String,
    pub state: State,
    /// What decides it, 64 hex digits; none while something before it is still to be made.
    pub key: Option<String>,
    /// Why it cannot be done on this machine.
    pub lacks: Option<Problem>,
}

/// A file that a build leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    pub path: PathBuf,
    /// Its size in the image that is there now; none before the first build.
    pub bytes: Option<u64>,
}

/// What a build would do and leave, and how much room that takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Forecast {
    pub work: Vec<Row>,
    pub files: Vec<Expected>,
}

impl Forecast {
    /// Bytes of all files, if they are known.
    pub fn bytes(&self) -> Option<u64> {
        self.files.iter().map(|file| file.bytes).sum()
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Cached => "from the store",
            State::Todo => "to do",
            State::Always => "each time",
        };
        // The first digits of the key tell two plans apart; --json has all of them.
        let key = self.key.as_deref().map_or("", |key| key.get(..12).unwrap_or(key));
        let line = format!("{:<12} {:<28} {state:<15} {key}", self.stage.name(), self.item);
        f.write_str(line.trim_end())?;
        match &self.lacks {
            Some(problem) => write!(f, " and cannot be done here: {}", problem.what()),
            None => Ok(()),
        }
    }
}

impl Request<'_> {
    /// The kernel of a build, if the store has it.
    pub fn kernel_here(&self) -> Option<Built> {
        self.find_kernel().1
    }

    /// What a build would do and leave. Makes nothing, and asks nobody but the Docker engine, if a component
    /// needs one.
    pub fn forecast(&self) -> Result<Forecast> {
        let sizes = manifest::sizes(self.out);
        let expected =
            |name: String| Expected { bytes: sizes.get(&name).copied(), path: self.out.join(name) };
        let files = self.artifact_names().into_iter().map(expected).collect();
        Ok(Forecast { work: self.dry_run()?, files })
    }

    /// Every piece of work of a build and whether it is needed. As [`Request::forecast`].
    pub fn dry_run(&self) -> Result<Vec<Row>> {
        let (definition, components) = self.selection()?;
        let mut rows = Vec::new();
        let mut images: BTreeMap<String, Image> = BTreeMap::new();
        let mut row = |stage, item: &str, found: Option<(String, Option<(&str, Image)>)>, lacks| {
            let state = if found.is_some() { State::Cached } else { State::Todo };
            let key = found.map(|(key, image)| {
                if let Some((name, image)) = image {
                    images.insert(name.to_owned(), image);
                }
                key
            });
            rows.push(Row { stage, item: item.to_owned(), state, key, lacks });
        };
        let context = self.context()?;
        let names = names(&definition, &components);
        for name in &names {
            let (found, lacks) = match components.get(name) {
                Some(definition) => match component::find(&context, definition)? {
                    None => (None, hindrance(definition)),
                    found => (found, None),
                },
                None => (None, None),
            };
            let found = found.map(|built| (built.key, Some((name.as_str(), built.image))));
            row(Stage::Components, name, found, lacks);
        }
        let (name, kernel) = self.find_kernel();
        row(Stage::Kernel, &name, kernel.map(|built| (built.key, Some((KERNEL, built.image)))), None);

        if images.len() > names.len() {
            let plan = self.plan(&definition, &components, &images)?;
            for (name, key, there) in self.assembly(&plan, &images).state()? {
                let state = if there { State::Cached } else { State::Todo };
                rows.push(Row { stage: Stage::Binaries, item: name, state, key: Some(key), lacks: None });
            }
        } else {
            let item = "segments (known once the above are made)".to_owned();
            rows.push(Row { stage: Stage::Binaries, item, state: State::Todo, key: None, lacks: None });
        }
        for item in ["site segment", "initramfs and archive", "SBOM and manifest"] {
            let (stage, item, state) = (Stage::Package, item.to_owned(), State::Always);
            rows.push(Row { stage, item, state, key: None, lacks: None });
        }
        Ok(rows)
    }
}
