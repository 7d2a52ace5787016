//! One console as a place to ask at: lines in, text out, and its settings put back whatever happens.

use rustix::fs::{Mode, OFlags, open};
use rustix::termios::{
    ControlModes, InputModes, LocalModes, OptionalActions, OutputModes, QueueSelector, Termios,
};
use rustix::termios::{tcflush, tcgetattr, tcsetattr};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use zeroize::Zeroizing;

/// A serial line with flow control and nobody at its end takes no text; it must not hold the others.
const WRITE: Duration = Duration::from_secs(3);
/// No user name or password is longer.
const LONGEST: usize = 1024;

/// An open console. Dropping it puts its settings back and discards what was typed and not read: a
/// half of a password must not reach the shell that reads next.
pub struct Terminal {
    device: AsyncFd<OwnedFd>,
    before: Termios,
}

impl Terminal {
    /// Opens a console without waiting for a carrier and without becoming its session.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let device = open(path, flags, Mode::empty())?;
        let before = tcgetattr(&device)?;
        // Deprecated for types that may change or close their descriptor behind tokio's back. An OwnedFd
        // does not, and the call that replaces it is unsafe.
        #[allow(deprecated)]
        let device = AsyncFd::with_interest(device, Interest::READABLE | Interest::WRITABLE)?;
        Ok(Self { device, before })
    }

    /// Lines with the kernel's editing; what is typed is shown or not. Keys that send signals are
    /// plain characters, since their signals would go to the shell that waits behind.
    fn set(&self, shown: bool) -> io::Result<()> {
        let mut now = self.before.clone();
        now.input_modes |= InputModes::ICRNL;
        now.output_modes |= OutputModes::OPOST | OutputModes::ONLCR;
        now.control_modes |= ControlModes::CREAD;
        now.local_modes |= LocalModes::ICANON | LocalModes::ECHOE | LocalModes::ECHOK | LocalModes::ECHONL;
        now.local_modes.set(LocalModes::ECHO, shown);
        now.local_modes.remove(LocalModes::ISIG | LocalModes::NOFLSH);
        tcflush(self.device.get_ref(), QueueSelector::IFlush)?;
        tcsetattr(self.device.get_ref(), OptionalActions::Now, &now)?;
        Ok(())
    }

    /// Asks for one line; gives it without its end.
    pub async fn ask(&self, prompt: &str, shown: bool) -> io::Result<Zeroizing<String>> {
        self.set(shown)?;
        self.say(prompt).await;
        let mut line = Zeroizing::new(Vec::with_capacity(LONGEST));
        let mut part = Zeroizing::new([0u8; 256]);
        loop {
            let mut ready = self.device.readable().await?;
            let read = ready.try_io(|fd| rustix::io::read(fd.get_ref(), &mut part[..]).map_err(Into::into));
            let count = match read {
                Ok(Ok(count)) => count,
                Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => continue,
                Ok(Err(e)) => return Err(e),
                Err(_not_yet) => continue,
            };
            let got = &part[..count];
            let end = got.iter().position(|b| *b == b'\n');
            let room = LONGEST - line.len();
            let text = &got[..end.unwrap_or(count)];
            line.extend_from_slice(&text[..text.len().min(room)]);
            // Nothing at all is the end-of-file key, or a line that hung up.
            if end.is_some() || count == 0 {
                break;
            }
        }
        Ok(Zeroizing::new(String::from_utf8_lossy(&line).chars().filter(|c| !c.is_control()).collect()))
    }

    /// Writes text. What a console does not take within a while is lost.
    pub async fn say(&self, text: &str) {
        let writing = async {
            let mut rest = text.as_bytes();
            while !rest.is_empty() {
                let mut ready = self.device.writable().await?;
                match ready.try_io(|fd| rustix::io::write(fd.get_ref(), rest).map_err(Into::into)) {
                    Ok(Ok(count)) => rest = &rest[count..],
                    Ok(Err(e)) if e.kind() == io::ErrorKind::Interrupted => {}
                    Ok(Err(e)) => return Err(e),
                    Err(_not_yet) => {}
                }
            }
            Ok(())
        };
        let _: Result<io::Result<()>, _> = tokio::time::timeout(WRITE, writing).await;
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Not the actions that wait for output to drain: a stopped line never drains.
        let _ = tcflush(self.device.get_ref(), QueueSelector::IFlush);
        let _ = tcsetattr(self.device.get_ref(), OptionalActions::Now, &self.before);
    }
}
