//! What builds read: the image definition, components, profiles, the list of kernel modules.

use super::{Finding, Source};
use crate::component;
use crate::kernel::list::List;
use crate::kernel::source::recipe;
use crate::linuxkit::Definition;
use crate::site::{Profile, Sources, files, resolve};
use crate::store::Digest;
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
        let problems = match Profile::load(&found.path) {
            Err(problem) => vec![problem],
            Ok(profile) => {
                let sources = Sources { profile: Some(&profile), ..Sources::default() };
                resolve(&found.name, &sources).problems.into_iter().map(|(_, problem)| problem).collect()
            }
        };
        findings.extend(problems.iter().map(|problem| Finding::of(root, &found.path, problem)));
    }
    let list = root.join("kernel/modules.list");
    if let Ok(text) = std::fs::read_to_string(&list)
        && let Err(problem) = List::parse(&text, &list)
    {
        findings.push(Finding::of(root, &list, &problem));
    }
    let dockerfile = Path::new("kernel").join(recipe::DOCKERFILE);
    if let Ok(text) = std::fs::read_to_string(root.join(&dockerfile))
        && let Some((line, _)) = renewed(root, &text)
    {
        let message = format!("the SHA-256 of {} is another one now", recipe::SCRIPT);
        findings.push(Finding { fixable: true, ..Finding::new(&dockerfile, line, "definition", message) });
    }
}

/// What [`check`] would find nothing in; none if it finds nothing, or nothing that can be put right here.
pub fn better(root: &Path, source: &Source) -> Option<String> {
    if source.path != Path::new("kernel").join(recipe::DOCKERFILE) {
        return None;
    }
    renewed(root, source.text()?).map(|(_, text)| text)
}

/// The kernel's Dockerfile with the digest of today's recipe, if that is another one.
fn renewed(root: &Path, dockerfile: &str) -> Option<(usize, String)> {
    let script = std::fs::read(root.join("kernel").join(recipe::SCRIPT)).ok()?;
    recipe::renewed(dockerfile, &Digest::of(&script))
}
