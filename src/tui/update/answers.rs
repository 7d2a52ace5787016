//! Answers of effects.

use super::super::data::Opened;
use super::super::form::Form;
use super::super::model::{Model, Screen, Site};
use super::super::msg::{Effect, Msg, Saved};
use super::super::overlay::{Ask, Choice, Overlay, Text};
use super::super::step::Step;
use super::super::theme::Role;
use super::{site, start};
use crate::problem::Problem;
use crate::site::certificates::date;
use crate::words;

pub fn take(model: &mut Model, msg: Msg) -> Vec<Effect> {
    let now = model.now;
    match msg {
        Msg::Sites(run, sites) => {
            if let Err(problem) = &sites {
                model.say(Role::Error, problem.what());
            }
            model.start.finish(run, sites, now);
        }
        Msg::Opened(Ok(opened)) => return open(model, *opened),
        Msg::Saved(Ok(saved)) => return keep(model, *saved),
        Msg::Done(Ok(text)) => {
            model.say(Role::Ok, text);
            return start::refresh(model);
        }
        Msg::NotKept(problem) => model.say(Role::Warn, problem.what()),
        Msg::Told(Ok(text)) => model.say(Role::Ok, text),
        Msg::Told(Err(problem)) => explain(model, "That did not work", &problem),
        Msg::Opened(Err(problem))
        | Msg::Saved(Err(problem))
        | Msg::Done(Err(problem))
        | Msg::Compared(Err(problem)) => {
            explain(model, "That did not work", &problem);
        }
        Msg::Compared(Ok(lines)) => {
            model.overlay =
                Some(Overlay::Text(Text { title: "What is not saved".to_owned(), lines, from: 0 }));
        }
        Msg::Decoded(Ok(pending)) => {
            model.overlay = None;
            site::take_certificates(model, *pending);
        }
        Msg::Decoded(Err(problem)) => match &mut model.overlay {
            Some(Overlay::Paste(paste)) => paste.error = Some(problem),
            _ => explain(model, "These certificates cannot be used", &problem),
        },
        answer => of_site(model, answer),
    }
    Vec::new()
}

fn of_site(model: &mut Model, msg: Msg) {
    let now = model.now;
    if let (Msg::Folder(run, entries), Some(Overlay::Files(files))) = (&msg, &mut model.overlay) {
        files.entries.finish(*run, entries.clone(), now);
        return;
    }
    let Some(site) = &mut model.site else { return };
    match msg {
        Msg::Probed(run, tested) => {
            let failed = tested.as_ref().map(|tested| {
                tested.answers.iter().filter(|answer| answer.outcome.failure.is_some()).count() as u64
            });
            let failed = failed.map_err(Clone::clone);
            if site.probe.finish(run, tested, now) {
                match failed {
                    Ok(0) => model.say(Role::Ok, "Every endpoint answers."),
                    Ok(n) => {
                        let text = format!("{} cannot be used.", words::count_of(n, "endpoint"));
                        model.say(Role::Error, text);
                    }
                    Err(problem) => explain(model, "The connection cannot be tested", &problem),
                }
            }
        }
        Msg::Certificates(run, certificates) if site.pending.is_none() => {
            site.certificates.finish(run, *certificates, now);
        }
        Msg::Fetched(run, chain) => {
            let problem = chain.as_ref().err().cloned();
            if !site.fetched.finish(run, chain.map(|pending| *pending), now) {
                return;
            }
            match problem {
                Some(problem) => explain(model, "The chain cannot be fetched", &problem),
                None => confirm_chain(model),
            }
        }
        Msg::Components(run, entries) => {
            site.components.finish(run, entries, now);
        }
        Msg::Kernels(run, kernels) => {
            site.kernels.finish(run, kernels.map(|kernels| *kernels), now);
        }
        Msg::KernelsElsewhere(run, places) => {
            site.elsewhere.finish(run, places, now);
        }
        Msg::Planned(run, rows) => {
            site.plan.finish(run, rows.map(|planned| *planned), now);
        }
        _ => {}
    }
}

/// A person compares the fingerprint: what comes over the network alone is no reason to trust it.
fn confirm_chain(model: &mut Model) {
    let Some(Ok(pending)) = model.site.as_ref().and_then(|site| site.fetched.value()) else { return };
    let mut text = vec![format!("This is what {} sent. Nobody has vouched for it yet.", pending.source)];
    for certificate in &pending.ca.certificates {
        text.push(String::new());
        text.push(certificate.info.subject.clone());
        text.extend(words::fingerprint(&certificate.info.fingerprint.hex()));
        text.push(format!("valid to {}", date(certificate.info.not_after)));
    }
    text.extend(pending.ca.notes.iter().map(|note| format!("({note})")));
    text.push(String::new());
    text.push("Compare the fingerprint with one that you have from the orchestrator's operator.".to_owned());
    model.overlay = Some(Overlay::Ask(Ask::new(
        "Trust this authority?",
        text,
        vec![("No", Choice::Stay), ("Yes, it is the same", Choice::TakeChain)],
    )));
}

/// A problem that needs more than one line.
pub fn explain(model: &mut Model, title: &str, problem: &Problem) {
    let lines = problem.to_string().lines().map(str::to_owned).collect();
    model.overlay = Some(Overlay::Text(Text { title: title.to_owned(), lines, from: 0 }));
}

fn open(model: &mut Model, opened: Opened) -> Vec<Effect> {
    // The machine's own proxies are for sites of which nothing is known.
    let ambient = opened.new && opened.imported.is_none();
    let form = Form::new(&opened.name, opened.profile, model.env.clone(), ambient);
    let mut site = Site::new(form);
    site.warnings = opened.warnings;
    site.imported = opened.imported;
    let mut step = Step::Endpoints;
    if let Some(draft) = opened.draft {
        site.form.replay(draft.edits());
        site.kept = true;
        match draft.pending() {
            Ok(pending) => site.pending = pending,
            Err(problem) => site.warnings.push(problem),
        }
        step = draft.step;
        site.visited.extend(Step::ALL.iter().copied().filter(|s| *s <= step));
        model.say(Role::Ok, "This is where you left off.");
    } else if let Some(warning) = site.warnings.first() {
        let text = warning.what().to_owned();
        model.say(Role::Warn, text);
    }
    site.step = step;
    model.site = Some(site);
    model.screen = Screen::Site;
    model.overlay = None;
    model.attend();
    site::refresh(model, site::Look::Enter)
}

fn keep(model: &mut Model, saved: Saved) -> Vec<Effect> {
    let Some(site) = &mut model.site else { return Vec::new() };
    let old = std::mem::replace(&mut site.form.name, saved.name.clone());
    site.form.saved(&saved.name, saved.profile);
    site.pending = None;
    site.imported = None;
    site.kept = false;
    model.attend();
    match saved.warnings.first() {
        Some(warning) => {
            let text = warning.what().to_owned();
            model.say(Role::Warn, format!("Saved, but {text}."));
        }
        None => model.say(Role::Ok, format!("Saved {}.", saved.wrote.join(" and "))),
    }
    let mut effects = vec![Effect::DiscardDraft(old)];
    effects.extend(if saved.build { site::build(model) } else { site::refresh(model, site::Look::Enter) });
    effects
}
