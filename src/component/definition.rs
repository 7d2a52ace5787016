//! `component.toml`: what a component is made of and how it runs.

use super::own::Own;
use super::values::{AccountName, ArgumentName, Glob, ImagePath, LinkTarget, Mode, PasswdField};
use crate::docker;
use crate::problem::{Problem, Result};
use crate::store::Digest;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The file that makes a folder a component.
pub const FILE: &str = "component.toml";
/// The label that says how an image runs (LinuxKit, docs/yaml.md "Image specification").
pub const LABEL: &str = "org.mobyproject.config";

/// One component.
#[derive(Debug, Clone)]
pub struct Definition {
    /// The name of its folder.
    pub name: String,
    pub folder: PathBuf,
    pub description: String,
    /// Components of one role stand in for each other.
    pub role: Option<String>,
    pub source: Source,
    pub stage: Option<Stage>,
    /// The image's label: JSON text of `[run]` without `stage`.
    pub label: Option<String>,
    /// The bytes of `component.toml`.
    pub(super) text: String,
}

impl Definition {
    /// The files that say what it is, with their digests.
    pub fn own_files(&self) -> BTreeMap<String, String> {
        let digest = |name: &&str| {
            let bytes = std::fs::read(self.folder.join(name)).ok()?;
            Some(((*name).to_owned(), Digest::of(&bytes).hex()))
        };
        ["component.toml", "packages.lock", "Dockerfile"].iter().filter_map(digest).collect()
    }

    /// The programs that are run to make it.
    pub fn commands(&self) -> Vec<String> {
        match &self.source {
            Source::Recipe(recipe) => {
                let packages = &recipe.packages;
                let apt = (!packages.is_empty()).then(|| format!("apt-get, for {}", packages.join(" ")));
                let cargo = (!recipe.binaries.is_empty()).then(|| "cargo build --release".to_owned());
                apt.into_iter().chain(cargo).collect()
            }
            Source::Image(pulled) => vec![format!("hookos images pull {}", pulled.reference)],
            Source::Dockerfile(_) => vec![format!("docker build {}", self.folder.display())],
        }
    }
}

/// What a component is made of.
#[derive(Debug, Clone)]
pub enum Source {
    Recipe(Box<Recipe>),
    Image(Box<Pulled>),
    Dockerfile(Dockerfile),
}

/// A `Dockerfile` in the component's folder.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    pub path: PathBuf,
    /// What its `ARG`s are.
    pub arguments: BTreeMap<String, String>,
}

/// An image of a registry, and what is put on top of it.
#[derive(Debug, Clone)]
pub struct Pulled {
    pub reference: String,
    additions: Additions,
}

impl Pulled {
    pub(super) fn own(&self) -> Own<'_> {
        let Additions { directories, files, binaries, links } = &self.additions;
        Own { directories, files, binaries, links }
    }
}

/// When a component runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Part of the root file system itself.
    Init,
    Onboot,
    Onshutdown,
    Service,
}

/// A component made of Debian packages, files and our own programs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    #[serde(default = "default_suite")]
    pub suite: Spanned<String>,
    #[serde(default)]
    pub packages: Vec<String>,
    #[serde(default)]
    pub leave_out: Vec<String>,
    #[serde(default)]
    pub drop: Vec<Glob>,
    #[serde(default)]
    pub keep: Vec<Glob>,
    #[serde(default)]
    pub ca_bundle: bool,
    /// Libraries that an ELF file may ask for and not find.
    #[serde(default)]
    pub optional_libraries: Vec<String>,
    #[serde(default)]
    pub groups: Vec<Group>,
    #[serde(default)]
    pub users: Vec<User>,
    #[serde(default)]
    pub files: Vec<FileEntry>,
    #[serde(default)]
    pub directories: Vec<DirectoryEntry>,
    #[serde(default)]
    pub links: Vec<LinkEntry>,
    #[serde(default)]
    pub binaries: Vec<BinaryEntry>,
}

