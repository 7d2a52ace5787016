//! What the pure part wants done in the world. Whatever takes time is done on a thread of its own and
//! answers with a message.

pub mod certs;
pub mod drafts;
mod input;
pub mod outside;
mod probe;
pub mod runs;
pub mod sites;
mod trial;
pub mod work;

pub use input::Input;

use super::msg::{Effect, Msg};
use super::run::World;
use super::session;
use crate::problem::Problem;
use crate::store::{Digest, Store};
use ratatui::Terminal;
use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::clipboard::CopyToClipboard;
use ratatui::crossterm::execute;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use tokio::sync::mpsc::Sender;

/// What every effect may use.
pub struct Place {
    /// The project's folder.
    pub root: PathBuf,
    pub store: PathBuf,
    /// Where unsaved input is kept, if there is such a place.
    pub drafts: Option<PathBuf>,
}

impl Place {
    /// This project, with the folders of this person.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned(), store: Store::default_root(), drafts: drafts::folder() }
    }

    /// A short name of the project, for files outside of it.
    fn project(&self) -> String {
        let mut name = Digest::of(self.root.as_os_str().as_encoded_bytes()).hex();
        name.truncate(12);
        name
    }
}

/// Does effects on a real terminal.
pub struct Executor {
    worker: Worker,
    input: Input,
}

impl Executor {
    pub fn new(place: Place, answers: Sender<Msg>, input: Input) -> Self {
        Self { worker: Worker::new(place, answers), input }
    }
}

/// Does effects that need no terminal.
pub struct Worker {
    pub place: Arc<Place>,
    answers: Sender<Msg>,
    /// The number of the run whose events are wanted.
    watched: Arc<AtomicU64>,
    machine: Arc<trial::Machine>,
    /// How many answers are on their way.
    awaited: Arc<AtomicUsize>,
}

/// Counts an answer that is on its way, until it has come or never will.
struct Awaited(Arc<AtomicUsize>);

impl Drop for Awaited {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Worker {
    pub fn new(place: Place, answers: Sender<Msg>) -> Self {
        let (watched, machine, awaited) = Default::default();
        Self { place: Arc::new(place), answers, watched, machine, awaited }
    }

    /// Whether an answer will come soon.
    pub fn busy(&self) -> bool {
        self.awaited.load(Ordering::SeqCst) > 0
    }

    /// Does something on a thread of its own. What it panics with becomes an answer too, so that nobody
    /// waits in vain.
    fn go(&self, work: impl FnOnce(&Place) -> Msg + Send + 'static) {
        self.awaited.fetch_add(1, Ordering::SeqCst);
        let (answers, awaited) = (self.answers.clone(), Awaited(Arc::clone(&self.awaited)));
        self.go_on(move |place| {
            // The screen may be gone by now.
            let _ = answers.blocking_send(work(place));
            drop(awaited);
        });
    }

    /// Does something that answers as it goes.
    fn go_on(&self, work: impl FnOnce(&Place) + Send + 'static) {
        let (place, answers) = (Arc::clone(&self.place), self.answers.clone());
        let body = move || {
            let done = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&place)));
            if done.is_err() {
                let problem = Problem::new("the program has made a mistake here")
                    .remedy("leave with Ctrl-Q: what it knows of the mistake is shown then");
                let _ = answers.blocking_send(Msg::Done(Err(problem)));
            }
        };
        if let Err(e) = std::thread::Builder::new().name("effect".to_owned()).spawn(body) {
            let problem = Problem::new("cannot start a thread").because(e);
            let _ = self.answers.try_send(Msg::Done(Err(problem)));
        }
    }
}

impl<W: Write> World<CrosstermBackend<W>> for Executor {
    fn effect(
        &mut self,
        effect: Effect,
        terminal: &mut Terminal<CrosstermBackend<W>>,
    ) -> io::Result<Option<Msg>> {
        match effect {
            Effect::Repaint => session::repaint(terminal)?,
            Effect::Mouse(on) => session::mouse(on)?,
            Effect::Copy(text) => execute!(io::stderr(), CopyToClipboard::to_clipboard_from(text))?,
            Effect::Suspend => {
                session::suspend();
                session::again(terminal)?;
                return Ok(Some(Msg::Resumed));
            }
            Effect::Pager(file) => {
                let done = outside::pager(&self.input, terminal, &file);
                let told = |e| {
                    let what = format!("The pager cannot show the log: {}", file.display());
                    Msg::Told(Err(Problem::new(what).because(e)))
                };
                return Ok(Some(done.err().map_or(Msg::Resumed, told)));
            }
            effect @ (Effect::Boot(_) | Effect::Publish(_)) => {
                let Some(job) = outside::Job::of(&effect) else { return Ok(None) };
                let done = outside::aside(&self.input, terminal, || {
                    let done = job.run(&self.worker.place.root);
                    job.pause()?;
                    done
                });
                return Ok(Some(job.answer(done)));
            }
            effect => self.worker.start(effect),
        }
        Ok(None)
    }
}

