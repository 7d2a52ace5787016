//! How long work tells that it moves, and learns that it must stop.

use crate::problem::{Problem, Result};

/// What a total counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Bytes,
    Items,
}

/// The listener of one piece of work. Safe to call from many threads, cheap to call often.
pub trait Progress: Sync {
    /// `done` of `total` (0 = not known) so far.
    fn at(&self, done: u64, total: u64, unit: Unit);
    /// One line of output, without its end.
    fn log(&self, line: &str);
    /// Something that a person has to know and that does not stop the work. Stays to be seen.
    fn warn(&self, text: &str);
    /// Whether the work should stop soon; ask often.
    fn cancelled(&self) -> bool;
    /// A problem when the work should stop, for use with `?` between its parts.
    fn check(&self) -> Result<()> {
        if self.cancelled() { Err(Problem::cancelled()) } else { Ok(()) }
    }
}

/// Listens to nothing.
pub struct Silent;

impl Progress for Silent {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        false
    }
}

/// Wants the work to stop, from the beginning.
#[cfg(test)]
pub struct Stopped;

#[cfg(test)]
impl Progress for Stopped {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        true
    }
}
