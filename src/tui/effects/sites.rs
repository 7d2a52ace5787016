//! Profiles: their files, and what is kept of unsaved input.

use super::{Place, runs};
use crate::history;
use crate::problem::{Exit, Problem, Result};
use crate::site::resolve::together;
use crate::site::save::{self, Secrets};
use crate::site::{Profile, Sources, certificates, config_file, files, resolve};
use crate::tui::data::{LastRun, Opened, RunningEntry, SiteEntry, Sites};
use crate::tui::msg::{Save, Saved};
use std::fs;
use std::path::Path;

pub fn list(place: &Place) -> Result<Sites> {
    let mut sites = Sites { drafts: super::drafts::list(place), ..Sites::default() };
    for found in files::list(&place.root)? {
        // A broken profile is listed, with what is wrong.
        let problem = Profile::load(&found.path).and_then(|profile| {
            let sources = Sources { profile: Some(&profile), ..Sources::default() };
            resolve(&found.name, &sources).into_result().map(drop)
        });
        sites.sites.push(SiteEntry {
            shipped: found.path.starts_with(place.root.join("profiles")),
            problem: problem.err().map(|problem| problem.what().to_owned()),
            last: last(place, &found.name),
            name: found.name,
            path: found.path,
        });
    }
    sites.running = sites.sites.iter().filter_map(|site| running(place, &site.name)).collect();
    Ok(sites)
}

/// How the last build of a profile ended.
fn last(place: &Place, name: &str) -> Option<LastRun> {
    let past = history::last(&runs::logs(place, name))?;
    Some(LastRun { outcome: past.outcome, at: past.ended, seconds: past.seconds })
}

fn running(place: &Place, name: &str) -> Option<RunningEntry> {
    let running = history::running(&runs::logs(place, name))?;
    Some(RunningEntry { profile: name.to_owned(), since: running.since })
}

pub fn open(place: &Place, name: &str) -> Result<Box<Opened>> {
    let (found, profile) = files::load(&place.root, name)?;
    let warnings = profile.warnings().to_vec();
    Ok(Box::new(Opened { name: found.name, profile, new: false, imported: None, warnings, draft: None }))
}

pub fn new(name: &str) -> Result<Box<Opened>> {
    files::check_name(name)?;
    let profile = Profile::new(name);
    Ok(Box::new(Opened {
        name: name.to_owned(),
        profile,
        new: true,
        imported: None,
        warnings: Vec::new(),
        draft: None,
    }))
}

/// A `config` file as a profile in memory; nothing is written before it is saved.
pub fn import(file: &Path, name: &str) -> Result<Box<Opened>> {
    files::check_name(name)?;
    let bytes =
        fs::read(file).map_err(|e| Problem::usage("the file cannot be read").in_file(file).because(e))?;
    let (profile, warnings) = if file.extension().is_some_and(|e| e == "toml") {
        (Profile::from_bytes(file, &bytes)?.unbound()?, Vec::new())
    } else {
        let mut profile = Profile::new(name);
        let warnings = config_file::import(&mut profile, file, &bytes)?;
        (profile, warnings)
    };
    let imported = Some(file.to_owned());
    Ok(Box::new(Opened { name: name.to_owned(), profile, new: true, imported, warnings, draft: None }))
}

pub fn save(place: &Place, save: Save) -> Result<Box<Saved>> {
    let Save { name, mut profile, site, unset, certificates, build } = save;
    let old = profile.path().and_then(Path::file_stem).map(|stem| stem.to_string_lossy().into_owned());
    let same = old.as_ref() == Some(&name);
    let path = match profile.path() {
        Some(path) if same => path.to_owned(),
        _ => {
            if let Some(there) = files::find(&place.root, &name)? {
                return Err(Problem::usage(format!("there is a profile {name} already"))
                    .in_file(there.path)
                    .remedy("save it under another name"));
            }
            place.root.join("profiles").join(format!("{name}.toml"))
        }
    };
    if let Some(problem) = together(profile.problems().to_vec()) {
        return Err(problem);
    }
    for id in unset {
        profile.unset(id.field());
    }
    let applied = save::apply(&mut profile, &site, &path, Secrets::LeaveOut)?;
    let mut wrote = Vec::new();
    if let (None, false, Some(old)) = (&certificates, same, &old) {
        copy_certificates(place, old, &name)?;
    }
    if let Some(pending) = certificates {
        let folder = certificates::folder(&place.root, &name);
        files::write(&folder.join("ca.pem"), &pending.ca.pem())?;
        let server = folder.join("server_cert.pem");
        match &pending.server {
            Some(bundle) => files::write(&server, &bundle.pem())?,
            None => remove(&server)?,
        }
        wrote.push(folder.display().to_string());
    }
    if same {
        profile.save(&path).map(drop)?
    } else {
        profile.save_as_new(&path)?
    };
    wrote.insert(0, path.display().to_string());
    let profile = Profile::load(&path)?;
    Ok(Box::new(Saved { name, profile, wrote, warnings: applied.warnings, build }))
}

