//! What every command knows: where the project is, and how to speak.

use crate::problem::{Problem, Result};
use crate::site::resolve::Lookup;
use crate::site::{FieldFlags, ResolvedSite, Sources, files, resolve};
use crate::store::Store;
use std::path::{Path, PathBuf};

/// The setting of one call of the program.
#[derive(Debug, Clone)]
pub struct Context {
    /// The project's root: the folder that holds `components/hook.yaml`.
    pub root: PathBuf,
    /// Machine-readable output.
    pub json: bool,
    /// Plain lines even on a terminal.
    pub plain: bool,
    /// Say what would be done, and do nothing.
    pub dry_run: bool,
}

impl Context {
    /// Finds the project's root: `root` if given, else the nearest folder upwards from the working
    /// folder that holds `components/hook.yaml`.
    pub fn find_root(root: Option<&Path>) -> Result<PathBuf> {
        let holds = |folder: &Path| folder.join("components/hook.yaml").is_file();
        let start = match root {
            Some(root) => root.to_owned(),
            None => std::env::current_dir()
                .map_err(|e| Problem::new("the working folder cannot be read").because(e))?,
        };
        let found = if root.is_some() {
            Some(start.as_path()).filter(|folder| holds(folder))
        } else {
            start.ancestors().find(|folder| holds(folder))
        };
        found.map(Path::to_owned).ok_or_else(|| {
            Problem::usage(format!(
                "{} is not in a hookos project: it has no components/hook.yaml",
                start.display()
            ))
            .remedy("work in a clone of the project, or name it with --root or HOOKOS_ROOT")
        })
    }

    /// Opens the store.
    pub fn store(&self) -> Result<Store> {
        Ok(Store::open(Store::default_root())?)
    }

    /// How this user and this project speak to registries.
    pub fn registry(&self) -> Result<crate::oci::registry::Options> {
        crate::oci::registry::Options::of_user(&self.root)
    }

    /// `out/<profile>`.
    pub fn out(&self, profile: &str) -> PathBuf {
        self.root.join("out").join(profile)
    }

    /// Prints a command's result: the value as JSON, or the text.
    pub fn answer(&self, value: &impl serde::Serialize, text: &str) -> Result<()> {
        if self.json {
            let json = serde_json::to_string_pretty(value)
                .map_err(|e| Problem::new("cannot print the result").because(e))?;
            println!("{json}");
        } else {
            println!("{text}");
        }
        Ok(())
    }

    /// Loads a profile and resolves every field of it; warnings go to standard error.
    pub fn site(&self, profile: &str, flags: FieldFlags) -> Result<ResolvedSite> {
        let (found, profile) = files::load(&self.root, profile)?;
        let env: &Lookup = &Sources::environment;
        let sources = Sources { profile: Some(&profile), flags: flags.0, env: Some(env), ambient: false };
        let (site, warnings) = resolve(&found.name, &sources).into_result()?;
        for warning in warnings {
            eprintln!("hookos: warning: {warning}");
        }
        Ok(site)
    }
}
