//! Leaving: at once where nothing runs, else after a question; never without what was typed.

use super::super::draft::Draft;
use super::super::model::Model;
use super::super::msg::Effect;
use super::super::signals::GONE;
use std::time::Duration;

/// A second Ctrl-C within this time leaves whatever runs.
const FORCE: Duration = Duration::from_secs(2);

/// A person wants to leave; `interrupt` is Ctrl-C.
pub fn ask(model: &mut Model, interrupt: bool) -> Vec<Effect> {
    let again = model.interrupted.is_some_and(|at| model.now < at + FORCE);
    if interrupt {
        model.interrupted = Some(model.now);
    }
    if again && interrupt {
        model.leaving = Some(130);
        return super::machine::stop(model).into_iter().collect();
    }
    if super::build::ask_to_leave(model) || super::machine::ask_to_leave(model) {
        return Vec::new();
    }
    leave(model, 0)
}

/// A signal: nobody can be asked. A second one ends the program at once, which the loop sees to. A lost
/// terminal is no reason to throw a build away; being told to end is.
pub fn signal(model: &mut Model, code: u8) -> Vec<Effect> {
    let mut effects = if code == GONE { Vec::new() } else { super::build::cancel(model) };
    effects.extend(leave(model, code));
    effects
}

/// Keeps what is not saved and ends.
pub fn leave(model: &mut Model, code: u8) -> Vec<Effect> {
    let mut effects = keep_draft(model);
    effects.extend(super::machine::stop(model));
    if let Some(site) = model.site.as_ref().filter(|site| site.changed()) {
        model.farewell.push(format!(
            "What was changed of {} and not saved is kept; `hookos` offers it when it starts again.",
            site.form.name
        ));
    }
    if let Some(watch) = model.watch.as_ref().filter(|watch| watch.ours.is_some() || watch.moving()) {
        model.farewell.extend(watch.state.summary(&watch.command));
    }
    model.leaving = Some(code);
    effects
}

/// The effect that keeps unsaved input, if there is some.
pub fn keep_draft(model: &Model) -> Vec<Effect> {
    match &model.site {
        Some(site) if site.form.changed() => {
            vec![Effect::KeepDraft(Draft::of(&site.form, site.step))]
        }
        _ => Vec::new(),
    }
}
