//! The members of an initramfs, as the kernel takes them: cpio archives, compressed or not, end to end,
//! with any number of NULs between them. Source: the kernel's Documentation/driver-api/early-userspace/
//! buffer-format.rst, and `unpack_to_rootfs` in init/initramfs.c.

use super::cpio::{self, BadArchive, Entry};
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
    /// Bytes of files, once unpacked.
    pub unpacked: u64,
    /// Files, folders and everything else.
    pub entries: u64,
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

/// Reads every member; hands each entry to `each`, with the number of its member. Files over `limit` bytes
/// are an error.
pub fn read(
    input: impl Read,
    limit: u64,
    mut each: impl FnMut(usize, Entry),
) -> Result<Vec<Member>, BadInitramfs> {
    let mut input = Counted { inner: io::BufReader::with_capacity(1 << 18, input), at: 0 };
    let mut members = Vec::new();
    while skip_nuls(&mut input)? {
        let offset = input.at;
        let head = input.fill_buf()?;
        let packing = match head {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', ..] => Packing::Xz,
            [b'0', b'7', b'0', b'7', ..] => Packing::Raw,
            _ => return Err(BadInitramfs::Unknown(offset)),
        };
        let number = members.len();
        let (mut unpacked, mut entries) = (0, 0);
        let mut count = |entry: Entry| {
            unpacked += entry.data.len() as u64;
            entries += 1;
            each(number, entry);
        };
        let bad = |source| BadInitramfs::Member { at: offset, source };
        match packing {
            Packing::Raw => drop(cpio::read_one(&mut input, limit, &mut count).map_err(bad)?),
            Packing::Gzip => {
                all(flate2::bufread::GzDecoder::new(&mut input), limit, &mut count).map_err(bad)?
            }
            Packing::Xz => {
                all(liblzma::bufread::XzDecoder::new(&mut input), limit, &mut count).map_err(bad)?
            }
            Packing::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&mut input)?.single_frame();
                all(decoder, limit, &mut count).map_err(bad)?;
            }
        }
        members.push(Member { packing, offset, packed: input.at - offset, unpacked, entries });
    }
    Ok(members)
}

/// Archives end to end, to the end of what is unpacked.
fn all(unpacked: impl Read, limit: u64, each: &mut impl FnMut(Entry)) -> Result<(), BadArchive> {
    let mut input = io::BufReader::with_capacity(1 << 16, unpacked);
    while skip_nuls(&mut input)? {
        if let Some(at) = cpio::read_one(&mut input, limit, each)? {
            return Err(BadArchive::Magic(at));
        }
    }
    Ok(())
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

/// Knows how far it was read.
struct Counted<R> {
    inner: io::BufReader<R>,
    at: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl<R: Read> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, n: usize) {
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
        let members = read(&image[..], 1 << 20, |member, entry| {
            names.push((member, String::from_utf8(entry.name).unwrap()));
        })
        .unwrap();
        let packings: Vec<Packing> = members.iter().map(|member| member.packing).collect();
        assert_eq!(packings, [Packing::Raw, Packing::Zstd, Packing::Gzip, Packing::Zstd, Packing::Xz]);
        assert_eq!(members.iter().map(|member| member.offset).collect::<Vec<_>>(), begins);
        assert_eq!(members.last().unwrap().offset + members.last().unwrap().packed, image.len() as u64);
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
        assert_eq!((members[0].unpacked, members[1].entries), (3000, 2));
    }

    #[test]
    fn damage_is_told_with_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut image = archive(&store, "raw");
        let length = image.len();
        image.extend(b"something else");
        let error = read(&image[..], 1 << 20, |_, _| ()).unwrap_err();
        assert!(matches!(error, BadInitramfs::Unknown(at) if at == length as u64), "{error}");
        let mut out = Compression::Gzip.writer(Vec::new()).unwrap();
        out.write_all(&archive(&store, "cut")).unwrap();
        let whole = out.finish().unwrap();
        let error = read(&whole[..whole.len() / 2], 1 << 20, |_, _| ()).unwrap_err();
        assert!(error.to_string().contains("at byte 0"), "{error}");
    }
}
