//! The rows of each screen, as data. What a row looks like is the views' business.
//!
//! Screens are lists of rows over the table of fields: a new field is a new row without a word here.

use super::check::Check;
use super::data::Kernels;
use super::form::capital;
use super::ground::Ground;
use super::keys::Action;
use super::model::{Model, Screen, Site};
use super::step::Step;
use super::theme::Role;
use crate::build::plan::State as Work;
use crate::build::record::RunRecord;
use crate::kernel::series::{SERIES, Series};
use crate::site::field::Default;
use crate::site::{FIELDS, Field, Id, KernelSource, Origin, Section};
use crate::words::{about, ago, count_of, size};
use std::time::Duration;

/// The first of the ways to other certificates.
pub const PASTE: &str = "Paste certificates";

/// One row.
#[derive(Debug, Clone, PartialEq)]
pub enum Row {
    /// A title, and what work goes on below it.
    Heading(String, Option<String>),
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
    /// A kernel that the image could have, by its version.
    Release(String, KernelSource),
    /// A field whose value is not usable: leads to it.
    Problem(Id),
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
        !matches!(self, Self::Heading(..) | Self::Note(..) | Self::Pair(..))
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
    Row::Heading(text.into(), None)
}

/// A heading over what a check finds. Its sign appears when the check is not quick, and stays long enough to be
/// read; what was found before stands below meanwhile.
fn over<T>(text: &str, check: &Check<T>, now: Duration, what: &str) -> Row {
    let esc = if check.running() { "; Esc cancels" } else { "" };
    Row::Heading(text.to_owned(), check.busy(now).then(|| format!("{what}{esc}")))
}

/// What stands in place of an answer that was never had.
fn unanswered<T>(check: &Check<T>, again: &str) -> Vec<Row> {
    if check.cancelled {
        vec![note(format!("Cancelled: nothing is known. {again} looks again."))]
    } else {
        Vec::new()
    }
}

