//! The onboarding protocol of an Edge Orchestrator: the messages on the wire ([`messages`]) and the
//! files that hold what the machine was given ([`files`]).

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

pub mod files;
pub mod messages;
