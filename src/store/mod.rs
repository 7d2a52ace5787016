//! The store: a content-addressed folder shared by concurrent builds.
//!
//! Layout: `blobs/sha256/<hex>` (read-only files named by their content), `work/<key>` (which blob a
//! piece of work made, and below it the blobs that belong to it), `names/` (what people call a blob),
//! `checked/<hex>` (what a large blob's file looked like when its digest was last checked, and when), `locks/<name>`,
//! `tmp/`. A write goes to `tmp/`, is synced, then renamed; a reader checks the digest. Locks are `flock`s, so the
//! kernel releases them when a process dies.

mod digest;
mod disk;
mod hashed;
mod key;
mod look;
mod names;
mod upkeep;
mod work;

use look::{DAY, Look};

pub use digest::{Digest, Hasher};
pub use hashed::{Hashed, Reading};
pub use key::{Key, KeyMaker};
pub use upkeep::{Checked, Contents, Pruned};
pub use work::{Upstream, Work};

use crate::progress::Progress;
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

/// How often a wait for a lock looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(100);

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("the store has no blob {0}")]
    Missing(Digest),
    #[error("blob {digest} was damaged (its content has digest {found}) and is taken out of the store")]
    Damaged { digest: Digest, found: Digest },
    #[error("the store in {} is in use by another build", .0.display())]
    Busy(PathBuf),
}

