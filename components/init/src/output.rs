//! The output of one program or container: pipes that it writes to, and the log file they end in.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use crate::logfile::LogFile;

/// Pipes kept open per program. A new run gets a new pipe; processes that outlive their
/// container still hold the old one. Older ones than this are closed.
const PIPES: usize = 4;

#[derive(Debug)]
pub struct Output {
    pub log: LogFile,
    pipes: Vec<OwnedFd>,
}

impl Output {
    pub fn new(log: LogFile) -> Self {
        Self { log, pipes: Vec::new() }
    }

    /// A new pipe; gives the end that the program writes to.
    pub fn new_pipe(&mut self) -> std::io::Result<OwnedFd> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // Only our end must not block; a program expects its output to.
        rustix::io::ioctl_fionbio(&read, true)?;
        if self.pipes.len() >= PIPES {
            drop(self.pipes.drain(..1));
        }
        self.pipes.push(read);
        Ok(write)
    }

    pub fn pipes(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.pipes.iter().map(OwnedFd::as_fd)
    }

    /// Moves what the pipes hold into the log, at most `rounds` buffers full from each, so
    /// that one program cannot keep PID 1 to itself. Closed pipes are let go.
    pub fn drain(&mut self, buffer: &mut [u8], rounds: usize) {
        let log = &mut self.log;
        self.pipes.retain(|pipe| {
            for _ in 0..rounds {
                match rustix::io::read(pipe, &mut *buffer) {
                    Ok(0) => return false,
                    Ok(n) => log.write(buffer.get(..n).unwrap_or_default()),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => return true,
                    Err(_) => return false,
                }
            }
            true
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_of_two_runs_ends_in_one_log() {
        let dir = tempfile::tempdir().unwrap();
        let mut out = Output::new(LogFile::new(dir.path().join("x.log"), 1 << 16));
        let first = out.new_pipe().unwrap();
        let second = out.new_pipe().unwrap();
        rustix::io::write(&first, b"one\n").unwrap();
        out.drain(&mut [0; 3], 9);
        rustix::io::write(&second, b"two\n").unwrap();
        drop(first);
        out.drain(&mut [0; 3], 9);
        assert_eq!(out.pipes().count(), 1);
        assert_eq!(std::fs::read(out.log.path()).unwrap(), b"one\ntwo\n");
    }
}
