//! One build: where its events go, where its logs are, how it is cancelled.

use super::event::{Event, Outcome, Stage};
use super::explain::Piece;
use super::record::{self, Recorded, Recorder, RunLock, RunRecord, Running};
use crate::problem::{Exit, Problem, Result};
use crate::progress::{Progress, Unit};
use crate::site::ResolvedSite;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Set once by a signal or a person; every piece of work asks it. Clones share one state.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicI32>);

impl Cancel {
    /// Asks the work to stop; `exit` says with which exit code the program will end.
    pub fn cancel(&self, exit: Exit) {
        let _ = self.0.compare_exchange(0, exit as i32, Ordering::SeqCst, Ordering::SeqCst);
    }

    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed) != 0
    }

    /// A [`Problem`] when cancelled, for use with `?` between pieces of work.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(self.problem()) } else { Ok(()) }
    }

    /// The problem that a cancelled build ends with.
    pub fn problem(&self) -> Problem {
        let exit = if self.0.load(Ordering::SeqCst) == Exit::Terminated as i32 {
            Exit::Terminated
        } else {
            Exit::Interrupted
        };
        Problem::new("cancelled; what was finished stays in the store").exit_with(exit)
    }
}

/// A running build. Shared by reference between threads.
pub struct Run {
    id: String,
    logs: PathBuf,
    events: SyncSender<Event>,
    cancel: Cancel,
    files: Mutex<HashMap<Stage, File>>,
    /// Every event, for other processes to follow.
    recorded: Mutex<(Option<File>, Recorder)>,
    record: Option<RunRecord>,
    pieces: Mutex<Vec<Piece>>,
    _lock: RunLock,
    started: Instant,
}

impl Run {
    /// Starts a run whose logs go to `out/logs/<id>/`. The channel is bounded, so a face that does
    /// not keep up slows the build instead of filling memory; it must read until the run is dropped.
    pub fn start(profile: &str, out: &Path, events: SyncSender<Event>, cancel: Cancel) -> Result<Self> {
        let now = jiff::Timestamp::now();
        let id = format!("{}-{}", now.strftime("%Y%m%dT%H%M%SZ"), std::process::id());
        let all = out.join("logs");
        let logs = all.join(&id);
        let running = Running { run: id.clone(), pid: std::process::id(), since: now.as_second() };
        let lock = RunLock::take(&all, &running)?;
        fs::create_dir_all(&logs)
            .map_err(|e| Problem::new(format!("cannot make the log folder {}", logs.display())).because(e))?;
        let path = logs.join(record::EVENTS);
        let recorded = File::create(&path)
            .map_err(|e| Problem::new("the events cannot be recorded").in_file(&path).because(e))?;
        let run = Self {
            recorded: Mutex::new((Some(recorded), Recorder::default())),
            record: None,
            pieces: Mutex::default(),
            _lock: lock,
            id: id.clone(),
            logs: logs.clone(),
            events,
            cancel,
            files: Mutex::default(),
            started: Instant::now(),
        };
        run.send(Event::RunStarted { run: id, profile: profile.to_owned(), logs });
        Ok(run)
    }

    pub fn id(&self) -> &str {
        &self.id
    }

    pub fn logs(&self) -> &Path {
        &self.logs
    }

    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Records the settings that this run is of, for later comparison.
    #[must_use]
    pub fn of_site(mut self, site: &ResolvedSite) -> Self {
        let fields = record::fields(site);
        // Without it a later command lacks what differed, which is no failure of the build.
        let _ = record::write_settings(&self.logs, &fields);
        self.record = Some(RunRecord {
            run: self.id.clone(),
            profile: site.name.clone(),
            outcome: Outcome::Failed,
            ended: 0,
            seconds: 0.0,
            fields,
            took: Vec::new(),
        });
        self
    }

    /// The pieces of work so far, sorted by name.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces = self.pieces.lock().unwrap_or_else(PoisonError::into_inner).clone();
        pieces.sort_by(|a, b| a.name.cmp(&b.name));
        // What a second base needs too, the first has made.
        pieces.dedup_by(|later, first| later.name == first.name && later.key == first.key);
        pieces
    }

    /// Sends an event; a face that has gone away is no reason to stop the build.
    pub fn send(&self, event: Event) {
        self.note(&event);
        let _ = self.events.send(event);
    }

    /// Writes an event where others read it. A full disk must not hide the failure that filled it.
    fn note(&self, event: &Event) {
        let mut recorded = self.recorded.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, recorder) = &mut *recorded;
        recorder.take(event);
        let at = self.started.elapsed().as_millis() as u64;
        let Ok(mut line) = serde_json::to_vec(&Recorded { at, event: event.clone() }) else { return };
        line.push(b'\n');
        // After half a line no other may follow.
        if file.as_mut().is_some_and(|file| file.write_all(&line).is_err()) {
            *file = None;
        }
    }

    /// Ends the run: what is known of it is written for later.
    pub fn finish<T>(&self, result: &Result<T>) {
        let outcome = self.outcome(result);
        let seconds = self.started.elapsed().as_secs_f64();
        if let Some(record) = &self.record {
            let took = self.recorded.lock().unwrap_or_else(PoisonError::into_inner).1.took();
            let ended = jiff::Timestamp::now().as_second();
            // Without the record there is nothing to compare with later, which is no failure of the build.
            let _ = record::write(&self.logs, &RunRecord { outcome, ended, seconds, took, ..record.clone() });
        }
        if let Err(problem) = result {
            self.send(Event::Problem(problem.clone()));
        }
        self.send(Event::RunFinished { outcome, seconds });
    }

    fn outcome<T>(&self, result: &Result<T>) -> Outcome {
        match result {
            Ok(_) => Outcome::Ok,
            Err(_) if self.cancel.is_cancelled() => Outcome::Cancelled,
            Err(_) => Outcome::Failed,
        }
    }

    /// Does one stage and reports how it went.
    pub fn stage<T>(&self, stage: Stage, work: impl FnOnce(&Task<'_>) -> Result<T>) -> Result<T> {
        self.cancel.check()?;
        let started = Instant::now();
        self.send(Event::StageStarted { stage });
        let task = Task::new(self, stage, None);
        let result = self.settle(work(&task), &task);
        let outcome = self.outcome(&result);
        self.send(Event::StageFinished { stage, outcome, seconds: started.elapsed().as_secs_f64() });
        result
    }

    /// A failure is written to the stage's log too; a failure after a cancel is the cancel.
    fn settle<T>(&self, result: Result<T>, task: &Task<'_>) -> Result<T> {
        result.map_err(|problem| {
            self.write_log(task.stage, task.item.as_deref(), &format!("failed: {problem}"));
            if self.cancel.is_cancelled() { self.cancel.problem() } else { problem }
        })
    }

    /// Raw lines reach the log file before anything else sees them.
    fn write_log(&self, stage: Stage, item: Option<&str>, line: &str) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if let std::collections::hash_map::Entry::Vacant(slot) = files.entry(stage) {
            match File::create(self.logs.join(format!("{stage}.log"))) {
                Ok(file) => {
                    slot.insert(file);
                }
                Err(_) => return,
            }
        }
        if let Some(file) = files.get_mut(&stage) {
            // A full disk must not hide the failure that filled it.
            let _ = match item {
                Some(item) => writeln!(file, "[{item}] {line}"),
                None => writeln!(file, "{line}"),
            };
        }
    }
}

