//! What a run leaves for others to read: its events, as they happen, and how it ended.
//!
//! | file | holds |
//! |---|---|
//! | `out/<profile>/logs/running` | the run that goes on, as JSON; locked as long as it does |
//! | `out/<profile>/logs/<run>/events.jsonl` | every event of a run, a JSON object a line |
//! | `out/<profile>/logs/<run>/settings.json` | the settings that it was begun with; secrets are masked |
//! | `out/<profile>/logs/<run>/run.json` | how it ended, how long its parts took, with which settings |
//! | `out/<profile>/logs/<run>/manifest.json` | the image that it made |
//!
//! [`crate::history`] reads them.

use super::event::{Event, Outcome, Stage};
use crate::problem::{Problem, Result};
use crate::site::ResolvedSite;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{Seek as _, SeekFrom, Write};
use std::path::Path;

/// The name of the lock of a profile's runs, in its folder of logs.
pub const RUNNING: &str = "running";
pub const EVENTS: &str = "events.jsonl";
pub const RECORD: &str = "run.json";
pub const SETTINGS: &str = "settings.json";

/// Who runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub run: String,
    pub pid: u32,
    /// Seconds since 1970.
    pub since: i64,
}

/// An event as it is recorded.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// Milliseconds since the run began.
    pub at: u64,
    #[serde(flatten)]
    pub event: Event,
}

/// How long a part of a build took.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Took {
    pub stage: Stage,
    /// None: the stage itself.
    pub item: Option<String>,
    pub seconds: f64,
    /// Its result was in the store, so this says nothing of how long it takes to make.
    pub cached: bool,
}

/// A run that has ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    pub run: String,
    pub profile: String,
    pub outcome: Outcome,
    /// When it ended, in seconds since 1970.
    pub ended: i64,
    pub seconds: f64,
    /// The values that it was built with, by `section.key`; secrets are masked.
    pub fields: BTreeMap<String, String>,
    pub took: Vec<Took>,
}

/// The lock of a profile's output folder, held while a run writes there.
#[derive(Debug)]
pub struct RunLock {
    _file: File,
}

impl RunLock {
    /// Takes the lock of `out`, or says who has it.
    pub fn take(logs: &Path, running: &Running) -> Result<Self> {
        let path = logs.join(RUNNING);
        let failed = |e: std::io::Error| Problem::new("the run cannot be recorded").in_file(&path).because(e);
        fs::create_dir_all(logs).map_err(failed)?;
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let who = crate::history::running(logs)
                    .map_or_else(String::new, |r| format!(" (run {}, process {})", r.run, r.pid));
                return Err(Problem::usage(format!("a build into this folder is running already{who}"))
                    .in_file(logs)
                    .remedy("wait for it, watch it with `hookos`, or build elsewhere with --out"));
            }
            Err(TryLockError::Error(e)) => return Err(failed(e)),
        }
        let text = serde_json::to_vec(running).unwrap_or_default();
        file.set_len(0).map_err(failed)?;
        file.seek(SeekFrom::Start(0)).map_err(failed)?;
        file.write_all(&text).map_err(failed)?;
        Ok(Self { _file: file })
    }
}

/// Collects what `run.json` says.
#[derive(Debug, Default)]
pub struct Recorder {
    took: Vec<Took>,
    cached: Vec<(Stage, String)>,
}

impl Recorder {
    pub fn take(&mut self, event: &Event) {
        match event {
            Event::Cached { stage, item } => self.cached.push((*stage, item.clone())),
            Event::ItemFinished { stage, item, outcome: Outcome::Ok, seconds } => {
                let cached = self.cached.iter().any(|(s, i)| s == stage && i == item);
                self.took.push(Took { stage: *stage, item: Some(item.clone()), seconds: *seconds, cached });
            }
            Event::StageFinished { stage, outcome: Outcome::Ok, seconds } => {
                // A stage is as good as cached when nothing in it was made.
                let mut items = self.took.iter().filter(|t| t.stage == *stage).peekable();
                let cached = items.peek().is_some() && items.all(|t| t.cached);
                self.took.push(Took { stage: *stage, item: None, seconds: *seconds, cached });
            }
            _ => {}
        }
    }

    pub fn took(&mut self) -> Vec<Took> {
        std::mem::take(&mut self.took)
    }
}

/// The values of a site for a record: masked as everywhere.
pub fn fields(site: &ResolvedSite) -> BTreeMap<String, String> {
    let shown = |(field, resolved): (&'static crate::site::Field, &crate::site::Resolved)| {
        Some((field.path(), resolved.value.as_ref()?.shown(field.kind)))
    };
    site.iter().filter_map(shown).collect()
}

/// Writes a record, whole or not at all.
pub fn write(folder: &Path, record: &RunRecord) -> std::io::Result<()> {
    write_json(&folder.join(RECORD), record)
}

/// Writes what a run is begun with, for who comes while it goes on or after it was killed.
pub fn write_settings(folder: &Path, fields: &BTreeMap<String, String>) -> std::io::Result<()> {
    write_json(&folder.join(SETTINGS), fields)
}

fn write_json(path: &Path, value: &impl Serialize) -> std::io::Result<()> {
    let text = serde_json::to_vec_pretty(value)?;
    crate::replace::write(path, 0o644, &text)
}