fn note(text: impl Into<String>) -> Row {
    Row::Note(Role::Muted, text.into())
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
    let mut rows = problems(site);
    match site.step {
        Step::Endpoints => {
            rows.extend(forms(site.step));
            rows.push(over("Connection", &site.probe, model.now, "testing"));
            rows.push(Row::Do(Action::TestConnection, "Test the connection".to_owned()));
            rows.extend(connection(model, site));
        }
        Step::Certificates => {
            rows.extend(certificates(model, site));
            rows.push(over("Take others", &site.fetched, model.now, "fetching the chain"));
            rows.push(Row::Do(Action::PasteCertificate, PASTE.to_owned()));
            rows.push(Row::Do(Action::TakeCertificate, "Take them from a file".to_owned()));
            rows.push(Row::Do(Action::FetchChain, "Fetch the chain from the orchestrator".to_owned()));
            rows.push(Row::Do(Action::Placeholder, "Make placeholders, for a trial".to_owned()));
            rows.push(heading("Settings"));
            rows.extend(forms(site.step));
        }
        Step::Components => {
            rows.push(over("Components", &site.components, model.now, "looking for their sources"));
            match site.components.value() {
                Some(Ok(entries)) => rows.extend(entries.iter().map(|e| Row::Component(e.name.clone()))),
                Some(Err(problem)) => rows.push(Row::Note(Role::Error, problem.what().to_owned())),
                None => rows.extend(unanswered(&site.components, "Ctrl-T")),
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

/// The problems of the step that a person has been told of, each to go to.
fn problems(site: &Site) -> Vec<Row> {
    let told = |id: &Id| site.told.contains(&site.step) && site.form.problem(*id).is_some();
    let here = |id: &Id| Step::of(id.field().section) == site.step;
    let ids: Vec<Id> = site.form.problems().map(|(id, _)| id).filter(|id| here(id) && told(id)).collect();
    if ids.is_empty() {
        return Vec::new();
    }
    let mut rows = vec![heading(format!("{} on this step", count_of(ids.len() as u64, "problem")))];
    rows.extend(ids.into_iter().map(Row::Problem));
    rows.push(heading(site.step.title()));
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

/// Which kernel that is, what else it could be, and what is in it.
fn kernels(model: &Model, site: &Site) -> Vec<Row> {
    let pair = |role, name: &str, text: String| Row::Pair(role, name.to_owned(), text);
    let mut rows = vec![over("The kernel of the image", &site.kernels, model.now, "looking")];
    let found = match site.kernels.value() {
        None => {
            rows.extend(unanswered(&site.kernels, "Ctrl-T"));
            return rows;
        }
        Some(Err(problem)) => {
            rows.push(Row::Note(Role::Error, problem.what().to_owned()));
            return rows;
        }
        Some(Ok(found)) => found,
    };
    if site.kernels.is_stale(&Ground::Kernels.of(site)) {
        rows.push(note("Of the settings before: Enter in the field looks again."));
    }
    match &found.chosen {
        Ok(chosen) => {
            let stored = if chosen.stored { "in the store" } else { "not in the store yet" };
            rows.push(pair(
                Role::Plain,
                "version",
                format!("{} from {}, {stored}", chosen.version, chosen.place),
            ));
            if let Some(series) = Series::of(&chosen.version) {
                let (role, text) = end(series, model.clock());
                rows.push(pair(role, "support", format!("{} {text}, by kernel.org's plan", series.name)));
            }
            rows.push(pair(Role::Plain, "tag", chosen.tag.clone()));
            let why = match site.form.site().kernel_source() {
                KernelSource::Debian => {
                    "the version, then a digest of the packages, of modules.list and of the groups below"
                }
                KernelSource::Source => {
                    "the version, then a digest of the configuration and of kernel/Dockerfile"
                }
            };
            rows.push(pair(Role::Muted, "", why.to_owned()));
        }
        Err(problem) => {
            rows.push(Row::Note(Role::Error, problem.what().to_owned()));
            let remedy = problem.remedy_text().map(|text| note(format!("Try: {text}")));
            rows.extend(remedy);
        }
    }
    rows.extend(releases(model, site, found));
    rows.push(heading("Kernel modules"));
    if site.form.site().kernel_source() == KernelSource::Source {
        rows.push(note(
            "A kernel from source has the modules of its configuration, all of them: there are no groups to leave out.",
        ));
    } else {
        rows.extend(found.groups.iter().map(|group| Row::Group(group.slug.clone())));
    }
    rows
}

/// When a series ends, and how much that matters.
fn end(series: &Series, clock: i64) -> (Role, String) {
    let (role, word) = match series.months_left(clock) {
        i32::MIN..0 => (Role::Error, "ended:"),
        0..7 => (Role::Warn, "ends soon:"),
        _ => (Role::Plain, "until"),
    };
    (role, format!("{word} {}", series.end_text()))
}

/// Releases to choose from, the series that there are, and what each place says.
fn releases(model: &Model, site: &Site, found: &Kernels) -> Vec<Row> {
    let pair = |role, name: &str, text: String| Row::Pair(role, name.to_owned(), text);
    let title = "Kernels to choose from";
    let what = "asking the release service and kernel.org";
    let mut rows = vec![over(title, &site.elsewhere, model.now, what)];
    let there = site.elsewhere.value().and_then(|there| there.as_ref().ok());
    let all = there.map_or_else(|| found.here.clone(), |there| found.here.clone().with(there));
    rows.extend(all.releases.iter().map(|release| Row::Release(release.version.clone(), release.from)));
    if site.elsewhere.cancelled {
        rows.push(note("Nobody else was asked. Ctrl-T asks."));
    }
    if let Some(Err(problem)) = site.elsewhere.value() {
        rows.push(Row::Note(Role::Error, problem.what().to_owned()));
    }
    rows.push(heading("Long-term series, by kernel.org's plan"));
    for series in SERIES {
        let (role, text) = end(series, model.clock());
        let newest = all.newest.get(series.name);
        let newest = newest.map_or_else(String::new, |point| format!("; newest {}.{point}", series.name));
        let of_series = found.configurations.iter().filter(|(_, of)| of == series.name);
        let names: Vec<&str> = of_series.map(|(name, _)| name.as_str()).collect();
        let config = match names.is_empty() {
            true => "; no config".to_owned(),
            false => format!("; configs {}", names.join(", ")),
        };
        rows.push(pair(
            if names.is_empty() { Role::Muted } else { role },
            series.name,
            format!("{text}{newest}{config}"),
        ));
    }
    rows.push(heading("Where the chosen kernel can be had"));
    rows.extend(all.places.iter().map(|place| pair(Role::Plain, place.name, place.has.clone())));
    if let Some((_, at)) = &site.elsewhere.answer {
        let ago = ago(i64::try_from(model.now.saturating_sub(*at).as_secs()).unwrap_or(0));
        rows.push(note(format!("Asked {ago}; Ctrl-T asks again.")));
    }
    rows
}

/// What the connection test has found, below its row.
fn connection(model: &Model, site: &Site) -> Vec<Row> {
    if site.probe.skipped {
        return vec![note("Skipped: nothing of this was tried.")];
    }
    let Some((Ok(tested), at)) = &site.probe.answer else { return Vec::new() };
    let ago = ago(i64::try_from(model.now.saturating_sub(*at).as_secs()).unwrap_or(0));
    let mut rows: Vec<Row> = (0..tested.answers.len()).map(Row::Probe).collect();
    rows.extend(tested.notes.iter().map(|text| note(text.clone())));
    if site.probe.is_stale(&Ground::Probe.of(site)) {
        let text = format!("Tested {ago}, with settings that have changed since: test again.");
        rows.push(Row::Note(Role::Warn, text));
    } else {
        rows.push(note(format!("Tested {ago}.")));
    }
    rows
}

fn certificates(model: &Model, site: &Site) -> Vec<Row> {
    let mut rows = vec![over("Authorities that the image trusts", &site.certificates, model.now, "reading")];
    match site.certificates.value() {
        Some(Ok(found)) => {
            let (authorities, all) = (found.ca.certificates.len(), all_certificates(found).len());
            rows.extend((0..authorities).map(Row::Certificate));
            if all > authorities {
                rows.push(heading("What the identity provider is checked against"));
                rows.extend((authorities..all).map(Row::Certificate));
            }
            rows.extend(found.warnings.iter().map(|w| Row::Note(Role::Warn, w.what().to_owned())));
            if found.placeholder {
                rows.push(Row::Note(Role::Warn, "Placeholders: the image trusts no real server.".to_owned()));
            }
        }
        Some(Err(problem)) => {
            rows.push(Row::Note(Role::Error, problem.what().to_owned()));
            rows.extend(problem.causes().iter().map(|cause| Row::Note(Role::Error, cause.clone())));
        }
        None => rows.extend(unanswered(&site.certificates, "Going to the step (Ctrl-G)")),
    }
    rows
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
    rows.push(over("What is to be done", &site.plan, model.now, "looking"));
    rows.extend(plan(site));
    rows.extend(since(model, site));
    rows.push(heading("The same as a command"));
    rows.push(Row::Do(Action::CopyCommand, super::command::shown(site)));
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

/// The value that a field had in the last build, if somebody has changed it. What followed from the cluster
/// domain then and does so now has not been changed by anybody.
pub fn before(site: &Site, id: Id) -> Option<String> {
    let field = id.field();
    let then = &last(site)?.fields;
    let derived = |domain: Option<&str>| field.default_value(domain).map(|value| value.shown(field.kind));
    let domain = then.get(&Id::ClusterDomain.field().path()).map(String::as_str);
    let (was, is) = (then.get(&field.path()), site.form.site().get(id).map(|value| value.shown(field.kind)));
    let followed = matches!(field.default, Default::OfDomain(_)) && was == derived(domain).as_ref();
    if was == is.as_ref() || (followed && site.form.site().resolved(id).origin == Origin::Domain) {
        return None;
    }
    Some(was.cloned().unwrap_or_default())
}

/// How this build differs from the last one, and how long it takes by that.
fn since(model: &Model, site: &Site) -> Vec<Row> {
    let Some(Ok(planned)) = site.plan.value() else { return Vec::new() };
    let pair = |role, name: &str, text: String| Row::Pair(role, name.to_owned(), text);
    let bytes = match planned.bytes {
        Some(bytes) => {
            pair(Role::Plain, "size", format!("about {}, by the image that is there", size(bytes)))
        }
        None => pair(Role::Muted, "size", "not known before the first build".to_owned()),
    };
    let Some(last) = &planned.last else {
        return vec![bytes, pair(Role::Muted, "time", "not known before the first build".to_owned())];
    };
    let ago = ago(model.clock() - last.ended);
    let differs = FIELDS.iter().filter(|f| before(site, f.id).is_some()).count() as u64;
    let differs = match differs {
        0 => format!("the same settings, {ago}"),
        n => format!("{} other than now, {ago}", count_of(n, "setting")),
    };
    let time = planned.seconds().map_or_else(|| "not known yet for all of it".to_owned(), about);
    vec![bytes, pair(Role::Plain, "time", time), pair(Role::Plain, "last build", differs)]
}

fn plan(site: &Site) -> Vec<Row> {
    let planned = match site.plan.value() {
        None => return unanswered(&site.plan, "Ctrl-T"),
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
