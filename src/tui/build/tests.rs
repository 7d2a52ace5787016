use super::action::BuildAction as A;
use super::failure::Retry;
use super::list::Listed;
use super::result::{NEXT, ResultAction, ResultEffect, ResultRow};
use super::rows::State;
use super::samples::{self, COMPONENTS, Script, seconds};
use super::sizes::Change;
use super::*;
use crate::build::{Event, Outcome, Stage, plan};
use crate::progress::Unit;
use crate::tui::keys::Key;
use crate::tui::log::Scope;
use proptest::prelude::*;
use ratatui::crossterm::event::KeyCode;

fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

fn type_in(state: &mut BuildState, text: &str) {
    for c in text.chars() {
        state.typed(key(KeyCode::Char(c)));
    }
    state.typed(key(KeyCode::Enter));
}

fn item<'a>(state: &'a BuildState, stage: Stage, name: &str) -> &'a super::rows::Row {
    state.stages().iter().find(|s| s.stage == stage).unwrap().items.iter().find(|i| i.name == name).unwrap()
}

fn stage(state: &BuildState, stage: Stage) -> State {
    state.stages().iter().find(|s| s.stage == stage).unwrap().row.state
}

#[test]
fn behaviour_19_finished_work_with_unchanged_inputs_is_offered_for_reuse() {
    let mut state = samples::failed().state;
    let retry = state.retry().unwrap();
    assert_eq!(retry, Retry { from: Stage::Components, reused: 10, todo: 5, changed: Vec::new() });
    assert_eq!(retry.text(), ["Retry from components: 10 pieces reused, 5 to do."]);

    // The plan knows the keys of the inputs: caddy's have changed since.
    let mut plan = samples::plan();
    for row in &mut plan {
        let made = ["modprobe", "ntp"].contains(&row.item.as_str());
        row.state = match row.state {
            plan::State::Todo if made => plan::State::Cached,
            plan::State::Cached if row.item == "caddy" => plan::State::Todo,
            state => state,
        };
    }
    let blind = state.again();
    assert_eq!(item(&blind, Stage::Components, "modprobe").state, State::Reusable);
    state.replanned(plan);
    let retry = state.retry().unwrap();
    assert_eq!((retry.reused, retry.changed.as_slice()), (10, &["caddy".to_owned()][..]));
    assert!(retry.text()[1].contains("caddy"));

    let next = state.again();
    assert_eq!(item(&next, Stage::Components, "modprobe").state, State::Reusable);
    assert_eq!(item(&next, Stage::Components, "caddy").state, State::Waiting);
    assert_eq!(
        item(&next, Stage::Components, "modprobe").expected,
        Some(2.0),
        "this run says how long it takes"
    );
    assert!(next.running() && next.failure().is_none());
}

#[test]
fn behaviour_19_retry_is_one_key_and_only_there_when_it_makes_sense() {
    let mut failed = samples::failed().state;
    assert_eq!(failed.handle(A::Retry), Some(BuildEffect::Retry { from: Stage::Components }));
    let mut cancelled = samples::cancelled().state;
    assert_eq!(cancelled.handle(A::Retry), Some(BuildEffect::Retry { from: Stage::Components }));
    for mut state in [samples::running().state, samples::done().state] {
        assert!(!state.allows(A::Retry));
        assert_eq!(state.handle(A::Retry), None);
        assert_eq!(state.notice.as_deref(), Some("There is nothing to retry."));
    }
}

#[test]
fn behaviour_20_every_stage_and_component_has_a_row_with_word_and_time() {
    let state = samples::running().state;
    assert_eq!(stage(&state, Stage::Configure), State::Done);
    assert_eq!(stage(&state, Stage::Components), State::Running);
    assert_eq!(stage(&state, Stage::Kernel), State::Waiting);
    assert_eq!(item(&state, Stage::Components, "caddy").state, State::Reused);
    assert_eq!(item(&state, Stage::Components, "modprobe").state, State::Done);
    assert_eq!(item(&state, Stage::Components, "udev").state, State::Waiting);
    let network = item(&state, Stage::Components, "network");
    assert_eq!(network.state, State::Running);
    assert_eq!(network.fraction(), Some(0.35));
    assert!(network.rate.per_second().is_some_and(|rate| rate > 4e6));
    assert_eq!(network.elapsed(state.now()), Some(4.0));
    let rows = state.listed(100);
    let items = rows.iter().filter(|row| matches!(row, Listed::Row(pick) if pick.item.is_some())).count();
    assert_eq!(items, COMPONENTS.len(), "all of them, where there is room");
    let rows = state.listed(9);
    assert!(rows.contains(&Listed::Rest { waiting: 3, finished: 9 }), "{rows:?}");
    assert_eq!(rows.len(), 6 + 2 + 1, "else what runs, and how many others there are");
}

