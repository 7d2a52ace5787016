//! Everything that the screen shows, as pure data: no clock, no file, no terminal.

use super::build::{ResultState, Trial, Watch};
use super::check::{Check, Waiting};
use super::data::{Certificates, ComponentEntry, Kernels, Pending, Planned, Sites, Tested};
use super::form::{Environment, Form};
use super::keys::{Action, Context};
use super::overlay::Overlay;
use super::rows::{self, Row};
use super::step::{State, Step};
use super::theme::{Role, Theme};
use crate::build::releases::Releases;
use crate::problem::Problem;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Which screen is up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Screen {
    Start,
    /// A step of [`Model::site`].
    Site,
    /// The run in [`Model::watch`].
    Build,
    /// What came of it.
    Result,
    /// The machine in [`Model::trial`].
    Machine,
}

/// A line that says what just happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    pub role: Role,
    pub text: String,
}

/// The whole state.
#[derive(Debug)]
pub struct Model {
    pub theme: Theme,
    /// Since the program began.
    pub now: Duration,
    /// The wall clock when it began, in seconds since 1970.
    pub began: i64,
    pub size: (u16, u16),
    pub root: PathBuf,
    pub env: Arc<Environment>,
    pub screen: Screen,
    pub overlay: Option<Overlay>,
    pub notice: Option<Notice>,
    pub mouse: bool,
    pub start: Check<Result<Sites, Problem>>,
    /// Where the focus is on the start screen.
    pub start_focus: Option<Row>,
    /// The first line of the list that is in sight, where a person has scrolled away from the focus.
    pub scroll: Option<usize>,
    pub site: Option<Site>,
    /// The run that was looked at last.
    pub watch: Option<Watch>,
    /// How many runs were looked at.
    pub watches: u64,
    pub result: Option<ResultState>,
    pub trial: Option<Trial>,
    /// When Ctrl-C was pressed last.
    pub interrupted: Option<Duration>,
    /// The program ends with this exit code as soon as it can.
    pub leaving: Option<u8>,
    /// What the main screen keeps after the end.
    pub farewell: Vec<String>,
}

/// A site that a person works on.
#[derive(Debug)]
pub struct Site {
    pub form: Form,
    pub step: Step,
    pub visited: BTreeSet<Step>,
    /// Steps that an earlier answer has changed the ground of, with the reason.
    pub review: BTreeMap<Step, &'static str>,
    focus: BTreeMap<Step, Row>,
    /// The step that a person was told the problems of and has changed nothing on since.
    pub insist: Option<Step>,
    /// Steps whose problems a person was told of: they stand above its fields.
    pub told: BTreeSet<Step>,
    /// Secrets are shown.
    pub reveal: bool,
    pub probe: Check<crate::problem::Result<Tested>>,
    pub certificates: Check<Certificates>,
    pub pending: Option<Pending>,
    /// How often certificates were taken.
    pub takes: u64,
    pub fetched: Check<Result<Pending, Problem>>,
    pub components: Check<Result<Vec<ComponentEntry>, Problem>>,
    pub kernels: Check<Result<Kernels, Problem>>,
    /// What the release service and kernel.org have.
    pub elsewhere: Check<Result<Releases, Problem>>,
    pub plan: Check<Result<Planned, Problem>>,
    /// Warnings of opening it: unknown keys, an old format.
    pub warnings: Vec<Problem>,
    /// The file that it was made from.
    pub imported: Option<PathBuf>,
    /// There is a draft of it on the disk.
    pub kept: bool,
    /// When something was changed that no draft has yet.
    pub touched: Option<Duration>,
}

impl Site {
    pub fn new(form: Form) -> Self {
        Self {
            form,
            step: Step::Endpoints,
            visited: BTreeSet::from([Step::Endpoints]),
            review: BTreeMap::new(),
            focus: BTreeMap::new(),
            insist: None,
            told: BTreeSet::new(),
            reveal: false,
            probe: Check::default(),
            certificates: Check::default(),
            pending: None,
            takes: 0,
            fetched: Check::default(),
            components: Check::default(),
            kernels: Check::default(),
            elsewhere: Check::default(),
            plan: Check::default(),
            warnings: Vec::new(),
            imported: None,
            kept: false,
            touched: None,
        }
    }

