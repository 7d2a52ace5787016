//! What the programs inside the image share: the kernel command line ([`cmdline`]),
//! the site's settings ([`env_config`]) and the report that init sends to whoever
//! boots the image ([`report`]), the console settings of a site ([`settings`]), lines for people
//! at the console ([`notice`]), what PID 1 can be asked ([`control`]), MAC addresses ([`mac`]), the site's proxies
//! ([`proxy`]), the way through one (`tunnel`) and the hiding of secrets ([`secret`]).

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod again;
pub mod cmdline;
pub mod control;
pub mod env_config;
pub mod mac;
pub mod notice;
pub mod proxy;
pub mod report;
pub mod secret;
pub mod settings;
#[cfg(feature = "tunnel")]
pub mod tunnel;
