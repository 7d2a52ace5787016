//! How long to wait before a service is started again.

use std::time::Duration;

/// The first wait.
pub const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(60);
/// A service that was up for this long starts over with the first wait.
pub const STEADY: Duration = Duration::from_secs(60);

/// Waits of 1, 2, 4, ... 60 seconds while a service keeps ending; reset once it stays up.
#[derive(Debug, Clone, Default)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after a run that lasted `up` (zero when the service did not start).
    pub fn after(&mut self, up: Duration) -> Duration {
        if up >= STEADY {
            self.failures = 0;
        }
        let wait = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(LONGEST);
        self.failures = self.failures.saturating_add(1).min(31);
        wait
    }

    /// Runs in a row that ended before [`STEADY`] (at most 31 are counted).
    pub fn failures(&self) -> u32 {
        self.failures
    }

    /// Forgets earlier failures; used when a person starts the service.
    pub fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn doubles_up_to_a_minute_and_starts_over_after_a_steady_run() {
        let mut b = Backoff::default();
        let waits: Vec<u64> = (0..9).map(|_| b.after(Duration::ZERO).as_secs()).collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60]);
        assert_eq!(b.after(STEADY).as_secs(), 1);
        assert_eq!(b.after(Duration::from_secs(59)).as_secs(), 2);
    }

    proptest! {
        #[test]
        fn always_between_first_and_longest(ups in proptest::collection::vec(0_u64..200, 0..200)) {
            let mut b = Backoff::default();
            for up in ups {
                let wait = b.after(Duration::from_secs(up));
                prop_assert!(wait >= FIRST && wait <= LONGEST);
            }
        }
    }
}
