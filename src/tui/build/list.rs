//! Which rows are in sight: every stage, and those items that matter now.
//!
//! Where all items of the stages at work fit, all are shown; else those that run or have failed, and how
//! many others there are. A person can open and close each stage.

use super::rows::{Row, State};
use super::state::{BuildState, StageRows};
use crate::build::Stage;
use crate::tui::log::Scope;

/// A row that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pick {
    pub stage: Stage,
    /// Its place among the stage's items; none is the stage itself.
    pub item: Option<usize>,
}

impl Pick {
    /// Whose log belongs to the row.
    pub(super) fn scope(self, stages: &[StageRows]) -> Scope {
        let item = self.item.and_then(|at| stages.get(self.stage as usize)?.items.get(at));
        item.map_or(Scope::Group(self.stage as u8), |item| Scope::Source(item.source))
    }
}

/// One row of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    Row(Pick),
    /// Items of a stage that are left out: not finished, finished.
    Rest {
        waiting: usize,
        finished: usize,
    },
}

/// How much of a stage's items is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Show {
    All,
    Active,
    Failed,
    None,
}

impl BuildState {
    /// The rows of the list, where `room` rows are in sight.
    pub fn listed(&self, room: usize) -> Vec<Listed> {
        let begun = |stage: &&StageRows| self.show(stage) == Show::Active;
        let items: usize = self.stages.iter().filter(begun).map(|stage| stage.items.len()).sum();
        let opened = self.stages.iter().filter(|stage| self.show(stage) == Show::All);
        let fits = self.stages.len() + items + opened.map(|s| s.items.len()).sum::<usize>() <= room;
        let shown = |stage: &StageRows, at: usize, item: &Row| {
            self.pick == Pick { stage: stage.stage, item: Some(at) }
                || match self.show(stage) {
                    Show::All => true,
                    Show::Active if fits => true,
                    Show::Active => matches!(item.state, State::Running | State::Failed),
                    Show::Failed => item.state == State::Failed,
                    Show::None => false,
                }
        };
        let mut count = self.stages.len();
        for stage in &self.stages {
            count += stage.items.iter().enumerate().filter(|(at, item)| shown(stage, *at, item)).count();
            count += usize::from(self.show(stage) == Show::Active);
        }
        // What is left of the room shows what comes next.
        let mut spare = room.saturating_sub(count);
        let mut out = Vec::new();
        for stage in &self.stages {
            out.push(Listed::Row(Pick { stage: stage.stage, item: None }));
            let active = self.show(stage) == Show::Active;
            let (mut waiting, mut finished) = (0, 0);
            for (at, item) in stage.items.iter().enumerate() {
                let next = active && spare > 0 && !item.state.begun();
                if shown(stage, at, item) {
                    out.push(Listed::Row(Pick { stage: stage.stage, item: Some(at) }));
                } else if next {
                    spare -= 1;
                    out.push(Listed::Row(Pick { stage: stage.stage, item: Some(at) }));
                } else if item.state.finished() {
                    finished += 1;
                } else {
                    waiting += 1;
                }
            }
            if active && waiting + finished > 0 {
                out.push(Listed::Rest { waiting, finished });
            }
        }
        out
    }

    fn show(&self, stage: &StageRows) -> Show {
        match (self.open.get(&stage.stage), stage.row.state) {
            (Some(true), _) => Show::All,
            (Some(false), _) => Show::None,
            (None, State::Running | State::Failed) => Show::Active,
            (None, _) => Show::Failed,
        }
    }

    /// Whether all items of the chosen stage are wanted.
    pub(super) fn toggle_open(&mut self) {
        let stage = self.pick.stage;
        let rows = self.listed(usize::from(self.areas().list));
        let shown = rows.iter().filter(|row| matches!(row, Listed::Row(p) if p.stage == stage)).count() - 1;
        let all = self.stages.get(stage as usize).map_or(0, |rows| rows.items.len());
        if all == 0 {
            self.notice = Some(format!("The stage {stage} has no parts so far."));
            return;
        }
        let open = shown < all;
        self.open.insert(stage, open);
        if !open {
            self.pick.item = None;
            self.look();
        }
    }

    /// The first of the rows in sight.
    pub fn offset(&self, rows: &[Listed], room: usize) -> usize {
        let at = rows.iter().position(|row| *row == Listed::Row(self.pick)).unwrap_or(0);
        // The chosen stage has its items below it, so it stands nearer to the top than to the middle.
        at.saturating_sub(room / 3).min(rows.len().saturating_sub(room))
    }

    /// Chooses the row that many rows further down.
    pub(super) fn choose(&mut self, by: isize) {
        let rows = self.listed(usize::from(self.areas().list));
        let picks = rows.iter().filter_map(|row| match row {
            Listed::Row(pick) => Some(*pick),
            Listed::Rest { .. } => None,
        });
        let picks: Vec<Pick> = picks.collect();
        let now = picks.iter().position(|pick| *pick == self.pick).unwrap_or(0);
        let next = now.saturating_add_signed(by).min(picks.len().saturating_sub(1));
        if let Some(pick) = picks.get(next) {
            self.pick = *pick;
            // Back on the stage at work, the choice goes on with the build.
            let at_work = self.stages.get(pick.stage as usize).map(|stage| stage.row.state);
            self.chosen = pick.item.is_some() || at_work != Some(State::Running);
        }
        self.look();
    }
}

/// Rows of the screen for each part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Areas {
    pub overall: u16,
    pub list: u16,
    pub failure: u16,
    /// With its title.
    pub log: u16,
}

impl BuildState {
    /// How the screen is divided. It depends on the size alone while the build runs, so that nothing jumps.
    pub fn areas(&self) -> Areas {
        areas(self.size.1, self.zoom, self.failure.is_some())
    }

    /// Columns and rows of the log's lines.
    pub(super) fn log_size(&self) -> (u16, u16) {
        (self.size.0, self.areas().log.saturating_sub(1))
    }
}

/// Divides a height.
pub fn areas(height: u16, zoom: bool, failed: bool) -> Areas {
    let overall = height.min(1);
    let rest = height - overall;
    if zoom {
        return Areas { overall, list: 0, failure: 0, log: rest };
    }
    if failed {
        let failure = (rest * 2 / 5).min(12);
        let list = ((rest - failure) / 2).min(10);
        return Areas { overall, list, failure, log: rest - failure - list };
    }
    // All six stages, and one item at work, before the log gets more.
    let list = (height * 45 / 100).max(7).min(rest.saturating_sub(3));
    Areas { overall, list, failure: 0, log: rest - list }
}
