//! What a line means on each screen: the action of a key, or the answer to a field.

use super::Plain;
use super::say::choices;
use crate::site::{FIELDS, Field, files};
use crate::tui::build::ResultAction;
use crate::tui::build::result::NEXT;
use crate::tui::keys::{Action, Context, Entry};
use crate::tui::line::Line;
use crate::tui::model::Screen;
use crate::tui::overlay::{Menu, Overlay};
use crate::tui::rows::{self, Row};
use crate::tui::update;
use std::io::Write;
use std::path::PathBuf;

const FIELD: &str = "Enter keeps what is there, - means no value, = restores the default, ? tells more, < goes back, \
                     > goes on behind the fields, * lists what else can be done (*save saves), ! leaves.";

/// Whether an action is of use where nothing is drawn.
fn useful(entry: &Entry) -> bool {
    let reading =
        entry.context == Context::Log && entry.action != Action::Build(crate::tui::build::BuildAction::Pager);
    let drawing = matches!(
        entry.action,
        Action::Mouse
            | Action::Repaint
            | Action::Suspend
            | Action::PageUp
            | Action::PageDown
            | Action::First
            | Action::Last
            | Action::Next
            | Action::Previous
            | Action::Activate
            | Action::Text(_)
            | Action::Build(crate::tui::build::BuildAction::Zoom | crate::tui::build::BuildAction::Open)
            | Action::Result(
                ResultAction::PageUp
                    | ResultAction::PageDown
                    | ResultAction::First
                    | ResultAction::Last
                    | ResultAction::Activate
            )
    );
    !reading && !drawing
}

