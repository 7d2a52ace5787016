//! Kernel and initramfs in one reproducible `.tar.gz`.
//!
//! What is in them is compressed already, so the gzip member holds stored blocks: reading it costs nothing, and
//! writing is a copy. Sources: RFC 1951 section 3.2.4, RFC 1952 section 2.3, POSIX ustar.

use super::join::{Error, Head, Tee, copy, io_error, replace};
use crate::store::{Digest, Store};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// Neither name nor time nor system.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// The largest stored block.
const BLOCK: usize = 0xffff;

/// Deflate with stored blocks alone.
struct Stored<W> {
    out: W,
    crc: crc32fast::Hasher,
    len: u64,
    block: Vec<u8>,
}

impl<W: Write> Stored<W> {
    fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(&GZIP)?;
        Ok(Self::resume(out, 0, 0))
    }

    /// Goes on behind blocks of `len` bytes with the checksum `crc`.
    fn resume(out: W, crc: u32, len: u64) -> Self {
        let crc = crc32fast::Hasher::new_with_initial_len(crc, len);
        Self { out, crc, len, block: Vec::with_capacity(BLOCK) }
    }

    fn end_block(&mut self, last: bool) -> io::Result<()> {
        let len = u16::try_from(self.block.len()).map_err(io::Error::other)?;
        self.out.write_all(&[u8::from(last)])?;
        self.out.write_all(&len.to_le_bytes())?;
        self.out.write_all(&(!len).to_le_bytes())?;
        self.out.write_all(&self.block)?;
        self.block.clear();
        Ok(())
    }

    /// Ends the blocks for now; gives what [`Stored::resume`] needs.
    fn pause(mut self) -> io::Result<(u32, u64)> {
        if !self.block.is_empty() {
            self.end_block(false)?;
        }
        self.out.flush()?;
        Ok((self.crc.finalize(), self.len))
    }

    fn finish(mut self) -> io::Result<W> {
        self.end_block(true)?;
        self.out.write_all(&self.crc.finalize().to_le_bytes())?;
        // By the format: the length modulo 2^32.
        self.out.write_all(&(self.len as u32).to_le_bytes())?;
        self.out.flush()?;
        Ok(self.out)
    }
}

impl<W: Write> Write for Stored<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK {
            self.end_block(false)?;
        }
        let taken = bytes.len().min(BLOCK - self.block.len());
        self.block.extend_from_slice(&bytes[..taken]);
        self.crc.update(&bytes[..taken]);
        self.len += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The header of a regular file of root's.
fn header(name: &str, len: u64, mode: u32, mtime: u64) -> io::Result<[u8; 512]> {
    let mut header = tar::Header::new_gnu();
    header.set_path(name)?;
    header.set_size(len);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(mtime);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(*header.as_bytes())
}

/// NULs to the end of a 512-byte record.
fn fill(len: u64) -> Vec<u8> {
    vec![0; (len.next_multiple_of(512) - len) as usize]
}

/// Two empty records end an archive.
const END: [u8; 1024] = [0; 1024];

/// A file that goes into an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Its name there.
    pub name: String,
    pub file: PathBuf,
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// Writes an archive of `members` to `path`; gives its length and digest.
pub fn tar_gz(members: &[Packed], path: &Path) -> Result<(u64, Digest), Error> {
    let failed = |e| io_error(path, e);
    replace(path, |out| {
        let tee = BufWriter::with_capacity(256 * 1024, Tee::new(out));
        let mut tar = Stored::begin(tee).map_err(failed)?;
        for Packed { name, file: member, mode, mtime } in members {
            let mut file = File::open(member).map_err(|e| io_error(member, e))?;
            let len = file.metadata().map_err(|e| io_error(member, e))?.len();
            tar.write_all(&header(name, len, *mode, *mtime).map_err(failed)?).map_err(failed)?;
            copy(&mut file, &mut tar).map_err(failed)?;
            tar.write_all(&fill(len)).map_err(failed)?;
        }
        tar.write_all(&END).map_err(failed)?;
        let tee = tar.finish().and_then(|out| Ok(out.into_inner()?)).map_err(failed)?;
        Ok((tee.bytes, tee.hasher.finish()))
    })
}

/// The beginning of the archives of a base's sites.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHead {
    head: Head,
    crc: u32,
    /// Bytes of tar in it.
    len: u64,
}

