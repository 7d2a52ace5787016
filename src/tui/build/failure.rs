//! What is said of a build that has failed, and what doing it again would cost.

use super::rows::State;
use super::state::BuildState;
use crate::build::{Stage, plan};
use crate::problem::Problem;
use crate::tui::log::clean::clean;
use crate::tui::log::{Level, Scope};
use crate::tui::theme::Role;

/// Why the build ended.
#[derive(Debug, Clone)]
pub struct Failure {
    /// None: between two stages.
    pub stage: Option<Stage>,
    pub item: Option<String>,
    /// The run's own words. A build that another process runs has none here.
    pub problem: Option<Problem>,
}

/// What a line about a failure is. What comes later is left out earlier where there is little room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    Place,
    What,
    Remedy,
    Log,
    Cause,
    Retry,
}

impl Part {
    pub fn role(self) -> Role {
        match self {
            Self::Place => Role::Error,
            Self::What | Self::Remedy => Role::Plain,
            Self::Log | Self::Cause => Role::Muted,
            Self::Retry => Role::Info,
        }
    }
}

impl Failure {
    /// `components / hook-docker`
    pub fn place(&self) -> Option<String> {
        let stage = self.stage?;
        Some(match &self.item {
            Some(item) => format!("{stage} / {item}"),
            None => stage.to_string(),
        })
    }
}

/// What a new attempt would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Where there is something to do again.
    pub from: Stage,
    /// Finished pieces whose inputs are as they were.
    pub reused: usize,
    /// Pieces that are still to be made.
    pub todo: usize,
    /// Finished pieces whose inputs have changed since.
    pub changed: Vec<String>,
}

impl Retry {
    /// The offer in words.
    pub fn text(&self) -> Vec<String> {
        let pieces = |n| if n == 1 { "1 piece".to_owned() } else { format!("{n} pieces") };
        let mut lines =
            vec![format!("Retry from {}: {} reused, {} to do.", self.from, pieces(self.reused), self.todo)];
        if !self.changed.is_empty() {
            lines.push(format!("Changed since, so made again: {}.", self.changed.join(", ")));
        }
        lines
    }
}

impl BuildState {
    /// What a retry would do, if there is something to retry. Without a plan it goes by what this run has
    /// finished; a plan knows whether the inputs are still the same.
    pub fn retry(&self) -> Option<Retry> {
        let end = self.end?;
        if end.outcome == crate::build::Outcome::Ok {
            return None;
        }
        let unfinished = self.stages.iter().find(|stage| !stage.row.state.good());
        let from = self.failure.as_ref().and_then(|f| f.stage).or(unfinished.map(|stage| stage.stage))?;
        let mut retry = Retry { from, reused: 0, todo: 0, changed: Vec::new() };
        let finished = |stage: Stage, name: &str| {
            let mut items = self.stages.iter().filter(|s| s.stage == stage).flat_map(|s| &s.items);
            items.any(|item| item.name == name && item.state.good())
        };
        match &self.replanned {
            Some(plan) => {
                for row in plan {
                    match row.state {
                        plan::State::Cached => retry.reused += 1,
                        plan::State::Todo => {
                            retry.todo += 1;
                            if finished(row.stage, &row.item) {
                                retry.changed.push(row.item.clone());
                            }
                        }
                        plan::State::Always => {}
                    }
                }
            }
            None => {
                retry.reused = self.stages.iter().map(|stage| stage.count(State::good)).sum();
                retry.todo = self.stages.iter().map(|stage| stage.count(|state| !state.good())).sum();
            }
        }
        Some(retry)
    }

    /// What another attempt would do, by the inputs of now.
    pub fn replanned(&mut self, plan: Vec<plan::Row>) {
        self.replanned = Some(plan);
    }

