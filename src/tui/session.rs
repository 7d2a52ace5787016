//! The terminal while the wizard has it, and giving it back whatever happens.
//!
//! Every way out (quit, error, panic, signal, suspension) calls the same [`leave`], which undoes what is
//! set and nothing else, once.

use ratatui::Terminal;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{
    DisableBracketedPaste, DisableMouseCapture, EnableBracketedPaste, EnableMouseCapture,
};
use ratatui::crossterm::terminal::{
    EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::crossterm::{cursor, execute, style};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufWriter, Stderr, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::thread::ThreadId;

/// The screen is drawn on standard error, so that standard output stays clean for a pipe.
pub type Screen = Terminal<CrosstermBackend<BufWriter<Stderr>>>;

/// Whether the terminal is ours now.
static ENTERED: AtomicBool = AtomicBool::new(false);
static MOUSE: AtomicBool = AtomicBool::new(false);
/// The thread that draws.
static OWNER: Mutex<Option<ThreadId>> = Mutex::new(None);
/// How the terminal was when it was lent to another program.
static LENT: Mutex<Option<Termios>> = Mutex::new(None);
/// The program ends: the terminal is taken no more.
static CLOSED: Mutex<bool> = Mutex::new(false);
/// What other threads said when they panicked; it is told after the screen is given back.
static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// The terminal is ours until this is dropped.
pub struct Session(());

impl Session {
    /// Takes the terminal over.
    pub fn enter() -> io::Result<(Self, Screen)> {
        // Whether there is colour is the theme's decision. Crossterm's own drops bold and reverse too.
        style::force_color_output(true);
        watch_panics();
        take()?;
        let session = Self(());
        let screen = Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stderr())))?;
        Ok((session, screen))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        leave();
    }
}

/// Takes the terminal over again after [`leave`], and paints everything.
pub fn again<B: Backend>(screen: &mut Terminal<B>) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    take()?;
    repaint(screen)
}

/// Forgets what is on the screen. `Terminal::clear` would ask the terminal where its cursor is, and
/// wait for an answer that may never come.
pub fn repaint<B: Backend>(screen: &mut Terminal<B>) -> io::Result<()>
where
    B::Error: Send + Sync + 'static,
{
    let size = screen.size().map_err(io::Error::other)?;
    screen.resize(size.into()).map_err(io::Error::other)
}

/// Whether the wheel is ours; without it the terminal's own selection works.
pub fn mouse(on: bool) -> io::Result<()> {
    MOUSE.store(on, Ordering::SeqCst);
    if on { execute!(io::stderr(), EnableMouseCapture) } else { execute!(io::stderr(), DisableMouseCapture) }
}

fn take() -> io::Result<()> {
    let closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    if *closed {
        // Another thread ends the program.
        loop {
            std::thread::park();
        }
    }
    restore();
    *OWNER.lock().unwrap_or_else(PoisonError::into_inner) = Some(std::thread::current().id());
    enable_raw_mode()?;
    ENTERED.store(true, Ordering::SeqCst);
    let mut out = io::stderr();
    execute!(out, EnterAlternateScreen, EnableBracketedPaste, cursor::Hide)?;
    if MOUSE.load(Ordering::SeqCst) {
        execute!(out, EnableMouseCapture)?;
    }
    Ok(())
}

/// Gives the terminal back. Safe to call at any time, from any thread, any number of times.
pub fn leave() {
    if !ENTERED.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut out = io::stderr();
    // A terminal that is gone cannot be given back; nothing else can be done about an error here.
    if MOUSE.load(Ordering::SeqCst) {
        let _ = execute!(out, DisableMouseCapture);
    }
    let _ = execute!(out, DisableBracketedPaste, LeaveAlternateScreen, cursor::Show);
    let _ = disable_raw_mode();
    let _ = out.flush();
}

/// Gives the terminal to another program until [`again`] or [`close`].
pub fn lend() {
    leave();
    *LENT.lock().unwrap_or_else(PoisonError::into_inner) = tcgetattr(io::stdin()).ok();
}

/// Puts the settings of a lent terminal back, whatever the one that had it has left; false if it was not lent.
fn restore() -> bool {
    let Some(before) = LENT.lock().unwrap_or_else(PoisonError::into_inner).take() else { return false };
    // A terminal that is gone has no settings.
    tcsetattr(io::stdin(), OptionalActions::Now, &before).is_ok()
}

/// Gives the terminal back, lent or not, for the program ends now: nobody takes it any more.
pub fn close() {
    let mut closed = CLOSED.lock().unwrap_or_else(PoisonError::into_inner);
    *closed = true;
    leave();
    if restore() {
        let _ = execute!(io::stderr(), LeaveAlternateScreen, cursor::Show);
    }
}

/// A panic of the drawing thread gives the terminal back before it says anything. One of another thread
/// must not write over the screen: what it says is kept, and whoever waits for the thread tells more.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let owner = *OWNER.lock().unwrap_or_else(PoisonError::into_inner);
            if ENTERED.load(Ordering::SeqCst) && owner != Some(std::thread::current().id()) {
                PANICS.lock().unwrap_or_else(PoisonError::into_inner).push(info.to_string());
            } else {
                leave();
                before(info);
            }
        }));
    });
}

/// What threads said that panicked meanwhile.
pub fn panics() -> Vec<String> {
    std::mem::take(&mut PANICS.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Stops the program as Ctrl-Z does, and comes back when it goes on. Where nobody could wake it up (no
/// shell above it) the system lets it go on at once.
pub fn suspend() {
    leave();
    // The whole group, so that programs that were started stop too.
    let _ = rustix::process::kill_current_process_group(rustix::process::Signal::TSTP);
}
