//! A machine that boots the image: its console, and its end.

use super::super::build::{BuildAction, BuildEffect, Job, Trial};
use super::super::keys::{Action, Key};
use super::super::model::{Model, Screen};
use super::super::msg::{Effect, Msg};
use super::super::overlay::{Ask, Choice, Overlay};
use super::super::theme::Role;
use super::build::copy;

/// Boots the image of a profile or stamps with it, or shows what runs already.
pub fn begin(model: &mut Model, profile: &str, job: Job) -> Vec<Effect> {
    model.screen = Screen::Machine;
    if let Some(trial) = model.trial.as_ref().filter(|trial| trial.running()) {
        if trial.job != job || trial.profile != profile {
            model.say(Role::Warn, "This runs still. End it, or wait for its end, before something else.");
        }
        return Vec::new();
    }
    model.watches += 1;
    let trial = model.watches;
    let out = model.root.join("out").join(profile);
    let file = out.join("logs").join(job.log());
    let words = job.words(profile, &out);
    model.trial = Some(Trial::new(trial, profile, job, file.clone(), model.body(), model.now));
    vec![Effect::Try { trial, words, file }]
}

pub fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let now = model.now;
    let Some(trial) = &mut model.trial else { return Vec::new() };
    match msg {
        Msg::Console(number, lines) if number == trial.number => trial.take(&lines, now),
        Msg::MachineEnded(number, code) if number == trial.number => {
            trial.end = Some((now, code));
            let name = &trial.profile;
            let (role, text) = match (code, &trial.job) {
                (0, Job::Boot) => (Role::Ok, format!("{name} boots: all of it came up, and it powered off.")),
                (0, Job::Stamp(_)) => (Role::Ok, format!("The stamped image is in out/{name}/stamped.")),
                (130, Job::Boot) => (Role::Info, "The machine was ended.".to_owned()),
                (130, Job::Stamp(_)) => (Role::Info, "The stamp was ended; nothing was replaced.".to_owned()),
                (_, Job::Boot) => (Role::Error, format!("{name} does not boot as it should.")),
                (_, Job::Stamp(_)) => (Role::Error, "The image was not stamped.".to_owned()),
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
    let (title, text) = match &trial.job {
        Job::Boot => {
            ("A machine is running", format!("It boots the image of {}. Leaving ends it.", trial.profile))
        }
        Job::Stamp(image) => {
            let text = format!("{} gets the site of {}. Leaving ends it.", image.display(), trial.profile);
            ("An image is being stamped", text)
        }
    };
    let choices = vec![("Stay", Choice::Stay), ("Leave and end it", Choice::EndMachine)];
    model.overlay = Some(Overlay::Ask(Ask::new(title, vec![text], choices)));
    true
}

/// What ends the machine, if there is one.
pub fn stop(model: &Model) -> Option<Effect> {
    model.trial.as_ref().filter(|trial| trial.running()).map(|_| Effect::StopMachine)
}
