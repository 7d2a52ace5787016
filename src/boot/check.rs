//! A boot without a person: start the machine, follow init's report, press the power button.

use super::machine::{Console, Machine};
use super::qmp::Qmp;
use crate::problem::{Problem, Result};
use hookos_guest::report::{Memory, Report, ServiceState};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A running machine with its console and report at hand. Dropping it ends QEMU.
pub struct Guest {
    child: Child,
    console: UnixStream,
    seen: Arc<Seen>,
    reports: Receiver<Report>,
    folder: tempfile::TempDir,
}

/// What the console has printed so far.
#[derive(Default)]
struct Seen {
    text: Mutex<Vec<u8>>,
    more: Condvar,
}

impl Guest {
    /// Starts `machine` with console, report and monitor on private sockets. `echo` gets the
    /// console's bytes as they come.
    pub fn start(mut machine: Machine, mut echo: impl Write + Send + 'static) -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("hookos-boot-")
            .tempdir()
            .map_err(|e| Problem::new("cannot make a folder for QEMU's sockets").because(e))?;
        let path = |name: &str| folder.path().join(name);
        machine.console = Console::Socket(path("console"));
        machine.report = Some(path("report"));
        machine.qmp = Some(path("qmp"));
        let child = Command::new(&machine.qemu)
            .args(machine.arguments())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| Problem::new(format!("cannot start {}", machine.qemu.display())).because(e))?;
        let mut child = Reaper(Some(child));
        // QEMU waits for a client on these sockets one after the other, in this order.
        let console = connect(&path("console"), &mut child)?;
        let report = connect(&path("report"), &mut child)?;

