//! Layers coming in: decompressed once into the store, checked while they stream.

use super::fault;
use super::layer::Layer;
use crate::http::Fault;
use crate::problem::Problem;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Hasher, Key, KeyMaker, Store};
use std::io::{self, BufRead, BufReader, Read, Write};

/// Why an image could not be brought in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] crate::store::Error),
    #[error(transparent)]
    Image(#[from] super::image::Error),
    /// The place it comes from could not be read; another attempt may help.
    #[error("{what} cannot be read: {source}")]
    Read { what: String, source: io::Error },
    /// Its bytes are not what they must be.
    #[error("{what}: {why}")]
    Content { what: String, why: String },
    /// A registry that does not do what it is asked.
    #[error("{what}: the registry {host}: {why}")]
    Refused {
        what: String,
        host: String,
        why: String,
        /// What a person can do about it.
        remedy: &'static str,
    },
    #[error("cancelled")]
    Cancelled,
}

impl Error {
    pub(super) fn refused(what: String, host: &str, fault: Fault) -> Self {
        if fault.cancelled {
            return Self::Cancelled;
        }
        let remedy = fault::remedy(&fault);
        Self::Refused { what, host: host.to_owned(), why: fault.why, remedy }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::Store(error) => error.into(),
            Error::Cancelled => Problem::cancelled(),
            Error::Refused { remedy, .. } => Problem::new(error.to_string()).remedy(remedy),
            error => Problem::new("an image cannot be used").because(error),
        }
    }
}

/// How far a compressed layer may grow. Honest layers stay far below; a bomb is stopped early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes that any layer may have.
    pub free: u64,
    /// Above that: times its compressed size.
    pub ratio: u64,
    /// Bytes that no layer may exceed.
    pub most: u64,
}

impl Default for Limits {
    /// 1 GiB always; above it 200 times the compressed size; 64 GiB never.
    fn default() -> Self {
        Self { free: 1 << 30, ratio: 200, most: 64 << 30 }
    }
}

impl Limits {
    fn of(&self, compressed: u64) -> u64 {
        self.free.max(compressed.saturating_mul(self.ratio)).min(self.most)
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
}

impl Compression {
    /// By media type, of the OCI image specification (layer.md) or Docker's; none for what is no layer.
    pub fn of(media_type: &str) -> Option<Self> {
        let rest = [
            "application/vnd.oci.image.layer.v1.tar",
            "application/vnd.oci.image.layer.nondistributable.v1.tar",
            "application/vnd.docker.image.rootfs.diff.tar",
            "application/vnd.docker.image.rootfs.foreign.diff.tar",
        ]
        .iter()
        .find_map(|start| media_type.strip_prefix(start))?;
        match rest {
            "" => Some(Self::None),
            "+gzip" | ".gzip" => Some(Self::Gzip),
            "+zstd" | ".zstd" => Some(Self::Zstd),
            _ => None,
        }
    }
}

/// A compressed layer as its manifest describes it.
#[derive(Debug, Clone, Copy)]
pub struct Stated<'a> {
    pub media_type: &'a str,
    /// Of the bytes as they come.
    pub digest: Digest,
    /// Bytes as they come.
    pub size: u64,
    /// Of the uncompressed layer, from the image's configuration.
    pub diff_id: Digest,
}

impl Stated<'_> {
    fn key(&self) -> Key {
        KeyMaker::new("oci layer 1").add("compressed", self.digest.hex()).local().finish()
    }

    /// The layer, if it is in the store.
    pub fn known(&self, store: &Store) -> Option<Layer> {
        let layer = if self.digest == self.diff_id {
            store.has(&self.digest).then_some(self.digest)
        } else {
            store.work(&self.key())
        };
        let diff_id = layer.filter(|layer| *layer == self.diff_id)?;
        let size = std::fs::metadata(store.path(&diff_id)).ok()?.len();
        Some(Layer { diff_id, size })
    }
}

/// Decompresses the layer that `reader` gives into the store, unless it is there. Its digest and size
/// are checked, and its diff ID; nothing is left in the store when a layer is refused, but for one whose
/// diff ID is wrong (nothing refers to it).
pub fn import_layer(
    store: &Store,
    reader: impl Read,
    stated: Stated<'_>,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Layer, Error> {
    if let Some(layer) = stated.known(store) {
        return Ok(layer);
    }
    let what = || format!("layer {}", stated.digest);
    let refused = |why: String| Error::Content { what: what(), why };
    let compression = Compression::of(stated.media_type)
        .ok_or_else(|| refused(format!("its media type {:?} is not that of a layer", stated.media_type)))?;
    let mut state = State::default();
    let result = decompress(
        store,
        Checked { reader, state: &mut state, size: stated.size, progress },
        compression,
        limits.of(stated.size),
    );
    // What broke first decides: a decoder that was cut off says something else.
    if progress.cancelled() && result.is_err() {
        return Err(Error::Cancelled);
    }
    if let Some(source) = state.failed {
        return Err(Error::Read { what: what(), source });
    }
    if state.long {
        return Err(refused(format!("it has more than the {} bytes that its manifest states", stated.size)));
    }
    let blob = match result {
        Ok(blob) => blob,
        Err(Stop::Store(e)) => return Err(e.into()),
        Err(Stop::Decoder(e)) if state.ended && state.bytes < stated.size => {
            return Err(refused(format!("it ends after {} of {} bytes ({e})", state.bytes, stated.size)));
        }
        Err(Stop::Decoder(e)) => return Err(refused(format!("it is damaged: {e}"))),
        Err(Stop::Bomb) => {
            let most = limits.of(stated.size);
            return Err(refused(format!("{} bytes that grow to more than {most}: refused", stated.size)));
        }
    };
    if state.bytes != stated.size {
        return Err(refused(format!("it has {} bytes, its manifest states {}", state.bytes, stated.size)));
    }
    let found = state.hasher.finish();
    if found != stated.digest {
        return Err(refused(format!("its content has the digest {found}")));
    }
    let (diff_id, size) = blob.commit()?;
    if diff_id != stated.diff_id {
        return Err(refused(format!(
            "uncompressed its digest is {diff_id}, the image's configuration states {}",
            stated.diff_id
        )));
    }
    if stated.digest != diff_id {
        store.set_work(&stated.key(), &diff_id)?;
    }
    Ok(Layer { diff_id, size })
}

