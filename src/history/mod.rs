//! Runs of earlier times and of other processes: what they left, and watching one that goes on.
//!
//! [`crate::build::record`] says which files there are and writes them.

mod background;
mod follow;

pub use background::{Child, cancel, start};
pub use follow::{Follow, Step};

use crate::build::record::{RECORD, RUNNING, RunRecord, Running, SETTINGS};
use crate::build::{Event, Outcome, record};
use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// A run that has ended, or was ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Past {
    /// Its folder of logs.
    pub folder: PathBuf,
    pub run: String,
    pub outcome: Outcome,
    /// When it ended, in seconds since 1970.
    pub ended: i64,
    pub seconds: f64,
}

/// The run that goes on in a profile's folder of logs, in whatever process.
pub fn running(logs: &Path) -> Option<Running> {
    let path = logs.join(RUNNING);
    let file = File::open(&path).ok()?;
    match file.try_lock_shared() {
        Err(TryLockError::WouldBlock) => serde_json::from_slice(&fs::read(&path).ok()?).ok(),
        // Nobody holds it: what the file says is of earlier.
        _ => None,
    }
}

/// The runs of a profile, the newest first; without the one that goes on.
pub fn runs(logs: &Path) -> Vec<Past> {
    let now = running(logs);
    let folders = fs::read_dir(logs).into_iter().flatten().flatten();
    let mut names: Vec<String> = folders
        .filter(|entry| entry.path().is_dir())
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| now.as_ref().is_none_or(|running| running.run != *name))
        .collect();
    // Names begin with the time.
    names.sort_unstable_by(|a, b| b.cmp(a));
    names.into_iter().filter_map(|name| past(&logs.join(&name), &name)).collect()
}

/// The last run of a profile that has ended.
pub fn last(logs: &Path) -> Option<Past> {
    runs(logs).into_iter().next()
}

/// The record of the last run that made an image.
pub fn last_good(logs: &Path) -> Option<(PathBuf, RunRecord)> {
    let good = runs(logs).into_iter().filter(|run| run.outcome == Outcome::Ok);
    good.filter_map(|run| Some((run.folder.clone(), read(&run.folder)?))).next()
}

/// The record of a run.
pub fn read(folder: &Path) -> Option<RunRecord> {
    serde_json::from_slice(&fs::read(folder.join(RECORD)).ok()?).ok()
}

/// The values that a run was begun with, by `section.key`; secrets are masked.
pub fn settings(folder: &Path) -> Option<BTreeMap<String, String>> {
    let begun = fs::read(folder.join(SETTINGS)).ok();
    begun.and_then(|bytes| serde_json::from_slice(&bytes).ok()).or_else(|| Some(read(folder)?.fields))
}

fn past(folder: &Path, run: &str) -> Option<Past> {
    let path = folder.to_owned();
    if let Some(record) = read(folder) {
        let RunRecord { outcome, ended, seconds, .. } = record;
        return Some(Past { folder: path, run: run.to_owned(), outcome, ended, seconds });
    }
    // A run that was killed has no record. Its last event may still say how it ended.
    let events = folder.join(record::EVENTS);
    let modified = fs::metadata(&events).ok()?.modified().ok()?;
    let ended = modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
    let (outcome, seconds) = match last_event(&events) {
        Some(Event::RunFinished { outcome, seconds }) => (outcome, seconds),
        _ => (Outcome::Failed, 0.0),
    };
    Some(Past { folder: path, run: run.to_owned(), outcome, ended: i64::try_from(ended).ok()?, seconds })
}

