//! Every file has a licence: in its own head, in `FILE.license` beside it, or in REUSE.toml. Rules:
//! <https://reuse.software/spec-3.3/>.

use super::{Finding, Source};
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the tag may stand: the head of a file, in bytes.
const HEAD: usize = 4096;
const RULES: &str = "REUSE.toml";
/// Put together here, so that this file does not have it.
const TAG: &str = concat!("SPDX-License-", "Identifier:");

#[derive(Debug, Deserialize)]
struct Rules {
    version: u64,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    path: OneOrMore,
    #[serde(default)]
    precedence: Precedence,
    #[serde(rename = "SPDX-License-Identifier")]
    licence: Option<OneOrMore>,
    #[serde(rename = "SPDX-FileCopyrightText")]
    copyright: Option<OneOrMore>,
}

/// What counts where a file says its licence itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Precedence {
    /// The file's own words.
    #[default]
    Closest,
    /// Both.
    Aggregate,
    /// The table.
    Override,
}

/// A glob of REUSE.toml with its licences.
struct Rule {
    glob: GlobMatcher,
    precedence: Precedence,
    licences: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::More(more) => more,
        }
    }
}

/// What says the licences of files that do not say it themselves.
#[derive(Default)]
pub struct Known {
    rules: Vec<Rule>,
    /// What each `FILE.license` says of the file that it lies beside.
    beside: BTreeMap<PathBuf, Vec<String>>,
    /// The licence of the project, if it has one.
    only: Option<String>,
}

impl Known {
    pub fn of(root: &Path, sources: &[Source]) -> Result<Self, Box<Finding>> {
        let mut texts = sources.iter().map(|source| &source.path).filter(|path| path.starts_with("LICENSES"));
        let only = match (texts.next(), texts.next()) {
            (Some(text), None) => text.file_stem().and_then(|name| name.to_str()).map(str::to_owned),
            _ => None,
        };
        Ok(Self { rules: read(root)?, beside: beside(sources), only })
    }

    /// The licences of a file. Licences themselves, and what says them of others, need none.
    fn licences(&self, source: &Source) -> Option<Vec<String>> {
        let path = &source.path;
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let about = name == RULES || name.ends_with(".license");
        if about || path.starts_with("LICENSES") || name.starts_with("LICENSE") || name.starts_with("COPYING")
        {
            return Some(Vec::new());
        }
        // What lies beside a file speaks for it.
        let own = match self.beside.get(Path::new(&format!("{}.license", path.display()))) {
            Some(licences) => licences.clone(),
            None => identifier(&source.bytes).unwrap_or_default(),
        };
        let licences = match self.rules.iter().rev().find(|rule| rule.glob.is_match(path)) {
            Some(rule) if rule.precedence == Precedence::Override => rule.licences.clone(),
            Some(rule) if rule.precedence == Precedence::Aggregate => [own, rule.licences.clone()].concat(),
            Some(rule) if own.is_empty() => rule.licences.clone(),
            _ => own,
        };
        (!licences.is_empty()).then_some(licences)
    }

    /// A file with the project's licence in its head; none if it has one, or if it is not known how comments look
    /// there.
    pub fn headed(&self, source: &Source) -> Option<String> {
        let (only, text) = (self.only.as_ref()?, source.text()?);
        let first = text.lines().next().unwrap_or_default();
        let (begin, end) = match source.extension() {
            _ if first.starts_with("#!") => ("#", ""),
            "sh" | "bash" | "toml" | "yaml" | "yml" | "py" | "rb" => ("#", ""),
            "rs" | "go" | "c" | "h" | "js" | "ts" | "proto" => ("//", ""),
            "md" => ("<!--", " -->"),
            _ if source.path.file_name().is_some_and(|name| name == "Dockerfile") => ("#", ""),
            _ => return None,
        };
        if self.licences(source).is_some() {
            return None;
        }
        // A first line that says who reads the file stays the first.
        let at = if first.starts_with("#!") { text.find('\n').map_or(text.len(), |at| at + 1) } else { 0 };
        let (before, after) = text.split_at(at);
        let line_end = if before.is_empty() || before.ends_with('\n') { "" } else { "\n" };
        Some(format!("{before}{line_end}{begin} {TAG} {only}{end}\n{after}"))
    }
}

