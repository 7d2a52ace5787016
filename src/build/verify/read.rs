//! Files of an image, each read once: its digest, and what is in it.

use crate::build::inspect::{self, Files};
use crate::build::published::{self, Member};
use crate::initramfs::members;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Hasher};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

/// How far all files are read.
pub struct Reading<'p> {
    done: AtomicU64,
    total: u64,
    progress: &'p dyn Progress,
}

impl<'p> Reading<'p> {
    pub fn new(total: u64, progress: &'p dyn Progress) -> Self {
        Self { done: AtomicU64::new(0), total, progress }
    }
}

/// What passes by is hashed.
struct Hashed<'r> {
    file: File,
    hasher: Hasher,
    bytes: u64,
    reading: &'r Reading<'r>,
}

impl<'r> Hashed<'r> {
    fn open(path: &Path, reading: &'r Reading<'_>) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, hasher: Hasher::new(), bytes: 0, reading })
    }

    /// Reads what is left; gives digest and bytes of all.
    fn finish(mut self) -> Result<(Digest, u64), String> {
        io::copy(&mut self, &mut io::sink()).map_err(|e| e.to_string())?;
        Ok((self.hasher.finish(), self.bytes))
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

/// Digest and bytes of a file.
pub fn file(path: &Path, reading: &Reading<'_>) -> Result<(Digest, u64), String> {
    Hashed::open(path, reading).map_err(|e| e.to_string())?.finish()
}

/// An initramfs.
pub struct Initramfs {
    pub file: Result<(Digest, u64), String>,
    pub content: Result<(Vec<members::Member>, Files), String>,
}

impl Initramfs {
    pub fn read(path: &Path, reading: &Reading<'_>) -> Self {
        let mut hashed = match Hashed::open(path, reading) {
            Ok(hashed) => hashed,
            Err(e) => return Self { file: Err(e.to_string()), content: Err(e.to_string()) },
        };
        let mut files = Files::default();
        let members = members::read(&mut hashed, |place, entry, data| files.take(place, entry, data));
        let content = members.map(|members| (members, files)).map_err(|e| e.to_string());
        Self { file: hashed.finish(), content }
    }
}

/// An archive of kernel and initramfs.
pub struct Archive {
    pub file: Result<(Digest, u64), String>,
    /// Each with its digest.
    pub members: Result<Vec<(Member, Digest)>, String>,
}

impl Archive {
    pub fn read(path: &Path, reading: &Reading<'_>) -> Self {
        let mut hashed = match Hashed::open(path, reading) {
            Ok(hashed) => hashed,
            Err(e) => return Self { file: Err(e.to_string()), members: Err(e.to_string()) },
        };
        let mut all = Vec::new();
        let read = published::members(path, &mut hashed, |member, data| {
            let (digest, _) = inspect::digest(data).map_err(|e| {
                crate::problem::Problem::new("it cannot be read to its end").in_file(path).because(e)
            })?;
            all.push((member, digest));
            Ok(())
        });
        let members = read.map(|()| all).map_err(|problem| {
            let causes = problem.causes().join(": ");
            format!("{}{}{causes}", problem.what(), if causes.is_empty() { "" } else { ": " })
        });
        Self { file: hashed.finish(), members }
    }
}
