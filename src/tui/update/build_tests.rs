//! A build from the wizard's side: begun, followed, left, ended.

use super::super::build::BuildAction as B;
use super::super::build::samples;
use super::super::data::{Begun, Planned, RunningEntry, Sites};
use super::super::keys::Action;
use super::super::model::{Model, Screen};
use super::super::msg::{Effect, Msg};
use super::super::overlay::Overlay;
use super::super::step::Step;
use super::super::testing::*;
use super::{act, update};
use crate::build::{Event, Outcome, Stage};
use crate::problem::Problem;
use crate::site::Id;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// A build of `lab` that has been started from the review.
fn started() -> Model {
    let mut model = opened(LAB);
    go(&mut model, Step::Review);
    let site = model.site.as_mut().unwrap();
    let run = site.plan.begin(Duration::ZERO);
    site.plan.finish(run, Ok(Planned { rows: samples::plan(), ..Planned::default() }), Duration::ZERO);
    press(&mut model, &["b"]);
    let effects = press(&mut model, &["Enter"]);
    assert!(
        matches!(&effects[..], [Effect::Build { watch: 1, build }] if build.profile == "lab" && build.flags.is_empty()),
        "{effects:?}"
    );
    model
}

fn tell(model: &mut Model, at: u64, event: Event) -> Vec<Effect> {
    update(model, Msg::Events(1, vec![(ms(at), event)]))
}

/// The same build when it is at work.
fn at_work() -> Model {
    let mut model = started();
    let begun = Begun {
        run: "r1".into(),
        logs: "/project/out/lab/logs".into(),
        since: Some(NOON),
        took: Vec::new(),
        flags: Default::default(),
    };
    update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    let logs = "/project/out/lab/logs/r1".into();
    tell(&mut model, 0, Event::RunStarted { run: "r1".into(), profile: "lab".into(), logs });
    tell(&mut model, 5, Event::StageStarted { stage: Stage::Components });
    tell(&mut model, 6, Event::ItemStarted { stage: Stage::Components, item: "caddy".into() });
    model
}

fn end(model: &mut Model, outcome: Outcome) -> Vec<Effect> {
    tell(model, 9000, Event::RunFinished { outcome, seconds: 9.0 })
}

#[test]
fn behaviour_13_the_build_gets_what_the_screen_shows_and_starts_once() {
    let mut model = opened(LAB);
    fill(&mut model, "edge.example.com");
    go(&mut model, Step::Review);
    press(&mut model, &["b"]);
    assert_eq!(model.screen, Screen::Site, "nothing starts before the question is answered");
    let effects = press(&mut model, &["Down", "Enter"]);
    let build = effects.iter().find_map(|effect| match effect {
        Effect::Build { build, .. } => Some(build),
        _ => None,
    });
    assert_eq!(build.unwrap().flags, [(Id::ClusterDomain, "edge.example.com".to_owned())].into());
    assert_eq!(model.screen, Screen::Build);
    assert!(model.watch.as_ref().unwrap().command().ends_with("--cluster-domain=edge.example.com"));
    let again = go(&mut model, Step::Build);
    assert!(!again.iter().any(|effect| matches!(effect, Effect::Build { .. })), "{again:?}");
}

#[test]
fn behaviour_20_a_build_is_followed_and_its_clock_runs() {
    let mut model = at_work();
    assert!(model.moving());
    at(&mut model, 4000);
    let (_, row) = line_with(&model, "caddy");
    assert!(row.contains("running") && row.contains("4.0 s"), "{row}");
    // What comes of another run is late.
    update(
        &mut model,
        Msg::Events(7, vec![(ms(0), Event::RunFinished { outcome: Outcome::Ok, seconds: 1.0 })]),
    );
    assert!(model.watch.as_ref().unwrap().moving());
}

#[test]
fn a_build_that_is_cancelled_before_it_can_hear_it_is_asked_again() {
    let mut model = started();
    press(&mut model, &["c"]);
    let flags = Default::default();
    let begun = Begun { run: "r1".into(), logs: "/l".into(), since: Some(NOON), took: Vec::new(), flags };
    let effects = update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    assert!(matches!(&effects[..], [Effect::CancelRun(name)] if name == "lab"), "{effects:?}");
}

#[test]
fn a_build_that_is_refused_says_why_and_the_site_is_as_it_was() {
    let mut model = started();
    let problem = Problem::usage("a build into this folder is running already").remedy("wait for it");
    update(&mut model, Msg::Begun(1, Err(problem)));
    assert_eq!(model.screen, Screen::Site);
    assert!(screen(&model).contains("running already") && screen(&model).contains("wait for it"));
    press(&mut model, &["Enter", "b"]);
    assert!(matches!(model.overlay, Some(Overlay::Ask(_))), "it can be tried again");
}

