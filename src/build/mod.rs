//! The build: a profile becomes an image.
//!
//! [`event`] is what happens, as data; [`run`] is one build with its logs and its cancellation;
//! [`kernel`] is which kernel it gets and where that comes from; [`plan`] is what a build would do; [`image`] does it, stage by stage; [`sbom`] and [`manifest`]
//! say what went in; [`stamp`] makes a site's image of one that somebody else has built, and [`inspect`] says what is in one.

pub mod assemble;
pub mod base;
pub mod event;
pub mod explain;
pub mod files;
pub mod image;
pub mod inspect;
pub mod kernel;
pub mod manifest;
pub mod many;
pub mod package;
pub mod plan;
pub mod provenance;
pub mod published;
pub mod record;
pub mod releases;
pub mod run;
pub mod sbom;
mod selection;
pub mod shared;
pub mod stamp;
pub mod verify;

pub use event::{Event, Outcome, Stage};
pub use run::{Cancel, Run, Task};
