//! `hookos configure`: writes a profile and shows every value with its origin. It never prompts.

use super::context::Context;
use super::profile_arg::ProfileArg;
use crate::problem::{Problem, Result};
use crate::site::config_file;
use crate::site::files::{self, Found};
use crate::site::resolve::{Lookup, together};
use crate::site::save::{self, Secrets};
use crate::site::{Field, FieldFlags, Origin, Profile, ResolvedSite, Section, Sources, Value, docs, resolve};
use serde_json::json;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Write a site's profile from flags, the environment and a `config` file, and show every value.
///
/// Settings come from the profile, a `config` file (--import), HOOKOS_... variables and flags; the last
/// named wins. A new profile also takes the machine's http_proxy, https_proxy, no_proxy.
/// Nothing is ever asked.
#[derive(Debug, clap::Args)]
pub struct ConfigureArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// Take the settings of a HookOS `config` file.
    #[arg(long, value_name = "FILE")]
    import: Option<PathBuf>,
    /// Write the settings as a HookOS `config` file; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    export_config: Option<PathBuf>,
    /// Forget what the profile says of a field, such as network.no_proxy; may be repeated.
    #[arg(long, value_name = "FIELD")]
    unset: Vec<String>,
    /// Save a new profile in the user's folder, not in the project's.
    #[arg(long)]
    user: bool,
    /// Print an empty `config` file with every key and its help.
    #[arg(long, exclusive = true)]
    template: bool,
    /// Print docs/fields.md.
    #[arg(long = "fields", exclusive = true)]
    fields_md: bool,
    /// Print profiles/example.toml.
    #[arg(long, exclusive = true)]
    example: bool,
    #[command(flatten)]
    fields: FieldFlags,
}

pub fn run(args: ConfigureArgs, context: &Context) -> Result<()> {
    if args.template {
        return say(&config_file::template());
    }
    if args.fields_md {
        return say(&docs::fields_md());
    }
    if args.example {
        return say(&docs::example_profile());
    }
    let env: &Lookup = &Sources::environment;
    let name = args.profile.given().ok_or_else(|| {
        Problem::usage("no profile is named").remedy("hookos configure NAME --cluster-domain DOMAIN")
    })?;
    let Found { name, path } = files::place_for(&context.root, name, args.user)?;
    let new = !path.exists();
    let mut profile = if new { Profile::new(&name) } else { Profile::load(&path)? };
    let before = profile.text();
    if let Some(problem) = together(profile.problems().to_vec()) {
        return Err(problem);
    }
    for name in &args.unset {
        profile.unset(field_named(name)?);
    }
    let mut warnings = Vec::new();
    if let Some(file) = &args.import {
        let bytes = std::fs::read(file)
            .map_err(|e| Problem::usage("the file cannot be read").in_file(file).because(e))?;
        warnings.extend(config_file::import(&mut profile, file, &bytes)?);
    }
    let sources = Sources { profile: Some(&profile), flags: args.fields.0, env: Some(env), ambient: new };
    let (site, more) = resolve(&name, &sources).into_result()?;
    warnings.extend(more);
    let applied = save::apply(&mut profile, &site, &path, Secrets::Refuse)?;
    warnings.extend(applied.warnings);
    let changed = applied.changed;
    if new && changed.is_empty() && args.import.is_none() {
        return Err(nothing_given(&name, &site));
    }
    let text = profile.text();
    let dirty = new || text != before || before != on_disk(&path);
    let mut backup = None;
    if dirty && !context.dry_run {
        backup = profile.save(&path)?;
    }
    let exported = match &args.export_config {
        Some(file) => Some((file, config_file::export(&site, profile.extra())?)),
        None => None,
    };
    if let Some((file, text)) = &exported
        && file.as_os_str() != "-"
        && !context.dry_run
    {
        files::write(file, text.as_bytes())?;
    }
    warn(&warnings);
    if context.json {
        return print_json(&json!({
            "profile": name,
            "file": path,
            "saved": dirty && !context.dry_run,
            "would_save": dirty,
            "text": context.dry_run.then_some(text),
            "backup": backup,
            "config": exported.map(|(_, text)| text),
            "fields": site_json(&site),
            "missing": missing_json(&site),
            "warnings": warnings_json(&warnings),
        }));
    }
    if let Some((file, text)) = &exported
        && file.as_os_str() == "-"
    {
        return say(text);
    }
    let mut out = String::new();
    if context.dry_run {
        out.push_str(&format!("# would write {}\n{text}\n", path.display()));
    }
    out.push_str(&table(&site, false));
    match (dirty, context.dry_run) {
        (true, false) => out.push_str(&format!("\nsaved {}\n", path.display())),
        (true, true) => out.push_str("\nnothing is written (--dry-run)\n"),
        (false, _) => out.push_str(&format!("\nunchanged {}\n", path.display())),
    }
    if let Some(backup) = backup {
        out.push_str(&format!("the old file is kept as {}\n", backup.display()));
    }
    say(&out)?;
    warn(&missing(&site).into_iter().collect::<Vec<_>>());
    Ok(())
}

