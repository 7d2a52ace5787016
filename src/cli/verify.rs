//! `hookos verify`: is a finished image what its record says, and does a build make it again?

use super::context::Context;
use super::render::Short;
use crate::build::verify::{Check, verify};
use crate::problem::{Problem, Result};
use crate::store::Store;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Check a finished image against its record: every file and segment by digest, archive, SBOM, provenance.
///
/// With --rebuild the profile is built again in an empty store, and the files are compared byte for byte. That
/// takes as long as a first build, and needs what one needs.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder that a build left, or the name of a profile: its out/PROFILE.
    #[arg(default_value = "lab", value_name = "FOLDER|PROFILE")]
    what: PathBuf,
    /// Build it again with nothing from the store, and compare.
    #[arg(long)]
    rebuild: bool,
}

pub fn run(args: &VerifyArgs, context: &Context) -> Result<()> {
    let named = context.out(&args.what.to_string_lossy());
    let out = if args.what.is_dir() { args.what.clone() } else { named };
    let progress = Short::start(context)?;
    let mut found = verify(&out, &progress)?;
    if args.rebuild {
        found.checks.extend(rebuild(&out, &found.profile, context, &progress)?);
    }
    drop(progress);
    let line = |check: &Check| match &check.wrong {
        None => format!("ok     {}", check.what),
        Some(why) => format!("WRONG  {}: {why}", check.what),
    };
    let text: Vec<String> = found.checks.iter().map(line).collect();
    context.answer(&found, &text.join("\n"))?;
    if found.is_good() {
        return Ok(());
    }
    Err(Problem::new(format!("{} is not what its record says", out.display()))
        .remedy(format!("do not use it; build it again: hookos build {}", found.profile)))
}

/// Builds the profile in a store of its own; says which files differ.
fn rebuild(out: &Path, profile: &str, context: &Context, progress: &Short) -> Result<Vec<Check>> {
    let failed = |e: std::io::Error| Problem::new("the image cannot be built again").because(e);
    let folder = tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(Store::open(Store::default_root())?.tmp())
        .map_err(failed)?;
    let (store, again) = (folder.path().join("store"), folder.path().join("out"));
    progress.say(&format!("building {profile} again, in an empty store"));
    let program = std::env::current_exe().map_err(failed)?;
    let status = Command::new(program)
        .args(["build", profile, "--locked", "--plain", "--out"])
        .arg(&again)
        .arg("--root")
        .arg(&context.root)
        .env("HOOKOS_CACHE", &store)
        .stdout(std::process::Stdio::null())
        .status()
        .map_err(failed)?;
    if !status.success() {
        return Err(Problem::new(format!("{profile} cannot be built again: {status}"))
            .remedy("what was wrong is said above"));
    }
    let names = std::fs::read_dir(&again).map_err(failed)?.flatten().filter(|entry| entry.path().is_file());
    let mut checks: Vec<Check> = names
        .map(|entry| {
            let name = entry.file_name();
            let same = |a: &Path, b: &Path| Ok::<_, std::io::Error>(std::fs::read(a)? == std::fs::read(b)?);
            let wrong = match same(&out.join(&name), &entry.path()) {
                Ok(true) => None,
                Ok(false) => Some("it is not the same when it is built again".to_owned()),
                Err(e) => Some(e.to_string()),
            };
            Check { what: format!("{} built again", name.to_string_lossy()), wrong }
        })
        .collect();
    checks.sort_by(|a, b| a.what.cmp(&b.what));
    Ok(checks)
}
