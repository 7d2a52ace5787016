//! What is known of a run. Its events change it, and nothing else; keys change only what is looked at.

use super::action::Typing;
use super::failure::Failure;
use super::list::Pick;
use super::pace::{Estimates, Progress};
use super::rows::{Row, State};
use crate::build::{Event, Outcome, Stage, plan};
use crate::problem::{Exit, Problem};
use crate::store::Digest;
use crate::tui::log::{LogBuffer, Pane, Scope, Source};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

/// A file that the build has made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: Digest,
}

/// A stage with its items.
#[derive(Debug)]
pub struct StageRows {
    pub stage: Stage,
    pub row: Row,
    pub items: Vec<Row>,
    names: HashMap<String, usize>,
}

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct End {
    pub outcome: Outcome,
    pub seconds: f64,
}

#[derive(Debug)]
pub struct BuildState {
    pub profile: String,
    pub run: Option<String>,
    /// The folder of the run's logs.
    pub logs: Option<PathBuf>,
    pub(super) stages: Vec<StageRows>,
    pub(super) estimates: Estimates,
    pub log: LogBuffer,
    pub(super) panes: BTreeMap<Scope, Pane>,
    pub(super) pick: Pick,
    /// A person has chosen the row; else it goes with the build.
    pub(super) chosen: bool,
    /// The log has the whole screen.
    pub(super) zoom: bool,
    /// Stages whose items a person wants to see, or not.
    pub(super) open: BTreeMap<Stage, bool>,
    pub(super) typing: Option<Typing>,
    pub(super) now: Duration,
    pub(super) started: Option<Duration>,
    pub(super) end: Option<End>,
    pub(super) cancelling: bool,
    pub(super) failure: Option<Failure>,
    pub artifacts: Vec<Artifact>,
    /// The furthest that the whole was: a bar never goes back.
    far: f64,
    pub(super) size: (u16, u16),
    /// What another attempt would do, once that is known.
    pub(super) replanned: Option<Vec<plan::Row>>,
    /// What the last key has to say.
    pub notice: Option<String>,
}

impl BuildState {
    /// A build that is about to start. `plan` says what there will be to do; without one (a build that
    /// another process runs) rows come as the work does.
    pub fn new(profile: &str, plan: &[plan::Row], estimates: Estimates) -> Self {
        let mut log = LogBuffer::default();
        let stages = Stage::ALL.map(|stage| {
            let expected = estimates.get(stage, None);
            let row = Row::new(stage.name(), log.source(stage as u8, ""), false, expected);
            StageRows { stage, row, items: Vec::new(), names: HashMap::new() }
        });
        let mut state = Self {
            profile: profile.to_owned(),
            run: None,
            logs: None,
            stages: stages.into(),
            estimates,
            log,
            panes: BTreeMap::new(),
            pick: Pick { stage: Stage::Configure, item: None },
            chosen: false,
            zoom: false,
            open: BTreeMap::new(),
            typing: None,
            now: Duration::ZERO,
            started: None,
            end: None,
            cancelling: false,
            failure: None,
            artifacts: Vec::new(),
            far: 0.0,
            size: (80, 22),
            replanned: None,
            notice: None,
        };
        for row in plan {
            // What is made each time is too small for a row of its own, and segments that are not planned
            // yet have no names.
            let vague = row.stage == Stage::Binaries && row.key.is_none();
            if row.state != plan::State::Always && !vague {
                state.item(row.stage, &row.item);
                if row.state == plan::State::Cached {
                    state.expect_reuse(row.stage, &row.item);
                }
            }
        }
        state.look();
        state
    }

    /// Takes one event of the run.
    pub fn take(&mut self, event: &Event, now: Duration) {
        self.tick(now);
        match event {
            Event::RunStarted { run, profile, logs } => {
                self.profile.clone_from(profile);
                self.run = Some(run.clone());
                self.logs = Some(logs.clone());
                self.started = Some(now);
            }
            Event::StageStarted { stage } => {
                if let Some(stage) = self.stage_mut(*stage) {
                    stage.row.start(now);
                }
                if !self.chosen {
                    self.pick = Pick { stage: *stage, item: None };
                    self.look();
                }
            }
            Event::ItemStarted { stage, item } => {
                self.hear(*stage, Some(item)).start(now);
            }
            Event::Progress { stage, item, done, total, unit } => {
                let row = self.hear(*stage, item.as_deref());
                row.progress = Some(Progress { done: *done, total: *total, unit: *unit });
                row.rate.at(now, *done);
            }
            Event::Log { stage, item, line } => self.tell(*stage, item.as_deref(), line),
            Event::Warning { stage, item, text } => {
                self.tell(*stage, item.as_deref(), &format!("warning: {text}"));
            }
            Event::Cached { stage, item } => self.hear(*stage, Some(item)).state = State::Reused,
            Event::ItemFinished { stage, item, outcome, seconds } => {
                self.hear(*stage, Some(item)).finish(*outcome, *seconds);
                if *outcome == Outcome::Failed {
                    self.failed(Some(*stage), Some(item));
                }
            }
            Event::StageFinished { stage, outcome, seconds } => {
                self.hear(*stage, None).finish(*outcome, *seconds);
                if *outcome == Outcome::Failed {
                    self.failed(Some(*stage), None);
                }
            }
            Event::Artifact { path, bytes, sha256 } => {
                self.artifacts.push(Artifact { path: path.clone(), bytes: *bytes, sha256: *sha256 });
            }
            Event::Problem(problem) => self.explain(problem.clone()),
            Event::RunFinished { outcome, seconds } => self.finish(*outcome, *seconds),
        }
        self.far = self.far.max(self.reached());
    }

