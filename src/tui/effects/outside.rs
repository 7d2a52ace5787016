//! Programs that get the terminal for a while: a pager, a machine's console.

use super::Input;
use crate::tui::{session, signals};
use ratatui::Terminal;
use ratatui::backend::Backend;
use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::process::{Command, ExitStatus};

/// Gives the terminal to `work`, then takes it again.
fn aside<B: Backend>(
    input: &Input,
    terminal: &mut Terminal<B>,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    input.pause();
    session::leave();
    signals::lend(true);
    let done = work();
    signals::lend(false);
    session::again(terminal)?;
    input.resume();
    done
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
        let status = Command::new(&program).args(words).arg(file).status();
        let status = status.map_err(|e| io::Error::new(e.kind(), format!("{program}: {e}")))?;
        good(&program, status)
    })
}

/// A command of this program that has the terminal to itself.
pub struct Call<'a> {
    pub words: &'a [&'a str],
    /// A line for the person before it begins.
    pub before: &'a str,
    /// What is said after it ended well, or otherwise.
    pub after: [&'a str; 2],
}

/// Gives the terminal to a command, and takes it back when the person has read what it said.
pub fn hookos<B: Backend>(
    input: &Input,
    terminal: &mut Terminal<B>,
    root: &Path,
    call: &Call<'_>,
) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    aside(input, terminal, || {
        let program = std::env::current_exe()?;
        let mut out = io::stderr();
        writeln!(out, "{}", call.before)?;
        let status = Command::new(program).args(call.words).arg("--root").arg(root).status()?;
        // What it said last stays until it is read.
        let [good_word, other_word] = call.after;
        let word = if status.success() { good_word } else { other_word };
        write!(out, "\r\n{word} Enter goes back to hookos. ")?;
        out.flush()?;
        io::stdin().lock().read_line(&mut String::new())?;
        good(&format!("hookos {}", call.words.join(" ")), status)
    })
}

fn good(program: &str, status: ExitStatus) -> io::Result<()> {
    if status.success() { Ok(()) } else { Err(io::Error::other(format!("{program}: {status}"))) }
}
