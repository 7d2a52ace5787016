//! What a build would do, and what it would do it with.

use super::{Place, runs};
use crate::build::image::Request;
use crate::component::{self, Source, Stage};
use crate::debian::lock::Mode;
use crate::history;
use crate::linuxkit::Definition;
use crate::problem::{Problem, Result};
use crate::site::ResolvedSite;
use crate::store::Store;
use crate::tui::data::{ComponentEntry, FileEntry, Planned};
use std::path::Path;

/// The plan of a build, with the last one that made an image to compare it with.
pub fn plan(place: &Place, site: &ResolvedSite) -> Result<Box<Planned>> {
    let store = Store::open(place.store.clone())?;
    let out = place.root.join("out").join(&site.name);
    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let request = Request { root: &place.root, out: &out, store: &store, site, locks: Mode::Default, jobs };
    let last = history::last_good(&runs::logs(place, &site.name)).map(|(_, record)| record);
    Ok(Box::new(Planned { rows: request.dry_run()?, last }))
}

/// Every component there is, those of the image definition first.
pub fn components(place: &Place, site: &ResolvedSite) -> Result<Vec<ComponentEntry>> {
    let definition = Definition::read(&[site.definition(&place.root)])?;
    let all = component::load_all(&place.root.join("components"))?;
    let entry = |d: component::Definition| {
        let container = definition.containers().find(|c| c.image == d.name).map(|c| c.name.clone());
        let fixed = definition.init.contains(&d.name);
        let (source, available) = match &d.source {
            Source::Recipe(recipe) if recipe.packages.is_empty() => ("our own programs".to_owned(), true),
            Source::Recipe(recipe) => {
                let count = super::super::words::count_of(recipe.packages.len() as u64, "Debian package");
                (count, true)
            }
            Source::Image(pulled) => (format!("the image {}", pulled.reference), true),
            Source::Dockerfile(file) => (file.display().to_string(), file.is_file()),
        };
        ComponentEntry {
            container: container.or_else(|| fixed.then(|| d.name.clone())),
            fixed: fixed || d.stage == Some(Stage::Init),
            name: d.name,
            description: d.description,
            role: d.role,
            source,
            available,
            bytes: None,
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