impl Recipe {
    pub(super) fn own(&self) -> Own<'_> {
        let Self { directories, files, binaries, links, .. } = self;
        Own { directories, files, binaries, links }
    }
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    pub name: Spanned<AccountName>,
    pub gid: u32,
    #[serde(default)]
    pub members: Vec<AccountName>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    pub name: Spanned<AccountName>,
    pub uid: u32,
    pub gid: u32,
    #[serde(default = "no_home")]
    pub home: PasswdField,
    #[serde(default = "no_shell")]
    pub shell: PasswdField,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileEntry {
    pub path: Spanned<ImagePath>,
    /// A file in the component's folder.
    pub source: Option<Spanned<String>>,
    pub contents: Option<String>,
    /// Without it: 0755 when the source file is executable, else 0644.
    pub mode: Option<Mode>,
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectoryEntry {
    pub path: Spanned<ImagePath>,
    #[serde(default = "folder_mode")]
    pub mode: Mode,
    #[serde(default)]
    pub uid: u32,
    #[serde(default)]
    pub gid: u32,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkEntry {
    pub path: Spanned<ImagePath>,
    pub target: LinkTarget,
}

/// One of our own programs, built static from the Cargo workspace.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BinaryEntry {
    /// Cargo package.
    pub package: String,
    /// Binary target of that package.
    pub binary: String,
    pub path: Spanned<ImagePath>,
    #[serde(default = "program_mode")]
    pub mode: Mode,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    description: Spanned<String>,
    role: Option<String>,
    recipe: Option<Spanned<Recipe>>,
    image: Option<Spanned<String>>,
    run: Option<Spanned<toml::Table>>,
    // Beside a Dockerfile.
    build: Option<Spanned<Build>>,
    // Beside `image`; a recipe has its own.
    #[serde(default)]
    files: Vec<FileEntry>,
    #[serde(default)]
    directories: Vec<DirectoryEntry>,
    #[serde(default)]
    links: Vec<LinkEntry>,
    #[serde(default)]
    binaries: Vec<BinaryEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Build {
    #[serde(default)]
    args: BTreeMap<Spanned<ArgumentName>, String>,
}

/// What is put on top of an image of a registry.
#[derive(Debug, Clone)]
struct Additions {
    directories: Vec<DirectoryEntry>,
    files: Vec<FileEntry>,
    binaries: Vec<BinaryEntry>,
    links: Vec<LinkEntry>,
}

impl Additions {
    /// Where the first of them stands.
    fn first(&self) -> Option<Range<usize>> {
        let paths = (self.directories.iter().map(|e| &e.path))
            .chain(self.files.iter().map(|e| &e.path))
            .chain(self.binaries.iter().map(|e| &e.path))
            .chain(self.links.iter().map(|e| &e.path));
        paths.map(Spanned::span).min_by_key(|span| span.start)
    }
}

#[derive(Deserialize)]
struct OnlyStage {
    #[serde(default)]
    run: RunStage,
}

#[derive(Default, Deserialize)]
struct RunStage {
    stage: Option<Stage>,
}

fn default_suite() -> Spanned<String> {
    Spanned::new(0..0, "trixie".to_owned())
}
fn no_home() -> PasswdField {
    PasswdField("/nonexistent".to_owned())
}
fn no_shell() -> PasswdField {
    PasswdField("/usr/sbin/nologin".to_owned())
}
fn folder_mode() -> Mode {
    Mode(0o755)
}
fn program_mode() -> Mode {
    Mode(0o755)
}

/// Reads the component in `folder`.
pub fn load(folder: &Path) -> Result<Definition> {
    let path = folder.join(FILE);
    let text = fs::read_to_string(&path).map_err(|e| {
        let problem = Problem::usage("the component's definition cannot be read").in_file(&path);
        problem.because(e).remedy("docs/components.md says what the file holds")
    })?;
    let name = folder.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    parse(&name, folder, &text)
}

/// Reads every component below `components`, sorted by name. Folders without a `component.toml` are
/// passed over.
pub fn load_all(components: &Path) -> Result<Vec<Definition>> {
    let bad = |e: io::Error| {
        Problem::usage("the folder of components cannot be read").in_file(components).because(e)
    };
    let mut folders = Vec::new();
    for entry in fs::read_dir(components).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        if path.join(FILE).is_file() {
            folders.push(path);
        }
    }
    folders.sort();
    folders.iter().map(|folder| load(folder)).collect()
}

/// Turns byte offsets of a text into problems with line and column.
pub(super) struct Places<'a> {
    path: PathBuf,
    text: &'a str,
}

