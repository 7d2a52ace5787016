//! Markdown: headings in order, fences that are closed, links that lead somewhere.

use super::{Finding, Source};
use pulldown_cmark::{BrokenLink, CodeBlockKind, Event, LinkType, Options, Parser, Tag, TagEnd};
use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

pub fn check(root: &Path, source: &Source, findings: &mut Vec<Finding>) {
    let Some(text) = source.text().filter(|_| source.extension() == "md") else { return };
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut undefined: Vec<(usize, String)> = Vec::new();
    let mut level = 0;
    // What is in brackets alone may be just that.
    let callback = |link: BrokenLink<'_>| {
        if matches!(link.link_type, LinkType::Reference | LinkType::Collapsed) {
            undefined.push((link.span.start, format!("the link [{}] is not defined", link.reference)));
        }
        None
    };
    let parser = Parser::new_with_broken_link_callback(text, Options::ENABLE_TABLES, Some(callback));
    for (event, range) in parser.into_offset_iter() {
        let at = range.start;
        match event {
            Event::Start(Tag::Heading { level: new, .. }) => {
                let new = new as usize;
                if new > level + 1 {
                    found.push((at, format!("a heading of level {new} follows one of level {level}")));
                }
                if new == 1 && level > 0 {
                    found.push((at, "there is a title already".to_owned()));
                }
                level = new;
            }
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                found.extend(broken(root, &source.path, &dest_url).map(|why| (at, why)));
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(_))) if !is_closed(text, range) => {
                found.push((at, "the fence is not closed".to_owned()));
            }
            _ => {}
        }
    }
    found.append(&mut undefined);
    findings.extend(found.into_iter().map(|(at, message)| {
        let line = text[..at].matches('\n').count() + 1;
        Finding::new(&source.path, line, "markdown", message)
    }));
}

/// Whether the last line of a block is a fence as long as the first. One that is open goes on to the end.
fn is_closed(text: &str, block: Range<usize>) -> bool {
    let lines = text.get(block).unwrap_or_default().trim_end();
    let Some((first, rest)) = lines.split_once('\n') else { return false };
    let mark = if first.starts_with('~') { '~' } else { '`' };
    let fence = first.chars().take_while(|c| *c == mark).count();
    // A block in a quote or list has signs before it.
    let last = rest.lines().next_back().unwrap_or_default().trim_start_matches([' ', '>', '\t']);
    last.chars().count() >= fence && last.chars().all(|c| c == mark)
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
    let there = anchors(&text).iter().any(|known| known == anchor);
    (!there).then(|| format!("{target} leads to a heading that is not there"))
}

/// The anchors that a text's headings get on the usual forges.
fn anchors(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut heading: Option<String> = None;
    for event in Parser::new_ext(text, Options::ENABLE_TABLES) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::Text(part) | Event::Code(part) => {
                if let Some(heading) = &mut heading {
                    heading.push_str(&part);
                }
            }
            Event::End(TagEnd::Heading(_)) => {
                let anchor = anchor(&heading.take().unwrap_or_default());
                let before = seen.entry(anchor.clone()).or_default();
                all.push(if *before == 0 { anchor } else { format!("{anchor}-{before}") });
                *before += 1;
            }
            _ => {}
        }
    }
    all
}

fn anchor(heading: &str) -> String {
    let text = heading.trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
