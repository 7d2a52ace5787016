//! When to say again what was said before: programs that try for ever meet the same trouble for ever,
//! and the person at the console is at a shell, or comes an hour later.

use std::collections::HashMap;
use std::time::{Duration, Instant};

/// The first pause between two tellings; each one is twice as long as the one before.
const FIRST: Duration = Duration::from_secs(60);
const LONGEST: Duration = Duration::from_secs(32 * 60);
/// Different troubles that are kept apart.
const MOST: usize = 64;

/// What was said, and when.
#[derive(Debug, Default)]
pub struct Again {
    said: HashMap<String, Said>,
}

#[derive(Debug)]
struct Said {
    last: Instant,
    /// When it came last, said or not.
    seen: Instant,
    pause: Duration,
}

impl Again {
    /// Whether to say `what` now: it is new, or was said long enough ago. What has stayed away for as
    /// long as its pause is new.
    pub fn is_due(&mut self, what: &str, now: Instant) -> bool {
        self.said.retain(|_, said| now.saturating_duration_since(said.seen) < said.pause);
        if let Some(said) = self.said.get_mut(what) {
            said.seen = now;
            if now.saturating_duration_since(said.last) < said.pause {
                return false;
            }
            said.last = now;
            said.pause = (said.pause * 2).min(LONGEST);
            return true;
        }
        if self.said.len() >= MOST {
            return false;
        }
        self.said.insert(what.to_owned(), Said { last: now, seen: now, pause: FIRST });
        true
    }

    /// Something went well: every trouble is new from now on.
    pub fn forget(&mut self) {
        self.said.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// At which of these seconds it is said.
    fn said(again: &mut Again, what: &str, at: impl Iterator<Item = u64>, start: Instant) -> Vec<u64> {
        at.filter(|seconds| again.is_due(what, start + Duration::from_secs(*seconds))).collect()
    }

    #[test]
    fn pauses_grow_while_the_trouble_lasts() {
        let (mut again, start) = (Again::default(), Instant::now());
        let times = said(&mut again, "a", (0..3 * 3600).step_by(30), start);
        assert_eq!(times[..5], [0, 60, 180, 420, 900]);
        assert!(times.len() < 12, "{times:?}");
        assert!(again.is_due("b", start), "another trouble is told at once");
    }

    #[test]
    fn what_stayed_away_or_was_forgotten_is_new() {
        let (mut again, start) = (Again::default(), Instant::now());
        assert_eq!(said(&mut again, "a", [0, 59, 200, 201].into_iter(), start), [0, 200]);
        again.forget();
        assert!(again.is_due("a", start + Duration::from_secs(202)));
    }

    #[test]
    fn no_flood_of_different_troubles_is_kept() {
        let (mut again, start) = (Again::default(), Instant::now());
        let told = (0..1000).filter(|n| again.is_due(&n.to_string(), start)).count();
        assert_eq!(told, MOST);
    }
}