pub fn check(root: &Path, sources: &[Source], findings: &mut Vec<Finding>) {
    let mut used = BTreeSet::new();
    let known = Known::of(root, sources).unwrap_or_else(|finding| {
        findings.push(*finding);
        Known { beside: beside(sources), ..Known::default() }
    });
    for source in sources {
        match known.licences(source) {
            Some(licences) => used.extend(licences),
            None => {
                let licence = known.only.as_deref().unwrap_or("LICENCE");
                let message = format!(
                    "the file has no licence: add `{TAG} {licence}` to its head, or a table to REUSE.toml"
                );
                let fixable = known.headed(source).is_some();
                findings.push(Finding { fixable, ..Finding::new(&source.path, None, "licence", message) });
            }
        }
    }
    for licence in &used {
        let file = PathBuf::from("LICENSES").join(format!("{licence}.txt"));
        if !root.join(&file).is_file() {
            findings.push(Finding::new(
                &file,
                None,
                "licence",
                format!("the text of {licence} is not there"),
            ));
        }
    }
}

/// What files of the name `FILE.license` say.
fn beside(sources: &[Source]) -> BTreeMap<PathBuf, Vec<String>> {
    let all = sources.iter().filter(|source| source.path.extension().is_some_and(|e| e == "license"));
    all.map(|source| (source.path.clone(), identifier(&source.bytes).unwrap_or_default())).collect()
}

/// The rules of REUSE.toml; the last that matches counts.
fn read(root: &Path) -> Result<Vec<Rule>, Box<Finding>> {
    let path = root.join(RULES);
    let Ok(text) = std::fs::read_to_string(&path) else { return Ok(Vec::new()) };
    let bad = |message: String| Box::new(Finding::new(Path::new(RULES), None, "licence", message));
    let rules: Rules = toml::from_str(&text).map_err(|e| bad(e.message().to_owned()))?;
    if rules.version != 1 {
        return Err(bad(format!("version {} is not known here; 1 is", rules.version)));
    }
    let mut globs = Vec::new();
    for annotation in &rules.annotations {
        let (Some(licence), Some(_)) = (&annotation.licence, &annotation.copyright) else {
            return Err(bad("a table lacks SPDX-License-Identifier or SPDX-FileCopyrightText".to_owned()));
        };
        for path in annotation.path.all() {
            let glob = GlobBuilder::new(path).literal_separator(true).build();
            let glob = glob.map_err(|e| bad(e.to_string()))?.compile_matcher();
            let licences = licence.all().iter().flat_map(|text| ids(text)).collect();
            globs.push(Rule { glob, precedence: annotation.precedence, licences });
        }
    }
    Ok(globs)
}

/// The licences of the tag in a file's head.
fn identifier(bytes: &[u8]) -> Option<Vec<String>> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).into_owned();
    let line = head.lines().find(|line| {
        // A comment's sign may stand before it, prose may not.
        line.find(TAG).is_some_and(|at| line[..at].chars().all(|c| !c.is_alphanumeric() && c != '`'))
    })?;
    let text = line.split_once(TAG)?.1.trim().trim_end_matches("-->").trim_end_matches("*/");
    Some(ids(text))
}

/// The names in an expression such as `MIT OR Apache-2.0`.
fn ids(expression: &str) -> Vec<String> {
    let words = expression.split(|c: char| c.is_whitespace() || c == '(' || c == ')');
    words
        .filter(|word| !word.is_empty() && !["OR", "AND", "WITH"].contains(word))
        .map(str::to_owned)
        .collect()
}
