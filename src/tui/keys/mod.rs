//! Every action of the wizard, in one table: dispatch, footer, help and docs/wizard.md read it.
//!
//! A printable key never acts while a text field has the focus; such keys stand in the context
//! [`Context::Letters`], which a text field replaces with [`Context::Text`].

mod table;

pub use table::ACTIONS;

use super::build::{BuildAction, ResultAction};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// Where an action is offered. Several contexts are active at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Context {
    Anywhere,
    /// No text field has the focus, so letters are free.
    Letters,
    /// Rows that may have choices.
    Rows,
    /// A line is typed: in a field, or where something is asked.
    Text,
    /// A text of several lines is pasted.
    Paste,
    /// A file is picked.
    Files,
    /// A step is chosen.
    Steps,
    /// One of several is chosen, or a text is read: menus, questions, files, steps.
    List,
    /// One line is asked for.
    Line,
    /// Whatever lies over a screen.
    Over,
    Start,
    /// Any step of a site.
    Site,
    Endpoints,
    Certificates,
    Review,
    /// Steps that show what the program has looked up.
    Look,
    /// Nothing to type and no choices: letters and the arrows to the sides mean something else.
    Build,
    Result,
    /// A machine's console.
    Machine,
    /// A log: of a build or of a machine.
    Log,
}

impl Context {
    pub const ALL: [Self; 20] = [
        Self::Start,
        Self::Site,
        Self::Endpoints,
        Self::Certificates,
        Self::Review,
        Self::Look,
        Self::Build,
        Self::Result,
        Self::Machine,
        Self::Log,
        Self::Rows,
        Self::Text,
        Self::Steps,
        Self::Files,
        Self::Paste,
        Self::List,
        Self::Line,
        Self::Over,
        Self::Letters,
        Self::Anywhere,
    ];

    /// The heading in help and docs.
    pub fn title(self) -> &'static str {
        match self {
            Self::Anywhere => "Everywhere",
            Self::Letters => "Everywhere but in text fields",
            Self::Rows => "Lists and switches",
            Self::Text => "Text fields",
            Self::Paste => "Pasting certificates",
            Self::Files => "Picking a file",
            Self::Steps => "Choosing a step",
            Self::List => "Menus, questions, texts over the screen",
            Self::Line => "A name that is asked for, a text that is looked for",
            Self::Over => "Everything over the screen",
            Self::Start => "Start",
            Self::Site => "Steps of a site",
            Self::Endpoints => "Endpoints",
            Self::Certificates => "Certificates",
            Self::Review => "Review",
            Self::Look => "Kernel, Components, Review",
            Self::Build => "Build",
            Self::Result => "Result",
            Self::Machine => "Machine",
            Self::Log => "Logs",
        }
    }
}

/// Every combination of contexts that a screen or what lies over it has.
#[cfg(test)]
pub const SETS: &[&[Context]] = &[
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Start],
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Site],
    &[Context::Anywhere, Context::Text, Context::Site],
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Site, Context::Endpoints],
    &[Context::Anywhere, Context::Text, Context::Site, Context::Endpoints],
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Site, Context::Certificates],
    &[Context::Anywhere, Context::Text, Context::Site, Context::Certificates],
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Site, Context::Look],
    &[Context::Anywhere, Context::Text, Context::Site, Context::Look],
    &[Context::Anywhere, Context::Letters, Context::Rows, Context::Site, Context::Review, Context::Look],
    &[Context::Anywhere, Context::Letters, Context::Log, Context::Build],
    &[Context::Anywhere, Context::Letters, Context::Log, Context::Machine],
    &[Context::Anywhere, Context::Letters, Context::Result],
    &[Context::Over, Context::List],
    &[Context::Over, Context::List, Context::Files],
    &[Context::Over, Context::List, Context::Steps],
    &[Context::Over, Context::Line, Context::Text],
    &[Context::Over, Context::Paste],
];

/// What a person can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    Menu,
    Quit,
    Suspend,
    Repaint,
    Mouse,
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    Activate,
    Previous,
    Next,
    // Start
    NewSite,
    NewFromExample,
    ImportConfig,
    Duplicate,
    Rename,
    Delete,
    LastRun,
    // A site
    NextStep,
    PreviousStep,
    GoToStep,
    Save,
    SaveAs,
    RestoreDefault,
    Reveal,
    NextProblem,
    PickFile,
    About,
    LookAgain,
    CloseSite,
    TestConnection,
    SkipCheck,
    PasteCertificate,
    TakeCertificate,
    FetchChain,
    Placeholder,
    StartBuild,
    CopyCommand,
    // A build
    Build(BuildAction),
    Result(ResultAction),
    ShowResult,
    BackToSite,
    StopMachine,
    BackToResult,
    // What is typed or chosen
    Text(TextAction),
    TakePaste,
    FolderAbove,
    FolderBelow,
    StepOfNumber,
    // What lies over a screen
    Choose,
    Close,
}

