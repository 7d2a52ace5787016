//! The cpio "newc" format (`070701`), as the kernel's initramfs unpacker reads it.
//!
//! Source: Documentation/driver-api/early-userspace/buffer-format.rst and init/initramfs.c (5.10).
//! An entry is a 110-byte header of 8-digit hex fields, the name with its NUL, and the data, each
//! padded to 4 bytes.
//!
//! Archives are written **without a trailer**: the kernel's table of hard links is emptied at each
//! trailer, so without one, equal files in different members of an initramfs become one inode. For
//! that, files of [`SHARED_FROM`] bytes and more get an inode number made of their content, mode,
//! owner and time, and a link count of 2; the data is there each time, so a segment is whole alone.
//! 64 bits of the hash are used (the number and both device fields); the kernel compares all three.
//!
//! What the kernel (5.10, booted) does with such a table decides what may lie on top of it:
//! a file over a shared file is written **into** the shared inode, so all its names change; the same
//! shared file again at the same path is unlinked and then cannot be linked to itself, so it is lost;
//! a shared file whose first name was replaced is written into the replacement. A member whose names
//! may be in earlier members is therefore written as [`Inodes::Over`]: a symlink in front of each entry
//! unlinks what is there, and a trailer at the end empties the table. The last member of an initramfs
//! has to be one, for the table (8 KiB for each shared file) is freed by a trailer only.

use super::tree::{Content, Kind, Node, Tree, TreePath};
use crate::store::{Digest, Hasher, Store};
use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

/// Files from this size on (bytes) share their inode with equal files.
pub const SHARED_FROM: u64 = 4096;

/// What Linux keeps a file's content in: whole pages, 4 KiB each on x86.
const PAGE: u64 = 4096;

/// A symlink's target from this length on (bytes) takes a page of a tmpfs; a shorter one lies in its inode.
/// Source: `SHORT_SYMLINK_LEN` in the kernel's mm/shmem.c.
const LONG_TARGET: u64 = 128;

/// Version of the bytes that this writer makes; part of every segment's key.
pub const VERSION: u32 = 1;

/// Why a tree cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{path} has {len} bytes; a cpio newc file holds less than 4 GiB")]
    TooLarge { path: TreePath, len: u64 },
    #[error("{0} is a symlink whose target Linux cannot have: 1 to 4095 bytes without a NUL")]
    Target(TreePath),
    #[error("the name of {0} is longer than 255 bytes, more than Linux takes")]
    LongName(TreePath),
    #[error("{path}: {source}")]
    Store { path: TreePath, source: crate::store::Error },
    #[error("reading the content of {path}: {source}")]
    Read { path: TreePath, source: io::Error },
    #[error("writing the archive: {0}")]
    Write(#[from] io::Error),
}

/// What the writer does with inode numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inodes {
    /// Equal files of [`SHARED_FROM`] bytes and more are one inode, also over members.
    Shared,
    /// Each name has its own inode: for members without equal files.
    Own,
    /// As [`Inodes::Own`], for members that may replace what earlier members hold, and for the last one:
    /// each entry removes what has its name, and a trailer ends the member. `cpio` needs its option `-u`.
    Over,
}

/// The longest name in a folder, in bytes (NAME_MAX).
const LONGEST_NAME: usize = 255;

/// What [`Inodes::Over`] puts in front of an entry points here: the folder that it is in.
const PLACEHOLDER: &[u8] = b".";

/// Counts of a written archive.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Written {
    pub files: u64,
    /// Bytes of file content, shared files counted once in this archive.
    pub content: u64,
    /// Bytes of a tmpfs that the content takes, see [`in_memory`]; shared files counted once in this archive.
    pub memory: u64,
    /// Bytes of the archive.
    pub archive: u64,
}

/// Opens blobs once, after checking them.
pub struct Contents<'a> {
    store: &'a Store,
    open: HashMap<Digest, File>,
}

impl<'a> Contents<'a> {
    pub fn new(store: &'a Store) -> Self {
        Self { store, open: HashMap::new() }
    }

