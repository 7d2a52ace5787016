//! What is not saved: nothing of it is lost, and nothing old comes back.

use super::super::data::{DraftEntry, Opened, Pending, Sites, Source};
use super::super::draft::Draft;
use super::super::keys::Action;
use super::super::model::{Model, Screen};
use super::super::msg::{Effect, Msg};
use super::super::overlay::{Choice, Overlay};
use super::super::testing::*;
use super::{act, update};
use crate::site::Profile;
use crate::site::certificates::Bundle;
use std::path::Path;

fn pending() -> Box<Pending> {
    let pem = include_bytes!("../../../profiles/lab-ca.pem");
    let ca = Bundle::from_bytes(Path::new("pasted"), pem).unwrap();
    Box::new(Pending { ca, server: None, source: Source::Pasted })
}

const BARE: &str = "schema_version = 1\n[certificates]\nplaceholder = true\n";

/// A profile with certificates that were taken, and nothing else is changed.
fn with_certificates() -> Model {
    let mut model = opened(BARE);
    assert!(!site(&model).changed());
    update(&mut model, Msg::Decoded(Ok(pending())));
    assert!(!site(&model).form.changed(), "{:?}", site(&model).form.edits());
    model
}

fn imported() -> Model {
    let mut model = wizard();
    let text = "schema_version = 1\n[endpoints]\ncluster_domain = \"depot.example.com\"\n[unknown]\nx = 1\n";
    let opened = Opened {
        name: "depot".to_owned(),
        profile: Profile::from_text(text).unwrap(),
        new: true,
        imported: Some("/media/usb/config".into()),
        warnings: Vec::new(),
        draft: None,
    };
    update(&mut model, Msg::Opened(Ok(Box::new(opened))));
    model
}

