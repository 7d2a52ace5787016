//! What comes in and what goes out: the only ways between the pure part and the world.

use super::build::Sizes;
use super::data::{
    Begun, Certificates, ComponentEntry, FileEntry, Kernels, Opened, Pending, Planned, Sites, Tested,
};
use super::draft::Draft;
use crate::build::releases::Releases;
use crate::build::{Event, plan};
use crate::problem::{Problem, Result};
use crate::site::certificates::Bundle;
use crate::site::resolve::FlagValues;
use crate::site::{Field, Id, Profile, ResolvedSite};
use ratatui::crossterm::event::KeyEvent;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Something has happened.
#[derive(Debug)]
pub enum Msg {
    /// It is this long since the program began. Nothing else tells the time.
    Tick(Duration),
    Key(KeyEvent),
    Paste(String),
    Resize(u16, u16),
    Wheel {
        up: bool,
    },
    /// A signal asks the program to end with this exit code.
    Signal(u8),
    /// The program was suspended and goes on.
    Resumed,
    Sites(u64, Result<Sites>),
    Opened(Result<Box<Opened>>),
    Saved(Result<Box<Saved>>),
    /// Unsaved input is kept nowhere.
    NotKept(Problem),
    /// Something is done that changes the start screen; says what.
    Done(Result<String>),
    Probed(u64, Result<Tested>),
    Certificates(u64, Box<Certificates>),
    Decoded(Result<Box<Pending>>),
    Fetched(u64, Result<Box<Pending>>),
    Folder(u64, Result<Vec<FileEntry>>),
    Components(u64, Result<Vec<ComponentEntry>>),
    Kernels(u64, Result<Box<Kernels>>),
    /// What places that must be asked have for the kernel.
    KernelsElsewhere(u64, Result<Releases>),
    Planned(u64, Result<Box<Planned>>),
    Compared(Result<Vec<String>>),
    /// A run has begun, or is found; or there is none.
    Begun(u64, Result<Box<Begun>>),
    /// What a run tells, each with the time since it began.
    Events(u64, Vec<(Duration, Event)>),
    Sizes(u64, Result<Box<Sizes>>),
    /// What another attempt of a run that failed would do.
    Replanned(u64, Result<Vec<plan::Row>>),
    /// Lines of a machine's console.
    Console(u64, Vec<Vec<u8>>),
    /// A machine has ended, with this exit code of its check.
    MachineEnded(u64, i32),
    /// Something small is done; says what.
    Told(Result<String>),
}

/// A profile was written.
#[derive(Debug)]
pub struct Saved {
    pub name: String,
    pub profile: Profile,
    /// What was written, for people.
    pub wrote: Vec<String>,
    pub warnings: Vec<Problem>,
    /// A build was wanted after it.
    pub build: bool,
}

/// Something is to be done outside. Numbers name runs of a [`super::check::Check`].
#[derive(Debug)]
pub enum Effect {
    ListSites(u64),
    Open(String),
    New(String),
    ResumeDraft(String),
    CompareDraft(String),
    DiscardDraft(String),
    KeepDraft(Box<Draft>),
    Import {
        file: PathBuf,
        name: String,
    },
    Save(Box<Save>),
    Duplicate {
        from: String,
        to: String,
    },
    Rename {
        from: String,
        to: String,
    },
    Delete(String),
    Probe {
        run: u64,
        site: Box<ResolvedSite>,
        ids: Vec<Id>,
        /// Authorities that are not saved yet, in place of the profile's.
        ca: Option<Bundle>,
    },
    ReadCertificates {
        run: u64,
        site: Box<ResolvedSite>,
    },
    /// Reads pasted text or a file as certificates.
    Decode(Vec<u8>),
    DecodeFile(PathBuf),
    MakePlaceholder {
        site: Box<ResolvedSite>,
    },
    FetchChain {
        run: u64,
        site: Box<ResolvedSite>,
    },
    ListFolder {
        run: u64,
        folder: PathBuf,
    },
    ListComponents {
        run: u64,
        site: Box<ResolvedSite>,
    },
    AskForKernels {
        run: u64,
        site: Box<ResolvedSite>,
    },
    ListKernels {
        run: u64,
        site: Box<ResolvedSite>,
    },
    Plan {
        run: u64,
        site: Box<ResolvedSite>,
    },
    /// Starts a build and follows it.
    Build {
        watch: u64,
        build: Box<Build>,
    },
    /// Follows the run that goes on.
    Join {
        watch: u64,
        profile: String,
    },
    /// Shows the last run that has ended.
    Replay {
        watch: u64,
        profile: String,
    },
    CancelRun(String),
    /// Asks what another attempt would do.
    Replan {
        watch: u64,
        build: Box<Build>,
    },
    ReadSizes {
        watch: u64,
        profile: String,
        run: String,
    },
    /// Shows a file in a pager, which has the terminal meanwhile.
    Pager(PathBuf),
    /// Runs a command of this program, whose output is shown; the file gets all of it.
    Try {
        trial: u64,
        words: Vec<OsString>,
        file: PathBuf,
    },
    StopMachine,
    /// Boots the image of a profile; its console has the terminal meanwhile.
    Boot(String),
    /// Publishes a profile's image, in this terminal.
    Publish(String),
    /// Writes a text to a new file.
    Write {
        file: PathBuf,
        text: String,
    },
    Copy(String),
    Mouse(bool),
    Repaint,
    Suspend,
}

impl Effect {
    /// Whether the wizard stands still meanwhile: another program has the terminal, or nobody has.
    pub fn lends(&self) -> bool {
        matches!(self, Self::Pager(_) | Self::Boot(_) | Self::Publish(_) | Self::Suspend)
    }
}

/// What is to be saved.
#[derive(Debug)]
pub struct Save {
    /// Under which name; a new one makes a new file in the project's folder.
    pub name: String,
    pub profile: Profile,
    pub site: ResolvedSite,
    /// Fields whose default is restored.
    pub unset: Vec<Id>,
    pub certificates: Option<Pending>,
    /// Go on to build.
    pub build: bool,
}

/// What is to be built: a profile and what a person has changed of it.
#[derive(Debug, Clone, Default)]
pub struct Build {
    pub profile: String,
    /// What differs from the profile.
    pub flags: FlagValues,
}

impl Build {
    /// A profile as it is.
    pub fn of(profile: &str) -> Self {
        Self { profile: profile.to_owned(), flags: FlagValues::new() }
    }

    /// The field whose secret is not known any more: records of runs mask it.
    pub fn lost(&self) -> Option<&'static Field> {
        let masked = |(id, text): &(&Id, &String)| {
            let kind = id.field().kind;
            kind.is_secret(text) && kind.masked(text) == **text
        };
        self.flags.iter().find(masked).map(|(id, _)| id.field())
    }
}
