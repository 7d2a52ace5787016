//! Runs the Docker engine: writes its configuration from the kernel command line and the site's
//! settings, gives it a storage in memory, starts it, and takes the machine down when an action asks.
//!
//! When the engine ends, so does this program, with the reason on the console; PID 1 starts both again,
//! with a growing wait.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod config;
mod engine;
mod host;
mod leftovers;
mod reboot;
mod registries;
mod storage;
mod syslog;

use config::Wanted;
use hookos_guest::cmdline::Cmdline;
use hookos_guest::{env_config, notice};
use std::path::Path;
use std::process::ExitCode;

const NAME: &str = "docker";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            notice::warn(NAME, &reason);
            ExitCode::FAILURE
        }
    }
}

/// Ends with success after a signal, and with the reason when the engine cannot start or ends.
fn run() -> Result<(), String> {
    let site = std::fs::read("/etc/hook/env_config").unwrap_or_default();
    let wanted =
        Wanted::new(&Cmdline::of_this_machine(), &env_config::parse(&String::from_utf8_lossy(&site)));
    for complaint in &wanted.complaints {
        notice::warn(NAME, complaint);
    }
    for line in wanted.summary() {
        notice::say(NAME, &line);
    }
    let ran_before = leftovers::ran_before();
    leftovers::clear();
    reboot::watch(Path::new("/worker"), ran_before);
    wanted.write(Path::new(config::FILE)).map_err(|e| format!("cannot write {}: {e}", config::FILE))?;
    storage::prepare()?;
    engine::run(&wanted)
}
