//! What is said of each screen.

use super::{Plain, Screen, Step};
use crate::tui::build::result::NEXT;
use crate::tui::build::sizes::Change;
use crate::tui::keys::Action;
use crate::tui::model::Model;
use crate::tui::rows::{self, Row};
use crate::tui::theme::Role;
use crate::tui::view::{facts, text_of};
use crate::words::size;
use std::io::Write;

/// A row in words: columns become parts of a sentence, marks become words.
pub fn words(model: &Model, row: &Row) -> Vec<String> {
    if let Row::Note(role, text) = row {
        return vec![format!("{}{text}", sign(*role))];
    }
    // What goes on below it is waited for.
    if let Row::Heading(text, _) = row {
        return Some(text.clone()).filter(|text| !text.is_empty()).into_iter().collect();
    }
    let plain = |line: String| {
        // A sign that turns is no word.
        let line = line.replace(&format!(" {} ", model.theme.glyphs.run(model.tick())), "  ");
        let parts = line.split("  ").map(str::trim).filter(|part| !part.is_empty());
        let text = parts.collect::<Vec<_>>().join(", ");
        let marks: &[(&str, &str)] = match row {
            Row::Component(_) | Row::Group(_) => {
                &[("[x] ", "in: "), ("[ ] ", "out: "), ("x, ", "always in: ")]
            }
            Row::Certificate(_) | Row::Probe(_) | Row::Problem(_) => &[("+ ", ""), ("x ", "! ")],
            Row::Release(..) => &[("(x) ", "chosen: "), ("( ) ", "")],
            Row::Value(_) => &[("* ", "not the default: ")],
            Row::Do(..) => return text.trim_start_matches("[ ").trim_end_matches(" ]").to_owned(),
            _ => &[],
        };
        let marked =
            marks.iter().find_map(|(mark, word)| Some(format!("{word}{}", text.strip_prefix(mark)?)));
        marked.unwrap_or(text)
    };
    text_of(model, row).into_iter().map(plain).filter(|line| !line.is_empty()).collect()
}

/// What stands before a text that needs attention.
pub fn sign(role: Role) -> &'static str {
    if matches!(role, Role::Error | Role::Warn) { "! " } else { "" }
}

/// The rows of the screen that something can be done with, but for its fields.
pub fn choices(model: &Model) -> Vec<Row> {
    let not_next = |row: &Row| !matches!(row, Row::Do(Action::NextStep, _));
    let rows = rows::rows(model).into_iter().filter(Row::can_focus).filter(not_next);
    rows.filter(|row| !matches!(row, Row::Field(_))).collect()
}

impl<W: Write> Plain<W> {
    /// The name of the screen.
    pub(super) fn head(&mut self) {
        let name = self.model.site.as_ref().map_or_else(String::new, |site| site.form.name.clone());
        let step = self.model.site.as_ref().map_or(Step::Endpoints, |site| site.step);
        let text = match self.model.screen {
            Screen::Start => return,
            Screen::Site => {
                let unsaved = self.model.site.as_ref().is_some_and(|site| site.changed());
                let unsaved = if unsaved { ", not saved" } else { "" };
                format!("Step {} of {}: {} ({name}{unsaved})", step.number(), Step::ALL.len(), step.title())
            }
            Screen::Build => match &self.model.watch {
                Some(watch) => format!("Build of {}", watch.state.profile),
                None => return,
            },
            Screen::Result => "Result".to_owned(),
            Screen::Machine => "Machine".to_owned(),
        };
        self.say("");
        self.say(&text);
    }

    /// Everything on the screen but its fields; what can be chosen has a number. What was said of it
    /// already is not said again.
    pub(super) fn list(&mut self) {
        let mut lines = Vec::new();
        let mut number = 0;
        let choices = choices(&self.model);
        let mut heading = None;
        for row in rows::rows(&self.model) {
            let mut text = match &row {
                Row::Field(_) | Row::Do(Action::NextStep, _) => continue,
                row => words(&self.model, row).into_iter(),
            };
            let Some(first) = text.next() else { continue };
            // A heading with nothing below it is not said: its fields are asked.
            if matches!(row, Row::Heading(..)) {
                heading = Some(format!("{first}:"));
                continue;
            }
            lines.extend(heading.take());
            if choices.contains(&row) {
                number += 1;
                lines.push(format!("  {number}. {first}"));
            } else {
                lines.push(format!("  {first}"));
            }
            lines.extend(text.map(|line| format!("     {line}")));
        }
        self.say_new(lines);
    }

    fn say_new(&mut self, lines: Vec<String>) {
        let before = std::mem::replace(&mut self.said.1, lines.clone());
        for line in lines.iter().filter(|line| !before.contains(line)) {
            self.say(line);
        }
    }

    /// What there is to know of the row in focus.
    pub(super) fn explain(&mut self) {
        for line in facts(&self.model) {
            self.say(&format!("  {line}"));
        }
    }

    /// How far a build is.
    pub(super) fn progress(&mut self) {
        let Some(watch) = &self.model.watch else { return };
        let state = &watch.state;
        let work = state.at_work();
        let work = if work.is_empty() { "nothing yet".to_owned() } else { work.join(", ") };
        let left = state.left().map(|left| format!(", {} left", crate::words::about(left)));
        let text = format!(
            "{:.0} % after {}{}; at work: {work}",
            state.overall() * 100.0,
            crate::words::time(state.elapsed()),
            left.unwrap_or_default()
        );
        self.say(&text);
    }

    /// Why a build has failed, and what can be done.
    pub(super) fn failure(&mut self) {
        let Some(watch) = &self.model.watch else { return };
        let mut lines: Vec<String> =
            watch.state.failure_text().into_iter().map(|(_, line)| format!("  {line}")).collect();
        if lines.is_empty() {
            lines.extend(watch.state.end().map(|end| {
                format!("  {} in {:.1} s", crate::cli::render::plain::word(end.outcome), end.seconds)
            }));
        }
        self.say_new(lines);
    }

    /// Files, sizes and what can be done next.
    pub(super) fn artifacts(&mut self) {
        let Some(result) = &self.model.result else { return };
        let mut lines = vec![format!("{} is built, in {:.0} s", result.profile, result.seconds)];
        lines.extend(result.artifacts.iter().map(|artifact| {
            format!(
                "  {}, {}, sha256 {}",
                artifact.path.display(),
                size(artifact.bytes),
                artifact.sha256.hex()
            )
        }));
        match &result.sizes {
            Some(Ok(sizes)) => {
                lines.push("Parts of the image, packed and unpacked:".to_owned());
                for row in sizes.rows.iter().chain([&sizes.total]) {
                    let change = match row.change {
                        Change::Unknown | Change::Same => String::new(),
                        Change::New => ", new".to_owned(),
                        Change::Gone => ", not in it any more".to_owned(),
                        Change::By(packed, _) => {
                            let sign = if packed < 0 { "less" } else { "more" };
                            format!(", {} {sign} than before", size(packed.unsigned_abs()))
                        }
                    };
                    let (packed, whole) = (size(row.compressed), size(row.unpacked));
                    lines.push(format!("  {}: {packed}, {whole}{change}", row.name));
                }
            }
            Some(Err(problem)) => lines.push(format!("! {}", problem.what())),
            None => {}
        }
        lines.push(format!("The same as a command: {}", result.command));
        lines.push("What next:".to_owned());
        lines.extend(NEXT.iter().enumerate().map(|(at, (_, text))| format!("  {}. {text}", at + 1)));
        self.say_new(lines);
    }
}