fn remove(path: &Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Problem::new("the old file cannot be removed").in_file(path).because(e))
        }
        _ => Ok(()),
    }
}

/// Copies a profile with its certificates.
pub fn duplicate(place: &Place, from: &str, to: &str) -> Result<String> {
    let (found, mut profile) = files::load(&place.root, from)?;
    let target = free(place, &found.path, to)?;
    copy_certificates(place, from, to)?;
    profile.save_as_new(&target)?;
    Ok(format!("Copied {from} to {}.", target.display()))
}

/// A profile of another name gets the certificates of the one that it comes from.
fn copy_certificates(place: &Place, from: &str, to: &str) -> Result<()> {
    const NAMES: [&str; 2] = ["ca.pem", "server_cert.pem"];
    let (old, new) = (certificates::folder(&place.root, from), certificates::folder(&place.root, to));
    if new.exists() && NAMES.iter().any(|name| old.join(name).exists()) {
        return Err(in_the_way(&new));
    }
    for name in NAMES {
        match fs::read(old.join(name)) {
            Ok(bytes) => files::write(&new.join(name), &bytes)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(Problem::new("the file cannot be read").in_file(old.join(name)).because(e)),
        }
    }
    Ok(())
}

fn in_the_way(folder: &Path) -> Problem {
    Problem::usage("a folder with this name is in the way")
        .in_file(folder)
        .remedy("move it away, or take another name")
}

/// Where a profile of another name goes: beside the one that it comes from.
fn free(place: &Place, beside: &Path, name: &str) -> Result<std::path::PathBuf> {
    files::check_name(name)?;
    if let Some(there) = files::find(&place.root, name)? {
        return Err(Problem::usage(format!("there is a profile {name} already")).in_file(there.path));
    }
    Ok(beside.with_file_name(format!("{name}.toml")))
}

/// Renames a profile, and with it the folders that have its name.
pub fn rename(place: &Place, from: &str, to: &str) -> Result<String> {
    let (found, _) = files::load(&place.root, from)?;
    let target = free(place, &found.path, to)?;
    if let Some(running) = history::running(&runs::logs(place, from)) {
        return Err(Problem::usage(format!("{from} is being built, into the folder that would be renamed"))
            .remedy(format!("wait for the run {}, or cancel it", running.run)));
    }
    let folders = [
        (certificates::folder(&place.root, from), certificates::folder(&place.root, to)),
        (place.root.join("out").join(from), place.root.join("out").join(to)),
    ];
    for (_, new) in &folders {
        if new.exists() {
            return Err(in_the_way(new));
        }
    }
    let failed = |path: &Path, e| Problem::new("cannot be renamed").in_file(path).because(e);
    for (old, new) in folders.iter().filter(|(old, _)| old.exists()) {
        fs::rename(old, new).map_err(|e| failed(old, e))?;
    }
    fs::rename(&found.path, &target).map_err(|e| failed(&found.path, e))?;
    super::drafts::rename(place, from, to)?;
    Ok(format!("{from} is now {to}."))
}

pub fn delete(place: &Place, name: &str) -> Result<String> {
    let found = files::find(&place.root, name)?
        .ok_or_else(|| Problem::usage(format!("there is no profile {name}")).exit_with(Exit::Usage))?;
    fs::remove_file(&found.path)
        .map_err(|e| Problem::new("the profile cannot be deleted").in_file(&found.path).because(e))?;
    super::drafts::discard(place, name)?;
    Ok(format!("Deleted {}.", found.path.display()))
}
