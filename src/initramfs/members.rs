//! The members of an initramfs, as the kernel takes them: cpio archives, compressed or not, end to end,
//! with any number of NULs between them. Source: the kernel's Documentation/driver-api/early-userspace/
//! buffer-format.rst, and `unpack_to_rootfs` in init/initramfs.c.

use super::cpio::{self, BadArchive, End, Entry};
use crate::store::{Digest, Hasher};
use std::collections::HashSet;
use std::io::{self, BufRead, Read};

/// How a member is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Packing {
    /// Not compressed, as a processor's microcode is.
    Raw,
    Gzip,
    Zstd,
    Xz,
}

/// One member, and what is in it.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Member {
    pub packing: Packing,
    /// Where it begins, in bytes from the start.
    pub offset: u64,
    /// Bytes in the file.
    pub packed: u64,
    /// Of these bytes.
    pub digest: Digest,
    /// Bytes of files, once unpacked. A file with several names counts once.
    pub unpacked: u64,
    /// Bytes of memory that they take: whole pages.
    pub memory: u64,
    /// Files, folders and everything else; a name that stands twice in a row counts once.
    pub files: u64,
}

/// Why a file is not an initramfs.
#[derive(Debug, thiserror::Error)]
pub enum BadInitramfs {
    #[error("at byte {0} begins neither a cpio archive nor gzip, zstd or xz")]
    Unknown(u64),
    #[error("in the member at byte {at}: {source}")]
    Member { at: u64, source: BadArchive },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Place {
    /// The number of the member, from 0.
    pub member: usize,
    /// How many trailers came before: names of one file ([`Entry::inode`]) have the same number here.
    pub table: u64,
}

/// Reads every member; hands each entry to `each`, with its data to read.
pub fn read(
    input: impl Read,
    mut each: impl FnMut(Place, &Entry, &mut dyn Read) -> Result<(), BadArchive>,
) -> Result<Vec<Member>, BadInitramfs> {
    let inner = io::BufReader::with_capacity(1 << 18, input);
    let mut input = Counted { inner, at: 0, hasher: Hasher::new() };
    let mut members = Vec::new();
    let mut table = 0;
    while skip_nuls(&mut input)? {
        let offset = input.at;
        input.hasher = Hasher::new();
        let head = input.fill_buf()?;
        let packing = match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Packing::Xz,
            [b'0', b'7', b'0', b'7', ..] => Packing::Raw,
            _ => return Err(BadInitramfs::Unknown(offset)),
        };
        let mut reader = Reader {
            each: &mut each,
            place: Place { member: members.len(), table },
            counts: Counts::default(),
        };
        let bad = |source| BadInitramfs::Member { at: offset, source };
        match packing {
            Packing::Raw => drop(reader.one(&mut input).map_err(bad)?),
            Packing::Gzip => reader.all(flate2::bufread::GzDecoder::new(&mut input)).map_err(bad)?,
            Packing::Xz => reader.all(liblzma::bufread::XzDecoder::new(&mut input)).map_err(bad)?,
            Packing::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&mut input)?.single_frame();
                reader.all(decoder).map_err(bad)?;
            }
        }
        table = reader.place.table;
        let Counts { unpacked, memory, files, .. } = reader.counts;
        let digest = input.hasher.clone().finish();
        members.push(Member { packing, offset, packed: input.at - offset, digest, unpacked, memory, files });
    }
    Ok(members)
}

#[derive(Default)]
struct Counts {
    unpacked: u64,
    memory: u64,
    files: u64,
    /// The last entry's name: one that replaces what earlier members have comes twice (see [`cpio::Inodes::Over`]).
    last: Vec<u8>,
    /// Files with several names whose content was counted.
    seen: HashSet<(u64, (u32, u32, u32))>,
}

impl Counts {
    fn count(&mut self, table: u64, entry: &Entry) {
        self.files += u64::from(self.last != entry.name);
        self.last.clone_from(&entry.name);
        let again = entry.inode().is_some_and(|inode| entry.size > 0 && !self.seen.insert((table, inode)));
        if !again {
            self.unpacked += if entry.kind() == cpio::FILE { entry.size } else { 0 };
            self.memory += cpio::in_memory(entry.mode, entry.size);
        }
    }
}

/// Reads the archives of one member.
struct Reader<'e, F> {
    each: &'e mut F,
    place: Place,
    counts: Counts,
}

