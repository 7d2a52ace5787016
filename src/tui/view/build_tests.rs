//! The build and its result at three sizes, without colours in ASCII and in sixteen colours; and whether
//! they hold at every size.

use super::super::build::action::BuildAction as A;
use super::super::build::samples::{self, Script};
use super::super::build::tests::{Input, feed, input};
use super::super::build::{BuildState, ResultAction, ResultState, Trial, Watch};
use super::super::keys::Key;
use super::super::model::{Model, Screen};
use super::super::msg::{Build, Msg};
use super::super::step::Step;
use super::super::testing::{LAB, buffer, go, lines as lines_of, opened, wizard};
use super::super::theme::Theme;
use super::super::update::update;
use super::build::view_build;
use super::result::view_result;
use super::tests::{SIZES, picture};
use crate::build::{Event, Outcome, Stage};
use proptest::prelude::*;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::KeyCode;
use ratatui::style::Color;
use std::time::Duration;

fn drawn(size: (u16, u16), draw: impl FnOnce(&mut ratatui::Frame)) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(size.0, size.1)).unwrap();
    terminal.draw(draw).unwrap();
    terminal.backend().buffer().clone()
}

fn pictures(name: &str, mut draw: impl FnMut((u16, u16), &Theme) -> Buffer) {
    for (theme, word) in [(Theme::mono_ascii(), "mono"), (Theme::sixteen(), "colours")] {
        for (columns, lines) in SIZES {
            let buffer = draw((columns, lines), &theme);
            assert!(
                word == "colours"
                    || buffer.content.iter().all(|cell| cell.symbol().is_ascii() && cell.fg == Color::Reset),
                "{name}: a sign or colour that such a terminal does not have"
            );
            assert!(buffer.content.iter().all(|cell| cell.bg == Color::Reset), "{name}: a background");
            insta::with_settings!({ snapshot_path => "pictures", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(format!("{name}_{columns}x{lines}_{word}"), picture(&buffer));
            });
        }
    }
}

/// The whole wizard with this build on its screen.
fn build(name: &str, state: BuildState) {
    let mut model = wizard();
    let mut watch = Watch::new(1, Build::of(&state.profile), Vec::new(), model.body());
    watch.state = state;
    model.watch = Some(watch);
    model.screen = Screen::Build;
    whole(name, &mut model);
}

fn whole(name: &str, model: &mut Model) {
    pictures(name, |(columns, lines), theme| {
        model.theme = *theme;
        update(model, Msg::Resize(columns, lines));
        buffer(model)
    });
}

fn result(name: &str, state: ResultState) {
    let mut model = wizard();
    let profile = state.profile.clone();
    model.watch = Some(Watch::new(1, Build::of(&profile), Vec::new(), model.body()));
    model.result = Some(state);
    model.screen = Screen::Result;
    whole(name, &mut model);
}

fn text(state: &mut BuildState, size: (u16, u16)) -> String {
    state.resize(size);
    picture(&drawn(size, |frame| view_build(frame, frame.area(), state, &Theme::mono_ascii())))
}

#[test]
fn a_build_before_its_first_event() {
    build("build_new", Script::new().state);
}

#[test]
fn a_build_at_work() {
    build("build_running", samples::running().state);
}

#[test]
fn a_build_whose_log_is_read() {
    let mut script = samples::running();
    script.state.resize((80, 24));
    script.state.handle(A::Down);
    script.state.handle(A::Search);
    for c in "part 3".chars() {
        script.state.typed(Key { code: KeyCode::Char(c), ctrl: false });
    }
    script.state.typed(Key { code: KeyCode::Enter, ctrl: false });
    script.state.handle(A::PreviousMatch);
    for n in 0..1200 {
        script.log(Stage::Components, "network", &format!("more {n}"));
    }
    script.state.handle(A::Zoom);
    build("build_log", script.state);
}

#[test]
fn a_build_where_a_filter_is_typed() {
    let mut script = samples::running();
    script.state.handle(A::Filter);
    for c in "Get:".chars() {
        script.state.typed(Key { code: KeyCode::Char(c), ctrl: false });
    }
    build("build_filter", script.state);
}

#[test]
fn a_build_that_has_failed() {
    build("build_failed", samples::failed().state);
}

#[test]
fn a_build_that_was_cancelled_and_one_that_is_done() {
    build("build_cancelled", samples::cancelled().state);
    build("build_done", samples::done().state);
}

