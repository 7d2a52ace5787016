//! Segments: compressed archives, made once and kept in the store.

use super::compress::Compression;
use super::cpio::{self, Inodes, Written};
use super::tree::Tree;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Key, KeyMaker, Store};
use std::io::{self, Write};

/// Why a segment could not be made; `E` is the error of whoever makes the tree.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    #[error("the segment's tree could not be made")]
    Tree(E),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Cpio(#[from] cpio::Error),
    #[error("compressing: {0}")]
    Compress(#[from] io::Error),
    #[error("the store's record of a segment cannot be read: {0}")]
    Record(#[from] serde_json::Error),
    #[error("cancelled")]
    Cancelled,
}

/// A segment in the store.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Segment {
    pub blob: Digest,
    /// Bytes of the compressed archive.
    pub compressed: u64,
    #[serde(flatten)]
    pub written: Written,
}

/// How a segment is made.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub compression: Compression,
    pub inodes: Inodes,
    /// Later times become this one (seconds since 1970).
    pub latest: i64,
}

/// The key under which the store keeps a segment whose tree is named by `tree`.
pub fn key(tree: &Key, options: &Options) -> Key {
    KeyMaker::new("segment")
        .add("cpio", cpio::VERSION.to_le_bytes())
        .add("compression", options.compression.identity())
        .add("inodes", format!("{:?}", options.inodes))
        .add("latest", options.latest.to_le_bytes())
        .add("tree", tree.hex())
        .finish()
}

/// The segment of `tree`, if the store has it.
pub fn find(store: &Store, tree: &Key, options: &Options) -> Option<Segment> {
    let record = store.work(&key(tree, options))?;
    let segment: Segment = serde_json::from_slice(&store.read(&record).ok()?).ok()?;
    store.has(&segment.blob).then_some(segment)
}

/// Gives the segment from the store, or makes it; the flag says whether it was there. `tree` names the
/// tree that `make` makes; `make` is called on a miss only. Two processes do not make the same segment.
pub fn make<E>(
    store: &Store,
    tree: &Key,
    options: &Options,
    make: impl FnOnce() -> Result<Tree, E>,
    progress: &dyn Progress,
) -> Result<(Segment, bool), Error<E>> {
    if let Some(segment) = find(store, tree, options) {
        return Ok((segment, true));
    }
    let key = key(tree, options);
    let _lock = store.lock(&key.hex())?;
    if let Some(segment) = find(store, tree, options) {
        return Ok((segment, true));
    }
    let tree = make().map_err(Error::Tree)?;
    let total = tree.iter().map(|(_, node)| size_of(node)).sum();
    let blob = store.writer()?;
    let mut out = Watched { out: options.compression.writer(blob)?, done: 0, total, progress };
    let written = match cpio::write(store, &tree, options.inodes, options.latest, &mut out) {
        Err(_) if progress.cancelled() => return Err(Error::Cancelled),
        other => other?,
    };
    let (blob, compressed) = out.out.finish()?.commit()?;
    let segment = Segment { blob, compressed, written };
    let record = store.put(&serde_json::to_vec(&segment)?)?;
    store.set_work_with(&key, &record, &[segment.blob])?;
    Ok((segment, false))
}

fn size_of(node: &super::tree::Node) -> u64 {
    match &node.kind {
        super::tree::Kind::File(content) => content.len(),
        _ => 0,
    }
}

/// Tells progress, and stops when asked to.
struct Watched<'a, W> {
    out: W,
    done: u64,
    total: u64,
    progress: &'a dyn Progress,
}

impl<W: Write> Write for Watched<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.progress.cancelled() {
            // Not Interrupted: that one would be tried again.
            return Err(io::Error::other("cancelled"));
        }
        let n = self.out.write(bytes)?;
        self.done += n as u64;
        if bytes.len() > 4096 {
            self.progress.at(self.done.min(self.total), self.total, Unit::Bytes);
        }
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