/// The draft that effects keep, through its file and back.
#[track_caller]
fn kept(effects: &[Effect]) -> Draft {
    let draft =
        effects.iter().find_map(|e| if let Effect::KeepDraft(draft) = e { Some(draft) } else { None });
    let text =
        serde_json::to_string(draft.unwrap_or_else(|| panic!("nothing is kept: {effects:?}"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn certificates_that_are_not_saved_outlive_quitting_signals_and_going_back() {
    type Leave = fn(&mut Model) -> Vec<Effect>;
    let ways: [Leave; 4] = [
        |model| press(model, &["Ctrl-C"]),
        |model| press(model, &["Ctrl-C", "Ctrl-C"]),
        |model| update(model, Msg::Signal(143)),
        |model| act(model, Action::CloseSite),
    ];
    for leave in ways {
        let mut model = with_certificates();
        let draft = kept(&leave(&mut model));
        let profile = Profile::from_bytes(Path::new("/project/profiles/lab.toml"), BARE.as_bytes()).unwrap();
        let draft = Some(draft);
        let opened =
            Opened { name: "lab".into(), profile, new: false, imported: None, warnings: vec![], draft };
        let mut again = wizard();
        update(&mut again, Msg::Opened(Ok(Box::new(opened))));
        let back = site(&again).pending.as_ref().unwrap();
        assert_eq!(back.ca.pem(), pending().ca.pem());
        assert_eq!(back.source, Source::Pasted);
        assert!(site(&again).changed());
    }
}

#[test]
fn an_imported_site_is_unsaved_input_with_everything_that_it_says() {
    let mut model = imported();
    assert!(site(&model).changed() && screen(&model).contains("(not saved)"), "{}", screen(&model));
    let draft = kept(&press(&mut model, &["Ctrl-C"]));
    assert!(model.farewell[0].contains("is kept"), "{:?}", model.farewell);
    let imported = draft.imported.clone().unwrap();
    assert_eq!(imported.file, Path::new("/media/usb/config"));
    let back = Profile::from_text(&imported.text).unwrap();
    assert_eq!(back.text(), site(&model).form.profile().text(), "unknown keys too");
}

#[test]
fn a_secret_in_an_imported_file_is_not_in_the_draft() {
    let text = "schema_version = 1\n[network]\nhttp_proxy = \"http://u:c4n4ry@p.example.com:1\"\n";
    let mut model = wizard();
    let opened = Opened {
        name: "depot".to_owned(),
        profile: Profile::from_text(text).unwrap(),
        new: true,
        imported: Some("/media/usb/depot.toml".into()),
        warnings: Vec::new(),
        draft: None,
    };
    update(&mut model, Msg::Opened(Ok(Box::new(opened))));
    let draft = kept(&press(&mut model, &["Ctrl-C"]));
    assert!(!serde_json::to_string(&draft).unwrap().contains("c4n4ry"), "{draft:?}");
}

#[test]
fn input_is_kept_a_second_after_the_last_key() {
    let mut model = opened(LAB);
    at(&mut model, 5000);
    types(&mut model, "x");
    assert!(model.moving(), "time is told until it is kept");
    at(&mut model, 5900);
    types(&mut model, "y");
    let tick = |model: &mut Model, ms| update(model, Msg::Tick(std::time::Duration::from_millis(ms)));
    assert!(tick(&mut model, 6100).is_empty());
    let draft = kept(&tick(&mut model, 6900));
    assert_eq!(draft.fields["endpoints.cluster_domain"].as_deref(), Some("lab.example.comxy"));
    assert!(!model.moving() && tick(&mut model, 9000).is_empty(), "once");
}

#[test]
fn what_is_undone_is_not_offered_again() {
    let mut model = opened(LAB);
    types(&mut model, "x");
    kept(&press(&mut model, &["Ctrl-N"]));
    press(&mut model, &["Ctrl-P", "Ctrl-E", "Backspace"]);
    assert!(!site(&model).changed());
    let effects = press(&mut model, &["Ctrl-N"]);
    assert!(effects.iter().any(|e| matches!(e, Effect::DiscardDraft(name) if name == "lab")), "{effects:?}");
}

/// The start screen with a draft of `lab` and one of a site that is in no file.
fn with_drafts() -> Model {
    let mut model = wizard();
    sites(&mut model);
    let mut now: Sites = model.start.value().unwrap().as_ref().unwrap().clone();
    let draft =
        |name: &str| DraftEntry { name: name.into(), at: NOON - 60, edits: 0, more: vec!["certificates"] };
    now.drafts = vec![draft("lab"), draft("fresh")];
    let run = model.start.begin(model.now);
    update(&mut model, Msg::Sites(run, Ok(now)));
    model
}

#[test]
fn a_profile_with_unsaved_input_is_not_opened_without_a_question() {
    let mut model = with_drafts();
    model.set_focus(super::super::rows::Row::Site("lab".into()));
    assert!(press(&mut model, &["Enter"]).is_empty(), "not opened: the next step would overwrite the draft");
    let Some(Overlay::Ask(ask)) = &model.overlay else { panic!("{:?}", model.overlay) };
    assert_eq!(ask.text, ["certificates, 1 minute ago."]);
    assert_eq!(ask.choices[0].1, Choice::ResumeDraft("lab".into()));
    let effects = press(&mut model, &["Down", "Down", "Enter"]);
    assert!(
        matches!(&effects[..], [Effect::DiscardDraft(one), Effect::Open(two)] if one == "lab" && two == "lab"),
        "{effects:?}"
    );
    // A new site cannot take the name of one that is only a draft.
    press(&mut model, &["n"]);
    types(&mut model, "fresh");
    assert!(press(&mut model, &["Enter"]).is_empty());
    assert!(screen(&model).contains("not saved yet"), "{}", screen(&model));
    assert_eq!(model.screen, Screen::Start);
}

#[test]
fn behaviour_18_what_was_typed_is_kept_before_the_terminal_is_lent() {
    let mut model = opened(LAB);
    types(&mut model, "x");
    let effects = press(&mut model, &["Ctrl-Z"]);
    assert!(matches!(&effects[..], [Effect::KeepDraft(_), Effect::Suspend]), "{effects:?}");
    // Once is enough.
    let effects = press(&mut model, &["Ctrl-Z"]);
    assert!(matches!(&effects[..], [Effect::Suspend]), "{effects:?}");
}
