//! One session on one console.

use crate::console::{Console, Line};
use crate::motd::motd;
use crate::{NAME, shell};
use hookos_guest::notice;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode as FileMode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Signal, ioctl_tiocsctty, set_parent_process_death_signal, setsid};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, Termios, Winsize,
    tcflush, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};
use rustix::time::Timespec;
use std::io::Write as _;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// The terminal is not there (any more).
pub const NO_TERMINAL: u8 = 3;

/// Takes the console, then becomes the log-in program or the shell.
pub fn session(mode: &str, console: &str) -> ExitCode {
    let Some(console) = Console::parse(console) else { return ExitCode::from(2) };
    // A session must not outlive the service: a console that was closed would stay open.
    let _ = set_parent_process_death_signal(Some(Signal::HUP));
    if let Err(e) = take(&console) {
        notice::say(NAME, &format!("{}: {e}", console.device));
        return ExitCode::from(NO_TERMINAL);
    }
    let term = if console.is_screen() { "linux" } else { "vt220" };
    let mut out = std::io::stdout();
    let _ = out.write_all(motd().as_bytes()).and_then(|()| out.flush());
    if mode == "login" {
        let mut login = Command::new("/usr/bin/busybox");
        login.args(["login", "-p"]).env("TERM", term);
        println!("no log-in: {}\r", login.exec());
        return ExitCode::FAILURE;
    }
    let mut own = Command::new("/proc/self/exe");
    own.arg0("hookos-host-shell").env("TERM", term);
    println!("no shell: {}\r", own.exec());
    shell::become_shell()
}

/// Opens the terminal, makes it this session's and its three standard streams.
fn take(console: &Console) -> Result<(), String> {
    let step = |what: &'static str| move |e: rustix::io::Errno| format!("{what}: {e}");
    setsid().map_err(step("no session of its own"))?;
    let path = format!("/dev/{}", console.device);
    // Not blocking: without CLOCAL the open would wait for a modem's carrier.
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let terminal: OwnedFd =
        rustix::fs::open(&path, flags, FileMode::empty()).map_err(step("cannot be opened"))?;
    let mut settings = tcgetattr(&terminal).map_err(step("is not a terminal"))?;
    make_sane(&mut settings, console.line());
    tcsetattr(&terminal, OptionalActions::Now, &settings).map_err(step("takes no settings"))?;
    let flags = fcntl_getfl(&terminal).map_err(step("flags"))?;
    fcntl_setfl(&terminal, flags.difference(OFlags::NONBLOCK)).map_err(step("flags"))?;
    ioctl_tiocsctty(&terminal).map_err(step("belongs to another session"))?;
    if !console.is_screen() {
        find_size(&terminal, &settings);
    }
    rustix::stdio::dup2_stdin(&terminal).map_err(step("input"))?;
    rustix::stdio::dup2_stdout(&terminal).map_err(step("output"))?;
    rustix::stdio::dup2_stderr(&terminal).map_err(step("errors"))?;
    Ok(())
}

/// Line editing, echo, signals by key; the carrier line is not looked at; the speed as asked.
fn make_sane(settings: &mut Termios, line: Line) {
    settings.input_modes = InputModes::ICRNL | InputModes::IXON;
    settings.output_modes = OutputModes::OPOST | OutputModes::ONLCR;
    settings.local_modes = LocalModes::ISIG
        | LocalModes::ICANON
        | LocalModes::IEXTEN
        | LocalModes::ECHO
        | LocalModes::ECHOE
        | LocalModes::ECHOK
        | LocalModes::ECHOCTL
        | LocalModes::ECHOKE;
    settings.input_modes.set(InputModes::IUTF8, true);
    settings.control_modes |= ControlModes::CREAD | ControlModes::CLOCAL;
    // The line stays up between two sessions.
    settings.control_modes -= ControlModes::HUPCL;
    if let Some(parity) = line.parity {
        settings.control_modes.set(ControlModes::PARENB, parity != 'n');
        settings.control_modes.set(ControlModes::PARODD, parity == 'o');
    }
    if let Some(bits) = line.bits {
        settings.control_modes -= ControlModes::CSIZE;
        settings.control_modes |= if bits == 7 { ControlModes::CS7 } else { ControlModes::CS8 };
    }
    if line.flow {
        settings.control_modes |= ControlModes::CRTSCTS;
    }
    if let Some(speed) = line.speed {
        // A rate that the driver cannot make is refused when it is set; the kernel's stays.
        let _ = settings.set_speed(speed);
    }
}

/// Asks the terminal at the other end how large it is: a serial line does not tell. Nobody may be
/// there, so the wait is short; without an answer the size stays unknown, and programs take 80 x 24.
fn find_size(terminal: &OwnedFd, settings: &Termios) {
    if tcgetwinsize(terminal).is_ok_and(|size| size.ws_row > 0) {
        return;
    }
    let mut raw = settings.clone();
    raw.local_modes -= LocalModes::ICANON | LocalModes::ECHO;
    if tcsetattr(terminal, OptionalActions::Now, &raw).is_err() {
        return;
    }
    // Save the cursor, go far to the lower right, ask where that is, go back.
    let question = b"\x1b7\x1b[999;999H\x1b[6n\x1b8";
    if rustix::io::write(terminal, question).is_ok()
        && let Some((rows, columns)) = answer(terminal, Duration::from_millis(500))
    {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let _ = tcsetwinsize(terminal, size);
    }
    let _ = tcsetattr(terminal, OptionalActions::Now, settings);
    let _ = tcflush(terminal, QueueSelector::IFlush);
}

fn answer(terminal: &OwnedFd, limit: Duration) -> Option<(u16, u16)> {
    let until = Instant::now() + limit;
    let mut heard = Vec::new();
    while heard.len() < 256 {
        let left = until.checked_duration_since(Instant::now())?;
        let mut fds = [PollFd::new(terminal, PollFlags::IN)];
        let time = Timespec::try_from(left).ok()?;
        if poll(&mut fds, Some(&time)).ok()? == 0 {
            return None;
        }
        let mut bytes = [0_u8; 64];
        let n = read(terminal, &mut bytes)?;
        heard.extend_from_slice(&bytes[..n]);
        if let Some(size) = position(&heard) {
            return Some(size);
        }
    }
    None
}

fn read(terminal: impl std::os::fd::AsFd, bytes: &mut [u8]) -> Option<usize> {
    let terminal: BorrowedFd<'_> = terminal.as_fd();
    rustix::io::read(terminal, bytes).ok().filter(|n| *n > 0)
}

/// `ESC [ rows ; columns R` somewhere in what was heard.
fn position(heard: &[u8]) -> Option<(u16, u16)> {
    let text = String::from_utf8_lossy(heard);
    text.split("\x1b[").skip(1).find_map(|part| {
        let (rows, columns) = part.split_once('R')?.0.split_once(';')?;
        let number = |t: &str| t.parse::<u16>().ok().filter(|n| (2..=1000).contains(n));
        Some((number(rows)?, number(columns)?))
    })
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn the_answer_may_stand_among_typed_keys() {
        assert_eq!(position(b"\rls\x1b[50;132R"), Some((50, 132)));
        assert_eq!(position(b"\x1b[A\x1b[24;80Rx"), Some((24, 80)));
        for none in [&b""[..], b"\x1b[", b"\x1b[;R", b"\x1b[0;0R", b"\x1b[99999;1R"] {
            assert_eq!(position(none), None);
        }
    }
}