/// Puts what a reader gives into the store as it is, if it has this digest and size in bytes.
pub(super) fn import_blob(
    store: &Store,
    what: &str,
    reader: impl Read,
    digest: &Digest,
    size: u64,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let wrong = |why: String| Error::Content { what: what.to_owned(), why };
    let mut reader = reader.take(size + 1);
    let mut blob = store.writer()?;
    let mut hasher = Hasher::new();
    let mut piece = vec![0; 128 << 10];
    loop {
        let n = reader.read(&mut piece);
        if progress.cancelled() {
            return Err(Error::Cancelled);
        }
        let n = n.map_err(|source| Error::Read { what: what.to_owned(), source })?;
        if n == 0 {
            break;
        }
        hasher.update(&piece[..n]);
        let written = blob.write_all(&piece[..n]);
        written.map_err(|source| crate::store::Error::Io { path: store.tmp(), source })?;
        progress.at(blob.position().min(size), size, Unit::Bytes);
    }
    if blob.position() != size {
        return Err(wrong(format!("{size} bytes are stated, it has {}", blob.position())));
    }
    let found = hasher.finish();
    if found != *digest {
        return Err(wrong(format!("its content has the digest {found}")));
    }
    blob.commit()?;
    Ok(())
}

/// What stopped a layer on its way.
enum Stop {
    Store(crate::store::Error),
    Decoder(io::Error),
    Bomb,
}

fn decompress<R: Read>(
    store: &Store,
    checked: Checked<'_, R>,
    compression: Compression,
    most: u64,
) -> Result<crate::store::BlobWriter, Stop> {
    let mut blob = store.writer().map_err(Stop::Store)?;
    let mut input = BufReader::with_capacity(128 * 1024, checked);
    let decoder = |e| Stop::Decoder(e);
    match compression {
        Compression::None => copy(store, &mut input, &mut blob, most)?,
        compressed => {
            let start = input.fill_buf().map_err(decoder)?;
            // The two are told apart by their first bytes: tools have written the wrong media type.
            let gzip = match start {
                [0x1f, 0x8b, ..] => true,
                [0x28, 0xb5, 0x2f, 0xfd, ..] => false,
                _ => compressed == Compression::Gzip,
            };
            if gzip {
                let mut plain = flate2::bufread::MultiGzDecoder::new(&mut input);
                copy(store, &mut plain, &mut blob, most)?;
            } else {
                let mut plain = zstd::Decoder::with_buffer(&mut input).map_err(decoder)?;
                copy(store, &mut plain, &mut blob, most)?;
            }
        }
    }
    // What a decoder leaves belongs to the digest too.
    io::copy(&mut input, &mut io::sink()).map_err(decoder)?;
    Ok(blob)
}

fn copy(
    store: &Store,
    from: &mut impl Read,
    to: &mut crate::store::BlobWriter,
    most: u64,
) -> Result<(), Stop> {
    let mut buffer = vec![0; 128 * 1024];
    loop {
        let n = match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Stop::Decoder(e)),
        };
        if to.position() + n as u64 > most {
            return Err(Stop::Bomb);
        }
        let written = to.write_all(&buffer[..n]);
        written.map_err(|source| Stop::Store(crate::store::Error::Io { path: store.tmp(), source }))?;
    }
}

/// What a [`Checked`] reader saw.
#[derive(Default)]
struct State {
    hasher: Hasher,
    bytes: u64,
    ended: bool,
    long: bool,
    failed: Option<io::Error>,
}

/// Hashes and counts what passes; stops at more than `size` bytes or when cancelled.
struct Checked<'a, R> {
    reader: R,
    state: &'a mut State,
    size: u64,
    progress: &'a dyn Progress,
}

impl<R: Read> Read for Checked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.cancelled() {
            return Err(io::Error::other("cancelled"));
        }
        let n = match self.reader.read(buffer) {
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => return Err(e),
            Err(e) => {
                let again = io::Error::new(e.kind(), e.to_string());
                self.state.failed = Some(e);
                return Err(again);
            }
        };
        self.state.hasher.update(&buffer[..n]);
        self.state.bytes += n as u64;
        self.state.ended |= n == 0 && !buffer.is_empty();
        if self.state.bytes > self.size {
            self.state.long = true;
            return Err(io::Error::other("more bytes than stated"));
        }
        Ok(n)
    }
}

#[cfg(test)]
#[path = "import_tests.rs"]
mod tests;
