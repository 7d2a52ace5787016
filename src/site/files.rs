//! Files of a site on disk: where profiles are found, and writes that are whole or not at all.

use super::profile::Profile;
use crate::near::nearest;
use crate::problem::{Problem, Result};
use crate::replace::Replacement;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where profiles are looked for, in this order.
pub fn folders(root: &Path) -> Vec<PathBuf> {
    std::iter::once(root.join("profiles")).chain(user_folder()).collect()
}

/// `hookos/profiles` in the user's configuration folder.
pub fn user_folder() -> Option<PathBuf> {
    let from = |name: &str| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let config = from("XDG_CONFIG_HOME").or_else(|| from("HOME").map(|home| home.join(".config")))?;
    Some(config.join("hookos/profiles"))
}

/// A profile's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    pub path: PathBuf,
}

/// Checks a profile's name: it is also a folder's name in `out/` and `certs/`.
pub fn check_name(name: &str) -> Result<()> {
    let good = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with(['.', '-']) || !name.chars().all(good) {
        return Err(Problem::usage(format!("{name:?} is not a name for a profile"))
            .remedy("up to 64 letters, digits, `.`, `_` and `-`, beginning with a letter or digit"));
    }
    Ok(())
}

/// Whether the text names a file rather than a profile in one of the folders.
pub fn is_path(name: &str) -> bool {
    name.contains('/') || name.ends_with(".toml")
}

/// The profile of this name or path, whether or not it exists: `None` if a name is in no folder.
pub fn find(root: &Path, name: &str) -> Result<Option<Found>> {
    if is_path(name) {
        let path = PathBuf::from(name);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        check_name(&stem)?;
        return Ok(path.exists().then_some(Found { name: stem, path }));
    }
    check_name(name)?;
    let paths = folders(root).into_iter().map(|folder| folder.join(format!("{name}.toml")));
    Ok(paths.into_iter().find(|path| path.exists()).map(|path| Found { name: name.to_owned(), path }))
}

/// Where a new profile of this name or path goes.
pub fn place_for(root: &Path, name: &str, user: bool) -> Result<Found> {
    if let Some(found) = find(root, name)? {
        return Ok(found);
    }
    if is_path(name) {
        let path = PathBuf::from(name);
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        return Ok(Found { name: stem, path });
    }
    let folder = if user {
        user_folder().ok_or_else(|| Problem::new("neither XDG_CONFIG_HOME nor HOME is set"))?
    } else {
        root.join("profiles")
    };
    Ok(Found { name: name.to_owned(), path: folder.join(format!("{name}.toml")) })
}

/// Loads the profile of this name or path.
pub fn load(root: &Path, name: &str) -> Result<(Found, Profile)> {
    match find(root, name)? {
        Some(found) => {
            let profile = Profile::load(&found.path)?;
            Ok((found, profile))
        }
        None if is_path(name) => Err(Problem::usage("there is no such profile").in_file(name)),
        None => {
            let known = list(root)?;
            let names = || known.iter().map(|f| f.name.as_str());
            let hint = match nearest(name, names()) {
                Some(near) => format!("did you mean {near}?"),
                None if known.is_empty() => "make one with `hookos configure --profile NAME`".to_owned(),
                None => format!(
                    "profiles: {}; make one with `hookos configure --profile NAME`",
                    names().collect::<Vec<_>>().join(", ")
                ),
            };
            let folders: Vec<_> = folders(root).iter().map(|f| f.display().to_string()).collect();
            Err(Problem::usage(format!("there is no profile {name:?} in {}", folders.join(" or ")))
                .remedy(hint))
        }
    }
}

/// All profiles, sorted by name; the project's hides the user's of the same name.
pub fn list(root: &Path) -> Result<Vec<Found>> {
    let mut found: Vec<Found> = Vec::new();
    for folder in folders(root) {
        if folder.is_dir() {
            let new = in_folder(&folder)?.into_iter().filter(|new| !found.iter().any(|f| f.name == new.name));
            found.extend(new.collect::<Vec<_>>());
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The profiles of a folder, sorted by name.
pub fn in_folder(folder: &Path) -> Result<Vec<Found>> {
    let bad = |e| Problem::usage("the folder cannot be read").in_file(folder).because(e);
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(bad)? {
        let path = entry.map_err(bad)?.path();
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if path.extension().is_some_and(|e| e == "toml") && check_name(&name).is_ok() {
            found.push(Found { name, path });
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(found)
}

/// The profiles whose names match one of these patterns, such as `site-*`; all if there is none.
pub fn matching(root: &Path, patterns: &[String]) -> Result<Vec<Found>> {
    let glob = |pattern: &String| {
        let glob = globset::GlobBuilder::new(pattern).build();
        let bad = |e| Problem::usage(format!("{pattern} is not a pattern")).because(e);
        Ok(glob.map_err(bad)?.compile_matcher())
    };
    let globs: Vec<_> = patterns.iter().map(glob).collect::<Result<_>>()?;
    let mut found = list(root)?;
    found.retain(|found| globs.is_empty() || globs.iter().any(|glob| glob.is_match(&found.name)));
    Ok(found)
}

/// Writes a file whole or not at all, durably. An existing file keeps its mode, a link its target;
/// a new file's mode follows the umask.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(path, 0o666, bytes)
}

/// As [`write`], but nobody else can read a new file.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<()> {
    write_as(path, 0o600, bytes)
}

fn write_as(path: &Path, mode: u32, bytes: &[u8]) -> Result<()> {
    let failed = |e| Problem::new("the file cannot be written").in_file(path).because(e);
    write_inner(path, mode, bytes).map_err(failed)
}

fn write_inner(path: &Path, mode: u32, bytes: &[u8]) -> io::Result<()> {
    let path = match fs::canonicalize(path) {
        Ok(real) => real,
        Err(e) if e.kind() == io::ErrorKind::NotFound => path.to_owned(),
        Err(e) => return Err(e),
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let mut new = Replacement::of(&path, mode)?;
    new.file().write_all(bytes)?;
    if let Ok(old) = fs::metadata(&path) {
        new.file().set_permissions(old.permissions())?;
    }
    new.place_durably()
}

/// Keeps the text of a profile in an old format beside it, as `NAME.toml.v0.bak`, `NAME.toml.v0.1.bak`...
pub fn keep_copy(path: &Path, version: i64, text: &str) -> Result<PathBuf> {
    let failed = |path: &Path, e: io::Error| {
        Problem::new("the copy of the old profile cannot be written").in_file(path).because(e)
    };
    for n in 0..1000 {
        let number = if n == 0 { String::new() } else { format!(".{n}") };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".v{version}{number}.bak"));
        let copy = path.with_file_name(name);
        match File::create_new(&copy) {
            Ok(mut file) => {
                file.write_all(text.as_bytes())
                    .and_then(|()| file.sync_all())
                    .map_err(|e| failed(&copy, e))?;
                return Ok(copy);
            }
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(failed(&copy, e)),
        }
    }
    Err(Problem::new("there are a thousand copies of the old profile").in_file(path))
}