#[test]
fn behaviour_20_a_silent_row_says_for_how_long() {
    let mut script = samples::running();
    assert_eq!(item(&script.state, Stage::Components, "network").silent(script.state.now()), None);
    script.wait(45.0);
    assert_eq!(item(&script.state, Stage::Components, "network").silent(script.state.now()), Some(45));
    script.log(Stage::Components, "network", "still here");
    assert_eq!(item(&script.state, Stage::Components, "network").silent(script.state.now()), None);
    assert!(item(&script.state, Stage::Components, "ntp").silent(script.state.now()).is_some());
    assert_eq!(item(&script.state, Stage::Components, "modprobe").silent(script.state.now()), None);
}

#[test]
fn behaviour_20_the_sign_turns_only_where_nothing_better_is_known() {
    let theme = crate::tui::theme::Theme::mono_ascii();
    let state = samples::running().state;
    let signs = |name| {
        let row = item(&state, Stage::Components, name);
        (0..4).map(|tick| row.glyph(&theme, tick)).collect::<Vec<_>>()
    };
    assert_eq!(signs("network"), [">"; 4], "its bytes are known");
    assert_eq!(signs("ntp"), ["|", "/", "-", "\\"]);
}

#[test]
fn behaviour_20_the_whole_never_goes_back_and_earlier_runs_say_what_is_left() {
    let mut script = samples::running();
    let before = script.state.overall();
    assert!((0.05..0.95).contains(&before), "{before}");
    // More work turns up.
    for n in 0..50 {
        script.start(Stage::Components, &format!("more-{n}"));
    }
    assert!(script.state.overall() >= before);
    let left = script.state.left().unwrap();
    assert!((20.0..140.0).contains(&left), "{left}");
    let done = samples::done().state;
    assert_eq!((done.overall(), done.left()), (1.0, None));
    let mut strange = BuildState::new("x", &[], Estimates::default());
    let logs = "logs".into();
    strange.take(&Event::RunStarted { run: "r".into(), profile: "x".into(), logs }, seconds(1.0));
    assert_eq!(strange.left(), None, "no earlier run, no guess");
}

#[test]
fn behaviour_21_the_log_of_the_chosen_row_keeps_its_place() {
    let mut script = samples::running();
    script.state.resize((80, 22));
    assert_eq!(script.state.scope(), Scope::Group(Stage::Components as u8));
    for _ in 0..3 {
        script.state.handle(A::LineUp);
    }
    assert!(!script.state.pane().unwrap().following());
    script.state.handle(A::Down);
    assert_eq!(script.state.pick_name(), "components / network");
    assert!(script.state.pane().unwrap().following(), "another row has a view of its own");
    script.state.handle(A::Up);
    assert!(!script.state.pane().unwrap().following(), "and this one stands where it stood");
    script.state.handle(A::Last);
    assert!(script.state.pane().unwrap().following());
}

#[test]
fn behaviour_21_search_filter_save_copy_and_pager() {
    let mut state = samples::running().state;
    state.resize((80, 22));
    assert!(!state.allows(A::NextMatch));
    state.handle(A::Search);
    assert!(state.typing().is_some());
    // Letters are text now, and Escape ends it without a search.
    state.typed(key(KeyCode::Char('q')));
    state.typed(key(KeyCode::Esc));
    assert!(state.typing().is_none() && state.pane().unwrap().search().is_none());
    state.handle(A::Search);
    type_in(&mut state, "part 7 ");
    assert!(state.pane().unwrap().hit().is_some());
    state.handle(A::Filter);
    type_in(&mut state, "setting up");
    assert_eq!(state.pane().unwrap().lines(&state.log).len(), 1);
    assert_eq!(state.handle(A::Copy), Some(BuildEffect::Copy("Setting up: 1 user\n".into())));
    let Some(BuildEffect::Save { name, text }) = state.handle(A::Save) else { panic!() };
    assert_eq!((name.as_str(), text.as_str()), ("components-shown.txt", "Setting up: 1 user\n"));
    let Some(BuildEffect::Pager(path)) = state.handle(A::Pager) else { panic!() };
    assert!(path.ends_with("20261123T120000Z-4711/components.log"), "the file has all of it");
    state.handle(A::Zoom);
    assert!(state.zoomed());
    let pick = state.pick();
    state.handle(A::Up);
    assert_eq!(state.pick(), pick, "on the whole screen the arrows move the log");
}

