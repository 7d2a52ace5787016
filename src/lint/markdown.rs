//! Markdown: headings in order, fences that are closed, links that lead somewhere.

use super::{Finding, Source};
use std::path::Path;

pub fn check(root: &Path, source: &Source, findings: &mut Vec<Finding>) {
    let Some(text) = source.text().filter(|_| source.extension() == "md") else { return };
    let mut add = |line: usize, message: String| {
        findings.push(Finding::new(&source.path, line, "markdown", message));
    };
    let mut level = 0;
    let mut fence: Option<(usize, &str)> = None;
    for (at, line) in text.lines().enumerate() {
        let number = at + 1;
        let start = line.trim_start();
        let mark = ["```", "~~~"].into_iter().find(|mark| start.starts_with(mark));
        match (mark, fence) {
            (Some(mark), Some((_, open))) if mark == open => fence = None,
            (Some(mark), None) => fence = Some((number, mark)),
            _ => {}
        }
        if fence.is_some() || mark.is_some() {
            continue;
        }
        let hashes = line.bytes().take_while(|byte| *byte == b'#').count();
        if (1..=6).contains(&hashes) && line[hashes..].starts_with(' ') {
            if hashes > level + 1 {
                add(number, format!("a heading of level {hashes} follows one of level {level}"));
            }
            if hashes == 1 && level > 0 {
                add(number, "there is a title already".to_owned());
            }
            level = hashes;
        }
        for target in links(line) {
            if let Some(why) = broken(root, &source.path, target) {
                add(number, why);
            }
        }
    }
    if let Some((line, mark)) = fence {
        add(line, format!("the {mark} fence is not closed"));
    }
}

/// The targets of `[text](target)` in a line, outside of code.
fn links(line: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for (at, part) in line.split('`').enumerate() {
        if at % 2 == 1 {
            continue;
        }
        let mut rest = part;
        while let Some(begin) = rest.find("](") {
            rest = &rest[begin + 2..];
            let Some(end) = rest.find(')') else { break };
            found.push(rest[..end].split_whitespace().next().unwrap_or_default());
            rest = &rest[end..];
        }
    }
    found
}

/// Why a target leads nowhere; links to other hosts are not tried.
fn broken(root: &Path, file: &Path, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').map_or((target, None), |(path, anchor)| (path, Some(anchor)));
    let full = match path {
        "" => root.join(file),
        path => root.join(file).parent()?.join(path),
    };
    if !full.exists() {
        return Some(format!("{target} leads to a file that is not there"));
    }
    let anchor = anchor.filter(|_| full.extension().is_some_and(|e| e == "md"))?;
    let text = std::fs::read_to_string(&full).ok()?;
    let there =
        text.lines().filter_map(|line| line.strip_prefix('#')).any(|line| self::anchor(line) == anchor);
    (!there).then(|| format!("{target} leads to a heading that is not there"))
}

/// The anchor that a heading gets on the usual forges.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
