//! Builds: started in processes of their own, followed by what they write, read again later.

use super::Place;
use crate::build::manifest;
use crate::history::{self, Child, Follow, Step};
use crate::problem::{Problem, Result};
use crate::site::resolve::{FlagValues, Lookup};
use crate::site::{FIELDS, FieldFlags, Sources, files, resolve};
use crate::tui::build::Sizes;
use crate::tui::data::Begun;
use crate::tui::msg::{Build, Msg};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// How often a run that says nothing is looked at.
const PAUSE: Duration = Duration::from_millis(40);
/// How often a process that nobody follows any more is looked at.
const LONG_PAUSE: Duration = Duration::from_millis(500);

/// The folder of a profile's logs.
pub fn logs(place: &Place, profile: &str) -> PathBuf {
    place.root.join("out").join(profile).join("logs")
}

/// Where the events of a run go, as long as its number is the one that is wanted.
pub struct Wanted<'a> {
    pub number: u64,
    pub now: &'a AtomicU64,
    pub answers: &'a Sender<Msg>,
}

impl Wanted<'_> {
    fn still(&self) -> bool {
        self.now.load(Ordering::SeqCst) == self.number
    }

    fn tell(&self, msg: Msg) -> bool {
        self.answers.blocking_send(msg).is_ok()
    }

    fn begun(&self, result: Result<Begun>) -> bool {
        let good = result.is_ok();
        self.tell(Msg::Begun(self.number, result.map(Box::new))) && good
    }

    /// Sends a run's events until it ends or nobody wants them.
    fn follow(&self, logs: &Path, run: &str) {
        let mut follow = match Follow::open(logs, run) {
            Ok(follow) => follow,
            Err(e) => {
                let problem = Problem::new("the run's events cannot be read").in_file(logs).because(e);
                self.tell(Msg::Told(Err(problem)));
                return;
            }
        };
        while self.still() {
            match follow.step() {
                Ok(Step::Events(events)) => {
                    if !self.tell(Msg::Events(self.number, events)) {
                        return;
                    }
                }
                Ok(Step::Wait) => std::thread::sleep(PAUSE),
                Ok(Step::End) => return,
                Err(e) => {
                    let problem = Problem::new("the run's events cannot be read").in_file(logs).because(e);
                    self.tell(Msg::Told(Err(problem)));
                    return;
                }
            }
        }
    }
}

/// Starts a build and follows it.
pub fn build(place: &Place, build: &Build, wanted: &Wanted<'_>) {
    let logs = logs(place, &build.profile);
    let took = history::last_good(&logs).map(|(_, record)| record.took).unwrap_or_default();
    let flags = FieldFlags(build.flags.clone());
    let started = history::start(&place.root, &logs, &build.profile, &flags).and_then(|mut child| {
        let running = child.begun()?;
        Ok((child, running))
    });
    match started {
        Ok((mut child, running)) => {
            let run = running.run.clone();
            let begun = Begun {
                run: running.run,
                logs: logs.clone(),
                since: Some(running.since),
                took,
                flags: FlagValues::new(),
            };
            if wanted.begun(Ok(begun)) {
                wanted.follow(&logs, &run);
            }
            wait(&mut child);
        }
        Err(problem) => {
            wanted.begun(Err(problem));
        }
    }
}

/// The system keeps a process that has ended until somebody asks for it.
fn wait(child: &mut Child) {
    while !child.reap() {
        std::thread::sleep(LONG_PAUSE);
    }
}

/// Follows the run that goes on in another process.
pub fn join(place: &Place, profile: &str, wanted: &Wanted<'_>) {
    let logs = logs(place, profile);
    let Some(running) = history::running(&logs) else {
        return replay(place, profile, wanted);
    };
    let took = history::last_good(&logs).map(|(_, record)| record.took).unwrap_or_default();
    let begun = Begun {
        run: running.run.clone(),
        logs: logs.clone(),
        since: Some(running.since),
        took,
        flags: flags(place, profile, &logs.join(&running.run)),
    };
    if wanted.begun(Ok(begun)) {
        wanted.follow(&logs, &running.run);
    }
}

/// Shows the last run that has ended.
pub fn replay(place: &Place, profile: &str, wanted: &Wanted<'_>) {
    let logs = logs(place, profile);
    let Some(past) = history::last(&logs) else {
        let problem = Problem::usage(format!("{profile} was never built here"))
            .remedy("open it, and start a build on the step Review");
        wanted.begun(Err(problem));
        return;
    };
    let begun = Begun {
        run: past.run.clone(),
        logs: logs.clone(),
        since: None,
        took: Vec::new(),
        flags: flags(place, profile, &past.folder),
    };
    if wanted.begun(Ok(begun)) {
        wanted.follow(&logs, &past.run);
    }
}

/// How the settings of a run differ from what its profile says now, as flags. A secret is masked.
pub(super) fn flags(place: &Place, profile: &str, run: &Path) -> FlagValues {
    let mut flags = FlagValues::new();
    let (Some(then), Ok((found, profile))) = (history::settings(run), files::load(&place.root, profile))
    else {
        return flags;
    };
    let env: &Lookup = &Sources::environment;
    for field in FIELDS {
        // One that differs may be why others do: they follow from it.
        let sources =
            Sources { profile: Some(&profile), flags: flags.clone(), env: Some(env), ambient: false };
        let site = resolve(&found.name, &sources).site;
        let now = site.get(field.id).map(|value| value.shown(field.kind));
        let then = then.get(&field.path());
        if now.as_ref() != then {
            flags.insert(field.id, then.cloned().unwrap_or_default());
        }
    }
    flags
}

pub fn cancel(place: &Place, profile: &str) -> Result<String> {
    if history::cancel(&logs(place, profile)) {
        Ok(format!("The build of {profile} was asked to stop."))
    } else {
        Ok(format!("No build of {profile} runs any more."))
    }
}

/// The parts of a run's image, and how they differ from the image before.
pub fn sizes(place: &Place, profile: &str, run: &str) -> Result<Box<Sizes>> {
    let logs = logs(place, profile);
    let file = logs.join(run).join(manifest::FILE);
    let now = fs::read_to_string(&file).map_err(|e| {
        Problem::new("the sizes are not known").in_file(&file).because(e).remedy("build again")
    })?;
    let older = history::runs(&logs).into_iter().filter(|past| past.run.as_str() < run);
    let before = older.filter_map(|past| fs::read_to_string(past.folder.join(manifest::FILE)).ok()).next();
    Sizes::read(&now, before.as_deref()).map(Box::new)
}

pub fn write(file: &Path, text: &str) -> Result<String> {
    let failed = |e| Problem::new("the text cannot be written").in_file(file).because(e);
    fs::write(file, text).map_err(failed)?;
    Ok(format!("Written to {}.", file.display()))
}
