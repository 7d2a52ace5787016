//! A machine that boots the image: its console, and its end.

use super::super::build::{BuildAction, BuildEffect, Trial};
use super::super::keys::{Action, Key};
use super::super::model::{Model, Screen};
use super::super::msg::{Effect, Msg};
use super::super::overlay::{Ask, Choice, Overlay};
use super::super::theme::Role;
use super::build::copy;

/// Boots the image of a profile, or shows the machine that does so already.
pub fn begin(model: &mut Model, profile: String) -> Vec<Effect> {
    model.screen = Screen::Machine;
    if model.trial.as_ref().is_some_and(Trial::running) {
        return Vec::new();
    }
    model.watches += 1;
    let trial = model.watches;
    let file = model.root.join("out").join(&profile).join("logs/console.log");
    model.trial = Some(Trial::new(trial, &profile, file.clone(), model.body(), model.now));
    vec![Effect::Try { trial, profile, file }]
}

pub fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let now = model.now;
    let Some(trial) = &mut model.trial else { return Vec::new() };
    match msg {
        Msg::Console(number, lines) if number == trial.number => trial.take(&lines, now),
        Msg::MachineEnded(number, code) if number == trial.number => {
            trial.end = Some((now, code));
            let (role, text) = match code {
                0 => (Role::Ok, format!("{} boots: all of it came up, and it powered off.", trial.profile)),
                130 => (Role::Info, "The machine was ended.".to_owned()),
                _ => (Role::Error, format!("{} does not boot as it should.", trial.profile)),
            };
            model.say(role, text);
        }
        _ => {}
    }
    Vec::new()
}

pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(trial) = &mut model.trial else { return Vec::new() };
    let action = match action {
        Action::Up => BuildAction::LineUp,
        Action::Down => BuildAction::LineDown,
        Action::StopMachine => BuildAction::Cancel,
        Action::Build(action) => action,
        Action::BackToResult => {
            model.screen = Screen::Result;
            return Vec::new();
        }
        _ => return Vec::new(),
    };
    match trial.handle(action) {
        Some(BuildEffect::Cancel) => vec![Effect::StopMachine],
        Some(BuildEffect::Copy(text)) => vec![copy(model, text)],
        Some(BuildEffect::Pager(file)) => vec![Effect::Pager(file)],
        Some(BuildEffect::Save { name, text }) => {
            vec![Effect::Write { file: trial.file.with_file_name(name), text }]
        }
        _ => Vec::new(),
    }
}

pub fn typed(model: &mut Model, key: Key) {
    if let Some(trial) = &mut model.trial {
        trial.typed(key);
    }
}

/// Asks before a machine is ended by leaving.
pub fn ask_to_leave(model: &mut Model) -> bool {
    let Some(trial) = model.trial.as_ref().filter(|trial| trial.running()) else { return false };
    let text = vec![format!("It boots the image of {}. Leaving ends it.", trial.profile)];
    let choices = vec![("Stay", Choice::Stay), ("Leave and end it", Choice::EndMachine)];
    model.overlay = Some(Overlay::Ask(Ask::new("A machine is running", text, choices)));
    true
}

/// What ends the machine, if there is one.
pub fn stop(model: &Model) -> Option<Effect> {
    model.trial.as_ref().filter(|trial| trial.running()).map(|_| Effect::StopMachine)
}
