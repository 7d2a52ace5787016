//! Components: the parts of the OS, one folder each, each turned into one OCI image.
//!
//! [`definition`] reads `component.toml`; [`build`] makes the image, from the store when nothing that
//! decides it has changed.

mod accounts;
pub mod binaries;
mod build;
mod ca_bundle;
pub mod definition;
pub mod dockerfile;
mod elf;
mod filter;
mod merge;
mod own;
mod packages;
mod pulled;
mod recipe;
mod sources;
mod values;
mod workspace;

pub use build::{Built, Context, CrateRecord, Input, PackageRecord, build_one, find, prepare};
pub use definition::{Definition, Source, Stage, load, load_all};
pub use sources::{Sources, sources};
