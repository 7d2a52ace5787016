//! The recipe run with this machine's own compiler.

use super::lines::Lines;
use super::tarball::Tarball;
use super::{Plan, SCRIPT, tree};
use crate::initramfs::tree::Tree;
use crate::problem::{Problem, Result};
use crate::process::{self, Group};
use crate::progress::{Progress, Silent};
use crate::store::Store;
use rustix::process::Signal;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// After this long a compiler that was asked to stop is ended.
const PATIENCE: Duration = Duration::from_secs(5);

/// Compiles in `scratch`; gives the files of the result and the compiler's warnings.
pub(super) fn compile(
    plan: &Plan,
    tarball: &Tarball,
    scratch: &Path,
    store: &Store,
    progress: &dyn Progress,
) -> Result<(Tree, Vec<String>)> {
    let out = scratch.join("out");
    let lines = Lines::new(progress);
    let mut command = recipe(plan, "build", &tarball.path, scratch);
    command.arg(&out).env("JOBS", plan.settings.jobs.max(1).to_string());
    run(&mut command, &lines, &plan.settings.version())?;
    Ok((tree::of_folder(store, &out)?, lines.warnings()))
}

/// What of this machine's tools decides bytes, as the recipe tells it; a problem where one is missing.
pub fn tools(script: &Path, config: Option<&Path>) -> Result<String> {
    let output = Command::new("bash").arg(script).arg("tools").args(config).output().map_err(not_run)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(said);
    }
    let lines = Lines::new(&Silent);
    for line in said.lines().chain(String::from_utf8_lossy(&output.stderr).lines()) {
        lines.log(line);
    }
    Err(lines.problem(""))
}

/// Has the tree set up in `scratch`, with the whole configuration in `linux/.config`.
pub fn configure(plan: &Plan, tarball: &Tarball, scratch: &Path, progress: &dyn Progress) -> Result<()> {
    tree::check_room(scratch, tree::SOURCE)?;
    let lines = Lines::new(progress);
    run(&mut recipe(plan, "config", &tarball.path, scratch), &lines, &plan.settings.version())
}

/// Lets a person change the configuration, on this terminal.
pub fn menuconfig(plan: &Plan, tarball: &Tarball, scratch: &Path, progress: &dyn Progress) -> Result<()> {
    tree::check_room(scratch, tree::SOURCE)?;
    let mut command = recipe(plan, "menuconfig", &tarball.path, scratch);
    let status = process::at_terminal(&mut command, progress, PATIENCE).map_err(not_run)?;
    let status = status.ok_or_else(Problem::cancelled)?;
    if status.success() {
        return Ok(());
    }
    // Ctrl-C goes to all that is at the terminal, and menuconfig may be gone before this program hears of it.
    if status.signal() == Some(Signal::INT.as_raw()) {
        return Err(Problem::cancelled());
    }
    Err(Problem::new(format!("menuconfig did not end well: {status}"))
        .remedy("what it printed stands above; it needs a terminal"))
}

fn recipe(plan: &Plan, task: &str, tarball: &Path, scratch: &Path) -> Command {
    let mut command = Command::new("bash");
    command
        .arg(plan.settings.folder.join(SCRIPT))
        .arg(task)
        .args([tarball, plan.config.as_path(), scratch])
        .env("HOOKOS_KERNEL_VERSION", plan.settings.version());
    command
}

fn not_run(error: std::io::Error) -> Problem {
    Problem::new("bash cannot be started").because(error)
}

/// Runs the recipe.
fn run(command: &mut Command, lines: &Lines<'_>, version: &str) -> Result<()> {
    let failed = |e: std::io::Error| Problem::new("the kernel's recipe cannot be run").because(e);
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    command.stdout(writer.try_clone().map_err(failed)?).stderr(writer);
    let group = Group::start(command).map_err(not_run)?;
    // Its ends of the pipe would keep the reader waiting for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut reader = BufReader::new(reader);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
                lines.log(&String::from_utf8_lossy(&line));
                line.clear();
            }
        });
        group.wait(lines, PATIENCE, || ()).map_err(failed)?.ok_or_else(Problem::cancelled)
    })
    .and_then(|status| if status.success() { Ok(()) } else { Err(lines.problem(version)) })
}
