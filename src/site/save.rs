//! What a person has said becomes part of a profile.

use super::field::{Default, Kind};
use super::resolve::{Origin, ResolvedSite, together};
use super::{Field, Profile, Value};
use crate::problem::{Problem, Result};
use std::path::Path;

/// What happens to a secret that was given as a flag or typed. (One from the environment stays there.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrets {
    /// It is a problem: the person expects it to be saved.
    Refuse,
    /// It is left out, with a warning.
    LeaveOut,
}

/// What was changed in a profile.
#[derive(Debug, Default)]
pub struct Applied {
    pub changed: Vec<&'static Field>,
    pub warnings: Vec<Problem>,
}

/// Puts what flags, a person and the environment say into the profile; `path` is where it will be, from
/// which its paths count.
pub fn apply(profile: &mut Profile, site: &ResolvedSite, path: &Path, secrets: Secrets) -> Result<Applied> {
    let mut applied = Applied::default();
    let mut problems = Vec::new();
    for (field, resolved) in site.iter() {
        let given = match &resolved.origin {
            Origin::Flag(_) => None,
            Origin::Environment(name) | Origin::Ambient(name) => Some(*name),
            _ => continue,
        };
        let value = match (&resolved.value, field.kind) {
            (Some(Value::Text(text)), Kind::Path) => Some(Value::Text(for_profile(path, Path::new(text))?)),
            (value, _) => value.clone(),
        };
        let secret = value.as_ref().is_some_and(|v| field.kind.is_secret(&v.text()));
        if secret && (given.is_some() || secrets == Secrets::LeaveOut) {
            let name = given.map_or_else(|| field.path(), str::to_owned);
            applied.warnings.push(
                Problem::usage(format!("{name} is a secret, so it is not saved"))
                    .remedy(format!("keep it in the environment as {} when you build", field.env)),
            );
            continue;
        }
        applied.changed.push(field);
        match (value, field.default) {
            // Nothing to turn off: the field just goes.
            (None, Default::None) => profile.unset(field),
            (value, _) => {
                if let Err(problem) = profile.set(field, value) {
                    problems.push(problem);
                }
            }
        }
    }
    match together(problems) {
        None => Ok(applied),
        Some(problem) => Err(problem),
    }
}

/// A path as the profile says it: relative to the profile's folder where both lie in one tree.
pub(super) fn for_profile(profile: &Path, file: &Path) -> Result<String> {
    let whole = |path: &Path| {
        std::path::absolute(path)
            .map_err(|e| Problem::new("the path cannot be made absolute").in_file(path).because(e))
    };
    let (file, profile) = (whole(file)?, whole(profile)?);
    let folder = profile.parent().unwrap_or(Path::new("/"));
    let project = folder.parent().unwrap_or(folder);
    let text = match file.strip_prefix(folder) {
        Ok(below) => below.to_owned(),
        Err(_) => match file.strip_prefix(project) {
            Ok(beside) if project != Path::new("/") => Path::new("..").join(beside),
            _ => file.clone(),
        },
    };
    text.into_os_string().into_string().map_err(|_| Problem::usage("the path is not UTF-8").in_file(&file))
}