/// A piece of work inside a run: a stage, or one item of it. This is what work reports to.
pub struct Task<'a> {
    run: &'a Run,
    stage: Stage,
    item: Option<String>,
    /// Milliseconds of the run at the last progress event: at most ten a second are sent.
    last: AtomicU64,
}

impl<'a> Task<'a> {
    const EVERY: Duration = Duration::from_millis(100);

    fn new(run: &'a Run, stage: Stage, item: Option<String>) -> Self {
        Self { run, stage, item, last: AtomicU64::new(0) }
    }

    pub fn run(&self) -> &Run {
        self.run
    }

    /// Does one item of this stage and reports how it went.
    pub fn item<T>(&self, name: &str, work: impl FnOnce(&Task<'_>) -> Result<T>) -> Result<T> {
        self.run.cancel.check()?;
        let (stage, item) = (self.stage, name.to_owned());
        let started = Instant::now();
        self.run.send(Event::ItemStarted { stage, item: item.clone() });
        let task = Task::new(self.run, stage, Some(item.clone()));
        let result = self.run.settle(work(&task), &task);
        let outcome = self.run.outcome(&result);
        let seconds = started.elapsed().as_secs_f64();
        self.run.send(Event::ItemFinished { stage, item, outcome, seconds });
        result
    }

    /// Says what decided this item, and whether its result was in the store.
    pub fn settled(&self, key: &str, inputs: impl IntoIterator<Item = (String, String)>, reused: bool) {
        let Some(item) = self.item.clone() else { return };
        self.note(&item, key, inputs, (reused, true));
        if reused {
            self.run.send(Event::Cached { stage: self.stage, item });
        }
    }

    /// Says what decided this item, whose result no store keeps.
    pub fn made_each_time(&self, key: &str, inputs: impl IntoIterator<Item = (String, String)>) {
        if let Some(item) = &self.item {
            self.note(item, key, inputs, (false, false));
        }
    }

    /// As [`Task::settled`], for a part of this item that has no events of its own.
    pub fn settled_part(
        &self,
        part: &str,
        key: &str,
        inputs: impl IntoIterator<Item = (String, String)>,
        reused: bool,
    ) {
        self.note(part, key, inputs, (reused, true));
    }

    fn note(
        &self,
        item: &str,
        key: &str,
        inputs: impl IntoIterator<Item = (String, String)>,
        (reused, kept): (bool, bool),
    ) {
        let name = format!("{}/{item}", self.stage);
        let piece = Piece { name, key: key.to_owned(), inputs: inputs.into_iter().collect(), reused, kept };
        self.run.pieces.lock().unwrap_or_else(PoisonError::into_inner).push(piece);
    }
}

impl Progress for Task<'_> {
    fn at(&self, done: u64, total: u64, unit: Unit) {
        let now = self.run.started.elapsed().as_millis() as u64;
        let last = self.last.load(Ordering::Relaxed);
        let due = last == 0 || now.saturating_sub(last) >= Self::EVERY.as_millis() as u64 || done == total;
        if due && self.last.compare_exchange(last, now.max(1), Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let (stage, item) = (self.stage, self.item.clone());
            self.run.send(Event::Progress { stage, item, done, total, unit });
        }
    }

    fn log(&self, line: &str) {
        self.run.write_log(self.stage, self.item.as_deref(), line);
        let (stage, item) = (self.stage, self.item.clone());
        self.run.send(Event::Log { stage, item, line: line.to_owned() });
    }

    fn warn(&self, text: &str) {
        self.run.write_log(self.stage, self.item.as_deref(), &format!("warning: {text}"));
        let (stage, item) = (self.stage, self.item.clone());
        self.run.send(Event::Warning { stage, item, text: text.to_owned() });
    }

    fn cancelled(&self) -> bool {
        self.run.cancel.is_cancelled()
    }
}
