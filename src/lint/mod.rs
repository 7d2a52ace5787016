//! The project's own files: are they in order?
//!
//! | rule | looks at | read |
//! |---|---|---|
//! | `text` | every text file: trailing blanks, line ends, the last line's end | [`text`] |
//! | `markdown` | headings, fences, links that lead nowhere | [`markdown`] |
//! | `licence` | every file has a licence, by the rules of REUSE 3.3 | [`licence`] |
//! | `definition` | hook.yaml, component.toml, profiles, the list of kernel modules | [`inputs`] |
//! | `mdl` | Markdown once more, by that program if it is installed | [`tools`] |
//! | `shellcheck` | our scripts, by that program if it is installed | [`tools`] |
//! | `reuse` | licences once more, by the REUSE tool if it is installed | [`tools`] |

mod inputs;
mod licence;
mod markdown;
mod text;
mod tools;

use crate::problem::{Problem, Result};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file that is larger is no text of ours.
const LARGEST: u64 = 4 << 20;

/// Something that is not in order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Finding {
    /// From the project's root.
    pub file: PathBuf,
    /// From 1; none is the whole file.
    pub line: Option<usize>,
    pub rule: &'static str,
    pub message: String,
    /// `--fix` puts it right.
    pub fixable: bool,
}

impl Finding {
    fn new(
        file: &Path,
        line: impl Into<Option<usize>>,
        rule: &'static str,
        message: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), line: line.into(), rule, message: message.into(), fixable: false }
    }

    /// A problem that another part of the program has found.
    fn of(root: &Path, file: &Path, problem: &Problem) -> Self {
        let place = problem.place();
        let file = place.map_or(file, |place| place.file.as_path());
        let file = file.strip_prefix(root).unwrap_or(file);
        let mut message = problem.what().to_owned();
        for cause in problem.causes() {
            message.push_str(&format!("; {}", cause.trim()));
        }
        Self::new(file, place.and_then(|place| place.line), "definition", message.replace('\n', "; "))
    }
}

/// What a look has found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub findings: Vec<Finding>,
    /// Programs that are not installed, and what they would have looked at.
    pub skipped: Vec<String>,
    pub files: usize,
    /// Files that were put right.
    pub fixed: Vec<PathBuf>,
}

/// A file of the project, as it is on the disk.
struct Source {
    /// From the project's root.
    path: PathBuf,
    bytes: Vec<u8>,
}

impl Source {
    /// Its text, if it is one.
    fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.bytes).ok().filter(|text| !text.contains('\0'))
    }

    fn extension(&self) -> &str {
        self.path.extension().and_then(|e| e.to_str()).unwrap_or_default()
    }
}

/// Looks at all files that git knows; with `fix`, puts right what can be without a doubt.
pub fn lint(root: &Path, fix: bool) -> Result<Report> {
    let mut report = Report::default();
    let mut sources = Vec::new();
    for path in files(root)? {
        let full = root.join(&path);
        let meta = full
            .symlink_metadata()
            .map_err(|e| Problem::new("a file cannot be looked at").in_file(&full).because(e))?;
        if meta.is_file() && meta.len() <= LARGEST {
            let bytes = std::fs::read(&full)
                .map_err(|e| Problem::new("a file cannot be read").in_file(&full).because(e))?;
            sources.push(Source { path, bytes });
        }
    }
    if fix {
        let licences = licence::Known::of(root, &sources).ok();
        let head = |source: &Source| licences.as_ref()?.headed(source);
        // Last what depends on the bytes of other files.
        let recipe = |source: &Source| inputs::better(root, source);
        for better in [&head as &dyn Fn(&Source) -> Option<String>, &text::better, &recipe] {
            for source in &mut sources {
                let Some(text) = better(source) else { continue };
                crate::site::files::write(&root.join(&source.path), text.as_bytes())?;
                source.bytes = text.into_bytes();
                report.fixed.push(source.path.clone());
            }
        }
        report.fixed.sort();
        report.fixed.dedup();
    }
    report.files = sources.len();
    for source in &sources {
        text::check(source, &mut report.findings);
        markdown::check(root, source, &mut report.findings);
    }
    licence::check(root, &sources, &mut report.findings);
    inputs::check(root, &mut report.findings);
    tools::check(root, &sources, &mut report)?;
    report.findings.sort();
    report.findings.dedup();
    Ok(report)
}

/// The files that git has or would take, sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .map_err(|e| Problem::usage("git cannot be asked for the project's files").because(e))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
        return Err(Problem::usage(format!("git does not know the project's files: {said}"))
            .in_file(root)
            .remedy("work in a clone of the project"));
    }
    let names = output.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty());
    let mut files: Vec<PathBuf> =
        names.map(|name| PathBuf::from(String::from_utf8_lossy(name).into_owned())).collect();
    // One that is deleted and not committed yet is still listed.
    files.retain(|path| root.join(path).symlink_metadata().is_ok());
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
