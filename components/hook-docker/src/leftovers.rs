//! What an engine that died leaves behind, removed before the next one starts.
//!
//! The containers' processes are in groups of their own, which nobody ends with this container; they
//! would keep the old storage's memory, ports and the worker's work, unseen by the new engine.

use crate::NAME;
use hookos_guest::notice;
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// The parent of all containers' groups with the driver `cgroupfs`.
const GROUPS: &str = "/sys/fs/cgroup/docker";
/// The machine's /run/docker: it outlives this container.
const RUN: &str = "/var/run";
/// Killed processes are gone in milliseconds, but for those that wait for a broken disk.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether an engine ran since the machine booted: it makes this folder.
pub fn ran_before() -> bool {
    Path::new(RUN).join("docker").exists()
}

/// Ends the processes and removes the files of an earlier engine.
pub fn clear() {
    let until = Instant::now() + PATIENCE;
    let mut told = false;
    loop {
        let left = processes(Path::new(GROUPS));
        if left.is_empty() {
            break;
        }
        if !told {
            notice::say(NAME, &format!("ending {} processes of an engine that died", left.len()));
            told = true;
        }
        if Instant::now() > until {
            notice::warn(NAME, &format!("{} processes of an earlier engine do not end", left.len()));
            break;
        }
        for pid in left {
            // One that has ended meanwhile is what was wanted.
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    remove_groups(Path::new(GROUPS));
    // The pid files name numbers that other processes may have by now, and dockerd believes them.
    for file in ["docker.pid", "docker.sock", "docker/containerd/containerd.pid"] {
        let _ = fs::remove_file(Path::new(RUN).join(file));
    }
}

/// The processes of a group and of all groups below it.
fn processes(group: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
    let mut all = pids(&text);
    all.extend(below(group).iter().flat_map(|group| processes(group)));
    all
}

/// Numbers of a `cgroup.procs`. 0 stands for a process that this namespace cannot see.
fn pids(text: &str) -> Vec<Pid> {
    text.lines().filter_map(|line| line.trim().parse().ok()).filter_map(Pid::from_raw).collect()
}

fn remove_groups(group: &Path) {
    for below in below(group) {
        remove_groups(&below);
    }
    let _ = fs::remove_dir(group);
}

fn below(group: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(group).into_iter().flatten().flatten();
    entries.filter(|e| e.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_read_to_the_bottom() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("a/b");
        fs::create_dir_all(&inner).unwrap();
        fs::write(folder.path().join("cgroup.procs"), "0\n").unwrap();
        fs::write(inner.join("cgroup.procs"), "12\n7\nx\n").unwrap();
        let numbers: Vec<i32> = processes(folder.path()).iter().map(|p| p.as_raw_nonzero().get()).collect();
        assert_eq!(numbers, [12, 7]);
        assert!(processes(&folder.path().join("missing")).is_empty());
    }
}
