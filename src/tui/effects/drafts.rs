//! Unsaved input, kept in the person's state folder: readable by nobody else, written whole or not at
//! all, one file for each profile.

use super::Place;
use crate::problem::{Problem, Result};
use crate::replace;
use crate::site::{FIELDS, Profile, files};
use crate::tui::data::{DraftEntry, Opened};
use crate::tui::draft::Draft;
use crate::tui::form::Edit;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// `hookos/drafts` in the user's state folder.
pub fn folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let state = from("XDG_STATE_HOME").or_else(|| from("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("hookos/drafts"))
}

fn file(place: &Place, name: &str) -> Result<PathBuf> {
    files::check_name(name)?;
    match &place.drafts {
        // Two projects may have a profile of one name.
        Some(folder) => Ok(folder.join(format!("{name}-{}.json", place.project()))),
        None => Err(Problem::new("neither XDG_STATE_HOME nor HOME is set, so unsaved input cannot be kept")),
    }
}

/// Keeps a draft; one that changes nothing is thrown away.
pub fn keep(place: &Place, draft: &Draft) -> Result<()> {
    let path = file(place, &draft.profile)?;
    if draft.is_empty() {
        return discard(place, &draft.profile);
    }
    let failed =
        |e: &dyn std::error::Error| Problem::new(format!("unsaved input cannot be kept: {e}")).in_file(&path);
    let text = serde_json::to_vec_pretty(draft).map_err(|e| failed(&e))?;
    path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| failed(&e))?;
    replace::write_durably(&path, 0o600, &text).map_err(|e| failed(&e))
}

pub fn discard(place: &Place, name: &str) -> Result<()> {
    if place.drafts.is_none() {
        return Ok(());
    }
    let path = file(place, name)?;
    match fs::remove_file(&path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => {
            Err(Problem::new("the draft cannot be removed").in_file(&path).because(e))
        }
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<Draft> {
    let bad = |e: &dyn std::error::Error| {
        Problem::new(format!("the draft cannot be read: {e}")).in_file(path).remedy("throw it away")
    };
    let bytes = fs::read(path).map_err(|e| bad(&e))?;
    serde_json::from_slice(&bytes).map_err(|e| bad(&e))
}

/// The drafts of this project, the newest first. What cannot be read is no draft.
pub fn list(place: &Place) -> Vec<DraftEntry> {
    let Some(entries) = place.drafts.as_ref().and_then(|folder| fs::read_dir(folder).ok()) else {
        return Vec::new();
    };
    let end = format!("-{}.json", place.project());
    let entry = |entry: fs::DirEntry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        let name = name.strip_suffix(&end)?.to_owned();
        let draft = read(&entry.path()).ok()?;
        let modified = entry.metadata().ok()?.modified().ok()?;
        let at = modified.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs();
        let has = [("imported", draft.imported.is_some()), ("certificates", draft.certificates.is_some())];
        let more = has.into_iter().filter_map(|(word, there)| there.then_some(word)).collect();
        Some(DraftEntry { name, at: i64::try_from(at).ok()?, edits: draft.fields.len(), more })
    };
    let mut found: Vec<DraftEntry> = entries.flatten().filter_map(entry).collect();
    found.sort_by_key(|draft| std::cmp::Reverse(draft.at));
    found
}

/// The profile of a draft, with the draft.
pub fn resume(place: &Place, name: &str) -> Result<Box<Opened>> {
    let draft = read(&file(place, name)?)?;
    let mut opened = match (&draft.imported, files::find(&place.root, name)?) {
        (Some(imported), _) => {
            let mut opened = super::sites::new(name)?;
            opened.profile = Profile::from_text(&imported.text)?;
            opened.imported = Some(imported.file.clone());
            opened
        }
        (None, Some(_)) => super::sites::open(place, name)?,
        (None, None) => super::sites::new(name)?,
    };
    opened.draft = Some(draft);
    Ok(opened)
}

/// The profile has another name now.
pub fn rename(place: &Place, from: &str, to: &str) -> Result<()> {
    let Ok(draft) = file(place, from).and_then(|path| read(&path)) else { return Ok(()) };
    keep(place, &Draft { profile: to.to_owned(), ..draft })?;
    discard(place, from)
}

/// What a draft changes, a line for each field.
pub fn compare(place: &Place, name: &str) -> Result<Vec<String>> {
    let draft = read(&file(place, name)?)?;
    let profile = match (&draft.imported, files::find(&place.root, name)?) {
        (Some(imported), _) => Profile::from_text(&imported.text)?,
        (None, Some(found)) => Profile::load(&found.path)?,
        (None, None) => Profile::new(name),
    };
    let edits = draft.edits();
    let mut lines = Vec::new();
    if let Some(imported) = &draft.imported {
        lines.push(format!("Imported from {}", imported.file.display()));
    }
    if let Some(taken) = &draft.certificates {
        lines.push(format!("Certificates ({})", taken.source));
    }
    for field in FIELDS {
        let Some(edit) = edits.get(&field.id) else { continue };
        let said = profile.value(field).ok().flatten().and_then(|resolved| resolved.value);
        let before = said.map_or_else(|| "the default".to_owned(), |value| value.shown(field.kind));
        let after = match edit {
            Edit::Text(text) if text.is_empty() => "no value".to_owned(),
            Edit::Text(text) => field.kind.masked(text),
            Edit::Default => "the default".to_owned(),
        };
        lines.extend([
            field.label.to_owned(),
            format!("    profile  {before}"),
            format!("    draft    {after}"),
        ]);
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::step::Step;
    use std::collections::BTreeMap;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn behaviour_18_a_draft_is_private_whole_and_bound_to_its_project() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place {
            root: folder.path().join("a"),
            store: folder.path().to_owned(),
            drafts: Some(folder.path().join("drafts")),
        };
        let fields =
            BTreeMap::from([("endpoints.cluster_domain".to_owned(), Some("x.example.com".to_owned()))]);
        let draft = Draft {
            profile: "s".to_owned(),
            new: true,
            step: Step::Network,
            fields,
            imported: None,
            certificates: None,
        };
        keep(&place, &draft).unwrap();
        let path = file(&place, "s").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(list(&place).iter().map(|d| (d.name.as_str(), d.edits)).collect::<Vec<_>>(), [("s", 1)]);
        let opened = resume(&place, "s").unwrap();
        assert!(opened.new && opened.draft == Some(draft.clone()));
        assert_eq!(compare(&place, "s").unwrap()[2], "    draft    x.example.com");
        let other = Place { root: folder.path().join("b"), drafts: place.drafts.clone(), ..place };
        assert!(list(&other).is_empty());
        let place = Place { root: folder.path().join("a"), ..other };
        fs::write(folder.path().join(format!("drafts/t-{}.json", place.project())), "{ torn").unwrap();
        assert_eq!(list(&place).len(), 1, "half a file is no draft");
        keep(&place, &Draft { fields: BTreeMap::new(), ..draft.clone() }).unwrap();
        assert!(!path.exists(), "nothing changed is nothing to keep");
        assert!(keep(&place, &Draft { profile: "../x".into(), ..draft }).is_err());
    }
}
