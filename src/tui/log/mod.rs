//! Logs of builds on a screen: what programs print, cleaned, kept within bounds, read while more arrives.
//!
//! [`clean`] makes a line fit to be shown, [`buffer`] keeps the last ones of all sources, [`find`] matches
//! text in them, [`pane`] is one person's view of one source: where it is scrolled to, whether it follows,
//! what it looks for. [`window`] says which rows of which lines that view shows.
//!
//! Nothing here draws, and nothing here is the truth: the whole log is in a file, which has every byte.
//!
//! Lines are named by sequence numbers and never by their place, so that lines which are dropped at the
//! front move nothing.

pub mod buffer;
pub mod clean;
pub mod find;
pub mod pane;
pub mod window;

pub use buffer::{LogBuffer, LogLine, Scope, Source};
pub use clean::{Ink, Level};
pub use find::Needle;
pub use pane::{Pane, Scroll};

#[cfg(test)]
mod tests;
