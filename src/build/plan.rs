//! What a build would do, as data: `--dry-run` prints it.

use super::event::Stage;
use super::image::{KERNEL, Request, hindrance, names};
use super::manifest;
use crate::component;
use crate::kernel::image::Built;
use crate::oci::Image;
use crate::problem::{Problem, Result};
use crate::site::KernelSource;
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
    /// What the key is made of, as far as it is known: a digest by name.
    pub inputs: BTreeMap<String, String>,
    /// The programs that are run for it if it is to be made.
    pub commands: Vec<String>,
}

impl Row {
    pub fn new(stage: Stage, item: &str, state: State, key: Option<String>) -> Self {
        let (item, lacks) = (item.to_owned(), None);
        Self { stage, item, state, key, lacks, inputs: BTreeMap::new(), commands: Vec::new() }
    }

    /// Inputs and commands, a line each.
    pub fn details(&self) -> Vec<String> {
        let input = |(name, digest): (&String, &String)| {
            // The first digits tell two plans apart; --json has all of them.
            format!("{name} {}", digest.get(..12).unwrap_or(digest))
        };
        let inputs: Vec<String> = self.inputs.iter().map(input).collect();
        let inputs = (!inputs.is_empty()).then(|| format!("made of {}", inputs.join(", ")));
        inputs.into_iter().chain(self.commands.iter().map(|command| format!("runs {command}"))).collect()
    }
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

    /// Whether each of these components can be made here and now. Compiles and fetches nothing.
    pub fn sources(&self, components: &[component::Definition]) -> Result<Vec<component::Sources>> {
        let context = self.context()?;
        Ok(components.iter().map(|definition| component::sources(&context, definition)).collect())
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
            let mut row = Row { lacks, ..Row::new(Stage::Components, name, State::Todo, None) };
            match (found, components.get(name)) {
                (Some(built), _) => {
                    row.state = State::Cached;
                    row.inputs = built
                        .inputs
                        .iter()
                        .map(|i| (format!("{} {}", i.kind, i.name), i.digest.hex()))
                        .collect();
                    row.key = Some(built.key);
                    images.insert(name.clone(), built.image);
                }
                (None, Some(definition)) => {
                    row.inputs = definition.own_files();
                    row.commands = definition.commands();
                }
                (None, None) => row.commands.push(format!("hookos images pull {name}")),
            }
            rows.push(row);
        }
        let (name, kernel) = self.find_kernel();
        let mut row = Row::new(Stage::Kernel, &name, State::Todo, None);
        match kernel {
            Some(built) => {
                row.state = State::Cached;
                row.inputs =
                    built.inputs.iter().map(|input| (input.name.clone(), input.sha256.hex())).collect();
                row.key = Some(built.key);
                images.insert(KERNEL.to_owned(), built.image);
            }
            None => {
                row.lacks = self.kernel_hindrance();
                row.commands.push(match self.site.kernel_source() {
                    KernelSource::Debian => "apt-get, for the packages of the kernel".to_owned(),
                    KernelSource::Source => "kernel/build.sh".to_owned(),
                });
            }
        }
        rows.push(row);

        if images.len() > names.len() {
            let plan = self.plan(&definition, &components, &images)?;
            for (name, key, there, inputs) in self.assembly(&plan, &images).state()? {
                let state = if there { State::Cached } else { State::Todo };
                let inputs = inputs.into_iter().collect();
                rows.push(Row { inputs, ..Row::new(Stage::Binaries, &name, state, Some(key)) });
            }
        } else {
            let item = "segments (known once the above are made)";
            rows.push(Row::new(Stage::Binaries, item, State::Todo, None));
        }
        for item in ["site segment", "initramfs and archive", "SBOM and manifest"] {
            rows.push(Row::new(Stage::Package, item, State::Always, None));
        }
        Ok(rows)
    }
}
