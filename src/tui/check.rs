//! Work that answers later: what the screen says of it meanwhile.
//!
//! Something quick shows no sign at all; a sign once shown stays long enough to be read, beside the answer of
//! before if there is one. Each run is about something (settings, as a text): what is about the same need not
//! be asked again, and an answer about something else is stale.

use std::time::Duration;

/// After this long a check shows that it is working.
const PATIENCE: Duration = Duration::from_millis(150);
/// A working sign stays at least this long.
const STAY: Duration = Duration::from_secs(1);

/// A check whose answer does not matter.
pub trait Waiting {
    /// Whether the working sign is on the screen.
    fn busy(&self, now: Duration) -> bool;
    /// Whether the screen will change without a key.
    fn moving(&self, now: Duration) -> bool;
    /// Stops waiting; says whether there was something to wait for.
    fn cancel(&mut self) -> bool;
}

impl<T> Waiting for Check<T> {
    fn busy(&self, now: Duration) -> bool {
        Check::busy(self, now)
    }

    fn moving(&self, now: Duration) -> bool {
        Check::moving(self, now)
    }

    fn cancel(&mut self) -> bool {
        Check::cancel(self)
    }
}

/// A check and its last answer.
#[derive(Debug, Clone)]
pub struct Check<T> {
    /// The number of the run that is wanted; answers of others are late and dropped.
    run: u64,
    since: Option<Duration>,
    /// Until when the sign of the run before stays.
    stay: Duration,
    /// What the last run was about.
    about: Option<String>,
    /// A person did not want to wait for the last run.
    pub cancelled: bool,
    /// The last answer and when it came.
    pub answer: Option<(T, Duration)>,
    /// A person has said that this check is not wanted.
    pub skipped: bool,
}

impl<T> Default for Check<T> {
    fn default() -> Self {
        Self {
            run: 0,
            since: None,
            stay: Duration::ZERO,
            about: None,
            cancelled: false,
            answer: None,
            skipped: false,
        }
    }
}

impl<T> Check<T> {
    /// Begins a new run and gives its number.
    pub fn begin(&mut self, now: Duration) -> u64 {
        self.run += 1;
        self.since = Some(now);
        self.skipped = false;
        self.cancelled = false;
        self.about = None;
        self.run
    }

    /// Begins a new run about something.
    pub fn begin_about(&mut self, about: String, now: Duration) -> u64 {
        let run = self.begin(now);
        self.about = Some(about);
        run
    }

    /// Whether the last run was about this.
    pub fn is_about(&self, about: &str) -> bool {
        self.about.as_deref() == Some(about)
    }

    /// Whether the last run was about something else.
    pub fn is_stale(&self, about: &str) -> bool {
        self.about.as_deref().is_some_and(|known| known != about)
    }

    /// Takes an answer, unless it is of a run that nobody waits for any more.
    pub fn finish(&mut self, run: u64, value: T, now: Duration) -> bool {
        if self.since.is_none() || run != self.run {
            return false;
        }
        if let Some(since) = self.since.take()
            && now >= since + PATIENCE
        {
            self.stay = since + PATIENCE + STAY;
        }
        self.answer = Some((value, now));
        true
    }

    /// Stops waiting.
    pub fn cancel(&mut self) -> bool {
        let was = self.since.take().is_some();
        self.cancelled |= was;
        was
    }

    pub fn running(&self) -> bool {
        self.since.is_some()
    }

    /// Whether the working sign is on the screen.
    pub fn busy(&self, now: Duration) -> bool {
        self.since.is_some_and(|since| now >= since + PATIENCE) || now < self.stay
    }

    /// Whether the screen will change without a key.
    pub fn moving(&self, now: Duration) -> bool {
        self.since.is_some() || now < self.stay
    }

    pub fn value(&self) -> Option<&T> {
        self.answer.as_ref().map(|(value, _)| value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_quick_check_shows_nothing_and_a_sign_stays_a_second() {
        let mut check = Check::default();
        let run = check.begin(ms(0));
        assert!(!check.busy(ms(149)));
        assert!(check.finish(run, 1, ms(149)) && !check.busy(ms(150)));
        let run = check.begin(ms(1000));
        assert!(check.busy(ms(1150)));
        assert!(check.finish(run, 2, ms(1200)));
        assert!(check.busy(ms(2149)) && !check.busy(ms(2150)));
        assert_eq!(check.value(), Some(&2));
    }

    #[test]
    fn an_answer_about_something_else_is_stale() {
        let mut check = Check::default();
        assert!(!check.is_about("a") && !check.is_stale("a"), "nothing was asked");
        let run = check.begin_about("a".to_owned(), ms(0));
        assert!(check.finish(run, 1, ms(10)) && check.is_about("a") && check.is_stale("b"));
        check.begin_about("b".to_owned(), ms(20));
        assert!(check.is_about("b") && check.cancel() && check.cancelled);
        check.begin(ms(30));
        assert!(!check.cancelled);
    }

    #[test]
    fn a_late_answer_is_dropped() {
        let mut check = Check::default();
        let run = check.begin(ms(0));
        assert!(check.cancel() && !check.cancel());
        assert!(!check.finish(run, 1, ms(10)));
        let other = check.begin(ms(20));
        assert!(!check.finish(run, 1, ms(30)) && check.running());
        assert!(check.finish(other, 2, ms(40)));
    }
}
