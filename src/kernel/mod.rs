//! The kernel: where it comes from, which of its modules go into the image, and their indexes.

pub mod bzimage;
pub mod firmware;
pub mod list;
pub mod modules;
pub mod report;
