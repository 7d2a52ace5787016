//! Keeps one session running on each console.

use crate::NAME;
use crate::console::{Console, consoles};
use crate::mode::Mode;
use crate::pause;
use crate::session::NO_TERMINAL;
use hookos_guest::cmdline::Cmdline;
use hookos_guest::notice;
use hookos_guest::settings::Settings;
use rustix::fs::OFlags;
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Waits before a session starts again: first, longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// A session this long was a good one.
const GOOD: Duration = Duration::from_secs(5);

struct Seat {
    console: Console,
    session: Option<(Child, Instant)>,
    next: Instant,
    pause: Duration,
    missed: bool,
}

/// Runs until it is killed; init ends services by signal, and this program shares the machine's pid
/// namespace, so the signal's default action does.
pub fn supervise() -> ExitCode {
    let active = fs::read_to_string("/sys/class/tty/console/active").unwrap_or_default();
    let (consoles, refused) = consoles(&Cmdline::of_this_machine(), &active);
    for text in refused {
        notice::say(NAME, &format!("console={text} is not a terminal to log in on, passed over"));
    }
    let mode = match Mode::of(&Settings::of_this_machine()) {
        Mode::Off(reason) => {
            if let Some(reason) = reason {
                notice::warn(NAME, &reason);
            }
            notice::say(NAME, "consoles are closed");
            loop {
                std::thread::park();
            }
        }
        Mode::Insecure => "insecure",
        Mode::Login(hash) => {
            if let Err(e) = write_password(&hash) {
                notice::warn(NAME, &format!("root's password cannot be set, nobody can log in: {e}"));
                return ExitCode::FAILURE;
            }
            "login"
        }
    };
    notice::say(
        NAME,
        &format!("{mode} on {}", consoles.iter().map(Console::text).collect::<Vec<_>>().join(" ")),
    );
    let now = Instant::now();
    let seat = |console| Seat { console, session: None, next: now, pause: PAUSES.0, missed: false };
    let mut seats: Vec<Seat> = consoles.into_iter().map(seat).collect();
    pause::tell(false);
    let mut paused = false;
    loop {
        if pause::wanted() != paused {
            paused = !paused;
            seats.iter().for_each(|seat| seat.pause(paused));
            pause::tell(paused);
        }
        if !paused {
            for seat in &mut seats {
                seat.look(mode);
            }
        }
        std::thread::sleep(LOOK_EVERY);
    }
}

impl Seat {
    /// Stops the session, or lets it go on.
    fn pause(&self, stop: bool) {
        if let Some((child, _)) = &self.session {
            pause::signal(child.id(), if stop { Signal::STOP } else { Signal::CONT });
        }
        if !stop {
            self.give_back();
        }
    }

    /// The shell's prompt has scrolled away, and it does not know that.
    fn give_back(&self) {
        // Not blocking: a serial line with flow control may take nothing.
        let flags = OFlags::NOCTTY | OFlags::NONBLOCK;
        let terminal = OpenOptions::new()
            .write(true)
            .custom_flags(flags.bits().cast_signed())
            .open(format!("/dev/{}", self.console.device));
        if let Ok(mut terminal) = terminal {
            let _ = terminal.write_all(b"\r\nThe console is yours again; press Enter.\r\n");
        }
    }

    fn look(&mut self, mode: &str) {
        if let Some((child, since)) = &mut self.session {
            let ended = match child.try_wait() {
                Ok(None) => return,
                Ok(Some(status)) => Some(status),
                Err(_) => None,
            };
            let short = since.elapsed() < GOOD;
            let no_terminal = ended.and_then(|s| s.code()) == Some(i32::from(NO_TERMINAL));
            self.pause = if short || no_terminal { (self.pause * 2).min(PAUSES.1) } else { PAUSES.0 };
            self.next = Instant::now() + self.pause;
            self.session = None;
        }
        if Instant::now() < self.next {
            return;
        }
        // A USB serial line may come later, or never.
        if !fs::exists(format!("/dev/{}", self.console.device)).unwrap_or(false) {
            if !self.missed {
                self.missed = true;
                notice::say(NAME, &format!("/dev/{} is not there (yet)", self.console.device));
            }
            self.next = Instant::now() + PAUSES.0 * 5;
            return;
        }
        let mut session = Command::new("/proc/self/exe");
        session.args(["session", mode, &self.console.text()]).stdin(Stdio::null()).current_dir("/");
        match session.spawn() {
            Ok(child) => self.session = Some((child, Instant::now())),
            Err(e) => {
                notice::say(NAME, &format!("{}: no session: {e}", self.console.device));
                self.next = Instant::now() + PAUSES.1;
            }
        }
    }
}

/// Sets root's password. It goes into /etc/passwd itself: a static program's C library cannot look into
/// /etc/shadow (that takes a loadable module), and nobody but root is in this container.
fn write_password(hash: &str) -> std::io::Result<()> {
    let accounts = fs::read_to_string("/etc/passwd")?;
    let with_hash = accounts.replacen("root:x:", &format!("root:{hash}:"), 1);
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open("/etc/passwd.new")?;
    file.write_all(with_hash.as_bytes())?;
    fs::rename("/etc/passwd.new", "/etc/passwd")
}
