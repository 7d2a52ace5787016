//! What happens to the state when something happens. No clock, no file, no terminal: what is to be done
//! in the world goes out as [`Effect`]s.

mod answers;
mod build;
mod machine;
mod overlays;
mod quit;
mod site;
mod start;

use super::keys::{self, Action, Key};
use super::model::{Model, Screen, Site};
use super::msg::{Effect, Msg};
use super::overlay::{Menu, Overlay};
use super::rows;
use super::theme::Role;
use super::view::rows::Extent;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Takes one message.
pub fn update(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let opens = matches!(msg, Msg::Opened(_));
    let revision = |model: &Model| model.site.as_ref().map(Site::revision);
    let before = revision(model).filter(|_| !opens);
    let effects = take(model, msg);
    if before.is_some()
        && before != revision(model)
        && let Some(site) = &mut model.site
    {
        site.touched = Some(model.now);
    }
    // What ends the program while it stands still must find a draft.
    if effects.iter().any(Effect::lends) && model.site.as_ref().is_some_and(|site| site.touched.is_some()) {
        let mut kept = quit::keep_draft(model);
        kept.extend(effects);
        return kept;
    }
    effects
}

fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    match msg {
        Msg::Tick(now) => {
            model.now = now.max(model.now);
            let now = model.now;
            if let Some(watch) = &mut model.watch {
                watch.tick(now);
            }
            let mut effects = start::watch_running(model);
            effects.extend(quit::keep_when_settled(model));
            effects
        }
        Msg::Resize(columns, lines) => {
            model.size = (columns, lines);
            model.scroll = None;
            let body = model.body();
            if let Some(watch) = &mut model.watch {
                watch.state.resize(body);
            }
            if let Some(trial) = &mut model.trial {
                trial.resize(body);
            }
            Vec::new()
        }
        Msg::Key(event) if event.kind != KeyEventKind::Release => {
            let before = editing(model);
            let mut effects = key(model, &event);
            // A text is an answer when its field is left.
            if editing(model) != before {
                effects.extend(site::refresh(model, site::Look::Changed));
            }
            effects
        }
        Msg::Key(_) => Vec::new(),
        Msg::Paste(text) => paste(model, &text),
        Msg::Wheel { up } => wheel(model, up),
        Msg::Signal(exit) => quit::signal(model, exit),
        msg @ (Msg::Console(..) | Msg::MachineEnded(..)) => machine::take(model, msg),
        msg @ (Msg::Begun(..) | Msg::Events(..) | Msg::Sizes(..) | Msg::Replanned(..)) => {
            build::take(model, msg)
        }
        Msg::Resumed => vec![Effect::Repaint],
        answer => answers::take(model, answer),
    }
}

pub use overlays::pick_path as pick;
pub use site::answer;
pub use start::entry as start_entry;

/// Leaves without a question; what is not saved is kept.
pub fn leave(model: &mut Model) -> Vec<Effect> {
    quit::leave(model, 0)
}

/// The field that is being typed in.
fn editing(model: &Model) -> Option<crate::site::Id> {
    let site = model.site.as_ref().filter(|_| model.screen == Screen::Site)?;
    site.form.editor().map(|(id, _)| id)
}

/// What the first screen needs.
pub fn begin(model: &mut Model) -> Vec<Effect> {
    start::refresh(model)
}

fn key(model: &mut Model, event: &KeyEvent) -> Vec<Effect> {
    let key = Key::of(event);
    if event.modifiers.contains(KeyModifiers::ALT) {
        model.say(Role::Muted, "No key with Alt does anything here; Esc lists what can be done.");
        return Vec::new();
    }
    // These must work whatever is open.
    match keys::lookup(key, &[keys::Context::Anywhere]) {
        Some(Action::Quit) => return quit::ask(model, true),
        Some(action @ (Action::Suspend | Action::Repaint)) => return act(model, action),
        _ => {}
    }
    if model.overlay.is_some() {
        return overlays::key(model, key);
    }
    model.notice = None;
    let typing = model.watch.as_ref().is_some_and(|watch| watch.state.typing().is_some());
    if model.screen == Screen::Build && typing {
        build::typed(model, key);
        return Vec::new();
    }
    if model.screen == Screen::Machine && model.trial.as_ref().is_some_and(|t| t.typing().is_some()) {
        machine::typed(model, key);
        return Vec::new();
    }
    if let Some(action) = keys::lookup(key, &model.contexts()) {
        return act(model, action);
    }
    let types = model.site.as_ref().is_some_and(|site| site.form.editor().is_some());
    if model.screen == Screen::Site && types && character(key).is_some() {
        return site::typed(model, key);
    }
    if matches!(key.code, KeyCode::Char(_)) {
        model.say(Role::Muted, format!("{} does nothing here; Esc lists what can be done.", key.name()));
    }
    Vec::new()
}