impl Worker {
    /// Follows a run on a thread of its own, until another one is wanted.
    fn watch(&self, number: u64, work: impl FnOnce(&Place, &runs::Wanted<'_>) + Send + 'static) {
        self.watched.store(number, Ordering::SeqCst);
        let (now, answers) = (Arc::clone(&self.watched), self.answers.clone());
        self.go_on(move |place| work(place, &runs::Wanted { number, now: &now, answers: &answers }));
    }

    pub fn start(&self, effect: Effect) {
        match effect {
            Effect::ListSites(run) => self.go(move |place| Msg::Sites(run, sites::list(place))),
            Effect::Open(name) => self.go(move |place| Msg::Opened(sites::open(place, &name))),
            Effect::New(name) => self.go(move |_| Msg::Opened(sites::new(&name))),
            Effect::Import { file, name } => self.go(move |_| Msg::Opened(sites::import(&file, &name))),
            Effect::Save(save) => self.go(move |place| Msg::Saved(sites::save(place, *save))),
            Effect::Duplicate { from, to } => {
                self.go(move |place| Msg::Done(sites::duplicate(place, &from, &to)))
            }
            Effect::Rename { from, to } => self.go(move |place| Msg::Done(sites::rename(place, &from, &to))),
            Effect::Delete(name) => self.go(move |place| Msg::Done(sites::delete(place, &name))),
            Effect::ReadCertificates { run, site } => {
                self.go(move |place| Msg::Certificates(run, Box::new(certs::read(place, &site))));
            }
            Effect::Decode(text) => self.go(move |_| Msg::Decoded(certs::decode(&text))),
            Effect::DecodeFile(file) => self.go(move |_| Msg::Decoded(certs::decode_file(&file))),
            Effect::MakePlaceholder { site } => self.go(move |_| Msg::Decoded(certs::placeholder(&site))),
            Effect::ListFolder { run, folder } => self.go(move |_| Msg::Folder(run, work::folder(&folder))),
            Effect::ListComponents { run, site } => {
                self.go(move |place| Msg::Components(run, work::components(place, &site)));
            }
            Effect::AskForKernels { run, site } => {
                // It takes as long as others take to answer.
                let answers = self.answers.clone();
                self.go_on(move |place| {
                    let _ = answers.blocking_send(Msg::KernelsElsewhere(run, work::elsewhere(place, &site)));
                });
            }
            Effect::ListKernels { run, site } => {
                self.go(move |place| Msg::Kernels(run, work::kernels(place, &site)));
            }
            Effect::Probe { run, site, ids, ca } => {
                self.go(move |place| Msg::Probed(run, probe::test(place, &site, &ids, ca)));
            }
            Effect::FetchChain { run, site } => {
                self.go(move |_| Msg::Fetched(run, probe::fetch(&site)));
            }
            Effect::Plan { run, site } => self.go(move |place| Msg::Planned(run, work::plan(place, &site))),
            Effect::Build { watch, build } => {
                self.watch(watch, move |place, wanted| runs::build(place, &build, wanted));
            }
            Effect::Join { watch, profile } => {
                self.watch(watch, move |place, wanted| runs::join(place, &profile, wanted));
            }
            Effect::Replay { watch, profile } => {
                self.watch(watch, move |place, wanted| runs::replay(place, &profile, wanted));
            }
            Effect::Try { trial, words, file } => {
                let (machine, answers) = (Arc::clone(&self.machine), self.answers.clone());
                self.go_on(move |place| {
                    trial::run(&place.root, &words, &file, trial, &machine, &answers);
                });
            }
            Effect::StopMachine => self.machine.stop(),
            // Short, and the program may end right after it.
            Effect::CancelRun(profile) => {
                let _ = self.answers.try_send(Msg::Told(runs::cancel(&self.place, &profile)));
            }
            Effect::Replan { watch, build } => {
                self.go(move |place| Msg::Replanned(watch, work::replan(place, &build)));
            }
            Effect::ReadSizes { watch, profile, run } => {
                self.go(move |place| Msg::Sizes(watch, runs::sizes(place, &profile, &run)));
            }
            Effect::Write { file, text } => self.go(move |_| Msg::Told(runs::write(&file, &text))),
            Effect::ResumeDraft(name) => self.go(move |place| Msg::Opened(drafts::resume(place, &name))),
            Effect::CompareDraft(name) => self.go(move |place| Msg::Compared(drafts::compare(place, &name))),
            // These two are short, and must be done when the program ends right after.
            Effect::KeepDraft(draft) => {
                if let Err(problem) = drafts::keep(&self.place, &draft) {
                    let _ = self.answers.try_send(Msg::NotKept(problem));
                }
            }
            Effect::DiscardDraft(name) => self.told(drafts::discard(&self.place, &name)),
            _ => {}
        }
    }

    /// Tells of a problem with something that nobody waits for.
    fn told(&self, result: crate::problem::Result<()>) {
        if let Err(problem) = result {
            let _ = self.answers.try_send(Msg::Done(Err(problem)));
        }
    }
}

#[cfg(test)]
mod tests;