#[test]
fn a_good_end_shows_the_result_but_not_to_someone_who_reads_the_log() {
    let mut model = at_work();
    let effects = end(&mut model, Outcome::Ok);
    assert!(
        matches!(&effects[..], [Effect::ReadSizes { watch: 1, profile, run }] if profile == "lab" && run == "r1")
    );
    assert_eq!(model.screen, Screen::Result);
    assert!(!model.watch.as_ref().unwrap().moving());
    press(&mut model, &["l"]);
    assert_eq!(model.screen, Screen::Build);
    press(&mut model, &["v"]);
    assert_eq!(model.screen, Screen::Result);
    let effects = press(&mut model, &["Enter"]);
    assert!(
        matches!(&effects[..], [Effect::Try { words, .. }] if words[..2] == ["boot", "lab"]),
        "{effects:?}"
    );
    update(&mut model, Msg::MachineEnded(2, 0));
    press(&mut model, &["Ctrl-P"]);
    let effects = press(&mut model, &["i"]);
    assert!(matches!(&effects[..], [Effect::Boot(name)] if name == "lab"), "{effects:?}");
    press(&mut model, &["Ctrl-P"]);
    assert_eq!(model.screen, Screen::Site);

    let mut model = at_work();
    act(&mut model, Action::Build(B::Zoom));
    end(&mut model, Outcome::Ok);
    assert_eq!(model.screen, Screen::Build);
    assert!(screen(&model).contains("v shows what came of it"), "{}", screen(&model));
}

#[test]
fn behaviour_22_after_a_failure_the_screen_stays_and_one_key_tries_again() {
    let mut model = at_work();
    tell(
        &mut model,
        50,
        Event::ItemFinished {
            stage: Stage::Components,
            item: "caddy".into(),
            outcome: Outcome::Failed,
            seconds: 1.0,
        },
    );
    tell(
        &mut model,
        60,
        Event::StageFinished { stage: Stage::Components, outcome: Outcome::Failed, seconds: 1.0 },
    );
    tell(&mut model, 61, Event::Problem(Problem::new("the archive is damaged").remedy("fetch it again")));
    end(&mut model, Outcome::Failed);
    assert_eq!((model.screen, model.leaving), (Screen::Build, None));
    for text in ["components / caddy", "the archive is damaged", "fetch it again", "r retry"] {
        assert!(screen(&model).contains(text), "{text}: {}", screen(&model));
    }
    let effects = press(&mut model, &["r"]);
    assert!(matches!(&effects[..], [Effect::Build { watch: 2, .. }]), "{effects:?}");
    assert!(model.watch.as_ref().unwrap().moving());
}

#[test]
fn behaviour_23_leaving_a_build_asks_and_does_what_is_answered() {
    for keys in [["q"], ["Ctrl-C"]] {
        let mut model = at_work();
        press(&mut model, &keys);
        assert_eq!(model.leaving, None);
        assert!(
            screen(&model).contains("caddy") && screen(&model).contains("background"),
            "{}",
            screen(&model)
        );
        press(&mut model, &["Enter"]);
        assert_eq!(
            (model.leaving, model.overlay.is_none()),
            (None, true),
            "the first answer changes nothing"
        );
    }
    let mut model = at_work();
    press(&mut model, &["q", "Down"]);
    let effects = press(&mut model, &["Enter"]);
    assert!(effects.is_empty() && model.leaving == Some(0), "{effects:?}");
    assert!(
        model.farewell.iter().any(|line| line.contains("goes on in the background")),
        "{:?}",
        model.farewell
    );

    let mut model = at_work();
    press(&mut model, &["q", "Down", "Down"]);
    let effects = press(&mut model, &["Enter"]);
    assert!(matches!(&effects[..], [Effect::CancelRun(name)] if name == "lab"), "{effects:?}");
    assert_eq!(model.leaving, Some(0));

    let mut model = at_work();
    press(&mut model, &["Ctrl-C"]);
    at(&mut model, 1500);
    press(&mut model, &["Ctrl-C"]);
    assert_eq!(model.leaving, Some(130), "twice within two seconds forces");

    let mut model = at_work();
    let effects = update(&mut model, Msg::Signal(143));
    assert!(matches!(&effects[..], [Effect::CancelRun(_)]), "{effects:?}");
    let mut model = at_work();
    let effects = update(&mut model, Msg::Signal(129));
    assert!(effects.is_empty(), "a lost connection is no reason to throw a build away: {effects:?}");
    assert!(model.farewell.len() <= 20);
}

