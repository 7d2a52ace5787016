//! The wizard as lines: for dumb terminals, screen readers and `--plain`. One question after the other, an
//! answer is a line, nothing moves and nothing is drawn twice.
//!
//! It is another face of the same state: what a line means becomes the actions and messages that keys
//! become on a screen ([`answers`]), and rows are said in the words that a screen draws ([`say`]).

mod answers;
mod lines;
mod overlays;
mod say;
mod world;

use super::form::Environment;
use super::keys::Action;
use super::model::{Model, Screen};
use super::msg::{Effect, Msg};
use super::signals;
use super::step::Step;
use super::theme::Theme;
use super::update::{self, update};
use crate::cli::render::plain::Lines as EventLines;
use crate::problem::{Problem, Result};
use lines::Lines;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;
use world::World;

/// How often time is told while something moves.
const TICK: Duration = Duration::from_millis(100);
/// Room for whatever a row says: nothing is cut.
const WIDE: (u16, u16) = (1000, 60);

/// Asks and tells.
struct Plain<W> {
    model: Model,
    out: W,
    world: World,
    answers: Receiver<Msg>,
    signals: Receiver<u8>,
    lines: Lines,
    began: Instant,
    events: EventLines,
    /// What was said of the screen that is up: only what changes is said again.
    said: (Option<(Screen, Option<Step>)>, Vec<String>),
    /// It was said how fields are answered.
    taught: bool,
    /// The field that is asked next, on a step that begins with fields; none: they are through.
    field: Option<usize>,
}

/// Asks on the terminal until the person leaves.
pub fn run(root: &Path, env: Environment) -> Result<ExitCode> {
    let failed = |what: &str, e: std::io::Error| Problem::new(what).because(e);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| failed("cannot start the wizard", e))?;
    let signals = signals::watch().map_err(|e| failed("cannot listen for signals", e))?;
    let now = crate::site::certificates::now();
    let model = Model::new(Theme::mono_ascii(), WIDE, root.to_owned(), env, now);
    let (sender, answers) = tokio::sync::mpsc::channel(super::ANSWERS);
    let mut plain = Plain {
        model,
        out: std::io::stderr(),
        world: World::new(root, sender),
        answers,
        signals,
        lines: Lines::of_stdin().map_err(|e| failed("cannot read answers", e))?,
        began: Instant::now(),
        events: EventLines::default(),
        said: (None, Vec::new()),
        taught: false,
        field: Some(0),
    };
    let code = runtime.block_on(plain.talk());
    runtime.shutdown_background();
    Ok(ExitCode::from(code))
}

impl<W: Write> Plain<W> {
    /// The whole wizard; gives the exit code.
    async fn talk(&mut self) -> u8 {
        self.say("hookos: a site's settings become a bootable image.");
        let first = update::begin(&mut self.model);
        self.work(first);
        loop {
            self.settle().await;
            self.tell_notice();
            if let Some(code) = self.model.leaving {
                for line in std::mem::take(&mut self.model.farewell) {
                    self.say(&line);
                }
                return code;
            }
            self.turn().await;
        }
    }

    /// One question and what its answer does.
    async fn turn(&mut self) {
        if let Some(overlay) = self.model.overlay.take() {
            return self.overlay(overlay).await;
        }
        let screen = (self.model.screen, self.model.site.as_ref().map(|site| site.step));
        if self.said.0 != Some(screen) {
            self.said = (Some(screen), Vec::new());
            self.field = Some(0);
            self.head();
        }
        match self.model.screen {
            Screen::Start => self.start().await,
            Screen::Site => self.site().await,
            Screen::Build => self.build().await,
            Screen::Result => self.result().await,
            Screen::Machine => self.machine().await,
        }
    }

    fn say(&mut self, text: &str) {
        // Whoever closed the output does not read it.
        let _ = writeln!(self.out, "{text}");
    }

    fn tell_notice(&mut self) {
        if let Some(notice) = self.model.notice.take() {
            self.say(&format!("{}{}", say::sign(notice.role), notice.text));
        }
    }

    /// Takes a message and does what follows from it.
    fn take(&mut self, msg: Msg) {
        match &msg {
            Msg::Events(number, events) if self.model.watch.as_ref().is_some_and(|w| w.number == *number) => {
                let lines: Vec<String> =
                    events.iter().filter_map(|(_, event)| self.events.line(event)).collect();
                lines.iter().for_each(|line| self.say(line));
            }
            Msg::Console(_, lines) => {
                for line in lines {
                    let text = super::log::clean::clean(line).text;
                    self.say(&text);
                }
            }
            _ => {}
        }
        let mut effects = update(&mut self.model, Msg::Tick(self.began.elapsed()));
        effects.extend(update(&mut self.model, msg));
        self.work(effects);
    }

    fn act(&mut self, action: Action) {
        let effects = update::act(&mut self.model, action);
        self.work(effects);
    }

    fn work(&mut self, effects: Vec<Effect>) {
        let mut effects = effects;
        while !effects.is_empty() {
            for effect in std::mem::take(&mut effects) {
                let said = self.world.effect(effect, &mut self.out);
                if let Some(msg) = said {
                    effects.extend(update(&mut self.model, msg));
                }
            }
        }
    }

    /// Waits for what was asked of the world and will answer soon. A test of the connection and the like
    /// can be stopped meanwhile.
    async fn settle(&mut self) {
        let mut told = false;
        while self.model.leaving.is_none() && (self.world.busy() || !self.answers.is_empty()) {
            let slow = self.slow();
            if slow && !told {
                self.say("Asking; this may take ten seconds. ! and Enter stop it.");
                told = true;
            }
            tokio::select! {
                biased;
                Some(code) = self.signals.recv() => self.take(Msg::Signal(code)),
                Some(msg) = self.answers.recv() => self.take(msg),
                line = self.lines.next(), if slow => match line {
                    Some(line) if line.trim() == "!" => {
                        if let Some(site) = &mut self.model.site {
                            site.probe.cancel();
                            site.fetched.cancel();
                        }
                        self.say("Stopped.");
                        return;
                    }
                    Some(_) => {}
                    None => self.leave(),
                },
                () = tokio::time::sleep(TICK) => self.take(Msg::Tick(self.began.elapsed())),
            }
        }
    }

    /// Whether a check runs that a person may not want to wait for.
    fn slow(&self) -> bool {
        self.model.site.as_ref().is_some_and(|site| site.probe.running() || site.fetched.running())
    }

    /// The end of the input: nobody can be asked any more.
    fn leave(&mut self) {
        self.say("");
        let effects = update::leave(&mut self.model);
        self.work(effects);
    }

    /// A line, without its end; none: there is nobody to ask, or `until` is true now.
    async fn ask_until(&mut self, question: &str, until: impl Fn(&Model) -> bool) -> Option<String> {
        let _ = write!(self.out, "{question}: ");
        let _ = self.out.flush();
        while self.model.leaving.is_none() && !until(&self.model) {
            let moving = self.model.moving();
            tokio::select! {
                biased;
                Some(code) = self.signals.recv() => self.take(Msg::Signal(code)),
                line = self.lines.next() => match line {
                    Some(line) => return Some(super::line::one_line(&line).trim().to_owned()),
                    None => self.leave(),
                },
                Some(msg) = self.answers.recv() => self.take(msg),
                () = tokio::time::sleep(TICK), if moving => self.take(Msg::Tick(self.began.elapsed())),
            }
        }
        self.say("");
        None
    }

    async fn ask(&mut self, question: &str) -> Option<String> {
        self.ask_until(question, |_| false).await
    }
}
