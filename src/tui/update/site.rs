//! The steps of a site.

use super::super::data::Pending;
use super::super::form;
use super::super::ground::Ground;
use super::super::keys::{Action, Key};
use super::super::line::Line;
use super::super::model::{Model, Screen};
use super::super::msg::{Build, Effect, Save};
use super::super::overlay::{self, Ask, Choice, Overlay, Paste, Picking, Purpose};
use super::super::rows::PASTE;
use super::super::rows::Row;
use super::super::step::Step;
use super::super::theme::Role;
use super::super::view::panel;
use super::{character, move_focus, overlays, start};
use crate::probe::endpoints;
use crate::site::{FIELDS, Id};
use crate::words::count_of;
use ratatui_textarea::TextArea;

pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let focus = model.focus();
    if model.site.is_none() {
        return Vec::new();
    }
    match action {
        Action::Activate => activate(model, focus),
        Action::Next => turn(model, focus, true),
        Action::Previous => turn(model, focus, false),
        Action::NextStep => submit(model),
        Action::PreviousStep => {
            let before = model.site.as_ref().and_then(|site| site.step.previous());
            before.map_or_else(Vec::new, |step| go_to(model, step))
        }
        Action::GoToStep => {
            if let Some(site) = &model.site {
                model.overlay = Some(overlay::steps(site.step));
            }
            Vec::new()
        }
        Action::Save => save(model, false),
        Action::SaveAs => {
            let name = model.site.as_ref().map(|site| site.form.name.clone()).unwrap_or_default();
            ask_name(model, "Save the profile as", &name, Purpose::SaveAs);
            Vec::new()
        }
        Action::RestoreDefault => {
            let (Some(Row::Field(id) | Row::Value(id)), Some(site)) = (focus, &mut model.site) else {
                return Vec::new();
            };
            site.form.restore(id);
            let text = if site.form.text(id).is_empty() { "nothing" } else { "the default" };
            model.say(Role::Info, format!("{} is {text} again.", id.field().label));
            changed(model, id);
            refresh(model, Look::Changed)
        }
        Action::Reveal => {
            if let Some(site) = &mut model.site {
                site.reveal = !site.reveal;
                let word = if site.reveal { "shown" } else { "hidden" };
                model.say(Role::Info, format!("Secrets are {word}."));
            }
            Vec::new()
        }
        Action::NextProblem => next_problem(model),
        Action::LookAgain => refresh(model, Look::Again),
        Action::About => {
            let lines = panel::words(model).into_iter().map(|(_, text)| text);
            let mut lines: Vec<String> = lines.flat_map(|text| [text, String::new()]).collect();
            lines.pop();
            if lines.is_empty() {
                model.say(Role::Muted, "There is no more to say of this row.");
            } else {
                model.overlay =
                    Some(Overlay::Text(overlay::Text { title: "About this row".to_owned(), lines, from: 0 }));
            }
            Vec::new()
        }
        Action::PickFile => match focus {
            Some(Row::Field(id)) => overlays::pick(model, Picking::Field(id)),
            _ => Vec::new(),
        },
        Action::CloseSite => start::show(model),
        Action::TestConnection => probe(model),
        Action::SkipCheck => {
            if let Some(site) = &mut model.site {
                site.probe.cancel();
                site.probe.skipped = true;
                model.say(Role::Info, "The connection test is skipped.");
            }
            Vec::new()
        }
        Action::PasteCertificate => {
            let area = TextArea::default();
            model.overlay = Some(Overlay::Paste(Box::new(Paste { area, error: None })));
            Vec::new()
        }
        Action::TakeCertificate => overlays::pick(model, Picking::Certificates),
        Action::FetchChain => fetch(model),
        Action::Placeholder => {
            model.overlay = Some(Overlay::Ask(Ask::new(
                "Make placeholder certificates?",
                vec![
                    "An image with them boots and can be looked at. It trusts no real server,".to_owned(),
                    "so no machine can register with it.".to_owned(),
                ],
                vec![("Cancel", Choice::Stay), ("Make placeholders", Choice::Placeholder)],
            )));
            Vec::new()
        }
        Action::StartBuild => ask_to_build(model),
        Action::CopyCommand => {
            let command = model.site.as_ref().map(super::super::command::whole);
            command.into_iter().map(|command| super::build::copy(model, command)).collect()
        }
        _ => Vec::new(),
    }
}

