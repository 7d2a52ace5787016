//! What came of a build: its files, what its image is made of, and what can be done with it.

use super::sizes::Sizes;
use super::state::{Artifact, BuildState};
use crate::problem::{Problem, Result};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResultAction {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    /// Does what the row says.
    Activate,
    Boot,
    LogIn,
    /// Puts the site on an image that somebody has published.
    Stamp,
    /// Sends the image and its kernel to a registry.
    Publish,
    CopyCommand,
    /// Looks at the build's rows and logs again.
    Logs,
    /// Back to the list of profiles.
    Close,
}

/// What is to be done outside, or by the screens around this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ResultEffect {
    Boot,
    LogIn,
    Stamp,
    Publish,
    Copy(String),
    Logs,
    Close,
}

/// What can be done with an image, in the order in which it is shown.
pub const NEXT: &[(ResultAction, &str)] = &[
    (ResultAction::Boot, "Boot it in QEMU and watch its console"),
    (ResultAction::LogIn, "Boot it in QEMU and log in, in this terminal"),
    (ResultAction::CopyCommand, "Copy the command that builds it"),
    (ResultAction::Stamp, "Stamp a published image with this site"),
    (ResultAction::Publish, "Publish the image and its kernel in a registry"),
    (ResultAction::Logs, "Look at the build's logs"),
    (ResultAction::Close, "Back to the profiles"),
];

/// A row that can be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultRow {
    Next(usize),
    Artifact(usize),
    Size(usize),
}

#[derive(Debug, Clone)]
pub struct ResultState {
    pub profile: String,
    pub seconds: f64,
    pub artifacts: Vec<Artifact>,
    /// None until manifest.json is read.
    pub sizes: Option<Result<Sizes, Problem>>,
    /// The command that does the same.
    pub command: String,
    pub(super) at: usize,
    pub notice: Option<String>,
}

impl ResultState {
    /// The result of a build that has ended well.
    pub fn of(build: &BuildState, command: &str) -> Self {
        Self {
            profile: build.profile.clone(),
            seconds: build.elapsed(),
            artifacts: build.artifacts.clone(),
            sizes: None,
            command: command.to_owned(),
            at: 0,
            notice: None,
        }
    }

    /// Every row that can be chosen, in order.
    pub fn rows(&self) -> Vec<ResultRow> {
        let sizes = match &self.sizes {
            Some(Ok(sizes)) => sizes.rows.len(),
            _ => 0,
        };
        let next = (0..NEXT.len()).map(ResultRow::Next);
        next.chain((0..self.artifacts.len()).map(ResultRow::Artifact))
            .chain((0..sizes).map(ResultRow::Size))
            .collect()
    }

    pub fn focus(&self) -> Option<ResultRow> {
        let rows = self.rows();
        rows.get(self.at.min(rows.len().saturating_sub(1))).copied()
    }

    pub fn handle(&mut self, action: ResultAction) -> Option<ResultEffect> {
        use ResultAction as A;
        self.notice = None;
        match action {
            A::Up => self.step(-1),
            A::Down => self.step(1),
            A::PageUp => self.step(-8),
            A::PageDown => self.step(8),
            A::First => self.step(isize::MIN),
            A::Last => self.step(isize::MAX),
            A::Activate => return self.activate(),
            A::Boot => return Some(ResultEffect::Boot),
            A::LogIn => return Some(ResultEffect::LogIn),
            A::Stamp => return Some(ResultEffect::Stamp),
            A::Publish => return Some(ResultEffect::Publish),
            A::CopyCommand => return Some(ResultEffect::Copy(self.command.clone())),
            A::Logs => return Some(ResultEffect::Logs),
            A::Close => return Some(ResultEffect::Close),
        }
        None
    }

    fn step(&mut self, by: isize) {
        let last = self.rows().len().saturating_sub(1);
        self.at = self.at.min(last).saturating_add_signed(by).min(last);
    }

    fn activate(&mut self) -> Option<ResultEffect> {
        match self.focus()? {
            ResultRow::Next(at) => NEXT.get(at).and_then(|(action, _)| self.handle(*action)),
            ResultRow::Artifact(at) => {
                let artifact = self.artifacts.get(at)?;
                self.notice = Some("Digest and path are copied.".to_owned());
                // As `sha256sum --check` reads it.
                Some(ResultEffect::Copy(format!("{}  {}", artifact.sha256.hex(), artifact.path.display())))
            }
            ResultRow::Size(_) => None,
        }
    }
}
