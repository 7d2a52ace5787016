//! Every file has a licence: in its own head, in `FILE.license` beside it, or in REUSE.toml. Rules:
//! <https://reuse.software/spec-3.3/>.

use super::{Finding, Source};
use globset::{GlobBuilder, GlobMatcher};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Where the tag may stand: the head of a file, in bytes.
const HEAD: usize = 4096;
const RULES: &str = "REUSE.toml";

#[derive(Debug, Deserialize)]
struct Rules {
    version: u64,
    #[serde(default)]
    annotations: Vec<Annotation>,
}

#[derive(Debug, Deserialize)]
struct Annotation {
    path: OneOrMore,
    #[serde(rename = "SPDX-License-Identifier")]
    licence: Option<OneOrMore>,
    #[serde(rename = "SPDX-FileCopyrightText")]
    copyright: Option<OneOrMore>,
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

pub fn check(root: &Path, sources: &[Source], findings: &mut Vec<Finding>) {
    let mut used = BTreeSet::new();
    let annotated = match read(root) {
        Ok(rules) => rules,
        Err(finding) => {
            findings.push(*finding);
            Vec::new()
        }
    };
    let names: BTreeSet<&Path> = sources.iter().map(|source| source.path.as_path()).collect();
    for source in sources {
        let path = &source.path;
        // Licences themselves, and what says them of others.
        if path.starts_with("LICENSES") || path.extension().is_some_and(|e| e == "license") {
            continue;
        }
        let own = identifier(&source.bytes);
        let beside = PathBuf::from(format!("{}.license", path.display()));
        let of_rules = annotated.iter().rev().find(|(glob, _)| glob.is_match(path)).map(|(_, l)| l.clone());
        match own.or_else(|| names.contains(beside.as_path()).then(Vec::new)).or(of_rules) {
            Some(licences) => used.extend(licences),
            None => findings.push(Finding::new(
                path,
                None,
                "licence",
                "the file has no licence: add `SPDX-License-Identifier: Apache-2.0` to its head, or a table to REUSE.toml",
            )),
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

/// The globs of REUSE.toml with their licences; the last that matches counts.
fn read(root: &Path) -> Result<Vec<(GlobMatcher, Vec<String>)>, Box<Finding>> {
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
            globs.push((glob, licence.all().iter().flat_map(|text| ids(text)).collect()));
        }
    }
    Ok(globs)
}

/// The licences of the tag in a file's head. The tag is put together here, so that this file has none.
fn identifier(bytes: &[u8]) -> Option<Vec<String>> {
    let head = String::from_utf8_lossy(&bytes[..bytes.len().min(HEAD)]).into_owned();
    let tag = concat!("SPDX-License-", "Identifier:");
    let line = head.lines().find(|line| {
        // A comment's sign may stand before it, prose may not.
        line.find(tag).is_some_and(|at| line[..at].chars().all(|c| !c.is_alphanumeric() && c != '`'))
    })?;
    let text = line.split_once(tag)?.1.trim().trim_end_matches("-->").trim_end_matches("*/");
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
