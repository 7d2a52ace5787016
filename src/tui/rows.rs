//! The rows of each screen, as data. What a row looks like is the views' business.
//!
//! Screens are lists of rows over the table of fields: a new field is a new row without a word here.

use super::form::capital;
use super::keys::Action;
use super::model::{Model, Screen, Site};
use super::step::Step;
use super::theme::Role;
use crate::build::plan::State as Work;
use crate::build::record::RunRecord;
use crate::kernel::series::Series;
use crate::site::{FIELDS, Field, Id, Section};
use crate::words::{about, ago, count_of};

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    Heading(String),
    /// Work that goes on.
    Busy(String),
    /// Text that nothing can be done with.
    Note(Role, String),
    /// A word and a text about it.
    Pair(Role, String, String),
    Field(Id),
    /// Does something, as its key does.
    Do(Action, String),
    /// A profile on the start screen.
    Site(String),
    /// Input that was not saved.
    Draft(String),
    /// A build that goes on.
    Running(String),
    Component(String),
    /// A group of kernel modules, by its slug.
    Group(String),
    /// How an endpoint answered, by its place in the test.
    Probe(usize),
    /// A certificate of the image, by its place: authorities first, then the server's.
    Certificate(usize),
    /// A value on the review screen.
    Value(Id),
}

impl Row {
    /// Whether the focus can stand on it.
    pub fn can_focus(&self) -> bool {
        !matches!(self, Self::Heading(_) | Self::Busy(_) | Self::Note(..) | Self::Pair(..))
    }
}

/// The rows of the screen of now.
pub fn rows(model: &Model) -> Vec<Row> {
    match (model.screen, &model.site) {
        (Screen::Start, _) => start(model),
        (Screen::Site, Some(site)) => step(model, site),
        _ => Vec::new(),
    }
}

fn heading(text: impl Into<String>) -> Row {
    Row::Heading(text.into())
}

fn note(text: impl Into<String>) -> Row {
    Row::Note(Role::Muted, text.into())
}

fn looking() -> Row {
    Row::Busy("Looking".to_owned())
}

fn start(model: &Model) -> Vec<Row> {
    let mut rows = Vec::new();
    if let Some(Ok(sites)) = model.start.value() {
        if !sites.running.is_empty() {
            rows.push(heading("Builds that go on"));
            rows.extend(sites.running.iter().map(|run| Row::Running(run.profile.clone())));
        }
        if !sites.drafts.is_empty() {
            rows.push(heading("Not saved"));
            rows.extend(sites.drafts.iter().map(|draft| Row::Draft(draft.name.clone())));
        }
        rows.push(heading("Profiles"));
        rows.extend(sites.sites.iter().map(|site| Row::Site(site.name.clone())));
        if sites.sites.is_empty() {
            rows.push(note("There is none yet."));
        }
    }
    rows.push(heading("Begin"));
    rows.push(Row::Do(Action::NewSite, "New site".to_owned()));
    rows.push(Row::Do(Action::NewFromExample, "New site from the example".to_owned()));
    rows.push(Row::Do(Action::ImportConfig, "Import a config file".to_owned()));
    rows
}

/// The fields of a section.
fn fields(section: Section) -> impl Iterator<Item = &'static Field> {
    FIELDS.iter().filter(move |f| f.section == section)
}

/// The fields of a step; a step with several sections names them.
fn forms(step: Step) -> Vec<Row> {
    let sections: Vec<Section> = step.sections().collect();
    let mut rows = Vec::new();
    for section in &sections {
        if sections.len() > 1 {
            rows.push(heading(capital(section.about())));
        }
        rows.extend(fields(*section).map(|f| Row::Field(f.id)));
    }
    rows
}

