//! A build on the screen, and what came of it.
//!
//! [`state`] is what is known of a run, changed by the run's events alone; [`rows`] is one piece of work in
//! it; [`pace`] is how fast it goes and how long it will take; [`list`] is which rows are in sight;
//! [`action`] is what keys do; [`failure`] and [`leave`] are what is said when a build fails and when a
//! person goes away; [`result`] and [`sizes`] are the image that came out; [`watch`] is which run it is.
//!
//! All of it is pure: time comes with each event, and what is to be done in the world is given back.

pub mod action;
pub mod failure;
pub mod leave;
pub mod list;
pub mod pace;
pub mod result;
pub mod rows;
pub mod sizes;
pub mod state;
pub mod trial;
pub mod watch;

pub use action::{BuildAction, BuildEffect};
pub use leave::{LeaveChoice, Leaving};
pub use pace::Estimates;
pub use result::{ResultAction, ResultEffect, ResultState};
pub use sizes::Sizes;
pub use state::BuildState;
pub use trial::{Job, Trial};
pub use watch::Watch;

#[cfg(test)]
pub(super) mod samples;
#[cfg(test)]
pub(super) mod tests;
