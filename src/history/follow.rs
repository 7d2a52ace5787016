//! Reads the events of a run while it writes them.

use crate::build::record::{EVENTS, Recorded};
use crate::build::{Event, Outcome};
use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What is found next.
#[derive(Debug, PartialEq)]
pub enum Step {
    /// Each with the time since the run began.
    Events(Vec<(Duration, Event)>),
    /// Nothing more for now.
    Wait,
    /// The run has ended, or its process is gone.
    End,
}

/// A reader of one run's events, from the first.
pub struct Follow {
    logs: PathBuf,
    run: String,
    reader: BufReader<File>,
    /// The beginning of a line whose end is not written yet.
    part: Vec<u8>,
    /// When the last event was.
    at: Duration,
    ended: bool,
}

impl Follow {
    /// At most so many events are given at a time.
    pub const MOST: usize = 4096;

    pub fn open(logs: &Path, run: &str) -> std::io::Result<Self> {
        let file = File::open(logs.join(run).join(EVENTS))?;
        let reader = BufReader::with_capacity(1 << 16, file);
        Ok(Self {
            logs: logs.to_owned(),
            run: run.to_owned(),
            reader,
            part: Vec::new(),
            at: Duration::ZERO,
            ended: false,
        })
    }

    /// Reads on. Does not wait.
    pub fn step(&mut self) -> std::io::Result<Step> {
        if self.ended {
            return Ok(Step::End);
        }
        // Asked before reading: what a process wrote before it went is read after it.
        let alive = super::running(&self.logs).is_some_and(|running| running.run == self.run);
        let mut events = Vec::new();
        while events.len() < Self::MOST {
            self.reader.read_until(b'\n', &mut self.part)?;
            if self.part.last() != Some(&b'\n') {
                break;
            }
            // An event of another version of the program is left out.
            if let Ok(Recorded { at, event }) = serde_json::from_slice(&self.part) {
                self.ended |= matches!(event, Event::RunFinished { .. });
                self.at = Duration::from_millis(at);
                events.push((self.at, event));
            }
            self.part.clear();
        }
        if !events.is_empty() {
            return Ok(Step::Events(events));
        }
        if alive {
            return Ok(Step::Wait);
        }
        self.ended = true;
        // It was killed: nobody wrote how it ended.
        let end = Event::RunFinished { outcome: Outcome::Failed, seconds: self.at.as_secs_f64() };
        Ok(Step::Events(vec![(self.at, end)]))
    }
}
