//! A run on the screen, and what came of it: what keys, answers and leaving do.

use super::super::build::{
    BuildAction, BuildEffect, Estimates, Job, LeaveChoice, ResultAction, ResultEffect, ResultState, Watch,
};
use super::super::data::Begun;
use super::super::keys::Action;
use super::super::model::{Model, Screen};
use super::super::msg::{Build, Effect, Msg};
use super::super::overlay::{Ask, Choice, Overlay, Picking};
use super::super::theme::Role;
use super::{answers, machine, start};
use crate::build::{Outcome, plan};
use crate::problem::Problem;
use std::path::PathBuf;
use std::time::Duration;

/// Starts a build and shows it.
pub fn begin(model: &mut Model, build: Build, plan: Vec<plan::Row>) -> Vec<Effect> {
    let watch = show(model, build.clone(), plan);
    watch.ours = true;
    vec![Effect::Build { watch: watch.number, build: Box::new(build) }]
}

/// Shows the run of a profile that goes on.
pub fn join(model: &mut Model, profile: String) -> Vec<Effect> {
    let same = |watch: &&Watch| watch.state.profile == profile && watch.moving();
    if model.watch.as_ref().filter(same).is_some() {
        model.screen = Screen::Build;
        return Vec::new();
    }
    let watch = show(model, Build::of(&profile), Vec::new()).number;
    vec![Effect::Join { watch, profile }]
}

/// Shows the last run of a profile.
pub fn replay(model: &mut Model, profile: String) -> Vec<Effect> {
    let watch = show(model, Build::of(&profile), Vec::new());
    watch.past = true;
    let watch = watch.number;
    vec![Effect::Replay { watch, profile }]
}

fn show(model: &mut Model, build: Build, plan: Vec<plan::Row>) -> &mut Watch {
    model.watches += 1;
    model.result = None;
    model.screen = Screen::Build;
    let watch = Watch::new(model.watches, build, plan, model.body());
    model.watch.insert(watch)
}

/// Answers that belong to a run.
pub fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let (now, clock) = (model.now, model.clock());
    let number = match &msg {
        Msg::Begun(number, _)
        | Msg::Events(number, _)
        | Msg::Sizes(number, _)
        | Msg::Replanned(number, _) => *number,
        _ => return Vec::new(),
    };
    let Some(watch) = model.watch.as_mut().filter(|watch| watch.number == number) else { return Vec::new() };
    match msg {
        Msg::Begun(_, Ok(begun)) => {
            let Begun { logs, since, took, flags, .. } = *begun;
            if !watch.ours {
                watch.build.flags = flags;
            }
            watch.expect(Estimates::of(&took));
            watch.logs = Some(logs);
            watch.past = since.is_none();
            let ago = since.map_or(0, |since| u64::try_from(clock - since).unwrap_or(0));
            watch.begun(now, Duration::from_secs(ago));
            // It was asked to stop before it could hear it.
            if watch.state.cancelling() && watch.moving() {
                return vec![Effect::CancelRun(watch.state.profile.clone())];
            }
        }
        Msg::Begun(_, Err(problem)) => refused(model, &problem),
        Msg::Events(_, events) => {
            let ran = watch.state.running();
            watch.take(&events, now);
            if ran && !watch.state.running() {
                return ended(model);
            }
        }
        // Without a plan the offer goes by what this run has finished.
        Msg::Replanned(_, Ok(plan)) => watch.state.replanned(plan),
        Msg::Sizes(_, sizes) => {
            if let Some(result) = &mut model.result {
                result.sizes = Some(sizes.map(|sizes| *sizes));
            }
        }
        _ => {}
    }
    Vec::new()
}

/// Asks what another attempt would do, if there is something to retry: what has changed meanwhile counts.
pub fn replan(model: &Model) -> Vec<Effect> {
    let failed = model.watch.iter().filter(|watch| watch.state.retry().is_some());
    failed.map(|w| Effect::Replan { watch: w.number, build: Box::new(w.build.clone()) }).collect()
}

/// There is no run to look at.
fn refused(model: &mut Model, problem: &Problem) {
    model.watch = None;
    model.screen = if model.site.is_some() { Screen::Site } else { Screen::Start };
    answers::explain(model, "The build has not begun", problem);
}

/// A run has ended. Who only watched gets the result; who reads the log is not torn away from it.
fn ended(model: &mut Model) -> Vec<Effect> {
    let Some(watch) = &model.watch else { return Vec::new() };
    let Some(end) = watch.state.end() else { return Vec::new() };
    if end.outcome != Outcome::Ok {
        return replan(model);
    }
    let result = ResultState::of(&watch.state, &watch.command());
    let effects = match &watch.state.run {
        Some(run) => {
            let (profile, run) = (result.profile.clone(), run.clone());
            vec![Effect::ReadSizes { watch: watch.number, profile, run }]
        }
        None => Vec::new(),
    };
    let name = result.profile.clone();
    let reading = watch.state.zoomed() || watch.state.pane().is_some_and(|pane| !pane.following());
    model.result = Some(result);
    if model.screen == Screen::Build && !reading && model.overlay.is_none() {
        model.screen = Screen::Result;
    } else {
        let hint = if model.screen == Screen::Build { "; v shows what came of it" } else { "" };
        model.say(Role::Ok, format!("{name} is built{hint}."));
    }
    effects
}

