//! A context on its way to the engine: read by a thread of its own, a few pieces ahead of the connection.

use super::Context;
use crate::store::{Digest, Hasher};
use futures_util::stream::{self, Stream};
use hyper::body::Bytes;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// Bytes of a piece, and how many pieces wait: what of a context is in memory at a time.
const PIECE: usize = 256 << 10;
const AHEAD: usize = 4;

/// The reading thread, and what it has read for the connection.
pub(super) struct Sending {
    thread: JoinHandle<io::Result<Digest>>,
    pieces: Arc<Mutex<mpsc::Receiver<io::Result<Bytes>>>>,
}

/// A context as the body of a request.
pub(super) fn body(context: &Context) -> (impl Stream<Item = io::Result<Bytes>> + Send + 'static, Sending) {
    let (to, from) = mpsc::channel(AHEAD);
    let context = context.clone();
    let thread = std::thread::spawn(move || {
        let mut pieces = Pieces { hasher: Hasher::new(), piece: Vec::with_capacity(PIECE), to };
        match context.write(&mut pieces) {
            Ok(()) => Ok(pieces.hasher.finish()),
            Err(e) => {
                // So that the engine does not take the archive for a whole one.
                let broken = io::Error::new(e.kind(), e.to_string());
                let _ = pieces.to.blocking_send(Err(broken));
                Err(e)
            }
        }
    });
    let pieces = Arc::new(Mutex::new(from));
    let body = Arc::clone(&pieces);
    let body = stream::poll_fn(move |cx| lock(&body).poll_recv(cx));
    (body, Sending { thread, pieces })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sending {
    /// What was sent, or why a file could not be. What was not asked for until now is not sent any more.
    pub fn end(self) -> io::Result<Option<Digest>> {
        lock(&self.pieces).close();
        match self.thread.join() {
            Ok(Ok(digest)) => Ok(Some(digest)),
            // The engine had enough.
            Ok(Err(e)) if e.kind() == io::ErrorKind::BrokenPipe => Ok(None),
            Ok(Err(e)) => Err(e),
            Err(_) => Err(io::Error::other("the thread that reads them ended")),
        }
    }
}

struct Pieces {
    hasher: Hasher,
    piece: Vec<u8>,
    to: mpsc::Sender<io::Result<Bytes>>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = PIECE - self.piece.len();
        let taken = &bytes[..bytes.len().min(room)];
        self.hasher.update(taken);
        self.piece.extend_from_slice(taken);
        if self.piece.len() == PIECE {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        self.to.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::StreamExt as _;

    /// A file of many pieces, and a context of it.
    fn large() -> (tempfile::TempDir, Context) {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..20 * PIECE).map(|n| u8::try_from(n % 251).unwrap()).collect();
        std::fs::write(folder.path().join("large"), bytes).unwrap();
        let context = Context::read(folder.path()).unwrap();
        (folder, context)
    }

    #[test]
    fn what_is_sent_is_what_was_read_and_its_digest() {
        let (_folder, context) = large();
        let (body, sending) = body(&context);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut hasher = Hasher::new();
        let pieces: Vec<_> = runtime.block_on(body.collect());
        pieces.into_iter().for_each(|piece| hasher.update(&piece.unwrap()));
        let digest = context.digest().unwrap();
        assert_eq!((sending.end().unwrap(), hasher.finish()), (Some(digest), digest));
    }

    #[test]
    fn a_connection_that_no_longer_reads_ends_it_and_a_lost_file_is_named() {
        let (folder, context) = large();
        // The connection keeps its end, and does not read.
        let (_body, sending) = body(&context);
        assert_eq!(sending.end().unwrap(), None);
        std::fs::remove_file(folder.path().join("large")).unwrap();
        let (_body, sending) = body(&context);
        let error = sending.end().unwrap_err().to_string();
        assert!(error.contains("large: No such file"), "{error}");
    }
}
