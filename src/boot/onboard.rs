//! A trial of the main job: the image in QEMU, the orchestrator stand-in on this machine's loopback,
//! and what the stand-in sees told step by step.

use super::check::Guest;
use super::machine::Machine;
use super::trial;
use crate::problem::{Problem, Result};
use crate::store::Store;
use hookos_guest::report::Report;
use serde::Deserialize;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// One line of the stand-in's record (tests/orchestrator), as far as the steps need it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Event {
    Started {
        address: SocketAddr,
    },
    Refused {
        why: String,
    },
    OnboardRequest {
        uuid: String,
        serial: String,
        mac: String,
        address: String,
        answer: String,
    },
    Token {
        grant: String,
        status: u16,
    },
    ReleaseToken {
        status: u16,
    },
    Fetch {
        route: String,
        path: String,
        status: u16,
        token: String,
    },
    Worker {
        method: String,
        worker_id: String,
        token: String,
    },
    Logs {
        host_guid: String,
        lines: Vec<serde_json::Value>,
    },
    /// A line that a newer stand-in writes.
    #[serde(other)]
    Unknown,
}

/// One thing that must happen until the machine can install an operating system.
pub struct Step {
    pub title: &'static str,
    /// What to say of an event that is this step.
    seen: fn(&Event) -> Option<String>,
}

/// The steps in the order in which they mostly happen.
pub const STEPS: &[Step] = &[
    Step {
        title: "the machine names itself",
        seen: |event| match event {
            Event::OnboardRequest { uuid, serial, mac, address, .. } => {
                Some(format!("serial {serial}, UUID {uuid}, {mac} at {address}"))
            }
            _ => None,
        },
    },
    Step {
        title: "the orchestrator gives it credentials",
        seen: |event| match event {
            Event::OnboardRequest { answer, .. } if answer == "onboarded" => Some(String::new()),
            _ => None,
        },
    },
    Step {
        title: "the identity provider gives it an access token",
        seen: |event| match event {
            Event::Token { grant, status: 200 } => Some(format!("grant {grant}")),
            _ => None,
        },
    },
    Step {
        title: "the release service gives it a release token",
        seen: |event| match event {
            Event::ReleaseToken { status: 200 } => Some(String::new()),
            _ => None,
        },
    },
    Step {
        title: "its logs arrive",
        seen: |event| match event {
            Event::Logs { host_guid, lines } if !lines.is_empty() => {
                Some(format!("{} lines of {host_guid}", lines.len()))
            }
            _ => None,
        },
    },
    Step {
        title: "the worker's image is fetched through the proxy",
        seen: |event| match event {
            Event::Fetch { route, path, .. } if good(event) && route == "oci" && path.contains("worker") => {
                Some(path.clone())
            }
            _ => None,
        },
    },
    Step {
        title: "the worker asks for its workflow (port 42113)",
        seen: |event| match event {
            Event::Worker { method, worker_id, .. } if good(event) => {
                Some(format!("{method} from {worker_id}"))
            }
            _ => None,
        },
    },
    Step { title: "a file of the Tinkerbell stack is fetched", seen: |event| fetched(event, "tink-stack") },
    Step { title: "a file of the release service is fetched", seen: |event| fetched(event, "files") },
    Step {
        title: "an OCI artifact of the release service is fetched (port 7443)",
        seen: |event| match event {
            Event::Fetch { path, .. } if path.ends_with("/hello/manifests/latest") => fetched(event, "oci"),
            _ => None,
        },
    },
];

/// A request that was answered, with the right token.
fn good(event: &Event) -> bool {
    match event {
        Event::Fetch { status, token, .. } => *status == 200 && token == "valid",
        Event::Worker { token, .. } => token == "valid",
        _ => false,
    }
}

fn fetched(event: &Event, wanted: &str) -> Option<String> {
    match event {
        Event::Fetch { route, path, .. } if good(event) && route == wanted => Some(path.clone()),
        _ => None,
    }
}

/// How far a trial has come.
#[derive(Debug, Default)]
pub struct Steps {
    done: [bool; STEPS.len()],
}

