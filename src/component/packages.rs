//! Which packages a recipe gets: what its lock says, or what the archive answers.

use super::build::Context;
use super::definition::{Definition, Recipe};
use crate::debian::apt::Freshness;
use crate::debian::lock::{LockError, Mode, PackageLock, Request};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use std::path::PathBuf;
use std::time::Duration;

const ABOUT_LOCK: &str = "Written by `hookos components --update`. Change component.toml, not this file.";

/// A lock that answers a recipe, and whether the archive was asked just now.
pub(super) struct Settled {
    pub lock: PackageLock,
    pub resolved: bool,
}

/// The lock file of a component.
pub(super) fn lock_path(definition: &Definition) -> PathBuf {
    definition.folder.join("packages.lock")
}

/// The packages of the lock, if it answers what the recipe asks for now.
pub(super) fn locked(definition: &Definition, recipe: &Recipe) -> Option<Vec<crate::debian::lock::Package>> {
    let request = Request::new(recipe.suite.get_ref(), &recipe.packages, &recipe.leave_out);
    if request.packages.is_empty() {
        return Some(Vec::new());
    }
    let lock = PackageLock::read(&lock_path(definition)).ok()??;
    (lock.request == request).then_some(lock.packages)
}

/// Reads the lock, or asks the archive, as the mode says. Fetches no package.
pub(super) fn settle(
    ctx: &Context,
    definition: &Definition,
    recipe: &Recipe,
    progress: &dyn Progress,
) -> Result<Settled> {
    let request = Request::new(recipe.suite.get_ref(), &recipe.packages, &recipe.leave_out);
    if request.packages.is_empty() {
        return Ok(Settled { lock: PackageLock::new(request, Vec::new()), resolved: true });
    }
    let path = lock_path(definition);
    let renew = format!("hookos components --update {}", definition.name);
    if ctx.mode == Mode::Update {
        return resolve(ctx, definition, request, Freshness::Now, progress);
    }
    let found = PackageLock::read(&path).map_err(|e| {
        let problem = match &e {
            LockError::Toml { line, .. } => {
                Problem::usage("the package lock is damaged").at(&path, *line, None)
            }
            _ => Problem::usage("the package lock cannot be used").in_file(&path),
        };
        problem.because(e).remedy(format!("write it anew: {renew}"))
    })?;
    match found {
        Some(lock) if lock.request == request => Ok(Settled { lock, resolved: false }),
        Some(lock) if ctx.mode == Mode::Locked => {
            Err(Problem::usage("the package lock was made for another component.toml")
                .in_file(&path)
                .because(std::io::Error::other(difference(&lock.request, &request)))
                .remedy(format!("renew it: {renew}, or build without --locked")))
        }
        None if ctx.mode == Mode::Locked => {
            Err(Problem::usage("there is no package lock, and --locked asks for it")
                .in_file(&path)
                .remedy(format!("make it: {renew}, or build without --locked")))
        }
        found => {
            if let Some(lock) = found {
                progress.log(&format!("packages.lock is renewed: {}", difference(&lock.request, &request)));
            }
            resolve(ctx, definition, request, Freshness::Within(Duration::from_secs(3600)), progress)
        }
    }
}

/// Asks the archive and writes the lock.
pub(super) fn resolve(
    ctx: &Context,
    definition: &Definition,
    request: Request,
    freshness: Freshness,
    progress: &dyn Progress,
) -> Result<Settled> {
    let (suite, leave_out) = (&request.suite, &request.leave_out);
    let packages = ctx
        .apt
        .resolve(suite, &request.packages, leave_out, freshness, progress)
        .map_err(|e| Problem::from(e).in_file(definition.folder.join(super::definition::FILE)))?;
    let lock = PackageLock::new(request, packages);
    lock.write(&lock_path(definition), ABOUT_LOCK)?;
    Ok(Settled { lock, resolved: true })
}

fn difference(old: &Request, new: &Request) -> String {
    let mut parts = Vec::new();
    if old.suite != new.suite {
        parts.push(format!("suite {} became {}", old.suite, new.suite));
    }
    for (what, old, new) in
        [("", &old.packages, &new.packages), ("leave_out ", &old.leave_out, &new.leave_out)]
    {
        parts.extend(new.iter().filter(|n| !old.contains(n)).map(|n| format!("{what}{n} is new")));
        parts.extend(old.iter().filter(|n| !new.contains(n)).map(|n| format!("{what}{n} is gone")));
    }
    parts.join(", ")
}
