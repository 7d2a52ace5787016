//! dockerd as a child: its output, its end, and ours.

use crate::NAME;
use crate::config::Wanted;
use hookos_guest::notice;
use hookos_guest::secret::Secrets;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::collections::VecDeque;
use std::io::{self, BufRead as _, BufReader, PipeReader, pipe};
use std::process::{Command, ExitStatus};
use std::sync::mpsc::{Sender, channel};
use std::time::Duration;

/// Where Debian has the engine, its containerd and its helpers.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// The authorities of the site, read beside the public ones.
const AUTHORITIES: &str = "/etc/idp";
/// PID 1 kills after 10 seconds; what is left then is ended here, in order.
const PATIENCE: Duration = Duration::from_secs(8);

enum Event {
    Ended(io::Result<ExitStatus>),
    /// No more output: dockerd and all that it started have closed it.
    Silent(Vec<String>),
    Signal,
}

/// Runs dockerd until it ends, which is an error, or until a signal, after which it is asked to end.
pub fn run(wanted: &Wanted) -> Result<(), String> {
    let failed = |e: io::Error| format!("cannot start dockerd: {e}");
    let (events, next) = channel();
    // Before the child is there: a signal in between must not be lost.
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(failed)?;
    let sender = events.clone();
    spawn("signals", move || {
        for _ in signals.forever() {
            let _ = sender.send(Event::Signal);
        }
    })?;
    let (reader, writer) = pipe().map_err(failed)?;
    let mut child = Command::new("/usr/sbin/dockerd")
        .args(["--config-file", crate::config::FILE])
        .env_clear()
        .env("PATH", PATH)
        .env("SSL_CERT_DIR", AUTHORITIES)
        .envs(wanted.proxies.iter().map(|(key, value)| (*key, value.as_str())))
        .stdin(std::process::Stdio::null())
        .stdout(writer.try_clone().map_err(failed)?)
        .stderr(writer)
        .spawn()
        .map_err(failed)?;
    let pid =
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or("dockerd has no process number")?;
    // A descriptor, not the number: after its end the number may be another's.
    let process = pidfd_open(pid, PidfdFlags::empty()).map_err(|e| failed(e.into()))?;
    let sender = events.clone();
    spawn("wait", move || {
        let _ = sender.send(Event::Ended(child.wait()));
    })?;
    output(reader, wanted.secrets.clone(), events)?;

    let (mut stopping, mut words) = (false, None);
    loop {
        let event = if stopping { next.recv_timeout(PATIENCE).ok() } else { next.recv().ok() };
        match event {
            Some(Event::Signal) => {
                notice::say(NAME, "stopping dockerd");
                stopping = true;
                let _ = pidfd_send_signal(&process, Signal::TERM);
            }
            Some(Event::Silent(last)) => words = Some(last),
            Some(Event::Ended(_)) if stopping => return Ok(()),
            Some(Event::Ended(status)) => {
                // The last words may still be on the way, and a child that lives on holds the pipe open.
                while words.is_none() {
                    match next.recv_timeout(Duration::from_secs(1)) {
                        Ok(Event::Silent(last)) => words = Some(last),
                        Ok(_) => {}
                        Err(_) => break,
                    }
                }
                return Err(ended(status, &words.unwrap_or_default()));
            }
            None => {
                notice::say(NAME, "dockerd does not end, killing it");
                let _ = pidfd_send_signal(&process, Signal::KILL);
                crate::leftovers::clear();
                return Ok(());
            }
        }
    }
}

fn ended(status: io::Result<ExitStatus>, words: &[String]) -> String {
    let how = status.map_or_else(|e| e.to_string(), |status| status.to_string());
    // Other lines of the engine's log tell of its daily work; what is none of them is a last word.
    let last = || words.last().filter(|line| !line.contains(" level=")).cloned();
    match words.iter().rev().find_map(|line| reason(line)).or_else(last) {
        Some(why) => format!("dockerd ended ({how}): {why}"),
        None => format!("dockerd ended ({how})"),
    }
}

/// The message of a line that tells a failure, if it is one.
fn reason(line: &str) -> Option<String> {
    let at =
        line.find("failed to start").or_else(|| line.find("panic:")).or_else(|| line.find("fatal error:"));
    if let Some(at) = at {
        return line.get(at..).map(str::to_owned);
    }
    let failed = line.contains("level=fatal") || line.contains("level=error");
    let message = line.split_once("msg=").map_or(line, |(_, message)| message);
    failed.then(|| message.trim_matches('"').to_owned())
}

/// Passes the output on to the log line by line, and keeps the last lines.
fn output(reader: PipeReader, secrets: Secrets, events: Sender<Event>) -> Result<(), String> {
    spawn("output", move || {
        let mut last = VecDeque::new();
        for line in BufReader::new(reader).split(b'\n').map_while(Result::ok) {
            let line = secrets.hide(&String::from_utf8_lossy(&line));
            eprintln!("{line}");
            if last.len() == 20 {
                last.pop_front();
            }
            last.push_back(line);
        }
        let _ = events.send(Event::Silent(last.into()));
    })
}

fn spawn(name: &str, work: impl FnOnce() + Send + 'static) -> Result<(), String> {
    let thread = std::thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map(|_| ()).map_err(|e| format!("cannot start the thread `{name}`: {e}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_reason_is_found_among_the_last_lines() {
        let words = [
            r#"time="2026-01-02T03:04:05Z" level=error msg="first trouble""#.to_owned(),
            "failed to start daemon: Error initializing network controller: no iptables".to_owned(),
            r#"time="2026-01-02T03:04:05Z" level=info msg="stopping event stream""#.to_owned(),
        ];
        let ok = || Ok(ExitStatus::default());
        let told = ended(ok(), &words);
        assert!(told.contains("failed to start daemon: Error initializing"), "{told}");
        assert!(ended(ok(), &words[..1]).ends_with("): first trouble"));
        assert_eq!(ended(ok(), &words[2..]), "dockerd ended (exit status: 0)");
        assert!(ended(ok(), &["exec format error".to_owned()]).ends_with(": exec format error"));
        assert_eq!(ended(ok(), &[]), "dockerd ended (exit status: 0)");
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in ".{0,80}") {
            let _ = reason(&line);
        }
    }
}