/// An open store. Cloning is cheap; clones share one folder.
#[derive(Debug, Clone)]
pub struct Store {
    root: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Blobs that this process has checked, with what the file looked like then.
    checked: Mutex<HashMap<Digest, Look>>,
    /// How many damaged blobs were taken out.
    damaged: AtomicU64,
    /// What was asked for or made, for a cache that is shared.
    used: work::Used,
    /// Held shared by every open store, exclusively by [`Store::prune`].
    _in_use: File,
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
        let root: PathBuf = root.into();
        for folder in ["blobs/sha256", "work", "names", "checked", "locks", "tmp"] {
            let path = root.join(folder);
            fs::create_dir_all(&path).map_err(|source| Error::Io { path, source })?;
        }
        let path = root.join("locks/in-use");
        let io = |source| Error::Io { path: path.clone(), source };
        let in_use = File::create(&path).map_err(io)?;
        in_use.lock_shared().map_err(io)?;
        let store = Self {
            root,
            shared: Arc::new(Shared {
                checked: Mutex::default(),
                damaged: AtomicU64::new(0),
                used: work::Used::default(),
                _in_use: in_use,
            }),
        };
        store.sweep();
        Ok(store)
    }

    /// Removes what killed processes left in `tmp`. A writer holds a lock on its file for as long as it
    /// lives; the age covers the moment between making the file and locking it, and folders.
    fn sweep(&self) {
        let Ok(entries) = fs::read_dir(self.tmp()) else { return };
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(meta) = path.symlink_metadata() else { continue };
            let age = meta.modified().ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            let age = age.unwrap_or_default();
            // Best effort: what stays is swept next time.
            if meta.is_dir() {
                if age > DAY {
                    let _ = fs::remove_dir_all(&path);
                }
            } else if age > Duration::from_secs(60)
                && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
            {
                let _ = fs::remove_file(&path);
            }
        }
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
        let io = |source| Error::Io { path: self.tmp(), source };
        let file = disk::create(&self.tmp()).map_err(io)?;
        file.as_file().lock().map_err(io)?;
        Ok(BlobWriter { store: self.clone(), file, hasher: Hasher::new(), len: 0 })
    }

    /// Stores bytes; returns their digest.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest, Error> {
        let mut writer = self.writer()?;
        writer.write_all(bytes).map_err(|source| Error::Io { path: self.tmp(), source })?;
        Ok(writer.commit()?.0)
    }

    /// Opens a blob after checking its content against its digest: once in a process for the same file, and for
    /// a large one once in a week.
    /// A damaged blob is taken out of the store, so that the work that made it is done again.
    pub fn open_blob(&self, digest: &Digest) -> Result<File, Error> {
        let path = self.path(digest);
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(*digest)),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let io = |source| Error::Io { path: path.clone(), source };
        let seen = Look::of(&file).map_err(io)?;
        let known = self.shared.checked.lock().unwrap_or_else(PoisonError::into_inner).get(digest).copied();
        if known == Some(seen) || self.was_checked(digest, &seen) {
            return Ok(file);
        }
        look::mark_used(&file);
        let look = Look::of(&file).map_err(io)?;
        // Before the blob is read, which may take longer than that.
        let settled = look.is_settled();
        let (found, _) = Digest::of_reader(&file).map_err(io)?;
        if found != *digest {
            self.take_out(&path, &file)?;
            self.forget_look(digest);
            self.shared.damaged.fetch_add(1, Ordering::Relaxed);
            return Err(Error::Damaged { digest: *digest, found });
        }
        io::Seek::rewind(&mut file).map_err(io)?;
        self.shared.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(*digest, look);
        if settled {
            self.keep_look(digest, &look);
        }
        Ok(file)
    }

    /// Puts a damaged blob aside, unless another process did so since it was opened: what is there now is another
    /// file then. The lock keeps that so until the blob is gone, since a blob that is there is never replaced.
    fn take_out(&self, path: &Path, opened: &File) -> Result<(), Error> {
        let _lock = self.lock("damaged")?;
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let aside = self.tmp().join(format!("damaged-{name}"));
        let take = || -> io::Result<()> {
            let seen = Look::of(opened)?.inode();
            if Look::of(&File::open(path)?)?.inode() == seen { disk::rename(path, &aside) } else { Ok(()) }
        };
        disk::absent_is_fine(take()).map_err(|source| Error::Io { path: path.to_owned(), source })
    }

    /// How many damaged blobs this open store has taken out: work that failed is worth a second try if there
    /// are more than before.
    pub fn damaged(&self) -> u64 {
        self.shared.damaged.load(Ordering::Relaxed)
    }

    /// Reads a whole blob, checked.
    pub fn read(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.open_blob(digest)?
            .read_to_end(&mut bytes)
            .map_err(|source| Error::Io { path: self.path(digest), source })?;
        Ok(bytes)
    }

    /// A file with this text, not yet in its place.
    fn small(&self, text: &str) -> io::Result<tempfile::NamedTempFile> {
        let mut file = disk::create(&self.tmp())?;
        let mut rest = text.as_bytes();
        while !rest.is_empty() {
            rest = &rest[disk::write(&mut file, rest)?..];
        }
        Ok(file)
    }

    /// Writes a small file of the store whole or not at all.
    fn write_small(&self, path: &Path, text: &str) -> Result<(), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let file = self.small(text).map_err(io)?;
        disk::sync(&file).map_err(io)?;
        disk::place(file, path).map_err(io)?;
        disk::sync_names(path).map_err(io)
    }

    /// Waits for the lock `name` (letters, digits, `-`), so that one process does one piece of work.
    pub fn lock(&self, name: &str) -> Result<Lock, Error> {
        let path = self.root.join("locks").join(name);
        let io = |source| Error::Io { path: path.clone(), source };
        let file = File::create(&path).map_err(io)?;
        file.lock().map_err(io)?;
        Ok(Lock { _file: file })
    }

    /// As [`Store::lock`]; none when the work is cancelled before the lock is free.
    pub fn lock_until_cancelled(&self, name: &str, progress: &dyn Progress) -> Result<Option<Lock>, Error> {
        let path = self.root.join("locks").join(name);
        let io = |source| Error::Io { path: path.clone(), source };
        let file = File::create(&path).map_err(io)?;
        let mut told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Some(Lock { _file: file })),
                Err(fs::TryLockError::Error(source)) => return Err(io(source)),
                Err(fs::TryLockError::WouldBlock) if progress.cancelled() => return Ok(None),
                Err(fs::TryLockError::WouldBlock) => {}
            }
            if !std::mem::replace(&mut told, true) {
                progress.log("another build is making the same; waiting for it");
            }
            std::thread::sleep(LOOK);
        }
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = disk::write(&mut self.file, bytes)?;
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

    /// [`Hasher::pause`] behind the last byte written so far.
    pub fn pause(&self) -> String {
        self.hasher.pause()
    }

    /// Makes the blob durable and visible; returns its digest and length in bytes.
    pub fn commit(self) -> Result<(Digest, u64), Error> {
        let digest = self.hasher.finish();
        let path = self.store.path(&digest);
        let io = |source| Error::Io { path: path.clone(), source };
        if self.store.has(&digest) {
            // Whoever placed it may not have come to this yet.
            disk::sync_names(&path).map_err(io)?;
            return Ok((digest, self.len));
        }
        disk::protect(&self.file).map_err(io)?;
        disk::sync(&self.file).map_err(io)?;
        disk::place(self.file, &path).map_err(io)?;
        disk::sync_names(&path).map_err(io)?;
        if self.len >= look::LARGE
            && let Ok(look) = File::open(&path).and_then(|file| Look::of(&file))
        {
            // What was written is what was hashed: this process need not read it to know.
            self.store.shared.checked.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, look);
        }
        Ok((digest, self.len))
    }
}