    /// The state of the next attempt: what was finished is expected to be reused, what took time is
    /// expected to take it again, and the view stays as it is.
    #[must_use]
    pub fn again(&self) -> Self {
        let plan = self.replanned.as_deref().unwrap_or_default();
        let mut estimates = self.estimates.clone();
        for stage in self.stages.iter() {
            for item in stage.items.iter().filter(|item| item.state == State::Done) {
                if let Some(seconds) = item.seconds {
                    estimates.set(stage.stage, Some(&item.name), seconds);
                }
            }
        }
        let mut next = Self::new(&self.profile, plan, estimates);
        if plan.is_empty() {
            for old in &self.stages {
                for item in old.items.iter().filter(|item| item.state.good()) {
                    next.expect_reuse(old.stage, &item.name);
                }
            }
        }
        next.now = self.now;
        next.resize(self.size);
        next
    }

    /// What is to be said of the failure, line by line.
    pub fn failure_text(&self) -> Vec<(Part, String)> {
        let Some(failure) = &self.failure else { return Vec::new() };
        let row = failure.stage.and_then(|stage| {
            let stage = self.stages.get(stage as usize)?;
            let item = failure.item.as_ref().and_then(|name| stage.items.iter().find(|i| i.name == *name));
            Some(item.unwrap_or(&stage.row))
        });
        let place = failure.place().unwrap_or_else(|| "The build".to_owned());
        let took = row.and_then(|row| row.seconds).map(|s| format!(" after {}", crate::words::time(s)));
        let code = failure.problem.as_ref().map(|p| format!(", exit code {}", p.exit() as i32));
        let (took, code) = (took.unwrap_or_default(), code.unwrap_or_default());
        let mut lines = vec![(Part::Place, format!("{place} failed{took}{code}"))];
        match &failure.problem {
            Some(problem) => {
                let place = problem.place().map_or(String::new(), |place| format!("{place}: "));
                lines.extend(split(Part::What, &format!("{place}{}", problem.what())));
                for cause in problem.causes() {
                    lines.extend(split(Part::Cause, &format!("because: {}", cause.trim_end())));
                }
                if let Some(remedy) = problem.remedy_text() {
                    lines.extend(split(Part::Remedy, &format!("Try: {remedy}")));
                }
            }
            None => lines.extend(self.blame().map(|line| (Part::What, line))),
        }
        if let Some(path) = failure.stage.and_then(|stage| self.log_file(stage)) {
            lines.push((Part::Log, format!("Log: {}", path.display())));
        }
        let retry = self.retry().map_or(Vec::new(), |retry| retry.text());
        lines.extend(retry.into_iter().map(|line| (Part::Retry, line)));
        lines
    }

    /// The last line of the failed work that calls itself an error, else its last line.
    fn blame(&self) -> Option<String> {
        let failure = self.failure.as_ref()?;
        let scope = Scope::Group(failure.stage? as u8);
        let lines = self.log.lines(scope);
        let line = |at: usize| lines.get(at).and_then(|seq| self.log.get(seq));
        let recent = (lines.len().saturating_sub(1000)..lines.len()).rev();
        let bad = recent.clone().filter_map(line).find(|line| line.level == Level::Error);
        bad.or_else(|| recent.filter_map(line).next()).map(|line| line.text.to_string())
    }

    /// The last lines of the work that failed, or of the stage at work.
    pub fn last_lines(&self, most: usize) -> Vec<&str> {
        let stage = self.failure.as_ref().and_then(|f| f.stage).unwrap_or(self.pick.stage);
        let item = self.failure.as_ref().and_then(|f| f.item.as_ref());
        let rows = self.stages.get(stage as usize);
        let source = rows.and_then(|s| s.items.iter().find(|i| Some(&i.name) == item)).map(|i| i.source);
        let scope = source.map_or(Scope::Group(stage as u8), Scope::Source);
        let lines = self.log.lines(scope);
        let from = lines.len().saturating_sub(most);
        (from..lines.len()).filter_map(|at| self.log.get(lines.get(at)?)).map(|line| &*line.text).collect()
    }
}

fn split(part: Part, text: &str) -> Vec<(Part, String)> {
    // Problems quote what programs print.
    text.lines().map(|line| (part, clean(line.as_bytes()).text)).collect()
}
