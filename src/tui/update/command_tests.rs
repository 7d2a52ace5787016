//! Behaviour 14: the command that a person is shown does what the screen says.

use super::super::build::samples;
use super::super::command;
use super::super::data::{Begun, Opened, Pending, Source};
use super::super::keys::Action;
use super::super::msg::{Build, Effect, Msg};
use super::super::rows::Row;
use super::super::step::Step;
use super::super::testing::*;
use super::{build, update};
use crate::build::{Event, Outcome};
use crate::site::certificates::Bundle;
use crate::site::{Id, Profile};
use std::path::Path;
use std::time::Duration;

fn take(model: &mut super::Model, source: Source) {
    let pem = include_bytes!("../../../profiles/lab-ca.pem");
    let ca = Bundle::from_bytes(Path::new("x"), pem).unwrap();
    update(model, Msg::Decoded(Ok(Box::new(Pending { ca, server: None, source }))));
}

#[test]
fn behaviour_14_a_site_that_is_in_no_file_is_configured_first() {
    let mut model = new_site();
    fill(&mut model, "depot.example.com");
    let line = command::whole(site(&model));
    assert_eq!(
        line,
        "hookos configure --profile site --cluster-domain=depot.example.com && hookos build site"
    );
    let opened = Opened {
        name: "depot".to_owned(),
        profile: Profile::from_text("schema_version = 1\n[endpoints]\ncluster_domain = \"a.example.com\"\n")
            .unwrap(),
        new: true,
        imported: Some("/media/my usb/config".into()),
        warnings: Vec::new(),
        draft: None,
    };
    update(&mut model, Msg::Opened(Ok(Box::new(opened))));
    let import = "hookos profiles import '/media/my usb/config' depot && ";
    assert_eq!(command::whole(site(&model)), format!("{import}hookos build depot"));
    fill(&mut model, "b.example.com");
    let configure = "hookos configure --profile depot --cluster-domain=b.example.com && ";
    assert_eq!(command::whole(site(&model)), format!("{import}{configure}hookos build depot"));
}

#[test]
fn behaviour_14_certificates_that_are_not_saved_are_in_the_command() {
    for (source, how) in [
        (Source::File("/a b.pem".into()), "--no-server --ca '/a b.pem'".to_owned()),
        (Source::Placeholder, "--placeholder --renew".to_owned()),
    ] {
        let mut model = opened(&LAB.replace("placeholder = true", ""));
        take(&mut model, source);
        let line = command::whole(site(&model));
        let certs = format!("hookos certs --profile lab {how} && hookos build lab");
        assert!(line.ends_with(&certs), "{line}");
    }
    let mut model = opened(LAB);
    take(&mut model, Source::Fetched("keycloak.lab.example.com:443".into()));
    let line = command::whole(site(&model));
    assert!(line.contains("--no-server --fetch --fingerprint "), "{line}");
    // What was pasted is in no file: it stands in the command, and on the screen is said to.
    take(&mut model, Source::Pasted);
    let (whole, shown) = (command::whole(site(&model)), command::shown(site(&model)));
    let (line, pem) = whole.split_once('\n').unwrap();
    assert!(line.ends_with("--no-server --ca /dev/stdin <<'END' && hookos build lab"), "{line}");
    let bundle = &site(&model).pending.as_ref().unwrap().ca;
    assert_eq!(pem.strip_suffix("END\n").unwrap().as_bytes(), bundle.pem());
    assert!(shown.starts_with(line) && shown.lines().count() == 1, "{shown}");
    // It is longer than its row; without a clipboard it has to be read somewhere.
    go(&mut model, Step::Review);
    model.set_focus(Row::Do(Action::CopyCommand, shown));
    press(&mut model, &["Ctrl-B"]);
    let text: String =
        lines(&model).iter().map(|line| line.trim_matches([' ', '|']).to_owned() + " ").collect();
    assert!(text.contains("lines that were pasted, which a copy has)"), "{}", screen(&model));
}

/// A run of `lab` that another process began with one setting of its own, and that failed.
fn joined() -> super::Model {
    let mut model = wizard();
    build::join(&mut model, "lab".into());
    let flags = [(Id::KernelAppend, "quiet splash".to_owned())].into();
    let begun = Begun { run: "r".into(), logs: "/l".into(), since: Some(NOON), took: Vec::new(), flags };
    update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    model
}

#[test]
fn behaviour_14_runs_of_others_and_of_earlier_keep_their_flags_for_copy_retry_and_farewell() {
    let mut model = joined();
    let effects = update(
        &mut model,
        Msg::Events(1, vec![(Duration::ZERO, Event::RunFinished { outcome: Outcome::Failed, seconds: 1.0 })]),
    );
    assert!(
        matches!(&effects[..], [Effect::Replan { watch: 1, build }] if build.flags.len() == 1),
        "{effects:?}"
    );
    let effects = press(&mut model, &["r"]);
    let [Effect::Build { build, .. }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!(build.flags, [(Id::KernelAppend, "quiet splash".to_owned())].into());
    press(&mut model, &["Ctrl-C", "Ctrl-C"]);
    let farewell = model.farewell.join("\n");
    assert!(farewell.contains("As a command: hookos build lab --kernel-append='quiet splash'"), "{farewell}");
}

#[test]
fn a_retry_does_not_go_on_with_a_masked_secret() {
    let mut model = joined();
    let watch = model.watch.as_mut().unwrap();
    watch.build =
        Build { profile: "lab".into(), flags: [(Id::HttpProxy, "http://***@p:1".to_owned())].into() };
    assert_eq!(watch.command(), "HOOKOS_HTTP_PROXY=... hookos build lab");
    let failed = Event::RunFinished { outcome: Outcome::Failed, seconds: 1.0 };
    update(&mut model, Msg::Events(1, vec![(Duration::ZERO, failed)]));
    assert!(press(&mut model, &["r"]).is_empty());
    assert!(model.notice.as_ref().unwrap().text.contains("HOOKOS_HTTP_PROXY"), "{:?}", model.notice);
}

#[test]
fn behaviour_19_what_has_changed_since_a_failure_is_asked_by_its_inputs() {
    let mut model = joined();
    let mut script = samples::failed();
    script.state.logs = None;
    model.watch.as_mut().unwrap().state = script.state;
    let effects = build::replan(&model);
    assert!(matches!(&effects[..], [Effect::Replan { watch: 1, .. }]), "{effects:?}");
    // Caddy's recipe was changed while the person looked at the failure.
    let mut plan = samples::plan();
    for row in plan.iter_mut().filter(|row| row.item == "caddy") {
        row.state = crate::build::plan::State::Todo;
    }
    update(&mut model, Msg::Replanned(1, Ok(plan)));
    let text = model.watch.as_ref().unwrap().state.failure_text();
    assert!(
        text.iter().any(|(_, line)| line.contains("Changed since") && line.contains("caddy")),
        "{text:?}"
    );
    press(&mut model, &["r"]);
    let state = &model.watch.as_ref().unwrap().state;
    let rows = &state.stages().iter().find(|s| s.stage == crate::build::Stage::Components).unwrap().items;
    let state_of = |name: &str| rows.iter().find(|row| row.name == name).unwrap().state;
    assert_eq!(state_of("caddy"), super::super::build::rows::State::Waiting);
    assert_eq!(state_of("bootkit"), super::super::build::rows::State::Reusable);
}
