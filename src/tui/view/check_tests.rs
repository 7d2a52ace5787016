//! What the program looks up for a step: its signs, what is asked again and when, and what is stale.

use super::super::data::Tested;
use super::super::keys::Action;
use super::super::model::Model;
use super::super::msg::{Effect, Msg};
use super::super::rows::Row;
use super::super::step::Step;
use super::super::testing::*;
use super::super::update::update;
use super::tests::{components, elsewhere, kernels, lab_certificates, on, pictures, planned};
use crate::probe::{Answer, Outcome, Phase};
use crate::site::{Id, KernelSource};
use std::time::Duration;

/// Answers all that was asked.
fn answer(model: &mut Model, effects: &[Effect]) {
    for effect in effects {
        let msg = match effect {
            Effect::ReadCertificates { run, .. } => Msg::Certificates(*run, Box::new(lab_certificates())),
            Effect::ListKernels { run, .. } => Msg::Kernels(*run, Ok(Box::new(kernels()))),
            Effect::AskForKernels { run, .. } => Msg::KernelsElsewhere(*run, Ok(elsewhere())),
            Effect::ListComponents { run, .. } => Msg::Components(*run, Ok(components())),
            Effect::Plan { run, .. } => Msg::Planned(*run, Ok(Box::new(planned()))),
            _ => continue,
        };
        update(model, msg);
    }
}

/// The names of what is asked.
fn asked(effects: &[Effect]) -> Vec<&'static str> {
    let name = |effect: &Effect| match effect {
        Effect::ReadCertificates { .. } => Some("certificates"),
        Effect::ListKernels { .. } => Some("kernels"),
        Effect::AskForKernels { .. } => Some("elsewhere"),
        Effect::ListComponents { .. } => Some("components"),
        Effect::Plan { .. } => Some("plan"),
        _ => None,
    };
    effects.iter().filter_map(name).collect()
}

#[test]
fn behaviour_08_every_check_shows_late_stays_readable_and_can_be_cancelled() {
    for (step, word) in [
        (Step::Certificates, "reading"),
        (Step::Kernel, "looking"),
        (Step::Components, "looking for their sources"),
        (Step::Review, "looking"),
    ] {
        let sign = format!("{word}; Esc cancels");
        let mut model = opened(LAB);
        model.size = (80, 40);
        let first = go(&mut model, step);
        at(&mut model, 100);
        assert!(!screen(&model).contains("Esc cancels"), "{step:?}: no sign yet");
        at(&mut model, 200);
        assert!(screen(&model).contains(&sign) && model.moving(), "{step:?}: {}", screen(&model));
        press(&mut model, &["Esc"]);
        assert!(model.overlay.is_none() && !model.moving(), "{step:?}");
        assert!(screen(&model).contains("Cancelled: nothing is known."), "{step:?}: {}", screen(&model));
        answer(&mut model, &first);
        assert!(
            screen(&model).contains("Cancelled: nothing is known."),
            "{step:?}: a late answer is dropped"
        );

        // Asked again: the sign, then the answer beside it, then the answer alone.
        go(&mut model, Step::Network);
        let again = go(&mut model, step);
        at(&mut model, 1000);
        answer(&mut model, &again);
        assert!(screen(&model).contains(word) && !screen(&model).contains(&sign), "{step:?}: it can be read");
        at(&mut model, 2000);
        assert!(!model.moving() && !screen(&model).contains(word), "{step:?}: {}", screen(&model));

        // With an answer from before, that one stays in sight, with the sign.
        let known = screen(&model);
        go(&mut model, Step::Network);
        go(&mut model, step);
        at(&mut model, 3000);
        let text = screen(&model);
        assert!(text.contains(&sign), "{step:?}: {text}");
        assert!(text.lines().count() == known.lines().count() && !text.contains("Cancelled"), "{text}");
    }
}

#[test]
fn what_others_have_is_asked_once_for_the_same_kernel() {
    let mut model = opened(LAB);
    let effects = go(&mut model, Step::Kernel);
    assert_eq!(asked(&effects), ["kernels", "elsewhere"]);
    answer(&mut model, &effects);
    model.set_focus(Row::Group("usb-network-cards".to_owned()));
    assert_eq!(
        asked(&press(&mut model, &["Space"])),
        ["kernels"],
        "which modules are in it is nobody else's business"
    );
    go(&mut model, Step::Network);
    assert_eq!(asked(&go(&mut model, Step::Kernel)), ["kernels"], "coming back is no other question");
    assert!(screen(&model).is_ascii());
    assert_eq!(asked(&press(&mut model, &["Ctrl-T"])), ["kernels", "elsewhere"], "unless a person wants it");
}

