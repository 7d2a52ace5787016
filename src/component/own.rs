//! What a component adds by itself: folders, files, our own programs and links, in that order; a later one
//! wins.

use super::binaries::{Program, Wanted};
use super::build::Input;
use super::definition::{BinaryEntry, Definition, DirectoryEntry, FileEntry, LinkEntry, Places, Source};
use super::values::ImagePath;
use crate::initramfs::tree::{Content, Kind, Node, TreePath};
use crate::problem::{Problem, Result};
use crate::store::Digest;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path};

/// The entries of a recipe, or those beside `image`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own<'a> {
    pub directories: &'a [DirectoryEntry],
    pub files: &'a [FileEntry],
    pub binaries: &'a [BinaryEntry],
    pub links: &'a [LinkEntry],
}

/// A file of the component, read once, so that key and image speak of the same bytes.
pub(super) struct OwnFile<'a> {
    pub entry: &'a FileEntry,
    pub bytes: Vec<u8>,
    pub mode: u32,
}

impl<'a> Own<'a> {
    pub fn of(source: &'a Source) -> Self {
        match source {
            Source::Recipe(recipe) => recipe.own(),
            Source::Image(image) => image.own(),
            Source::Dockerfile(_) => Self::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.directories.is_empty()
            && self.files.is_empty()
            && self.binaries.is_empty()
            && self.links.is_empty()
    }

    /// Each path once, and each file's bytes from one place that is there.
    pub fn check(&self, places: &Places<'_>, folder: &Path) -> Result<()> {
        let mut taken: BTreeMap<&ImagePath, &str> = BTreeMap::new();
        let paths = (self.files.iter().map(|e| (&e.path, "file")))
            .chain(self.directories.iter().map(|e| (&e.path, "directory")))
            .chain(self.links.iter().map(|e| (&e.path, "link")))
            .chain(self.binaries.iter().map(|e| (&e.path, "binary")));
        for (path, what) in paths {
            if let Some(other) = taken.insert(path.get_ref(), what) {
                let text = format!("{} is stated twice, as {other} and as {what}", path.get_ref());
                return Err(places.problem(path.span(), text));
            }
        }
        self.files.iter().try_for_each(|file| check_file(file, places, folder))
    }

    /// Our own programs among them.
    pub fn wanted(&self) -> Vec<Wanted> {
        let own = self.binaries.iter();
        own.map(|b| Wanted { package: b.package.clone(), binary: b.binary.clone() }).collect()
    }

    /// Reads the files.
    pub fn read(&self, definition: &Definition) -> Result<Vec<OwnFile<'a>>> {
        let mut all = Vec::new();
        for entry in self.files {
            let mut mode = 0o644;
            let bytes = match (&entry.source, &entry.contents) {
                (Some(source), _) => {
                    let path = definition.folder.join(source.get_ref());
                    let bad = |e| {
                        Problem::usage("a file of the component cannot be read").in_file(&path).because(e)
                    };
                    if fs::metadata(&path).map_err(bad)?.permissions().mode() & 0o111 != 0 {
                        mode = 0o755;
                    }
                    fs::read(&path).map_err(bad)?
                }
                (None, contents) => contents.clone().unwrap_or_default().into_bytes(),
            };
            let mode = entry.mode.map_or(mode, |m| m.0);
            all.push(OwnFile { entry, bytes, mode });
        }
        Ok(all)
    }

    /// Hands every entry to `put`, as a node with the time `latest`.
    pub fn put(
        &self,
        files: &[OwnFile<'_>],
        programs: &[Program],
        latest: i64,
        mut put: impl FnMut(&TreePath, Node) -> Result<()>,
    ) -> Result<()> {
        for entry in self.directories {
            let mut node = Node::directory(entry.mode.0, latest);
            (node.uid, node.gid) = (entry.uid, entry.gid);
            put(&entry.path.get_ref().0, node)?;
        }
        for OwnFile { entry, bytes, mode } in files {
            let mut node = Node::file(bytes.clone(), *mode, latest);
            (node.uid, node.gid) = (entry.uid, entry.gid);
            put(&entry.path.get_ref().0, node)?;
        }
        for entry in self.binaries {
            let is = |p: &&Program| p.package == entry.package && p.binary == entry.binary;
            let program = programs.iter().find(is).ok_or_else(|| {
                Problem::new(format!("program {} of {} was not built", entry.binary, entry.package))
            })?;
            let content = Content::Blob { digest: program.digest, offset: 0, len: program.size };
            put(&entry.path.get_ref().0, Node::new(Kind::File(content), entry.mode.0, latest))?;
        }
        for entry in self.links {
            put(&entry.path.get_ref().0, Node::symlink(entry.target.0.as_bytes(), latest))?;
        }
        Ok(())
    }
}

fn check_file(file: &FileEntry, places: &Places<'_>, folder: &Path) -> Result<()> {
    match (&file.source, &file.contents) {
        (Some(source), None) => {
            let name = Path::new(source.get_ref());
            let plain = name.components().all(|c| matches!(c, Component::Normal(_)));
            if !plain || name.as_os_str().is_empty() {
                let text = format!("source {:?} must lie in the component's folder", source.get_ref());
                return Err(places.problem(source.span(), text));
            }
            if !folder.join(name).is_file() {
                let text = format!("there is no file {}", folder.join(name).display());
                return Err(places.problem(source.span(), text));
            }
            Ok(())
        }
        (None, Some(_)) => Ok(()),
        (Some(source), Some(_)) => {
            Err(places.problem(source.span(), "give `source` or `contents`, not both"))
        }
        (None, None) => {
            let text = format!("file {} needs `source` or `contents`", file.path.get_ref());
            Err(places.problem(file.path.span(), text))
        }
    }
}

/// What of it decided the image, for the manifest.
pub(super) fn inputs(definition: &Definition, files: &[OwnFile<'_>], programs: &[Program]) -> Vec<Input> {
    let named = files.iter().filter_map(|f| {
        let source = f.entry.source.as_ref()?.get_ref();
        let name = format!("{}/{source}", definition.name);
        Some(Input { kind: "file".to_owned(), name, digest: Digest::of(&f.bytes) })
    });
    let programs = programs.iter().map(|p| Input {
        kind: "program".to_owned(),
        name: format!("{}/{}", p.package, p.binary),
        digest: p.digest,
    });
    named.chain(programs).collect()
}