    /// Tells the time.
    pub fn tick(&mut self, now: Duration) {
        self.now = self.now.max(now);
    }

    fn finish(&mut self, outcome: Outcome, seconds: f64) {
        self.end = Some(End { outcome, seconds });
        self.cancelling = false;
        for stage in &mut self.stages {
            for row in std::iter::once(&mut stage.row).chain(&mut stage.items) {
                match row.state {
                    State::Waiting | State::Reusable if outcome != Outcome::Ok => row.state = State::NotBegun,
                    // What was planned and did not come up had nothing to be done.
                    State::Waiting | State::Reusable => row.state = State::Done,
                    _ => {}
                }
            }
        }
        if outcome == Outcome::Failed {
            self.failed(None, None);
        }
    }

    /// The run's own words for its failure.
    fn explain(&mut self, problem: Problem) {
        if matches!(problem.exit(), Exit::Interrupted | Exit::Terminated) {
            return;
        }
        self.failed(None, None);
        if let Some(failure) = &mut self.failure {
            failure.problem = Some(problem);
        }
        self.fit();
    }

    /// The first failure takes the eye; what fails after it keeps its row.
    fn failed(&mut self, stage: Option<Stage>, item: Option<&str>) {
        if self.failure.is_some() {
            return;
        }
        let at = item.and_then(|item| stage.and_then(|stage| self.find(stage, item)));
        self.failure = Some(Failure { stage, item: item.map(str::to_owned), problem: None });
        if let Some(stage) = stage {
            self.pick = Pick { stage, item: at };
            self.chosen = true;
        }
        self.zoom = false;
        self.typing = None;
        self.look();
        let log = &self.log;
        if let Some(pane) = self.panes.get_mut(&self.pick.scope(&self.stages)) {
            pane.refresh(log);
            pane.follow();
        }
        self.fit();
    }

    /// A line of a stage's or an item's log.
    fn tell(&mut self, stage: Stage, item: Option<&str>, line: &str) {
        let source = self.hear(stage, item).source;
        self.log.push(source, self.now, line.as_bytes());
        if let Some(pane) = self.panes.get_mut(&self.pick.scope(&self.stages)) {
            pane.refresh(&self.log);
        }
    }

    /// The row of a stage or item; made if it is new. Whatever an item says, its stage has said.
    fn hear(&mut self, stage: Stage, item: Option<&str>) -> &mut Row {
        let now = self.now;
        let at = item.map(|item| self.item(stage, item));
        let stage = &mut self.stages[stage as usize];
        stage.row.heard = now;
        let row = match at {
            Some(at) => &mut stage.items[at],
            None => &mut stage.row,
        };
        row.heard = now;
        row
    }

    fn find(&self, stage: Stage, item: &str) -> Option<usize> {
        self.stages.get(stage as usize)?.names.get(item).copied()
    }

    /// The place of an item in its stage; it gets one if it has none.
    fn item(&mut self, stage: Stage, name: &str) -> usize {
        if let Some(at) = self.find(stage, name) {
            return at;
        }
        let source = self.log.source(stage as u8, name);
        let expected = self.estimates.get(stage, Some(name));
        let stage = &mut self.stages[stage as usize];
        stage.items.push(Row::new(name, source, false, expected));
        stage.names.insert(name.to_owned(), stage.items.len() - 1);
        stage.items.len() - 1
    }

    /// An item's result is in the store already.
    pub(super) fn expect_reuse(&mut self, stage: Stage, name: &str) {
        let at = self.item(stage, name);
        if let Some(item) = self.stages[stage as usize].items.get_mut(at) {
            item.state = State::Reusable;
        }
    }

    fn stage_mut(&mut self, stage: Stage) -> Option<&mut StageRows> {
        self.stages.get_mut(stage as usize)
    }

