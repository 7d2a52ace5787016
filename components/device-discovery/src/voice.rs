//! What people see: the console for milestones and for what goes wrong, the program's log for the rest.

use crate::place::Place;
use hookos_guest::notice;
use std::collections::HashMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// The name in front of every line.
pub const NAME: &str = "device-discovery";
/// A reason that stays is told again this often.
const AGAIN: Duration = Duration::from_secs(60);

/// Speaks to the console and the log.
#[derive(Debug)]
pub struct Voice {
    /// Tests must not write to the consoles of the machine that they run on.
    consoles: bool,
    told: Mutex<HashMap<String, Instant>>,
}

impl Voice {
    pub fn new(place: &Place) -> Self {
        Self { consoles: place.is_machine(), told: Mutex::new(HashMap::new()) }
    }

    /// A step that a person waits for.
    pub fn milestone(&self, text: &str) {
        if self.consoles {
            notice::warn(NAME, text);
        } else {
            notice::say(NAME, &format!("[console] {text}"));
        }
    }

    /// Something in the way. The console gets each text once a minute, the log every time.
    pub fn trouble(&self, text: &str) {
        if self.is_due(text, Instant::now()) { self.milestone(text) } else { notice::say(NAME, text) }
    }

    /// Something for the log only.
    pub fn detail(&self, text: &str) {
        notice::say(NAME, text);
    }

    fn is_due(&self, text: &str, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.retain(|_, at| now.saturating_duration_since(*at) < AGAIN);
        if told.contains_key(text) {
            return false;
        }
        told.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_is_told_once_a_minute() {
        let voice = Voice::new(&Place::new("/nowhere"));
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert!(voice.is_due("a", at(0)));
        assert!(!voice.is_due("a", at(59)));
        assert!(voice.is_due("b", at(59)));
        assert!(voice.is_due("a", at(60)));
        assert!(!voice.is_due("b", at(61)));
    }
}
