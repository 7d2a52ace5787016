//! The start screen: profiles, what was not saved, what still runs.

use super::super::data::{DraftEntry, SiteEntry};
use super::super::keys::Action;
use super::super::line::Line;
use super::super::model::{Model, Screen};
use super::super::msg::Effect;
use super::super::overlay::{Ask, Choice, Overlay, Picking, Prompt, Purpose};
use super::super::rows::Row;
use super::super::theme::Role;
use super::{build, overlays};
use std::time::Duration;

/// Reads everything on it anew.
pub fn refresh(model: &mut Model) -> Vec<Effect> {
    vec![Effect::ListSites(model.start.begin(model.now))]
}

/// How often builds of other processes are looked at.
const LOOK: Duration = Duration::from_secs(2);

/// While a build is listed that goes on, the list is read anew now and then.
pub fn watch_running(model: &mut Model) -> Vec<Effect> {
    let old = match &model.start.answer {
        Some((Ok(sites), at)) => !sites.running.is_empty() && model.now >= *at + LOOK,
        _ => false,
    };
    if old && model.screen == Screen::Start && !model.start.running() { refresh(model) } else { Vec::new() }
}

/// Leaves a site and shows the start screen; what is not saved is kept as a draft.
pub fn show(model: &mut Model) -> Vec<Effect> {
    let mut effects = super::quit::keep_draft(model);
    if let Some(site) = model.site.take() {
        if site.changed() {
            model.say(Role::Info, format!("What you changed of {} is kept.", site.form.name));
        }
        model.start_focus = Some(Row::Site(site.form.name));
        model.scroll = None;
    }
    model.screen = Screen::Start;
    effects.extend(refresh(model));
    effects
}

pub fn act(model: &mut Model, action: Action) -> Vec<Effect> {
    let focus = model.focus();
    match (action, focus) {
        (Action::Activate | Action::Next, Some(Row::Do(action, _))) => act(model, action),
        (Action::Activate, Some(Row::Site(name))) => {
            if draft(model, &name).is_some() {
                let open = ("Throw it away and open the profile", Choice::OpenSaved(name.clone()));
                return ask_of_draft(model, name, open);
            }
            vec![Effect::Open(name)]
        }
        (Action::Activate, Some(Row::Running(name))) => build::join(model, name),
        (Action::LastRun, Some(Row::Site(name))) => build::replay(model, name),
        (Action::Activate, Some(Row::Draft(name))) => {
            let drop = ("Throw it away", Choice::DiscardDraft(name.clone()));
            ask_of_draft(model, name, drop)
        }
        (Action::NewSite, _) => {
            prompt(
                model,
                "New site",
                "Its name",
                "Letters, digits, `.`, `_` and `-`. It names the profile's file and the folder of the image.",
                "",
                Purpose::NewSite,
            );
            Vec::new()
        }
        (Action::NewFromExample, _) => {
            let example = model.root.join("profiles/example.toml");
            let help = "Letters, digits, `.`, `_` and `-`. Nothing is written before you save.";
            prompt(model, "New site from the example", "Its name", help, "", Purpose::ImportAs(example));
            Vec::new()
        }
        (Action::ImportConfig, _) => overlays::pick(model, Picking::Config),
        (Action::Duplicate, Some(Row::Site(name))) => {
            let title = format!("Copy {name}");
            prompt(
                model,
                &title,
                "Name of the copy",
                "The profile stays as it is.",
                "",
                Purpose::Duplicate(name),
            );
            Vec::new()
        }
        (Action::Rename, Some(Row::Site(name))) => {
            let title = format!("Rename {name}");
            let text = name.clone();
            prompt(
                model,
                &title,
                "New name",
                "Images in out/ and certificates in certs/ go with it.",
                &text,
                Purpose::Rename(name),
            );
            Vec::new()
        }
        (Action::Delete, Some(Row::Site(name))) => {
            let path = entry(model, &name).map(|e| e.path.display().to_string()).unwrap_or_default();
            let mut text =
                vec![format!("This removes {path}."), "Its images and certificates stay.".to_owned()];
            if draft(model, &name).is_some() {
                text.push("What was not saved of it goes too.".to_owned());
            }
            model.overlay = Some(Overlay::Ask(Ask::new(
                format!("Delete the profile {name}?"),
                text,
                vec![("Cancel", Choice::Stay), ("Delete", Choice::Delete(name))],
            )));
            Vec::new()
        }
        _ => Vec::new(),
    }
}

/// What is to be done with what was not saved; `drop` is the way that throws it away.
fn ask_of_draft(model: &mut Model, name: String, drop: (&str, Choice)) -> Vec<Effect> {
    let text = draft(model, &name).map(|draft| {
        let ago = crate::words::ago(model.clock() - draft.at);
        format!("{}, {ago}.", draft.what())
    });
    model.overlay = Some(Overlay::Ask(Ask::new(
        format!("What was not saved of {name}"),
        text.into_iter().collect(),
        vec![
            ("Go on with it", Choice::ResumeDraft(name.clone())),
            ("Compare it with the profile", Choice::CompareDraft(name)),
            drop,
            ("Cancel", Choice::Stay),
        ],
    )));
    Vec::new()
}

/// What was not saved of a profile.
pub fn draft<'a>(model: &'a Model, name: &str) -> Option<&'a DraftEntry> {
    let sites = model.start.value()?.as_ref().ok()?;
    sites.drafts.iter().find(|draft| draft.name == name)
}

/// The entry of a profile.
pub fn entry<'a>(model: &'a Model, name: &str) -> Option<&'a SiteEntry> {
    let sites = model.start.value()?.as_ref().ok()?;
    sites.sites.iter().find(|site| site.name == name)
}

/// Asks for a line.
pub fn prompt(model: &mut Model, title: &str, label: &str, help: &str, text: &str, purpose: Purpose) {
    model.overlay = Some(Overlay::Prompt(Prompt {
        title: title.to_owned(),
        label: label.to_owned(),
        help: help.to_owned(),
        line: Line::new(text),
        purpose,
        error: None,
    }));
}
