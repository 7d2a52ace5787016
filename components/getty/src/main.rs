//! A log-in, or a root shell, on each console.
//!
//! | call | does |
//! |---|---|
//! | `hookos-getty` | keeps one session running on each console |
//! | `hookos-getty session MODE CONSOLE` | one session: takes the terminal, then becomes `login` or the shell |
//! | `hookos-host-shell` | the shell of root, in the machine's own file system; the log-in shell in /etc/passwd |
//!
//! The mode comes from `/etc/hook/settings` alone. No kernel parameter opens a console: whoever can
//! change the boot loader's line would otherwise get a root shell on a site that switched it off.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

mod console;
mod mode;
mod motd;
mod pause;
mod session;
mod shell;
mod supervise;

use std::path::Path;
use std::process::ExitCode;

/// The name in front of every message.
const NAME: &str = "getty";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    // `login` puts a `-` in front of the name of a log-in shell.
    let program = arguments.first().map_or("", |a| a.trim_start_matches('-'));
    if Path::new(program).file_name().is_some_and(|n| n == "hookos-host-shell") {
        return shell::become_shell();
    }
    match arguments.get(1..).unwrap_or_default() {
        [] => supervise::supervise(),
        [word, mode, console] if word == "session" => session::session(mode, console),
        _ => {
            eprintln!("usage: hookos-getty");
            ExitCode::from(2)
        }
    }
}
