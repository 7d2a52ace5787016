//! Segments end to end: an initramfs.
//!
//! The kernel takes compressed members back to back, with NULs between them and behind the last. All sites of a
//! base have the same beginning, a [`Head`]: it is put together once, and kept in the store with what is known of
//! it, so a site's file is a copy of it with a few bytes behind.

use crate::replace::Replacement;
use crate::store::{BlobWriter, Digest, Hasher, Store};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error("the store's record of a file's beginning is damaged")]
    Record,
}

/// The beginning of a file, as a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub blob: Digest,
    pub bytes: u64,
    /// [`Hasher::pause`] behind its last byte.
    state: String,
}

/// One part of a file that is put together.
#[derive(Debug, Clone)]
pub enum Part {
    Blob(Digest),
    Bytes(Vec<u8>),
}

impl Head {
    /// Puts `parts` end to end into the store.
    pub fn join(store: &Store, parts: &[Part]) -> Result<Self, Error> {
        Self::write(store, |out| {
            for part in parts {
                match part {
                    Part::Bytes(bytes) => out.write_all(bytes).map_err(|e| io_error(&store.tmp(), e))?,
                    Part::Blob(digest) => {
                        copy(&mut store.open_blob(digest)?, out)
                            .map_err(|e| io_error(&store.path(digest), e))?;
                    }
                }
            }
            Ok(())
        })
        .map(|(head, ())| head)
    }

    /// Takes what `write` writes into the store.
    pub(super) fn write<T>(
        store: &Store,
        write: impl FnOnce(&mut BlobWriter) -> Result<T, Error>,
    ) -> Result<(Self, T), Error> {
        let mut blob = store.writer()?;
        let made = write(&mut blob)?;
        let state = blob.pause();
        let (blob, bytes) = blob.commit()?;
        Ok((Self { blob, bytes, state }, made))
    }

    /// Writes the head with `tail` behind it to `path`, whole or not at all. Gives length and digest.
    pub fn finish(&self, store: &Store, tail: &[u8], path: &Path) -> Result<(u64, Digest), Error> {
        let mut hasher = Hasher::resume(&self.state).ok_or(Error::Record)?;
        hasher.update(tail);
        let mut head = store.open_blob(&self.blob)?;
        replace(path, |file| {
            // By reference where the file system can; else the kernel copies.
            if rustix::fs::ioctl_ficlone(&*file, &head).is_ok() {
                io::Seek::seek(file, io::SeekFrom::End(0)).map_err(|e| io_error(path, e))?;
            } else {
                io::copy(&mut head, file).map_err(|e| io_error(path, e))?;
            }
            file.write_all(tail).map_err(|e| io_error(path, e))
        })?;
        Ok((self.bytes + tail.len() as u64, hasher.finish()))
    }
}

/// NULs that fill `len` bytes up to a whole number of these blocks. Sites of the same base differ by a few bytes; of
/// the same length they have the same beginning in an archive too, whose headers state it.
pub const BLOCK: u64 = 64 << 10;

/// How many NULs go behind an initramfs of `len` bytes.
pub fn padding(len: u64) -> u64 {
    len.next_multiple_of(BLOCK) - len
}

pub(super) fn copy(from: &mut impl Read, to: &mut impl Write) -> io::Result<u64> {
    let (mut buffer, mut all) = (vec![0; 256 * 1024], 0);
    loop {
        let read = from.read(&mut buffer)?;
        if read == 0 {
            return Ok(all);
        }
        to.write_all(&buffer[..read])?;
        all += read as u64;
    }
}

pub(super) fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

/// Writes a new file beside `path`, then puts it in its place.
pub(super) fn replace<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T, Error>) -> Result<T, Error> {
    let failed = |e| io_error(path, e);
    let mut new = Replacement::of(path, 0o644).map_err(failed)?;
    let result = write(new.file())?;
    new.place().map_err(failed)?;
    Ok(result)
}

/// Writes, counts and hashes.
pub(super) struct Tee<W> {
    pub(super) out: W,
    pub(super) hasher: Hasher,
    pub(super) bytes: u64,
}

impl<W> Tee<W> {
    pub(super) fn new(out: W) -> Self {
        Self { out, hasher: Hasher::new(), bytes: 0 }
    }
}

impl<W: Write> Write for Tee<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
