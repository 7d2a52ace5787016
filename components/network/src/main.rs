//! The network of the machine.
//!
//! | call | when | does |
//! |---|---|---|
//! | `hookos-network up` | once at boot | VLAN, static addresses, or one round of DHCP; never holds the boot for long |
//! | `hookos-network keep` | as a service | keeps the DHCP lease; idles when addresses are static |
//! | `dhcpcd-hook` | by dhcpcd, at each change | name servers, time servers, host name |
//!
//! What is asked for is read in [`request`] and [`ipam`], which cards it means is decided in
//! [`choose`], both without touching the machine; [`cards`] and [`run`] do that.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod cards;
mod choose;
mod ipam;
mod keep;
mod lease;
mod request;
mod run;
mod up;

use std::path::Path;
use std::process::ExitCode;

/// The name in front of every message.
const NAME: &str = "network";

fn main() -> ExitCode {
    let mut arguments = std::env::args_os();
    let program = arguments.next().unwrap_or_default();
    if Path::new(&program).file_name().is_some_and(|n| n == "dhcpcd-hook") {
        return lease::hook();
    }
    match arguments.next().as_deref().and_then(|a| a.to_str()) {
        Some("up") => up::up(),
        Some("keep") => keep::keep(),
        _ => {
            eprintln!("usage: hookos-network up | keep");
            ExitCode::from(2)
        }
    }
}
