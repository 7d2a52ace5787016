//! The section `files`.

use super::definition::{Definition, FileEntry, Origin};
use super::fields::octal;
use super::layout::Trees;
use super::links::resolve;
use super::metadata;
use super::rootfs::path;
use super::runtime::Ids;
use crate::initramfs::{Content, Kind, Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use crate::store::Digest;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of the image, decided but not yet read.
#[derive(Debug, Clone)]
pub struct PlannedFile {
    path: TreePath,
    what: What,
    mode: u32,
    uid: u32,
    gid: u32,
    origin: Origin,
}

#[derive(Debug, Clone)]
enum What {
    Directory,
    Symlink(String),
    Text(Arc<[u8]>),
    /// A file of this machine with the content that it had when the plan was made.
    Local {
        path: PathBuf,
        digest: Digest,
    },
}

/// Decides every file. Local files are read once, to learn their digests.
pub fn planned(
    definition: &Definition,
    ids: &Ids,
    is_component: &dyn Fn(&str) -> bool,
    warnings: &mut Vec<Problem>,
) -> Result<Vec<PlannedFile>> {
    let boot = path("boot")?;
    let mut out = Vec::new();
    for file in &definition.files {
        let at = path(&file.path).map_err(|e| e.while_doing("files"))?;
        if at.starts_with(&boot) && at != boot {
            warnings.push(
                file.origin
                    .problem("path", format!("{} is left out", file.path))
                    .remedy("an initramfs has nothing below /boot, as with LinuxKit"),
            );
            continue;
        }
        if !file.symlink.is_empty() && (file.contents.is_some() || !file.source.is_empty()) {
            warnings.push(
                file.origin
                    .problem("path", format!("{} is a symlink: its content counts for nothing", file.path)),
            );
        }
        let Some(what) = content(file, definition, is_component)? else { continue };
        let default = if file.directory { 0o700 } else { 0o600 };
        let id = |key: &str, id| ids.number(key, id).map_err(|e| e.problem(&file.origin));
        out.push(PlannedFile {
            path: at,
            what,
            mode: octal(&file.mode).unwrap_or(default),
            uid: id("uid", file.uid.as_ref())?,
            gid: id("gid", file.gid.as_ref())?,
            origin: file.origin.clone(),
        });
    }
    Ok(out)
}

/// What a file holds; none for an optional one that is not there.
fn content(
    file: &FileEntry,
    definition: &Definition,
    is_component: &dyn Fn(&str) -> bool,
) -> Result<Option<What>> {
    if file.directory {
        return Ok(Some(What::Directory));
    }
    if !file.symlink.is_empty() {
        return Ok(Some(What::Symlink(file.symlink.clone())));
    }
    if let Some(text) = &file.contents {
        return Ok(Some(What::Text(text.as_bytes().into())));
    }
    if !file.metadata.is_empty() {
        let definition = metadata::expanded(definition, is_component);
        let text = if file.metadata == "json" {
            metadata::to_json(&definition)?
        } else {
            metadata::to_yaml(&definition)?
        };
        return Ok(Some(What::Text(text.into_bytes().into())));
    }
    let source = local_path(&file.source, file.origin.file());
    if file.optional && std::fs::metadata(&source).is_err() {
        return Ok(None);
    }
    let (digest, _) = Digest::of_file(&source).map_err(|e| {
        let problem = file.origin.problem("source", format!("cannot read {}", source.display())).because(e);
        if file.source.starts_with(['/', '~']) {
            problem
        } else {
            problem.remedy("a relative path starts at the folder of the YAML file; `optional: true` skips a missing file")
        }
    })?;
    Ok(Some(What::Local { path: source, digest }))
}

/// `~/` is the home folder; a relative path starts at the folder of the YAML file.
fn local_path(source: &str, yaml: &Path) -> PathBuf {
    if let (Some(below), Some(home)) = (source.strip_prefix("~/"), std::env::var_os("HOME")) {
        return PathBuf::from(home).join(below);
    }
    yaml.parent().unwrap_or(Path::new("")).join(source)
}

impl PlannedFile {
    /// Everything that decides the file's bytes, except what earlier pieces hold.
    pub fn key_input(&self) -> (String, Vec<u8>) {
        let mut value = format!("{:o} {} {} ", self.mode, self.uid, self.gid).into_bytes();
        match &self.what {
            What::Directory => value.push(b'd'),
            What::Symlink(target) => value.extend([b"l", target.as_bytes()].concat()),
            What::Text(text) => value.extend([b"f", Digest::of(text).bytes().as_slice()].concat()),
            What::Local { digest, .. } => value.extend([b"f", digest.bytes().as_slice()].concat()),
        }
        (format!("file {}", self.path), value)
    }
}

/// The tree of the files. A parent that an earlier piece has is left alone; a missing one is made
/// with the file's owner and the file's mode plus `x` for each class that has any right.
pub fn tree(files: &[PlannedFile], from: &dyn Trees, mtime: i64) -> Result<Tree> {
    let earlier = from.earlier()?;
    let mut out = Tree::new();
    for file in files {
        let lookup = |path: &TreePath| out.get(path).or_else(|| earlier.get(path));
        let directory = matches!(file.what, What::Directory);
        let at = resolve(&file.path, directory, lookup).map_err(|e| e.while_doing("files"))?;
        let refuse = |what: String| Err(file.origin.problem("path", what));
        let mut missing = Vec::new();
        let mut next = at.parent();
        while let Some(folder) = next.filter(|folder| !folder.is_root()) {
            match lookup(&folder).map(|node| node.is_directory()) {
                Some(true) => break,
                Some(false) => {
                    return refuse(format!("{} lies below {folder}, which is not a folder", file.path));
                }
                None => {}
            }
            next = folder.parent();
            missing.push(folder);
        }
        let filled = |tree: &Tree| tree.below(&at).next().is_some();
        if !directory && (filled(&out) || filled(earlier)) {
            return refuse(format!(
                "{} is a folder with content: nothing else can take its place",
                file.path
            ));
        }
        let has_x = [0o700, 0o070, 0o007].iter().filter(|class| file.mode & **class != 0);
        let folder_mode = has_x.fold(file.mode & 0o777, |mode, class| mode | (class & 0o111));
        let owned = |node: Node| Node { uid: file.uid, gid: file.gid, ..node };
        let kind = match &file.what {
            What::Directory => Kind::Directory,
            What::Symlink(target) => Kind::Symlink(target.clone().into_bytes()),
            What::Text(text) => Kind::File(Content::Inline(Arc::clone(text))),
            What::Local { path, digest } => Kind::File(local(from, path, digest, &file.origin)?),
        };
        for folder in missing {
            out.insert(folder, owned(Node::directory(folder_mode, mtime)));
        }
        out.insert(at, owned(Node::new(kind, file.mode, mtime)));
    }
    Ok(out)
}

fn local(from: &dyn Trees, path: &Path, digest: &Digest, origin: &Origin) -> Result<Content> {
    let content = from.local(path)?;
    let found = match &content {
        Content::Inline(bytes) => Digest::of(bytes),
        Content::Blob { digest, .. } => *digest,
    };
    if found != *digest {
        return Err(origin.problem("source", format!("{} changed while the image was built", path.display())));
    }
    Ok(content)
}
