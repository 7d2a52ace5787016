//! Lets another program have the consoles for a while.
//!
//! A service that must ask the person at the machine something creates [`ASKING`] and removes it when
//! it has its answer. In between the sessions are stopped (SIGSTOP), so that two programs do not read
//! the same keys; no shell and no program in it is lost. [`PAUSED`] tells the other side that nobody
//! else reads.

use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;

/// There while a service asks.
const ASKING: &str = "/run/console/asking";
/// There while the sessions are stopped.
const PAUSED: &str = "/run/console/paused";

/// Whether a service asks.
pub fn wanted() -> bool {
    fs::exists(ASKING).unwrap_or(false)
}

/// Tells that the sessions are stopped, or are not.
pub fn tell(paused: bool) {
    let _ = if paused { fs::write(PAUSED, "") } else { fs::remove_file(PAUSED) };
}

/// Sends a signal to every process of the session that `leader` leads.
pub fn signal(leader: u32, signal: Signal) {
    for pid in members(Path::new("/proc"), leader) {
        let _ = kill_process(pid, signal);
    }
}

/// The processes of a session, the leader (the oldest, so mostly the lowest number) first: a shell that
/// sees its job stop would report it.
fn members(proc: &Path, session: u32) -> Vec<Pid> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut found: Vec<i32> = pids
        .filter(|pid| {
            let stat = fs::read_to_string(proc.join(pid.to_string()).join("stat")).unwrap_or_default();
            session_of(&stat) == Some(session)
        })
        .collect();
    found.sort_unstable();
    found.into_iter().filter_map(Pid::from_raw).collect()
}

/// The session in `/proc/PID/stat` (proc(5)): the fourth word after the name, which stands in brackets
/// and may hold anything.
fn session_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::process::CommandExt as _;
    use std::process::{Command, Stdio};

    #[test]
    fn the_session_is_found_after_any_name() {
        assert_eq!(session_of("12 (sh) S 1 12 7 1025 12 4194560 1"), Some(7));
        assert_eq!(session_of("12 (a) b) (c) S 1 12 9 0"), Some(9));
        assert_eq!(session_of("12 (sh"), None);
        assert_eq!(session_of(""), None);
    }

    /// State letter of a process.
    fn state(pid: u32) -> char {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.chars().next().unwrap()
    }

    #[test]
    fn a_stopped_session_goes_on_where_it_was() {
        let mut shell = Command::new("setsid");
        shell.args(["--fork", "--wait", "sh", "-c", "sleep 30 & echo $$ $!; wait"]).stdout(Stdio::piped());
        let mut child = shell.process_group(0).spawn().unwrap();
        let mut line = String::new();
        std::io::BufRead::read_line(&mut std::io::BufReader::new(child.stdout.take().unwrap()), &mut line)
            .unwrap();
        let pids: Vec<u32> = line.split_whitespace().map(|p| p.parse().unwrap()).collect();
        let all = |want: fn(char) -> bool| {
            let done = (0..100).any(|_| {
                std::thread::sleep(std::time::Duration::from_millis(20));
                pids.iter().all(|pid| want(state(*pid)))
            });
            assert!(done, "{pids:?}");
        };
        signal(pids[0], Signal::STOP);
        all(|s| s == 'T');
        signal(pids[0], Signal::CONT);
        all(|s| s == 'S');
        signal(pids[0], Signal::KILL);
        child.wait().unwrap();
    }
}
