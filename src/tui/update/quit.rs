//! Leaving: at once where nothing runs, else after a question; never without what was typed.

use super::super::draft::Draft;
use super::super::model::Model;
use super::super::msg::Effect;
use super::super::signals::GONE;
use std::time::Duration;

/// A second Ctrl-C within this time leaves whatever runs.
const FORCE: Duration = Duration::from_secs(2);

/// Input is kept this long after the last change.
const SETTLED: Duration = Duration::from_secs(1);

/// A person wants to leave; `interrupt` is Ctrl-C.
pub fn ask(model: &mut Model, interrupt: bool) -> Vec<Effect> {
    let again = model.interrupted.is_some_and(|at| model.now < at + FORCE);
    if interrupt {
        model.interrupted = Some(model.now);
    }
    if again && interrupt {
        return leave(model, 130);
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
        let name = &site.form.name;
        model.farewell.push(if Draft::of(site).is_empty() {
            format!("What was changed of {name} and not saved is a secret, so it is kept nowhere.")
        } else {
            format!(
                "What was changed of {name} and not saved is kept; `hookos` offers it when it starts again."
            )
        });
    }
    if let Some(watch) = model.watch.as_ref().filter(|watch| watch.ours || watch.moving()) {
        model.farewell.extend(watch.state.summary(&watch.command()));
    }
    model.leaving = Some(code);
    effects
}

/// The effect that keeps unsaved input if there is some, and forgets what there was if not.
pub fn keep_draft(model: &mut Model) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    site.touched = None;
    let changed = site.changed();
    let kept = std::mem::replace(&mut site.kept, changed);
    if changed {
        vec![Effect::KeepDraft(Box::new(Draft::of(site)))]
    } else if kept {
        vec![Effect::DiscardDraft(site.form.name.clone())]
    } else {
        Vec::new()
    }
}

/// Keeps unsaved input a while after the last change.
pub fn keep_when_settled(model: &mut Model) -> Vec<Effect> {
    let touched = model.site.as_ref().and_then(|site| site.touched);
    if touched.is_some_and(|at| model.now >= at + SETTLED) { keep_draft(model) } else { Vec::new() }
}
