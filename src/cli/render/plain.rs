//! A line for each thing that happens, on standard error; artifacts on standard output.

use crate::build::{Event, Outcome, Stage};
use crate::words::{amount, size, time};
use std::collections::HashMap;
use std::io::Write;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

/// Progress lines of one item come at most this often.
const EVERY: Duration = Duration::from_secs(5);

pub fn show(receiver: Receiver<Event>) {
    let mut lines = Lines::default();
    super::drain(receiver, |event| {
        let Some(line) = lines.line(&event) else { return };
        // Nobody to read it is no reason to stop the build.
        let _ = if matches!(event, Event::Artifact { .. }) {
            writeln!(std::io::stdout(), "{line}")
        } else {
            writeln!(std::io::stderr(), "{line}")
        };
    });
}

/// What events say, line by line.
#[derive(Debug, Default)]
pub struct Lines(HashMap<(Stage, Option<String>), Instant>);

impl Lines {
    /// The text of an event, unless it was said just now how far that work is.
    pub fn line(&mut self, event: &Event) -> Option<String> {
        if let Event::Progress { stage, item, .. } = event {
            let slot = self.0.entry((*stage, item.clone())).or_insert_with(Instant::now);
            if slot.elapsed() < EVERY {
                return None;
            }
            *slot = Instant::now();
        }
        line(event)
    }
}

/// The text of an event; none for what says nothing new to a reader of lines.
pub fn line(event: &Event) -> Option<String> {
    let name = |stage: &Stage, item: &Option<String>| match item {
        Some(item) => format!("{stage}/{item}"),
        None => stage.to_string(),
    };
    Some(match event {
        Event::RunStarted { profile, logs, .. } => format!("building {profile}, logs in {}", logs.display()),
        Event::StageStarted { .. } | Event::ItemStarted { .. } => return None,
        // The program says it itself, last of all.
        Event::Problem(_) => return None,
        Event::Progress { stage, item, done, total, unit } => {
            let of = if *total > 0 { format!(" of {}", amount(*total, *unit)) } else { String::new() };
            format!("{}: {}{of}", name(stage, item), amount(*done, *unit))
        }
        Event::Log { stage, item, line } => format!("{}: {line}", name(stage, item)),
        Event::Warning { stage, item, text } => format!("{}: warning: {text}", name(stage, item)),
        Event::Cached { stage, item } => format!("{stage}/{item}: unchanged, from the store"),
        Event::ItemFinished { stage, item, outcome, seconds: took } => {
            // Cached items have had their line.
            if *outcome == Outcome::Ok && *took < 0.05 {
                return None;
            }
            format!("{stage}/{item}: {} in {}", word(*outcome), time(*took))
        }
        Event::StageFinished { stage, outcome, seconds: took } => {
            format!("{stage}: {} in {}", word(*outcome), time(*took))
        }
        Event::Artifact { path, bytes, sha256 } => {
            format!("{}  {}  {sha256}", path.display(), size(*bytes))
        }
        Event::RunFinished { outcome, seconds: took } => format!("{} in {}", word(*outcome), time(*took)),
    })
}

pub fn word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "done",
        Outcome::Failed => "FAILED",
        Outcome::Cancelled => "cancelled",
    }
}
