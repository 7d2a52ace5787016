//! The files that a Dockerfile may copy: the folder that it stands in, without what `.dockerignore` names.

use crate::store::Digest;
use globset::{GlobBuilder, GlobMatcher};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// A folder, its files sorted. The same files give the same bytes: times and owners are left out.
#[derive(Debug, Clone)]
pub struct Context {
    folder: PathBuf,
    /// From the folder.
    files: Vec<PathBuf>,
}

impl Context {
    pub fn read(folder: &Path) -> io::Result<Self> {
        let ignored = ignore(folder)?;
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
            let entry = entry?;
            let Ok(path) = entry.path().strip_prefix(folder) else { continue };
            if !entry.file_type().is_dir() && !is_ignored(&ignored, path) {
                files.push(path.to_owned());
            }
        }
        Ok(Self { folder: folder.to_owned(), files })
    }

    /// As a tar archive.
    pub fn bytes(&self) -> io::Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for file in &self.files {
            let full = self.folder.join(file);
            let meta = full.symlink_metadata()?;
            let mut header = tar::Header::new_gnu();
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            if meta.is_symlink() {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                header.set_mode(0o777);
                tar.append_link(&mut header, file, std::fs::read_link(&full)?)?;
            } else {
                let bytes = std::fs::read(&full)?;
                header.set_size(bytes.len() as u64);
                // Whether it can be run is all that git keeps too.
                header.set_mode(if meta.permissions().mode() & 0o100 == 0 { 0o644 } else { 0o755 });
                tar.append_data(&mut header, file, bytes.as_slice())?;
            }
        }
        tar.into_inner()
    }

    /// Changes whenever a file does.
    pub fn digest(&self) -> io::Result<Digest> {
        Ok(Digest::of(&self.bytes()?))
    }
}

/// The patterns of `.dockerignore`; the last that matches counts, `!` takes a file back in.
fn ignore(folder: &Path) -> io::Result<Vec<(bool, GlobMatcher)>> {
    let text = match std::fs::read_to_string(folder.join(".dockerignore")) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(e),
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
            patterns.push((take, glob.map_err(io::Error::other)?.compile_matcher()));
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

    #[test]
    fn a_context_is_the_same_bytes_and_leaves_out_what_is_ignored() {
        let names = |folder: &Path| -> Vec<String> {
            let context = Context::read(folder).unwrap();
            context.files.iter().map(|file| file.display().to_string()).collect()
        };
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
        assert_eq!(names(one.path()), [".dockerignore", "Dockerfile", "src/a.c", "src/deep/keep.o"]);
        assert_ne!(digest(one.path()), digest(other.path()));
    }
}