#[test]
fn behaviour_22_the_failed_row_takes_the_eye_and_others_keep_their_state() {
    let mut script = samples::running();
    // The person was looking elsewhere, with the log on the whole screen.
    script.state.handle(A::Up);
    script.state.handle(A::Zoom);
    script.end(Stage::Components, "network", Outcome::Failed, 4.3);
    assert_eq!(script.state.pick_name(), "components / network");
    assert!(!script.state.zoomed());
    script.end(Stage::Components, "ntp", Outcome::Failed, 5.0);
    assert_eq!(script.state.pick_name(), "components / network", "the first one is the cause");
    let state = samples::failed().state;
    assert_eq!(item(&state, Stage::Components, "ntp").state, State::Done);
    assert_eq!(item(&state, Stage::Components, "caddy").state, State::Reused);
    assert_eq!(item(&state, Stage::Components, "udev").state, State::NotBegun);
    assert_eq!(stage(&state, Stage::Kernel), State::NotBegun);
    assert_eq!(state.end().map(|end| end.outcome), Some(Outcome::Failed));
}

#[test]
fn behaviour_22_cause_exit_code_next_step_log_and_last_lines_are_said() {
    let state = samples::failed().state;
    let text: Vec<String> = state.failure_text().into_iter().map(|(_, line)| line).collect();
    assert_eq!(
        text,
        [
            "components / network failed after 4.3 s, exit code 1",
            "components/network/packages.lock: the package dhcpcd-base cannot be read",
            "because: its sha256 differs from the one in the lock",
            "Try: run `hookos components network --update`, if the archive is to be trusted",
            "Log: out/lab/logs/20261123T120000Z-4711/components.log",
            "Retry from components: 10 pieces reused, 5 to do.",
        ]
    );
    assert_eq!(state.last_lines(1), ["failed: the package dhcpcd-base cannot be read"]);
}

#[test]
fn behaviour_22_without_the_runs_own_words_the_log_has_the_cause() {
    let mut script = samples::running();
    script.log(Stage::Components, "network", "\x1b[31merror: no space left\x1b[0m");
    script.log(Stage::Components, "network", "stopping");
    script.end(Stage::Components, "network", Outcome::Failed, 1.0);
    script.take(Event::RunFinished { outcome: Outcome::Failed, seconds: 9.0 });
    let text = script.state.failure_text();
    assert_eq!(text[1].1, "error: no space left");
}

#[test]
fn behaviour_22_a_failure_between_two_stages_is_said_too() {
    let mut script = samples::running();
    script.stage_end(Stage::Components, Outcome::Ok, 5.0);
    script.take(Event::Problem(samples::problem()));
    script.take(Event::RunFinished { outcome: Outcome::Failed, seconds: 5.0 });
    let text = script.state.failure_text();
    assert_eq!(text[0].1, "The build failed, exit code 1");
    assert!(script.state.retry().is_some());
}

#[test]
fn behaviour_22_a_cancelled_build_is_no_failure() {
    let state = samples::cancelled().state;
    assert!(state.failure().is_none());
    assert_eq!(item(&state, Stage::Components, "network").state, State::Cancelled);
}

#[test]
fn behaviour_23_leaving_a_running_build_asks_and_names_what_runs() {
    let mut state = samples::running().state;
    let leaving = state.leaving().unwrap();
    assert_eq!(leaving.text[0], "At work: components (network, ntp).");
    let choices: Vec<_> = leaving.choices.iter().map(|(_, choice)| *choice).collect();
    assert_eq!(
        choices,
        [LeaveChoice::Stay, LeaveChoice::KeepRunning, LeaveChoice::Cancel],
        "Enter changes nothing"
    );
    assert_eq!(state.answer(LeaveChoice::Stay), None);
    assert_eq!(state.answer(LeaveChoice::KeepRunning), Some(BuildEffect::Detach));
    assert!(!state.cancelling());
    assert_eq!(state.answer(LeaveChoice::Cancel), Some(BuildEffect::Cancel));
    assert!(state.cancelling());
    for ended in [samples::done(), samples::failed(), samples::cancelled()] {
        assert_eq!(ended.state.leaving(), None, "nothing runs: it leaves at once");
    }
}

