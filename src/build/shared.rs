//! A registry as a cache that several builders share: results come from it before they are made, and go
//! to it after a build. docs/scale.md.

use super::run::{Cancel, Task};
use crate::oci::cache::{Cache, share};
use crate::oci::registry::Options;
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::Store;
use std::sync::{Arc, Mutex, PoisonError};

/// The registry's part in one build.
pub struct SharedCache {
    /// `host/repository` that gets what this build used.
    to: Option<String>,
    options: Options,
    notes: Arc<Notes>,
}

enum Note {
    Line(String),
    Warning(String),
}

/// What the cache has to say; it is asked from many places, and heard at the end.
struct Notes {
    lines: Mutex<Vec<Note>>,
    cancel: Cancel,
}

impl Progress for Notes {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, line: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(Note::Line(line.to_owned()));
    }
    fn warn(&self, text: &str) {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).push(Note::Warning(text.to_owned()));
    }
    fn cancelled(&self) -> bool {
        self.cancel.is_cancelled()
    }
}

impl SharedCache {
    /// From now on the store asks the repository `from` for what it does not have.
    pub fn new(
        store: &Store,
        from: Option<&str>,
        to: Option<&str>,
        options: Options,
        cancel: &Cancel,
    ) -> Result<Self> {
        let notes = Arc::new(Notes { lines: Mutex::default(), cancel: cancel.clone() });
        for reference in from.iter().chain(to.iter()) {
            let cache = Cache::new(reference, options.clone(), notes.clone()).map_err(|e| {
                Problem::usage(format!("{reference:?} is not the place of a cache"))
                    .because(e)
                    .remedy("give a repository of a registry: registry.example.com/hookos/cache")
            })?;
            if from == Some(*reference) {
                store.set_upstream(Box::new(cache));
            }
        }
        Ok(Self { to: to.map(str::to_owned), options, notes })
    }

    /// Tells what came from the cache, and sends what this build used.
    pub(super) fn finish(&self, store: &Store, task: &Task<'_>) -> Result<()> {
        for note in self.notes.lines.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            match note {
                Note::Line(line) => task.log(&line),
                Note::Warning(text) => task.warn(&text),
            }
        }
        let Some(to) = &self.to else { return Ok(()) };
        let shared = share(store, &store.used(), to, &self.options, task).map_err(|e| {
            Problem::new(format!("the image is made, but its parts were not sent to {to}"))
                .because(e)
                .remedy("see that you may write there, or leave --cache-to out")
        })?;
        task.log(&format!(
            "{to}: {} results sent ({} bytes), {} were there",
            shared.results, shared.sent.bytes, shared.present
        ));
        Ok(())
    }
}
