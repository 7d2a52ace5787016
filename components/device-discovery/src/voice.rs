//! What people see: the console for milestones and for what goes wrong, the program's log for the rest.

use crate::place::Place;
use hookos_guest::again::Again;
use hookos_guest::notice;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// The name in front of every line.
pub const NAME: &str = "device-discovery";

/// Speaks to the console and the log.
#[derive(Debug)]
pub struct Voice {
    /// Tests must not write to the consoles of the machine that they run on.
    consoles: bool,
    told: Mutex<Again>,
}

impl Voice {
    pub fn new(place: &Place) -> Self {
        Self { consoles: place.is_machine(), told: Mutex::default() }
    }

    /// A step that a person waits for.
    pub fn milestone(&self, text: &str) {
        if self.consoles {
            notice::warn(NAME, text);
        } else {
            notice::say(NAME, &format!("[console] {text}"));
        }
    }

    /// Something in the way. The console gets each text less and less often while it stays,
    /// the log every time.
    pub fn trouble(&self, text: &str) {
        let due = self.told.lock().unwrap_or_else(PoisonError::into_inner).is_due(text, Instant::now());
        if due { self.milestone(text) } else { notice::say(NAME, text) }
    }

    /// Something for the log only.
    pub fn detail(&self, text: &str) {
        notice::say(NAME, text);
    }
}
