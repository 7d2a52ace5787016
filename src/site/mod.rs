//! A site: fields, profiles, certificates, the site segment.
//!
//! | to learn | read |
//! |---|---|
//! | which settings there are | [`fields`] (the table), [`field`] (what a field is), [`value`] (what they hold), [`rules`] (which texts are valid) |
//! | where values come from | [`mod@resolve`] |
//! | how they are saved | [`profile`], [`reader`], [`migrate`], [`save`], [`files`], [`config_file`] |
//! | how they become flags and texts | [`flags`], [`docs`] |
//! | what of them is in the image | [`env_config`], [`segment`] |
//! | what to do about an error of the floor below | [`remedies`] |
//! | what a container engine is told of them | [`proxies`] |
//! | which certificates are taken | [`pem_file`], [`certificates`], [`placeholder`] |

pub mod certificates;
pub mod config_file;
pub mod docs;
pub mod env_config;
pub mod field;
pub mod fields;
pub mod files;
pub mod flags;
pub mod migrate;
#[cfg(test)]
pub mod one_more;
pub mod pem_file;
pub mod placeholder;
pub mod profile;
pub mod proxies;
mod reader;
mod remedies;
pub mod resolve;
pub mod rules;
pub mod save;
pub mod segment;
pub mod value;

pub use certificates::SiteCertificates;
pub use field::{Field, Kind, Section};
pub use fields::{FIELDS, Id};
pub use flags::FieldFlags;
pub use profile::Profile;
pub use resolve::{Getty, KernelSource, Origin, Resolution, Resolved, ResolvedSite, Sources, resolve};
pub use segment::{BuildRecord, site_tree};
pub use value::Value;
