//! LinuxKit image definitions: YAML, label merge, runtime configuration, layout.
//!
//! ```text
//! *.yml ── parse ──► Definition ── plan(image configs) ──► Plan: kernel + pieces
//! Piece + image tree ── Piece::tree ──► Tree with paths as in the final root ──► one segment
//! ```
//!
//! What is the same as LinuxKit's own builder and what differs on purpose is told in docs/linuxkit.md.

mod caps;
mod definition;
mod fields;
mod files;
mod go_json;
mod kernel;
mod layout;
mod links;
mod merge;
mod metadata;
mod oci_spec;
mod options;
mod parse;
mod parse_options;
mod reference;
mod resources;
mod rootfs;
mod runtime;
mod volumes;
mod yaml;

pub use definition::{Container, Definition, FileEntry, KernelEntry, Origin, Volume};
pub use kernel::{KernelParts, KernelRef, modules_tree};
pub use layout::{Piece, Plan, Planning, Trees, plan};
pub use links::through_links;
pub use metadata::{to_json, to_yaml};
pub use options::{ContainerOptions, Id, RuntimeOptions};
pub use parse_options::LABEL;
pub use reference::expand;
pub use runtime::validate_run;

/// The time of everything that LinuxKit's builder itself creates: 2017-04-18T16:30:00Z.
pub const LINUXKIT_TIME: i64 = 1_492_533_000;
