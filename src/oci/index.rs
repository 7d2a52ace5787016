//! A tar archive read as a list of entries whose contents stay where they are.
//!
//! Formats: ustar, PAX (POSIX.1-2001) and the GNU long names, as OCI layers and `.deb` files use them.
//! Nothing is unpacked; a hostile archive can at worst be refused. Where writers disagree, the reading of
//! Go's `archive/tar` is followed, because the tools that run containers read layers with it.

use super::header::{self, Extension};
use crate::initramfs::tree::{Content, Kind, Node, TreePath};
use crate::store::Digest;
use std::io::{self, Read};

/// Most entries that one archive may have.
pub const MOST_ENTRIES: usize = 2_000_000;
/// Largest PAX header or long name, in bytes (Go's limit too).
pub const LARGEST_EXTENSION: u64 = 1 << 20;

const BLOCK: usize = 512;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("entry {name:?} at byte {at} of {archive}: {why}")]
    Entry { archive: String, name: String, at: u64, why: String },
    #[error("{archive} is not a whole tar archive (byte {at}): {source}")]
    Archive { archive: String, at: u64, source: io::Error },
    #[error("{archive} has more than {MOST_ENTRIES} entries")]
    Many { archive: String },
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Item {
    Node(Node),
    /// A hard link to another path of the same root.
    HardLink(TreePath),
}

/// One entry, in the archive's order.
#[derive(Debug, Clone)]
pub struct Entry {
    pub path: TreePath,
    pub item: Item,
    /// Byte of its header in the archive.
    pub at: u64,
}

/// Where the archive's bytes are in the store.
#[derive(Debug, Clone, Copy)]
pub struct Source {
    pub blob: Digest,
    /// Byte of the blob at which the archive starts.
    pub offset: u64,
    /// Length of the archive in bytes; no content may lie past it.
    pub len: u64,
}

/// Reads the archive `reader`, whose bytes are those of `source`.
///
/// The end is two empty blocks, or the end of the bytes between two entries (some writers leave the
/// empty blocks out, and a layer's digest covers its end).
pub fn index(reader: impl Read, source: Source) -> Result<Vec<Entry>, Error> {
    let mut walk = Walk { reader: reader.take(source.len), source, at: 0 };
    let mut out = Vec::new();
    let mut pending = Extension::default();
    loop {
        let at = walk.at;
        let Some(block) = walk.header()? else { break };
        if out.len() >= MOST_ENTRIES {
            return Err(Error::Many { archive: walk.archive() });
        }
        let kind = block.entry_type();
        let extends = kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink();
        let name = match &pending.path {
            Some(path) if !extends => path.clone(),
            _ => block.path_bytes().into_owned(),
        };
        let refused = |why: String| walk_error(source, &name, at, why);
        if !header::checksum_holds(&block) {
            return Err(refused("the checksum of its header is wrong".to_owned()));
        }
        let plain = header::number(&block.as_old().size)
            .and_then(|n| u64::try_from(n).map_err(|_| format!("its size {n} is negative")))
            .map_err(|why| refused(format!("its size: {why}")))?;
        if extends || kind.is_pax_global_extensions() {
            if plain > LARGEST_EXTENSION {
                return Err(refused(format!(
                    "its extended header has {plain} bytes, over {LARGEST_EXTENSION}"
                )));
            }
            let mut bytes = vec![0; usize::try_from(plain).unwrap_or(0)];
            walk.fill(&mut bytes)?;
            walk.skip(padding(plain))?;
            // A global header speaks of the archive (its commit, a comment); container tools pass it over.
            if extends {
                pending.take(kind, bytes).map_err(refused)?;
            }
            continue;
        }
        let more = std::mem::take(&mut pending);
        // Folders, links, devices have no content, whatever their size field says.
        let size = if has_content(kind) { more.size.unwrap_or(plain) } else { 0 };
        if walk.at.checked_add(size).is_none_or(|end| end > source.len) {
            return Err(refused(format!(
                "its {size} bytes reach past the end of the archive, which has {} bytes",
                source.len
            )));
        }
        let content = Content::Blob { digest: source.blob, offset: source.offset + walk.at, len: size };
        let (path, item) = read_entry(&block, &name, more, content).map_err(refused)?;
        out.push(Entry { path, item, at });
        walk.skip(size)?;
        walk.skip(padding(size).min(source.len - walk.at))?;
    }
    if !pending.is_empty() {
        let source = io::Error::new(io::ErrorKind::UnexpectedEof, "an extended header without its entry");
        return Err(Error::Archive { archive: walk.archive(), at: walk.at, source });
    }
    Ok(out)
}

