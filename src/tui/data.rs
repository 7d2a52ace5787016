//! What effects answer with: facts about the world, ready for a screen.

use crate::build::plan;
use crate::build::record::{RunRecord, Took};
use crate::build::releases::Releases;
use crate::kernel::report::Amount;
use crate::probe::Answer;
use crate::problem::Problem;
use crate::site::Profile;
use crate::site::certificates::{Bundle, SiteCertificates};
use crate::site::resolve::FlagValues;
use std::path::PathBuf;

/// How an earlier build ended.
#[derive(Debug, Clone, PartialEq)]
pub struct LastRun {
    /// `ok`, `failed`, `cancelled`.
    pub outcome: crate::build::Outcome,
    /// When it ended, in seconds since 1970.
    pub at: i64,
    pub seconds: f64,
}

/// A profile on the start screen.
#[derive(Debug, Clone, PartialEq)]
pub struct SiteEntry {
    pub name: String,
    pub path: PathBuf,
    /// In the project's folder rather than the person's own.
    pub shipped: bool,
    /// Why it cannot be used.
    pub problem: Option<String>,
    pub last: Option<LastRun>,
}

/// Input that was not saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DraftEntry {
    pub name: String,
    pub at: i64,
    /// How many settings it changes.
    pub edits: usize,
    /// What it has besides, in a word each: `imported`, `certificates`.
    pub more: Vec<&'static str>,
}

impl DraftEntry {
    /// `2 settings changed, certificates`.
    pub fn what(&self) -> String {
        let settings = crate::words::count_of(self.edits as u64, "setting");
        let edits = (self.edits > 0).then(|| format!("{settings} changed"));
        edits
            .into_iter()
            .chain(self.more.iter().map(|word| (*word).to_owned()))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// A build that goes on in another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunningEntry {
    pub profile: String,
    pub since: i64,
}

/// Everything on the start screen.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sites {
    pub sites: Vec<SiteEntry>,
    pub drafts: Vec<DraftEntry>,
    pub running: Vec<RunningEntry>,
}

/// A profile that was opened.
#[derive(Debug, Clone)]
pub struct Opened {
    pub name: String,
    pub profile: Profile,
    /// Not in a file yet.
    pub new: bool,
    /// The file that it was made from.
    pub imported: Option<PathBuf>,
    pub warnings: Vec<Problem>,
    /// Input of an earlier session, to go on with.
    pub draft: Option<super::draft::Draft>,
}

/// How the endpoints answered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tested {
    pub answers: Vec<Answer>,
    /// What a person should know of the test itself.
    pub notes: Vec<String>,
}

/// The image's certificates, or what is wrong with them.
pub type Certificates = Result<SiteCertificates, Problem>;

/// Certificates that a person has taken and that are written when the profile is saved or built.
#[derive(Debug, Clone)]
pub struct Pending {
    pub ca: Bundle,
    pub server: Option<Bundle>,
    pub source: Source,
}

/// Where certificates come from.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    Pasted,
    File(PathBuf),
    /// What a server sent.
    Fetched(String),
    Placeholder,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Pasted => f.write_str("pasted"),
            Self::File(file) => write!(f, "{}", file.display()),
            Self::Fetched(server) => f.write_str(server),
            Self::Placeholder => f.write_str("placeholders; their keys are thrown away"),
        }
    }
}

/// A component as the image may have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentEntry {
    pub name: String,
    pub description: String,
    pub role: Option<String>,
    /// What it is made from: packages, an image, a Dockerfile.
    pub source: String,
    /// Whether it can be made here and now.
    pub available: bool,
    /// Why, in a sentence.
    pub state: String,
    /// The name of its container in the image definition: it is in unless that is left out.
    pub container: Option<String>,
    /// Part of the root file system itself, so it cannot be left out.
    pub fixed: bool,
    /// Bytes of its compressed segment, if it was built before.
    pub bytes: Option<u64>,
}

/// A file or folder to pick.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEntry {
    pub name: String,
    pub folder: bool,
}

/// What a build would do.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Planned {
    pub rows: Vec<plan::Row>,
    /// The last run that made an image, to compare with.
    pub last: Option<RunRecord>,
    /// Bytes of all files, by those that are there now.
    pub bytes: Option<u64>,
}

impl Planned {
    /// Seconds that it takes by the last run, where that can be told of everything that is to be done.
    pub fn seconds(&self) -> Option<f64> {
        let took = &self.last.as_ref()?.took;
        let of = |row: &plan::Row| {
            let same = |t: &&Took| t.stage == row.stage && t.item.as_deref() == Some(&row.item) && !t.cached;
            took.iter().find(same).map(|t| t.seconds)
        };
        let todo = self.rows.iter().filter(|row| row.state == plan::State::Todo && row.key.is_some());
        let made: Option<f64> = todo.map(of).sum();
        // What is made each time has no name of its own in a record: its stage has.
        let always = took.iter().filter(|t| t.item.is_none() && t.stage == crate::build::Stage::Package);
        Some(made? + always.map(|t| t.seconds).sum::<f64>())
    }
}

/// A run that has begun.
#[derive(Debug, Clone, PartialEq)]
pub struct Begun {
    pub run: String,
    /// The profile's folder of logs.
    pub logs: PathBuf,
    /// When it began, in seconds since 1970; none if it has ended.
    pub since: Option<i64>,
    /// How long things took before.
    pub took: Vec<Took>,
    /// How its settings differ from the profile, where it is a run of others or of earlier.
    pub flags: FlagValues,
}

/// The kernel that an image gets, and what else it could be.
#[derive(Debug, Clone, PartialEq)]
pub struct Kernels {
    /// What the settings say; they may ask for one that cannot be made.
    pub chosen: Result<ChosenKernel, Problem>,
    /// What this machine has.
    pub here: Releases,
    /// The configurations in kernel/configs, as name and series.
    pub configurations: Vec<(String, String)>,
    pub groups: Vec<GroupEntry>,
}

/// The kernel that an image gets.
#[derive(Debug, Clone, PartialEq)]
pub struct ChosenKernel {
    /// As in `5.10.262-1`.
    pub version: String,
    /// Where it comes from, in words.
    pub place: String,
    /// It is in the store, so it costs no time and needs no network.
    pub stored: bool,
    /// Its name in a registry.
    pub tag: String,
}

/// A group of kernel modules.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupEntry {
    pub name: String,
    pub slug: String,
    /// Known once a kernel with the group was made.
    pub amount: Option<Amount>,
}
