//! What a person can do on the build's screen, and what is to be done in the world for it.

use super::leave::LeaveChoice;
use super::list::Pick;
use super::state::BuildState;
use crate::build::Stage;
use crate::tui::keys::{self, Action, Context, Key};
use crate::tui::line::Line;
use crate::tui::log::{LogBuffer, Needle, Pane};
use std::path::PathBuf;

/// Columns that a step to the side moves.
const ASIDE: isize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BuildAction {
    Up,
    Down,
    PageUp,
    PageDown,
    /// The oldest line.
    First,
    /// The newest line, and follow.
    Last,
    LineUp,
    LineDown,
    Left,
    Right,
    /// The log on the whole screen, or beside the list again.
    Zoom,
    /// All items of the stage, or none.
    Open,
    Search,
    NextMatch,
    PreviousMatch,
    Filter,
    NextError,
    PreviousError,
    Wrap,
    Times,
    /// Writes the lines that the view has to a file.
    Save,
    /// Copies the lines in sight.
    Copy,
    /// Opens the whole log in a pager.
    Pager,
    Retry,
    Cancel,
    /// Leaves the build running and goes back to the profiles.
    Background,
}

/// What is to be done outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BuildEffect {
    Cancel,
    /// Goes away from a build that goes on.
    Detach,
    /// Starts it again. Finished work is in the store, so it goes on where it failed.
    Retry {
        from: Stage,
    },
    Pager(PathBuf),
    /// Writes a text to a new file of this name in the run's folder of logs.
    Save {
        name: String,
        text: String,
    },
    Copy(String),
}

/// A line that is typed: what to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Typing {
    pub filter: bool,
    pub line: Line,
}

impl Typing {
    /// Begins with what was looked for last.
    pub fn begin(filter: bool, pane: &Pane) -> Self {
        let had = if filter { pane.filter() } else { pane.search() };
        Self { filter, line: Line::new(had.map_or("", Needle::text)) }
    }

    /// A key while a line is typed. False if it was of no use, or nothing is typed.
    pub fn key(typing: &mut Option<Self>, key: Key, pane: &mut Pane, log: &LogBuffer) -> bool {
        let Some(typed) = typing else { return false };
        match keys::lookup(key, &[Context::Over, Context::Line]) {
            Some(Action::Close) => *typing = None,
            Some(Action::Choose) => {
                let needle = Needle::new(typed.line.text());
                match typed.filter {
                    true => pane.set_filter(log, needle),
                    false => pane.set_search(log, needle),
                }
                *typing = None;
            }
            _ => return crate::tui::update::edit_line(&mut typed.line, key),
        }
        true
    }
}

/// Reads in a log: moves, looks, folds. False if the action is about something else.
pub fn read(pane: &mut Pane, log: &LogBuffer, action: BuildAction) -> bool {
    use BuildAction as A;
    let page = pane.page();
    match action {
        A::Up | A::LineUp => pane.up(log, 1),
        A::Down | A::LineDown => pane.down(log, 1),
        A::PageUp => pane.up(log, page),
        A::PageDown => pane.down(log, page),
        A::First => pane.first(log),
        A::Last => pane.follow(),
        A::Left => pane.aside(log, -ASIDE),
        A::Right => pane.aside(log, ASIDE),
        A::NextMatch => pane.next_match(log, true),
        A::PreviousMatch => pane.next_match(log, false),
        A::NextError => pane.next_error(log, true),
        A::PreviousError => pane.next_error(log, false),
        A::Wrap => pane.toggle_wrap(log),
        A::Times => pane.toggle_times(log),
        _ => return false,
    }
    true
}

impl BuildState {
    /// Whether an action makes sense now.
    pub fn allows(&self, action: BuildAction) -> bool {
        use BuildAction as A;
        match action {
            A::Retry => self.retry().is_some(),
            A::Cancel | A::Background => self.running() && !self.cancelling,
            A::NextMatch | A::PreviousMatch => self.pane().is_some_and(|pane| pane.search().is_some()),
            A::NextError | A::PreviousError => self.log.errors() > 0,
            A::Pager | A::Save => self.logs.is_some(),
            A::Open => !self.zoom,
            _ => true,
        }
    }

