//! What happens during a build, as data. Every face (plain lines, bars, JSON) renders these.

use crate::problem::Problem;
use crate::progress::Unit;
use crate::store::Digest;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;

/// One step of a build, by the names that people know from HookOS's make targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    Configure,
    Certs,
    Components,
    Kernel,
    Binaries,
    Package,
}

impl Stage {
    pub const ALL: [Self; 6] =
        [Self::Configure, Self::Certs, Self::Components, Self::Kernel, Self::Binaries, Self::Package];

    pub fn name(self) -> &'static str {
        match self {
            Self::Configure => "configure",
            Self::Certs => "certs",
            Self::Components => "components",
            Self::Kernel => "kernel",
            Self::Binaries => "binaries",
            Self::Package => "package",
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a stage or a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    Ok,
    Failed,
    Cancelled,
}

/// One event. `item` names a part of a stage (a component, a segment); none is the stage itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    RunStarted {
        run: String,
        profile: String,
        logs: PathBuf,
    },
    StageStarted {
        stage: Stage,
    },
    /// Work on an item has begun.
    ItemStarted {
        stage: Stage,
        item: String,
    },
    Progress {
        stage: Stage,
        item: Option<String>,
        done: u64,
        total: u64,
        unit: Unit,
    },
    Log {
        stage: Stage,
        item: Option<String>,
        line: String,
    },
    /// What a person has to know although the work goes on. Raw output of tools is no warning of ours.
    Warning {
        stage: Stage,
        item: Option<String>,
        text: String,
    },
    /// The item's result was in the store: nothing was done.
    Cached {
        stage: Stage,
        item: String,
    },
    ItemFinished {
        stage: Stage,
        item: String,
        outcome: Outcome,
        seconds: f64,
    },
    StageFinished {
        stage: Stage,
        outcome: Outcome,
        seconds: f64,
    },
    Artifact {
        path: PathBuf,
        bytes: u64,
        sha256: Digest,
    },
    /// Why the run did not succeed; comes right before its end.
    Problem(Problem),
    RunFinished {
        outcome: Outcome,
        seconds: f64,
    },
}
