//! Builds that go on without the program that began them.

use crate::build::record::Running;
use crate::problem::{Problem, Result};
use crate::site::{FieldFlags, Id};
use rustix::process::{Pid, Signal};
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What a started build says before its run begins.
const START: &str = "start.log";
/// How long a build may take until its run begins.
const PATIENCE: Duration = Duration::from_secs(30);

/// A build that was started here.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    logs: PathBuf,
}

/// Starts `hookos build` in a process group of its own, so that neither Ctrl-C nor Ctrl-Z nor the end of
/// the terminal reaches it. Secrets go in its environment, everything else in its flags.
pub fn start(root: &Path, logs: &Path, profile: &str, flags: &FieldFlags) -> Result<Child> {
    std::fs::create_dir_all(logs)
        .map_err(|e| Problem::new("the folder of logs cannot be made").in_file(logs).because(e))?;
    let path = logs.join(START);
    let said = File::create(&path)
        .map_err(|e| Problem::new("the log cannot be written").in_file(&path).because(e))?;
    let program = std::env::current_exe()
        .map_err(|e| Problem::new("the program does not know where it is itself").because(e))?;
    let mut command = Command::new(program);
    command.arg("build").arg(profile).arg("--json").arg("--root").arg(root);
    for (id, text) in &flags.0 {
        add(&mut command, *id, text);
    }
    let process = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(said)
        .process_group(0)
        .spawn()
        .map_err(|e| Problem::new("the build cannot be started").because(e))?;
    Ok(Child { process, logs: logs.to_owned() })
}

fn add(command: &mut Command, id: Id, text: &str) {
    let field = id.field();
    if field.kind.is_secret(text) {
        command.env(field.env, text);
    } else {
        command.arg(format!("--{}={text}", field.flag));
    }
}

impl Child {
    /// Waits until the run has begun. A build that ends before that has said why.
    pub fn begun(&mut self) -> Result<Running> {
        let until = Instant::now() + PATIENCE;
        loop {
            if let Some(running) = super::running(&self.logs)
                && running.pid == self.process.id()
            {
                return Ok(running);
            }
            let ended = self.process.try_wait().map_err(|e| Problem::new("the build is lost").because(e))?;
            if ended.is_some() {
                // It may have been as quick as that.
                let of_it = format!("-{}", self.process.id());
                let past = super::runs(&self.logs).into_iter().find(|run| run.run.ends_with(&of_it));
                return past
                    .map(|past| Running { run: past.run, pid: self.process.id(), since: past.ended })
                    .ok_or_else(|| self.refused());
            }
            if Instant::now() > until {
                return Err(Problem::new("the build does not begin").in_file(self.logs.join(START)));
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it said instead of beginning.
    fn refused(&self) -> Problem {
        let said = std::fs::read_to_string(self.logs.join(START)).unwrap_or_default();
        let mut lines = said.lines().filter(|line| !line.starts_with("hookos: warning"));
        let first = lines.next().unwrap_or("the build ended at once");
        let problem = Problem::new(first.strip_prefix("hookos: ").unwrap_or(first));
        lines.fold(problem, |problem, line| match line.trim().split_once(": ") {
            Some(("try", remedy)) => problem.remedy(remedy),
            Some(("because", cause)) => problem.because(Said(cause.to_owned())),
            _ => problem.because(Said(line.trim().to_owned())),
        })
    }

    /// Lets the system forget it once it has ended.
    pub fn reap(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(Some(_)) | Err(_))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Said(String);

/// Asks a run to stop, as Ctrl-C does. True if there was one.
pub fn cancel(logs: &Path) -> bool {
    let Some(running) = super::running(logs) else { return false };
    let Some(pid) = i32::try_from(running.pid).ok().and_then(Pid::from_raw) else { return false };
    rustix::process::kill_process(pid, Signal::INT).is_ok()
}
