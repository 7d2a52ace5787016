//! The terminal wizard: a person walks through a site's settings, builds, and watches.
//!
//! [`model`] is everything that a screen shows, [`update`] changes it when a [`msg`] comes, [`view`] draws
//! it. None of the three reads a clock or a file; what is to be done in the world goes out as effects.

mod certificates;
pub mod check;
pub mod command;
mod components;
pub mod data;
pub mod draft;
pub mod form;
pub mod keys;
pub mod line;
pub mod log;
pub mod model;
pub mod msg;
pub mod overlay;
pub mod rows;
pub mod step;
pub mod theme;
pub mod update;
pub mod view;
mod words;
