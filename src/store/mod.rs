//! The store: a content-addressed folder shared by concurrent builds.
//!
//! Layout: `blobs/sha256/<hex>` (read-only files named by their content), `work/<key>` (which blob a
//! piece of work made), `locks/<name>`, `tmp/`. A write goes to `tmp/`, is synced, then renamed; a
//! reader checks the digest. Locks are `flock`s, so the kernel releases them when a process dies.

mod digest;
mod key;

pub use digest::{Digest, Hasher};
pub use key::{Key, KeyMaker};

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the store has no blob {0}")]
    Missing(Digest),
    #[error("blob {digest} is damaged: its content has digest {found}")]
    Damaged { digest: Digest, found: Digest },
}

/// An open store. Cloning is cheap; clones share one folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
}

/// A blob that is being written. Dropped without [`BlobWriter::commit`], it leaves nothing.
pub struct BlobWriter {
    store: Store,
    file: tempfile::NamedTempFile,
    hasher: Hasher,
    len: u64,
}

/// A held lock; dropping it, or the end of the process, releases it.
pub struct Lock {
    _file: File,
}

impl Store {
    /// Opens the store at `root`, making its folders.
    pub fn open(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let store = Self { root: root.into() };
        for folder in ["blobs/sha256", "work", "locks", "tmp"] {
            let path = store.root.join(folder);
            fs::create_dir_all(&path).map_err(|source| Error::Io { path, source })?;
        }
        Ok(store)
    }

    /// `HOOKOS_CACHE`, else `hookos` in the user's cache folder.
    pub fn default_root() -> PathBuf {
        let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        from("HOOKOS_CACHE")
            .or_else(|| from("XDG_CACHE_HOME").map(|d| d.join("hookos")))
            .or_else(|| from("HOME").map(|d| d.join(".cache/hookos")))
            .unwrap_or_else(|| std::env::temp_dir().join("hookos-cache"))
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A folder for scratch files, on the store's file system.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Where the blob lies, whether or not it is there.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.root.join("blobs/sha256").join(digest.hex())
    }

    pub fn has(&self, digest: &Digest) -> bool {
        self.path(digest).is_file()
    }

    /// Starts a new blob.
    pub fn writer(&self) -> Result<BlobWriter, Error> {
        let file = tempfile::NamedTempFile::new_in(self.tmp())
            .map_err(|source| Error::Io { path: self.tmp(), source })?;
        Ok(BlobWriter { store: self.clone(), file, hasher: Hasher::new(), len: 0 })
    }

    /// Stores bytes; returns their digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| Error::Io { path: self.tmp(), source })?;
        Ok(writer.commit()?.0)
    }

    /// Opens a blob after checking its content against its digest.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        let path = self.path(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(*digest)),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let io = |source| Error::Io { path: path.clone(), source };
        let mut hasher = Hasher::new();
        io::copy(&mut file, &mut hasher).map_err(io)?;
        let found = hasher.finish();
        if found != *digest {
            return Err(Error::Damaged { digest: *digest, found });
        }
        io::Seek::rewind(&mut file).map_err(io)?;
        Ok(file)
    }

    /// Reads a whole blob, checked.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Io { path: self.path(digest), source })?;
        Ok(bytes)
    }

    /// The result of a piece of work, if it was done and its blob is still there.
    pub fn work(&self, key: &Key) -> Option<Digest> {
        let text = fs::read_to_string(self.root.join("work").join(key.hex())).ok()?;
        let digest: Digest = text.trim().parse().ok()?;
        self.has(&digest).then_some(digest)
    }

    /// Records that the piece of work `key` made `digest`.
    pub fn set_work(&self, key: &Key, digest: &Digest) -> Result<(), Error> {
        let path = self.root.join("work").join(key.hex());
        let io = |source| Error::Io { path: path.clone(), source };
        let mut file = tempfile::NamedTempFile::new_in(self.tmp()).map_err(io)?;
        writeln!(file, "{digest}").map_err(io)?;
        file.as_file().sync_all().map_err(io)?;
        file.persist(&path).map_err(|e| io(e.error))?;
        Ok(())
    }

    /// Waits for the lock `name` (letters, digits, `-`), so that one process does one piece of work.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        let path = self.root.join("locks").join(name);
        let io = |source| Error::Io { path: path.clone(), source };
        let file = File::create(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(Lock { _file: file })
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.file.write(bytes)?;
        self.hasher.update(&bytes[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// Makes the blob durable and visible; returns its digest and length in bytes.
    pub fn commit(self) -> Result<(Digest, u64), Error> {
        let digest = self.hasher.finish();
        let path = self.store.path(&digest);
        let io = |source| Error::Io { path: path.clone(), source };
        self.file.as_file().sync_all().map_err(io)?;
        self.file.persist(&path).map_err(|e| io(e.error))?;
        Ok((digest, self.len))
    }
}
