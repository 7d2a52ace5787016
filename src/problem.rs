//! Errors as a person sees them: what is wrong, where, and what to do about it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::{Path, PathBuf};

/// How the program ends (documented in `hookos --help`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exit {
    /// A stage failed.
    #[default]
    Failed = 1,
    /// Wrong usage or missing input.
    Usage = 2,
    /// The kernel image is neither local nor in the release service.
    NoKernel = 7,
    /// Cancelled by Ctrl-C.
    Interrupted = 130,
    /// Cancelled by SIGTERM.
    Terminated = 143,
}

/// A place in a file; line and column count from 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub file: PathBuf,
    pub line: Option<usize>,
    pub column: Option<usize>,
}

/// One problem, ready to be shown. A thin pointer, so that results stay small.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem(Box<Parts>);

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Parts {
    what: String,
    place: Option<Place>,
    causes: Vec<String>,
    remedy: Option<String>,
    exit: Exit,
}

/// The result of everything above the mechanism floor.
pub type Result<T, E = Problem> = std::result::Result<T, E>;

impl Problem {
    /// A problem that ends with exit code 1.
    pub fn new(what: impl Into<String>) -> Self {
        Self(Box::new(Parts { what: what.into(), ..Parts::default() }))
    }

    /// A problem with what the person gave: exit code 2.
    pub fn usage(what: impl Into<String>) -> Self {
        Self::new(what).exit_with(Exit::Usage)
    }

    /// Work was asked to stop, and has. Which signal asked, and so the exit code, the command line knows.
    pub fn cancelled() -> Self {
        Self::new("cancelled").exit_with(Exit::Interrupted)
    }

    /// Names the file that the problem is in.
    #[must_use]
    pub fn in_file(mut self, file: impl AsRef<Path>) -> Self {
        let (line, column) = self.0.place.as_ref().map_or((None, None), |p| (p.line, p.column));
        self.0.place = Some(Place { file: file.as_ref().to_owned(), line, column });
        self
    }

    /// Names the file and line (from 1) that the problem is at.
    #[must_use]
    pub fn at(mut self, file: impl AsRef<Path>, line: usize, column: Option<usize>) -> Self {
        self.0.place = Some(Place { file: file.as_ref().to_owned(), line: Some(line), column });
        self
    }

    /// Adds an error and all its sources as causes.
    #[must_use]
    pub fn because(mut self, error: impl std::error::Error) -> Self {
        let mut next: Option<&dyn std::error::Error> = Some(&error);
        while let Some(error) = next {
            let text = error.to_string();
            // Many error types repeat their source in their own text.
            if !self.0.causes.last().is_some_and(|last| last.contains(&text)) {
                self.0.causes.push(text);
            }
            next = error.source();
        }
        self
    }

    /// Says what is accepted or what to do next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Puts words about what was being done in front; who cancelled knows what was being done.
    #[must_use]
    pub fn while_doing(mut self, what: impl Into<String>) -> Self {
        if self.is_cancelled() {
            return self;
        }
        let inner = std::mem::replace(&mut self.0.what, what.into());
        self.0.causes.insert(0, inner);
        self
    }

    /// Sets the exit code.
    #[must_use]
    pub fn exit_with(mut self, exit: Exit) -> Self {
        self.0.exit = exit;
        self
    }

    pub fn what(&self) -> &str {
        &self.0.what
    }
    pub fn place(&self) -> Option<&Place> {
        self.0.place.as_ref()
    }
    pub fn causes(&self) -> &[String] {
        &self.0.causes
    }
    pub fn remedy_text(&self) -> Option<&str> {
        self.0.remedy.as_deref()
    }
    pub fn exit(&self) -> Exit {
        self.0.exit
    }
    pub fn is_cancelled(&self) -> bool {
        matches!(self.0.exit, Exit::Interrupted | Exit::Terminated)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        Ok(())
    }
}

/// `FILE:LINE:COLUMN: what`, then one line for each cause, then the remedy.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.0.place {
            write!(f, "{place}: ")?;
        }
        write!(f, "{}", self.0.what)?;
        for cause in &self.0.causes {
            write!(f, "\n  because: {}", cause.trim_end().replace('\n', "\n    "))?;
        }
        if let Some(remedy) = &self.0.remedy {
            write!(f, "\n  try: {}", remedy.replace('\n', "\n       "))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problem {}