fn on_disk(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The field that a person named, or the problem that there is none.
pub(super) fn field_named(name: &str) -> Result<&'static Field> {
    Field::named(name).ok_or_else(|| {
        Problem::usage(format!("there is no field {name:?}")).remedy("all fields: docs/fields.md")
    })
}

fn nothing_given(name: &str, site: &ResolvedSite) -> Problem {
    let flags: Vec<_> =
        site.missing_for_onboarding().iter().map(|f| format!("--{} ({})", f.flag, f.env)).collect();
    Problem::usage(format!("there is no profile {name:?}, and no setting is given to make one")).remedy(
        format!(
            "give --cluster-domain and what does not follow from it, or --import FILE; not set yet:\n{}",
            flags.join("\n")
        ),
    )
}

/// What an image of this site lacks to register its machine.
pub(super) fn missing(site: &ResolvedSite) -> Option<Problem> {
    let fields = site.missing_for_onboarding();
    if fields.is_empty() {
        return None;
    }
    let names: Vec<_> = fields.iter().map(|f| f.path()).collect();
    let flags: Vec<_> = fields.iter().map(|f| format!("--{}", f.flag)).collect();
    Some(
        Problem::usage(format!(
            "a machine with this image cannot register itself: {} not set",
            names.join(", ")
        ))
        .remedy(flags.join(" ")),
    )
}

/// Every field that has a value (or every field), with its value masked and its origin.
pub(super) fn table(site: &ResolvedSite, all: bool) -> String {
    let mut out = String::new();
    let shown = |f: &Field, v: &Option<Value>| v.as_ref().map_or_else(|| "-".to_owned(), |v| v.shown(f.kind));
    let rows: Vec<_> = site
        .iter()
        .filter(|(_, r)| all || r.value.is_some() || !matches!(r.origin, Origin::Default | Origin::Domain))
        .map(|(f, r)| (f, shown(f, &r.value), r.origin.to_string()))
        .collect();
    let keys = rows.iter().map(|(f, ..)| f.key.len()).max().unwrap_or(0);
    let values = rows.iter().map(|(_, v, _)| v.chars().count()).max().unwrap_or(0).min(48);
    for section in Section::ALL {
        let mut rows = rows.iter().filter(|(f, ..)| f.section == *section).peekable();
        if rows.peek().is_some() {
            out.push_str(&format!("[{}]\n", section.name()));
        }
        for (field, value, origin) in rows {
            out.push_str(&format!("  {:keys$}  {value:values$}  ({origin})\n", field.key));
        }
    }
    out
}

/// Every field with its value masked and its origin.
pub(super) fn site_json(site: &ResolvedSite) -> serde_json::Value {
    site.iter()
        .map(|(f, r)| {
            json!({
                "field": f.path(),
                "value": r.value.as_ref().map(|v| v.json(f.kind)),
                "origin": r.origin.to_string(),
            })
        })
        .collect()
}

pub(super) fn missing_json(site: &ResolvedSite) -> serde_json::Value {
    site.missing_for_onboarding().iter().map(|f| f.path()).collect()
}

pub(super) fn warnings_json(warnings: &[Problem]) -> serde_json::Value {
    warnings.iter().map(ToString::to_string).collect()
}

/// Shows warnings on standard error.
pub(super) fn warn(warnings: &[Problem]) {
    for warning in warnings {
        eprintln!("hookos: warning: {warning}");
    }
}

/// Prints text; a reader that has gone away is no problem.
pub(super) fn say(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Problem::new("standard output cannot be written").because(e))
        }
        _ => Ok(()),
    }
}

pub(super) fn print_json(value: &serde_json::Value) -> Result<()> {
    say(&format!("{value:#}\n"))
}