    /// Whether keys go to a line that is being typed.
    pub fn typing(&self) -> Option<&Typing> {
        self.typing.as_ref()
    }

    /// A key that no action has, or any key while a line is typed. True if it was of use.
    pub fn typed(&mut self, key: Key) -> bool {
        let (mut typing, mut used) = (self.typing.take(), false);
        self.on_pane(|pane, log| used = Typing::key(&mut typing, key, pane, log));
        self.typing = typing;
        used
    }

    /// A text that was pasted.
    pub fn paste(&mut self, text: &str) {
        if let Some(typing) = &mut self.typing {
            typing.line.insert(text);
        }
    }

    /// Does an action.
    pub fn handle(&mut self, action: BuildAction) -> Option<BuildEffect> {
        use BuildAction as A;
        self.notice = None;
        if !self.allows(action) {
            self.notice = Some(refusal(action).to_owned());
            return None;
        }
        match action {
            A::Up if !self.zoom => self.choose(-1),
            A::Down if !self.zoom => self.choose(1),
            A::Zoom => {
                self.zoom = !self.zoom;
                self.fit();
            }
            A::Open => self.toggle_open(),
            A::Search | A::Filter => {
                self.typing = Some(Typing::begin(action == A::Filter, self.pane()?));
            }
            A::Save => {
                let text = self.pane()?.whole_text(&self.log);
                let name = format!("{}-shown.txt", self.pick_name().replace(" / ", "-").replace('/', "-"));
                return Some(BuildEffect::Save { name, text });
            }
            A::Copy => return Some(BuildEffect::Copy(self.pane()?.visible_text(&self.log))),
            A::Pager => return self.log_file(self.pick.stage).map(BuildEffect::Pager),
            A::Retry => return self.retry().map(|retry| BuildEffect::Retry { from: retry.from }),
            A::Cancel => return self.answer(LeaveChoice::Cancel),
            A::Background => return self.answer(LeaveChoice::KeepRunning),
            action => self.on_pane(|pane, log| {
                read(pane, log, action);
            }),
        }
        None
    }

    /// The wheel: the log moves, whatever has the keys.
    pub fn wheel(&mut self, up: bool) {
        self.on_pane(|pane, log| if up { pane.up(log, 3) } else { pane.down(log, 3) });
    }

    /// Tells the size of the whole screen of the build.
    pub fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        self.fit();
    }

    /// `components`, `components / caddy`.
    pub fn pick_name(&self) -> String {
        let stage = self.pick.stage;
        let items = self.stages.get(stage as usize).map(|rows| &rows.items);
        match items.zip(self.pick.item).and_then(|(items, at)| items.get(at)) {
            Some(item) => format!("{stage} / {}", item.name),
            None => stage.to_string(),
        }
    }

    pub fn pick(&self) -> Pick {
        self.pick
    }

    fn on_pane(&mut self, act: impl FnOnce(&mut Pane, &LogBuffer)) {
        self.look();
        let scope = self.scope();
        if let Some(pane) = self.panes.get_mut(&scope) {
            pane.notice = None;
            act(pane, &self.log);
            self.notice = pane.notice.take();
        }
    }

    /// The pane of the chosen row is there and knows its box.
    pub(super) fn look(&mut self) {
        let scope = self.scope();
        let size = self.log_size();
        let pane = self.panes.entry(scope).or_insert_with(|| Pane::new(scope));
        pane.refresh(&self.log);
        pane.resize(&self.log, size);
    }

    /// After a change of what has how much room.
    pub(super) fn fit(&mut self) {
        self.look();
    }
}

fn refusal(action: BuildAction) -> &'static str {
    match action {
        BuildAction::Retry => "There is nothing to retry.",
        BuildAction::Cancel | BuildAction::Background => "The build does not run any more.",
        BuildAction::NextMatch | BuildAction::PreviousMatch => "Nothing is looked for; / begins a search.",
        BuildAction::NextError | BuildAction::PreviousError => "No line calls itself an error.",
        BuildAction::Pager | BuildAction::Save => "There is no log yet.",
        _ => "Not now.",
    }
}
