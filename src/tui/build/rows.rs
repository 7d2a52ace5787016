//! One piece of work: a stage, or one item of it.

use super::pace::{Progress, Rate};
use crate::build::Outcome;
use crate::tui::log::Source;
use crate::tui::theme::{Role, Theme};
use std::time::Duration;

/// Work that says nothing for this long is said to be silent.
pub const QUIET: Duration = Duration::from_secs(15);

/// How far a piece of work has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Waiting,
    /// Its result was in the store when the build was planned.
    Reusable,
    Running,
    Done,
    /// Its result was in the store.
    Reused,
    Failed,
    Cancelled,
    /// The build ended before it began.
    NotBegun,
}

impl State {
    pub fn word(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Reusable => "reuse",
            Self::Running => "running",
            Self::Done => "done",
            Self::Reused => "reused",
            Self::Failed => "FAILED",
            Self::Cancelled => "cancelled",
            Self::NotBegun => "not begun",
        }
    }

    pub fn role(self) -> Role {
        match self {
            Self::Waiting | Self::Reusable | Self::NotBegun => Role::Muted,
            Self::Running => Role::Accent,
            Self::Done | Self::Reused => Role::Ok,
            Self::Failed => Role::Error,
            Self::Cancelled => Role::Warn,
        }
    }

    pub fn begun(self) -> bool {
        !matches!(self, Self::Waiting | Self::Reusable | Self::NotBegun)
    }

    pub fn finished(self) -> bool {
        self.begun() && self != Self::Running
    }

    pub fn good(self) -> bool {
        matches!(self, Self::Done | Self::Reused)
    }
}

#[derive(Debug)]
pub struct Row {
    /// The item's name; the stage's for a stage.
    pub name: String,
    pub state: State,
    pub progress: Option<Progress>,
    pub rate: Rate,
    pub started: Option<Duration>,
    /// How long it took.
    pub seconds: Option<f64>,
    /// When it was heard of last.
    pub heard: Duration,
    /// Seconds of an earlier run.
    pub expected: Option<f64>,
    pub source: Source,
}

impl Row {
    pub fn new(name: &str, source: Source, reusable: bool, expected: Option<f64>) -> Self {
        Self {
            name: name.to_owned(),
            state: if reusable { State::Reusable } else { State::Waiting },
            progress: None,
            rate: Rate::default(),
            started: None,
            seconds: None,
            heard: Duration::ZERO,
            expected,
            source,
        }
    }

    pub(super) fn start(&mut self, now: Duration) {
        self.state = State::Running;
        self.started = Some(now);
        self.heard = now;
    }

    pub(super) fn finish(&mut self, outcome: Outcome, seconds: f64) {
        self.seconds = Some(seconds);
        self.state = match outcome {
            Outcome::Ok if self.state == State::Reused => State::Reused,
            Outcome::Ok => State::Done,
            Outcome::Failed => State::Failed,
            Outcome::Cancelled => State::Cancelled,
        };
    }

    /// Seconds that it took, or takes already.
    pub fn elapsed(&self, now: Duration) -> Option<f64> {
        self.seconds.or_else(|| Some(now.saturating_sub(self.started?).as_secs_f64()))
    }

    /// For how many seconds it has said nothing, if that is long.
    pub fn silent(&self, now: Duration) -> Option<u64> {
        let since = now.saturating_sub(self.heard);
        (self.state == State::Running && since >= QUIET).then_some(since.as_secs())
    }

    /// Between 0 and 1, where it can be told.
    pub fn fraction(&self) -> Option<f64> {
        if self.state.finished() { Some(1.0) } else { self.progress.and_then(|p| p.fraction()) }
    }

    /// The sign before the name. It turns only where nothing better is known.
    pub fn glyph(&self, theme: &Theme, tick: u64) -> &'static str {
        let glyphs = theme.glyphs;
        match self.state {
            State::Waiting | State::NotBegun => glyphs.wait(),
            State::Reusable | State::Reused => glyphs.cached(),
            State::Running if self.fraction().is_some() => glyphs.arrow(),
            State::Running => glyphs.run(tick),
            State::Done => glyphs.ok(),
            State::Failed => glyphs.fail(),
            State::Cancelled => glyphs.warn(),
        }
    }
}