impl<F: FnMut(Place, &Entry, &mut dyn Read) -> Result<(), BadArchive>> Reader<'_, F> {
    fn one(&mut self, input: &mut impl BufRead) -> Result<End, BadArchive> {
        let Self { each, place, counts } = self;
        let end = cpio::read_one(input, &mut |entry, data| {
            counts.count(place.table, entry);
            each(*place, entry, data)
        })?;
        place.table += u64::from(end == End::Trailer);
        Ok(end)
    }

    /// Archives end to end, to the end of what is unpacked.
    fn all(&mut self, unpacked: impl Read) -> Result<(), BadArchive> {
        let mut input = io::BufReader::with_capacity(1 << 16, unpacked);
        while skip_nuls(&mut input)? {
            if let End::Other(at) = self.one(&mut input)? {
                return Err(BadArchive::Magic(at));
            }
        }
        Ok(())
    }
}

/// True if something follows.
fn skip_nuls(input: &mut impl BufRead) -> io::Result<bool> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(false);
        }
        let nuls = buffer.iter().take_while(|byte| **byte == 0).count();
        let more = nuls < buffer.len();
        input.consume(nuls);
        if more {
            return Ok(true);
        }
    }
}

/// Knows how far it was read, and the digest of what was read since its hasher was put there.
struct Counted<R> {
    inner: io::BufReader<R>,
    at: u64,
    hasher: Hasher,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.at += n as u64;
        self.hasher.update(buffer.get(..n).unwrap_or_default());
        Ok(n)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
        self.hasher.update(self.inner.buffer().get(..n).unwrap_or_default());
        self.inner.consume(n);
        self.at += n as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Compression;
    use super::super::cpio::Inodes;
    use super::super::tree::{Node, Tree, TreePath};
    use super::*;
    use crate::store::Store;
    use std::io::Write as _;

    fn archive(store: &Store, name: &str) -> Vec<u8> {
        let mut tree = Tree::new();
        tree.insert(TreePath::new(name).unwrap(), Node::file(name.repeat(1000).into_bytes(), 0o644, 0));
        let mut out = Vec::new();
        cpio::write(store, &tree, Inodes::Shared, 0, &mut out).unwrap();
        out
    }

    #[test]
    fn members_of_every_packing_are_found_where_they_begin() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut image = archive(&store, "raw");
        image.extend([0; 600]);
        let mut begins = vec![0, image.len() as u64];
        for compression in [Compression::Zstd, Compression::Gzip, Compression::Zstd] {
            let mut out = compression.writer(Vec::new()).unwrap();
            // Two archives in one member, as some tools leave them.
            out.write_all(&archive(&store, &format!("{compression}-a"))).unwrap();
            out.write_all(&[0; 12]).unwrap();
            out.write_all(&archive(&store, &format!("{compression}-b"))).unwrap();
            image.extend(out.finish().unwrap());
            begins.push(image.len() as u64);
        }
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&archive(&store, "xz")).unwrap();
        image.extend(xz.finish().unwrap());

        let mut names = Vec::new();
        let members = read(&image[..], |place, entry, _| {
            names.push((place.member, String::from_utf8(entry.name.clone()).unwrap()));
            Ok(())
        })
        .unwrap();
        let packings: Vec<Packing> = members.iter().map(|member| member.packing).collect();
        assert_eq!(packings, [Packing::Raw, Packing::Zstd, Packing::Gzip, Packing::Zstd, Packing::Xz]);
        assert_eq!(members.iter().map(|member| member.offset).collect::<Vec<_>>(), begins);
        assert_eq!(members.last().unwrap().offset + members.last().unwrap().packed, image.len() as u64);
        for member in &members {
            let (from, to) = (member.offset as usize, (member.offset + member.packed) as usize);
            assert_eq!(member.digest, Digest::of(&image[from..to]), "{member:?}");
        }
        let expected = [
            (0, "raw"),
            (1, "zstd-a"),
            (1, "zstd-b"),
            (2, "gzip-a"),
            (2, "gzip-b"),
            (3, "zstd-a"),
            (3, "zstd-b"),
            (4, "xz"),
        ];
        assert_eq!(names, expected.map(|(n, name)| (n, name.to_owned())));
        assert_eq!((members[0].unpacked, members[1].files), (3000, 2));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut image = archive(&store, "raw");
        let length = image.len();
        image.extend(b"something else");
        let error = read(&image[..], |_, _, _| Ok(())).unwrap_err();
        assert!(matches!(error, BadInitramfs::Unknown(at) if at == length as u64), "{error}");
        let mut out = Compression::Gzip.writer(Vec::new()).unwrap();
        out.write_all(&archive(&store, "cut")).unwrap();
        let whole = out.finish().unwrap();
        let error = read(&whole[..whole.len() / 2], |_, _, _| Ok(())).unwrap_err();
        assert!(error.to_string().contains("at byte 0"), "{error}");
    }
}
