//! What the programs inside the image share: the kernel command line ([`cmdline`]),
//! the site's settings ([`env_config`]) and the report that init sends to whoever
//! boots the image ([`report`]), the console settings of a site ([`settings`]) and lines for people
//! at the console ([`notice`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cmdline;
pub mod env_config;
pub mod notice;
pub mod report;
pub mod settings;
