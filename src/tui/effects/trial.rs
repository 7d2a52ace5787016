//! A command of this program while the wizard shows what it says: a machine that boots an image, a stamp.

use crate::problem::{Problem, Result};
use crate::tui::msg::Msg;
use rustix::process::{Pid, Signal};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, PipeReader, Write as _};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::Sender;

/// The machine that runs, if one does.
#[derive(Default)]
pub struct Machine(Mutex<Option<Pid>>);

impl Machine {
    fn set(&self, pid: Option<Pid>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = pid;
    }

    /// Asks it to end, as Ctrl-C does.
    pub fn stop(&self) {
        if let Some(pid) = *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            // It may have ended by itself.
            let _ = rustix::process::kill_process(pid, Signal::INT);
        }
    }
}

/// Runs a command and sends what it says.
pub fn run(
    root: &Path,
    words: &[OsString],
    file: &Path,
    number: u64,
    machine: &Machine,
    answers: &Sender<Msg>,
) {
    let code = watch(root, words, file, machine, |lines| {
        // The wizard may be gone.
        answers.blocking_send(Msg::Console(number, lines)).is_ok()
    });
    let code = code.unwrap_or_else(|problem| {
        let lines = problem.to_string().lines().map(|line| line.as_bytes().to_vec()).collect();
        let _ = answers.blocking_send(Msg::Console(number, lines));
        problem.exit() as i32
    });
    let _ = answers.blocking_send(Msg::MachineEnded(number, code));
}

fn watch(
    root: &Path,
    words: &[OsString],
    file: &Path,
    machine: &Machine,
    mut tell: impl FnMut(Vec<Vec<u8>>) -> bool,
) -> Result<i32> {
    let failed = |what: &str, e| Problem::new(what).because(e);
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder).map_err(|e| failed("the folder of logs cannot be made", e))?;
    }
    let mut copy =
        File::create(file).map_err(|e| failed("the console's log cannot be written", e).in_file(file))?;
    let (mut child, console) = start(root, words).map_err(|e| failed("the command cannot be started", e))?;
    machine.set(i32::try_from(child.id()).ok().and_then(Pid::from_raw));
    let mut lines = BufReader::new(console);
    let mut line = Vec::new();
    loop {
        line.clear();
        // A console whose machine has ended has no more lines.
        if lines.read_until(b'\n', &mut line).unwrap_or(0) == 0 {
            break;
        }
        // The console is worth more than its copy.
        let _ = copy.write_all(&line);
        while line.last().is_some_and(|b| b"\r\n".contains(b)) {
            line.pop();
        }
        if !tell(vec![line.clone()]) {
            machine.stop();
        }
    }
    let status = child.wait().map_err(|e| failed("the command is lost", e));
    machine.set(None);
    Ok(status?.code().unwrap_or(1))
}

/// Both of its outputs go into one pipe, so that they stay in order.
fn start(root: &Path, words: &[OsString]) -> std::io::Result<(Child, PipeReader)> {
    let (reader, writer) = std::io::pipe()?;
    let child = Command::new(std::env::current_exe()?)
        .args(words)
        .arg("--root")
        .arg(root)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .spawn()?;
    Ok((child, reader))
}