#[test]
fn behaviour_23_the_main_screen_keeps_at_most_twenty_lines() {
    let command = "hookos build lab";
    let failed = samples::failed().state.summary(command);
    assert_eq!(failed[0], "The build of lab failed after 4.8 s.");
    assert!(failed.iter().any(|line| line.contains("| failed: the package")));
    assert_eq!(failed.last().map(String::as_str), Some("As a command: hookos build lab"));
    let done = samples::done().state.summary(command);
    assert!(done.iter().any(|line| line.contains("out/lab/hook_x86_64.tar.gz")));
    assert!(samples::cancelled().state.summary(command)[0].contains("was cancelled"));
    assert!(samples::running().state.summary(command)[0].contains("goes on in the background"));
    let mut long = samples::failed();
    for n in 0..100 {
        let path = format!("out/lab/{n}").into();
        long.take(Event::Artifact { path, bytes: 1, sha256: crate::store::Digest::of(b"") });
    }
    let mut problem = crate::problem::Problem::new("one\n".repeat(50) + "\x1b[2Jtwo");
    problem = problem.remedy("three\n".repeat(50));
    long.take(Event::Problem(problem));
    let summary = long.state.summary(command);
    assert_eq!(summary.len(), 20);
    assert!(
        summary.iter().all(|line| !line.contains('\x1b')),
        "what programs print does not steer the terminal"
    );
    assert!(summary[18].starts_with("Logs: ") && summary[19].starts_with("As a command: "));
}

#[test]
fn sizes_go_by_component_and_are_compared_with_the_build_before() {
    let ResultState { sizes: Some(Ok(sizes)), .. } = samples::result() else { panic!() };
    assert_eq!(sizes.rows[0].name, "hook-docker");
    let change = |name: &str| sizes.rows.iter().find(|row| row.name == name).map(|row| row.change);
    assert_eq!(change("caddy"), Some(Change::By(1_242_752, 0)));
    assert_eq!(change("kernel modules"), Some(Change::Same));
    assert_eq!(change("udev-coldplug"), Some(Change::Same));
    assert_eq!(change("bootkit"), Some(Change::New));
    assert_eq!(change("fluent-bit"), Some(Change::Gone));
    assert_eq!(sizes.total.compressed, sizes.rows.iter().map(|row| row.compressed).sum::<u64>());
    assert_eq!(sizes.total.change, Change::By(1_242_752, 0));
    let first = Sizes::read(&samples::manifest(1, ""), None).unwrap();
    assert!(first.rows.iter().all(|row| row.change == Change::Unknown));
    assert!(Sizes::read("{", None).is_err());
    assert_eq!(
        Sizes::read(&samples::manifest(1, ""), Some("[]")).unwrap(),
        first,
        "an old shape is as good as none"
    );
}

#[test]
fn what_can_be_done_with_an_image_is_done_by_row_or_by_key() {
    let mut result = samples::result();
    assert_eq!(result.focus(), Some(ResultRow::Next(0)));
    assert_eq!(result.handle(ResultAction::Activate), Some(ResultEffect::Boot));
    result.handle(ResultAction::Down);
    assert_eq!(result.handle(ResultAction::Activate), Some(ResultEffect::LogIn));
    result.handle(ResultAction::Down);
    assert_eq!(NEXT[2].0, ResultAction::CopyCommand);
    let command = ResultEffect::Copy("hookos build lab --kernel-append='quiet splash'".into());
    assert_eq!(result.handle(ResultAction::Activate), Some(command.clone()));
    assert_eq!(result.handle(ResultAction::CopyCommand), Some(command));
    result.handle(ResultAction::Down);
    assert_eq!(result.handle(ResultAction::Activate), Some(ResultEffect::Stamp));
    result.handle(ResultAction::Down);
    assert_eq!(result.handle(ResultAction::Activate), Some(ResultEffect::Publish));
    for _ in 0..3 {
        result.handle(ResultAction::Down);
    }
    assert_eq!(result.focus(), Some(ResultRow::Artifact(0)));
    let Some(ResultEffect::Copy(line)) = result.handle(ResultAction::Activate) else { panic!() };
    assert!(line.ends_with("  out/lab/site.cpio.zst") && line.find("  ") == Some(64));
    result.handle(ResultAction::Last);
    assert!(matches!(result.focus(), Some(ResultRow::Size(_))));
}

/// Anything that can come: events of a few names, keys, sizes.
#[derive(Debug, Clone)]
pub enum Input {
    Event(Event),
    Action(A),
    Key(char),
    Enter,
    Escape,
    Wheel(bool),
    Size(u16, u16),
    Wait(f64),
}

pub const ACTIONS: [A; 27] = [
    A::Up,
    A::Down,
    A::PageUp,
    A::PageDown,
    A::First,
    A::Last,
    A::LineUp,
    A::LineDown,
    A::Left,
    A::Right,
    A::Zoom,
    A::Open,
    A::Search,
    A::NextMatch,
    A::PreviousMatch,
    A::Filter,
    A::NextError,
    A::PreviousError,
    A::Wrap,
    A::Times,
    A::Save,
    A::Copy,
    A::Pager,
    A::Retry,
    A::Cancel,
    A::Background,
    A::Last,
];

