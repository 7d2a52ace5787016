//! How fast work goes, and how long it will take.

use crate::build::Stage;
use crate::build::record::Took;
use crate::progress::Unit;
use std::collections::BTreeMap;
use std::time::Duration;

/// Seconds that pieces of work took in earlier runs. Empty if there were none.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Estimates(BTreeMap<(Stage, Option<String>), f64>);

impl Estimates {
    /// Says how long an item took, or a whole stage.
    pub fn set(&mut self, stage: Stage, item: Option<&str>, seconds: f64) {
        if seconds.is_finite() && seconds >= 0.0 {
            self.0.insert((stage, item.map(str::to_owned)), seconds);
        }
    }

    /// From what an earlier run has recorded. What was in the store then says nothing.
    pub fn of(took: &[Took]) -> Self {
        let mut all = Self::default();
        for part in took.iter().filter(|part| !part.cached) {
            all.set(part.stage, part.item.as_deref(), part.seconds);
        }
        all
    }

    pub fn get(&self, stage: Stage, item: Option<&str>) -> Option<f64> {
        self.0.get(&(stage, item.map(str::to_owned))).copied()
    }
}

/// How far a piece of work is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    pub done: u64,
    /// 0: not known.
    pub total: u64,
    pub unit: Unit,
}

impl Progress {
    /// Between 0 and 1, where the total is known.
    pub fn fraction(&self) -> Option<f64> {
        (self.total > 0).then(|| (self.done as f64 / self.total as f64).clamp(0.0, 1.0))
    }
}

/// How much is done in a second: the last few seconds count, what was before fades.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rate {
    last: Option<(Duration, u64)>,
    per_second: Option<f64>,
}

impl Rate {
    /// Half of the rate is younger than this.
    const HALF: f64 = 3.0;
    /// Less time than this says little.
    const LEAST: f64 = 0.5;

    pub fn at(&mut self, now: Duration, done: u64) {
        let Some((before, had)) = self.last else {
            self.last = Some((now, done));
            return;
        };
        if done < had {
            // Another piece has begun to count from the start.
            *self = Self { last: Some((now, done)), per_second: None };
            return;
        }
        let seconds = now.saturating_sub(before).as_secs_f64();
        if seconds < Self::LEAST {
            return;
        }
        let new = (done - had) as f64 / seconds;
        let keep = 0.5_f64.powf(seconds / Self::HALF);
        self.per_second = Some(self.per_second.map_or(new, |old| old * keep + new * (1.0 - keep)));
        self.last = Some((now, done));
    }

    pub fn per_second(&self) -> Option<f64> {
        self.per_second.filter(|rate| *rate > 0.0)
    }

    /// Seconds until the total is reached.
    pub fn left(&self, progress: &Progress) -> Option<f64> {
        let rest = progress.total.checked_sub(progress.done).filter(|_| progress.total > 0)?;
        self.per_second().map(|rate| rest as f64 / rate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_needs_some_time_and_follows_changes() {
        let mut rate = Rate::default();
        let second = |n: f64| Duration::from_secs_f64(n);
        rate.at(second(0.0), 0);
        rate.at(second(0.1), 1_000_000);
        assert_eq!(rate.per_second(), None);
        rate.at(second(1.0), 1000);
        assert_eq!(rate.per_second(), Some(1000.0));
        let progress = Progress { done: 1000, total: 5000, unit: Unit::Bytes };
        assert_eq!(rate.left(&progress), Some(4.0));
        for n in 2..40 {
            rate.at(second(f64::from(n)), 1000 + (n as u64 - 1) * 10);
        }
        assert!(rate.per_second().unwrap() < 11.0);
        rate.at(second(41.0), 5);
        assert_eq!(rate.per_second(), None, "counts from the start again");
        assert_eq!(rate.left(&Progress { done: 1, total: 0, unit: Unit::Items }), None);
    }
}
