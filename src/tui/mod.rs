//! The terminal wizard: a person walks through a site's settings, builds, and watches.

pub mod check;
pub mod form;
pub mod keys;
pub mod line;
pub mod step;
pub mod theme;