        let seen = Arc::new(Seen::default());
        let into = Arc::clone(&seen);
        let mut from =
            console.try_clone().map_err(|e| Problem::new("cannot read the guest's console").because(e))?;
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(n @ 1..) = from.read(&mut buffer) {
                let _ = echo.write_all(&buffer[..n]).and_then(|()| echo.flush());
                into.text.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..n]);
                into.more.notify_all();
            }
        });
        let (sender, reports) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(report).split(b'\n').map_while(|line| line.ok()) {
                // A line that is not a report is a newer init talking: nothing to fail for.
                if let Ok(report) = serde_json::from_slice(&line)
                    && sender.send(report).is_err()
                {
                    break;
                }
            }
        });
        let Some(child) = child.0.take() else { return Err(Problem::new("QEMU is gone")) };
        Ok(Self { child, console, seen, reports, folder })
    }

    /// The next report within `patience`; none when the guest has closed the port or time is up.
    pub fn report(&mut self, patience: Duration) -> Option<Report> {
        let until = Instant::now() + patience;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            match self.reports.recv_timeout(left.min(Duration::from_millis(200))) {
                Ok(report) => return Some(report),
                Err(RecvTimeoutError::Disconnected) => return None,
                Err(RecvTimeoutError::Timeout) if left.is_zero() => return None,
                Err(RecvTimeoutError::Timeout) => {
                    if let Ok(Some(_)) = self.child.try_wait() {
                        return self.reports.try_recv().ok();
                    }
                }
            }
        }
    }

    /// Types text on the console.
    pub fn send(&mut self, text: &str) -> Result<()> {
        self.console
            .write_all(text.as_bytes())
            .map_err(|e| Problem::new("cannot type on the guest's console").because(e))
    }

    /// How many bytes the console has printed.
    pub fn printed(&self) -> usize {
        self.seen.text.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Waits until the console has printed `what` after byte `from`; gives the text from there to
    /// the end of `what`.
    pub fn wait_for(&self, what: &str, from: usize, patience: Duration) -> Result<String> {
        let until = Instant::now() + patience;
        let mut text = self.seen.text.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let fresh = String::from_utf8_lossy(text.get(from..).unwrap_or_default()).into_owned();
            if let Some(at) = fresh.find(what) {
                return Ok(fresh[..at + what.len()].to_owned());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(Problem::new(format!(
                    "the guest's console did not print {what:?} within {} s; its last lines:\n{}",
                    patience.as_secs(),
                    tail(&fresh)
                )));
            }
            text = self.seen.more.wait_timeout(text, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Everything that the console has printed.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.seen.text.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }

    /// The last lines of the console.
    pub fn last_lines(&self) -> String {
        tail(&self.text())
    }

    /// Presses the power button.
    pub fn power_button(&self) -> Result<()> {
        Qmp::connect(&self.folder.path().join("qmp"))?.power_button()
    }

    /// How QEMU ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    /// Waits for QEMU to end by itself.
    pub fn wait(&mut self, patience: Duration) -> Result<ExitStatus> {
        let until = Instant::now() + patience;
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Ok(status),
                Ok(None) if Instant::now() < until => std::thread::sleep(Duration::from_millis(50)),
                Ok(None) => {
                    return Err(Problem::new(format!(
                        "the guest did not power off within {} s; its console ends with:\n{}",
                        patience.as_secs(),
                        self.last_lines()
                    )));
                }
                Err(e) => return Err(Problem::new("cannot wait for QEMU").because(e)),
            }
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends a QEMU whose start did not come through.
struct Reaper(Option<Child>);

impl Drop for Reaper {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}

/// Connects to a socket that QEMU is about to make.
fn connect(path: &Path, qemu: &mut Reaper) -> Result<UnixStream> {
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        if let Ok(stream) = UnixStream::connect(path) {
            return Ok(stream);
        }
        let ended = match &mut qemu.0 {
            Some(child) => child.try_wait().ok().flatten(),
            None => None,
        };
        if let Some(status) = ended {
            let mut said = String::new();
            if let Some(stderr) = qemu.0.as_mut().and_then(|child| child.stderr.take()) {
                let _ = stderr.take(4096).read_to_string(&mut said);
            }
            return Err(Problem::new(format!("QEMU ended at once ({status}): {}", said.trim())));
        }
        if Instant::now() > until {
            return Err(Problem::new("QEMU did not open its sockets within 20 s"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One onboot container that has ended.
#[derive(Debug, Clone, serde::Serialize)]
pub struct Step {
    pub name: String,
    pub exit: i32,
    /// When it ended.
    pub at: f64,
    pub seconds: f64,
}

/// What a checked boot showed. Times are seconds since the kernel started.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct Verdict {
    pub kernel: String,
    /// When init took over from the kernel.
    pub init_at: f64,
    /// How long the kernel unpacked the initramfs before that.
    pub unpacking: Option<f64>,
    /// Name and seconds of each step of init, in order.
    pub steps: Vec<(String, f64)>,
    /// In the order in which they ended.
    pub onboot: Vec<Step>,
    /// When each service was first running.
    pub services: BTreeMap<String, f64>,
    /// When everything was up.
    pub ready_at: Option<f64>,
    /// Names of what failed.
    pub failed: Vec<String>,
    pub memory: Option<Memory>,
    /// Whether the machine powered off when its button was pressed.
    pub clean_power_off: bool,
}

impl Verdict {
    pub fn good(&self) -> bool {
        self.ready_at.is_some() && self.failed.is_empty() && self.clean_power_off
    }

    /// Takes one report in; true when it was the last one before the machine is up.
    pub fn take(&mut self, report: Report) -> bool {
        match report {
            Report::Init { at, kernel, unpacking } => {
                self.init_at = at;
                self.unpacking = unpacking;
                self.kernel = kernel;
            }
            Report::Step { name, seconds, .. } => self.steps.push((name, seconds)),
            Report::Onboot { name, exit, at, seconds } => {
                if exit != 0 {
                    self.failed.push(name.clone());
                }
                self.onboot.push(Step { name, exit, at, seconds });
            }
            Report::Service { name, state: ServiceState::Running, at, .. } => {
                self.services.entry(name).or_insert(at);
            }
            Report::Ready { at, memory, failed } => {
                self.ready_at = Some(at);
                self.memory = Some(memory);
                for name in failed {
                    if !self.failed.contains(&name) {
                        self.failed.push(name);
                    }
                }
                return true;
            }
            _ => {}
        }
        false
    }

    /// The breakdown as people read it.
    pub fn text(&self) -> String {
        use std::fmt::Write as _;
        let mut out = String::new();
        let mut line = |at: Option<f64>, seconds: Option<f64>, what: &str| {
            let at = at.map_or(String::new(), |s| format!("{s:.2}"));
            let seconds = seconds.map_or(String::new(), |s| format!("{s:.2}"));
            let _ = writeln!(out, "{at:>9} {seconds:>9}  {what}");
        };
        line(Some(self.init_at), Some(self.init_at), &format!("kernel {} to init", self.kernel));
        if let Some(seconds) = self.unpacking {
            line(None, Some(seconds), "  of it unpacking the initramfs");
        }
        for (name, seconds) in &self.steps {
            line(None, Some(*seconds), &format!("init: {name}"));
        }
        for Step { name, exit, at, seconds } in &self.onboot {
            let how = if *exit == 0 { String::new() } else { format!("  FAILED with exit code {exit}") };
            line(Some(*at), Some(*seconds), &format!("onboot {name}{how}"));
        }
        let mut services: Vec<_> = self.services.iter().collect();
        services.sort_by(|a, b| a.1.total_cmp(b.1));
        for (name, at) in services {
            line(Some(*at), None, &format!("service {name} running"));
        }
        if let Some(at) = self.ready_at {
            line(Some(at), None, "all up");
        }
        let mut out = format!("  at, s   took, s\n{out}");
        if let Some(m) = self.memory {
            let mib = |bytes: u64| bytes / (1024 * 1024);
            let used = mib(m.total.saturating_sub(m.available));
            let _ = writeln!(
                out,
                "memory: {used} of {} MiB in use, {} MiB of it files of the image",
                mib(m.total),
                mib(m.root)
            );
        }
        for name in &self.failed {
            let _ = writeln!(out, "FAILED: {name}");
        }
        out
    }
}

/// Boots `machine`, waits until init reports that all is up, then powers it off by its button.
///
/// Fails when there is no report within `patience`; a report of failures is a [`Verdict`].
pub fn check(
    machine: Machine,
    echo: impl Write + Send + 'static,
    patience: Duration,
    cancelled: impl Fn() -> bool,
) -> Result<Verdict> {
    let mut guest = Guest::start(machine, echo)?;
    let mut verdict = Verdict::default();
    let until = Instant::now() + patience;
    loop {
        if cancelled() {
            return Err(Problem::cancelled());
        }
        if let Some(report) = guest.report(Duration::from_millis(500)) {
            if verdict.take(report) {
                break;
            }
        } else if let Some(status) = guest.ended() {
            return Err(Problem::new(format!("the guest ended before it was up ({status})"))
                .remedy(format!("read its console, which ends with:\n{}", guest.last_lines())));
        } else if Instant::now() > until {
            return Err(Problem::new(format!("the guest was not up within {} s", patience.as_secs()))
                .remedy(format!("read its console, which ends with:\n{}", guest.last_lines())));
        }
    }
    // The service that watches the button may have been running for a moment only.
    let mut pressed = 0;
    while pressed < 3 && !verdict.clean_power_off {
        guest.power_button()?;
        pressed += 1;
        verdict.clean_power_off = guest.wait(Duration::from_secs(20)).is_ok_and(|status| status.success());
    }
    if !verdict.clean_power_off {
        verdict.failed.push("power button: the machine did not power off".to_owned());
    }
    Ok(verdict)
}
