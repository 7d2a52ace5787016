//! Segments end to end: an initramfs; and kernel and initramfs in one archive.
//!
//! The kernel takes compressed members back to back, with nothing between them.

use crate::store::{Digest, Hasher, Store};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// One part of a file that is put together.
#[derive(Debug, Clone)]
pub enum Part {
    Blob(Digest),
    Bytes(Vec<u8>),
}

/// Writes `parts` end to end to `path`, whole or not at all; each blob is checked as it is copied. Gives
/// length and digest.
pub fn join(store: &Store, parts: &[Part], path: &Path) -> Result<(u64, Digest), Error> {
    replace(path, |out| {
        let mut whole = Tee { out, hasher: Hasher::new(), bytes: 0 };
        for part in parts {
            match part {
                Part::Bytes(bytes) => whole.write_all(bytes).map_err(|e| io_error(path, e))?,
                Part::Blob(digest) => {
                    let blob = store.path(digest);
                    let mut file = File::open(&blob).map_err(|e| io_error(&blob, e))?;
                    let mut own = Hasher::new();
                    let mut buffer = vec![0; 256 * 1024];
                    loop {
                        let read = file.read(&mut buffer).map_err(|e| io_error(&blob, e))?;
                        if read == 0 {
                            break;
                        }
                        own.update(&buffer[..read]);
                        whole.write_all(&buffer[..read]).map_err(|e| io_error(path, e))?;
                    }
                    let found = own.finish();
                    if found != *digest {
                        return Err(crate::store::Error::Damaged { digest: *digest, found }.into());
                    }
                }
            }
        }
        Ok((whole.bytes, whole.hasher.finish()))
    })
}

/// Writes a reproducible `.tar.gz` of `members` (name, file) to `path`. Their content is compressed
/// already, so the gzip member holds it in stored blocks: reading it costs nothing, and writing is a copy.
pub fn tar_gz(members: &[(&str, &Path)], mtime: u64, path: &Path) -> Result<(u64, Digest), Error> {
    replace(path, |out| {
        let tee = Tee { out: io::BufWriter::with_capacity(256 * 1024, out), hasher: Hasher::new(), bytes: 0 };
        let gzip = flate2::GzBuilder::new().mtime(0).write(tee, flate2::Compression::none());
        let mut tar = tar::Builder::new(gzip);
        for (name, member) in members {
            let mut file = File::open(member).map_err(|e| io_error(member, e))?;
            let len = file.metadata().map_err(|e| io_error(member, e))?.len();
            let mut header = tar::Header::new_gnu();
            header.set_size(len);
            header.set_mode(0o644);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(mtime);
            header.set_entry_type(tar::EntryType::Regular);
            tar.append_data(&mut header, name, &mut file).map_err(|e| io_error(path, e))?;
        }
        let gzip = tar.into_inner().map_err(|e| io_error(path, e))?;
        let mut tee = gzip.finish().map_err(|e| io_error(path, e))?;
        tee.flush().map_err(|e| io_error(path, e))?;
        Ok((tee.bytes, tee.hasher.finish()))
    })
}

fn io_error(path: &Path, source: io::Error) -> Error {
    Error::Io { path: path.to_owned(), source }
}

/// Writes a new file beside `path`, then puts it in its place.
fn replace<T>(path: &Path, write: impl FnOnce(&mut File) -> Result<T, Error>) -> Result<T, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let failed = |e| io_error(path, e);
    let mut file = tempfile::Builder::new()
        .prefix(".new-")
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
        .map_err(failed)?;
    let result = write(file.as_file_mut())?;
    file.as_file().sync_all().map_err(failed)?;
    file.persist(path).map_err(|e| failed(e.error))?;
    Ok(result)
}

/// Writes, counts and hashes.
struct Tee<W> {
    out: W,
    hasher: Hasher,
    bytes: u64,
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