/// Enter on a row.
fn activate(model: &mut Model, focus: Option<Row>) -> Vec<Effect> {
    match focus {
        Some(Row::Do(action, _)) => act(model, action),
        Some(Row::Component(_) | Row::Group(_) | Row::Release(..)) => turn(model, focus, true),
        Some(Row::Problem(id)) => {
            model.set_focus(Row::Field(id));
            Vec::new()
        }
        Some(Row::Value(id)) => {
            let step = Step::of(id.field().section);
            let effects = go_to(model, step);
            model.set_focus(Row::Field(id));
            effects
        }
        // A field was answered: on to the next row, and its problem may be shown.
        Some(Row::Field(id)) => {
            if let Some(site) = &mut model.site {
                site.form.submit([id].into_iter());
            }
            move_focus(model, 1);
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// The next or previous choice of a row that has choices.
fn turn(model: &mut Model, focus: Option<Row>, forward: bool) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    match focus {
        Some(Row::Do(action, _)) if forward => act(model, action),
        Some(Row::Field(id)) => {
            if site.form.turn(id, forward) {
                changed(model, id);
                return refresh(model, Look::Changed);
            }
            let only = site.form.text(id);
            model.say(Role::Muted, format!("{only} is the only choice."));
            Vec::new()
        }
        Some(Row::Group(slug)) => {
            let id = super::super::kernels::toggle(site, &slug);
            changed(model, id);
            refresh(model, Look::Changed)
        }
        Some(Row::Release(version, from)) => {
            for id in super::super::kernels::choose(site, &version, from) {
                changed(model, id);
            }
            refresh(model, Look::Changed)
        }
        Some(Row::Component(name)) => {
            let id = super::super::components::toggle(site, &name);
            if let Some(id) = id {
                changed(model, id);
            }
            refresh(model, Look::Changed)
        }
        _ => Vec::new(),
    }
}

/// A key in a text field.
pub fn typed(model: &mut Model, key: Key) -> Vec<Effect> {
    // What is typed has to be seen.
    model.scroll = None;
    let (Some(site), Some(c)) = (&mut model.site, character(key)) else { return Vec::new() };
    let id = site.form.type_char(c);
    if let Some(why) = site.form.refused.clone() {
        model.say(Role::Warn, why);
    }
    if let Some(id) = id {
        changed(model, id);
    }
    Vec::new()
}

/// Moves in the text field, or deletes.
pub fn edit(model: &mut Model, change: impl FnOnce(&mut Line)) -> Vec<Effect> {
    if let Some(id) = model.site.as_mut().and_then(|site| site.form.edit(change)) {
        changed(model, id);
    }
    Vec::new()
}

/// A whole answer for a field; its problem may be shown.
pub fn answer(model: &mut Model, id: Id, text: String) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    let before = site.form.text(id);
    if before != text || site.form.edits().get(&id) == Some(&form::Edit::Default) {
        site.form.set(id, text);
    }
    let now = site.form.text(id);
    site.form.submit([id].into_iter());
    site.form.focus(None);
    if now == before {
        return Vec::new();
    }
    changed(model, id);
    refresh(model, Look::Changed)
}

/// Pasted text goes into the field whole: what is wrong with it is said when the field is left.
pub fn paste(model: &mut Model, text: &str) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    if site.step == Step::Certificates && text.contains("-----BEGIN") {
        let text = text.replace("\r\n", "\n").replace('\r', "\n");
        return vec![Effect::Decode(text.into_bytes())];
    }
    if site.form.editor().is_none() {
        model.say(Role::Warn, "Nothing here takes a text. Go to a text field, then paste.");
        return Vec::new();
    }
    if let Some(id) = site.form.edit(|line| line.insert(text.trim())) {
        changed(model, id);
    }
    Vec::new()
}