impl Places<'_> {
    pub(super) fn problem(&self, span: Range<usize>, what: impl Into<String>) -> Problem {
        let before = &self.text.as_bytes()[..span.start.min(self.text.len())];
        let line = before.iter().filter(|b| **b == b'\n').count() + 1;
        let start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
        let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
        Problem::usage(what).at(&self.path, line, Some(column))
    }

    fn toml(&self, error: &toml::de::Error) -> Problem {
        self.problem(error.span().unwrap_or(0..0), error.message())
    }
}

fn parse(name: &str, folder: &Path, text: &str) -> Result<Definition> {
    let places = Places { path: folder.join(FILE), text };
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if !name.bytes().all(fine) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Err(Problem::usage(format!("{name:?} is not a component name"))
            .in_file(folder)
            .remedy("name the folder with a-z, 0-9 and `-`"));
    }
    let file: File = toml::from_str(text).map_err(|e| places.toml(&e))?;
    if file.description.get_ref().trim().is_empty() {
        return Err(places.problem(file.description.span(), "the description is empty"));
    }
    let dockerfile = folder.join("Dockerfile");
    let File { directories, files, binaries, links, .. } = file;
    let additions = Additions { directories, files, binaries, links };
    if file.image.is_none()
        && let Some(span) = additions.first()
    {
        let what = "`[[files]]`, `[[directories]]`, `[[binaries]]` and `[[links]]` go on top of an `image`";
        return Err(places.problem(span, what).remedy("in a recipe they are `[[recipe.files]]` and so on"));
    }
    if let Some(build) = &file.build
        && (file.recipe.is_some() || file.image.is_some())
    {
        return Err(places
            .problem(build.span(), "`[build]` is for a component with a Dockerfile")
            .remedy("remove it, or the component's other source"));
    }
    let source = match (file.recipe, file.image) {
        (Some(_), Some(image)) => {
            return Err(places
                .problem(image.span(), "a component has one source, here are `image` and `[recipe]`")
                .remedy("remove one of them"));
        }
        (Some(recipe), None) => {
            check_recipe(&places, folder, recipe.get_ref())?;
            Source::Recipe(Box::new(recipe.into_inner()))
        }
        (None, Some(image)) => {
            if image.get_ref().trim().is_empty() || image.get_ref().contains(char::is_whitespace) {
                return Err(places.problem(image.span(), "this is not an image reference"));
            }
            let pulled = Pulled { reference: image.into_inner(), additions };
            pulled.own().check(&places, folder)?;
            Source::Image(Box::new(pulled))
        }
        (None, None) if dockerfile.is_file() => {
            let args = file.build.map(|build| build.into_inner().args).unwrap_or_default();
            Source::Dockerfile(Dockerfile {
                arguments: arguments(&places, &dockerfile, args)?,
                path: dockerfile,
            })
        }
        (None, None) => {
            return Err(Problem::usage("the component has no source").in_file(&places.path).remedy(
                "add a `[recipe]` table, an `image = \"...\"` line, or a Dockerfile beside this file",
            ));
        }
    };
    let (stage, label) = run(&places, file.run)?;
    Ok(Definition {
        name: name.to_owned(),
        folder: folder.to_owned(),
        description: file.description.into_inner(),
        role: file.role,
        source,
        stage,
        label,
        text: text.to_owned(),
    })
}

