//! Log files of bounded size.
//!
//! `/var/log` is memory, so a chatty program must not be able to fill it: when a file would
//! grow over its limit it becomes `<name>.1` and a new one begins. PID 1 itself writes, from the
//! pipe that is the program's output, so nothing depends on the program's good manners.

use std::collections::VecDeque;
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

/// Bytes after which a log file is turned over. Two are kept: `<name>` and `<name>.1`.
pub const LIMIT: u64 = 1 << 20;
/// Bytes of the newest output kept in memory for messages about a failure.
const TAIL: usize = 2048;

/// A log file that turns over at its limit. Writing never fails towards the caller.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    limit: u64,
    size: u64,
    file: Option<File>,
    tail: VecDeque<u8>,
}

impl LogFile {
    /// A log at `path`; the file and its folder come into being with the first write.
    pub fn new(path: impl Into<PathBuf>, limit: u64) -> Self {
        Self { path: path.into(), limit: limit.max(1), size: 0, file: None, tail: VecDeque::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends. When the disk is full, or the path cannot be written, the bytes are lost.
    pub fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(usize::try_from(self.limit).unwrap_or(usize::MAX)) {
            self.write_part(part);
        }
        let skip = bytes.len().saturating_sub(TAIL);
        self.tail.extend(bytes.get(skip..).unwrap_or_default());
        while self.tail.len() > TAIL {
            self.tail.pop_front();
        }
    }

    fn write_part(&mut self, bytes: &[u8]) {
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.file.is_none() {
            self.open();
        }
        if self.size > 0 && self.size.saturating_add(len) > self.limit {
            let _ = std::fs::rename(&self.path, self.turned_over());
            self.open();
        }
        if let Some(file) = &mut self.file
            && file.write_all(bytes).is_ok()
        {
            self.size = self.size.saturating_add(len);
        }
    }

    fn turned_over(&self) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(".1");
        name.into()
    }

    fn open(&mut self) {
        if let Some(folder) = self.path.parent() {
            let _ = std::fs::create_dir_all(folder);
        }
        self.file = OpenOptions::new().create(true).append(true).open(&self.path).ok();
        self.size = self.file.as_ref().and_then(|f| f.metadata().ok()).map_or(0, |m| m.len());
    }

    /// Forgets the newest output, so that [`Self::last_lines`] speaks of the next run alone.
    pub fn mark_start(&mut self) {
        self.tail.clear();
    }

    /// The newest lines of output since [`Self::mark_start`], oldest first, blank ones left out.
    pub fn last_lines(&self, count: usize) -> Vec<String> {
        let bytes: Vec<u8> = self.tail.iter().copied().collect();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(count)).map(|l| crate::say::plain(l)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn turns_over_and_keeps_two() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sub/x.log");
        let mut log = LogFile::new(&path, 10);
        log.write(b"12345678");
        log.write(b"abc\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"abc\n");
        assert_eq!(std::fs::read(dir.path().join("sub/x.log.1")).unwrap(), b"12345678");
        assert_eq!(log.last_lines(5), ["12345678abc"]);
        log.mark_start();
        log.write(b"one\n\ntwo\nthree");
        assert_eq!(log.last_lines(2), ["two", "three"]);
    }

    #[test]
    fn an_earlier_file_is_continued() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x.log");
        LogFile::new(&path, 10).write(b"12345678");
        LogFile::new(&path, 10).write(b"abcd");
        assert_eq!(std::fs::read(&path).unwrap(), b"abcd");
    }

    proptest! {
        #[test]
        fn files_never_pass_the_limit_and_the_newest_bytes_survive(
            parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 0..30)
        ) {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("x.log");
            let mut log = LogFile::new(&path, 16);
            for part in &parts {
                log.write(part);
            }
            let new = std::fs::read(&path).unwrap_or_default();
            let old = std::fs::read(dir.path().join("x.log.1")).unwrap_or_default();
            prop_assert!(new.len() <= 16 && old.len() <= 16);
            let kept = [old, new].concat();
            prop_assert!(parts.concat().ends_with(&kept));
        }
    }
}
