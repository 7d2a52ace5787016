//! Keys while something lies over the screen.

use super::super::check::Check;
use super::super::keys::{self, Action, Key};
use super::super::line::Line;
use super::super::model::Model;
use super::super::msg::Effect;
use super::super::overlay::{Ask, Choice, Files, Overlay, Paste, Picking, Prompt, Purpose};
use super::super::step::Step;
use super::super::theme::Role;
use super::super::view::overlays::{question, reading};
use super::{act, build, character, edit_line, site, start};
use crate::site::files;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::path::PathBuf;

pub fn key(model: &mut Model, key: Key) -> Vec<Effect> {
    let Some(overlay) = model.overlay.take() else { return Vec::new() };
    let action = keys::lookup(key, overlay.contexts());
    let enter = action == Some(Action::Choose);
    if action == Some(Action::Close) {
        return Vec::new();
    }
    match overlay {
        Overlay::Menu(mut menu) => {
            let entries = menu.entries(model);
            if enter {
                return entries.get(menu.at).map_or_else(Vec::new, |entry| act(model, entry.action));
            }
            if !choose(&mut menu.at, entries.len(), action) && edit_line(&mut menu.query, key) {
                menu.at = 0;
            }
            model.overlay = Some(Overlay::Menu(menu));
        }
        Overlay::Steps(mut at) => {
            if enter {
                return site::go_to(model, Step::ALL[at.min(Step::ALL.len() - 1)]);
            }
            if action == Some(Action::StepOfNumber) {
                at = character(key).and_then(|c| c.to_digit(10)).unwrap_or(1) as usize - 1;
            } else {
                choose(&mut at, Step::ALL.len(), action);
            }
            model.overlay = Some(Overlay::Steps(at));
        }
        Overlay::Ask(mut ask) => {
            if enter {
                return answer(model, ask);
            }
            move_in(&mut ask, action, model.size);
            model.overlay = Some(Overlay::Ask(ask));
        }
        Overlay::Prompt(mut prompt) => {
            if enter {
                return typed(model, prompt);
            }
            if edit_line(&mut prompt.line, key) && prompt.error.is_some() {
                prompt.error = wrong(model, &prompt);
            }
            model.overlay = Some(Overlay::Prompt(prompt));
        }
        Overlay::Files(files) => return pick_key(model, files, key, action),
        Overlay::Paste(mut paste) => {
            if action == Some(Action::TakePaste) {
                let text = paste.area.lines().join("\n");
                model.overlay = Some(Overlay::Paste(paste));
                return vec![Effect::Decode(text.into_bytes())];
            }
            if let Some(event) = plain_event(key) {
                paste.area.input_without_shortcuts(event);
                paste.error = None;
            }
            model.overlay = Some(Overlay::Paste(paste));
        }
        Overlay::Text(mut text) => {
            if enter {
                return Vec::new();
            }
            let part = reading(&text, model.size);
            text.from = match action {
                Some(Action::Up) => part.moved(-1),
                Some(Action::Down) => part.moved(1),
                Some(Action::PageUp) => part.moved(-part.page()),
                Some(Action::PageDown) => part.moved(part.page()),
                Some(Action::First) => 0,
                Some(Action::Last) => part.moved(isize::MAX),
                _ => text.from,
            };
            model.overlay = Some(Overlay::Text(text));
        }
    }
    Vec::new()
}

/// Moves in a question: down through its text, then through the answers, so that no answer but the first
/// can be given before all was in sight.
fn move_in(ask: &mut Ask, action: Option<Action>, size: (u16, u16)) {
    let part = question(ask, size);
    let (from, below) = (part.moved(0), part.moved(1));
    match action {
        Some(Action::Down) if below > from => ask.from = below,
        Some(Action::PageDown | Action::Last) if below > from => ask.from = part.moved(part.page()),
        Some(Action::Up) if ask.at == 0 => ask.from = part.moved(-1),
        Some(Action::PageUp | Action::First) if ask.at == 0 => ask.from = part.moved(-part.page()),
        _ => {
            choose(&mut ask.at, ask.choices.len(), action);
        }
    }
}