impl Steps {
    /// Takes an event in; gives the steps that it completes, with what to say of them.
    pub fn take(&mut self, event: &Event) -> Vec<(&'static Step, String)> {
        let mut new = Vec::new();
        for (step, done) in STEPS.iter().zip(&mut self.done) {
            if !*done && let Some(detail) = (step.seen)(event) {
                *done = true;
                new.push((step, detail));
            }
        }
        new
    }

    /// What has not happened yet.
    pub fn missing(&self) -> Vec<&'static str> {
        STEPS.iter().zip(self.done).filter(|(_, done)| !done).map(|(step, _)| step.title).collect()
    }
}

/// What a trial needs.
pub struct Trial<'a> {
    pub store: &'a Store,
    /// The stand-in and the worker that it serves: static programs.
    pub stand_in: &'a Path,
    pub worker: &'a Path,
    /// This program, which QEMU calls for each connection ([`trial::forward`]).
    pub relay: &'a Path,
    /// SMBIOS UUID and serial number of the machine.
    pub uuid: &'a str,
    pub serial: &'a str,
    /// How the stand-in shall misbehave, if it shall.
    pub misbehave: Option<&'a str>,
    pub patience: Duration,
    /// Where the guest's console is written to.
    pub console: PathBuf,
}

/// What a trial tells while it runs.
pub enum Told<'a> {
    /// A step is done.
    Step { title: &'a str, detail: &'a str },
    /// Something that a person may want to know: the guest's own words, or the stand-in's.
    Word { who: &'a str, text: &'a str },
}

impl Trial<'_> {
    /// Runs the trial until every step is done, then powers the machine off.
    pub fn run(
        &self,
        mut machine: Machine,
        cancelled: impl Fn() -> bool,
        mut tell: impl FnMut(Duration, Told<'_>),
    ) -> Result<()> {
        let folder = tempfile::Builder::new()
            .prefix("hookos-onboard-")
            .tempdir()
            .map_err(|e| Problem::new("cannot make a folder for the stand-in").because(e))?;
        let mut stand_in = StandIn::start(self, folder.path())?;
        let ca = folder.path().join("ca.pem");
        let ca = std::fs::read_to_string(&ca)
            .map_err(|e| Problem::new("the stand-in left no certificate").in_file(&ca).because(e))?;
        let initramfs = folder.path().join("initramfs");
        trial::initramfs(self.store, &machine.initramfs, &ca, &initramfs)?;
        machine.initramfs = initramfs;
        machine.forwards.push(trial::forward(self.relay, stand_in.address));

        let started = Instant::now();
        let log = File::create(&self.console)
            .map_err(|e| Problem::new("the console cannot be kept").in_file(&self.console).because(e))?;
        let (words, heard) = channel();
        let mut guest = Guest::start(machine, Lines { log, words, line: Vec::new() })?;
        let mut steps = Steps::default();
        let mut up = false;
        while !steps.missing().is_empty() {
            if cancelled() {
                return Err(Problem::cancelled());
            }
            while let Some(report) = guest.report(Duration::ZERO) {
                if let (Report::Ready { at, failed, .. }, false) = (&report, up) {
                    up = true;
                    let mut detail = format!("{at:.1} s after the kernel started");
                    if !failed.is_empty() {
                        detail.push_str(&format!("; failed: {}", failed.join(", ")));
                    }
                    tell(
                        started.elapsed(),
                        Told::Step { title: "every service is started", detail: &detail },
                    );
                }
            }
            while let Ok(line) = heard.try_recv() {
                tell(started.elapsed(), Told::Word { who: "machine", text: &line });
            }
            match stand_in.events.recv_timeout(Duration::from_millis(100)) {
                Ok(Event::Refused { why }) => {
                    tell(started.elapsed(), Told::Word { who: "orchestrator", text: &why });
                }
                Ok(event) => {
                    for (step, detail) in steps.take(&event) {
                        tell(started.elapsed(), Told::Step { title: step.title, detail: &detail });
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => {
                    return Err(Problem::new("the orchestrator stand-in has ended"));
                }
            }
            if let Some(status) = guest.ended() {
                return Err(Problem::new(format!("the machine ended before it was onboarded ({status})"))
                    .remedy(format!("read its console: {}", self.console.display())));
            }
            if started.elapsed() > self.patience {
                let missing = steps.missing().join("\n  ");
                return Err(Problem::new(format!(
                    "within {} s this did not happen:\n  {missing}",
                    self.patience.as_secs()
                ))
                .remedy(format!("read the machine's console: {}", self.console.display())));
            }
        }
        guest.power_button()?;
        guest.wait(Duration::from_secs(60))?;
        tell(started.elapsed(), Told::Step { title: "the machine powers off", detail: "" });
        stand_in.child.stop();
        Ok(())
    }
}

/// The running stand-in.
struct StandIn {
    child: Ended,
    address: SocketAddr,
    events: Receiver<Event>,
}

/// A child that is ended with its owner.
struct Ended(Child);

impl Ended {
    fn stop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.stop();
    }
}

impl StandIn {
    fn start(trial: &Trial<'_>, folder: &Path) -> Result<Self> {
        let mut command = Command::new(trial.stand_in);
        command.args(["--json", "--listen", "127.0.0.1:0", "--domain", trial::DOMAIN]);
        command.args(["--known", &format!("{},{}", trial.uuid, trial.serial), "--registered-rounds", "1"]);
        command.arg("--folder").arg(folder).arg("--worker").arg(trial.worker);
        if let Some(how) = trial.misbehave {
            command.args(["--misbehave", how]);
        }
        // Its standard input stays open: it ends when that closes.
        let child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|e| Problem::new("the orchestrator stand-in cannot be started").because(e))?;
        let mut child = Ended(child);
        let Some(out) = child.0.stdout.take() else {
            return Err(Problem::new("the orchestrator stand-in has no output"));
        };
        let (sender, events) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(out).lines().map_while(std::result::Result::ok) {
                if let Ok(event) = serde_json::from_str(&line)
                    && sender.send(event).is_err()
                {
                    break;
                }
            }
        });
        loop {
            match events.recv_timeout(Duration::from_secs(20)) {
                Ok(Event::Started { address }) => return Ok(Self { child, address, events }),
                Ok(_) => {}
                Err(_) => return Err(Problem::new("the orchestrator stand-in did not start")),
            }
        }
    }
}

