//! `hookos profiles`: list, show, compare, import and export profiles.

use super::configure::{missing, missing_json, print_json, say, site_json, table, warn, warnings_json};
use super::context::Context;
use crate::problem::{Problem, Result};
use crate::site::resolve::together;
use crate::site::{Profile, ResolvedSite, Sources, config_file, files, resolve};
use serde_json::json;
use std::path::PathBuf;

/// List, show, compare, import and export profiles.
#[derive(Debug, clap::Args)]
pub struct ProfilesArgs {
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// A HookOS `config` file.
    Config,
    /// A profile.
    Toml,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// List the profiles of the project and of the user.
    List,
    /// Show every field of a profile with its origin. The environment does not count.
    Show { profile: String },
    /// Show the fields in which two profiles differ; with one profile, how it differs from the defaults.
    Diff { one: String, other: Option<String> },
    /// Make a profile from a HookOS `config` file or from another profile's file.
    Import {
        file: PathBuf,
        /// The new profile's name.
        profile: String,
        /// Replace a profile that is there.
        #[arg(long)]
        replace: bool,
        /// Save it in the user's folder, not in the project's.
        #[arg(long)]
        user: bool,
    },
    /// Write a profile as a HookOS `config` file or as it is.
    Export {
        profile: String,
        /// Where to (default: standard output).
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
        #[arg(long, value_enum, default_value_t = Format::Config)]
        format: Format,
    },
}

pub fn run(args: ProfilesArgs, context: &Context) -> Result<()> {
    match args.action.unwrap_or(Action::List) {
        Action::List => list(context),
        Action::Show { profile } => show(&profile, context),
        Action::Diff { one, other } => diff(&one, other.as_deref(), context),
        Action::Import { file, profile, replace, user } => import(&file, &profile, replace, user, context),
        Action::Export { profile, output, format } => export(&profile, output, format, context),
    }
}

/// A profile's own values, whatever the environment says.
fn load(name: &str, context: &Context) -> Result<(Profile, ResolvedSite, Vec<Problem>)> {
    let (found, profile) = files::load(&context.root, name)?;
    let resolution = resolve(&found.name, &Sources { profile: Some(&profile), ..Sources::default() });
    let (site, warnings) = resolution.into_result()?;
    Ok((profile, site, warnings))
}

fn list(context: &Context) -> Result<()> {
    let mut rows = Vec::new();
    for found in files::list(&context.root)? {
        // A broken profile is listed, with what is wrong.
        let state = match load(&found.path.to_string_lossy(), context) {
            Ok((_, site, _)) => Ok(site),
            Err(problem) => Err(problem.to_string()),
        };
        rows.push((found, state));
    }
    if context.json {
        let rows = rows.iter().map(|(found, state)| {
            json!({
                "profile": found.name,
                "file": found.path,
                "problem": state.as_ref().err(),
                "complete": state.as_ref().is_ok_and(|s| s.missing_for_onboarding().is_empty()),
                "placeholder": state.as_ref().is_ok_and(ResolvedSite::placeholder_certificates),
            })
        });
        return print_json(&rows.collect());
    }
    if rows.is_empty() {
        return say("no profiles; make one with `hookos configure --profile NAME`\n");
    }
    let width = rows.iter().map(|(f, _)| f.name.len()).max().unwrap_or(0);
    let mut out = String::new();
    for (found, state) in &rows {
        let state = match state {
            Err(_) => "  has problems (hookos profiles show)".to_owned(),
            Ok(site) => {
                let missing = site.missing_for_onboarding().len();
                let missing =
                    if missing > 0 { format!("  {missing} endpoints not set") } else { String::new() };
                let trial = if site.placeholder_certificates() { "  placeholder certificates" } else { "" };
                format!("{missing}{trial}")
            }
        };
        out.push_str(&format!("{:width$}  {}{state}\n", found.name, found.path.display()));
    }
    say(&out)
}