/// The build's arguments, each one that the Dockerfile declares: of others it would say nothing.
fn arguments(
    places: &Places<'_>,
    dockerfile: &Path,
    args: BTreeMap<Spanned<ArgumentName>, String>,
) -> Result<BTreeMap<String, String>> {
    let bad = |e: io::Error| Problem::usage("the Dockerfile cannot be read").in_file(dockerfile).because(e);
    let declared = match args.is_empty() {
        true => return Ok(BTreeMap::new()),
        false => docker::arguments_of(&fs::read_to_string(dockerfile).map_err(bad)?),
    };
    for name in args.keys() {
        let ArgumentName(text) = name.get_ref();
        // BuildKit's own switches are no arguments of the Dockerfile.
        if !declared.contains(text) && !text.starts_with("BUILDKIT_") {
            let all: Vec<&str> = declared.iter().map(String::as_str).collect();
            let has = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
            return Err(places
                .problem(name.span(), format!("the Dockerfile has no `ARG {text}`"))
                .remedy(format!("it has: {has}")));
        }
    }
    Ok(args.into_iter().map(|(name, value)| (name.into_inner().0, value)).collect())
}

fn run(places: &Places<'_>, run: Option<Spanned<toml::Table>>) -> Result<(Option<Stage>, Option<String>)> {
    let Some(run) = run else { return Ok((None, None)) };
    let span = run.span();
    let mut table = run.into_inner();
    // Read a second time, because a table that takes any key forgets where its values stood.
    let OnlyStage { run: RunStage { stage } } = toml::from_str(places.text).map_err(|e| places.toml(&e))?;
    table.remove("stage");
    if table.is_empty() {
        return Ok((stage, None));
    }
    let value = json(toml::Value::Table(table))
        .ok_or_else(|| places.problem(span.clone(), "dates and infinite numbers have no place in [run]"))?;
    Ok((stage, Some(value.to_string())))
}

/// Tables of the toml crate are sorted, so the same settings give the same text.
fn json(value: toml::Value) -> Option<serde_json::Value> {
    Some(match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => serde_json::Number::from_f64(number)?.into(),
        toml::Value::Boolean(flag) => flag.into(),
        toml::Value::Datetime(_) => return None,
        toml::Value::Array(items) => items.into_iter().map(json).collect::<Option<Vec<_>>>()?.into(),
        toml::Value::Table(table) => {
            let members = table.into_iter().map(|(k, v)| Some((k, json(v)?)));
            serde_json::Value::Object(members.collect::<Option<_>>()?)
        }
    })
}

fn check_recipe(places: &Places<'_>, folder: &Path, recipe: &Recipe) -> Result<()> {
    recipe.own().check(places, folder)?;
    // root, nobody and nogroup are always there; stating one with its number changes its other fields.
    let mut names = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    for group in &recipe.groups {
        check_account(places, &group.name, group.gid, "nogroup", &mut names, &mut numbers)?;
    }
    let mut names = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    for user in &recipe.users {
        check_account(places, &user.name, user.uid, "nobody", &mut names, &mut numbers)?;
    }
    Ok(())
}

fn check_account<'a>(
    places: &Places<'_>,
    name: &'a Spanned<AccountName>,
    number: u32,
    nobody: &str,
    names: &mut BTreeMap<&'a str, u32>,
    numbers: &mut BTreeMap<u32, &'a str>,
) -> Result<()> {
    let text = name.get_ref().0.as_str();
    for (own, fixed) in [("root", 0), (nobody, 65534)] {
        if (text == own) != (number == fixed) {
            let what = format!("{own} has the number {fixed}, and {text} has {number}");
            return Err(places.problem(name.span(), what));
        }
    }
    if names.insert(text, number).is_some() {
        return Err(places.problem(name.span(), format!("{text} is there already")));
    }
    if let Some(other) = numbers.insert(number, text) {
        return Err(places.problem(name.span(), format!("{text} has the number {number} of {other}")));
    }
    Ok(())
}

#[cfg(test)]
#[path = "definition_tests.rs"]
mod tests;
