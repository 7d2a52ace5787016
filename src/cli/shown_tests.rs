//! Commands that people are shown exist: those in the docs, in help, in remedies and in the wizard's samples.

use super::Cli;
use clap::CommandFactory as _;
use std::path::Path;

/// Where commands are shown: each line of the text with its place.
fn texts() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = vec![root.join("README.md")];
    for (folder, ends) in [("docs", "md"), ("src", "rs")] {
        let all =
            walkdir::WalkDir::new(root.join(folder)).into_iter().map(|entry| entry.unwrap().into_path());
        files.extend(all.filter(|path| path.extension().is_some_and(|e| e == ends)));
    }
    files.retain(|path| !path.ends_with("shown_tests.rs"));
    let read = |path: std::path::PathBuf| {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root).unwrap().display().to_string();
        let lines =
            text.lines().enumerate().map(|(at, line)| (format!("{name}:{}", at + 1), line.to_owned()));
        lines.collect::<Vec<_>>()
    };
    files.into_iter().flat_map(read).collect()
}

/// The commands in a line, each to the end of its quotes, and whether it stands as a command of its own.
fn commands(line: &str) -> Vec<(String, bool)> {
    let line = line.replace("cargo run --release -- ", "hookos ");
    let starts = line.match_indices("hookos ").map(|(at, _)| at);
    let mut found = Vec::new();
    for at in starts {
        let before = line[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || "/-_.".contains(c)) {
            continue;
        }
        let rest = &line[at + "hookos ".len()..];
        let end = rest.find(['`', '"', ';', '|', '#', '(', ')', '\u{2026}']).unwrap_or(rest.len());
        let rest = &rest[..end];
        let end = ["&&", "hookos "].iter().filter_map(|mark| rest.find(mark)).min().unwrap_or(rest.len());
        found.push((rest[..end].to_owned(), before == Some('`')));
    }
    found
}

#[test]
fn no_command_that_people_are_shown_is_invented() {
    let mut wrong = Vec::new();
    let mut seen = 0;
    for (place, line) in texts() {
        for (text, alone) in commands(&line) {
            let mut command = Cli::command();
            let mut flags: Vec<String> =
                command.get_arguments().filter_map(|a| a.get_long().map(str::to_owned)).collect();
            let mut words = text.split_whitespace().peekable();
            let name = |word: &str| {
                word.chars().all(|c| c.is_ascii_lowercase() || c == '-') && !word.starts_with('-')
            };
            let mut depth = 0;
            while let Some(next) = words.peek().and_then(|word| command.find_subcommand(word)).cloned() {
                command = next;
                flags.extend(command.get_arguments().filter_map(|a| a.get_long().map(str::to_owned)));
                words.next();
                depth += 1;
            }
            if depth == 0 {
                if alone && words.peek().is_some_and(|word| name(word)) {
                    wrong.push(format!("{place}: there is no command: hookos {text}"));
                }
                continue;
            }
            seen += 1;
            flags.extend(["help".to_owned(), "version".to_owned()]);
            for word in words {
                let Some(flag) = word.trim_start_matches('[').strip_prefix("--") else { continue };
                let end = flag.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(flag.len());
                let flag = &flag[..end];
                if !flag.is_empty() && !flags.iter().any(|known| known == flag) {
                    wrong.push(format!("{place}: {} has no flag --{flag}", command.get_name()));
                }
            }
        }
    }
    assert!(seen > 150, "only {seen} commands were found: they are not recognized any more");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
