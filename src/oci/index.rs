//! A tar archive read as a list of entries whose contents stay where they are.
//!
//! Formats: ustar, PAX (POSIX.1-2001) and GNU long names, as OCI layers and `.deb` files use them.
//! Nothing is unpacked; a hostile archive can at worst be refused.

use crate::initramfs::tree::{BadPath, Content, Kind, Node, TreePath};
use crate::store::Digest;
use std::collections::BTreeMap;
use std::io::{self, Read};

/// Most entries that one archive may have.
pub const MOST_ENTRIES: usize = 2_000_000;
/// Largest PAX header or long name, in bytes.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// Why an archive was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("entry {name:?} at byte {at} of {archive}: {why}")]
    Entry { archive: String, name: String, at: u64, why: String },
    #[error("{archive} is not a whole tar archive: {source}")]
    Archive { archive: String, source: io::Error },
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
pub fn index(reader: impl Read, source: Source) -> Result<Vec<Entry>, Error> {
    let archive = || source.blob.to_string();
    let whole = |e: io::Error| Error::Archive { archive: archive(), source: e };
    let mut tar = tar::Archive::new(reader);
    let mut out = Vec::new();
    // `raw`: long names and PAX headers are ours to bound before they are read.
    let mut pending = Pending::default();
    for entry in tar.entries().map_err(whole)?.raw(true) {
        let mut entry = entry.map_err(whole)?;
        if out.len() >= MOST_ENTRIES {
            return Err(Error::Many { archive: archive() });
        }
        let at = entry.raw_header_position();
        let kind = entry.header().entry_type();
        let shown = String::from_utf8_lossy(&entry.path_bytes()).chars().take(200).collect::<String>();
        let bad = |why: String| Error::Entry { archive: archive(), name: shown.clone(), at, why };
        if kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink() {
            let size = entry.header().entry_size().map_err(|e| bad(e.to_string()))?;
            if size > LARGEST_EXTENSION {
                return Err(bad(format!("its extended header has {size} bytes, over {LARGEST_EXTENSION}")));
            }
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(whole)?;
            if bytes.len() as u64 != size {
                return Err(whole(io::ErrorKind::UnexpectedEof.into()));
            }
            pending.take(kind, bytes).map_err(bad)?;
            continue;
        }
        if kind.is_pax_global_extensions() {
            continue;
        }
        let more = std::mem::take(&mut pending);
        if more.size.is_some() {
            // The reader below skips by the ustar size: it would lose its place.
            let plain = entry.header().entry_size().map_err(|e| bad(e.to_string()))?;
            if more.size != Some(plain) {
                return Err(bad("files of 8 GiB and more (PAX size) are not taken".to_owned()));
            }
        }
        let one = read_entry(&entry, more, source).map_err(bad)?;
        if let Some((path, item)) = one {
            out.push(Entry { path, item, at });
        }
        // Passing over the content finds out whether the archive is whole.
        io::copy(&mut entry, &mut io::sink()).map_err(whole)?;
    }
    Ok(out)
}

/// What extended headers say of the next entry.
#[derive(Default)]
struct Pending {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Pending {
    fn take(&mut self, kind: tar::EntryType, mut bytes: Vec<u8>) -> Result<(), String> {
        if kind.is_pax_local_extensions() {
            return self.pax(&bytes);
        }
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        if kind.is_gnu_longname() {
            self.path = Some(bytes);
        } else {
            self.link = Some(bytes);
        }
        Ok(())
    }