    /// Copies a file's content to `out`.
    pub fn copy(&mut self, path: &TreePath, content: &Content, out: &mut impl Write) -> Result<(), Error> {
        let (digest, mut at, end) = match content {
            Content::Inline(bytes) => return Ok(out.write_all(bytes)?),
            Content::Blob { digest, offset, len } => (digest, *offset, offset.saturating_add(*len)),
        };
        let file = match self.open.entry(*digest) {
            std::collections::hash_map::Entry::Occupied(slot) => slot.into_mut(),
            std::collections::hash_map::Entry::Vacant(slot) => slot.insert(
                self.store.open_blob(digest).map_err(|source| Error::Store { path: path.clone(), source })?,
            ),
        };
        let mut buffer = [0; 64 * 1024];
        while at < end {
            let want = usize::try_from(end - at).unwrap_or(usize::MAX).min(buffer.len());
            let read = file
                .read_at(&mut buffer[..want], at)
                .map_err(|source| Error::Read { path: path.clone(), source })?;
            if read == 0 {
                let source = io::Error::from(io::ErrorKind::UnexpectedEof);
                return Err(Error::Read { path: path.clone(), source });
            }
            out.write_all(&buffer[..read])?;
            at += read as u64;
        }
        Ok(())
    }
}

/// Bytes of memory that a file of this mode and size takes in a tmpfs.
pub fn in_memory(mode: u32, size: u64) -> u64 {
    match mode & KIND {
        FILE => size.next_multiple_of(PAGE),
        SYMLINK if size >= LONG_TARGET => PAGE,
        _ => 0,
    }
}

/// Writes `tree` as one archive, without a trailer unless `inodes` says so. Times after `latest` become
/// `latest`.
pub fn write(
    store: &Store,
    tree: &Tree,
    inodes: Inodes,
    latest: i64,
    out: &mut impl Write,
) -> Result<Written, Error> {
    let mut contents = Contents::new(store);
    let mut out = Counted { out, bytes: 0 };
    let mut done = Written::default();
    // Numbers in device 0:0; shared inodes have a device field that is never 0.
    let mut next = 0u32;
    let mut number = || {
        next += 1;
        next
    };
    let mut seen = HashSet::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        // The kernel drops what it cannot make without a word.
        if path.name().len() > LONGEST_NAME {
            return Err(Error::LongName(path.clone()));
        }
        // A folder keeps what is in it, and a symlink always replaces what is there.
        if inodes == Inodes::Over && !matches!(node.kind, Kind::Directory | Kind::Symlink(_)) {
            let link = Node::symlink(PLACEHOLDER, node.mtime);
            Header { ino: number(), ..Header::new(&link, latest) }.symlink(&mut out, path, PLACEHOLDER)?;
        }
        let mut header = Header::new(node, latest);
        match &node.kind {
            Kind::File(content) => {
                let len = content.len();
                header.size = u32::try_from(len).map_err(|_| Error::TooLarge { path: path.clone(), len })?;
                let shared = inodes == Inodes::Shared && len >= SHARED_FROM;
                if shared {
                    header.share(&mut contents, path, content)?;
                } else {
                    header.ino = number();
                }
                header.write(&mut out, path.as_bytes())?;
                contents.copy(path, content, &mut out)?;
                if !shared || seen.insert((header.ino, header.dev_major, header.dev_minor)) {
                    done.content += len;
                    done.memory += in_memory(header.mode, len);
                }
                out.pad()?;
            }
            Kind::Symlink(target) => {
                header.ino = number();
                header.symlink(&mut out, path, target)?;
                done.memory += in_memory(header.mode, target.len() as u64);
            }
            _ => {
                header.ino = number();
                header.write(&mut out, path.as_bytes())?;
            }
        }
        done.files += 1;
    }
    if inodes == Inodes::Over {
        write_trailer(&mut out)?;
    }
    done.archive = out.bytes;
    Ok(done)
}

/// The entry that ends an archive for readers which want one (`cpio -i`); see the module's text.
pub fn write_trailer(out: &mut impl Write) -> io::Result<()> {
    let mut out = Counted { out, bytes: 0 };
    let header = Header { nlink: 1, ..Header::default() };
    header.write(&mut out, b"TRAILER!!!")?;
    out.pad()
}