fn step(model: &Model, site: &Site) -> Vec<Row> {
    let mut rows = Vec::new();
    match site.step {
        Step::Endpoints => {
            rows.extend(forms(site.step));
            rows.push(heading("Connection"));
            rows.push(Row::Do(Action::TestConnection, "Test the connection".to_owned()));
            rows.extend(connection(model, site));
        }
        Step::Certificates => {
            rows.push(heading("What the image trusts"));
            rows.extend(certificates(site));
            rows.push(heading("Take others"));
            rows.push(Row::Do(Action::PasteCertificate, "Paste certificates".to_owned()));
            rows.push(Row::Do(Action::TakeCertificate, "Take them from a file".to_owned()));
            rows.push(Row::Do(Action::FetchChain, "Fetch the chain from the orchestrator".to_owned()));
            if site.fetched.busy(model.now) {
                rows.push(Row::Busy("Fetching the chain; Esc cancels".to_owned()));
            }
            rows.push(Row::Do(Action::Placeholder, "Make placeholders, for a trial".to_owned()));
            rows.push(heading("Settings"));
            rows.extend(forms(site.step));
        }
        Step::Components => {
            rows.push(heading("Components"));
            match site.components.value() {
                Some(Ok(entries)) => rows.extend(entries.iter().map(|e| Row::Component(e.name.clone()))),
                Some(Err(problem)) => rows.push(Row::Note(Role::Error, problem.what().to_owned())),
                None => rows.push(looking()),
            }
            rows.extend(forms(site.step));
        }
        Step::Review => return review(model, site),
        Step::Kernel => {
            rows.extend(forms(site.step));
            rows.extend(kernels(model, site));
        }
        Step::Network => {
            rows.extend(forms(site.step));
            rows.extend(addresses());
        }
        Step::Build => rows.extend(forms(site.step)),
    }
    if let Some(next) = site.step.next() {
        rows.push(heading(""));
        rows.push(Row::Do(Action::NextStep, format!("Go on to {}", next.title())));
    }
    rows
}

/// How a machine gets its addresses: no field says it, for an image serves many machines.
fn addresses() -> Vec<Row> {
    let pair = |name: &str, text: &str| Row::Pair(Role::Plain, name.to_owned(), text.to_owned());
    vec![
        heading("Addresses of a machine: kernel parameters"),
        pair("DHCP", "without any: on the card that the machine booted from, else on all wired ones"),
        pair("static", "ipam=MAC:VLAN:IP:NETMASK:GATEWAY:NAME:DNS, the MAC with hyphens, as in"),
        note("  ipam=52-54-00-12-34-56::192.0.2.10:24:192.0.2.1"),
        pair("VLAN", "vlan_id=100 makes the boot network a tagged one; hw_addr=MAC names its card"),
        note(
            "They differ by machine, so the boot server gives them. What holds for all goes here, and `hookos boot` \
             and cmdline-x86_64 have it (docs/parameters.md):",
        ),
        Row::Value(Id::KernelAppend),
    ]
}