/// Does an action, by its key or from the menu.
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    match action {
        Action::Menu => {
            if site::cancel_checks(model) {
                model.say(Role::Muted, "The check was cancelled.");
            } else {
                model.overlay = Some(Overlay::Menu(Menu::default()));
            }
            Vec::new()
        }
        Action::Quit => quit::ask(model, false),
        Action::Text(action) => site::edit(model, |line| line.act(action)),
        Action::Suspend => vec![Effect::Suspend],
        Action::Repaint => vec![Effect::Repaint],
        Action::Mouse => {
            model.mouse = !model.mouse;
            let word = if model.mouse { "on: the wheel moves, Shift selects text" } else { "off" };
            model.say(Role::Info, format!("The mouse is {word}."));
            vec![Effect::Mouse(model.mouse)]
        }
        action if model.screen == Screen::Build => build::act(model, action),
        action if model.screen == Screen::Machine => machine::act(model, action),
        action if model.screen == Screen::Result => build::act_on_result(model, action),
        Action::Up => step_focus(model, -1),
        Action::Down => step_focus(model, 1),
        Action::PageUp => step_focus(model, -8),
        Action::PageDown => step_focus(model, 8),
        Action::First => to_end(model, false),
        Action::Last => to_end(model, true),
        action => match model.screen {
            Screen::Site => site::act(model, action),
            _ => start::act(model, action),
        },
    }
}

/// Moves the focus by so many rows, as far as there are some. What is between two rows scrolls by.
fn step_focus(model: &mut Model, by: isize) -> Vec<Effect> {
    for _ in 0..by.unsigned_abs() {
        match Extent::of(model).scrolled(model.scroll, by > 0) {
            Some(line) => model.scroll = Some(line),
            None => move_focus(model, by.signum()),
        }
    }
    Vec::new()
}

/// To the first row and all above it, or to the last and all below.
fn to_end(model: &mut Model, down: bool) -> Vec<Effect> {
    move_focus(model, if down { isize::MAX } else { isize::MIN });
    model.scroll = Some(if down { Extent::of(model).last() } else { 0 });
    Vec::new()
}

fn move_focus(model: &mut Model, by: isize) {
    let rows: Vec<_> = rows::rows(model).into_iter().filter(rows::Row::can_focus).collect();
    let Some(last) = rows.len().checked_sub(1) else { return };
    let now = model.focus().and_then(|focus| rows.iter().position(|row| *row == focus)).unwrap_or(0);
    let next = now.saturating_add_signed(by).min(last);
    if next != now
        && let Some(row) = rows.into_iter().nth(next)
    {
        model.set_focus(row);
    }
}

fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    if model.overlay.is_some() {
        return overlays::paste(model, text);
    }
    match model.screen {
        Screen::Site => site::paste(model, text),
        Screen::Build if model.watch.as_ref().is_some_and(|watch| watch.state.typing().is_some()) => {
            if let Some(watch) = &mut model.watch {
                watch.state.paste(text);
            }
            Vec::new()
        }
        Screen::Machine if model.trial.as_ref().is_some_and(|trial| trial.typing().is_some()) => {
            if let Some(trial) = &mut model.trial {
                trial.paste(text);
            }
            Vec::new()
        }
        _ => {
            model.say(Role::Warn, "Nothing here takes a text. Go to a text field, then paste.");
            Vec::new()
        }
    }
}

fn wheel(model: &mut Model, up: bool) -> Vec<Effect> {
    if model.screen == Screen::Build
        && let Some(watch) = &mut model.watch
    {
        watch.state.wheel(up);
        return Vec::new();
    }
    if model.screen == Screen::Machine
        && let Some(trial) = &mut model.trial
    {
        trial.wheel(up);
        return Vec::new();
    }
    act(model, if up { Action::Up } else { Action::Down })
}

/// The text of a key that types something.
pub(super) fn character(key: Key) -> Option<char> {
    match key.code {
        KeyCode::Char(c) if !key.ctrl => Some(c),
        _ => None,
    }
}

/// What a key does to a line that is being typed; false if it is no such key.
pub(super) fn edit_line(line: &mut super::line::Line, key: Key) -> bool {
    match (character(key), keys::lookup(key, &[keys::Context::Text])) {
        (Some(c), _) => line.insert(c.encode_utf8(&mut [0; 4])),
        (None, Some(Action::Text(action))) => line.act(action),
        _ => return false,
    }
    true
}

#[cfg(test)]
mod build_tests;
#[cfg(test)]
mod command_tests;
#[cfg(test)]
mod draft_tests;
#[cfg(test)]
mod field_tests;
#[cfg(test)]
mod tests;