fn walk_error(source: Source, name: &[u8], at: u64, why: String) -> Error {
    let name = String::from_utf8_lossy(name).chars().take(200).collect();
    Error::Entry { archive: source.blob.to_string(), name, at, why }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn has_content(kind: tar::EntryType) -> bool {
    use tar::EntryType as T;
    !matches!(kind, T::Directory | T::Symlink | T::Link | T::Char | T::Block | T::Fifo)
}

/// The archive's bytes and how many of them are behind.
struct Walk<R> {
    reader: R,
    source: Source,
    at: u64,
}

impl<R: Read> Walk<R> {
    fn archive(&self) -> String {
        self.source.blob.to_string()
    }

    fn broken(&self, source: io::Error) -> Error {
        Error::Archive { archive: self.archive(), at: self.at, source }
    }

    /// The next header; none at the end of the archive.
    fn header(&mut self) -> Result<Option<tar::Header>, Error> {
        let Some(header) = self.block()? else { return Ok(None) };
        if header.as_bytes().iter().any(|b| *b != 0) {
            return Ok(Some(header));
        }
        match self.block()? {
            Some(next) if next.as_bytes().iter().any(|b| *b != 0) => {
                let why = "a header after an empty block, which ends an archive";
                Err(self.broken(io::Error::new(io::ErrorKind::InvalidData, why)))
            }
            _ => Ok(None),
        }
    }

    /// One block; none when there is not one byte more.
    fn block(&mut self) -> Result<Option<tar::Header>, Error> {
        let mut header = tar::Header::new_old();
        let bytes = header.as_mut_bytes();
        let mut got = 0;
        while got < BLOCK {
            match self.reader.read(&mut bytes[got..]) {
                Ok(0) if got == 0 => return Ok(None),
                Ok(0) => {
                    let why = "it ends inside a header";
                    return Err(self.broken(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
                }
                Ok(n) => got += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.broken(e)),
            }
        }
        self.at += BLOCK as u64;
        Ok(Some(header))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        self.reader.read_exact(bytes).map_err(|e| self.broken(e))?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn skip(&mut self, len: u64) -> Result<(), Error> {
        let gone = io::copy(&mut (&mut self.reader).take(len), &mut io::sink());
        match gone {
            Ok(gone) if gone == len => {
                self.at += len;
                Ok(())
            }
            Ok(gone) => {
                self.at += gone;
                Err(self.broken(io::Error::new(io::ErrorKind::UnexpectedEof, "it ends inside a content")))
            }
            Err(e) => Err(self.broken(e)),
        }
    }
}

fn read_entry(
    header: &tar::Header,
    name: &[u8],
    more: Extension,
    content: Content,
) -> Result<(TreePath, Item), String> {
    let path = TreePath::new(name).map_err(|e| e.to_string())?;
    let link = || match &more.link {
        Some(link) => Some(link.clone()),
        None => header.link_name_bytes().map(std::borrow::Cow::into_owned),
    };
    let kind = match header.entry_type() {
        // Old archives mark a folder by a slash alone.
        tar::EntryType::Regular | tar::EntryType::Continuous if name.ends_with(b"/") => Kind::Directory,
        tar::EntryType::Regular | tar::EntryType::Continuous => Kind::File(content),
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => {
            let target = link().ok_or("a symbolic link without a target")?;
            if target.is_empty() || target.contains(&0) || target.len() > TreePath::LONGEST {
                return Err("its target is empty, too long, or has a NUL byte".to_owned());
            }
            Kind::Symlink(target)
        }
        tar::EntryType::Link => {
            let target = link().ok_or("a hard link without a target")?;
            let target = TreePath::new(&target).map_err(|e| format!("its target: {e}"))?;
            if path.is_root() || target.is_root() {
                return Err("a hard link of the root".to_owned());
            }
            return Ok((path, Item::HardLink(target)));
        }
        tar::EntryType::Char => {
            let (major, minor) = header::device(header)?;
            Kind::CharDevice { major, minor }
        }
        tar::EntryType::Block => {
            let (major, minor) = header::device(header)?;
            Kind::BlockDevice { major, minor }
        }
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::GNUSparse => return Err("sparse files are not taken".to_owned()),
        other => return Err(format!("its type {:?} is not taken", char::from(other.as_byte()))),
    };
    if path.is_root() && kind != Kind::Directory {
        return Err("it has no name".to_owned());
    }
    let old = header.as_old();
    let owner = |extended: Option<u64>, field: &[u8], what: &str| {
        let id = match extended {
            Some(id) => i128::from(id),
            None => header::number(field).map_err(|e| format!("its {what}: {e}"))?.into(),
        };
        u32::try_from(id).map_err(|_| format!("its {what} {id} does not fit 32 bits"))
    };
    let mtime = match more.mtime {
        Some(mtime) => mtime,
        None => header::number(&old.mtime).map_err(|e| format!("its time: {e}"))?,
    };
    let mode = header::number(&old.mode).map_err(|e| format!("its mode: {e}"))? & 0o7777;
    Ok((
        path,
        Item::Node(Node {
            kind,
            mode: u32::try_from(mode).unwrap_or(0),
            uid: owner(more.uid, &old.uid, "user")?,
            gid: owner(more.gid, &old.gid, "group")?,
            mtime,
            xattrs: more.xattrs,
        }),
    ))
}

#[cfg(test)]
#[path = "index_tests.rs"]
mod tests;
