//! Sends the boot report ([`hookos_guest::report`]) to the virtio-serial port made for it.
//!
//! The port may appear late (its driver is a module) or never (a real machine); nobody may be
//! reading it. So lines are kept, within a bound, and written when it takes them, never waiting.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Duration;

use hookos_guest::report::{Memory, PORT, Report};

/// Bytes kept for a port that is not there or does not take them.
const KEEP: usize = 1 << 20;
/// How often a missing or unwilling port is tried.
const RETRY: Duration = Duration::from_millis(250);
/// Machine uptime after which a port that never appeared is no longer looked for.
const GIVE_UP: Duration = Duration::from_secs(180);

#[derive(Debug, Default)]
pub struct Reporter {
    pending: VecDeque<u8>,
    port: Option<File>,
    next: Duration,
    gave_up: bool,
}

impl Reporter {
    /// Queues one line of the report.
    pub fn send(&mut self, line: &Report) {
        if self.gave_up {
            return;
        }
        if let Ok(mut text) = serde_json::to_vec(line)
            && self.pending.len().saturating_add(text.len()) < KEEP
        {
            text.push(b'\n');
            self.pending.extend(text);
        }
        self.next = Duration::ZERO;
    }

    /// Writes what the port takes now.
    pub fn pump(&mut self, now: Duration) {
        if self.pending.is_empty() || self.gave_up || now < self.next {
            return;
        }
        self.next = now.saturating_add(RETRY);
        if self.port.is_none() {
            self.port = find_port().and_then(|path| {
                let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap_or(0);
                OpenOptions::new().write(true).custom_flags(nonblock).open(path).ok()
            });
        }
        match &mut self.port {
            Some(port) => {
                while !self.pending.is_empty() {
                    match port.write(self.pending.make_contiguous()) {
                        Ok(n) if n > 0 => drop(self.pending.drain(..n.min(self.pending.len()))),
                        _ => break,
                    }
                }
            }
            None if now > GIVE_UP => {
                self.gave_up = true;
                self.pending = VecDeque::new();
            }
            None => {}
        }
    }

    /// When [`Self::pump`] wants to be called again.
    pub fn deadline(&self) -> Option<Duration> {
        (!self.pending.is_empty() && !self.gave_up).then_some(self.next)
    }

    /// Whether everything is written (or nothing ever can be).
    pub fn is_done(&self) -> bool {
        self.pending.is_empty() || self.port.is_none()
    }
}

/// `/dev/vport1p1`, from the names in `/sys/class/virtio-ports`.
fn find_port() -> Option<PathBuf> {
    let ports = std::fs::read_dir("/sys/class/virtio-ports").ok()?;
    ports.flatten().find_map(|entry| {
        let name = std::fs::read_to_string(entry.path().join("name")).ok()?;
        (name.trim() == PORT).then(|| PathBuf::from("/dev").join(entry.file_name()))
    })
}

/// Memory use now.
pub fn memory() -> Memory {
    let info = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let root = rustix::fs::statvfs("/")
        .map(|s| s.f_blocks.saturating_sub(s.f_bfree).saturating_mul(s.f_frsize))
        .unwrap_or(0);
    Memory { total: meminfo(&info, "MemTotal"), available: meminfo(&info, "MemAvailable"), root }
}

fn meminfo(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(k, _)| *k == key)
        .and_then(|(_, v)| v.split_whitespace().next()?.parse::<u64>().ok())
        .map_or(0, |kib| kib.saturating_mul(1024))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_lines() {
        let text = "MemTotal:        2048 kB\nMemAvailable:  1 kB\n";
        assert_eq!(meminfo(text, "MemTotal"), 2 << 20);
        assert_eq!(meminfo(text, "MemAvailable"), 1024);
        assert_eq!(meminfo(text, "Swap"), 0);
    }

    #[test]
    fn without_a_port_lines_are_bounded_and_then_forgotten() {
        let mut r = Reporter::default();
        for _ in 0..100_000 {
            r.send(&Report::Shutdown { at: 1.0, action: "reboot".into() });
        }
        assert!(r.pending.len() < KEEP);
        r.pump(Duration::from_secs(1));
        assert!(r.deadline().is_some());
        r.pump(GIVE_UP + Duration::from_secs(1));
        assert!(r.deadline().is_none() && r.is_done());
    }
}
