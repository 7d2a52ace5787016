//! Large files are read once, for what is in them and for their digest.

use super::digest::PIECE;
use super::{Digest, Hasher};
use crate::progress::{Progress, Unit};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far some files are read, all together.
pub struct Reading<'p> {
    done: AtomicU64,
    total: u64,
    progress: &'p dyn Progress,
}

impl<'p> Reading<'p> {
    /// `total`: bytes of all the files.
    pub fn new(total: u64, progress: &'p dyn Progress) -> Self {
        Self { done: AtomicU64::new(0), total, progress }
    }
}

/// A file that is hashed while somebody reads it. Reading fails when the work should stop.
pub struct Hashed<'r> {
    file: File,
    hasher: Hasher,
    bytes: u64,
    reading: &'r Reading<'r>,
}

impl<'r> Hashed<'r> {
    pub fn open(path: &Path, reading: &'r Reading<'_>) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, hasher: Hasher::new(), bytes: 0, reading })
    }

    /// Reads what is left; gives digest and bytes of all.
    pub fn finish(self) -> io::Result<(Digest, u64)> {
        self.hasher().map(|(hasher, bytes)| (hasher.finish(), bytes))
    }

    /// As [`Hashed::finish`], for a digest that goes on with something else.
    pub fn hasher(mut self) -> io::Result<(Hasher, u64)> {
        io::copy(&mut BufReader::with_capacity(PIECE, &mut self), &mut io::sink())?;
        Ok((self.hasher, self.bytes))
    }

    /// A whole file.
    pub fn file(path: &Path, progress: &dyn Progress) -> io::Result<(Hasher, u64)> {
        let reading = Reading::new(path.metadata()?.len(), progress);
        Hashed::open(path, &reading)?.hasher()
    }
}

impl Read for Hashed<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.reading.progress.cancelled() {
            // Not Interrupted: that one would be tried again.
            return Err(io::Error::other("cancelled"));
        }
        let n = self.file.read(buffer)?;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        self.bytes += n as u64;
        let done = self.reading.done.fetch_add(n as u64, Ordering::Relaxed) + n as u64;
        self.reading.progress.at(done, self.reading.total.max(done), Unit::Bytes);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::{Silent, Stopped};

    #[test]
    fn a_file_is_hashed_whoever_reads_it_and_not_when_the_work_stops() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let bytes = vec![7; 300_000];
        std::fs::write(&path, &bytes).unwrap();
        let whole = (Digest::of(&bytes), 300_000);
        assert_eq!(Digest::of_file(&path).unwrap(), whole);
        let reading = Reading::new(300_000, &Silent);
        let mut hashed = Hashed::open(&path, &reading).unwrap();
        hashed.read_exact(&mut [0; 1000]).unwrap();
        assert_eq!(hashed.finish().unwrap(), whole);
        let (mut hasher, n) = Hashed::file(&path, &Silent).unwrap();
        hasher.update(b"more");
        assert_eq!((hasher.finish(), n), (Digest::of(&[&bytes[..], b"more"].concat()), 300_000));
        assert!(Hashed::file(&path, &Stopped).is_err());
    }
}