/// Marks the steps that this answer reaches into, if a person has seen them.
fn changed(model: &mut Model, id: Id) {
    let Some(site) = &mut model.site else { return };
    site.insist = None;
    let mut named = Vec::new();
    for (step, why) in Step::affected_by(id.field()) {
        if *step != site.step && site.visited.contains(step) {
            site.review.insert(*step, why);
            named.push(format!("{} needs review: {why}.", step.title()));
        }
    }
    if !named.is_empty() {
        model.say(Role::Warn, named.join(" "));
    }
}

/// Goes to a step; what was typed stays, right or wrong.
pub fn go_to(model: &mut Model, step: Step) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    if step == Step::Build {
        return if model.watches_site() { show_build(model) } else { ask_to_build(model) };
    }
    let from = site.step;
    let sections: Vec<_> = from.sections().collect();
    site.form.submit(FIELDS.iter().filter(|f| sections.contains(&f.section)).map(|f| f.id));
    site.step = step;
    site.insist = None;
    site.visited.insert(step);
    site.review.remove(&step);
    model.screen = Screen::Site;
    model.attend();
    let mut effects = if from == step { Vec::new() } else { super::quit::keep_draft(model) };
    effects.extend(refresh(model, Look::Enter));
    effects
}

/// On to the next step; with problems, to the first of them. Asking again goes on all the same: a person
/// may want to see the rest first.
fn submit(model: &mut Model) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    let step = site.step;
    let bad: Vec<Id> =
        site.form.problems().map(|(id, _)| id).filter(|id| Step::of(id.field().section) == step).collect();
    let asked_before = site.insist.replace(step) == Some(step);
    site.told.insert(step);
    let trouble = site.trouble(step) as u64;
    match (bad.first(), step.next()) {
        _ if trouble > 0 && !asked_before => {
            site.form.submit(bad.iter().copied());
            // Short, for the rows above say which: it is not to be cut.
            let text = format!("{} on this step; Ctrl-X goes to the next", count_of(trouble, "problem"));
            let first =
                bad.first().map_or(Row::Do(Action::PasteCertificate, PASTE.to_owned()), |id| Row::Field(*id));
            model.set_focus(first);
            model.say(Role::Error, text);
            Vec::new()
        }
        (_, Some(next)) => go_to(model, next),
        (_, None) => Vec::new(),
    }
}

/// To the next field with a problem, on whatever step it is.
fn next_problem(model: &mut Model) -> Vec<Effect> {
    let focus = model.focus();
    let Some(site) = &mut model.site else { return Vec::new() };
    let mut bad: Vec<(Step, Row)> =
        site.form.problems().map(|(id, _)| (Step::of(id.field().section), Row::Field(id))).collect();
    if matches!(site.certificates.value(), Some(Err(_))) {
        bad.push((Step::Certificates, Row::Do(Action::PasteCertificate, PASTE.to_owned())));
        bad.sort_by_key(|(step, _)| *step);
    }
    let at = bad.iter().position(|(step, row)| *step == site.step && focus.as_ref() == Some(row));
    let Some((step, row)) = bad.get(at.map_or(0, |at| (at + 1) % bad.len())).cloned() else {
        return Vec::new();
    };
    let ids: Vec<Id> = site.form.problems().map(|(id, _)| id).collect();
    site.form.submit(ids.into_iter());
    let effects = go_to(model, step);
    model.set_focus(row);
    effects
}

