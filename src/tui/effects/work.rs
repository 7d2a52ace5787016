//! What a build would do, and what it would do it with.

use super::{Place, runs};
use crate::build::image::Request;
use crate::build::kernel::KernelPlace;
use crate::build::manifest;
use crate::component::{self, Source, Stage};
use crate::debian::lock::Mode;
use crate::history;
use crate::kernel::image::Built;
use crate::kernel::list::slug;
use crate::linuxkit::Definition;
use crate::problem::{Problem, Result};
use crate::site::resolve::Lookup;
use crate::site::{Id, KernelSource, ResolvedSite, Sources, files, resolve};
use crate::store::Store;
use crate::tui::build::Sizes;
use crate::tui::data::{ComponentEntry, FileEntry, GroupEntry, Kernels, Planned};
use crate::tui::msg::Build;
use std::collections::BTreeMap;
use std::path::Path;

/// The plan of a build, with the last one that made an image to compare it with.
pub fn plan(place: &Place, site: &ResolvedSite) -> Result<Box<Planned>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    let last = history::last_good(&runs::logs(place, &site.name)).map(|(_, record)| record);
    Ok(Box::new(Planned { rows: request.dry_run()?, last }))
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
pub fn elsewhere(place: &Place, site: &ResolvedSite) -> Result<Vec<KernelPlace>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    Ok(request.kernels_elsewhere())
}

/// The kernel of a site, and the groups of modules that it may have.
pub fn kernels(place: &Place, site: &ResolvedSite) -> Result<Box<Kernels>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let request = request(place, site, &store, &out);
    if site.kernel_source() == KernelSource::Source {
        let plan = request.source_plan()?;
        return Ok(Box::new(Kernels {
            version: plan.settings.version(),
            place: format!("source, configuration {}", plan.settings.config),
            stored: plan.find(&store).is_some(),
            places: request.kernels_here(),
            tag: plan.tag,
            groups: Vec::new(),
        }));
    }
    let plan = request.kernel_plan(site.list(Id::ModuleGroupsOff))?;
    let built = plan.find(&store);
    let stored = built.is_some();
    // A group that is left out now was counted in the kernel that has all.
    let all = request.kernel_plan(&[])?.find(&store);
    let amount = |name: &str| {
        let of = |built: &Built| built.report.groups.iter().find(|g| g.name == name).map(|g| g.amount);
        built.iter().chain(&all).filter_map(of).find(|amount| amount.modules > 0)
    };
    let entry = |name: &String| GroupEntry { name: name.clone(), slug: slug(name), amount: amount(name) };
    Ok(Box::new(Kernels {
        version: plan.version().to_owned(),
        place: format!("Debian {}", plan.suite),
        stored,
        tag: plan.tag(),
        places: request.kernels_here(),
        groups: plan.groups().iter().map(entry).collect(),
    }))
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
    let entry = |d: component::Definition| {
        let containers = || definition.containers().filter(|c| c.image == d.name).map(|c| &c.name);
        let container = containers().next().cloned();
        // One image may stand in several places; its files are packed with the first of them.
        let packed: u64 = containers().filter_map(|name| bytes.get(name)).sum();
        let packed = if packed > 0 { Some(packed) } else { bytes.get(&d.name).copied() };
        let fixed = definition.init.contains(&d.name);
        let (source, available) = match &d.source {
            Source::Recipe(recipe) if recipe.packages.is_empty() => ("our own programs".to_owned(), true),
            Source::Recipe(recipe) => {
                let count = crate::words::count_of(recipe.packages.len() as u64, "Debian package");
                (count, true)
            }
            Source::Image(pulled) => (format!("the image {}", pulled.reference), true),
            Source::Dockerfile(file) => (file.path.display().to_string(), file.path.is_file()),
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
            available,
        }
    };
    let mut entries: Vec<ComponentEntry> = all.into_iter().map(entry).collect();
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