/// The last whole line of a file of events.
fn last_event(path: &Path) -> Option<Event> {
    const TAIL: u64 = 4096;
    let mut file = File::open(path).ok()?;
    let from = file.metadata().ok()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from)).ok()?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).ok()?;
    let line = bytes.strip_suffix(b"\n")?.rsplit(|b| *b == b'\n').next()?;
    serde_json::from_slice::<record::Recorded>(line).ok().map(|recorded| recorded.event)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::{Cancel, Run, Stage};
    use crate::problem::{Exit, Problem};
    use std::sync::mpsc::sync_channel;

    fn start(out: &Path) -> crate::problem::Result<(Run, std::sync::mpsc::Receiver<Event>)> {
        let (sender, receiver) = sync_channel(1000);
        let site = crate::site::resolve("x", &crate::site::Sources::default()).site;
        Ok((Run::start("x", out, sender, Cancel::default())?.of_site(&site), receiver))
    }

    #[test]
    fn a_run_is_seen_while_it_goes_on_and_followed_to_its_end() {
        let out = tempfile::tempdir().unwrap();
        let logs = out.path().join("logs");
        assert_eq!(running(&logs), None);
        let (run, _events) = start(out.path()).unwrap();
        let now = running(&logs).unwrap();
        assert_eq!((now.run.as_str(), now.pid), (run.id(), std::process::id()));
        let problem = start(out.path()).err().unwrap();
        assert!(problem.to_string().contains(run.id()), "{problem}");
        assert!(runs(&logs).is_empty(), "what goes on is not of the past");

        let mut follow = Follow::open(&logs, run.id()).unwrap();
        let Step::Events(first) = follow.step().unwrap() else { panic!() };
        assert!(matches!(&first[..], [(_, Event::RunStarted { .. })]), "{first:?}");
        assert_eq!(follow.step().unwrap(), Step::Wait);
        let result: crate::problem::Result<()> = run.stage(Stage::Kernel, |task| {
            use crate::progress::Progress as _;
            task.log("a line");
            Err(Problem::new("it broke").remedy("mend it").exit_with(Exit::NoKernel))
        });
        run.finish(&result);
        let mut events = Vec::new();
        while let Step::Events(more) = follow.step().unwrap() {
            events.extend(more.into_iter().map(|(_, event)| event));
        }
        assert!(
            matches!(&events[..], [
            Event::StageStarted { .. },
            Event::Log { .. },
            Event::StageFinished { outcome: Outcome::Failed, .. },
            Event::Problem(problem),
            Event::RunFinished { outcome: Outcome::Failed, .. },
        ] if problem.remedy_text() == Some("mend it") && problem.exit() == Exit::NoKernel),
            "{events:?}"
        );
        let folder = logs.join(run.id());
        drop(run);
        assert_eq!(running(&logs), None);
        let past = last(&logs).unwrap();
        assert_eq!((past.outcome, past.folder), (Outcome::Failed, folder.clone()));
        assert_eq!(read(&folder).unwrap().fields["endpoints.onboarding_port"], "443");
        assert_eq!(last_good(&logs), None);
    }

    #[test]
    fn a_killed_run_ends_for_who_follows_it() {
        let out = tempfile::tempdir().unwrap();
        let logs = out.path().join("logs");
        let (run, _events) = start(out.path()).unwrap();
        run.send(Event::StageStarted { stage: Stage::Certs });
        let id = run.id().to_owned();
        let mut follow = Follow::open(&logs, &id).unwrap();
        // The kernel takes the lock from a process that is killed; nothing else is written.
        drop(run);
        use std::io::Write as _;
        let mut events = File::options().append(true).open(logs.join(&id).join(record::EVENTS)).unwrap();
        events.write_all(b"{\"event\":\"log\",\"sta").unwrap();
        let Step::Events(seen) = follow.step().unwrap() else { panic!() };
        assert_eq!(seen.len(), 2);
        let Step::Events(end) = follow.step().unwrap() else { panic!() };
        assert!(matches!(&end[..], [(_, Event::RunFinished { outcome: Outcome::Failed, .. })]), "{end:?}");
        assert_eq!(follow.step().unwrap(), Step::End);
        assert_eq!(last(&logs).unwrap().outcome, Outcome::Failed);
    }

    #[test]
    fn good_runs_are_found_with_how_long_their_parts_took() {
        let out = tempfile::tempdir().unwrap();
        let logs = out.path().join("logs");
        let (run, _events) = start(out.path()).unwrap();
        let result = run.stage(Stage::Components, |task| {
            task.item("a", |item| {
                item.settled("", [], true);
                Ok(())
            })?;
            task.item("b", |_| Ok(()))
        });
        run.finish(&result);
        drop(run);
        let (_, record) = last_good(&logs).unwrap();
        let took: Vec<_> = record.took.iter().map(|t| (t.item.as_deref(), t.cached)).collect();
        assert_eq!(took, [(Some("a"), true), (Some("b"), false), (None, false)]);
    }
}