#[test]
fn behaviour_01_a_build_and_its_result_say_which_steps_were_seen() {
    let mut model = opened(LAB);
    go(&mut model, Step::Review);
    let watch = |profile: &str| Watch::new(1, Build::of(profile), Vec::new(), (80, 24));
    model.result = Some(ResultState::of(&watch("lab").state, ""));
    for (columns, lines) in SIZES {
        update(&mut model, Msg::Resize(columns, lines));
        // These screens have the whole width, so no rail stands beside them at any size.
        for (screen, title) in
            [(Screen::Build, "+....+>  Step 7/7: Build"), (Screen::Result, "+....++  Result")]
        {
            model.screen = screen;
            model.watch = Some(watch("lab"));
            let head = lines_of(&model).remove(0);
            assert!(head.contains("hookos  lab ") && head.ends_with(title), "{columns}: {head}");
            assert!(!lines_of(&model).iter().any(|line| line.contains("not seen")), "{columns}");
            // A run of another site says nothing of the steps of the one that is open.
            model.watch = Some(watch("north"));
            let head = lines_of(&model).remove(0);
            let alone = format!("  {}", title.split_once("  ").unwrap().1);
            assert!(head.contains("hookos  north ") && head.ends_with(&alone), "{columns}: {head}");
        }
    }
}

#[test]
fn the_result() {
    result("result", samples::result());
    let mut below = samples::result();
    below.handle(ResultAction::Last);
    result("result_sizes", below);
}

#[test]
fn a_machine_that_boots_the_image() {
    let mut model = wizard();
    let mut trial =
        Trial::new(1, "lab", super::super::build::Job::Boot, "/l".into(), model.body(), Duration::ZERO);
    let lines =
        ["hookos: using TCG", "[   10.083] hookos: HookOS init on Linux 5.10.0-46-amd64", "", "service list"];
    let lines: Vec<Vec<u8>> = lines.map(|line| line.as_bytes().to_vec()).into();
    trial.take(&lines, Duration::from_secs(11));
    model.trial = Some(trial);
    model.now = Duration::from_secs(12);
    model.screen = Screen::Machine;
    whole("machine", &mut model);
}

#[test]
fn behaviour_20_silence_is_on_the_screen() {
    let mut state = samples::silent().state;
    for size in SIZES {
        let text = text(&mut state, size);
        assert!(text.contains("no output for 41 s"), "{text}");
    }
}

#[test]
fn behaviour_21_new_lines_below_and_dropped_lines_are_counted_in_the_title() {
    let mut script = samples::running();
    script.state.resize((80, 24));
    script.state.handle(A::LineUp);
    for n in 0..1234 {
        script.log(Stage::Components, "network", &format!("more {n}"));
    }
    let screen = text(&mut script.state, (80, 24));
    assert!(screen.contains("paused, 1,234 new lines (End)"), "{screen}");
    script.state.handle(A::Last);
    let screen = text(&mut script.state, (80, 24));
    assert!(screen.contains("following") && screen.contains("more 1233"), "{screen}");
    for _ in 0..super::super::log::buffer::LINES {
        script.log(Stage::Components, "network", "x");
    }
    let screen = text(&mut script.state, (80, 24));
    assert!(screen.contains("1,279 older lines only in the file"), "{screen}");
}

#[test]
fn behaviour_22_cause_next_step_and_last_lines_are_on_the_smallest_screen() {
    let screen = text(&mut samples::failed().state, (60, 16));
    for part in ["FAILED", "exit code 1", "dhcpcd-base cannot be read", "components.log", "sha256 d"] {
        assert!(screen.contains(part), "{part}: {screen}");
    }
}

#[test]
fn every_size_can_be_drawn() {
    let scripts =
        [Script::new, samples::running, samples::silent, samples::failed, samples::cancelled, samples::done];
    let mut unread = samples::result();
    unread.sizes = None;
    let results = [samples::result(), unread];
    for script in scripts {
        let mut state = script().state;
        for zoom in [false, true] {
            for (w, h) in (0..40).flat_map(|w| (0..12).map(move |h| (w, h))) {
                state.resize((w, h));
                drawn((w, h), |frame| view_build(frame, frame.area(), &state, &Theme::sixteen()));
            }
            if zoom {
                state.handle(A::Search);
            }
            state.handle(A::Zoom);
        }
    }
    for mut result in results {
        for (w, h) in (0..40).flat_map(|w| (0..12).map(move |h| (w, h))) {
            drawn((w, h), |frame| view_result(frame, frame.area(), &result, &Theme::mono_ascii()));
            result.handle(ResultAction::Down);
        }
    }
}

proptest! {
    #[test]
    fn nothing_that_comes_makes_a_drawing_fail(inputs in proptest::collection::vec(input(), 1..60)) {
        let mut script = Script::new();
        let mut size = (80, 24);
        for input in inputs {
            if let Input::Size(w, h) = input {
                size = (w, h);
            }
            feed(&mut script, input);
            drawn(size, |frame| view_build(frame, frame.area(), &script.state, &Theme::sixteen()));
            // A frame of another size than the one that was told: between a resize and its event.
            drawn((33, 9), |frame| view_build(frame, frame.area(), &script.state, &Theme::mono_ascii()));
        }
        script.take(Event::RunFinished { outcome: Outcome::Ok, seconds: 1.0 });
        let result = ResultState::of(&script.state, "hookos build");
        drawn(size, |frame| view_result(frame, frame.area(), &result, &Theme::sixteen()));
    }
}