/// Which kernel that is, how long it is looked after, and what is in it.
fn kernels(model: &Model, site: &Site) -> Vec<Row> {
    let mut rows = vec![heading("The kernel of the image")];
    let found = match site.kernels.value() {
        None => return vec![looking()],
        Some(Err(problem)) => {
            rows.push(Row::Note(Role::Error, problem.what().to_owned()));
            return rows;
        }
        Some(Ok(found)) => found,
    };
    let stored = if found.stored { "in the store" } else { "to be made; its packages are fetched" };
    let pair = |role, name: &str, text: String| Row::Pair(role, name.to_owned(), text);
    rows.push(pair(Role::Plain, "version", format!("{} from {}, {stored}", found.version, found.place)));
    if let Some(series) = Series::of(&found.version) {
        let (role, word) = match series.months_left(model.clock()) {
            i32::MIN..0 => (Role::Error, "ended"),
            0..7 => (Role::Warn, "ends soon:"),
            _ => (Role::Plain, "until"),
        };
        let text = format!("{} {word} {}, as kernel.org projects", series.name, series.end_text());
        rows.push(pair(role, "support", text));
    }
    rows.push(pair(Role::Plain, "tag", found.tag.clone()));
    rows.push(pair(
        Role::Muted,
        "",
        "the version, then a digest of the packages, of modules.list and of the groups below".to_owned(),
    ));
    rows.push(heading("Where kernels can be had"));
    let place = |place: &crate::build::kernel::KernelPlace| pair(Role::Plain, place.name, place.has.clone());
    rows.extend(found.places.iter().map(place));
    match site.elsewhere.value() {
        None => {
            rows.push(pair(Role::Muted, "elsewhere", "asking the release service and kernel.org".to_owned()))
        }
        Some(Ok(places)) => rows.extend(places.iter().map(place)),
        Some(Err(problem)) => rows.push(Row::Note(Role::Error, problem.what().to_owned())),
    }
    if found.groups.is_empty() {
        return rows;
    }
    rows.push(heading("Kernel modules"));
    rows.extend(found.groups.iter().map(|group| Row::Group(group.slug.clone())));
    rows
}

/// What the connection test has found, below its row.
fn connection(model: &Model, site: &Site) -> Vec<Row> {
    if site.probe.busy(model.now) {
        return vec![Row::Busy("Testing the connection; Esc cancels".to_owned())];
    }
    if site.probe.skipped {
        return vec![note("Skipped: nothing of this was tried.")];
    }
    let Some((Ok(tested), at)) = &site.probe.answer else { return Vec::new() };
    let ago = ago(i64::try_from(model.now.saturating_sub(*at).as_secs()).unwrap_or(0));
    let mut rows: Vec<Row> = (0..tested.answers.len()).map(Row::Probe).collect();
    rows.extend(tested.notes.iter().map(|text| note(text.clone())));
    rows.push(note(format!("Tested {ago}.")));
    rows
}

fn certificates(site: &Site) -> Vec<Row> {
    match site.certificates.value() {
        Some(Ok(found)) => {
            let mut rows: Vec<Row> = (0..all_certificates(found).len()).map(Row::Certificate).collect();
            rows.extend(found.warnings.iter().map(|w| Row::Note(Role::Warn, w.what().to_owned())));
            if found.placeholder {
                rows.push(Row::Note(Role::Warn, "Placeholders: the image trusts no real server.".to_owned()));
            }
            rows
        }
        Some(Err(problem)) => {
            let mut rows = vec![Row::Note(Role::Error, problem.what().to_owned())];
            rows.extend(problem.causes().iter().map(|cause| Row::Note(Role::Error, cause.clone())));
            rows
        }
        None => vec![looking()],
    }
}

/// The certificates of an image in the order of [`Row::Certificate`].
pub fn all_certificates(
    found: &crate::site::SiteCertificates,
) -> Vec<&crate::site::certificates::Certificate> {
    let server = found.server.certificates.iter();
    let server = server.filter(|c| !found.ca.certificates.iter().any(|ca| ca.der == c.der));
    found.ca.certificates.iter().chain(server).collect()
}

fn review(model: &Model, site: &Site) -> Vec<Row> {
    let mut rows = vec![Row::Do(Action::StartBuild, "Start the build".to_owned())];
    let problems = site.form.problems().count() as u64;
    if problems > 0 {
        let text = format!("{} to solve before a build", count_of(problems, "problem"));
        rows.push(Row::Do(Action::NextProblem, text));
    }
    let missing = site.form.site().missing_for_onboarding();
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(|f| f.label).collect();
        rows.push(Row::Note(
            Role::Warn,
            format!("A machine with this image cannot register: not set are {}.", names.join(", ")),
        ));
    }
    rows.extend(site.form.notes.iter().map(|warning| Row::Note(Role::Warn, warning.what().to_owned())));
    if let Some(Err(problem)) = site.certificates.value() {
        rows.push(Row::Note(Role::Error, format!("Certificates: {}", problem.what())));
    }
    rows.push(heading("What is to be done"));
    rows.extend(plan(site));
    rows.extend(since(model, site));
    rows.push(heading("The same as a command"));
    rows.push(Row::Do(Action::CopyCommand, super::command::line(site)));
    for section in Section::ALL {
        let shown: Vec<Row> = fields(*section)
            .filter(|f| {
                let here = site.form.site().get(f.id).is_some() || site.form.edits().contains_key(&f.id);
                here || before(site, f.id).is_some()
            })
            .map(|f| Row::Value(f.id))
            .collect();
        if !shown.is_empty() {
            rows.push(heading(capital(section.name())));
            rows.extend(shown);
        }
    }
    rows
}

