//! One container: an onboot or onshutdown step, or a supervised service.
//!
//! The OCI runtime (`crun`, or `runc`, whose command line is the same) is called by separate, short
//! processes: `run --detach`, `delete --force`. The container's own first process is an orphan once the
//! former ends, hence PID 1's child: its end is seen at once and with its true exit code, and no runtime
//! stays in memory beside each service. A container that gets interfaces or has its namespaces bound
//! needs `create`, that work, and then `start`.
//!
//! ```text
//! Idle ─► Creating ─► Launching ─► Up ─► Deleting ─► Idle | Waiting ─► Creating
//!            └──────────┴───────────────►┘
//! ```

use std::path::PathBuf;
use std::time::Duration;

use hookos_guest::report::{Report, ServiceState};
use rustix::process::{Pid, Signal};

use crate::backoff::Backoff;
use crate::bundle::{self, After, Bundle, Restart};
use crate::children::{self, Ended};
use crate::logfile::{LIMIT, LogFile};
use crate::output::Output;
use crate::protocol::{Kind, UnitInfo};
use crate::reporter::Reporter;
use crate::{debug, info, mounts};

/// From TERM to KILL.
pub const GRACE: Duration = Duration::from_secs(10);
/// A service counts as running after this.
pub const SETTLED: Duration = Duration::from_secs(1);
/// A step that takes longer than this is named on the console, again and again.
pub const SLOW: Duration = Duration::from_secs(30);
/// Longest time for the runtime's `create` and `start`.
const START_LIMIT: Duration = Duration::from_secs(120);
/// Longest time for the runtime's `delete`.
const DELETE_LIMIT: Duration = Duration::from_secs(30);
/// Exit code reported for a container that could not be started (as Docker does).
const NOT_STARTED: i32 = 125;
/// Ends in a row that are told on the console; later ones are in the log alone.
const LOUD: u32 = 4;

/// What a unit needs from PID 1.
pub struct Context<'a> {
    pub now: Duration,
    /// The OCI runtime's path.
    pub oci: &'a str,
    /// `hookos.debug`: the runtime says what it does, in the unit's log.
    pub verbose: bool,
    pub reporter: &'a mut Reporter,
    /// Children that ended before anyone knew whose they were.
    pub strays: &'a mut Vec<(Pid, Ended)>,
    /// For draining output.
    pub buffer: &'a mut [u8],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Up,
    Down,
    /// Down, then up again.
    Again,
}

#[derive(Debug)]
enum Phase {
    Idle,
    Waiting { until: Duration },
    Creating { oci: Pid, since: Duration },
    Launching { oci: Pid, main: Pid, since: Duration, ended: Option<Ended> },
    Up { main: Pid, since: Duration },
    Deleting { oci: Pid, since: Duration, outcome: Outcome },
}

/// How one run went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Outcome {
    Ended(Ended, Duration),
    NotStarted(String),
}

impl Outcome {
    fn code(&self) -> i32 {
        match self {
            Self::Ended(ended, _) => ended.code(),
            Self::NotStarted(_) => NOT_STARTED,
        }
    }

    fn up(&self) -> Duration {
        match self {
            Self::Ended(_, up) => *up,
            Self::NotStarted(_) => Duration::ZERO,
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Ended(ended, up) => format!("ended with {ended} after {:.1} s", up.as_secs_f64()),
            Self::NotStarted(why) => format!("could not be started: {why}"),
        }
    }
}

/// Whether a service is started again after a run, by its policy.
fn starts_again(policy: Restart, exit: i32) -> bool {
    match policy {
        Restart::Always => true,
        Restart::OnFailure => exit != 0,
        Restart::No => false,
    }
}

#[derive(Debug)]
pub struct Unit {
    pub kind: Kind,
    pub name: String,
    pub output: Output,
    folder: PathBuf,
    bundle: Result<Bundle, String>,
    phase: Phase,
    wanted: Wanted,
    backoff: Backoff,
    restarts: u32,
    /// Start and end of the newest run.
    begun: Duration,
    over: Duration,
    started_before: bool,
    last: Option<Outcome>,
    /// The newest lines of output of the last run that failed.
    last_words: Option<String>,
    /// When patience with the running step ends.
    kill_at: Option<Duration>,
    /// When a step that still runs is named.
    slow_at: Duration,
    reported: Option<ServiceState>,
}