impl ArchiveHead {
    /// An archive of `first` (name, blob, bytes), and of a file `name` of `bytes` bytes that begins with
    /// `begin`; up to there.
    pub fn make(
        store: &Store,
        first: (&str, &Digest, u64),
        (name, begin, bytes): (&str, &Head, u64),
        mtime: u64,
    ) -> Result<Self, Error> {
        let failed = |e| io_error(&store.tmp(), e);
        let (head, (crc, len)) = Head::write(store, |blob| {
            let mut tar = Stored::begin(BufWriter::with_capacity(256 * 1024, blob)).map_err(failed)?;
            let (first, kernel, len) = first;
            tar.write_all(&header(first, len, 0o644, mtime).map_err(failed)?).map_err(failed)?;
            copy(&mut store.open_blob(kernel)?, &mut tar).map_err(failed)?;
            tar.write_all(&fill(len)).map_err(failed)?;
            tar.write_all(&header(name, bytes, 0o644, mtime).map_err(failed)?).map_err(failed)?;
            copy(&mut store.open_blob(&begin.blob)?, &mut tar).map_err(failed)?;
            tar.pause().map_err(failed)
        })?;
        Ok(Self { head, crc, len })
    }

    pub fn blob(&self) -> &Digest {
        &self.head.blob
    }

    /// Writes the archive to `path`, with `tail` as the rest of its last file; gives its length and digest.
    pub fn finish(
        &self,
        store: &Store,
        tail: &[u8],
        bytes: u64,
        path: &Path,
    ) -> Result<(u64, Digest), Error> {
        let failed = |e| io_error(path, e);
        let mut tar = Stored::resume(Vec::new(), self.crc, self.len);
        for part in [tail, &fill(bytes), &END] {
            tar.write_all(part).map_err(failed)?;
        }
        self.head.finish(store, &tar.finish().map_err(failed)?, path)
    }
}

#[cfg(test)]
mod tests {
    use super::super::join::Part;
    use super::*;
    use std::io::Read as _;

    #[test]
    fn an_archive_from_its_head_is_one_that_everyone_reads() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        // Longer than a block, and no multiple of anything.
        let kernel: Vec<u8> = (0..70_001u32).map(|n| (n * 7 % 251) as u8).collect();
        let base: Vec<u8> = (0..200_003u32).map(|n| (n * 13 % 253) as u8).collect();
        let vmlinuz = store.put(&kernel).unwrap();
        let head = Head::join(&store, &[Part::Bytes(base.clone())]).unwrap();
        for tail in [&b"site"[..], &[7; 66_000], b""] {
            let bytes = head.bytes + tail.len() as u64;
            let initramfs = ("initramfs", &head, bytes);
            let archive =
                ArchiveHead::make(&store, ("vmlinuz", &vmlinuz, kernel.len() as u64), initramfs, 7).unwrap();
            let path = folder.path().join("a.tar.gz");
            let (len, digest) = archive.finish(&store, tail, bytes, &path).unwrap();
            let file = std::fs::read(&path).unwrap();
            assert_eq!((len, digest), (file.len() as u64, Digest::of(&file)));

            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&file[..]));
            let mut found = Vec::new();
            for entry in tar.entries().unwrap() {
                let mut entry = entry.unwrap();
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                assert_eq!(entry.header().mtime().unwrap(), 7);
                found.push((entry.path().unwrap().display().to_string(), content));
            }
            let whole = [base.as_slice(), tail].concat();
            assert_eq!(
                found,
                [("vmlinuz".to_owned(), kernel.clone()), ("initramfs".to_owned(), whole.clone())]
            );

            // The same content by the other way.
            let (one, two) = (folder.path().join("one"), folder.path().join("two"));
            std::fs::write(&one, &kernel).unwrap();
            std::fs::write(&two, &whole).unwrap();
            let other = folder.path().join("b.tar.gz");
            let packed = |name: &str, file: &Path| Packed {
                name: name.to_owned(),
                file: file.to_owned(),
                mode: 0o644,
                mtime: 7,
            };
            let (len, digest) =
                tar_gz(&[packed("vmlinuz", &one), packed("initramfs", &two)], &other).unwrap();
            let file = std::fs::read(&other).unwrap();
            assert_eq!((len, digest), (file.len() as u64, Digest::of(&file)));
            let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(&file[..]));
            assert_eq!(tar.entries().unwrap().count(), 2);
        }
    }
}
