//! Starting programs, and how they end.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Code(i32),
    Signal(i32),
}

impl Ended {
    /// The number that a shell would give: the exit code, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => signal.saturating_add(128),
        }
    }

    fn from_status(status: WaitStatus) -> Option<Self> {
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => Some(Self::Code(code)),
            (_, Some(signal)) => Some(Self::Signal(signal)),
            _ => None,
        }
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(15) => write!(f, "signal 15 (TERM)"),
            Self::Signal(9) => write!(f, "signal 9 (KILL)"),
            Self::Signal(11) => write!(f, "signal 11 (SEGV)"),
            Self::Signal(6) => write!(f, "signal 6 (ABRT)"),
            Self::Signal(signal) => write!(f, "signal {signal}"),
        }
    }
}

/// Starts a program in a process group of its own, standard input from /dev/null, both outputs
/// into `output`. Gives its process number; it is reaped by [`reap`] alone.
pub fn spawn<A: AsRef<OsStr>>(program: &str, args: &[A], output: OwnedFd) -> io::Result<Pid> {
    use std::os::unix::process::CommandExt;
    let second = output.try_clone()?;
    let child = Command::new(program)
        .args(args)
        .current_dir("/")
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("HOME", "/root")
        .env("TERM", "linux")
        .stdin(Stdio::null())
        .stdout(Stdio::from(output))
        .stderr(Stdio::from(second))
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&child))
}

/// The next child, ours or an orphan, that has ended.
pub fn reap() -> Option<(Pid, Ended)> {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => {
                if let Some(ended) = Ended::from_status(status) {
                    return Some((pid, ended));
                }
            }
            Err(rustix::io::Errno::INTR) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

/// Sends a signal; a process that is gone is no error.
pub fn kill(pid: Pid, signal: Signal) {
    let _ = rustix::process::kill_process(pid, signal);
}

/// The first of the usual folders that holds this program.
pub fn find(name: &str) -> Option<String> {
    ["/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin"]
        .iter()
        .map(|folder| format!("{folder}/{name}"))
        .find(|path| std::path::Path::new(path).exists())
}
