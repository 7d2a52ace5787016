//! The kernel: where it comes from, which of its modules go into the image, and their indexes.
//!
//! | to learn | read |
//! |---|---|
//! | what an image of a kernel is | [`image`] |
//! | how Debian's package becomes one | [`debian`], with [`recipe`] and [`package`] |
//! | how a kernel is compiled from its source | [`source`] |
//! | which modules are taken | [`list`] |
//! | how modules are read and indexed | [`modules`] |
//! | which firmware goes with them | [`firmware`] |
//! | what it saved | [`report`] |
//! | until when a series is looked after | [`series`] |

pub mod bzimage;
pub mod debian;
pub mod firmware;
pub mod image;
pub mod list;
pub mod modules;
pub mod package;
pub mod recipe;
pub mod report;
pub mod series;
pub mod source;
