//! A run on the screen: which one it is, whose, and its clock.

use super::{BuildState, Estimates};
use crate::build::{Event, plan};
use crate::tui::command;
use crate::tui::msg::Build;
use std::path::PathBuf;
use std::time::Duration;

/// The run that the build's screen shows.
#[derive(Debug)]
pub struct Watch {
    /// What comes of runs with other numbers is late.
    pub number: u64,
    pub state: BuildState,
    /// What is built.
    pub build: Build,
    /// This program began it; else it is another's run, or one of earlier.
    pub ours: bool,
    /// It had ended before it was looked at.
    pub past: bool,
    /// The profile's folder of logs, once it is known.
    pub logs: Option<PathBuf>,
    plan: Vec<plan::Row>,
    /// The program's own clock when the run's clock was `at`.
    clock: Option<(Duration, Duration)>,
}

impl Watch {
    pub fn new(number: u64, build: Build, plan: Vec<plan::Row>, size: (u16, u16)) -> Self {
        let mut state = BuildState::new(&build.profile, &plan, Estimates::default());
        state.resize(size);
        Self { number, state, build, ours: false, past: false, logs: None, plan, clock: None }
    }

    /// The command that does the same.
    pub fn command(&self) -> String {
        command::of(&self.build)
    }

    /// What earlier runs say of the time, which is known only when nothing has happened yet.
    pub fn expect(&mut self, estimates: Estimates) {
        if self.state.run.is_none() {
            // A person may have asked it to stop already.
            let (size, cancelling) = (self.state.size, self.state.cancelling);
            self.state = BuildState::new(&self.state.profile, &self.plan, estimates);
            self.state.resize(size);
            self.state.cancelling = cancelling;
        }
    }

    /// The run began this long ago.
    pub fn begun(&mut self, now: Duration, ago: Duration) {
        self.clock = Some((now, ago));
    }

    /// Takes what the run has told, each with the run's own time.
    pub fn take(&mut self, events: &[(Duration, Event)], now: Duration) {
        for (at, event) in events {
            self.state.take(event, *at);
        }
        // The run's clock is never behind what it has told already.
        if let Some((at, _)) = events.last()
            && self.clock.is_none_or(|(then, clock)| clock + now.saturating_sub(then) < *at)
        {
            self.clock = Some((now, *at));
        }
    }

    /// Tells the time; it stands still where nothing goes on.
    pub fn tick(&mut self, now: Duration) {
        if let Some((then, clock)) = self.clock.filter(|_| self.moving()) {
            self.state.tick(clock + now.saturating_sub(then));
        }
    }

    /// Whether the screen changes without a key.
    pub fn moving(&self) -> bool {
        self.state.running() && !self.past
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Stage;

    #[test]
    fn the_clock_of_a_run_that_was_joined_late_goes_on_from_where_the_run_is() {
        let seconds = Duration::from_secs;
        let mut watch = Watch::new(1, Build::of("lab"), Vec::new(), (80, 24));
        watch.begun(seconds(5), seconds(100));
        let begin = Event::RunStarted { run: "r".into(), profile: "lab".into(), logs: "/l".into() };
        let stage = Event::StageStarted { stage: Stage::Components };
        watch.take(&[(seconds(0), begin), (seconds(1), stage)], seconds(6));
        watch.tick(seconds(10));
        assert_eq!(watch.state.elapsed(), 105.0);
        let late = Event::StageStarted { stage: Stage::Kernel };
        watch.take(&[(seconds(120), late)], seconds(11));
        watch.tick(seconds(12));
        assert_eq!(watch.state.elapsed(), 121.0, "the run's own time is what counts");
    }
}