/// Moves in a list; false if the action does not.
fn choose(at: &mut usize, count: usize, action: Option<Action>) -> bool {
    let last = count.saturating_sub(1);
    *at = match action {
        Some(Action::Up) => at.saturating_sub(1),
        Some(Action::Down) => (*at + 1).min(last),
        Some(Action::PageUp) => at.saturating_sub(8),
        Some(Action::PageDown) => (*at + 8).min(last),
        Some(Action::First) => 0,
        Some(Action::Last) => last,
        _ => return false,
    };
    true
}

/// The key for the text area, which has no use for those with Ctrl.
fn plain_event(key: Key) -> Option<KeyEvent> {
    (!key.ctrl).then(|| KeyEvent::new(key.code, KeyModifiers::NONE))
}

/// Text that was pasted while something is open.
pub fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    match &mut model.overlay {
        Some(Overlay::Paste(paste)) => {
            // Terminals send pasted lines with bare carriage returns.
            let text = text.replace("\r\n", "\n").replace('\r', "\n");
            paste.area.insert_str(&text);
            paste.error = None;
            return decode_when_whole(paste);
        }
        Some(Overlay::Prompt(prompt)) => prompt.line.insert(text.trim()),
        Some(Overlay::Menu(menu)) => menu.query.insert(text.trim()),
        Some(Overlay::Files(files)) => return typed_path(files, text.trim()),
        _ => {}
    }
    Vec::new()
}

/// A paste that ends a certificate is read at once.
fn decode_when_whole(paste: &Paste) -> Vec<Effect> {
    let text = paste.area.lines().join("\n");
    if text.trim_end().ends_with("-----END CERTIFICATE-----") {
        vec![Effect::Decode(text.into_bytes())]
    } else {
        Vec::new()
    }
}

fn answer(model: &mut Model, ask: Ask) -> Vec<Effect> {
    let Some((_, choice)) = ask.choices.into_iter().nth(ask.at) else { return Vec::new() };
    match choice {
        Choice::Stay => Vec::new(),
        Choice::Delete(name) => vec![Effect::Delete(name)],
        Choice::ResumeDraft(name) => vec![Effect::ResumeDraft(name)],
        Choice::CompareDraft(name) => vec![Effect::CompareDraft(name)],
        Choice::OpenSaved(name) => vec![Effect::DiscardDraft(name.clone()), Effect::Open(name)],
        Choice::DiscardDraft(name) => {
            let mut effects = vec![Effect::DiscardDraft(name)];
            effects.extend(start::refresh(model));
            effects
        }
        Choice::SaveAndBuild => site::save(model, true),
        Choice::BuildOnly => site::build(model),
        Choice::LeaveBuild(choice) => build::answer(model, choice),
        Choice::EndMachine => super::quit::leave(model, 0),
        Choice::TakeChain => {
            if let Some(Some(Ok(pending))) = model.site.as_ref().map(|site| site.fetched.value().cloned()) {
                site::take_certificates(model, pending);
            }
            Vec::new()
        }
        Choice::Placeholder => match &model.site {
            Some(site) => vec![Effect::MakePlaceholder { site: Box::new(site.form.site().clone()) }],
            None => Vec::new(),
        },
    }
}

/// What is wrong with the line of a prompt.
fn wrong(model: &Model, prompt: &Prompt) -> Option<String> {
    let name = prompt.line.text();
    if let Err(problem) = files::check_name(name) {
        return Some(match problem.remedy_text() {
            Some(remedy) => format!("{}: {remedy}", problem.what()),
            None => problem.what().to_owned(),
        });
    }
    let own = model.site.as_ref().map(|site| site.form.name.as_str());
    let same = prompt.purpose == Purpose::SaveAs && own == Some(name);
    if same {
        None
    } else if start::entry(model, name).is_some() {
        Some(format!("there is a profile {name} already; take another name"))
    } else {
        let unsaved =
            || format!("something of {name} is not saved yet; go on with that, or take another name");
        start::draft(model, name).map(|_| unsaved())
    }
}

fn typed(model: &mut Model, mut prompt: Prompt) -> Vec<Effect> {
    prompt.error = wrong(model, &prompt);
    if prompt.error.is_some() {
        model.overlay = Some(Overlay::Prompt(prompt));
        return Vec::new();
    }
    let name = prompt.line.text().to_owned();
    match prompt.purpose {
        Purpose::NewSite => vec![Effect::New(name)],
        Purpose::SaveAs => site::save_as(model, &name, false),
        Purpose::Duplicate(from) => vec![Effect::Duplicate { from, to: name }],
        Purpose::Rename(from) => vec![Effect::Rename { from, to: name }],
        Purpose::ImportAs(file) => vec![Effect::Import { file, name }],
    }
}