/// What a key does to a line that is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TextAction {
    Left,
    Right,
    Start,
    End,
    Backspace,
    Delete,
    DeleteWord,
    DeleteToStart,
    DeleteToEnd,
}

/// A key as a person presses it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key {
    pub code: KeyCode,
    pub ctrl: bool,
}

impl Key {
    /// The key of a terminal's event. Shift is in the character already.
    pub fn of(event: &KeyEvent) -> Self {
        let ctrl = event.modifiers.contains(KeyModifiers::CONTROL);
        // What many terminals send for Backspace.
        if ctrl && event.code == KeyCode::Char('h') {
            return Self { code: KeyCode::Backspace, ctrl: false };
        }
        Self { code: event.code, ctrl }
    }

    /// The name on screens: ASCII, so that it is the same everywhere.
    pub fn name(self) -> String {
        let name = match self.code {
            KeyCode::Char(' ') => "Space".to_owned(),
            KeyCode::Char(c) if self.ctrl => return format!("Ctrl-{}", c.to_ascii_uppercase()),
            KeyCode::Char(c) => c.to_string(),
            KeyCode::BackTab => "Shift-Tab".to_owned(),
            KeyCode::PageUp => "PgUp".to_owned(),
            KeyCode::PageDown => "PgDn".to_owned(),
            KeyCode::F(n) => format!("F{n}"),
            code => format!("{code:?}"),
        };
        if self.ctrl { format!("Ctrl-{name}") } else { name }
    }
}

/// One action with its keys.
#[derive(Debug)]
pub struct Entry {
    pub action: Action,
    pub context: Context,
    /// The first one is the one that is shown; without one, the menu has the action.
    pub keys: &'static [Key],
    /// For menus and docs: what it does, in a few words.
    pub about: &'static str,
    /// The word in the footer, for what is wanted most.
    pub footer: Option<&'static str>,
}

/// The action of a key where these contexts are active.
pub fn lookup(key: Key, contexts: &[Context]) -> Option<Action> {
    let mut found = ACTIONS.iter().filter(|e| contexts.contains(&e.context) && e.keys.contains(&key));
    found.next().map(|entry| entry.action)
}

/// The key that is shown for an action where these contexts are active.
pub fn shown(action: Action, contexts: &[Context]) -> Option<Key> {
    offered(contexts).find(|entry| entry.action == action)?.keys.first().copied()
}

/// The actions of these contexts, those of the screen itself first.
pub fn offered(contexts: &[Context]) -> impl Iterator<Item = &'static Entry> {
    ACTIONS.iter().filter(move |entry| contexts.contains(&entry.context))
}

/// docs/wizard.md's table of keys.
pub fn table() -> String {
    let mut text = String::new();
    for context in Context::ALL {
        let mut entries = ACTIONS.iter().filter(|e| e.context == context).peekable();
        if entries.peek().is_none() {
            continue;
        }
        text.push_str(&format!("\n### {}\n\n| key | what it does |\n|---|---|\n", context.title()));
        for entry in entries {
            let keys: Vec<String> = entry.keys.iter().map(|key| format!("`{}`", key.name())).collect();
            let keys = if keys.is_empty() { "menu".to_owned() } else { keys.join(" ") };
            text.push_str(&format!("| {keys} | {} |\n", entry.about));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn no_two_actions_share_a_key_on_one_screen() {
        for set in SETS {
            let mut seen: HashMap<Key, Action> = HashMap::new();
            for entry in offered(set) {
                for key in entry.keys {
                    let before = seen.insert(*key, entry.action);
                    assert!(
                        before.is_none(),
                        "{} is {before:?} and {:?} in {set:?}",
                        key.name(),
                        entry.action
                    );
                }
            }
        }
    }

    #[test]
    fn every_context_is_on_a_screen_and_letters_are_free_in_text_fields() {
        for entry in ACTIONS {
            assert!(SETS.iter().any(|set| set.contains(&entry.context)), "{entry:?}");
            if !matches!(
                entry.context,
                Context::Letters
                    | Context::Rows
                    | Context::Start
                    | Context::Review
                    | Context::Build
                    | Context::Result
                    | Context::Machine
                    | Context::Log
                    | Context::Steps
            ) {
                assert!(
                    entry.keys.iter().all(|k| k.ctrl || !matches!(k.code, KeyCode::Char(_))),
                    "{entry:?} would take a letter from a text field"
                );
            }
        }
        for set in SETS.iter().filter(|set| set.contains(&Context::Text)) {
            for c in ('!'..='~').chain([' ']) {
                assert_eq!(
                    lookup(Key { code: KeyCode::Char(c), ctrl: false }, set),
                    None,
                    "{c:?} in {set:?}"
                );
            }
        }
    }

    #[test]
    fn no_action_needs_a_function_key_or_alt() {
        for entry in ACTIONS {
            let plain = |k: &Key| !matches!(k.code, KeyCode::F(_));
            assert!(entry.keys.is_empty() || entry.keys.iter().any(plain), "{entry:?}");
        }
    }
}