impl<W: Write> Plain<W> {
    /// Everything that can be done here, by these words.
    fn actions(&self, query: &str) -> Vec<&'static Entry> {
        let menu = Menu { query: Line::new(query), at: 0 };
        menu.entries(&self.model).into_iter().filter(|entry| useful(entry)).collect()
    }

    /// Does what words say: the word that the footer of a screen has, or words of what it does.
    async fn do_words(&mut self, said: &str) {
        let said = said.trim();
        let all = self.actions("");
        let exact = all.iter().find(|entry| entry.footer == Some(said) || entry.about == said);
        let found = match exact {
            Some(entry) => vec![*entry],
            None => self.actions(said),
        };
        match found.as_slice() {
            [] => self.say(&format!("! There is nothing called {said:?} here; * lists what there is.")),
            [only] => self.act(only.action),
            several => {
                for (at, entry) in several.iter().enumerate() {
                    let short = entry.footer.map_or_else(String::new, |word| format!(" (*{word})"));
                    self.say(&format!("  {}. {}{short}", at + 1, entry.about));
                }
                let Some(answer) = self.ask("Which (Enter: none)").await else { return };
                let chosen = answer.parse::<usize>().ok().and_then(|n| several.get(n.checked_sub(1)?));
                match chosen {
                    Some(entry) => self.act(entry.action),
                    None if answer.is_empty() => {}
                    None => self.say("! That is none of them."),
                }
            }
        }
    }

    /// What a line means on every screen; gives it back if it is for the screen.
    async fn anywhere(&mut self, line: String) -> Option<String> {
        match line.strip_prefix('*') {
            _ if line == "!" => self.act(Action::Quit),
            Some(words) => self.do_words(words).await,
            None => return Some(line),
        }
        None
    }

    /// Chooses the row of a number; none if it is no number of one.
    fn choose(&mut self, line: &str) -> Option<Row> {
        let row = choices(&self.model).into_iter().nth(line.parse::<usize>().ok()?.checked_sub(1)?)?;
        self.model.set_focus(row.clone());
        Some(row)
    }

    pub(super) async fn start(&mut self) {
        self.list();
        self.say("A number, a profile's name, a new name, or the path of a config file; `rename NAME`, `copy NAME`, `delete NAME` and `last run NAME` for a profile; * lists all, ! leaves.");
        let Some(line) = self.ask("Site").await else { return };
        let Some(line) = self.anywhere(line).await else { return };
        if line.is_empty() {
            return;
        }
        if self.choose(&line).is_some() {
            return self.act(Action::Activate);
        }
        let site = |name: &str| {
            let wanted = Row::Site(name.to_owned());
            rows::rows(&self.model).into_iter().find(|row| *row == wanted)
        };
        if let Some(row) = site(&line) {
            self.model.set_focus(row);
            return self.act(Action::Activate);
        }
        if let Some((words, name)) = line.rsplit_once(' ')
            && let Some(row) = site(name)
        {
            self.model.set_focus(row);
            return self.do_words(words).await;
        }
        let file = self.model.root.join(&line);
        let here = std::path::absolute(&line).ok().filter(|path| path.is_file());
        if let Some(file) = here.or(Some(file).filter(|file| file.is_file())) {
            self.import(file);
        } else if files::check_name(&line).is_err() {
            self.do_words(&line).await;
        } else {
            let question = format!("There is no profile {line}. Begin a new site of that name (yes or no)");
            if self.ask(&question).await.is_some_and(|answer| matches!(answer.as_str(), "yes" | "y")) {
                self.act(Action::NewSite);
                self.fill_prompt(&line);
            }
        }
    }

    fn import(&mut self, file: PathBuf) {
        self.act(Action::ImportConfig);
        let effects = update::pick(&mut self.model, file);
        self.work(effects);
    }

    /// The fields of the step that are asked one after the other.
    fn fields(&self) -> Vec<&'static Field> {
        let rows = rows::rows(&self.model);
        let is = |field: &&Field| rows.contains(&Row::Field(field.id));
        FIELDS.iter().filter(is).collect()
    }

    pub(super) async fn site(&mut self) {
        let fields = self.fields();
        let rows = rows::rows(&self.model);
        let begins = rows.iter().find(|row| row.can_focus()).is_some_and(|row| matches!(row, Row::Field(_)));
        match self.field.and_then(|at| Some((at, *fields.get(at)?))) {
            // A step of lists begins with them; its fields wait to be asked for.
            Some((at, field)) if begins || at > 0 => {
                self.teach();
                self.question(at, field).await;
            }
            _ => self.rest(&fields).await,
        }
    }

    /// How fields are answered, once.
    fn teach(&mut self) {
        if !std::mem::replace(&mut self.taught, true) {
            self.say(FIELD);
        }
    }

    /// One field.
    async fn question(&mut self, at: usize, field: &'static Field) {
        self.model.set_focus(Row::Field(field.id));
        let Some(site) = &self.model.site else { return };
        let form = &site.form;
        let value = match form.text(field.id) {
            text if text.is_empty() => "no value".to_owned(),
            text if site.reveal => text,
            text => field.kind.masked(&text),
        };
        let origin = form.origin(field.id);
        let origin = if origin.is_empty() { String::new() } else { format!(", {origin}") };
        let before = (self.model.screen, site.step);
        let Some(line) = self.ask(&format!("{} [{value}{origin}]", field.label)).await else { return };
        let Some(line) = self.anywhere(line).await else { return };
        let same =
            |plain: &Self| plain.model.site.as_ref().map(|s| (plain.model.screen, s.step)) == Some(before);
        let kept = line.is_empty();
        match line.as_str() {
            "?" => return self.explain(),
            ">" => {
                self.field = None;
                return;
            }
            "<" => {
                return match at.checked_sub(1) {
                    Some(before) => self.field = Some(before),
                    None => self.back(),
                };
            }
            "=" => self.act(Action::RestoreDefault),
            "-" => self.answer(field, String::new()),
            "" => self.answer(field, form_text(self, field)),
            text => self.answer(field, text.to_owned()),
        }
        if !same(self) {
            return;
        }
        let problem = self.model.site.as_ref().and_then(|site| site.form.problem(field.id).cloned());
        if let Some(problem) = &problem {
            for line in problem.to_string().lines() {
                self.say(&format!("  ! {}", line.trim()));
            }
        }
        // A problem that a person does not want to solve now must not hold them.
        if problem.is_none() || kept {
            self.field = Some(at + 1);
        }
    }

    fn answer(&mut self, field: &'static Field, text: String) {
        let effects = update::answer(&mut self.model, field.id, text);
        self.work(effects);
    }

    /// To the step before, at its list: its fields were asked.
    fn back(&mut self) {
        if self.model.allows(Action::PreviousStep) {
            self.act(Action::PreviousStep);
        } else {
            self.say("This is the first question; * lists what else can be done.");
        }
    }

    /// Everything else on a step.
    async fn rest(&mut self, fields: &[&'static Field]) {
        self.field = None;
        self.list();
        let next = rows::rows(&self.model).into_iter().find_map(|row| match row {
            Row::Do(Action::NextStep, text) => Some(text),
            _ => None,
        });
        let next = next.unwrap_or_else(|| "Start the build".to_owned());
        let ask = if fields.is_empty() { "" } else { ", `fields` asks them" };
        let Some(line) = self.ask(&format!("{next} (Enter), or a number or name{ask}, *, <, !")).await else {
            return;
        };
        let Some(line) = self.anywhere(line).await else { return };
        match line.as_str() {
            "" => {
                self.said.1.clear();
                self.act(Action::NextStep);
            }
            "<" => self.back(),
            "fields" if !fields.is_empty() => self.all(fields).await,
            line => match self.named(line) {
                Some(row) => {
                    self.model.set_focus(row.clone());
                    match row {
                        Row::Certificate(_) | Row::Probe(_) => self.explain(),
                        Row::Component(_) | Row::Group(_) => self.act(Action::Next),
                        Row::Value(id) => {
                            self.act(Action::Activate);
                            self.settle().await;
                            let at = self.fields().iter().position(|field| field.id == id);
                            self.said = (
                                Some((self.model.screen, self.model.site.as_ref().map(|site| site.step))),
                                vec![String::new()],
                            );
                            if let Some(at) = at {
                                self.question(at, id.field()).await;
                            }
                        }
                        _ => self.act(Action::Activate),
                    }
                }
                None => self.do_words(line).await,
            },
        }
    }

    /// Asks the fields of a step that begins with lists.
    async fn all(&mut self, fields: &[&'static Field]) {
        self.teach();
        self.field = Some(0);
        let step = self.model.site.as_ref().map(|site| site.step);
        while let Some((at, field)) = self.field.and_then(|at| Some((at, *fields.get(at)?))) {
            if at == 0 && self.model.leaving.is_some() {
                return;
            }
            self.question(at, field).await;
            self.settle().await;
            self.tell_notice();
            let same = self.model.site.as_ref().map(|site| site.step) == step;
            if !same
                || self.model.screen != Screen::Site
                || self.model.overlay.is_some()
                || self.model.leaving.is_some()
            {
                return;
            }
        }
        self.field = None;
    }

    /// The row of a number or a name.
    fn named(&mut self, line: &str) -> Option<Row> {
        let named = |row: &Row| matches!(row, Row::Component(name) | Row::Group(name) if name == line);
        self.choose(line).or_else(|| choices(&self.model).into_iter().find(named))
    }

    pub(super) async fn build(&mut self) {
        let Some(watch) = &self.model.watch else { return self.act(Action::BackToSite) };
        if watch.moving() {
            let number = watch.number;
            let over = move |model: &crate::tui::model::Model| {
                model.screen != Screen::Build
                    || model.watch.as_ref().is_none_or(|w| w.number != number || !w.moving())
            };
            let question = "Building (Enter: how far; cancel; background; * lists all; ! leaves)";
            let Some(line) = self.ask_until(question, over).await else { return };
            let Some(line) = self.anywhere(line).await else { return };
            return if line.is_empty() { self.progress() } else { self.do_words(&line).await };
        }
        // A run of earlier is read to its end first.
        if watch.state.running() {
            let ended =
                |model: &crate::tui::model::Model| model.watch.as_ref().is_none_or(|w| !w.state.running());
            self.ask_until("Reading", ended).await;
            return;
        }
        self.failure();
        let Some(line) = self.ask("What next (* lists all, ! leaves)").await else { return };
        let Some(line) = self.anywhere(line).await else { return };
        if line == "<" {
            self.act(Action::BackToSite);
        } else if !line.is_empty() {
            self.do_words(&line).await;
        }
    }

    pub(super) async fn result(&mut self) {
        self.artifacts();
        let Some(line) = self.ask("A number (* lists all, < goes to the site, ! leaves)").await else {
            return;
        };
        let Some(line) = self.anywhere(line).await else { return };
        let chosen = line.parse::<usize>().ok().and_then(|n| NEXT.get(n.checked_sub(1)?));
        match chosen {
            Some((action, _)) => self.act(Action::Result(*action)),
            None if line == "<" => self.act(Action::BackToSite),
            None if line.is_empty() => {}
            None => self.do_words(&line).await,
        }
    }

    pub(super) async fn machine(&mut self) {
        let running = |model: &crate::tui::model::Model| {
            model.trial.as_ref().is_some_and(crate::tui::build::Trial::running)
        };
        if !running(&self.model) {
            return self.act(Action::BackToResult);
        }
        let question = "It runs (`end it` ends it; * lists all; ! leaves)";
        let Some(line) = self.ask_until(question, move |model| !running(model)).await else { return };
        let Some(line) = self.anywhere(line).await else { return };
        if !line.is_empty() {
            self.do_words(&line).await;
        }
    }

    /// Answers the prompt that is open.
    pub(super) fn fill_prompt(&mut self, text: &str) {
        if let Some(Overlay::Prompt(prompt)) = &mut self.model.overlay {
            prompt.line = Line::new(text);
            self.press_enter();
        }
    }
}

/// What a field has now: asked and kept.
fn form_text<W>(plain: &Plain<W>, field: &'static Field) -> String {
    plain.model.site.as_ref().map_or_else(String::new, |site| site.form.text(field.id))
}
