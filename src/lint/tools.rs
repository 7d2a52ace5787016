//! The real tools, where they are installed.

use super::{Finding, Report, Source};
use crate::problem::{Problem, Result};
use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What shellcheck reads.
const SHELLS: [&str; 4] = ["sh", "bash", "dash", "ksh"];

pub fn check(root: &Path, sources: &[Source], report: &mut Report) -> Result<()> {
    shellcheck(root, sources, report)?;
    markdown(root, sources, report)?;
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

/// Whether a tool has looked at all: 0 says that it found nothing, 1 that it found something.
fn looked(output: &Output) -> bool {
    matches!(output.status.code(), Some(0 | 1))
}

/// The last line of what a tool says on standard error.
fn complaint(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    line.map_or_else(|| format!("it ended with {}", output.status), |line| line.trim().to_owned())
}

/// What a tool has found, as its JSON says it.
fn findings<T: for<'de> Deserialize<'de>>(program: &str, output: &Output) -> Result<Vec<T>> {
    if !looked(output) {
        return Err(Problem::new(format!("{program} has failed: {}", complaint(output))));
    }
    serde_json::from_slice(&output.stdout)
        .map_err(|e| Problem::new(format!("{program} says something that is not understood")).because(e))
}

/// The program that reads a script, by its first line: `#!/bin/sh -e`, `#!/usr/bin/env -S bash -e`.
fn interpreter(line: &str) -> Option<&str> {
    let mut words = line.strip_prefix("#!")?.split_whitespace();
    let name = |path: &'_ str| -> usize { path.rfind('/').map_or(0, |at| at + 1) };
    let first = words.next()?;
    let program = match &first[name(first)..] {
        "env" => words.find(|word| !word.starts_with('-') && !word.contains('='))?,
        _ => first,
    };
    Some(&program[name(program)..])
}

/// A script for shellcheck: by its first line, else by its name.
fn is_script(source: &Source) -> bool {
    let Some(text) = source.text() else { return false };
    match interpreter(text.lines().next().unwrap_or_default()) {
        Some(program) => SHELLS.contains(&program),
        None => SHELLS.contains(&source.extension()),
    }
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
    let comments: Vec<Comment> = findings("shellcheck", &output)?;
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

#[derive(Deserialize)]
struct Offence {
    filename: PathBuf,
    line: usize,
    rule: String,
    description: String,
}

/// Markdown by mdl, with the rules that the project's `.mdlrc` names.
fn markdown(root: &Path, sources: &[Source], report: &mut Report) -> Result<()> {
    let texts: Vec<&Path> =
        sources.iter().filter(|s| s.extension() == "md").map(|s| s.path.as_path()).collect();
    if texts.is_empty() {
        return Ok(());
    }
    let Some(output) = run(root, "mdl", &["--json"], &texts)? else {
        report.skipped.push(
            "mdl is not installed: Markdown was checked by our own rules alone (apt-get install ruby-mdl)"
                .to_owned(),
        );
        return Ok(());
    };
    let offences: Vec<Offence> = findings("mdl", &output)?;
    report.findings.extend(offences.into_iter().map(|offence| {
        let message = format!("{}: {}", offence.rule, offence.description);
        Finding::new(&offence.filename, offence.line, "mdl", message)
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
    // Debian 12 has 1.1.2, which knows neither this option nor REUSE.toml.
    if !looked(&output) {
        report.skipped.push(format!(
            "reuse cannot be used ({}): licences were checked by our own rules (version 4 or later is needed: pipx install \
             reuse)",
            complaint(&output)
        ));
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    for line in text.lines() {
        let (file, message) = line.split_once(": ").unwrap_or(("", line));
        report.findings.push(Finding::new(Path::new(file), None, "reuse", message));
    }
    if text.trim().is_empty() && !output.status.success() {
        report.findings.push(Finding::new(Path::new(""), None, "reuse", complaint(&output)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_known_by_who_reads_it() {
        let is = |name: &str, text: &str| {
            is_script(&Source { path: PathBuf::from(name), bytes: text.as_bytes().to_vec() })
        };
        for line in ["#!/bin/sh", "#!/bin/sh -e", "#! /usr/bin/env bash", "#!/usr/bin/env -S A=1 bash -eu"] {
            assert!(is("run", line), "{line}");
        }
        for line in ["#!/bin/zsh", "#!/usr/bin/fish", "#!/usr/bin/env python3", "", "echo", "#!"] {
            assert!(!is("run", line), "{line}");
        }
        assert!(is("functions.sh", "greet() { echo; }\n") && !is("functions.sh", "#!/bin/zsh\n"));
    }
}
