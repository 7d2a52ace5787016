//! What builds read: the image definition, components, profiles, the list of kernel modules.

use super::Finding;
use crate::component;
use crate::kernel::list::List;
use crate::linuxkit::Definition;
use crate::site::resolve::together;
use crate::site::{Profile, Sources, files, resolve};
use std::path::Path;

pub fn check(root: &Path, findings: &mut Vec<Finding>) {
    let hook = root.join("components/hook.yaml");
    if let Err(problem) = Definition::read(std::slice::from_ref(&hook)) {
        findings.push(Finding::of(root, &hook, &problem));
    }
    // Each by itself, so that one that is wrong does not hide another.
    let folders = std::fs::read_dir(root.join("components")).into_iter().flatten().flatten();
    for folder in folders.map(|entry| entry.path()) {
        let file = folder.join("component.toml");
        if file.is_file()
            && let Err(problem) = component::load(&folder)
        {
            findings.push(Finding::of(root, &file, &problem));
        }
    }
    let profiles = files::list(root).unwrap_or_default();
    for found in profiles.into_iter().filter(|found| found.path.starts_with(root)) {
        let problem = Profile::load(&found.path).and_then(|profile| {
            if let Some(problem) = together(profile.problems().to_vec()) {
                return Err(problem);
            }
            let sources = Sources { profile: Some(&profile), ..Sources::default() };
            resolve(&found.name, &sources).into_result().map(drop)
        });
        if let Err(problem) = problem {
            findings.push(Finding::of(root, &found.path, &problem));
        }
    }
    let list = root.join("kernel/modules.list");
    if let Ok(text) = std::fs::read_to_string(&list)
        && let Err(problem) = List::parse(&text, &list)
    {
        findings.push(Finding::of(root, &list, &problem));
    }
}
