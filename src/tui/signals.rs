//! What ends the wizard from outside: signals, and a terminal that is gone.

use super::session;
use crate::process;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use std::io;
use std::sync::atomic::{AtomicI32, AtomicU8, Ordering};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// The exit code that was asked for first; 0: none yet.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// The program that has the terminal: its process, 0: none has it, -1: one that has just ended or not begun.
/// Ctrl-C there is meant for it, though all of the terminal's programs hear it.
static LENT: AtomicI32 = AtomicI32::new(0);

/// Says whether another program has the terminal.
pub fn lend(lent: bool) {
    LENT.store(if lent { -1 } else { 0 }, Ordering::SeqCst);
}

/// Says which program has the terminal.
pub fn lend_to(process: u32) {
    LENT.store(i32::try_from(process).unwrap_or(-1), Ordering::SeqCst);
}

/// Whether a signal has asked for the end.
pub fn asked() -> bool {
    ASKED.load(Ordering::SeqCst) != 0
}

/// The program that has the terminal ends first, so that it can put the terminal back itself. One that does not
/// do so is ended by the second signal.
fn pass_on(signal: i32) {
    let signal = match signal {
        _ if asked() => Signal::KILL,
        SIGHUP => Signal::HUP,
        _ => Signal::TERM,
    };
    if let Some(process) = Some(LENT.load(Ordering::SeqCst)).filter(|pid| *pid > 0).and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process(process, signal);
    }
}

/// The exit code of a program whose terminal has gone.
pub const GONE: u8 = 129;

/// Tells the exit code that each signal asks for. A second one ends the program at once.
pub fn watch() -> io::Result<Receiver<u8>> {
    let (sender, receiver) = channel(4);
    let mut signals = signal_hook::iterator::Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    let own = sender.clone();
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        for signal in signals.forever() {
            if signal == SIGINT && LENT.load(Ordering::SeqCst) != 0 {
                continue;
            }
            pass_on(signal);
            end(&own, 128 + u8::try_from(signal).unwrap_or(0));
        }
    })?;
    std::thread::Builder::new().name("terminal".to_owned()).spawn(move || hang_up(&sender))?;
    Ok(receiver)
}

fn end(sender: &Sender<u8>, code: u8) {
    let before = ASKED.compare_exchange(0, code, Ordering::SeqCst, Ordering::SeqCst);
    // A terminal that goes away is told twice: by a signal, and by the terminal.
    if before == Err(code) && code == GONE {
        return;
    }
    if before.is_err() || sender.try_send(code).is_err() {
        session::close();
        std::process::exit(code.into());
    }
}

/// Waits for the terminal to be gone.
fn hang_up(sender: &Sender<u8>) {
    if process::wait_for_hang_up().is_ok() {
        end(sender, GONE);
    }
}
