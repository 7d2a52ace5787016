//! `kernel/debian.toml` and `kernel/packages.lock`: which packages the kernel is made of.

use crate::debian::apt::{Apt, Freshness};
use crate::debian::lock::{LockError, Mode, Package, PackageLock, Request};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use serde::Deserialize;
use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Lists of a suite that are not older than this will do for a lock that is not there yet.
const FRESH: Duration = Duration::from_secs(6 * 60 * 60);

const ABOUT_LOCK: &str = "Written by `hookos kernel --update`. Change debian.toml, not this file.";

/// How every package of a Debian kernel begins.
const IMAGE: &str = "linux-image-";

/// What is asked of Debian.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// A code name: stands for the suite with its updates and security updates.
    pub suite: String,
    /// One kernel, and what has firmware.
    pub packages: Vec<String>,
}

impl Recipe {
    pub const FILE: &'static str = "debian.toml";
    pub const LOCK: &'static str = "packages.lock";

    /// Reads `debian.toml` in `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(Self::FILE);
        let text = fs::read_to_string(&path)
            .map_err(|e| Problem::usage("the kernel's recipe cannot be read").in_file(&path).because(e))?;
        let recipe: Self = toml::from_str(&text).map_err(|e| {
            let before = &text[..e.span().map_or(0, |s| s.start.min(text.len()))];
            Problem::usage(e.message().to_owned())
                .at(&path, before.matches('\n').count() + 1, None)
                .remedy("give `suite` and `packages`, as docs/kernel.md shows")
        })?;
        if !recipe.packages.iter().any(|name| name.starts_with(IMAGE)) {
            return Err(Problem::usage("`packages` names no kernel")
                .in_file(&path)
                .remedy("add linux-image-amd64, or a kernel by its full name"));
        }
        Ok(recipe)
    }

    /// The exact packages: out of the lock beside the recipe, or resolved anew as `mode` says.
    pub fn packages(
        &self,
        folder: &Path,
        mode: Mode,
        apt: &Apt,
        progress: &dyn Progress,
    ) -> Result<Vec<Package>> {
        let path = folder.join(Self::LOCK);
        let request = Request::new(&self.suite, &self.packages, &[]);
        let known = PackageLock::read(&path).map_err(|e| {
            let problem = Problem::usage("the kernel's lock cannot be used").because(&e);
            let problem = match e {
                LockError::Toml { line, .. } => problem.at(&path, line, None),
                _ => problem.in_file(&path),
            };
            problem.remedy("make it anew: `hookos kernel --update`")
        })?;
        if let Some(lock) = known.filter(|lock| lock.request == request && mode != Mode::Update) {
            return Ok(lock.packages);
        }
        if mode == Mode::Locked {
            return Err(Problem::usage(format!("the lock does not answer {}", Self::FILE))
                .in_file(&path)
                .remedy("renew it: `hookos kernel --update`, and keep the change with the project"));
        }
        let freshness = if mode == Mode::Update { Freshness::Now } else { Freshness::Within(FRESH) };
        progress.log(&format!("resolving {} in {}", self.packages.join(", "), self.suite));
        let closure = apt.resolve(&self.suite, &self.packages, &[], freshness, progress)?;
        let packages = self.of_use(closure);
        if !packages.iter().any(|p| p.name.starts_with(IMAGE)) {
            return Err(Problem::new(format!("suite {} has no kernel for this recipe", self.suite))
                .in_file(folder.join(Self::FILE)));
        }
        PackageLock::new(request, packages.clone()).write(&path, ABOUT_LOCK)?;
        Ok(packages)
    }

    /// A kernel's closure brings what makes an initramfs on an installed system; nothing of that is
    /// of use here, nor is a package that only names the newest kernel.
    fn of_use(&self, closure: Vec<Package>) -> Vec<Package> {
        let is_kernel = |p: &Package| {
            p.name.strip_prefix(IMAGE).is_some_and(|v| v.starts_with(|c: char| c.is_ascii_digit()))
        };
        let any = closure.iter().any(is_kernel);
        let asked = |p: &Package| self.packages.contains(&p.name);
        closure
            .into_iter()
            .filter(|p| if p.name.starts_with(IMAGE) { is_kernel(p) || (asked(p) && !any) } else { asked(p) })
            .collect()
    }
}

pub(super) fn renewable(error: crate::debian::Error) -> Problem {
    let gone = matches!(error, crate::debian::Error::Gone { .. });
    let problem = Problem::from(error);
    if gone { problem.remedy("renew the lock: `hookos kernel --update`") } else { problem }
}

/// A problem of the system with a file.
pub(super) fn io_problem(what: &str, file: &Path) -> impl FnOnce(io::Error) -> Problem {
    let problem = Problem::new(what).in_file(file);
    move |error| problem.because(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::debian::apt;
    use crate::progress::Silent;
    use crate::store::{Digest, Store};

    fn package(name: &str) -> Package {
        Package {
            name: name.into(),
            version: "5.10.262-1".into(),
            architecture: "amd64".into(),
            sha256: Digest::of(name.as_bytes()),
            size: 1,
            file: format!("{name}.deb"),
        }
    }

    #[test]
    fn of_the_closure_only_the_kernel_and_firmware_stay() {
        let recipe = Recipe {
            suite: "bullseye".into(),
            packages: vec!["linux-image-amd64".into(), "firmware-linux-free".into()],
        };
        let names = ["firmware-linux-free", "kmod", "linux-image-5.10.0-46-amd64", "linux-image-amd64"];
        let kept = recipe.of_use(names.map(package).to_vec());
        let kept: Vec<_> = kept.iter().map(|p| p.name.as_str()).collect();
        assert_eq!(kept, ["firmware-linux-free", "linux-image-5.10.0-46-amd64"]);
    }

    #[test]
    fn a_lock_that_answers_is_taken_without_apt_and_one_that_does_not_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let store = Store::open(folder.join("store")).unwrap();
        let apt = Apt::new(&store, &apt::Settings { mirror: Some("none".into()), security_mirror: None });
        fs::write(folder.join(Recipe::FILE), "suite = 'bullseye'\npackages = ['linux-image-amd64']\n")
            .unwrap();
        let recipe = Recipe::read(folder).unwrap();
        let problem = recipe.packages(folder, Mode::Locked, &apt, &Silent).unwrap_err();
        assert!(problem.to_string().contains("kernel --update"), "{problem}");
        let request = Request::new("bullseye", &recipe.packages, &[]);
        PackageLock::new(request, vec![package("linux-image-1")])
            .write(&folder.join(Recipe::LOCK), ABOUT_LOCK)
            .unwrap();
        assert_eq!(recipe.packages(folder, Mode::Locked, &apt, &Silent).unwrap(), [package("linux-image-1")]);
    }

    #[test]
    fn mistakes_in_the_recipe_name_their_line() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(Recipe::FILE), "suite = 'x'\npackage = []\n").unwrap();
        let problem = Recipe::read(folder.path()).unwrap_err();
        assert_eq!(problem.place().and_then(|p| p.line), Some(2), "{problem}");
        fs::write(folder.path().join(Recipe::FILE), "suite = 'x'\npackages = ['kmod']\n").unwrap();
        assert!(Recipe::read(folder.path()).unwrap_err().to_string().contains("no kernel"));
    }
}
