//! How a run's events look: plain lines, bars on a terminal, or JSON lines.

mod bars;
mod json;
pub mod plain;
mod short;

use crate::build::Event;
use crate::problem::{Problem, Result};
use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

pub use short::Short;

/// Which face shows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// A line for each thing that happens, for pipes and logs.
    Plain,
    /// A bar for each component, for terminals.
    Bars,
    /// One JSON object a line.
    Json,
}

impl Face {
    /// Bars if standard error is a terminal that can move its cursor, else plain lines.
    pub fn choose(json: bool, plain: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if json {
            Self::Json
        } else if plain || dumb || !std::io::stderr().is_terminal() {
            Self::Plain
        } else {
            Self::Bars
        }
    }

    /// Starts to show events. Wait for the handle after the last sender is gone.
    pub fn show(self) -> Result<(SyncSender<Event>, JoinHandle<()>)> {
        let (sender, receiver) = sync_channel(1024);
        let work = move || match self {
            Self::Plain => plain::show(receiver),
            Self::Bars => bars::show(receiver),
            Self::Json => json::show(receiver),
        };
        let handle = std::thread::Builder::new()
            .name("face".to_owned())
            .spawn(work)
            .map_err(|e| Problem::new("cannot start a thread").because(e))?;
        Ok((sender, handle))
    }
}

/// Feeds every event to `each` until the run is gone.
fn drain(receiver: Receiver<Event>, mut each: impl FnMut(Event)) {
    for event in receiver {
        each(event);
    }
}