fn event() -> impl Strategy<Value = Event> {
    let stage = || proptest::sample::select(&Stage::ALL[..]);
    let name = || proptest::sample::select(&["a", "b", "caddy", "a-very-long-name-of-a-component"][..]);
    let outcome = || proptest::sample::select(&[Outcome::Ok, Outcome::Failed, Outcome::Cancelled][..]);
    let some_name = move || proptest::option::of(name().prop_map(str::to_owned));
    prop_oneof![
        2 => stage().prop_map(|stage| Event::StageStarted { stage }),
        2 => (stage(), name()).prop_map(|(stage, item)| Event::ItemStarted { stage, item: item.into() }),
        4 => (stage(), some_name(), 0..100u64, 0..100u64).prop_map(|(stage, item, done, total)| {
            Event::Progress { stage, item, done, total, unit: if total % 2 == 0 { Unit::Bytes } else { Unit::Items } }
        }),
        6 => (stage(), some_name(), "[a-z\u{65e5} \t]{0,90}|error: [a-z]{1,9}|\x1b\\[3[0-7]m[a-z]{1,5}")
            .prop_map(|(stage, item, line)| Event::Log { stage, item, line }),
        1 => (stage(), some_name()).prop_map(|(stage, item)| Event::Warning { stage, item, text: "expires".into() }),
        1 => (stage(), name()).prop_map(|(stage, item)| Event::Cached { stage, item: item.into() }),
        2 => (stage(), name(), outcome(), 0.0..1e5).prop_map(|(stage, item, outcome, seconds)| {
            Event::ItemFinished { stage, item: item.into(), outcome, seconds }
        }),
        1 => (stage(), outcome(), 0.0..1e5)
            .prop_map(|(stage, outcome, seconds)| Event::StageFinished { stage, outcome, seconds }),
        1 => outcome().prop_map(|outcome| Event::RunFinished { outcome, seconds: 3.0 }),
        1 => Just(Event::Problem(samples::problem())),
        1 => Just(Event::RunStarted { run: "r".into(), profile: "p".into(), logs: "out/p/logs/r".into() }),
    ]
}

pub fn input() -> impl Strategy<Value = Input> {
    prop_oneof![
        8 => event().prop_map(Input::Event),
        6 => proptest::sample::select(&ACTIONS[..]).prop_map(Input::Action),
        2 => proptest::char::range('a', 'f').prop_map(Input::Key),
        1 => Just(Input::Enter),
        1 => Just(Input::Escape),
        1 => any::<bool>().prop_map(Input::Wheel),
        2 => (0u16..130, 0u16..45).prop_map(|(w, h)| Input::Size(w, h)),
        2 => (0u16..40, 0u16..12).prop_map(|(w, h)| Input::Size(w, h)),
        1 => (0.0..60.0).prop_map(Input::Wait),
    ]
}

pub fn feed(script: &mut Script, input: Input) {
    match input {
        Input::Event(event) => {
            script.take(event);
        }
        Input::Action(action) => {
            script.state.handle(action);
        }
        Input::Key(c) => {
            script.state.typed(key(KeyCode::Char(c)));
        }
        Input::Enter => {
            script.state.typed(key(KeyCode::Enter));
        }
        Input::Escape => {
            script.state.typed(key(KeyCode::Esc));
        }
        Input::Wheel(up) => script.state.wheel(up),
        Input::Size(w, h) => script.state.resize((w, h)),
        Input::Wait(n) => {
            script.wait(n);
        }
    }
}

proptest! {
    #[test]
    fn whatever_comes_the_state_holds_together(inputs in proptest::collection::vec(input(), 1..60)) {
        let mut script = Script::new();
        let mut far = 0.0;
        for input in inputs {
            feed(&mut script, input);
            let state = &script.state;
            prop_assert!((0.0..=1.0).contains(&state.overall()) && state.overall() >= far);
            if state.running() {
                far = state.overall();
            }
            let room = usize::from(state.areas().list);
            let rows = state.listed(room);
            let picked = rows.iter().filter(|row| **row == Listed::Row(state.pick())).count();
            prop_assert_eq!(picked, 1, "the chosen row is in the list");
            let at = rows.iter().position(|row| *row == Listed::Row(state.pick())).unwrap();
            let offset = state.offset(&rows, room);
            prop_assert!(room == 0 || (offset..offset + room).contains(&at), "and in sight");
            prop_assert!(state.pane().is_some(), "with its log");
            prop_assert!(state.summary("x").len() <= 20);
        }
    }
}