    /// Another number after each change of what would be saved.
    pub fn revision(&self) -> (u64, u64) {
        (self.form.revision(), self.takes)
    }

    /// All checks that go on aside.
    fn checks(&self) -> [&dyn Waiting; 7] {
        [
            &self.probe,
            &self.certificates,
            &self.fetched,
            &self.components,
            &self.kernels,
            &self.elsewhere,
            &self.plan,
        ]
    }

    /// The checks whose signs are on the screen of the step.
    pub fn checks_in_sight(&mut self) -> Vec<&mut dyn Waiting> {
        match self.step {
            Step::Endpoints => vec![&mut self.probe],
            Step::Certificates => vec![&mut self.certificates, &mut self.fetched],
            Step::Kernel => vec![&mut self.kernels, &mut self.elsewhere],
            Step::Components => vec![&mut self.components],
            Step::Review => vec![&mut self.plan, &mut self.certificates],
            Step::Network | Step::Build => Vec::new(),
        }
    }

    /// Whether something would be lost without a draft.
    pub fn changed(&self) -> bool {
        self.form.changed() || self.pending.is_some()
    }

    /// What the rail says of a step.
    pub fn state(&self, step: Step) -> State {
        match step {
            _ if step == self.step => State::Current,
            Step::Build => State::Locked,
            _ => self.seen(step),
        }
    }

    /// What is to be said of a step that is not the one on the screen.
    pub fn seen(&self, step: Step) -> State {
        if self.visited.contains(&step) && self.trouble(step) > 0 {
            State::Attention
        } else if self.review.contains_key(&step) {
            State::Review
        } else if self.visited.contains(&step) {
            State::Done
        } else {
            State::Open
        }
    }

    /// How many things on a step are not usable.
    pub fn trouble(&self, step: Step) -> usize {
        let fields = self.form.problems().filter(|(id, _)| Step::of(id.field().section) == step).count();
        let certificates = step == Step::Certificates && matches!(self.certificates.value(), Some(Err(_)));
        fields + usize::from(certificates)
    }
}

impl Model {
    pub fn new(theme: Theme, size: (u16, u16), root: PathBuf, env: Environment, began: i64) -> Self {
        Self {
            theme,
            now: Duration::ZERO,
            began,
            size,
            root,
            env: Arc::new(env),
            screen: Screen::Start,
            overlay: None,
            notice: None,
            mouse: false,
            start: Check::default(),
            start_focus: None,
            scroll: None,
            site: None,
            watch: None,
            watches: 0,
            result: None,
            trial: None,
            interrupted: None,
            leaving: None,
            farewell: Vec::new(),
        }
    }

    /// The wall clock, in seconds since 1970.
    pub fn clock(&self) -> i64 {
        self.began + i64::try_from(self.now.as_secs()).unwrap_or(0)
    }

    /// Counts tenths of a second, for signs that turn.
    pub fn tick(&self) -> u64 {
        self.now.as_millis() as u64 / 100
    }

    pub fn say(&mut self, role: Role, text: impl Into<String>) {
        self.notice = Some(Notice { role, text: text.into() });
    }

    /// The row that has the focus; the first one if the one that had it is gone.
    pub fn focus(&self) -> Option<Row> {
        let rows = rows::rows(self);
        let wanted = match (self.screen, &self.site) {
            (Screen::Start, _) => self.start_focus.as_ref(),
            (Screen::Site, Some(site)) => site.focus.get(&site.step),
            _ => None,
        };
        let there = wanted.and_then(|wanted| rows.iter().find(|row| *row == wanted));
        there.or_else(|| rows.iter().find(|row| row.can_focus())).cloned()
    }

    /// Whether the run on the screen has made an image.
    pub fn finished(&self) -> bool {
        let end = self.watch.as_ref().and_then(|watch| watch.state.end());
        end.is_some_and(|end| end.outcome == crate::build::Outcome::Ok)
    }

    /// Whether the run on the build's screen is of the site that is being worked on.
    pub fn watches_site(&self) -> bool {
        let name = self.site.as_ref().map(|site| &site.form.name);
        self.watch.as_ref().is_some_and(|watch| Some(&watch.state.profile) == name)
    }

