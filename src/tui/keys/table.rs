//! The table of actions.

use super::super::build::{BuildAction as B, ResultAction as R};
use super::{Action, Context, Entry, Key, TextAction as T};
use ratatui::crossterm::event::KeyCode;

const fn key(code: KeyCode) -> Key {
    Key { code, ctrl: false }
}

const fn letter(c: char) -> Key {
    key(KeyCode::Char(c))
}

const fn ctrl(c: char) -> Key {
    Key { code: KeyCode::Char(c), ctrl: true }
}

const fn with_ctrl(code: KeyCode) -> Key {
    Key { code, ctrl: true }
}

const fn entry(
    action: Action,
    context: Context,
    keys: &'static [Key],
    about: &'static str,
    footer: Option<&'static str>,
) -> Entry {
    Entry { action, context, keys, about, footer }
}

const fn build(action: B) -> Action {
    Action::Build(action)
}

const fn result(action: R) -> Action {
    Action::Result(action)
}

const fn text(action: T, keys: &'static [Key], about: &'static str) -> Entry {
    entry(Action::Text(action), Context::Text, keys, about, None)
}

/// The table. Within a context the order is the order in the footer and in help.
pub static ACTIONS: &[Entry] = &[
    entry(Action::Activate, Context::Start, &[key(KeyCode::Enter)], "open what is chosen", Some("open")),
    entry(Action::NewSite, Context::Start, &[letter('n')], "begin a new site", Some("new")),
    entry(
        Action::NewFromExample,
        Context::Start,
        &[letter('e')],
        "begin a new site from the example, which has every field with its help",
        None,
    ),
    entry(Action::ImportConfig, Context::Start, &[letter('i')], "import a config file", Some("import")),
    entry(Action::Duplicate, Context::Start, &[letter('c')], "copy the profile under another name", None),
    entry(Action::Rename, Context::Start, &[letter('r')], "rename the profile", None),
    entry(Action::Delete, Context::Start, &[letter('d'), key(KeyCode::Delete)], "delete the profile", None),
    entry(
        Action::LastRun,
        Context::Start,
        &[letter('l')],
        "look at the profile's last build",
        Some("last run"),
    ),
    entry(
        Action::Activate,
        Context::Site,
        &[key(KeyCode::Enter)],
        "do what the row says; go on from a field",
        Some("next"),
    ),
    entry(Action::NextStep, Context::Site, &[ctrl('n')], "next step", Some("step")),
    entry(Action::PreviousStep, Context::Site, &[ctrl('p')], "previous step", None),
    entry(Action::GoToStep, Context::Site, &[ctrl('g')], "go to any step", None),
    entry(Action::Save, Context::Site, &[ctrl('s')], "save the profile", Some("save")),
    entry(Action::SaveAs, Context::Site, &[], "save the profile under another name", None),
    entry(
        Action::RestoreDefault,
        Context::Site,
        &[ctrl('d')],
        "restore the field's default",
        Some("default"),
    ),
    entry(Action::Reveal, Context::Site, &[ctrl('r')], "show or hide secrets", None),
    entry(Action::NextProblem, Context::Site, &[ctrl('x')], "go to the next problem", None),
    entry(Action::PickFile, Context::Site, &[ctrl('o')], "pick a file for the field", None),
    entry(Action::About, Context::Site, &[ctrl('b')], "all about the row", None),
    entry(Action::CloseSite, Context::Site, &[], "back to the list of profiles", None),
    entry(
        Action::TestConnection,
        Context::Endpoints,
        &[ctrl('t')],
        "test the connection to every endpoint",
        Some("test"),
    ),
    entry(Action::SkipCheck, Context::Endpoints, &[], "skip the connection test (offline)", None),
    entry(Action::PasteCertificate, Context::Certificates, &[ctrl('v')], "paste certificates", Some("paste")),
    entry(
        Action::TakeCertificate,
        Context::Certificates,
        &[ctrl('f')],
        "take certificates from a file",
        None,
    ),
    entry(
        Action::FetchChain,
        Context::Certificates,
        &[ctrl('t')],
        "fetch the chain from the orchestrator",
        Some("fetch"),
    ),
    entry(
        Action::Placeholder,
        Context::Certificates,
        &[],
        "make placeholder certificates, for a trial",
        None,
    ),
    entry(Action::LookAgain, Context::Look, &[ctrl('t')], "look again: nothing of before counts", None),
    entry(Action::StartBuild, Context::Review, &[letter('b')], "start the build", Some("build")),
    entry(Action::CopyCommand, Context::Review, &[letter('y')], "copy the equivalent command", Some("copy")),
    entry(Action::ShowResult, Context::Build, &[letter('v')], "the result", Some("result")),
    entry(build(B::Retry), Context::Build, &[letter('r')], "try again from where it failed", Some("retry")),
    entry(build(B::Cancel), Context::Build, &[letter('c')], "cancel the build", Some("cancel")),
    entry(
        build(B::Zoom),
        Context::Build,
        &[key(KeyCode::Enter), letter('z')],
        "the log on the whole screen, or beside the rows",
        Some("log"),
    ),
    entry(build(B::Open), Context::Build, &[letter(' ')], "all parts of the stage, or none", Some("parts")),
    entry(build(B::Search), Context::Log, &[letter('/')], "search the log", Some("search")),
    entry(build(B::NextMatch), Context::Log, &[letter('n')], "next match", None),
    entry(build(B::PreviousMatch), Context::Log, &[letter('N')], "match before", None),
    entry(build(B::Filter), Context::Log, &[letter('f')], "only lines with a text", None),
    entry(
        build(B::NextError),
        Context::Log,
        &[letter('e')],
        "next line that calls itself an error",
        Some("error"),
    ),
    entry(build(B::PreviousError), Context::Log, &[letter('E')], "error line before", None),
    entry(build(B::PageUp), Context::Log, &[key(KeyCode::PageUp)], "log: up by a page", None),
    entry(build(B::PageDown), Context::Log, &[key(KeyCode::PageDown)], "log: down by a page", None),
    entry(build(B::LineUp), Context::Log, &[letter('k')], "log: up by a line", None),
    entry(build(B::LineDown), Context::Log, &[letter('j')], "log: down by a line", None),
    entry(build(B::First), Context::Log, &[key(KeyCode::Home), letter('g')], "log: to the oldest line", None),
    entry(
        build(B::Last),
        Context::Log,
        &[key(KeyCode::End), letter('G')],
        "log: to the newest line, and follow",
        None,
    ),
    entry(build(B::Left), Context::Log, &[key(KeyCode::Left)], "log: to the left", None),
    entry(build(B::Right), Context::Log, &[key(KeyCode::Right)], "log: to the right", None),
    entry(build(B::Wrap), Context::Log, &[letter('w')], "wrap long lines", None),
    entry(build(B::Times), Context::Log, &[letter('t')], "times of the lines", None),
    entry(build(B::Copy), Context::Log, &[letter('y')], "copy the lines in sight", None),
    entry(build(B::Save), Context::Log, &[letter('s')], "save what the view shows to a file", None),
    entry(build(B::Pager), Context::Log, &[letter('o')], "open the whole log in a pager", None),
    entry(
        build(B::Background),
        Context::Build,
        &[letter('b')],
        "go back to the profiles and let it build",
        Some("background"),
    ),
    entry(Action::BackToSite, Context::Build, &[ctrl('p')], "back to the review; the build goes on", None),
    entry(Action::StopMachine, Context::Machine, &[letter('c')], "end the machine", Some("end it")),
    entry(
        Action::BackToResult,
        Context::Machine,
        &[key(KeyCode::Enter), ctrl('p')],
        "back to the result",
        Some("back"),
    ),
    entry(
        result(R::Activate),
        Context::Result,
        &[key(KeyCode::Enter)],
        "do what the row says",
        Some("do it"),
    ),
    entry(
        result(R::Boot),
        Context::Result,
        &[letter('b')],
        "boot the image and watch its console",
        Some("boot"),
    ),
    entry(
        result(R::LogIn),
        Context::Result,
        &[letter('i')],
        "boot the image and log in, in this terminal",
        None,
    ),
    entry(
        result(R::Stamp),
        Context::Result,
        &[letter('s')],
        "put this site on an image that somebody has published",
        None,
    ),
    entry(
        result(R::Publish),
        Context::Result,
        &[letter('u')],
        "publish the image and its kernel, in this terminal",
        None,
    ),
    entry(
        result(R::CopyCommand),
        Context::Result,
        &[letter('y')],
        "copy the command that builds it",
        Some("copy"),
    ),
    entry(result(R::Logs), Context::Result, &[letter('l')], "look at the build's logs", Some("logs")),
    entry(result(R::Close), Context::Result, &[letter('p')], "back to the profiles", Some("profiles")),
    entry(Action::BackToSite, Context::Result, &[ctrl('p')], "back to the review", None),
    entry(result(R::PageUp), Context::Result, &[key(KeyCode::PageUp)], "up by a page", None),
    entry(result(R::PageDown), Context::Result, &[key(KeyCode::PageDown)], "down by a page", None),
    entry(result(R::First), Context::Result, &[key(KeyCode::Home)], "to the first row", None),
    entry(result(R::Last), Context::Result, &[key(KeyCode::End)], "to the last row", None),
    text(T::Left, &[key(KeyCode::Left), with_ctrl(KeyCode::Left)], "a character to the left"),
    text(T::Right, &[key(KeyCode::Right), with_ctrl(KeyCode::Right)], "a character to the right"),
    text(T::Start, &[key(KeyCode::Home), ctrl('a')], "to the start of the text"),
    text(T::End, &[key(KeyCode::End), ctrl('e')], "to the end of the text"),
    text(T::Backspace, &[key(KeyCode::Backspace)], "delete the character before the cursor"),
    text(T::Delete, &[key(KeyCode::Delete)], "delete the character at the cursor"),
    text(T::DeleteWord, &[ctrl('w'), with_ctrl(KeyCode::Backspace)], "delete the word before the cursor"),
    text(T::DeleteToStart, &[ctrl('u')], "delete all before the cursor"),
    text(T::DeleteToEnd, &[ctrl('k')], "delete all behind the cursor"),
    entry(
        Action::StepOfNumber,
        Context::Steps,
        &[letter('1'), letter('2'), letter('3'), letter('4'), letter('5'), letter('6'), letter('7')],
        "choose the step of this number",
        None,
    ),
    entry(
        Action::FolderAbove,
        Context::Files,
        &[key(KeyCode::Left)],
        "to the folder above; Backspace too, where nothing is typed",
        None,
    ),
    entry(
        Action::FolderBelow,
        Context::Files,
        &[key(KeyCode::Right)],
        "into the chosen folder; Enter too",
        None,
    ),
    entry(Action::TakePaste, Context::Paste, &[key(KeyCode::Tab)], "take what is pasted", Some("take")),
    entry(Action::Choose, Context::List, &[key(KeyCode::Enter)], "do, answer or take what is chosen", None),
    entry(Action::Up, Context::List, &[key(KeyCode::Up), key(KeyCode::BackTab)], "up", None),
    entry(Action::Down, Context::List, &[key(KeyCode::Down), key(KeyCode::Tab)], "down", None),
    entry(Action::PageUp, Context::List, &[key(KeyCode::PageUp)], "up by a page", None),
    entry(Action::PageDown, Context::List, &[key(KeyCode::PageDown)], "down by a page", None),
    entry(Action::First, Context::List, &[key(KeyCode::Home)], "to the first one", None),
    entry(Action::Last, Context::List, &[key(KeyCode::End)], "to the last one", None),
    entry(Action::Choose, Context::Line, &[key(KeyCode::Enter)], "go on with what is typed", None),
    entry(Action::Close, Context::Over, &[key(KeyCode::Esc)], "back, and nothing is done", None),
    entry(Action::Up, Context::Anywhere, &[key(KeyCode::Up), key(KeyCode::BackTab)], "up", None),
    entry(Action::Down, Context::Anywhere, &[key(KeyCode::Down), key(KeyCode::Tab)], "down", None),
    entry(Action::PageUp, Context::Start, &[key(KeyCode::PageUp)], "up by a page", None),
    entry(Action::PageDown, Context::Start, &[key(KeyCode::PageDown)], "down by a page", None),
    entry(Action::PageUp, Context::Site, &[key(KeyCode::PageUp)], "up by a page", None),
    entry(Action::PageDown, Context::Site, &[key(KeyCode::PageDown)], "down by a page", None),
    entry(Action::First, Context::Rows, &[key(KeyCode::Home)], "to the first row", None),
    entry(Action::Last, Context::Rows, &[key(KeyCode::End)], "to the last row", None),
    entry(Action::Next, Context::Rows, &[letter(' '), key(KeyCode::Right)], "switch; next choice", None),
    entry(Action::Previous, Context::Rows, &[key(KeyCode::Left)], "previous choice", None),
    entry(
        Action::Menu,
        Context::Anywhere,
        &[key(KeyCode::Esc), key(KeyCode::F(1))],
        "this menu",
        Some("menu"),
    ),
    entry(Action::Menu, Context::Letters, &[letter('?')], "this menu", None),
    entry(Action::Repaint, Context::Anywhere, &[ctrl('l')], "paint the screen again", None),
    entry(Action::Suspend, Context::Anywhere, &[ctrl('z')], "suspend; fg comes back", None),
    entry(Action::Quit, Context::Letters, &[letter('q')], "leave", Some("leave")),
    entry(
        Action::Mouse,
        Context::Letters,
        &[letter('m')],
        "mouse wheel on or off (off: the terminal selects text)",
        Some("mouse"),
    ),
    entry(Action::Quit, Context::Anywhere, &[ctrl('c'), ctrl('q')], "leave", None),
];
