//! How long this program waits: between attempts, and for answers.

use std::time::Duration;

/// Divides the waits of the protocol, so that tests need not last as long as a boot. Life times of
/// tokens are never touched.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    speed: u32,
}

impl Pace {
    pub fn new(speed: u32) -> Self {
        Self { speed: speed.max(1) }
    }

    pub fn of(self, wait: Duration) -> Duration {
        wait / self.speed
    }

    pub async fn sleep(self, wait: Duration) {
        tokio::time::sleep(self.of(wait)).await;
    }
}

/// 2, 4, 8, 16, 32 seconds, then from the start (a machine that waits for its release) or 32 for
/// ever (a server that cannot be reached), each with up to a second of chance on top, so that a rack
/// of machines does not ask in step.
#[derive(Debug, Clone)]
pub struct Backoff {
    step: u32,
    round: bool,
}

const STEPS: u32 = 5;

impl Backoff {
    /// Starts again after the longest wait.
    pub fn round() -> Self {
        Self { step: 0, round: true }
    }

    /// Stays at the longest wait.
    pub fn growing() -> Self {
        Self { step: 0, round: false }
    }

    pub fn reset(&mut self) {
        self.step = 0;
    }

    pub fn next_wait(&mut self) -> Duration {
        let wait = Duration::from_secs(2 << self.step);
        self.step = match self.step + 1 {
            STEPS if self.round => 0,
            STEPS => STEPS - 1,
            next => next,
        };
        wait + chance(1000)
    }
}

/// A duration of 0 to `below` - 1 milliseconds.
pub fn chance(below: u64) -> Duration {
    let mut bytes = [0u8; 8];
    // Without random numbers (very early, or a seccomp filter) there is no jitter, which only costs
    // the spread.
    let _ = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::NONBLOCK);
    Duration::from_millis(u64::from_le_bytes(bytes) % below.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_start_again_or_stay() {
        let seconds =
            |backoff: &mut Backoff| (0..7).map(|_| backoff.next_wait().as_secs()).collect::<Vec<_>>();
        assert_eq!(seconds(&mut Backoff::round()), [2, 4, 8, 16, 32, 2, 4]);
        let mut growing = Backoff::growing();
        assert_eq!(seconds(&mut growing), [2, 4, 8, 16, 32, 32, 32]);
        growing.reset();
        assert_eq!(growing.next_wait().as_secs(), 2);
    }

    #[test]
    fn chance_is_spread_and_bounded() {
        let drawn: std::collections::BTreeSet<_> = (0..100).map(|_| chance(1000)).collect();
        assert!(drawn.iter().all(|d| *d < Duration::from_secs(1)));
        assert!(drawn.len() > 10, "{drawn:?}");
    }
}