impl Unit {
    pub fn new(kind: Kind, folder: PathBuf) -> Self {
        let name = bundle::name(&folder);
        let log = match kind {
            Kind::Service => format!("/var/log/{name}.log"),
            Kind::Onboot => format!("/var/log/onboot/{name}.log"),
            Kind::Onshutdown => format!("/var/log/onshutdown/{name}.log"),
        };
        Self {
            kind,
            output: Output::new(LogFile::new(log, LIMIT)),
            bundle: Bundle::read(&folder),
            folder,
            name,
            phase: Phase::Idle,
            wanted: Wanted::Down,
            backoff: Backoff::default(),
            restarts: 0,
            begun: Duration::ZERO,
            over: Duration::ZERO,
            started_before: false,
            last: None,
            last_words: None,
            kill_at: None,
            slow_at: Duration::MAX,
            // Before its first start a service is stopped, which is nothing to tell.
            reported: Some(ServiceState::Stopped),
        }
    }

    pub fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether this step has ended. What is left of its container is still being removed perhaps;
    /// the next step need not wait for that.
    pub fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Idle | Phase::Deleting { .. })
    }

    /// Whether those that wait for this one may start: a step has ended, a service has been started, or
    /// could not be. Counts from its first start on.
    pub fn lets_go_on(&self) -> bool {
        match self.kind {
            Kind::Service => !matches!(self.phase, Phase::Creating { .. } | Phase::Launching { .. }),
            Kind::Onboot | Kind::Onshutdown => self.is_over(),
        }
    }

    /// What it waits for before its first start. One that cannot be read waits as others do.
    pub fn after(&self) -> &After {
        self.bundle.as_ref().map_or(&After::Order, |bundle| &bundle.after)
    }

    /// Whether the last run went wrong.
    pub fn failed(&self) -> bool {
        self.last.as_ref().is_some_and(|o| o.code() != 0)
    }

    /// One line about the last failure, for the summary and the report.
    pub fn failure(&self) -> Option<String> {
        let outcome = self.last.as_ref().filter(|o| o.code() != 0)?;
        // Output before a signal says nothing about the signal.
        let words =
            self.last_words.as_deref().filter(|_| matches!(outcome, Outcome::Ended(Ended::Code(_), _)));
        Some(match words {
            Some(last) => format!("{}: {last}", outcome.words()),
            None => outcome.words(),
        })
    }

    /// Up for a while, or down in a way that a further wait will not change soon.
    pub fn is_settled(&self, now: Duration) -> bool {
        match self.state(now) {
            ServiceState::Running | ServiceState::Stopped | ServiceState::Failed => true,
            ServiceState::Starting | ServiceState::Backoff => self.backoff.failures() >= 3,
        }
    }

    pub fn state(&self, now: Duration) -> ServiceState {
        match &self.phase {
            Phase::Creating { .. } | Phase::Launching { .. } => ServiceState::Starting,
            Phase::Up { since, .. } if now.saturating_sub(*since) < SETTLED => ServiceState::Starting,
            Phase::Up { .. } => ServiceState::Running,
            Phase::Deleting { .. } => match self.wanted {
                Wanted::Down => ServiceState::Stopped,
                Wanted::Again => ServiceState::Starting,
                Wanted::Up => ServiceState::Backoff,
            },
            Phase::Waiting { .. } => ServiceState::Backoff,
            // Ended by itself, though it was wanted: good or bad.
            Phase::Idle if self.wanted == Wanted::Up && self.failed() => ServiceState::Failed,
            Phase::Idle => ServiceState::Stopped,
        }
    }

    pub fn info(&self, now: Duration) -> UnitInfo {
        let up = match &self.phase {
            Phase::Up { main, since } => Some((main.as_raw_pid(), now.saturating_sub(*since))),
            _ => None,
        };
        UnitInfo {
            name: self.name.clone(),
            kind: self.kind,
            state: self.state(now),
            pid: up.map(|(pid, _)| pid),
            uptime: up.map(|(_, t)| t.as_secs_f64()),
            busy: !matches!(self.phase, Phase::Idle | Phase::Waiting { .. } | Phase::Up { .. }),
            restarts: self.restarts,
            last_exit: self.last.as_ref().map(Outcome::code),
            message: self.last.as_ref().map(|o| self.failure().unwrap_or_else(|| o.words())),
            log: self.output.log.path().display().to_string(),
        }
    }

    /// Starts the container unless it is up or on its way.
    pub fn start(&mut self, cx: &mut Context<'_>) {
        self.wanted = match self.wanted {
            // Already going down: come up again after that.
            Wanted::Down | Wanted::Again if !matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) => {
                Wanted::Again
            }
            _ => Wanted::Up,
        };
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.create(cx);
        }
    }

    /// Like [`Self::start`], by a person's wish: earlier failures no longer count.
    pub fn start_fresh(&mut self, cx: &mut Context<'_>) {
        self.backoff.reset();
        self.start(cx);
    }

    /// Asks the container to end, and makes it end after [`GRACE`].
    pub fn stop(&mut self, cx: &mut Context<'_>) {
        self.wanted = Wanted::Down;
        match &self.phase {
            Phase::Waiting { .. } => self.phase = Phase::Idle,
            Phase::Up { main, .. } | Phase::Launching { main, .. } => {
                children::kill(*main, Signal::TERM);
                self.kill_at.get_or_insert(cx.now.saturating_add(GRACE));
            }
            Phase::Creating { .. } => {
                self.kill_at.get_or_insert(cx.now.saturating_add(GRACE));
            }
            Phase::Idle | Phase::Deleting { .. } => {}
        }
        self.tell_state(cx);
    }

    /// Ends the container's process now.
    pub fn kill(&mut self, cx: &mut Context<'_>) {
        self.stop(cx);
        self.kill_at = Some(cx.now);
        self.tick(cx);
    }

    pub fn restart(&mut self, cx: &mut Context<'_>) {
        self.backoff.reset();
        if matches!(self.phase, Phase::Idle | Phase::Waiting { .. }) {
            self.restarts = self.restarts.saturating_add(1);
            self.start(cx);
        } else {
            self.stop(cx);
            self.wanted = Wanted::Again;
            self.tell_state(cx);
        }
    }

    /// The earliest time at which [`Self::tick`] has something to do.
    pub fn deadline(&self) -> Option<Duration> {
        let own = match &self.phase {
            Phase::Idle => None,
            Phase::Waiting { until } => Some(*until),
            Phase::Creating { since, .. } | Phase::Launching { since, .. } => Some(*since + START_LIMIT),
            Phase::Up { since, .. } if self.reported != Some(ServiceState::Running) => Some(*since + SETTLED),
            Phase::Up { .. } => None,
            Phase::Deleting { since, .. } => Some(*since + DELETE_LIMIT),
        };
        let slow = self.is_step_at_work().then_some(self.slow_at);
        [own, self.kill_at, slow].into_iter().flatten().min()
    }

    /// Does what time asks for.
    pub fn tick(&mut self, cx: &mut Context<'_>) {
        let now = cx.now;
        let impatient = self.kill_at.is_some_and(|t| now >= t);
        match &mut self.phase {
            Phase::Waiting { until } if now >= *until => {
                self.restarts = self.restarts.saturating_add(1);
                self.create(cx);
            }
            Phase::Creating { oci, since } if impatient || now >= *since + START_LIMIT => {
                children::kill(*oci, Signal::KILL);
                *since = now;
            }
            Phase::Launching { oci, main, since, .. } if impatient || now >= *since + START_LIMIT => {
                children::kill(*oci, Signal::KILL);
                children::kill(*main, Signal::KILL);
                *since = now;
            }
            Phase::Up { main, .. } if impatient => children::kill(*main, Signal::KILL),
            Phase::Deleting { oci, since, .. } if now >= *since + DELETE_LIMIT => {
                children::kill(*oci, Signal::KILL);
                *since = now;
            }
            _ => {}
        }
        if impatient {
            self.kill_at = Some(now.saturating_add(GRACE));
        }
        self.name_if_slow(now);
        self.tell_state(cx);
    }

    /// Whether the machine waits for it, as it does for steps that run once.
    fn is_step_at_work(&self) -> bool {
        self.kind != Kind::Service && !self.is_over()
    }

    /// A step that seems to hang is named: nobody should have to guess what the machine waits for.
    fn name_if_slow(&mut self, now: Duration) {
        if self.is_step_at_work() && now >= self.slow_at {
            let seconds = now.saturating_sub(self.begun).as_secs();
            info!("{} has been running for {seconds} s; what comes after it waits", self.name);
            self.slow_at = now.saturating_add(Duration::from_secs(seconds.clamp(30, 600)));
        }
    }

    /// A child has ended; true if it was this unit's.
    pub fn ended(&mut self, pid: Pid, how: Ended, cx: &mut Context<'_>) -> bool {
        match &mut self.phase {
            Phase::Creating { oci, .. } if *oci == pid => self.created(how, cx),
            Phase::Launching { oci, main, ended, since } if *oci == pid => {
                let (main, ended, since) = (*main, *ended, *since);
                match (how, ended) {
                    (_, Some(end)) => self.delete(Outcome::Ended(end, cx.now.saturating_sub(since)), cx),
                    (Ended::Code(0), None) => self.phase = Phase::Up { main, since: cx.now },
                    (how, None) => {
                        let why = self.why("its start", how, cx);
                        self.delete(Outcome::NotStarted(why), cx);
                    }
                }
            }
            Phase::Launching { main, ended, .. } if *main == pid => *ended = Some(how),
            Phase::Up { main, since } if *main == pid => {
                let up = cx.now.saturating_sub(*since);
                self.delete(Outcome::Ended(how, up), cx);
            }
            Phase::Deleting { oci, outcome, .. } if *oci == pid => {
                let outcome = outcome.clone();
                self.deleted(outcome, cx);
            }
            _ => return false,
        }
        self.tell_state(cx);
        true
    }

    fn attaches(&self) -> bool {
        self.bundle.as_ref().is_ok_and(|b| b.runtime.attaches())
    }

    fn pid_file(&self) -> PathBuf {
        PathBuf::from("/run/hookos/pids").join(&self.name)
    }

    fn oci(&mut self, words: &[&str], cx: &Context<'_>) -> Result<Pid, String> {
        let mut args = vec!["--root", "/run/oci"];
        if cx.verbose {
            args.push("--debug");
        }
        args.extend(words);
        args.push(&self.name);
        let pipe = self.output.new_pipe().map_err(|e| format!("cannot make a pipe: {e}"))?;
        children::spawn(cx.oci, &args, pipe).map_err(|e| format!("cannot run {}: {e}", cx.oci))
    }

    fn create(&mut self, cx: &mut Context<'_>) {
        self.begun = cx.now;
        self.kill_at = None;
        self.slow_at = cx.now.saturating_add(SLOW);
        self.output.log.mark_start();
        let ready = match &self.bundle {
            Ok(bundle) => bundle.runtime.prepare(&self.folder, !self.started_before),
            Err(e) => Err(e.clone()),
        };
        self.started_before = true;
        let folder = self.folder.display().to_string();
        let pid_file = self.pid_file().display().to_string();
        let verb: &[&str] = if self.attaches() { &["create"] } else { &["run", "--detach"] };
        let started = ready
            .and_then(|()| self.oci(&[verb, &["--bundle", &folder, "--pid-file", &pid_file]].concat(), cx));
        match started {
            Ok(oci) => self.phase = Phase::Creating { oci, since: cx.now },
            Err(why) => {
                self.over = cx.now;
                self.deleted(Outcome::NotStarted(why), cx);
            }
        }
        self.tell_state(cx);
    }

    /// `run` or `create` has ended. After the latter, attach what the container needs and
    /// let it go.
    fn created(&mut self, how: Ended, cx: &mut Context<'_>) {
        if how != Ended::Code(0) {
            let why = self.why("the OCI runtime", how, cx);
            return self.delete(Outcome::NotStarted(why), cx);
        }
        let text = std::fs::read_to_string(self.pid_file()).unwrap_or_default();
        let Some(main) = text.trim().parse().ok().filter(|p| *p > 1).and_then(Pid::from_raw) else {
            return self.delete(Outcome::NotStarted("the OCI runtime left no process number".to_owned()), cx);
        };
        if self.wanted != Wanted::Up {
            return self.delete(Outcome::NotStarted("stopped before it began".to_owned()), cx);
        }
        let stray = cx.strays.iter().position(|(pid, _)| *pid == main).map(|at| cx.strays.swap_remove(at).1);
        if let Some(end) = stray {
            return self.delete(Outcome::Ended(end, Duration::ZERO), cx);
        }
        if !self.attaches() {
            self.phase = Phase::Up { main, since: cx.now };
            return;
        }
        let attached = match &self.bundle {
            Ok(bundle) => bundle.runtime.attach(main.as_raw_pid()),
            Err(e) => Err(e.clone()),
        };
        match attached.and_then(|()| self.oci(&["start"], cx)) {
            Ok(oci) => self.phase = Phase::Launching { oci, main, since: cx.now, ended: None },
            Err(why) => self.delete(Outcome::NotStarted(why), cx),
        }
    }

    /// Removes what is left of the container: its processes, its cgroup, the runtime's notes.
    fn delete(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        self.over = cx.now;
        match self.oci(&["delete", "--force"], cx) {
            Ok(oci) => self.phase = Phase::Deleting { oci, since: cx.now, outcome },
            Err(_) => self.deleted(outcome, cx),
        }
    }

    /// All is removed; decide what comes next.
    fn deleted(&mut self, outcome: Outcome, cx: &mut Context<'_>) {
        self.output.drain(cx.buffer, 64);
        mounts::unmount_below(&self.folder);
        let _ = std::fs::remove_file(self.pid_file());
        self.kill_at = None;
        self.phase = Phase::Idle;
        let mut lines = self.output.log.last_lines(5);
        self.last_words = lines.last().cloned();
        if matches!(outcome, Outcome::NotStarted(_)) {
            // They are the runtime's, and said already.
            lines.clear();
        }
        let stopped = self.wanted != Wanted::Up;
        let code = outcome.code();
        let words = outcome.words();
        let wait = self.backoff.after(outcome.up());
        self.last = Some(outcome);
        self.output.log.write(format!("hookos: {} {words}\n", self.name).as_bytes());
        let spent = self.over.saturating_sub(self.begun).as_secs_f64();
        match self.kind {
            Kind::Onboot | Kind::Onshutdown => {
                debug!("{} {words}", self.name);
                cx.reporter.send(&Report::Onboot {
                    name: self.name.clone(),
                    exit: code,
                    at: self.over.as_secs_f64(),
                    seconds: spent,
                });
                if code != 0 {
                    info!("{} {words}", self.name);
                    self.show(&lines);
                    self.tell_problem(cx);
                }
            }
            Kind::Service if self.wanted == Wanted::Again => {
                self.wanted = Wanted::Up;
                self.restarts = self.restarts.saturating_add(1);
                self.backoff.reset();
                self.create(cx);
            }
            Kind::Service if stopped => info!("{} is stopped ({words})", self.name),
            Kind::Service => {
                let policy = self.bundle.as_ref().map_or(Restart::No, |b| b.restart);
                let again = starts_again(policy, code);
                let next = match again {
                    true => format!("; next start in {} s", wait.as_secs()),
                    false => String::new(),
                };
                if again {
                    self.phase = Phase::Waiting { until: cx.now.saturating_add(wait) };
                }
                if self.backoff.failures() <= LOUD {
                    info!("service {} {words}{next}", self.name);
                    if code != 0 {
                        self.show(&lines);
                    }
                } else {
                    debug!("service {} {words}{next}", self.name);
                }
                if code != 0 && self.backoff.failures() <= LOUD {
                    self.tell_problem(cx);
                }
            }
        }
    }

    fn show(&self, lines: &[String]) {
        for line in lines {
            info!("  | {line}");
        }
        if !lines.is_empty() {
            info!("  the whole log: {}", self.output.log.path().display());
        }
    }

    /// Words for a runtime that failed: its own last line if it said one.
    fn why(&mut self, what: &str, how: Ended, cx: &mut Context<'_>) -> String {
        self.output.drain(cx.buffer, 64);
        match self.output.log.last_lines(1).pop() {
            Some(line) => oci_message(&line),
            None => format!("{what} ended with {how}"),
        }
    }

    fn tell_problem(&self, cx: &mut Context<'_>) {
        if let Some(text) = self.failure() {
            cx.reporter.send(&Report::Problem { name: self.name.clone(), text, at: cx.now.as_secs_f64() });
        }
    }

    fn tell_state(&mut self, cx: &mut Context<'_>) {
        let state = self.state(cx.now);
        if self.kind == Kind::Service && self.reported != Some(state) {
            self.reported = Some(state);
            debug!("service {} is {state:?}", self.name);
            cx.reporter.send(&Report::Service {
                name: self.name.clone(),
                state,
                at: cx.now.as_secs_f64(),
                restarts: self.restarts,
            });
        }
        self.reported = Some(state);
    }
}