/// Why the world is asked for what a step shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// A setting may have changed: only what depends on it.
    Changed,
    /// A person has come to the step: what this machine knows, for it may have changed too.
    Enter,
    /// A person wants it: everything.
    Again,
}

/// Asks the world for what the step shows, as far as it is not known.
pub fn refresh(model: &mut Model, look: Look) -> Vec<Effect> {
    let (clock, now) = (model.clock(), model.now);
    let Some(site) = &mut model.site else { return Vec::new() };
    super::super::certificates::judge(site, clock, now);
    let resolved = Box::new(site.form.site().clone());
    let ground = |of: Ground| of.of(site);
    let (kernels, elsewhere, certificates) =
        (ground(Ground::Kernels), ground(Ground::Elsewhere), ground(Ground::Certificates));
    let (components, plan) = (ground(Ground::Components), ground(Ground::Plan));
    let local = look != Look::Changed;
    let mut effects = Vec::new();
    let pending = site.pending.is_some();
    if matches!(site.step, Step::Certificates | Step::Review)
        && !pending
        && (local || !site.certificates.is_about(&certificates))
    {
        let run = site.certificates.begin_about(certificates, now);
        effects.push(Effect::ReadCertificates { run, site: resolved.clone() });
    }
    match site.step {
        Step::Kernel => {
            if local || !site.kernels.is_about(&kernels) {
                let run = site.kernels.begin_about(kernels, now);
                effects.push(Effect::ListKernels { run, site: resolved.clone() });
            }
            // Others are asked over the network: once for the same question.
            if look == Look::Again || !site.elsewhere.is_about(&elsewhere) {
                let run = site.elsewhere.begin_about(elsewhere, now);
                effects.push(Effect::AskForKernels { run, site: resolved });
            }
        }
        Step::Components if local || !site.components.is_about(&components) => {
            let run = site.components.begin_about(components, now);
            effects.push(Effect::ListComponents { run, site: resolved });
        }
        Step::Review if local || !site.plan.is_about(&plan) => {
            let run = site.plan.begin_about(plan, now);
            effects.push(Effect::Plan { run, site: resolved });
        }
        _ => {}
    }
    effects
}

fn probe(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let Some(site) = &mut model.site else { return Vec::new() };
    let ids = endpoints(site.form.site());
    if ids.is_empty() {
        model.say(Role::Warn, "No endpoint is set. Give the cluster domain first.");
        return Vec::new();
    }
    let resolved = Box::new(site.form.site().clone());
    let ca = site.pending.as_ref().map(|pending| pending.ca.clone());
    let about = Ground::Probe.of(site);
    vec![Effect::Probe { run: site.probe.begin_about(about, now), site: resolved, ids, ca }]
}

fn fetch(model: &mut Model) -> Vec<Effect> {
    let now = model.now;
    let Some(site) = &mut model.site else { return Vec::new() };
    if site.form.site().get(Id::KeycloakUrl).is_none() {
        model.say(Role::Warn, "There is nobody to ask: the identity provider is not set (Endpoints).");
        return Vec::new();
    }
    let resolved = Box::new(site.form.site().clone());
    vec![Effect::FetchChain { run: site.fetched.begin(now), site: resolved }]
}

/// Stops waiting for the check that the step shows.
pub fn cancel_checks(model: &mut Model) -> bool {
    let now = model.now;
    let Some(site) = model.site.as_mut().filter(|_| model.screen == Screen::Site) else { return false };
    // What shows no sign yet cannot be what a person means.
    let mut any = false;
    for check in site.checks_in_sight() {
        any |= check.busy(now) && check.cancel();
    }
    any
}

/// Certificates that were pasted, picked, fetched or made.
pub fn take_certificates(model: &mut Model, pending: Pending) {
    let (clock, now) = (model.clock(), model.now);
    if let Some(site) = &mut model.site {
        let text =
            format!("Certificates taken ({}). They are written when you save or build.", pending.source);
        super::super::certificates::take(site, pending, clock, now);
        model.say(Role::Ok, text);
    }
}

