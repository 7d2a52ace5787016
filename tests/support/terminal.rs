//! A terminal in memory with a program in it: keys go in, the screen can be looked at.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::num::NonZeroU16;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long a screen may take to show something.
const PATIENCE: Duration = Duration::from_secs(20);

pub struct Terminal {
    parser: Arc<Mutex<vt100::Parser>>,
    /// Every byte that came.
    raw: Arc<Mutex<Vec<u8>>>,
    master: Option<Arc<OwnedFd>>,
    reader: Option<JoinHandle<()>>,
    stop: Arc<AtomicBool>,
    child: Child,
}

fn some(n: u16) -> NonZeroU16 {
    NonZeroU16::new(n).unwrap()
}

fn winsize((cols, rows): (u16, u16)) -> Winsize {
    Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Terminal {
    /// Starts a program with a clean environment: nothing of who runs the test decides anything. The
    /// terminal is its controlling one.
    pub fn start(size: (u16, u16), home: &Path, words: &[&str], env: &[(&str, &str)]) -> Self {
        let mut with = vec!["setsid", "--ctty"];
        with.extend(words);
        Self::start_uncontrolled(size, home, &with, env)
    }

    /// Without a controlling terminal: nobody is told when it goes.
    pub fn start_uncontrolled(size: (u16, u16), home: &Path, words: &[&str], env: &[(&str, &str)]) -> Self {
        let (cols, rows) = size;
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        tcsetwinsize(&master, winsize(size)).unwrap();
        let name = ptsname(&master, Vec::new()).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = || Stdio::from(rustix::fs::open(&name, flags, Mode::empty()).unwrap());
        let mut command = Command::new(words[0]);
        command.args(&words[1..]).env_clear().current_dir(home);
        for name in ["PATH", "CARGO_HOME", "RUSTUP_HOME"] {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command
            .env("HOME", home)
            .env("TERM", "xterm-256color")
            .env("LANG", "C.UTF-8")
            .env("RUST_BACKTRACE", "0");
        command.envs(env.iter().copied());
        let child = command.stdin(slave()).stdout(slave()).stderr(slave()).spawn().unwrap();
        // The command keeps its ends of the terminal open until it is dropped.
        drop(command);
        let parser = Arc::new(Mutex::new(vt100::Parser::new(some(rows), some(cols), 0)));
        let (raw, stop, master) = (Arc::default(), Arc::new(AtomicBool::new(false)), Arc::new(master));
        let reader = read(Arc::clone(&master), Arc::clone(&parser), Arc::clone(&raw), Arc::clone(&stop));
        Self { parser, raw, master: Some(master), reader: Some(reader), stop, child }
    }

    pub fn text(&self) -> String {
        self.parser.lock().unwrap().screen().contents()
    }

    pub fn raw(&self) -> Vec<u8> {
        self.raw.lock().unwrap().clone()
    }

    pub fn screen<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(self.parser.lock().unwrap().screen())
    }

    /// Waits until the screen shows a text.
    #[track_caller]
    pub fn wait(&self, text: &str) {
        self.wait_for(text, PATIENCE, |screen| screen.contents().contains(text));
    }

    /// Answers a question of the wizard without a screen, and waits for what comes of it.
    #[track_caller]
    pub fn answer(&mut self, line: &str, then: &str) {
        self.send(&format!("{line}\r"));
        self.wait(then);
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, patience: Duration, good: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + patience;
        while !self.screen(&good) {
            assert!(Instant::now() < until, "no {what:?} on the screen:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends bytes as a keyboard does.
    pub fn send(&mut self, bytes: &str) {
        let mut rest = bytes.as_bytes();
        while !rest.is_empty() {
            let count = rustix::io::write(self.master.as_ref().unwrap(), rest).unwrap();
            rest = &rest[count..];
        }
    }

    /// The line that has the focus.
    fn chosen(&self) -> String {
        let text = self.text();
        // A box that lies over the screen has it first.
        let boxed = text.lines().find(|line| line.contains("│ › "));
        let chosen = boxed.or_else(|| text.lines().find(|line| line.trim_start().starts_with('›')));
        chosen.unwrap_or_default().to_owned()
    }

    /// Moves the focus down to the line with a text, a key at a time.
    #[track_caller]
    pub fn choose(&mut self, text: &str) {
        loop {
            let (now, screen) = (self.chosen(), self.text());
            if now.contains(text) {
                return;
            }
            self.send("\x1b[B");
            // A list may scroll first; what lies over a screen that moves is looked at alone.
            let boxed = screen.contains("│ › ");
            let same = |terminal: &Self| terminal.chosen() == now && (boxed || terminal.text() == screen);
            let until = Instant::now() + PATIENCE;
            while same(self) {
                assert!(Instant::now() < until, "the focus stays on {now:?}, not {text:?}:\n{}", self.text());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }

    /// A paste, as terminals send it: lines end in carriage returns.
    pub fn paste(&mut self, text: &str) {
        self.send(&format!("\x1b[200~{}\x1b[201~", text.replace('\n', "\r")));
    }

    pub fn resize(&self, cols: u16, rows: u16) {
        self.parser.lock().unwrap().screen_mut().set_size(some(rows), some(cols));
        tcsetwinsize(self.master.as_ref().unwrap(), winsize((cols, rows))).unwrap();
    }

    pub fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap()).unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// The terminal is gone, as when a window is closed or a connection is lost.
    pub fn hang_up(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        if let Some(reader) = self.reader.take() {
            reader.join().unwrap();
        }
        self.master = None;
    }

    /// Waits for the program's end; gives its exit code, 128 and the number of the signal that killed it.
    #[track_caller]
    pub fn end(&mut self) -> i32 {
        self.end_within(PATIENCE)
    }

    #[track_caller]
    pub fn end_within(&mut self, patience: Duration) -> i32 {
        let until = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                // What it wrote last may still be on its way.
                std::thread::sleep(Duration::from_millis(100));
                return status.code().or(status.signal().map(|signal| 128 + signal)).unwrap();
            }
            assert!(Instant::now() < until, "it does not end:\n{}", self.text());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The terminal gives whole lines and shows what is typed, as shells want it.
    pub fn takes_lines(&self) -> bool {
        use rustix::termios::LocalModes;
        let settings = rustix::termios::tcgetattr(self.master.as_ref().unwrap()).unwrap();
        settings.local_modes.contains(LocalModes::ICANON | LocalModes::ECHO)
    }

    /// Everything that was changed of the terminal is as before.
    #[track_caller]
    pub fn is_given_back(&self) {
        self.screen(|screen| {
            assert!(!screen.alternate_screen(), "the alternate screen is up:\n{}", screen.contents());
            assert!(!screen.hide_cursor(), "the cursor is hidden");
            assert!(!screen.bracketed_paste(), "pastes are still bracketed");
            assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        });
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.hang_up();
    }
}

/// Reads what the program writes, until there is nobody to write or it is stopped.
fn read(
    master: Arc<OwnedFd>,
    parser: Arc<Mutex<vt100::Parser>>,
    raw: Arc<Mutex<Vec<u8>>>,
    stop: Arc<AtomicBool>,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let pause = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        let mut buffer = [0; 4096];
        while !stop.load(Ordering::SeqCst) {
            let mut wait = [PollFd::new(&master, PollFlags::IN)];
            if poll(&mut wait, Some(&pause)).unwrap_or(0) == 0 {
                continue;
            }
            let Ok(count @ 1..) = rustix::io::read(&*master, &mut buffer) else { return };
            raw.lock().unwrap().extend_from_slice(&buffer[..count]);
            parser.lock().unwrap().process(&buffer[..count]);
        }
    })
}
