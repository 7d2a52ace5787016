//! Programs that get the terminal for a while: a pager, a machine's console.

use super::Input;
use crate::problem::Problem;
use crate::tui::msg::{Effect, Msg};
use crate::tui::{session, signals};
use ratatui::Terminal;
use ratatui::backend::Backend;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::{self, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// How often it is looked whether a signal has come while nobody presses Enter.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Gives the terminal to `work`, then takes it again.
pub fn aside<B: Backend>(
    input: &Input,
    terminal: &mut Terminal<B>,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    input.pause();
    session::lend();
    let done = lending(work);
    session::again(terminal)?;
    input.resume();
    done
}

/// Ctrl-C is for who has the terminal meanwhile.
pub fn lending<T>(work: impl FnOnce() -> T) -> T {
    signals::lend(true);
    let done = work();
    signals::lend(false);
    done
}

/// Runs a program that has the terminal; signals that would end this one go to it first.
fn lent(command: &mut Command) -> io::Result<ExitStatus> {
    let mut child = command.spawn()?;
    signals::lend_to(child.id());
    let status = child.wait();
    signals::lend(true);
    status
}

/// Shows a file in the person's pager.
pub fn pager<B: Backend>(input: &Input, terminal: &mut Terminal<B>, file: &Path) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    let pager = std::env::var("PAGER").ok().filter(|pager| !pager.trim().is_empty());
    let pager = pager.unwrap_or_else(|| "less -R".to_owned());
    aside(input, terminal, || {
        let mut words = shlex::split(&pager).unwrap_or_default().into_iter();
        let program = words.next().unwrap_or_else(|| "less".to_owned());
        let status = lent(Command::new(&program).args(words).arg(file));
        let status = status.map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        good(&program, status)
    })
}

/// A command of this program that has the terminal to itself.
pub struct Job {
    words: [String; 2],
    /// A line for the person before it begins.
    before: String,
    /// What is said after it ended well, or otherwise.
    after: [&'static str; 2],
    /// What is said of it if it failed.
    failed: String,
}

impl Job {
    pub fn of(effect: &Effect) -> Option<Self> {
        Some(match effect {
            Effect::Boot(profile) => Self {
                words: ["boot".to_owned(), profile.clone()],
                before: format!("Booting {profile}. `poweroff` in the machine or Ctrl-A x ends it."),
                after: ["The machine is off.", "The machine has ended."],
                failed: format!("The image did not boot: {profile}"),
            },
            Effect::Publish(profile) => Self {
                words: ["artifact-publish".to_owned(), profile.clone()],
                before: format!("Publishing {profile}. Ctrl-C ends it."),
                after: ["Published.", "Not published."],
                failed: format!("The image was not published: {profile}"),
            },
            _ => return None,
        })
    }

    /// Runs it.
    pub fn run(&self, root: &Path) -> io::Result<()> {
        let program = std::env::current_exe()?;
        let mut out = io::stderr();
        writeln!(out, "{}", self.before)?;
        let status = lent(Command::new(program).args(&self.words).arg("--root").arg(root))?;
        let [good_word, other_word] = self.after;
        writeln!(out, "\r\n{}", if status.success() { good_word } else { other_word })?;
        good(&format!("hookos {}", self.words.join(" ")), status)
    }

    /// What it said last stays until it is read.
    pub fn pause(&self) -> io::Result<()> {
        let mut out = io::stderr();
        write!(out, "Enter goes back to hookos. ")?;
        out.flush()?;
        let stdin = io::stdin();
        while !signals::asked() {
            let mut wait = [PollFd::new(&stdin, PollFlags::IN)];
            match poll(&mut wait, Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                Ok(_) => return stdin.read_line(&mut String::new()).map(drop),
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    pub fn answer(&self, done: io::Result<()>) -> Msg {
        match done {
            Ok(()) => Msg::Resumed,
            Err(e) => Msg::Told(Err(Problem::new(&*self.failed).because(e))),
        }
    }
}

fn good(program: &str, status: ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}