/// The message in a line of an OCI runtime's log: runc writes `time="..." level=error msg="runc create
/// failed: ..."`, crun `2024-01-01T00:00:00.000000Z: ...`.
fn oci_message(line: &str) -> String {
    let Some((_, message)) = line.split_once("msg=\"") else {
        let dated = line.split_once("Z: ").filter(|(date, _)| date.starts_with(|c: char| c.is_ascii_digit()));
        return dated.map_or(line, |(_, message)| message).to_owned();
    };
    let message = message.strip_suffix('"').unwrap_or(message).replace("\\\"", "\"");
    match message.split_once(" failed: ") {
        Some((what, rest)) if what.starts_with("runc ") => rest.to_owned(),
        _ => message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies() {
        assert!(starts_again(Restart::Always, 0) && starts_again(Restart::Always, 1));
        assert!(!starts_again(Restart::OnFailure, 0) && starts_again(Restart::OnFailure, 137));
        assert!(!starts_again(Restart::No, 0) && !starts_again(Restart::No, 1));
    }

    #[test]
    fn messages_of_oci_runtimes() {
        let line =
            r#"time="2024-01-01T00:00:00Z" level=error msg="runc create failed: exec: \"x\": not found""#;
        assert_eq!(oci_message(line), r#"exec: "x": not found"#);
        let line =
            "2026-01-01T00:00:00.123456Z: executable file `x` not found in $PATH: No such file or directory";
        assert_eq!(oci_message(line), "executable file `x` not found in $PATH: No such file or directory");
        assert_eq!(oci_message("plain"), "plain");
    }

    fn in_context<R>(now: u64, reporter: &mut Reporter, f: impl FnOnce(&mut Context<'_>) -> R) -> R {
        f(&mut Context {
            now: Duration::from_secs(now),
            oci: "/nonexistent/crun",
            verbose: false,
            reporter,
            strays: &mut Vec::new(),
            buffer: &mut [0; 64],
        })
    }

    #[test]
    fn a_bundle_without_config_fails_for_good_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mut unit = Unit::new(Kind::Service, dir.path().join("x"));
        unit.output = Output::new(LogFile::new(dir.path().join("x.log"), 1000));
        let mut reporter = Reporter::default();
        in_context(5, &mut reporter, |cx| unit.start(cx));
        assert_eq!(unit.state(Duration::from_secs(5)), ServiceState::Failed);
        assert!(unit.failure().unwrap().contains("config.json"));
        assert!(unit.is_idle() && unit.is_settled(Duration::from_secs(5)));
    }

    #[test]
    fn a_service_whose_runtime_is_missing_waits_longer_and_longer_and_can_be_stopped() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("x")).unwrap();
        std::fs::write(dir.path().join("x/config.json"), "{}").unwrap();
        let mut unit = Unit::new(Kind::Service, dir.path().join("x"));
        unit.output = Output::new(LogFile::new(dir.path().join("x.log"), 1000));
        let mut reporter = Reporter::default();
        in_context(10, &mut reporter, |cx| unit.start(cx));
        assert_eq!(unit.deadline(), Some(Duration::from_secs(11)));
        in_context(11, &mut reporter, |cx| unit.tick(cx));
        assert_eq!(unit.deadline(), Some(Duration::from_secs(13)));
        in_context(13, &mut reporter, |cx| unit.tick(cx));
        let info = unit.info(Duration::from_secs(13));
        assert_eq!(
            (info.state, info.restarts, info.last_exit),
            (ServiceState::Backoff, 2, Some(NOT_STARTED))
        );
        assert!(
            unit.is_settled(Duration::from_secs(13)),
            "a crash loop does not keep the boot from being ready"
        );
        in_context(14, &mut reporter, |cx| unit.stop(cx));
        assert_eq!(unit.state(Duration::from_secs(14)), ServiceState::Stopped);
        assert_eq!(unit.deadline(), None);
    }
}
