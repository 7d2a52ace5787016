//! The real tools, where they are installed.

use super::{Finding, Report, Source};
use crate::problem::{Problem, Result};
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

pub fn check(root: &Path, sources: &[Source], report: &mut Report) -> Result<()> {
    shellcheck(root, sources, report)?;
    reuse(root, report)
}

/// Runs a tool; none if it is not installed.
fn run(root: &Path, program: &str, words: &[&str], files: &[&Path]) -> Result<Option<Output>> {
    match Command::new(program).args(words).args(files).current_dir(root).output() {
        Ok(output) => Ok(Some(output)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Problem::new(format!("{program} cannot be started")).because(e)),
    }
}

/// A script says in its first line who reads it.
fn is_script(source: &Source) -> bool {
    let first = source.text().and_then(|text| text.lines().next()).unwrap_or_default();
    first.starts_with("#!") && ["sh", "bash", "dash"].iter().any(|shell| first.trim_end().ends_with(shell))
}

#[derive(Deserialize)]
struct Comment {
    file: PathBuf,
    line: usize,
    code: u32,
    message: String,
}

fn shellcheck(root: &Path, sources: &[Source], report: &mut Report) -> Result<()> {
    let scripts: Vec<&Path> =
        sources.iter().filter(|source| is_script(source)).map(|source| source.path.as_path()).collect();
    if scripts.is_empty() {
        return Ok(());
    }
    let Some(output) = run(root, "shellcheck", &["--format=json"], &scripts)? else {
        let count = scripts.len();
        report.skipped.push(format!(
            "shellcheck is not installed: {count} scripts were not checked (apt-get install shellcheck)"
        ));
        return Ok(());
    };
    let comments: Vec<Comment> = serde_json::from_slice(&output.stdout)
        .map_err(|e| Problem::new("shellcheck says something that is not understood").because(e))?;
    report.findings.extend(comments.into_iter().map(|comment| {
        Finding::new(
            &comment.file,
            comment.line,
            "shellcheck",
            format!("SC{}: {}", comment.code, comment.message),
        )
    }));
    Ok(())
}

fn reuse(root: &Path, report: &mut Report) -> Result<()> {
    let Some(output) = run(root, "reuse", &["lint", "--lines"], &[])? else {
        report.skipped.push(
            "reuse is not installed: licences were checked by our own rules (pipx install reuse)".to_owned(),
        );
        return Ok(());
    };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let (file, message) = line.split_once(": ").unwrap_or(("", line));
        report.findings.push(Finding::new(Path::new(file), None, "reuse", message));
    }
    Ok(())
}
