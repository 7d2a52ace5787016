//! Going away from a build: what is asked while it runs, and what stays on the main screen afterwards.

use super::action::BuildEffect;
use super::rows::State;
use super::state::BuildState;
use crate::build::Outcome;
use crate::tui::log::clean::clean;
use crate::words::{size, time};

/// Lines that the main screen keeps at most.
pub const SUMMARY: usize = 20;

/// What a person wants of a build that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LeaveChoice {
    Stay,
    KeepRunning,
    Cancel,
}

/// The question before leaving. The first choice is the one that changes nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaving {
    pub title: String,
    pub text: Vec<String>,
    pub choices: Vec<(&'static str, LeaveChoice)>,
}

impl BuildState {
    /// What is to be asked before leaving; none when nothing runs, so that it happens at once.
    pub fn leaving(&self) -> Option<Leaving> {
        if !self.running() {
            return None;
        }
        let running = self.at_work();
        let what = if running.is_empty() {
            "It has just begun.".to_owned()
        } else {
            format!("At work: {}.", running.join(", "))
        };
        let mut text = vec![what];
        if let Some(left) = self.left() {
            text.push(format!("By earlier runs it takes {} more.", crate::words::about(left)));
        }
        text.push("What is finished stays in the store either way.".to_owned());
        Some(Leaving {
            title: format!("The build of {} is running", self.profile),
            text,
            choices: vec![
                ("Stay and watch", LeaveChoice::Stay),
                ("Leave; keep building in the background", LeaveChoice::KeepRunning),
                ("Leave; cancel the build and clean up", LeaveChoice::Cancel),
            ],
        })
    }

    /// What a choice makes happen. Leaving itself is up to the caller.
    pub fn answer(&mut self, choice: LeaveChoice) -> Option<BuildEffect> {
        match choice {
            LeaveChoice::Stay => None,
            _ if !self.running() => None,
            LeaveChoice::KeepRunning => Some(BuildEffect::Detach),
            LeaveChoice::Cancel => {
                self.cancelling = true;
                Some(BuildEffect::Cancel)
            }
        }
    }

    /// The names of what runs now: `components (caddy, hook-docker)`.
    pub fn at_work(&self) -> Vec<String> {
        let running = self.stages.iter().filter(|stage| stage.row.state == State::Running);
        let name = |stage: &super::state::StageRows| {
            let items: Vec<&str> =
                stage.items.iter().filter(|i| i.state == State::Running).map(|i| i.name.as_str()).collect();
            match items.len() {
                0 => stage.stage.to_string(),
                1..=4 => format!("{} ({})", stage.stage, items.join(", ")),
                n => format!("{} ({} and {} more)", stage.stage, items[..3].join(", "), n - 3),
            }
        };
        running.map(name).collect()
    }

    /// What the main screen keeps, at most [`SUMMARY`] lines: how it ended, why, where the files and the
    /// logs are, and the command that does the same.
    pub fn summary(&self, command: &str) -> Vec<String> {
        let profile = &self.profile;
        let mut lines = Vec::new();
        let mut last: Vec<String> = Vec::new();
        match self.end {
            None if self.cancelling => lines.push(format!("The build of {profile} is being cancelled.")),
            None => {
                lines.push(format!("The build of {profile} goes on in the background."));
                lines.push("`hookos` shows it again.".to_owned());
            }
            Some(end) => {
                let took = time(end.seconds);
                match end.outcome {
                    Outcome::Ok => {
                        lines.push(format!("{profile} is built, in {took}."));
                        lines.extend(self.artifacts.iter().map(|artifact| {
                            format!("  {}  {}", artifact.path.display(), size(artifact.bytes))
                        }));
                    }
                    Outcome::Cancelled => lines.push(format!(
                        "The build of {profile} was cancelled after {took}; what was finished stays in the store."
                    )),
                    Outcome::Failed => {
                        lines.push(format!("The build of {profile} failed after {took}."));
                        lines.extend(self.failure_text().into_iter().map(|(_, line)| format!("  {line}")));
                        last = self.last_lines(5).into_iter().map(|line| format!("  | {line}")).collect();
                    }
                }
            }
        }
        let mut end = Vec::new();
        if let Some(logs) = &self.logs {
            end.push(format!("Logs: {}", logs.display()));
        }
        if !command.is_empty() {
            end.push(format!("As a command: {command}"));
        }
        // What comes first and last counts most; quoted lines give way.
        let room = SUMMARY.saturating_sub(end.len());
        lines.truncate(room);
        let quoted = last.len().min(room - lines.len());
        lines.extend(last.split_off(last.len() - quoted));
        lines.extend(end);
        lines.into_iter().map(|line| clean(line.as_bytes()).text).collect()
    }
}
