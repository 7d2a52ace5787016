//! What the programs inside the image share: the kernel command line ([`cmdline`]),
//! the site's settings ([`env_config`]) and the report that init sends to whoever
//! boots the image ([`report`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod cmdline;
pub mod env_config;
pub mod report;