#[test]
fn behaviour_23_a_build_in_the_background_is_found_again() {
    let mut model = at_work();
    press(&mut model, &["b"]);
    assert_eq!(model.screen, Screen::Start);
    let run = model.start.begin(model.now);
    let running = vec![RunningEntry { profile: "lab".into(), since: NOON }];
    update(&mut model, Msg::Sites(run, Ok(Sites { running, ..Sites::default() })));
    let effects = press(&mut model, &["Home", "Enter"]);
    assert!(effects.is_empty() && model.screen == Screen::Build, "it is followed all the time: {effects:?}");
    // Another program's is joined, and looked for again now and then while the list shows it.
    let mut model = wizard();
    let run = model.start.begin(model.now);
    let running = vec![RunningEntry { profile: "lab".into(), since: NOON - 60 }];
    update(&mut model, Msg::Sites(run, Ok(Sites { running, ..Sites::default() })));
    assert!(update(&mut model, Msg::Tick(ms(1900))).is_empty());
    assert!(matches!(&update(&mut model, Msg::Tick(ms(2100)))[..], [Effect::ListSites(_)]));
    let effects = press(&mut model, &["Home", "Enter"]);
    assert!(matches!(&effects[..], [Effect::Join { watch: 1, .. }]), "{effects:?}");
    let begun = Begun {
        run: "r".into(),
        logs: "/l".into(),
        since: Some(NOON - 60),
        took: Vec::new(),
        flags: Default::default(),
    };
    update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    tell(&mut model, 0, Event::RunStarted { run: "r".into(), profile: "lab".into(), logs: "/l".into() });
    at(&mut model, 12_100);
    assert!(screen(&model).contains("1:12"), "{}", screen(&model));
}

#[test]
fn the_last_build_of_a_profile_is_shown_again() {
    let mut model = wizard();
    sites(&mut model);
    press(&mut model, &["Down"]);
    let effects = press(&mut model, &["l"]);
    assert!(
        matches!(&effects[..], [Effect::Replay { watch: 1, profile }] if profile == "lab"),
        "{effects:?}"
    );
    let begun = Begun {
        run: "r1".into(),
        logs: "/l".into(),
        since: None,
        took: Vec::new(),
        flags: Default::default(),
    };
    update(&mut model, Msg::Begun(1, Ok(Box::new(begun))));
    tell(&mut model, 0, Event::RunStarted { run: "r1".into(), profile: "lab".into(), logs: "/l".into() });
    assert!(!model.moving(), "nothing goes on");
    end(&mut model, Outcome::Failed);
    assert!(screen(&model).contains("failed after 9.0 s"));
    press(&mut model, &["q"]);
    assert_eq!((model.leaving, model.farewell.len()), (Some(0), 0), "nothing was done");
}

/// The machine that boots the image, on its screen.
fn machine() -> Model {
    let mut model = at_work();
    end(&mut model, Outcome::Ok);
    let effects = press(&mut model, &["b"]);
    assert!(
        matches!(&effects[..], [Effect::Try { trial: 2, words, file }] if words[1] == "lab" && file.ends_with("console.log")),
        "{effects:?}"
    );
    update(
        &mut model,
        Msg::Console(2, vec![b"[    1.0] Linux version 5.10\r".to_vec(), b"services up".to_vec()]),
    );
    model
}

#[test]
fn a_machine_boots_in_a_pane_and_is_ended_with_the_program() {
    let mut model = machine();
    assert!(screen(&model).contains("Linux version 5.10") && model.moving(), "{}", screen(&model));
    press(&mut model, &["Enter"]);
    assert_eq!(model.screen, Screen::Result);
    let effects = press(&mut model, &["b"]);
    assert!(effects.is_empty() && model.screen == Screen::Machine, "it runs already: {effects:?}");
    press(&mut model, &["q"]);
    assert_eq!(model.leaving, None, "asks first");
    let effects = press(&mut model, &["Down", "Enter"]);
    assert!(matches!(&effects[..], [Effect::StopMachine]) && model.leaving == Some(0), "{effects:?}");

    let mut model = machine();
    update(&mut model, Msg::MachineEnded(2, 0));
    assert!(screen(&model).contains("all came up and it powered off"), "{}", screen(&model));
    press(&mut model, &["q"]);
    assert_eq!(model.leaving, Some(0));

    let mut model = machine();
    let effects = press(&mut model, &["c"]);
    assert!(matches!(&effects[..], [Effect::StopMachine]), "{effects:?}");
    update(&mut model, Msg::MachineEnded(2, 1));
    assert!(screen(&model).contains("exit code 1"), "{}", screen(&model));
    let effects = update(&mut machine(), Msg::Signal(143));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::StopMachine)), "{effects:?}");
}