/// The last build that made an image.
fn last(site: &Site) -> Option<&RunRecord> {
    site.plan.value()?.as_ref().ok()?.last.as_ref()
}

/// The value that a field had in the last build, if it has another now.
pub fn before(site: &Site, id: Id) -> Option<String> {
    let field = id.field();
    let then = last(site)?.fields.get(&field.path());
    let now = site.form.site().get(id).map(|value| value.shown(field.kind));
    (then != now.as_ref()).then(|| then.cloned().unwrap_or_default())
}

/// How this build differs from the last one, and how long it takes by that.
fn since(model: &Model, site: &Site) -> Vec<Row> {
    let Some(Ok(planned)) = site.plan.value() else { return Vec::new() };
    let Some(last) = &planned.last else {
        return vec![Row::Pair(
            Role::Muted,
            "time".to_owned(),
            "not known before the first build".to_owned(),
        )];
    };
    let ago = ago(model.clock() - last.ended);
    let differs = FIELDS.iter().filter(|f| before(site, f.id).is_some()).count() as u64;
    let differs = match differs {
        0 => format!("the same settings, {ago}"),
        n => format!("{} other than now, {ago}", count_of(n, "setting")),
    };
    let time = planned.seconds().map_or_else(|| "not known yet for all of it".to_owned(), about);
    vec![
        Row::Pair(Role::Plain, "time".to_owned(), time),
        Row::Pair(Role::Plain, "last build".to_owned(), differs),
    ]
}

fn plan(site: &Site) -> Vec<Row> {
    let planned = match site.plan.value() {
        None => return vec![looking()],
        Some(Err(problem)) => return vec![Row::Note(Role::Error, problem.what().to_owned())],
        Some(Ok(planned)) => planned,
    };
    let rows = &planned.rows;
    let mut found = Vec::new();
    for stage in crate::build::Stage::ALL {
        let of_stage = || rows.iter().filter(move |row| row.stage == stage);
        let todo: Vec<&str> =
            of_stage().filter(|row| row.state == Work::Todo).map(|row| row.item.as_str()).collect();
        let cached = of_stage().filter(|row| row.state == Work::Cached).count();
        let mut parts = Vec::new();
        if cached > 0 {
            parts.push(format!("{cached} from the store"));
        }
        if !todo.is_empty() {
            parts.push(format!("to do: {}", todo.join(", ")));
        }
        if parts.is_empty() && of_stage().next().is_some() {
            parts.push("each time".to_owned());
        }
        if !parts.is_empty() {
            let role = if todo.is_empty() { Role::Muted } else { Role::Plain };
            found.push(Row::Pair(role, stage.name().to_owned(), parts.join("; ")));
        }
        for problem in of_stage().filter_map(|row| row.lacks.as_ref()) {
            found.push(Row::Note(Role::Error, problem.what().to_owned()));
            found.extend(problem.causes().iter().map(|cause| Row::Note(Role::Error, cause.clone())));
            found.extend(problem.remedy_text().map(|remedy| Row::Note(Role::Muted, remedy.to_owned())));
        }
    }
    found
}
