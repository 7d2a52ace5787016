//! Runs a log collector, for images that have no shell to do it:
//!
//! `hookos-collector [--bound FILE]... PROGRAM [ARGUMENT]...`
//!
//! The program finds the machine's UUID in `EDGENODE_UUID`. The files named with `--bound` are what it
//! writes and never turns over; `/var/log` is memory, so they are kept small for it.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod bound;

use hookos_guest::notice;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const NAME: &str = "collector";
const UUID: &str = "/sys/class/dmi/id/product_uuid";
/// The variable's name is the one that fluent-bit's configurations of Edge Orchestrators use.
const VARIABLE: &str = "EDGENODE_UUID";
const LOOK_EVERY: Duration = Duration::from_secs(10);

fn main() -> ExitCode {
    match parse(std::env::args_os().skip(1)) {
        Some((bounded, program)) => run(bounded, &program).unwrap_or_else(|e| {
            notice::warn(NAME, &format!("cannot run {}: {e}", Path::new(&program[0]).display()));
            ExitCode::FAILURE
        }),
        None => {
            notice::say(NAME, "usage: hookos-collector [--bound FILE]... PROGRAM [ARGUMENT]...");
            ExitCode::from(2)
        }
    }
}

/// The files to bound, and the program with its arguments, of which there is at least one.
fn parse(words: impl Iterator<Item = OsString>) -> Option<(Vec<PathBuf>, Vec<OsString>)> {
    let mut words = words.peekable();
    let mut bounded = Vec::new();
    while words.next_if(|word| word == "--bound").is_some() {
        bounded.push(words.next()?.into());
    }
    let program: Vec<OsString> = words.collect();
    let named = program.first().is_some_and(|p| !p.is_empty() && !p.as_encoded_bytes().starts_with(b"-"));
    named.then_some((bounded, program))
}

fn run(bounded: Vec<PathBuf>, program: &[OsString]) -> std::io::Result<ExitCode> {
    let uuid = uuid(&std::fs::read_to_string(UUID).unwrap_or_default());
    if uuid.is_empty() {
        notice::say(NAME, &format!("{UUID} names no UUID: records go without"));
    }
    // Before the child is there: a signal must never end us alone.
    let mut signals = Signals::new([SIGTERM, SIGINT])?;
    let mut child = Command::new(&program[0]).args(&program[1..]).env(VARIABLE, uuid).spawn()?;
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        std::thread::spawn(move || {
            for _ in signals.forever() {
                // It is ours to wait for, and we end with it, so the number is not another's.
                let _ = kill_process(pid, Signal::TERM);
            }
        });
    }
    std::thread::spawn(move || {
        loop {
            std::thread::sleep(LOOK_EVERY);
            for path in &bounded {
                if let Err(e) = bound::turn_over(path, bound::LIMIT) {
                    notice::say(NAME, &format!("{} cannot be kept small: {e}", path.display()));
                }
            }
        }
    });
    let status = child.wait()?;
    // A collector that ends unasked is started again by init; what it says of itself is in its log.
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).map_or(ExitCode::FAILURE, ExitCode::from))
}

/// The UUID, which goes into configurations as it is: nothing but what a UUID is made of.
fn uuid(text: &str) -> String {
    text.trim().chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Option<(Vec<PathBuf>, Vec<OsString>)> {
        parse(text.split_whitespace().map(OsString::from))
    }

    #[test]
    fn options_come_before_the_program() {
        let (bounded, program) = words("--bound /a --bound /b /usr/bin/x --bound c").unwrap();
        assert_eq!(bounded, [Path::new("/a"), Path::new("/b")]);
        assert_eq!(program, ["/usr/bin/x", "--bound", "c"]);
        assert_eq!(words("/usr/bin/x").unwrap().0.len(), 0);
        for wrong in ["", "--bound", "--bound /a", "--other /usr/bin/x"] {
            assert_eq!(words(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn a_uuid_cannot_break_a_configuration() {
        assert_eq!(uuid("4c4c4544-0031-3510-8052-B4C04F4D3732\n"), "4c4c4544-0031-3510-8052-B4C04F4D3732");
        assert_eq!(uuid("\"}, drop()\n"), "d");
        assert_eq!(uuid(""), "");
    }
}
