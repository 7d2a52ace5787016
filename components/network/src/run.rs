//! Runs other programs: `ip` (busybox) and `dhcpcd`.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Runs `ip` with these arguments; an error is its message.
pub fn ip(arguments: &[&str]) -> Result<(), String> {
    let output = Command::new("ip").args(arguments).stdin(Stdio::null()).output();
    let output = output.map_err(|e| format!("cannot run ip: {e}"))?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("ip {}: {message}", arguments.join(" ")))
}

/// How a program that was given a time ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    Badly(String),
    /// It was killed at the end of its time.
    TooLate,
}

/// Runs a program to its end, at most `limit` long.
pub fn bounded(command: &mut Command, limit: Duration) -> Ended {
    let mut child = match command.stdin(Stdio::null()).spawn() {
        Ok(child) => child,
        Err(e) => return Ended::Badly(e.to_string()),
    };
    let until = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ended::Well,
            Ok(Some(status)) => return Ended::Badly(status.to_string()),
            Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
            Ok(None) => {
                let _ = child.kill();
                let _ = child.wait();
                return Ended::TooLate;
            }
            Err(e) => return Ended::Badly(e.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_told_apart() {
        let second = Duration::from_secs(5);
        assert_eq!(bounded(&mut Command::new("true"), second), Ended::Well);
        assert!(matches!(bounded(&mut Command::new("false"), second), Ended::Badly(_)));
        assert!(matches!(bounded(&mut Command::new("/nowhere"), second), Ended::Badly(_)));
        assert_eq!(bounded(Command::new("sleep").arg("60"), Duration::from_millis(120)), Ended::TooLate);
    }
}
