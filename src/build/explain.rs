//! Why each piece of work ran or was reused: what decides it, compared with the last build into the same folder.

use crate::problem::{Problem, Result};
use crate::site::{ResolvedSite, SiteCertificates};
use crate::store::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

/// The last build's pieces, in the folder of logs.
pub const FILE: &str = "work.json";

/// A piece of work of one build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Piece {
    /// Stage and item, as in `components/udev`.
    pub name: String,
    /// 64 hex digits, made of the inputs and of how this program works.
    pub key: String,
    /// What decides it: a digest or value by name.
    pub inputs: BTreeMap<String, String>,
    /// Whether its result was in the store.
    pub reused: bool,
    /// Whether the store keeps its result.
    #[serde(default = "yes")]
    pub kept: bool,
}

fn yes() -> bool {
    true
}

/// A piece of work, and why it went as it did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    pub name: String,
    pub reused: bool,
    pub why: String,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.reused { "reused" } else { "made" };
        write!(f, "{:<7} {:<34} {}", state, self.name, self.why)
    }
}

/// What decides a site's segment.
pub fn of_site(site: &ResolvedSite, certificates: &SiteCertificates) -> Vec<(String, String)> {
    let fields = site.iter().filter_map(|(field, resolved)| {
        let (text, shown) = (resolved.value.as_ref()?.text(), resolved.value.as_ref()?.shown(field.kind));
        // A change of a secret is seen by a few digits, from which nobody finds it.
        let tail =
            if shown == text { String::new() } else { Digest::of(text.as_bytes()).hex()[..4].to_owned() };
        Some((field.path(), format!("{shown}{tail}")))
    });
    let pem = [("ca.pem", certificates.ca.pem()), ("server_cert.pem", certificates.server.pem())];
    let pem = pem.map(|(name, pem)| (format!("certificate {name}"), Digest::of(&pem).hex()));
    fields.chain(pem).collect()
}

/// The pieces of the last build whose logs are in `logs`.
pub fn last(logs: &Path) -> Option<Vec<Piece>> {
    serde_json::from_slice(&fs::read(logs.join(FILE)).ok()?).ok()
}

/// Keeps the pieces for the next build.
pub fn keep(logs: &Path, pieces: &[Piece]) -> Result<()> {
    let path = logs.join(FILE);
    let bad = |e: std::io::Error| {
        Problem::new("what was done cannot be kept for the next build").in_file(&path).because(e)
    };
    let text = serde_json::to_vec(pieces).map_err(|e| bad(e.into()))?;
    crate::replace::write(&path, 0o644, &text).map_err(bad)
}

/// Compares each piece with the one of the last build, if there was one.
pub fn explain(now: &[Piece], last: Option<&[Piece]>) -> Vec<Explained> {
    let explain = |piece: &Piece| {
        // Sites of different bases have pieces of the same name.
        let before = last.map(|last| {
            let named = || last.iter().filter(|before| before.name == piece.name);
            named().find(|before| before.key == piece.key).or_else(|| named().next())
        });
        let why = match (before, piece.reused) {
            (None, true) => "it was made before; this is the first build into this folder".to_owned(),
            (None, false) => "first build into this folder".to_owned(),
            (Some(None), true) => "new in this image; it was made before".to_owned(),
            (Some(None), false) => "new in this image".to_owned(),
            (Some(Some(before)), reused) => since(piece, before, reused),
        };
        Explained { name: piece.name.clone(), reused: piece.reused, why }
    };
    now.iter().map(explain).collect()
}

fn since(piece: &Piece, before: &Piece, reused: bool) -> String {
    if piece.key == before.key {
        return match (reused, piece.kept) {
            (true, _) => "nothing that decides it has changed".to_owned(),
            (false, true) => "nothing has changed, but the store did not have its result any more".to_owned(),
            (false, false) => {
                "nothing that decides it has changed; it is small, and made each time".to_owned()
            }
        };
    }
    let changes = changes(&before.inputs, &piece.inputs);
    let what = match changes.as_slice() {
        [] => "this program makes it in another way than the one before".to_owned(),
        [only] => only.clone(),
        [first, second] => format!("{first}; {second}"),
        [first, second, rest @ ..] => format!("{first}; {second}; and {} more", rest.len()),
    };
    if reused { format!("{what}; it was made before with these inputs") } else { what }
}

/// What differs, in words.
fn changes(before: &BTreeMap<String, String>, now: &BTreeMap<String, String>) -> Vec<String> {
    let changed = now.iter().filter_map(|(name, value)| match before.get(name) {
        None => Some(format!("{name} is new")),
        Some(old) if old != value => Some(format!("{name} has changed")),
        Some(_) => None,
    });
    let gone = before.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone"));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(key: &str, inputs: &[(&str, &str)], reused: bool) -> Piece {
        let inputs = inputs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Piece { name: "components/udev".to_owned(), key: key.to_owned(), inputs, reused, kept: true }
    }

    fn why(now: &Piece, before: &Piece) -> String {
        explain(std::slice::from_ref(now), Some(std::slice::from_ref(before))).remove(0).why
    }

    #[test]
    fn every_reason_has_words() {
        let old = piece("1", &[("package udev", "a"), ("file rules", "b")], false);
        assert_eq!(why(&piece("1", &[], true), &old), "nothing that decides it has changed");
        assert!(why(&piece("1", &[], false), &old).contains("store did not have"));
        let site = Piece { kept: false, ..piece("1", &[], false) };
        assert_eq!(why(&site, &site), "nothing that decides it has changed; it is small, and made each time");
        let newer = piece("2", &[("package udev", "c"), ("file rules", "b")], false);
        assert_eq!(why(&newer, &old), "package udev has changed");
        let other = piece("2", &[("package udev", "a"), ("package kmod", "b")], true);
        assert_eq!(
            why(&other, &old),
            "package kmod is new; file rules is gone; it was made before with these inputs"
        );
        assert!(
            why(&piece("2", &[("package udev", "a"), ("file rules", "b")], false), &old).contains("program")
        );
        assert_eq!(explain(std::slice::from_ref(&newer), None)[0].why, "first build into this folder");
        assert_eq!(explain(std::slice::from_ref(&newer), Some(&[]))[0].why, "new in this image");
    }

    #[test]
    fn what_was_kept_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(last(folder.path()), None);
        let pieces = vec![piece("1", &[("a", "b")], true)];
        keep(folder.path(), &pieces).unwrap();
        assert_eq!(last(folder.path()), Some(pieces));
        fs::write(folder.path().join(FILE), "half").unwrap();
        assert_eq!(last(folder.path()), None);
    }
}