fn ask_name(model: &mut Model, title: &str, name: &str, purpose: Purpose) {
    let help = "Letters, digits, `.`, `_` and `-`. The profile goes to profiles/NAME.toml.";
    start::prompt(model, title, "Name", help, name, purpose);
}

/// Saves under the name that the site has.
pub fn save(model: &mut Model, build: bool) -> Vec<Effect> {
    let name = model.site.as_ref().map(|site| site.form.name.clone()).unwrap_or_default();
    save_as(model, &name, build)
}

pub fn save_as(model: &mut Model, name: &str, build: bool) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    let bad: Vec<Id> = site.form.problems().map(|(id, _)| id).collect();
    if !bad.is_empty() {
        let effects = next_problem(model);
        model.say(Role::Error, format!("Not saved: {} first.", count_of(bad.len() as u64, "problem")));
        return effects;
    }
    let unset = site.form.edits().iter().filter(|(_, e)| **e == form::Edit::Default).map(|(id, _)| *id);
    vec![Effect::Save(Box::new(Save {
        name: name.to_owned(),
        profile: site.form.profile().clone(),
        site: site.form.site().clone(),
        unset: unset.collect(),
        certificates: site.pending.clone(),
        build,
    }))]
}

/// Builds what the screen shows.
pub fn build(model: &mut Model) -> Vec<Effect> {
    let mut effects = super::quit::keep_draft(model);
    let Some(site) = &model.site else { return Vec::new() };
    let build = Build { profile: site.form.name.clone(), flags: site.form.flags() };
    let plan = match site.plan.value() {
        Some(Ok(planned)) => planned.rows.clone(),
        _ => Vec::new(),
    };
    effects.extend(super::build::begin(model, build, plan));
    effects
}

/// The run of this site, which is there already.
fn show_build(model: &mut Model) -> Vec<Effect> {
    let mut effects = super::quit::keep_draft(model);
    model.screen = Screen::Build;
    effects.extend(super::build::replan(model));
    effects
}

/// Nothing is written or built before this question is answered.
fn ask_to_build(model: &mut Model) -> Vec<Effect> {
    let Some(site) = &model.site else { return Vec::new() };
    let bad = site.form.problems().count();
    if bad > 0 {
        let effects = next_problem(model);
        model.say(Role::Error, format!("Not built: {} first.", count_of(bad as u64, "problem")));
        return effects;
    }
    if let Some(Err(problem)) = site.certificates.value() {
        let text = format!("Not built: {}.", problem.what());
        let effects = go_to(model, Step::Certificates);
        model.say(Role::Error, text);
        return effects;
    }
    let name = &site.form.name;
    let mut text = Vec::new();
    let unsaved = site.changed() || site.form.profile().path().is_none();
    if unsaved {
        let path = site.form.profile().path().map_or_else(
            || model.root.join("profiles").join(format!("{name}.toml")),
            std::path::Path::to_owned,
        );
        text.push(format!("The profile is saved as {}.", path.display()));
    }
    if site.pending.is_some() {
        let folder = crate::site::certificates::folder(&model.root, name);
        text.push(format!("The certificates go to {}.", folder.display()));
    }
    text.push(format!("The image goes to {}.", model.root.join("out").join(name).display()));
    let mut choices = Vec::new();
    if unsaved {
        choices.push(("Save and build", Choice::SaveAndBuild));
        if site.pending.is_none() && site.form.profile().path().is_some() {
            choices.push(("Build without saving", Choice::BuildOnly));
        }
    } else {
        choices.push(("Build", Choice::BuildOnly));
    }
    choices.push(("Not yet", Choice::Stay));
    model.overlay = Some(Overlay::Ask(Ask::new(format!("Build {name}"), text, choices)));
    Vec::new()
}