/// An action on the build's screen.
pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(watch) = &mut model.watch else {
        return start::show(model);
    };
    let action = match action {
        Action::Up => BuildAction::Up,
        Action::Down => BuildAction::Down,
        Action::Build(action) => action,
        Action::ShowResult => {
            if model.result.is_some() {
                model.screen = Screen::Result;
            }
            return Vec::new();
        }
        Action::BackToSite => return back(model),
        _ => return Vec::new(),
    };
    let effect = watch.state.handle(action);
    effect.map_or_else(Vec::new, |effect| done(model, effect))
}

/// What an action of the build wants done.
fn done(model: &mut Model, effect: BuildEffect) -> Vec<Effect> {
    let Some(watch) = &mut model.watch else { return Vec::new() };
    match effect {
        BuildEffect::Cancel => vec![Effect::CancelRun(watch.state.profile.clone())],
        BuildEffect::Detach => {
            let text = format!("The build of {} goes on.", watch.state.profile);
            let effects = start::show(model);
            model.say(Role::Info, text);
            effects
        }
        BuildEffect::Retry { .. } => retry(model),
        BuildEffect::Pager(file) => vec![Effect::Pager(file)],
        BuildEffect::Copy(text) => vec![copy(model, text)],
        BuildEffect::Save { name, text } => match &watch.state.logs {
            Some(logs) => vec![Effect::Write { file: logs.join(name), text }],
            None => Vec::new(),
        },
    }
}

/// Starts the same build again. What was finished is in the store, so it goes on where it failed.
fn retry(model: &mut Model) -> Vec<Effect> {
    let Some(watch) = &model.watch else { return Vec::new() };
    let build = watch.build.clone();
    if let Some(field) = build.lost() {
        let text = format!(
            "It was built with a secret ({}), which is kept nowhere: open {} and start a build there.",
            field.env, build.profile
        );
        model.say(Role::Error, text);
        return Vec::new();
    }
    let state = watch.state.again();
    let effects = begin(model, build, Vec::new());
    if let Some(watch) = &mut model.watch {
        watch.state = state;
    }
    effects
}

/// The terminal's clipboard gets a text.
pub fn copy(model: &mut Model, text: String) -> Effect {
    model.say(Role::Ok, "It is in the terminal's clipboard, if the terminal has one.");
    Effect::Copy(text)
}

/// Back to the site that is being worked on, or to the profiles.
fn back(model: &mut Model) -> Vec<Effect> {
    if model.site.is_none() {
        return start::show(model);
    }
    model.screen = Screen::Site;
    model.attend();
    super::site::refresh(model, super::site::Look::Enter)
}

/// An action on the result's screen.
pub fn act_on_result(model: &mut Model, action: Action) -> Vec<Effect> {
    let Some(result) = &mut model.result else { return start::show(model) };
    let action = match action {
        Action::Up => ResultAction::Up,
        Action::Down => ResultAction::Down,
        Action::Result(action) => action,
        Action::BackToSite => return back(model),
        _ => return Vec::new(),
    };
    let profile = result.profile.clone();
    match result.handle(action) {
        Some(ResultEffect::Boot) => machine::begin(model, &profile, Job::Boot),
        Some(ResultEffect::LogIn) => vec![Effect::Boot(profile)],
        Some(ResultEffect::Publish) => vec![Effect::Publish(profile)],
        Some(ResultEffect::Stamp) => super::overlays::pick(model, Picking::Image),
        Some(ResultEffect::Copy(text)) => vec![copy(model, text)],
        Some(ResultEffect::Logs) => {
            model.screen = Screen::Build;
            Vec::new()
        }
        Some(ResultEffect::Close) => start::show(model),
        None => Vec::new(),
    }
}

/// Puts the site of the result on a published image.
pub fn stamp(model: &mut Model, image: PathBuf) -> Vec<Effect> {
    let Some(result) = &model.result else { return Vec::new() };
    let profile = result.profile.clone();
    machine::begin(model, &profile, Job::Stamp(image))
}

/// A key on the build's screen that no action has.
pub fn typed(model: &mut Model, key: super::super::keys::Key) {
    if let Some(watch) = &mut model.watch {
        watch.state.typed(key);
    }
}

/// Asks before leaving, if something would go on or be lost.
pub fn ask_to_leave(model: &mut Model) -> bool {
    let live = model.watch.as_ref().filter(|watch| watch.moving());
    let Some(leaving) = live.and_then(|watch| watch.state.leaving()) else { return false };
    let choice = |(label, choice)| (label, Choice::LeaveBuild(choice));
    let choices = leaving.choices.into_iter().map(choice).collect();
    model.overlay = Some(Overlay::Ask(Ask::new(leaving.title, leaving.text, choices)));
    true
}

/// The answer to [`ask_to_leave`].
pub fn answer(model: &mut Model, choice: LeaveChoice) -> Vec<Effect> {
    if choice == LeaveChoice::Stay {
        return Vec::new();
    }
    let wanted = model.watch.as_mut().and_then(|watch| watch.state.answer(choice));
    let mut effects = Vec::new();
    if wanted == Some(BuildEffect::Cancel) {
        effects.extend(model.watch.as_ref().map(|watch| Effect::CancelRun(watch.state.profile.clone())));
    }
    effects.extend(super::quit::leave(model, 0));
    effects
}

/// Cancels what this program has begun, for a program that is told to end.
pub fn cancel(model: &mut Model) -> Vec<Effect> {
    let ours = model.watch.as_mut().filter(|watch| watch.moving() && watch.ours);
    let wanted = ours.and_then(|watch| {
        watch.state.answer(LeaveChoice::Cancel)?;
        Some(Effect::CancelRun(watch.state.profile.clone()))
    });
    wanted.into_iter().collect()
}
