//! What PID 1 tells people: lines on every console and in the kernel's log.
//!
//! Lines go to every console that `/proc/consoles` lists, not to `/dev/console` alone, which is
//! only the last `console=` of the command line. A thread of its own writes them, since a
//! serial line with flow control can stand still and PID 1 must not; when its queue is full,
//! lines are dropped there and are still in the kernel's log.
//! In the kernel's log they have the level "debug": a higher one would print them a second time.

use std::fmt::Arguments;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::time::Timespec;

static VERBOSE: AtomicBool = AtomicBool::new(false);
static CONSOLES: OnceLock<SyncSender<Message>> = OnceLock::new();
static KMSG: OnceLock<File> = OnceLock::new();

enum Message {
    Line(String),
    Flush(SyncSender<()>),
}

/// Starts the console writer. `verbose` also shows [`debug!`] lines.
/// Before this call, and if it fails, lines go to standard error.
pub fn start(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
    if let Ok(kmsg) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = KMSG.set(kmsg);
    }
    let (sender, receiver) = sync_channel(512);
    let thread = std::thread::Builder::new().name("console".to_owned());
    if thread.spawn(move || write_lines(&receiver)).is_ok() {
        let _ = CONSOLES.set(sender);
    }
}

/// Waits until the lines so far are written, at most `limit`.
pub fn flush(limit: Duration) {
    if let Some(sender) = CONSOLES.get() {
        let (done, wait) = sync_channel(1);
        if sender.try_send(Message::Flush(done)).is_ok() {
            let _ = wait.recv_timeout(limit);
        }
    }
}

/// One line for people; use the macros [`info!`](crate::info) and [`debug!`](crate::debug).
pub fn line(show: bool, text: Arguments<'_>) {
    let text = plain(&text.to_string());
    if let Some(mut kmsg) = KMSG.get() {
        // One write is one record; the kernel's limit is just under 1024 bytes.
        let cut: String = text.chars().take(240).collect();
        let _ = kmsg.write_all(format!("<15>hookos: {cut}\n").as_bytes());
    }
    if !show && !VERBOSE.load(Ordering::Relaxed) {
        return;
    }
    let at = crate::clock::now().as_secs_f64();
    let text = format!("[{at:>9.3}] hookos: {text}\n");
    match CONSOLES.get() {
        Some(sender) => {
            let _ = sender.try_send(Message::Line(text));
        }
        None => {
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

/// Control characters made visible: a container's log is shown on a console and must not drive it.
pub fn plain(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\t' => ' ',
            c if c.is_control() => '\u{fffd}',
            c => c,
        })
        .collect()
}

/// A line that every console shows.
#[macro_export]
macro_rules! info {
    ($($arg:tt)*) => { $crate::say::line(true, format_args!($($arg)*)) };
}

/// A line for the kernel's log, and for the consoles with `hookos.debug`.
#[macro_export]
macro_rules! debug {
    ($($arg:tt)*) => { $crate::say::line(false, format_args!($($arg)*)) };
}

/// Names of the consoles that can be written to, from the text of `/proc/consoles`:
/// `ttyS0   -W- (EC p a)    4:64`.
pub fn console_names(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (name, ops) = (words.next()?, words.next()?);
            (ops.contains('W') && !name.contains('/')).then(|| name.to_owned())
        })
        .collect()
}

struct Console {
    device: File,
    /// The last write did not get through: do not wait for this device again until one does.
    stuck: bool,
}

fn open_consoles() -> Vec<Console> {
    let text = std::fs::read_to_string("/proc/consoles").unwrap_or_default();
    let mut names = console_names(&text);
    if names.is_empty() {
        names.push("console".to_owned());
    }
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(flags.bits()).unwrap_or(0);
    names
        .iter()
        .filter_map(|name| {
            let device =
                OpenOptions::new().write(true).custom_flags(flags).open(format!("/dev/{name}")).ok()?;
            Some(Console { device, stuck: false })
        })
        .collect()
}

fn write_lines(receiver: &Receiver<Message>) {
    let mut consoles = open_consoles();
    while let Ok(message) = receiver.recv() {
        match message {
            Message::Line(text) => {
                for console in &mut consoles {
                    write_line(console, text.as_bytes());
                }
            }
            Message::Flush(done) => {
                for console in &consoles {
                    // Returns at once for a virtual terminal, waits for a serial line's buffer.
                    if !console.stuck {
                        let _ = rustix::termios::tcdrain(&console.device);
                    }
                }
                let _ = done.try_send(());
            }
        }
    }
}

fn write_line(console: &mut Console, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match console.device.write(bytes) {
            Ok(0) => return,
            Ok(n) => {
                console.stuck = false;
                bytes = bytes.get(n..).unwrap_or_default();
            }
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock && !console.stuck => {
                let mut fds = [PollFd::from_borrowed_fd(console.device.as_fd(), PollFlags::OUT)];
                let wait = Timespec { tv_sec: 2, tv_nsec: 0 };
                console.stuck = !matches!(poll(&mut fds, Some(&wait)), Ok(1..));
            }
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn consoles_are_named_and_control_characters_shown() {
        let text = "tty0                 -WU (EC  p  )    4:7\nttyS0                -W- (E   p a)    4:64\nnetcon0              --- (E    N )\n";
        assert_eq!(super::console_names(text), ["tty0", "ttyS0"]);
        assert_eq!(super::plain("a\tb\x1b[2J"), "a b\u{fffd}[2J");
    }
}
