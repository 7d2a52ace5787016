//! What lies over a screen and takes all keys: menu, questions, a line to type, files, a text to paste.

use super::build::LeaveChoice;
use super::check::Check;
use super::data::FileEntry;
use super::keys::{self, Action, Context, Entry};
use super::line::Line;
use super::model::Model;
use super::step::Step;
use crate::problem::Problem;
use crate::site::Id;
use ratatui_textarea::TextArea;
use std::path::PathBuf;

#[derive(Debug)]
pub enum Overlay {
    Menu(Menu),
    /// The steps, to go to one.
    Steps(usize),
    Ask(Ask),
    Prompt(Prompt),
    Files(Files),
    Paste(Box<Paste>),
    Text(Text),
}

impl Overlay {
    /// The contexts that decide what a key does here; what is no action is typed.
    pub fn contexts(&self) -> &'static [Context] {
        match self {
            Self::Menu(_) | Self::Ask(_) | Self::Text(_) => &[Context::Over, Context::List],
            Self::Steps(_) => &[Context::Over, Context::List, Context::Steps],
            Self::Files(_) => &[Context::Over, Context::List, Context::Files],
            Self::Prompt(_) => &[Context::Over, Context::Line],
            Self::Paste(_) => &[Context::Over, Context::Paste],
        }
    }
}

/// The actions that are valid now, to search and to run; help and menu in one.
#[derive(Debug, Default)]
pub struct Menu {
    pub query: Line,
    pub at: usize,
}

impl Menu {
    /// The actions that match, those of the screen first.
    pub fn entries(&self, model: &Model) -> Vec<&'static Entry> {
        let contexts = model.contexts();
        let query = self.query.text().to_lowercase();
        let matches = |entry: &&Entry| {
            let name = |key: &keys::Key| key.name().to_lowercase().contains(&query);
            entry.about.to_lowercase().contains(&query) || entry.keys.iter().any(name)
        };
        // A menu is not asked for from within itself, and moving is what the arrows do anyway.
        let useful = |entry: &&Entry| {
            !matches!(entry.action, Action::Menu | Action::Up | Action::Down) && model.allows(entry.action)
        };
        let mut found: Vec<&'static Entry> = Vec::new();
        for entry in keys::offered(&contexts).filter(useful).filter(matches) {
            if !found.iter().any(|other| other.action == entry.action) {
                found.push(entry);
            }
        }
        found
    }
}

/// A question with a few answers. The first answer is the one that Enter gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    pub title: String,
    pub text: Vec<String>,
    /// The first line of the text that is in sight.
    pub from: usize,
    pub choices: Vec<(String, Choice)>,
    pub at: usize,
}

impl Ask {
    pub fn new(title: impl Into<String>, text: Vec<String>, choices: Vec<(&str, Choice)>) -> Self {
        let choices = choices.into_iter().map(|(label, choice)| (label.to_owned(), choice)).collect();
        Self { title: title.into(), text, from: 0, choices, at: 0 }
    }
}

/// What an answer does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Nothing.
    Stay,
    Delete(String),
    ResumeDraft(String),
    CompareDraft(String),
    DiscardDraft(String),
    /// Throw the draft away and open the profile as it was saved.
    OpenSaved(String),
    /// Write what is pending, save, build.
    SaveAndBuild,
    /// Build without saving.
    BuildOnly,
    /// Trust the chain that was fetched.
    TakeChain,
    Placeholder,
    /// Leave while a build runs, in one of three ways.
    LeaveBuild(LeaveChoice),
    /// Leave, and end the machine that runs.
    EndMachine,
}

/// What a typed line is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    NewSite,
    SaveAs,
    Duplicate(String),
    Rename(String),
    /// The name of the site that a `config` file becomes.
    ImportAs(PathBuf),
}

/// A line to type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Prompt {
    pub title: String,
    pub label: String,
    pub help: String,
    pub line: Line,
    pub purpose: Purpose,
    pub error: Option<String>,
}

/// What a picked file is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Picking {
    Field(Id),
    Config,
    Certificates,
    /// A published image, to put the site of the result on.
    Image,
}

/// A folder to pick a file from.
#[derive(Debug, Clone)]
pub struct Files {
    pub picking: Picking,
    pub folder: PathBuf,
    pub entries: Check<Result<Vec<FileEntry>, Problem>>,
    /// A path can be typed too; what is typed chooses among the entries.
    pub line: Line,
    pub at: usize,
}

impl Files {
    /// The entries that begin with what is typed.
    pub fn shown(&self) -> Vec<&FileEntry> {
        let typed = self.line.text();
        match self.entries.value() {
            Some(Ok(entries)) => entries.iter().filter(|e| e.name.starts_with(typed)).collect(),
            _ => Vec::new(),
        }
    }
}

/// A text to paste: certificates.
#[derive(Debug)]
pub struct Paste {
    pub area: TextArea<'static>,
    pub error: Option<Problem>,
}

/// A text to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    pub title: String,
    pub lines: Vec<String>,
    pub from: usize,
}

/// Where the steps menu begins.
pub fn steps(at: Step) -> Overlay {
    Overlay::Steps(at as usize)
}