fn show(name: &str, context: &Context) -> Result<()> {
    let (profile, site, warnings) = load(name, context)?;
    warn(&warnings);
    if context.json {
        return print_json(&json!({
            "profile": site.name,
            "file": profile.path(),
            "fields": site_json(&site),
            "missing": missing_json(&site),
            "warnings": warnings_json(&warnings),
        }));
    }
    say(&table(&site, true))?;
    warn(&missing(&site).into_iter().collect::<Vec<_>>());
    Ok(())
}

fn diff(one: &str, other: Option<&str>, context: &Context) -> Result<()> {
    let (_, a, mut warnings) = load(one, context)?;
    let (b, b_name) = match other {
        Some(name) => {
            let (_, site, more) = load(name, context)?;
            warnings.extend(more);
            (site, name)
        }
        None => (resolve("defaults", &Sources::default()).site, "defaults"),
    };
    warn(&warnings);
    let pairs: Vec<_> = a.iter().zip(b.iter()).filter(|((_, x), (_, y))| x.value != y.value).collect();
    if context.json {
        let rows = pairs.iter().map(|((f, x), (_, y))| {
            let side = |r: &crate::site::Resolved| {
                json!({ "value": r.value.as_ref().map(|v| v.json(f.kind)), "origin": r.origin.to_string() })
            };
            json!({ "field": f.path(), "one": side(x), "other": side(y) })
        });
        return print_json(&json!({ "one": one, "other": b_name, "fields": rows.collect::<Vec<_>>() }));
    }
    let mut out = String::new();
    for ((field, x), (_, y)) in &pairs {
        out.push_str(&format!("{}\n", field.path()));
        for (name, r) in [(one, x), (b_name, y)] {
            let value = r.value.as_ref().map_or_else(|| "-".to_owned(), |v| v.shown(field.kind));
            out.push_str(&format!("  {name}: {value}  ({})\n", r.origin));
        }
    }
    if pairs.is_empty() {
        out.push_str("no field differs\n");
    }
    say(&out)
}

fn import(file: &PathBuf, name: &str, replace: bool, user: bool, context: &Context) -> Result<()> {
    let place = files::place_for(&context.root, name, user)?;
    if place.path.exists() && !replace {
        return Err(Problem::usage(format!("the profile {} is there already", place.name))
            .in_file(&place.path)
            .remedy("--replace replaces it; `hookos configure --import` adds to it"));
    }
    let bytes = std::fs::read(file)
        .map_err(|e| Problem::usage("the file cannot be read").in_file(file).because(e))?;
    let (mut profile, mut warnings) = if file.extension().is_some_and(|e| e == "toml") {
        (Profile::from_bytes(file, &bytes)?, Vec::new())
    } else {
        let mut profile = Profile::new(&place.name);
        let warnings = config_file::import(&mut profile, file, &bytes)?;
        (profile, warnings)
    };
    let (site, more) =
        resolve(&place.name, &Sources { profile: Some(&profile), ..Sources::default() }).into_result()?;
    warnings.extend(more);
    warnings.extend(missing(&site));
    warn(&warnings);
    if !context.dry_run {
        profile.save_as_new(&place.path)?;
    }
    if context.json {
        return print_json(&json!({
            "profile": place.name,
            "file": place.path,
            "saved": !context.dry_run,
            "text": context.dry_run.then(|| profile.text()),
            "warnings": warnings_json(&warnings),
        }));
    }
    if context.dry_run {
        return say(&format!("# would write {}\n{}", place.path.display(), profile.text()));
    }
    say(&format!("saved {}\n", place.path.display()))
}

fn export(name: &str, output: Option<PathBuf>, format: Format, context: &Context) -> Result<()> {
    let (profile, site, warnings) = load(name, context)?;
    if let Some(problem) = together(profile.problems().to_vec()) {
        return Err(problem);
    }
    warn(&warnings);
    let text = match format {
        Format::Config => config_file::export(&site, profile.extra())?,
        Format::Toml => profile.text(),
    };
    match output {
        Some(file) if !context.dry_run => {
            files::write(&file, text.as_bytes())?;
            if context.json {
                return print_json(&json!({ "file": file }));
            }
            say(&format!("wrote {}\n", file.display()))
        }
        _ if context.json => print_json(&json!({ "text": text })),
        _ => say(&text),
    }
}