    /// Columns and lines between the head and the foot, for a screen that wants them all.
    pub fn body(&self) -> (u16, u16) {
        (self.size.0, self.size.1.saturating_sub(3))
    }

    /// Moves the focus; a text field that gets it gets the keys too.
    pub fn set_focus(&mut self, row: Row) {
        match (self.screen, &mut self.site) {
            (Screen::Start, _) => self.start_focus = Some(row),
            (Screen::Site, Some(site)) => {
                site.focus.insert(site.step, row);
            }
            _ => {}
        }
        self.attend();
    }

    /// Gives the keys to the field in focus, if it is a text field.
    pub fn attend(&mut self) {
        self.scroll = None;
        let id = match self.focus() {
            Some(Row::Field(id)) if self.screen == Screen::Site => Some(id),
            _ => None,
        };
        if let Some(site) = &mut self.site {
            site.form.focus(id);
        }
    }

    /// The contexts that decide what a key does.
    pub fn contexts(&self) -> Vec<Context> {
        let mut contexts = vec![Context::Anywhere];
        let editing = self.site.as_ref().is_some_and(|site| site.form.editor().is_some());
        match self.screen {
            Screen::Start => contexts.extend([Context::Letters, Context::Rows, Context::Start]),
            Screen::Build => contexts.extend([Context::Letters, Context::Log, Context::Build]),
            Screen::Machine => contexts.extend([Context::Letters, Context::Log, Context::Machine]),
            Screen::Result => contexts.extend([Context::Letters, Context::Result]),
            Screen::Site => {
                if editing {
                    contexts.push(Context::Text);
                } else {
                    contexts.extend([Context::Letters, Context::Rows]);
                }
                contexts.push(Context::Site);
                contexts.extend(match self.site.as_ref().map(|site| site.step) {
                    Some(Step::Endpoints) => Some(Context::Endpoints),
                    Some(Step::Certificates) => Some(Context::Certificates),
                    Some(Step::Review) => Some(Context::Review),
                    _ => None,
                });
                if matches!(
                    self.site.as_ref().map(|site| site.step),
                    Some(Step::Kernel | Step::Components | Step::Review)
                ) {
                    contexts.push(Context::Look);
                }
            }
        }
        contexts
    }

    /// Whether an action makes sense now; menus and the footer leave out what does not.
    pub fn allows(&self, action: Action) -> bool {
        let focus = self.focus();
        match action {
            Action::Duplicate | Action::Rename | Action::Delete | Action::LastRun => {
                matches!(focus, Some(Row::Site(_)))
            }
            Action::RestoreDefault => matches!(focus, Some(Row::Field(_) | Row::Value(_))),
            Action::PickFile => {
                matches!(focus, Some(Row::Field(id)) if id.field().kind == crate::site::Kind::Path)
            }
            Action::NextProblem => {
                self.site.as_ref().is_some_and(|site| Step::ALL.iter().any(|step| site.trouble(*step) > 0))
            }
            Action::Reveal => self
                .site
                .as_ref()
                .is_some_and(|site| crate::site::FIELDS.iter().any(|f| site.form.is_secret(f.id))),
            Action::StopMachine => self.trial.as_ref().is_some_and(|t| t.running() && !t.stopping),
            Action::Build(_) if self.screen == Screen::Machine => true,
            Action::Build(action) => self.watch.as_ref().is_some_and(|watch| watch.state.allows(action)),
            Action::ShowResult => self.finished(),
            Action::BackToSite => self.site.is_some(),
            Action::PreviousStep => self.site.as_ref().is_some_and(|site| site.step.previous().is_some()),
            _ => true,
        }
    }

    /// Whether the screen changes without a key, so that time must be told.
    pub fn moving(&self) -> bool {
        let now = self.now;
        self.start.moving(now)
            || self.start.value().is_some_and(
                |sites| matches!(sites, Ok(sites) if self.screen == Screen::Start && !sites.running.is_empty()),
            )
            || self.watch.as_ref().is_some_and(Watch::moving)
            || self.trial.as_ref().is_some_and(|trial| trial.running() && self.screen == Screen::Machine)
            || self.site.as_ref().is_some_and(|site| {
                site.touched.is_some() || site.checks().iter().any(|check| check.moving(now))
            })
    }
}