#[derive(Debug, Clone, Copy, Default)]
struct Header {
    ino: u32,
    mode: u32,
    uid: u32,
    gid: u32,
    nlink: u32,
    mtime: u32,
    size: u32,
    dev_major: u32,
    dev_minor: u32,
    rdev_major: u32,
    rdev_minor: u32,
}

impl Header {
    fn new(node: &Node, latest: i64) -> Self {
        let (kind, rdev, nlink) = match node.kind {
            Kind::Directory => (FOLDER, (0, 0), 2),
            Kind::File(_) => (FILE, (0, 0), 1),
            Kind::Symlink(_) => (SYMLINK, (0, 0), 1),
            Kind::CharDevice { major, minor } => (0o020_000, (major, minor), 1),
            Kind::BlockDevice { major, minor } => (0o060_000, (major, minor), 1),
            Kind::Fifo => (0o010_000, (0, 0), 1),
        };
        Self {
            mode: kind | (node.mode & 0o7777),
            uid: node.uid,
            gid: node.gid,
            nlink,
            // The field holds 32 bits without a sign: 1970 to 2106.
            mtime: u32::try_from(node.mtime.min(latest).max(0)).unwrap_or(u32::MAX),
            rdev_major: rdev.0,
            rdev_minor: rdev.1,
            ..Self::default()
        }
    }

    fn share(
        &mut self,
        contents: &mut Contents<'_>,
        path: &TreePath,
        content: &Content,
    ) -> Result<(), Error> {
        let mut hasher = Hasher::new();
        contents.copy(path, content, &mut hasher)?;
        let mut inode = Hasher::new();
        inode.update(hasher.finish().bytes());
        for part in [self.mode, self.uid, self.gid, self.mtime] {
            inode.update(&part.to_le_bytes());
        }
        let digest = inode.finish();
        let part = |at: usize| {
            let mut bytes = [0; 4];
            bytes.copy_from_slice(&digest.bytes()[at..at + 4]);
            u32::from_le_bytes(bytes)
        };
        self.ino = part(0);
        self.dev_major = (part(4) & 0xffff) | 0x1_0000;
        self.dev_minor = part(8) & 0xffff;
        self.nlink = 2;
        Ok(())
    }

    /// Writes a whole entry.
    fn symlink(mut self, out: &mut Counted<impl Write>, path: &TreePath, target: &[u8]) -> Result<(), Error> {
        if !(1..=TreePath::LONGEST).contains(&target.len()) || target.contains(&0) {
            return Err(Error::Target(path.clone()));
        }
        self.size = target.len() as u32;
        self.write(out, path.as_bytes())?;
        out.write_all(target)?;
        Ok(out.pad()?)
    }

    fn write(&self, out: &mut impl Write, name: &[u8]) -> io::Result<()> {
        write!(
            out,
            "070701{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}{:08X}",
            self.ino,
            self.mode,
            self.uid,
            self.gid,
            self.nlink,
            self.mtime,
            self.size,
            self.dev_major,
            self.dev_minor,
            self.rdev_major,
            self.rdev_minor,
            name.len() + 1,
            0
        )?;
        out.write_all(name)?;
        let pad = 4 - (110 + name.len()) % 4;
        out.write_all(&[0; 4][..pad])
    }
}

/// Counts bytes, for the padding.
struct Counted<W> {
    out: W,
    bytes: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.bytes += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl<W: Write> Counted<W> {
    fn pad(&mut self) -> io::Result<()> {
        let pad = (4 - self.bytes % 4) % 4;
        self.write_all(&[0; 4][..pad as usize])
    }
}

/// What the mode of an entry says of its kind, as `stat` has it.
pub const KIND: u32 = 0o170_000;
pub const FOLDER: u32 = 0o040_000;
pub const FILE: u32 = 0o100_000;
pub const SYMLINK: u32 = 0o120_000;

/// One entry as read back, apart from its data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: u32,
    pub nlink: u32,
    pub ino: u32,
    /// Device that the inode number counts on, major and minor.
    pub dev: (u32, u32),
    pub rdev: (u32, u32),
    /// Bytes of data: a file's content, a symlink's target.
    pub size: u64,
    /// Where it begins in the archive, in bytes.
    pub at: u64,
}

impl Entry {
    pub fn kind(&self) -> u32 {
        self.mode & KIND
    }

