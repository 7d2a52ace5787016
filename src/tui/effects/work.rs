//! What a build would do, and what it would do it with.

use super::{Place, runs};
use crate::build::image::Request;
use crate::build::manifest;
use crate::build::releases::Releases;
use crate::component::{self, Source, Stage};
use crate::debian::lock::Mode;
use crate::history;
use crate::kernel::image::Built;
use crate::kernel::list::slug;
use crate::kernel::source;
use crate::linuxkit::Definition;
use crate::problem::{Problem, Result};
use crate::site::resolve::Lookup;
use crate::site::{Id, KernelSource, ResolvedSite, Sources, files, resolve};
use crate::store::Store;
use crate::tui::build::Sizes;
use crate::tui::data::{ChosenKernel, ComponentEntry, FileEntry, GroupEntry, Kernels, Planned};
use crate::tui::msg::Build;
use std::collections::BTreeMap;
use std::path::Path;

/// The plan of a build, with the last one that made an image to compare it with.
pub fn plan(place: &Place, site: &ResolvedSite) -> Result<Box<Planned>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    let last = history::last_good(&runs::logs(place, &site.name)).map(|(_, record)| record);
    let forecast = request.forecast()?;
    Ok(Box::new(Planned { bytes: forecast.bytes(), rows: forecast.work, last }))
}

/// The plan of a build that was begun before.
pub fn replan(place: &Place, build: &Build) -> Result<Vec<crate::build::plan::Row>> {
    let (found, profile) = files::load(&place.root, &build.profile)?;
    let env: &Lookup = &Sources::environment;
    let flags = build.flags.clone();
    let sources = Sources { profile: Some(&profile), flags, env: Some(env), ..Sources::default() };
    let (site, _) = resolve(&found.name, &sources).into_result()?;
    Ok(plan(place, &site)?.rows)
}

/// A build that is only asked, never run.
fn request<'a>(place: &'a Place, site: &'a ResolvedSite, store: &'a Store, out: &'a Path) -> Request<'a> {
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    Request { root: &place.root, out, store, site, locks: Mode::Default, jobs, cache: None }
}

/// What places that must be asked have for a site's kernel.
pub fn elsewhere(place: &Place, site: &ResolvedSite) -> Result<Releases> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    Ok(request.kernels_elsewhere())
}

/// The kernel of a site, what else it could be, and the groups of modules that it may have.
pub fn kernels(place: &Place, site: &ResolvedSite) -> Result<Box<Kernels>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    let here = request.kernels_here();
    let configurations = source::configurations(&place.root.join("kernel"));
    let (chosen, groups) = match site.kernel_source() {
        KernelSource::Source => (from_source(&request), Vec::new()),
        KernelSource::Debian => match from_debian(&request) {
            Ok((chosen, groups)) => (Ok(chosen), groups),
            Err(problem) => (Err(problem), Vec::new()),
        },
    };
    Ok(Box::new(Kernels { chosen, here, configurations, groups }))
}

fn from_source(request: &Request<'_>) -> Result<ChosenKernel> {
    let plan = request.source_plan()?;
    Ok(ChosenKernel {
        version: plan.settings.version(),
        place: format!("source, configuration {}", plan.settings.config),
        stored: plan.find(request.store).is_some(),
        tag: plan.tag,
    })
}

fn from_debian(request: &Request<'_>) -> Result<(ChosenKernel, Vec<GroupEntry>)> {
    let plan = request.kernel_plan(request.site.list(Id::ModuleGroupsOff))?;
    let built = plan.find(request.store);
    let stored = built.is_some();
    // A group that is left out now was counted in the kernel that has all.
    let all = request.kernel_plan(&[])?.find(request.store);
    let amount = |name: &str| {
        let of = |built: &Built| built.report.groups.iter().find(|g| g.name == name).map(|g| g.amount);
        built.iter().chain(&all).filter_map(of).find(|amount| amount.modules > 0)
    };
    let entry = |name: &String| GroupEntry { name: name.clone(), slug: slug(name), amount: amount(name) };
    let groups = plan.groups().iter().map(entry).collect();
    let place = format!("Debian {}", plan.suite);
    Ok((ChosenKernel { version: plan.version().to_owned(), place, stored, tag: plan.tag() }, groups))
}

/// Compressed bytes of each part of the last image.
fn bytes(place: &Place, site: &ResolvedSite) -> BTreeMap<String, u64> {
    let last = history::last_good(&runs::logs(place, &site.name));
    let manifest = last.and_then(|(folder, _)| std::fs::read_to_string(folder.join(manifest::FILE)).ok());
    let sizes = manifest.and_then(|text| Sizes::read(&text, None).ok());
    sizes.into_iter().flat_map(|sizes| sizes.rows).map(|row| (row.name, row.compressed)).collect()
}

/// Every component there is, those of the image definition first.
pub fn components(place: &Place, site: &ResolvedSite) -> Result<Vec<ComponentEntry>> {
    let definition = Definition::read(&[site.definition(&place.root)])?;
    let all = component::load_all(&place.root.join("components"))?;
    let bytes = bytes(place, site);
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let sources = request(place, site, &store, &out).sources(&all)?;
    let entry = |(d, sources): (component::Definition, component::Sources)| {
        let containers = || definition.containers().filter(|c| c.image == d.name).map(|c| &c.name);
        let container = containers().next().cloned();
        // One image may stand in several places; its files are packed with the first of them.
        let packed: u64 = containers().filter_map(|name| bytes.get(name)).sum();
        let packed = if packed > 0 { Some(packed) } else { bytes.get(&d.name).copied() };
        let fixed = definition.init.contains(&d.name);
        let source = match &d.source {
            Source::Recipe(recipe) if recipe.packages.is_empty() => "our own programs".to_owned(),
            Source::Recipe(recipe) => crate::words::count_of(recipe.packages.len() as u64, "Debian package"),
            Source::Image(pulled) => format!("the image {}", pulled.reference),
            Source::Dockerfile(file) => file.path.display().to_string(),
        };
        let name = d.name;
        ComponentEntry {
            container: container.or_else(|| fixed.then(|| name.clone())),
            fixed: fixed || d.stage == Some(Stage::Init),
            bytes: packed,
            name,
            description: d.description,
            role: d.role,
            source,
            available: sources.ready,
            state: sources.state,
        }
    };
    let mut entries: Vec<ComponentEntry> = all.into_iter().zip(sources).map(entry).collect();
    entries.sort_by_key(|entry| entry.container.is_none());
    Ok(entries)
}

/// What is in a folder: folders first, hidden files left out.
pub fn folder(folder: &Path) -> Result<Vec<FileEntry>> {
    let failed = |e| Problem::usage("the folder cannot be read").in_file(folder).because(e);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            entries.push(FileEntry { name, folder: entry.path().is_dir() });
        }
    }
    entries.sort_by(|a, b| (!a.folder, &a.name).cmp(&(!b.folder, &b.name)));
    Ok(entries)
}
