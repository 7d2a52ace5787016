//! Build arguments, and what of them must not be shown.

use crate::progress::{Progress, Unit};
use crate::secret::MASK;
use std::collections::BTreeMap;
use std::fmt;

/// What a Dockerfile is told as `ARG`s.
#[derive(Clone, Default)]
pub struct Arguments {
    values: BTreeMap<String, String>,
    /// Texts that no line may show.
    hidden: Vec<String>,
}

/// Names only: a value may hold a password.
impl fmt::Debug for Arguments {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.values.keys()).finish()
    }
}

impl Arguments {
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// Every line of the build shows `***` in place of this text.
    pub fn hide(&mut self, text: &str) {
        if !text.is_empty() && !self.hidden.iter().any(|hidden| hidden == text) {
            self.hidden.push(text.to_owned());
            // One may be a part of another.
            self.hidden.sort_by_key(|hidden| std::cmp::Reverse(hidden.len()));
        }
    }

    #[must_use]
    pub fn and(mut self, more: &BTreeMap<String, String>) -> Self {
        self.values.extend(more.clone());
        self
    }

    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    pub fn values(&self) -> &BTreeMap<String, String> {
        &self.values
    }

    /// Whether a text has what must not be shown.
    pub fn are_told_by(&self, text: &str) -> bool {
        self.hidden.iter().any(|hidden| text.contains(hidden))
    }

    pub(super) fn shown(&self, text: &str) -> String {
        self.hidden.iter().fold(text.to_owned(), |text, hidden| text.replace(hidden, MASK))
    }
}

/// Passes on what a build says, without what must not be shown.
pub(super) struct Veiled<'a> {
    pub arguments: &'a Arguments,
    pub inner: &'a dyn Progress,
}

impl Progress for Veiled<'_> {
    fn at(&self, done: u64, total: u64, unit: Unit) {
        self.inner.at(done, total, unit);
    }
    fn log(&self, line: &str) {
        self.inner.log(&self.arguments.shown(line));
    }
    fn warn(&self, text: &str) {
        self.inner.warn(&self.arguments.shown(text));
    }
    fn cancelled(&self) -> bool {
        self.inner.cancelled()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_hidden_is_in_no_line_and_no_debug_text() {
        let mut arguments = Arguments::default();
        arguments.set("http_proxy", "http://me:secret@proxy:1");
        arguments.hide("secret");
        arguments.hide("me:secret");
        assert_eq!(arguments.shown("by http://me:secret@proxy:1, secret"), "by http://***@proxy:1, ***");
        assert!(!format!("{arguments:?}").contains("secret"));
        assert!(arguments.are_told_by("a secret") && !arguments.are_told_by("nothing"));
    }
}
