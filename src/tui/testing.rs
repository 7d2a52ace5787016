//! What tests of the wizard share: a state without a terminal, keys by name, a screen in memory.

use super::data::{Opened, SiteEntry, Sites};
use super::form::Environment;
use super::model::{Model, Site};
use super::msg::{Effect, Msg};
use super::step::Step;
use super::theme::Theme;
use super::update::update;
use super::view::view;
use crate::site::{Id, Profile};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// 2026-11-23 12:00 UTC.
pub const NOON: i64 = 1_795_435_200;

/// As the shipped profile, with an endpoint that does not follow from the domain.
pub const LAB: &str = r#"
schema_version = 1

[endpoints]
cluster_domain = "lab.example.com"
release_svc = "files.lab.example.com"

[certificates]
ca = "lab-ca.pem"
server_cert = "lab-server.pem"
placeholder = true

[image]
getty = "insecure"
roles = ["logging=syslog-ng"]
"#;

/// An empty wizard of 80x24.
pub fn wizard() -> Model {
    wizard_with(Environment::new())
}

pub fn wizard_with(env: Environment) -> Model {
    Model::new(Theme::mono_ascii(), (80, 24), PathBuf::from("/project"), env, NOON)
}

/// The wizard with a profile open.
pub fn opened(text: &str) -> Model {
    let mut model = wizard();
    open(&mut model, "lab", text);
    model
}

pub fn open(model: &mut Model, name: &str, text: &str) -> Vec<Effect> {
    let path = format!("/project/profiles/{name}.toml");
    let profile = Profile::from_bytes(Path::new(&path), text.as_bytes()).unwrap();
    let opened = Opened {
        name: name.to_owned(),
        profile,
        new: false,
        imported: None,
        warnings: Vec::new(),
        draft: None,
    };
    update(model, Msg::Opened(Ok(Box::new(opened))))
}

/// The wizard with a new site open.
pub fn new_site() -> Model {
    let mut model = wizard();
    let profile = Profile::new("site");
    let opened = Opened {
        name: "site".to_owned(),
        profile,
        new: true,
        imported: None,
        warnings: Vec::new(),
        draft: None,
    };
    update(&mut model, Msg::Opened(Ok(Box::new(opened))));
    model
}

pub fn site(model: &Model) -> &Site {
    model.site.as_ref().unwrap()
}

/// The profiles that the start screen of tests has.
pub fn sites(model: &mut Model) {
    let run = model.start.begin(model.now);
    let entry = |name: &str, shipped, problem: Option<&str>| SiteEntry {
        name: name.to_owned(),
        path: PathBuf::from(format!("/project/profiles/{name}.toml")),
        shipped,
        problem: problem.map(str::to_owned),
        last: None,
    };
    let sites = vec![
        entry("factory-7", false, None),
        entry("lab", true, None),
        entry("old", true, Some("the profile is not valid TOML")),
    ];
    update(model, Msg::Sites(run, Ok(Sites { sites, ..Sites::default() })));
}

/// A key by the name that screens give it.
pub fn key(name: &str) -> KeyEvent {
    let (ctrl, rest) = match name.strip_prefix("Ctrl-") {
        Some(rest) => (KeyModifiers::CONTROL, rest),
        None => (KeyModifiers::NONE, name),
    };
    let code = match rest {
        "Enter" => KeyCode::Enter,
        "Esc" => KeyCode::Esc,
        "Tab" => KeyCode::Tab,
        "Shift-Tab" => KeyCode::BackTab,
        "Space" => KeyCode::Char(' '),
        "Up" => KeyCode::Up,
        "Down" => KeyCode::Down,
        "Left" => KeyCode::Left,
        "Right" => KeyCode::Right,
        "Home" => KeyCode::Home,
        "End" => KeyCode::End,
        "PgUp" => KeyCode::PageUp,
        "PgDn" => KeyCode::PageDown,
        "Backspace" => KeyCode::Backspace,
        "Delete" => KeyCode::Delete,
        "F1" => KeyCode::F(1),
        text => {
            let c = text.chars().next().unwrap();
            KeyCode::Char(if ctrl.is_empty() { c } else { c.to_ascii_lowercase() })
        }
    };
    KeyEvent::new(code, ctrl)
}

/// Presses keys one after the other; gives all effects.
pub fn press(model: &mut Model, keys: &[&str]) -> Vec<Effect> {
    keys.iter().flat_map(|name| update(model, Msg::Key(key(name)))).collect()
}

pub fn types(model: &mut Model, text: &str) -> Vec<Effect> {
    let event = |c| KeyEvent::new(KeyCode::Char(c), KeyModifiers::NONE);
    text.chars().flat_map(|c| update(model, Msg::Key(event(c)))).collect()
}

/// Empties the field in focus and types this into it.
pub fn fill(model: &mut Model, text: &str) -> Vec<Effect> {
    press(model, &["Ctrl-E", "Ctrl-U"]);
    types(model, text)
}

/// Moves the focus to a field of the step.
pub fn to(model: &mut Model, id: Id) {
    model.set_focus(super::rows::Row::Field(id));
}

pub fn go(model: &mut Model, step: Step) -> Vec<Effect> {
    let mut effects = press(model, &["Ctrl-G"]);
    effects.extend(press(model, &[&step.number().to_string(), "Enter"]));
    effects
}

pub fn at(model: &mut Model, milliseconds: u64) {
    update(model, Msg::Tick(Duration::from_millis(milliseconds)));
}

pub fn buffer(model: &Model) -> Buffer {
    let (columns, lines) = model.size;
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).unwrap();
    terminal.draw(|frame| view(model, frame)).unwrap();
    terminal.backend().buffer().clone()
}

/// The screen as text, a line each.
pub fn lines(model: &Model) -> Vec<String> {
    let buffer = buffer(model);
    let line = |y| {
        let cells: String = (0..buffer.area.width).map(|x| buffer[(x, y)].symbol().to_owned()).collect();
        cells.trim_end().to_owned()
    };
    (0..buffer.area.height).map(line).collect()
}

pub fn screen(model: &Model) -> String {
    lines(model).join("\n")
}

/// The line of the screen that has this text, and its number.
#[track_caller]
pub fn line_with(model: &Model, text: &str) -> (usize, String) {
    let found = lines(model).into_iter().enumerate().find(|(_, line)| line.contains(text));
    found.unwrap_or_else(|| panic!("{text:?} is not on the screen:\n{}", screen(model)))
}