    /// What names of one file have in common, until a trailer; none for a file with one name.
    pub fn inode(&self) -> Option<(u32, u32, u32)> {
        (self.nlink > 1 && self.kind() == FILE).then_some((self.dev.0, self.dev.1, self.ino))
    }
}

/// Why some bytes are not an archive.
#[derive(Debug, thiserror::Error)]
pub enum BadArchive {
    #[error("no cpio newc header at byte {0}")]
    Magic(u64),
    #[error("entry {name:?} at byte {at} has {len} bytes of data, more than the {limit} that are read")]
    Large { name: String, at: u64, len: u64, limit: u64 },
    #[error("the name at byte {0} is not between 1 and 4096 bytes long and closed by a NUL")]
    Name(u64),
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads a small archive: entries until the input ends or a trailer comes; hands each to `each` with its data.
/// Files over `limit` bytes are an error, so a lying header cannot fill memory.
pub fn read(input: impl Read, limit: u64, mut each: impl FnMut(Entry, Vec<u8>)) -> Result<(), BadArchive> {
    let end = read_one(&mut io::BufReader::new(input), &mut |entry, data| {
        let bytes = whole(entry, data, limit)?;
        each(entry.clone(), bytes);
        Ok(())
    })?;
    match end {
        End::Other(at) => Err(BadArchive::Magic(at)),
        End::Trailer | End::Padding => Ok(()),
    }
}

/// The data of an entry, if it is no more than `limit` bytes.
pub fn whole(entry: &Entry, data: &mut dyn Read, limit: u64) -> Result<Vec<u8>, BadArchive> {
    if entry.size > limit {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        return Err(BadArchive::Large { name, at: entry.at, len: entry.size, limit });
    }
    let mut bytes = Vec::new();
    data.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is behind an archive that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// A trailer: names of one file that come later are another file.
    Trailer,
    /// NULs, or nothing.
    Padding,
    /// Something that is no further entry, at this place.
    Other(u64),
}

/// Reads one archive and nothing behind it: to its trailer, to the end of the input, or to what is no
/// further entry. Hands each entry to `each`, with its data to read; what is not read is left out.
pub fn read_one(
    input: &mut impl io::BufRead,
    each: &mut impl FnMut(&Entry, &mut dyn Read) -> Result<(), BadArchive>,
) -> Result<End, BadArchive> {
    let mut at = 0u64;
    loop {
        match input.fill_buf()?.first() {
            Some(b'0') | None => {}
            // NULs at the end are padding.
            Some(0) => return Ok(End::Padding),
            Some(_) => return Ok(End::Other(at)),
        }
        let mut header = [0; 110];
        if !fill_or_end(input, &mut header)? {
            return Ok(End::Padding);
        }
        let field = |n: usize| {
            header
                .get(6 + 8 * n..14 + 8 * n)
                .and_then(|digits| std::str::from_utf8(digits).ok())
                .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                .ok_or(BadArchive::Magic(at))
        };
        if !matches!(&header[..6], b"070701" | b"070702") {
            return Err(BadArchive::Magic(at));
        }
        let (size, name_len) = (u64::from(field(6)?), u64::from(field(11)?));
        if !(1..=4096).contains(&name_len) {
            return Err(BadArchive::Name(at));
        }
        let mut name = vec![0; name_len as usize + padding(110 + name_len)];
        input.read_exact(&mut name)?;
        name.truncate(name_len as usize);
        if name.pop() != Some(0) {
            return Err(BadArchive::Name(at));
        }
        if name == b"TRAILER!!!" {
            return Ok(End::Trailer);
        }
        let entry = Entry {
            name,
            mode: field(1)?,
            uid: field(2)?,
            gid: field(3)?,
            mtime: field(5)?,
            nlink: field(4)?,
            ino: field(0)?,
            dev: (field(7)?, field(8)?),
            rdev: (field(9)?, field(10)?),
            size,
            at,
        };
        let mut data = input.by_ref().take(size);
        each(&entry, &mut data)?;
        io::copy(&mut data, &mut io::sink())?;
        if data.limit() > 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
        let pad = padding(size);
        input.read_exact(&mut [0; 4][..pad])?;
        at += 110 + name_len + padding(110 + name_len) as u64 + size + pad as u64;
    }
}

fn padding(len: u64) -> usize {
    ((4 - len % 4) % 4) as usize
}

/// Fills the buffer; false when the input ends before its first byte, or holds only NULs.
fn fill_or_end(input: &mut impl Read, buffer: &mut [u8; 110]) -> io::Result<bool> {
    let mut have = 0;
    while have < buffer.len() {
        match input.read(&mut buffer[have..])? {
            0 if buffer[..have].iter().all(|b| *b == 0) => return Ok(false),
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => have += n,
        }
    }
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn a_member_that_lies_over_others_unlinks_first_and_ends_the_link_table() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        tree.insert(path("etc"), Node::directory(0o755, 5));
        tree.insert(path("etc/a"), Node::file(vec![1; 9000], 0o644, 5));
        tree.insert(path("etc/b"), Node::file(vec![1; 9000], 0o644, 5));
        let mut bytes = Vec::new();
        let written = write(&store, &tree, Inodes::Over, 100, &mut bytes).unwrap();
        assert_eq!((written.files, written.archive), (3, bytes.len() as u64));
        let mut got = Vec::new();
        read(bytes.as_slice(), 1 << 20, |e, _| got.push((e.name, e.mode >> 12, e.nlink, e.ino))).unwrap();
        let name = |text: &str| text.as_bytes().to_vec();
        assert_eq!(
            got,
            [
                (name("etc"), 0o04, 2, 1),
                (name("etc/a"), 0o12, 1, 2),
                (name("etc/a"), 0o10, 1, 3),
                (name("etc/b"), 0o12, 1, 4),
                (name("etc/b"), 0o10, 1, 5),
            ]
        );
        assert!(bytes.windows(10).any(|w| w == b"TRAILER!!!"));
    }

