//! PID 1's side of the control socket. Nothing here waits for a client.

use std::io::{ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use rustix::event::PollFlags;

use crate::protocol::{Answer, LONGEST, Request};

/// Connections at a time; more wait in the socket's queue.
const CLIENTS: usize = 16;

#[derive(Debug, Default)]
pub struct Control {
    listener: Option<UnixListener>,
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    stream: UnixStream,
    request: Vec<u8>,
    answer: Option<Vec<u8>>,
}

impl Control {
    /// Listens at `path`, for the owner alone.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let _ = std::fs::remove_file(path);
        let listener = UnixListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener: Some(listener), clients: Vec::new() })
    }

    /// What to wait for.
    pub fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let listener = self.listener.iter().filter(|_| self.clients.len() < CLIENTS);
        let listener = listener.map(|l| (l.as_fd(), PollFlags::IN));
        let clients = self
            .clients
            .iter()
            .map(|c| (c.stream.as_fd(), if c.answer.is_some() { PollFlags::OUT } else { PollFlags::IN }));
        listener.chain(clients)
    }

    /// Takes new clients, reads requests, answers them with `handle`.
    pub fn turn(&mut self, mut handle: impl FnMut(Request) -> Answer) {
        while let Some(listener) = self.listener.as_ref().filter(|_| self.clients.len() < CLIENTS) {
            match listener.accept() {
                Ok((stream, _)) if stream.set_nonblocking(true).is_ok() => {
                    self.clients.push(Client { stream, request: Vec::new(), answer: None });
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Ok(_) | Err(_) => break,
            }
        }
        self.clients.retain_mut(|client| client.turn(&mut handle));
    }
}

impl Client {
    /// False when the conversation is over.
    fn turn(&mut self, handle: &mut impl FnMut(Request) -> Answer) -> bool {
        if self.answer.is_none() {
            match self.read() {
                Ok(true) => {}
                Ok(false) => return true,
                Err(()) => return false,
            }
            let answer = match serde_json::from_slice(&self.request) {
                Ok(request) => handle(request),
                Err(e) => Answer { error: Some(format!("not a request: {e}")), units: Vec::new() },
            };
            let mut bytes = serde_json::to_vec(&answer).unwrap_or_default();
            bytes.push(b'\n');
            self.answer = Some(bytes);
        }
        self.write()
    }

    /// True once a whole line is there.
    fn read(&mut self) -> Result<bool, ()> {
        let mut buffer = [0_u8; 1024];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(()),
                Ok(n) => {
                    self.request.extend(buffer.iter().take(n));
                    if self.request.contains(&b'\n') {
                        return Ok(true);
                    }
                    if self.request.len() > LONGEST {
                        return Err(());
                    }
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(_) => return Err(()),
            }
        }
    }

    fn write(&mut self) -> bool {
        let Some(answer) = &mut self.answer else { return false };
        while !answer.is_empty() {
            match self.stream.write(answer) {
                Ok(0) => return false,
                Ok(n) => drop(answer.drain(..n.min(answer.len()))),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return e.kind() == ErrorKind::WouldBlock,
            }
        }
        false
    }
}
