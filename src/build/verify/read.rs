//! Files of an image, each read once: its digest, and what is in it.

use crate::build::inspect::Files;
use crate::build::published::{self, Member};
use crate::initramfs::members;
use crate::store::{Digest, Hashed, Reading};
use std::path::Path;

/// Digest and bytes of a file.
pub fn file(path: &Path, reading: &Reading<'_>) -> Result<(Digest, u64), String> {
    Hashed::open(path, reading).and_then(Hashed::finish).map_err(|e| e.to_string())
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
        Self { file: hashed.finish().map_err(|e| e.to_string()), content }
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
            let (digest, _) = Digest::of_reader(data).map_err(|e| {
                crate::problem::Problem::new("it cannot be read to its end").in_file(path).because(e)
            })?;
            all.push((member, digest));
            Ok(())
        });
        let members = read.map(|()| all).map_err(|problem| {
            let causes = problem.causes().join(": ");
            format!("{}{}{causes}", problem.what(), if causes.is_empty() { "" } else { ": " })
        });
        Self { file: hashed.finish().map_err(|e| e.to_string()), members }
    }
}