    #[test]
    fn what_the_kernel_would_drop_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let refused = |name: &str, node: Node| {
            let mut tree = Tree::new();
            tree.insert(path(name), node);
            write(&store, &tree, Inodes::Own, 0, &mut Vec::new()).unwrap_err()
        };
        for target in [Vec::new(), b"a\0b".to_vec(), vec![b'x'; 4096]] {
            assert!(matches!(refused("l", Node::symlink(target, 0)), Error::Target(_)));
        }
        assert!(matches!(refused(&"n".repeat(256), Node::file(*b"", 0o644, 0)), Error::LongName(_)));
        let len = 1 << 32;
        let content = Content::Blob { digest: Digest::of(b""), offset: 0, len };
        assert!(matches!(
            refused("f", Node::new(Kind::File(content), 0o644, 0)),
            Error::TooLarge { len: 0x1_0000_0000, .. }
        ));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        tree.insert(path("bin"), Node::directory(0o755, 5));
        tree.insert(path("bin/sh"), Node::file(vec![7; 5000], 0o755, 9_999_999_999));
        tree.insert(path("bin/ash"), Node::file(vec![7; 5000], 0o755, 100));
        tree.insert(path("etc/x"), Node::symlink("y", 5));
        tree.insert(path("dev/null"), Node::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666, 0));
        let mut bytes = Vec::new();
        let written = write(&store, &tree, Inodes::Shared, 100, &mut bytes).unwrap();
        assert_eq!(written.archive, bytes.len() as u64);
        assert_eq!((written.content, written.memory), (5000, 8192), "equal files count once, in whole pages");
        let mut got = Vec::new();
        read(bytes.as_slice(), 1 << 20, |entry, data| got.push((entry, data))).unwrap();
        let names: Vec<_> = got.iter().map(|(e, _)| String::from_utf8_lossy(&e.name).into_owned()).collect();
        assert_eq!(names, ["bin", "bin/ash", "bin/sh", "dev/null", "etc/x"]);
        assert!(got[1].0.inode().is_some());
        assert_eq!(got[1].0.inode(), got[2].0.inode());
        assert_eq!(got[2].0.mtime, 100);
        assert_eq!(got[3].0.rdev, (1, 3));
        assert_eq!(got[4].1, b"y");
        for cut in 0..bytes.len() {
            // Never a panic; an error unless the cut is between entries.
            let _ = read(&bytes[..cut], 1 << 20, |_, _| {});
        }
    }
}