#[test]
fn a_typed_setting_is_looked_up_when_its_field_is_left() {
    let mut model = opened(LAB);
    let effects = go(&mut model, Step::Kernel);
    answer(&mut model, &effects);
    model.size = (80, 60);
    to(&mut model, Id::KernelPoint);
    assert_eq!(asked(&fill(&mut model, "259")), [] as [&str; 0], "not with each key");
    assert!(screen(&model).contains("Of the settings before"), "{}", screen(&model));
    let effects = press(&mut model, &["Enter"]);
    assert_eq!(asked(&effects), ["kernels", "elsewhere"]);
    answer(&mut model, &effects);
    assert!(!screen(&model).contains("Of the settings before"), "{}", screen(&model));
    assert_eq!(asked(&press(&mut model, &["Up", "Down"])), [] as [&str; 0], "nothing has changed");
    let effects = go(&mut model, Step::Certificates);
    assert_eq!(asked(&effects), ["certificates"]);
    answer(&mut model, &effects);
    to(&mut model, Id::CaFile);
    fill(&mut model, "other.pem");
    assert_eq!(asked(&press(&mut model, &["Tab"])), ["certificates"], "another file is read");
}

#[test]
fn a_tested_connection_says_nothing_of_settings_that_have_changed_since() {
    for (id, text) in [
        (Id::KeycloakUrl, "keycloak.example.org"),
        (Id::HttpsProxy, "http://proxy.example.com:3128"),
        (Id::CaFile, "other.pem"),
    ] {
        let mut model = opened(LAB);
        model.size = (80, 40);
        let effects = press(&mut model, &["Ctrl-T"]);
        let [Effect::Probe { run, .. }] = effects[..] else { panic!("{effects:?}") };
        let outcome = Outcome {
            proxy: None,
            address: None,
            took: vec![(Phase::Dns, Duration::from_millis(3))],
            failure: None,
        };
        let label = Id::KeycloakUrl.field().key.to_owned();
        let target = "keycloak.lab.example.com:443".to_owned();
        let answers = vec![Answer { id: Id::KeycloakUrl, label, target, outcome }];
        update(&mut model, Msg::Probed(run, Ok(Tested { answers, notes: Vec::new() })));
        let good = "+ Keycloak";
        assert!(screen(&model).contains(good) && screen(&model).contains("Tested just now."));
        go(&mut model, Step::of(id.field().section));
        to(&mut model, id);
        fill(&mut model, text);
        go(&mut model, Step::Endpoints);
        let text = screen(&model);
        assert!(!text.contains(good) && text.contains("have changed since: test again"), "{id:?}: {text}");
        // As it was: it holds again.
        go(&mut model, Step::of(id.field().section));
        to(&mut model, id);
        press(&mut model, &["Ctrl-D"]);
        go(&mut model, Step::Endpoints);
        if id != Id::CaFile {
            assert!(screen(&model).contains(good), "{id:?}: {}", screen(&model));
        }
    }
}

#[test]
fn one_changed_domain_is_one_changed_setting() {
    let mut model = on(Step::Endpoints);
    fill(&mut model, "other.example.com");
    let effects = go(&mut model, Step::Review);
    answer(&mut model, &effects);
    model.size = (80, 90);
    let (_, line) = line_with(&model, "last build");
    assert!(line.contains("1 setting other than now"), "what follows from it is not counted: {line}");
    assert_eq!(screen(&model).matches("the last build was with").count(), 1, "{}", screen(&model));
    let (_, line) = line_with(&model, "  size");
    assert!(line.contains("about 308 MiB"), "{line}");
}

#[test]
fn a_kernel_is_chosen_from_those_that_can_be_had() {
    let mut model = opened(LAB);
    let effects = go(&mut model, Step::Kernel);
    answer(&mut model, &effects);
    model.size = (120, 60);
    let text = screen(&model);
    for part in [
        "(x) 5.10.262-1    Debian bullseye, in the store",
        "( ) 5.10.228      in the store, release service",
        "until December 2026",
        "until December 2028; newest 6.12.70; no config",
        "ends soon: December 2026; newest 5.10.259; configs generic, tiny",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // What does not count with Debian's kernel says so.
    assert!(line_with(&model, "Point release").1.ends_with("not used"), "{text}");
    // At a size where the list is out of sight, the fields that it sets say so.
    model.size = (60, 16);
    model.set_focus(Row::Field(Id::KernelPoint));
    assert!(screen(&model).contains("Example: 228. Enter on a kernel below sets it"), "{}", screen(&model));
    model.size = (120, 60);
    model.set_focus(Row::Release("5.10.228".to_owned(), KernelSource::Source));
    assert_eq!(asked(&press(&mut model, &["Enter"])), ["kernels"]);
    let text = screen(&model);
    assert!(text.contains("( ) 5.10.262-1") && text.contains("(x) 5.10.228"), "{text}");
    assert!(!line_with(&model, "Point release").1.contains("not used"), "{text}");
    assert!(text.contains("A kernel from source has the modules of its configuration"), "{text}");
}

#[test]
fn running_checks() {
    let mut model = opened(LAB);
    go(&mut model, Step::Kernel);
    at(&mut model, 200);
    model.set_focus(Row::Do(Action::NextStep, "Go on to Components".to_owned()));
    pictures("kernel_running", &mut model);
    let mut model = opened(LAB);
    press(&mut model, &["Ctrl-T"]);
    at(&mut model, 200);
    model.set_focus(Row::Do(Action::NextStep, "Go on to Network".to_owned()));
    pictures("endpoints_running", &mut model);
}
