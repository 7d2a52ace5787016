//! The terminal wizard: a person walks through a site's settings, builds, and watches.

pub mod theme;