    /// Records of the form `LEN KEY=VALUE\n`, LEN counting the whole record. Read here and not by the
    /// crate, because a value may hold newlines (extended attributes are bytes).
    fn pax(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        let malformed = || "its PAX header is malformed".to_owned();
        while !bytes.is_empty() {
            let space = bytes.iter().position(|b| *b == b' ').ok_or_else(malformed)?;
            let len: usize = std::str::from_utf8(&bytes[..space])
                .ok()
                .and_then(|text| text.parse().ok())
                .ok_or_else(malformed)?;
            let record = bytes.get(space + 1..len).ok_or_else(malformed)?;
            let (b'\n', record) = record.split_last().ok_or_else(malformed)? else {
                return Err(malformed());
            };
            bytes = &bytes[len..];
            let equals = record.iter().position(|b| *b == b'=').ok_or_else(malformed)?;
            let (key, value) = (&record[..equals], &record[equals + 1..]);
            let text = || std::str::from_utf8(value).map_err(|_| malformed());
            let number = || text()?.parse::<u64>().map_err(|_| malformed());
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = Some(number()?),
                b"uid" => self.uid = Some(number()?),
                b"gid" => self.gid = Some(number()?),
                b"mtime" => {
                    let whole = text()?.split('.').next().unwrap_or_default();
                    self.mtime = Some(whole.parse().map_err(|_| malformed())?);
                }
                key if key.starts_with(b"GNU.sparse.") => {
                    return Err("sparse files are not taken".to_owned());
                }
                key => {
                    if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
                        self.xattrs.insert(name.to_vec(), value.to_vec());
                    }
                }
            }
        }
        Ok(())
    }
}

fn read_entry<R: Read>(
    entry: &tar::Entry<'_, R>,
    more: Pending,
    source: Source,
) -> Result<Option<(TreePath, Item)>, String> {
    let header = entry.header();
    let raw = more.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let path = TreePath::new(&raw).map_err(|e: BadPath| e.to_string())?;
    let link = match more.link {
        Some(link) => Some(link),
        None => header.link_name_bytes().map(std::borrow::Cow::into_owned),
    };
    let kind = header.entry_type();
    let text = |e: io::Error| e.to_string();
    let device = || -> Result<(u32, u32), String> {
        let major = header.device_major().map_err(text)?.unwrap_or(0);
        let minor = header.device_minor().map_err(text)?.unwrap_or(0);
        Ok((major, minor))
    };
    let kind = match kind {
        tar::EntryType::Regular | tar::EntryType::Continuous => {
            // Old archives mark a folder by a slash alone.
            if raw.ends_with(b"/") {
                Kind::Directory
            } else {
                let len = header.entry_size().map_err(text)?;
                let at = entry.raw_file_position();
                if at.checked_add(len).is_none_or(|end| end > source.len) {
                    return Err(format!("its {len} bytes reach past the end of the archive"));
                }
                Kind::File(Content::Blob { digest: source.blob, offset: source.offset + at, len })
            }
        }
        tar::EntryType::Directory => Kind::Directory,
        tar::EntryType::Symlink => {
            let target = link.ok_or("a symbolic link without a target")?;
            if target.is_empty() || target.contains(&0) || target.len() > TreePath::LONGEST {
                return Err("its target is empty, too long, or has a NUL byte".to_owned());
            }
            Kind::Symlink(target)
        }
        tar::EntryType::Link => {
            let target = link.ok_or("a hard link without a target")?;
            let target = TreePath::new(&target).map_err(|e| e.to_string())?;
            return Ok(Some((path, Item::HardLink(target))));
        }
        tar::EntryType::Char => {
            let (major, minor) = device()?;
            Kind::CharDevice { major, minor }
        }
        tar::EntryType::Block => {
            let (major, minor) = device()?;
            Kind::BlockDevice { major, minor }
        }
        tar::EntryType::Fifo => Kind::Fifo,
        tar::EntryType::GNUSparse => return Err("sparse files are not taken".to_owned()),
        other => return Err(format!("its type {:?} is not taken", char::from(other.as_byte()))),
    };
    let id = |pax: Option<u64>, plain: io::Result<u64>| {
        let id = match pax {
            Some(id) => id,
            None => plain.map_err(text)?,
        };
        u32::try_from(id).map_err(|_| format!("its owner {id} does not fit 32 bits"))
    };
    let mtime = match more.mtime {
        Some(mtime) => mtime,
        None => i64::try_from(header.mtime().map_err(text)?).unwrap_or(i64::MAX),
    };
    Ok(Some((
        path,
        Item::Node(Node {
            kind,
            mode: header.mode().map_err(text)? & 0o7777,
            uid: id(more.uid, header.uid())?,
            gid: id(more.gid, header.gid())?,
            mtime,
            xattrs: more.xattrs,
        }),
    )))
}