/// Opens the picker at the project's folder, or where the field's file is.
pub fn pick(model: &mut Model, picking: Picking) -> Vec<Effect> {
    let folder = match picking {
        Picking::Field(id) => {
            let file = model.site.as_ref().and_then(|site| site.form.site().path(id, &model.root));
            file.and_then(|file| file.parent().map(std::path::Path::to_owned))
        }
        _ => None,
    };
    let folder = folder.filter(|folder| folder.is_absolute()).unwrap_or_else(|| model.root.clone());
    let mut files =
        Files { picking, folder: folder.clone(), entries: Check::default(), line: Line::default(), at: 0 };
    let run = files.entries.begin(model.now);
    model.overlay = Some(Overlay::Files(files));
    vec![Effect::ListFolder { run, folder }]
}

fn pick_key(model: &mut Model, mut files: Files, key: Key, action: Option<Action>) -> Vec<Effect> {
    let shown: Vec<_> = files.shown().into_iter().cloned().collect();
    let up = action == Some(Action::FolderAbove)
        || (key.code == KeyCode::Backspace && files.line.text().is_empty());
    let enter = matches!(action, Some(Action::Choose | Action::FolderBelow));
    if up {
        if let Some(parent) = files.folder.parent().map(std::path::Path::to_owned) {
            return enter_folder(model, files, parent);
        }
    } else if enter {
        if let Some(entry) = shown.get(files.at) {
            let path = files.folder.join(&entry.name);
            if entry.folder {
                return enter_folder(model, files, path);
            }
            if action == Some(Action::Choose) {
                return picked(model, files.picking, path);
            }
        }
    } else if !choose(&mut files.at, shown.len(), action) {
        edit_line(&mut files.line, key);
        files.at = 0;
        // A typed path goes to its folder.
        if files.line.text().ends_with('/') {
            let folder = files.folder.join(files.line.text());
            return enter_folder(model, files, folder);
        }
    }
    model.overlay = Some(Overlay::Files(files));
    Vec::new()
}

fn enter_folder(model: &mut Model, mut files: Files, folder: PathBuf) -> Vec<Effect> {
    files.folder.clone_from(&folder);
    files.line = Line::default();
    files.at = 0;
    let run = files.entries.begin(model.now);
    model.overlay = Some(Overlay::Files(files));
    vec![Effect::ListFolder { run, folder }]
}

/// A pasted path: its folder is shown, its name chosen.
fn typed_path(files: &mut Files, text: &str) -> Vec<Effect> {
    let path = files.folder.join(text);
    files.line = Line::new(path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default());
    files.at = 0;
    match path.parent() {
        Some(folder) if folder != files.folder => {
            files.folder = folder.to_owned();
            let run = files.entries.begin(std::time::Duration::ZERO);
            vec![Effect::ListFolder { run, folder: folder.to_owned() }]
        }
        _ => Vec::new(),
    }
}

/// A whole path for the picker that is open.
pub fn pick_path(model: &mut Model, path: PathBuf) -> Vec<Effect> {
    match model.overlay.take() {
        Some(Overlay::Files(files)) => picked(model, files.picking, path),
        _ => Vec::new(),
    }
}

fn picked(model: &mut Model, picking: Picking, path: PathBuf) -> Vec<Effect> {
    match picking {
        Picking::Certificates => return vec![Effect::DecodeFile(path)],
        Picking::Image => return build::stamp(model, path),
        Picking::Config => {
            let name = path.file_stem().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
            let name = if name == "config" { String::new() } else { name };
            start::prompt(
                model,
                "Import a config file",
                "Name of the site",
                "Letters, digits, `.`, `_` and `-`.",
                &name,
                Purpose::ImportAs(path),
            );
        }
        Picking::Field(id) => {
            if let Some(site) = &mut model.site {
                site.form.set(id, path.display().to_string());
                site.form.focus(None);
            }
            model.attend();
            model.say(Role::Ok, format!("{} is set.", id.field().label));
            return site::refresh(model, site::Look::Changed);
        }
    }
    Vec::new()
}
