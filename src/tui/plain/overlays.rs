//! Questions that lie over a screen.

use super::Plain;
use crate::tui::keys::Action;
use crate::tui::msg::Msg;
use crate::tui::overlay::{Ask, Files, Overlay, Paste, Prompt};
use crate::tui::step::Step;
use crate::tui::update;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::io::Write;

impl<W: Write> Plain<W> {
    fn press(&mut self, code: KeyCode) {
        self.take(Msg::Key(KeyEvent::new(code, KeyModifiers::NONE)));
    }

    pub(super) fn press_enter(&mut self) {
        self.press(KeyCode::Enter);
    }

    /// Asks what an overlay asks.
    pub(super) async fn overlay(&mut self, overlay: Overlay) {
        match overlay {
            Overlay::Ask(ask) => self.choice(ask).await,
            Overlay::Prompt(prompt) => self.prompt(prompt).await,
            Overlay::Files(files) => self.files(files).await,
            Overlay::Paste(paste) => self.paste(paste).await,
            Overlay::Steps(at) => self.steps(at).await,
            Overlay::Text(text) => {
                self.say(&format!("{}:", text.title));
                text.lines.iter().for_each(|line| self.say(&format!("  {line}")));
            }
            Overlay::Menu(_) => self.say("* lists what can be done here."),
        }
    }

    async fn choice(&mut self, mut ask: Ask) {
        self.say(&ask.title);
        ask.text.iter().for_each(|line| self.say(&format!("  {line}")));
        for (at, (label, _)) in ask.choices.iter().enumerate() {
            self.say(&format!("  {}. {label}", at + 1));
        }
        let question = format!("Answer (Enter: {})", ask.choices[0].0);
        let Some(line) = self.ask(&question).await else { return };
        let at = match line.as_str() {
            "" => Some(0),
            // Nothing is done.
            "<" => return,
            // Whoever is asked about leaving and wants to leave is asked no more.
            "!" => return self.take(Msg::Key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL))),
            line => {
                line.parse::<usize>().ok().and_then(|n| n.checked_sub(1)).filter(|at| *at < ask.choices.len())
            }
        };
        match at {
            Some(at) => {
                ask.at = at;
                self.model.overlay = Some(Overlay::Ask(ask));
                self.press_enter();
            }
            None => {
                self.say("! That is none of them.");
                self.model.overlay = Some(Overlay::Ask(ask));
            }
        }
    }

    async fn prompt(&mut self, prompt: Prompt) {
        self.say(&prompt.title);
        self.say(&format!("  {}", prompt.help));
        if let Some(error) = &prompt.error {
            self.say(&format!("  ! {error}"));
        }
        let there = prompt.line.text();
        let there = if there.is_empty() { String::new() } else { format!(" [{there}]") };
        let Some(line) = self.ask(&format!("{}{there}", prompt.label)).await else { return };
        match line.as_str() {
            "<" => {}
            "!" => self.act(Action::Quit),
            line => {
                let text = if line.is_empty() { prompt.line.text().to_owned() } else { line.to_owned() };
                self.model.overlay = Some(Overlay::Prompt(prompt));
                self.fill_prompt(&text);
            }
        }
    }

    async fn files(&mut self, files: Files) {
        self.say(&format!(
            "Files are looked for in {}; Enter lists them, < takes none.",
            files.folder.display()
        ));
        let Some(line) = self.ask("Path of the file").await else { return };
        let path = files.folder.join(&line);
        match line.as_str() {
            "<" => {}
            "!" => self.act(Action::Quit),
            _ if path.is_dir() => {
                let mut files = Files { folder: path.clone(), ..files };
                match crate::tui::effects::work::folder(&path) {
                    Ok(entries) => {
                        for entry in entries {
                            let slash = if entry.folder { "/" } else { "" };
                            self.say(&format!("  {}{slash}", entry.name));
                        }
                    }
                    Err(problem) => self.say(&format!("! {}", problem.what())),
                }
                files.line = crate::tui::line::Line::default();
                self.model.overlay = Some(Overlay::Files(files));
            }
            _ => {
                self.model.overlay = Some(Overlay::Files(files));
                let effects = update::pick(&mut self.model, path);
                self.work(effects);
            }
        }
    }

    async fn paste(&mut self, mut paste: Box<Paste>) {
        if let Some(problem) = &paste.error {
            for line in problem.to_string().lines() {
                self.say(&format!("  ! {}", line.trim()));
            }
        }
        self.say("Paste PEM text; a line with a single . ends it.");
        let mut lines = Vec::new();
        while let Some(line) = self.ask("").await {
            if line == "." {
                break;
            }
            lines.push(line);
        }
        if lines.is_empty() || self.model.leaving.is_some() {
            return;
        }
        paste.area = ratatui_textarea::TextArea::new(lines);
        self.model.overlay = Some(Overlay::Paste(paste));
        self.press(KeyCode::Tab);
        self.settle().await;
    }

    async fn steps(&mut self, at: usize) {
        for step in Step::ALL {
            let word = self.model.site.as_ref().map_or("", |site| site.state(step).word());
            self.say(&format!("  {}. {}, {word}", step.number(), step.title()));
        }
        let Some(line) = self.ask("Step (Enter: stay)").await else { return };
        match line.parse::<usize>() {
            Ok(n @ 1..=7) => {
                self.model.overlay = Some(Overlay::Steps(n - 1));
                self.press_enter();
            }
            _ if line.is_empty() || line == "<" => {}
            _ => {
                self.say("! That is none of them.");
                self.model.overlay = Some(Overlay::Steps(at));
            }
        }
    }
}