    pub fn stages(&self) -> &[StageRows] {
        &self.stages
    }

    pub fn now(&self) -> Duration {
        self.now
    }

    pub fn end(&self) -> Option<End> {
        self.end
    }

    pub fn cancelling(&self) -> bool {
        self.cancelling
    }

    pub fn zoomed(&self) -> bool {
        self.zoom
    }

    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    pub fn running(&self) -> bool {
        self.end.is_none()
    }

    /// Whether the screen changes without a key.
    pub fn moving(&self) -> bool {
        self.running()
    }

    /// Seconds since the run began.
    pub fn elapsed(&self) -> f64 {
        match (self.end, self.started) {
            (Some(end), _) => end.seconds,
            (None, Some(started)) => self.now.saturating_sub(started).as_secs_f64(),
            (None, None) => 0.0,
        }
    }

    /// Counts tenths of a second, for signs that turn.
    pub fn ticks(&self) -> u64 {
        self.now.as_millis() as u64 / 100
    }

    /// How much of the whole is done, between 0 and 1; never less than before.
    pub fn overall(&self) -> f64 {
        match self.end {
            Some(end) if end.outcome == Outcome::Ok => 1.0,
            _ => self.far,
        }
    }

    fn reached(&self) -> f64 {
        let weights = self.stages.iter().map(|stage| stage.expected().unwrap_or(stage.weight()).max(0.01));
        let total: f64 = weights.clone().sum();
        let done: f64 =
            self.stages.iter().zip(weights).map(|(stage, weight)| stage.fraction() * weight).sum();
        (done / total).clamp(0.0, 1.0)
    }

    /// Seconds that are left, by earlier runs; none if they cannot tell.
    pub fn left(&self) -> Option<f64> {
        if self.end.is_some() || self.started.is_none() {
            return None;
        }
        self.stages
            .iter()
            .filter(|stage| !stage.row.state.finished())
            .map(|stage| stage.expected().map(|seconds| seconds * (1.0 - stage.fraction())))
            .sum()
    }

    /// The log that goes with the chosen row.
    pub fn scope(&self) -> Scope {
        self.pick.scope(&self.stages)
    }

    pub fn pane(&self) -> Option<&Pane> {
        self.panes.get(&self.scope())
    }

    /// The last line that a row or its stage has printed.
    pub fn last_line(&self, source: Source) -> Option<&str> {
        let lines = self.log.lines(Scope::Source(source));
        let seq = lines.get(lines.len().checked_sub(1)?)?;
        self.log.get(seq).map(|line| &*line.text)
    }

    /// The file that has the whole log of a stage.
    pub fn log_file(&self, stage: Stage) -> Option<PathBuf> {
        Some(self.logs.as_ref()?.join(format!("{stage}.log")))
    }
}

impl StageRows {
    pub fn count(&self, what: impl Fn(State) -> bool) -> usize {
        self.items.iter().filter(|item| what(item.state)).count()
    }

    /// How much of a stage is done, between 0 and 1.
    pub fn fraction(&self) -> f64 {
        if self.row.state.finished() {
            return if self.row.state.good() { 1.0 } else { self.by_items() };
        }
        if self.items.is_empty() { self.row.fraction().unwrap_or(0.0) } else { self.by_items() }
    }

    fn by_items(&self) -> f64 {
        let weight = |item: &Row| match item.state {
            // To find something in the store costs next to nothing.
            State::Reusable | State::Reused => 0.02,
            _ => item.expected.unwrap_or(1.0).max(0.02),
        };
        let total: f64 = self.items.iter().map(weight).sum();
        let done: f64 = self.items.iter().map(|item| weight(item) * item.fraction().unwrap_or(0.0)).sum();
        if total > 0.0 { done / total } else { 0.0 }
    }

    /// Seconds that the stage takes, by earlier runs: as much of them as there is left to do this time.
    pub fn expected(&self) -> Option<f64> {
        let whole = self.row.expected?;
        let cost = |wanted: bool| -> f64 {
            let items = self
                .items
                .iter()
                .filter(|item| !wanted || !matches!(item.state, State::Reusable | State::Reused));
            items.map(|item| item.expected.unwrap_or(1.0)).sum()
        };
        let all = cost(false);
        Some(if all > 0.0 { whole * cost(true) / all } else { whole })
    }

    /// What a stage usually costs beside the others, where no earlier run says it.
    fn weight(&self) -> f64 {
        match self.stage {
            Stage::Configure | Stage::Certs => 0.1,
            Stage::Components => 10.0,
            Stage::Kernel => 5.0,
            Stage::Binaries => 8.0,
            Stage::Package => 3.0,
        }
    }
}
