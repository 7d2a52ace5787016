//! Any text file: blanks at the end of a line, carriage returns, a last line without end.

use super::{Finding, Source};

/// Not files whose bytes are somebody else's: outputs of programs, and what goes into an image as it is.
fn ours(source: &Source) -> bool {
    let in_image = source.path.starts_with("components") && source.path.iter().any(|part| part == "files");
    !in_image
        && !matches!(source.extension(), "snap" | "pem" | "event" | "lock" | "proptest-regressions")
        && source.path.file_name().is_some_and(|name| name != "LICENSE")
}

/// In Markdown two blanks are a line break.
fn allowed(source: &Source, line: &str) -> bool {
    source.extension() == "md" && line.ends_with("  ") && !line.ends_with("   ") && !line.trim().is_empty()
}

pub fn check(source: &Source, findings: &mut Vec<Finding>) {
    let Some(text) = source.text().filter(|text| ours(source) && !text.is_empty()) else { return };
    let mut add = |line: usize, message: &str| {
        findings.push(Finding { fixable: true, ..Finding::new(&source.path, line, "text", message) });
    };
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let line = line.strip_suffix('\n').unwrap_or(line);
        if line.ends_with('\r') {
            add(at + 1, "the line ends in a carriage return");
        } else if line.ends_with([' ', '\t']) && !allowed(source, line) {
            add(at + 1, "blanks at the end of the line");
        }
    }
    let lines = text.lines().count();
    if !text.ends_with('\n') {
        add(lines, "the last line has no end");
    } else if text.ends_with("\n\n") {
        add(lines, "empty lines at the end of the file");
    }
}

/// The text without what [`check`] finds; none if it is in order.
pub fn better(source: &Source) -> Option<String> {
    let text = source.text().filter(|text| ours(source) && !text.is_empty())?;
    let mut better = String::with_capacity(text.len());
    for line in text.lines() {
        let line = line.trim_end_matches('\r');
        let line = if allowed(source, line) { line } else { line.trim_end_matches([' ', '\t']) };
        better.push_str(line);
        better.push('\n');
    }
    let end = better.trim_end_matches('\n').len() + 1;
    better.truncate(end);
    (better != text).then_some(better)
}
