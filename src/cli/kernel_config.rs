//! `hookos kernel --config`, `--config-diff`, `--config-check`: the configuration of a kernel from source.

use super::context::Context;
use super::kernel::Done;
use crate::kernel::source::options::{self, Change, Kind, Options};
use crate::kernel::source::{Plan, host};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::files;
use crate::store::Store;
use std::fs;
use std::io::IsTerminal as _;
use std::path::Path;
use std::process::Command;

/// Opens menuconfig; what it changes is saved into the configuration's file, whose comments stay.
pub fn change(plan: &Plan, store: &Store, context: &Context) -> Result<()> {
    if context.json || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Problem::usage("menuconfig needs a terminal")
            .in_file(&plan.config)
            .remedy("edit the file, then check it with `hookos kernel --config-check`"));
    }
    let progress = super::render::Short::start(context)?;
    let tarball = plan.settings.source.get(&plan.settings, store, &progress)?;
    drop(progress);
    let scratch = scratch(store)?;
    host::menuconfig(plan, &tarball, scratch.path(), &super::Lent(super::cancel_on_hang_up()?))?;
    let before = read(&plan.config)?;
    let tree = scratch.path().join("linux");
    let whole = options::parse(&read(&tree.join(".config"))?);
    let differing = options::parse(&read(&tree.join("defconfig"))?);
    let after = options::merged(&before, &whole, &differing);
    if after != before {
        files::write(&plan.config, after.as_bytes())?;
    }
    let changes = options::changes(&options::parse(&before), &options::parse(&after));
    context.answer(&changes, &text(&changes, &plan.config))
}

/// Says what has changed since the last commit, or from another file.
pub fn diff(plan: &Plan, other: Option<&Path>, context: &Context) -> Result<()> {
    let before = match other {
        Some(file) => read(file)?,
        None => committed(&plan.config)?,
    };
    let changes = options::changes(&options::parse(&before), &options::parse(&read(&plan.config)?));
    context.answer(&changes, &text(&changes, &plan.config))
}

/// Sets the source up and looks whether every option is as the file says.
pub fn check(plan: &Plan, store: &Store, progress: &dyn Progress) -> Result<Done> {
    let tarball = plan.settings.source.get(&plan.settings, store, progress)?;
    let scratch = scratch(store)?;
    host::configure(plan, &tarball, scratch.path(), progress)?;
    let whole: Options = options::parse(&read(&scratch.path().join("linux/.config"))?);
    let asked = read(&plan.config)?;
    let unmet = options::unmet(&asked, &whole);
    let count = |value: &str| whole.values().filter(|v| *v == value).count();
    if let Some(first) = unmet.first() {
        let lines: Vec<String> = unmet
            .iter()
            .map(|u| {
                let got = u.got.as_deref().unwrap_or("not there");
                format!("{}:{}: CONFIG_{} is {got}, not {}", plan.config.display(), u.line, u.name, u.wanted)
            })
            .collect();
        for line in &lines {
            progress.log(line);
        }
        let what = format!("{} options are not as the configuration says: {}", unmet.len(), lines.join("; "));
        return Err(Problem::new(what).at(&plan.config, first.line, None).remedy(
            "an option that is `not there` depends on one that is off, or this kernel does not have it",
        ));
    }
    let asked = options::parse(&asked).len();
    let text = format!(
        "{}: all {asked} options are as it says; Linux {} gets {} built in and {} modules",
        plan.config.display(),
        plan.settings.version(),
        count("y"),
        count("m")
    );
    let value = serde_json::json!({ "asked": asked, "built_in": count("y"), "modules": count("m") });
    Ok(Done { text, value })
}

fn scratch(store: &Store) -> Result<tempfile::TempDir> {
    tempfile::Builder::new()
        .prefix("kernel-")
        .tempdir_in(store.tmp())
        .map_err(|e| Problem::new("a folder for the source cannot be made").because(e))
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path)
        .map_err(|e| Problem::usage("the configuration cannot be read").in_file(path).because(e))
}

/// A file as the last commit has it; nothing for one that is new.
fn committed(path: &Path) -> Result<String> {
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else { return Ok(String::new()) };
    let git = |arguments: &[&str]| {
        Command::new("git").arg("-C").arg(folder).args(arguments).output().map_err(|e| {
            Problem::new("git cannot be asked for the last commit")
                .because(e)
                .remedy("name the file to compare with: --config-diff FILE")
        })
    };
    let inside = git(&["rev-parse", "--verify", "--quiet", "HEAD"])?;
    if !inside.status.success() {
        return Err(Problem::usage("there is no commit to compare with")
            .in_file(path)
            .remedy("name the file to compare with: --config-diff FILE"));
    }
    let shown = git(&["show", &format!("HEAD:./{}", name.to_string_lossy())])?;
    Ok(if shown.status.success() {
        String::from_utf8_lossy(&shown.stdout).into_owned()
    } else {
        String::new()
    })
}

fn text(changes: &[Change], file: &Path) -> String {
    if changes.is_empty() {
        return format!("{}: no option has changed", file.display());
    }
    let mut lines = Vec::new();
    for kind in Kind::ALL {
        let of: Vec<&Change> = changes.iter().filter(|change| change.kind == kind).collect();
        if !of.is_empty() {
            lines.push(format!("{} ({})", kind.title(), of.len()));
            lines.extend(of.iter().map(|change| format!("  {change}")));
        }
    }
    lines.join("\n")
}
