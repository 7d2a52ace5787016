//! The files that a Dockerfile may copy: the folder that it stands in, without what `.dockerignore` names.

use crate::store::{Digest, Hasher};
use globset::{GlobBuilder, GlobMatcher};
use std::fs::{File, FileType};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// Files under the names that a Dockerfile knows them by, sorted. The same files give the same bytes: times
/// and owners are left out. They are read when they are sent, never all at once.
#[derive(Debug, Clone)]
pub struct Context {
    entries: Vec<Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: PathBuf,
    path: PathBuf,
}

/// An error that names its file.
fn about(path: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", path.display()))
}

impl Context {
    /// What is in a folder: files, links, and folders also where they are empty.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let ignored = ignore(folder)?;
        let mut entries = Vec::new();
        for entry in walkdir::WalkDir::new(folder).min_depth(1).sort_by_file_name() {
            let entry = entry?;
            let Ok(name) = entry.path().strip_prefix(folder) else { continue };
            if is_ignored(&ignored, name) {
                continue;
            }
            if let Some(kind) = special(entry.file_type()) {
                let why = format!(
                    "this is {kind}, which no build can take: remove it, or name it in .dockerignore"
                );
                return Err(about(entry.path(), why));
            }
            entries.push(Entry { name: name.to_owned(), path: entry.path().to_owned() });
        }
        Ok(Self { entries })
    }

    /// Single files, by name and by where they are.
    pub fn of(files: &[(&str, &Path)]) -> Self {
        let entry = |(name, path): &(&str, &Path)| {
            // What a link leads to; one that leads nowhere is told of when it is read.
            let path = path.canonicalize().unwrap_or_else(|_| (*path).to_owned());
            Entry { name: (*name).into(), path }
        };
        let mut entries: Vec<Entry> = files.iter().map(entry).collect();
        entries.sort_by(|a, b| a.name.cmp(&b.name));
        Self { entries }
    }

    /// The text of one of its files.
    pub fn text(&self, name: &str) -> io::Result<String> {
        let entry = self.entries.iter().find(|entry| entry.name == Path::new(name));
        let entry = entry.ok_or(io::ErrorKind::NotFound)?;
        std::fs::read_to_string(&entry.path).map_err(|e| about(&entry.path, e))
    }

    /// Writes a tar archive of it.
    pub fn write(&self, to: impl Write) -> io::Result<()> {
        let mut tar = tar::Builder::new(to);
        for Entry { name, path } in &self.entries {
            let broken = |e: io::Error| match e.kind() {
                // That is the other side's.
                io::ErrorKind::BrokenPipe => e,
                _ => about(path, e),
            };
            let meta = path.symlink_metadata().map_err(broken)?;
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(0);
            if meta.is_symlink() {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_mode(0o777);
                let target = std::fs::read_link(path).map_err(broken)?;
                tar.append_link(&mut header, name, target).map_err(broken)?;
            } else if meta.is_dir() {
                header.set_entry_type(tar::EntryType::Directory);
                header.set_mode(0o755);
                tar.append_data(&mut header, name, io::empty()).map_err(broken)?;
            } else {
                let mut content = File::open(path).map_err(broken)?.take(meta.len());
                header.set_size(meta.len());
                // Whether it can be run is all that git keeps too.
                header.set_mode(if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 });
                tar.append_data(&mut header, name, &mut content).map_err(broken)?;
                if content.limit() > 0 {
                    return Err(about(path, "it became shorter while it was read"));
                }
            }
        }
        tar.into_inner()?.flush()
    }

    /// Changes whenever a file does. Reads all of them.
    pub fn digest(&self) -> io::Result<Digest> {
        let mut hasher = Hasher::new();
        self.write(io::BufWriter::with_capacity(64 << 10, &mut hasher))?;
        Ok(hasher.finish())
    }
}

/// What a build cannot take; opening one may wait for ever.
fn special(kind: FileType) -> Option<&'static str> {
    match kind {
        kind if kind.is_fifo() => Some("a named pipe"),
        kind if kind.is_socket() => Some("a socket"),
        kind if kind.is_block_device() || kind.is_char_device() => Some("a device"),
        _ => None,
    }
}

/// The patterns of `.dockerignore`; the last that matches counts, `!` takes a file back in.
fn ignore(folder: &Path) -> io::Result<Vec<(bool, GlobMatcher)>> {
    let file = folder.join(".dockerignore");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(about(&file, e)),
    };
    let mut patterns = Vec::new();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (take, pattern) = match line.strip_prefix('!') {
            Some(rest) => (true, rest.trim()),
            None => (false, line),
        };
        let pattern = pattern.trim_matches('/');
        // A folder stands for everything in it.
        for pattern in [pattern.to_owned(), format!("{pattern}/**")] {
            let glob = GlobBuilder::new(&pattern).literal_separator(true).build();
            patterns.push((take, glob.map_err(|e| about(&file, e))?.compile_matcher()));
        }
    }
    Ok(patterns)
}

/// The Dockerfile itself is always sent: without it there is nothing to build.
fn is_ignored(patterns: &[(bool, GlobMatcher)], path: &Path) -> bool {
    let last = patterns.iter().rev().find(|(_, glob)| glob.is_match(path));
    path != Path::new("Dockerfile") && last.is_some_and(|(take, _)| !take)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let context = Context::read(folder).unwrap();
        context.entries.iter().map(|entry| entry.name.display().to_string()).collect()
    }

    #[test]
    fn a_context_is_the_same_bytes_and_leaves_out_what_is_ignored() {
        let make = || {
            let folder = tempfile::tempdir().unwrap();
            std::fs::create_dir_all(folder.path().join("src/deep")).unwrap();
            for name in ["Dockerfile", "src/a.c", "src/deep/b.o", "src/deep/keep.o", "notes.md"] {
                std::fs::write(folder.path().join(name), name).unwrap();
            }
            folder
        };
        let (one, other) = (make(), make());
        let digest = |folder: &Path| Context::read(folder).unwrap().digest().unwrap();
        assert_eq!(digest(one.path()), digest(other.path()));
        std::fs::write(
            one.path().join(".dockerignore"),
            "# objects\n**/*.o\n!src/deep/keep.o\nnotes.md\nDockerfile\n",
        )
        .unwrap();
        let left = [".dockerignore", "Dockerfile", "src", "src/a.c", "src/deep", "src/deep/keep.o"];
        assert_eq!(names(one.path()), left);
        assert_ne!(digest(one.path()), digest(other.path()));
    }

    #[test]
    fn an_empty_folder_is_sent_and_a_pipe_is_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("empty")).unwrap();
        let context = Context::read(folder.path()).unwrap();
        let mut bytes = Vec::new();
        context.write(&mut bytes).unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let kinds: Vec<_> =
            archive.entries().unwrap().map(|entry| entry.unwrap().header().entry_type()).collect();
        assert_eq!(kinds, [tar::EntryType::Directory]);

        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status().unwrap();
        assert!(made.success());
        let error = Context::read(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&pipe.display().to_string()) && error.contains("a named pipe"), "{error}");
        std::fs::write(folder.path().join(".dockerignore"), "pipe\n").unwrap();
        assert_eq!(names(folder.path()), [".dockerignore", "empty"]);
    }
}