/// Keeps the console in a file, and picks out the lines by which the image's programs speak to people.
struct Lines {
    log: File,
    words: std::sync::mpsc::Sender<String>,
    line: Vec<u8>,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.log.write(bytes)?;
        for byte in &bytes[..written] {
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            let line = String::from_utf8_lossy(&self.line);
            if let Some(words) = words_of(line.trim()) {
                let _ = self.words.send(words.to_owned());
            }
            self.line.clear();
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.log.flush()
    }
}

/// `[   12.345678] caddy: waiting` without the time, if one of our programs says it.
fn words_of(line: &str) -> Option<&str> {
    const PROGRAMS: &[&str] =
        &["hookos", "device-discovery", "caddy", "bootkit", "hook-docker", "network", "ntp", "syslog-ng"];
    let (time, words) = line.strip_prefix('[')?.split_once("] ")?;
    time.trim().parse::<f64>().ok()?;
    let (program, _) = words.split_once(": ")?;
    PROGRAMS.contains(&program).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: &str) -> Event {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn each_step_is_told_once_and_only_with_the_right_token() {
        let mut steps = Steps::default();
        let asked = event(
            r#"{"at":1.5,"what":"onboard-request","uuid":"u","serial":"s","mac":"m","address":"a","answer":"registered"}"#,
        );
        assert_eq!(steps.take(&asked).len(), 1);
        assert!(steps.take(&asked).is_empty());
        let fetch = |token: &str| {
            event(&format!(
                r#"{{"what":"fetch","route":"files","host":"h","path":"/x","status":200,"token":"{token}"}}"#
            ))
        };
        assert!(steps.take(&fetch("expired")).is_empty());
        assert_eq!(steps.take(&fetch("valid"))[0].1, "/x");
        assert_eq!(steps.missing().len(), STEPS.len() - 2);
        assert_eq!(event(r#"{"what":"from-the-future"}"#), Event::Unknown);
    }

    #[test]
    fn only_the_words_of_our_programs_are_passed_on() {
        assert_eq!(words_of("[   12.5] caddy: waiting"), Some("caddy: waiting"));
        for line in ["[   12.5] usb 1-1: new device", "caddy: waiting", "[x] caddy: y", "", "[1] caddy"] {
            assert_eq!(words_of(line), None, "{line}");
        }
    }
}
