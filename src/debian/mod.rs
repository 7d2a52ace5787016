//! Debian packages: resolved and downloaded by the host's apt with private state, read as streams.
//!
//! Nothing is installed, no maintainer script runs, and the host's own package state is neither
//! read nor written: [`apt`] gives every call its own lists, cache, sources and an empty dpkg status.
//! [`deb`] reads what was fetched, [`lock`] pins it.

mod answer;
pub mod apt;
mod contents;
pub mod control;
pub mod copyright;
pub mod deb;
mod error;
mod host;
pub mod lock;
mod run;
pub mod sources;
mod suite;

pub use error::Error;
