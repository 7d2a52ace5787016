//! The `config` file that HookOS sites already have: `KEY="value"` lines in shell syntax, and
//! `nameserver=("..." "...")`. It is read, never sourced: what a shell would expand or run is an error.

use super::docs::comment;
use super::field::{Field, Kind};
use super::fields::FIELDS;
use super::profile::{Extra, Profile, no_credentials};
use super::reader::line_column;
use super::resolve::{ResolvedSite, together};
use super::value::Value;
use crate::problem::{Problem, Result};
use crate::secret;
use std::fmt::Write as _;
use std::path::Path;

/// One assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub key: String,
    pub value: Extra,
    pub line: usize,
}

/// Reads the assignments of a file. All problems are told together.
pub fn parse(file: &Path, bytes: &[u8]) -> Result<Vec<Entry>> {
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(e) => {
            let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
            let (line, column) = line_column(&valid, valid.len());
            return Err(Problem::usage("the file is not UTF-8 text").at(file, line, Some(column)));
        }
    };
    let text = text.strip_prefix('\u{feff}').unwrap_or(text).replace("\r\n", "\n");
    let mut entries = Vec::new();
    let mut problems = Vec::new();
    let mut line = 1;
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (statement, after) = statement(rest);
        match assignment(statement) {
            Ok(None) => {}
            Ok(Some((key, value))) => entries.push(Entry { key, value, line }),
            Err((why, remedy)) => problems.push(Problem::usage(why).at(file, line, None).remedy(remedy)),
        }
        line += rest[..rest.len() - after.len()].matches('\n').count();
        rest = after;
    }
    match together(problems) {
        None => Ok(entries),
        Some(problem) => Err(problem),
    }
}

/// Cuts the first statement off: it ends at a line's end outside quotes and brackets.
fn statement(text: &str) -> (&str, &str) {
    let (mut quote, mut depth, mut escaped, mut comment) = (None, 0usize, false, false);
    let mut before = '\n';
    for (i, c) in text.char_indices() {
        let continued = escaped;
        if escaped {
            escaped = false;
        } else if comment {
            comment = c != '\n';
        } else {
            match (c, quote) {
                ('\\', None | Some('"')) => escaped = true,
                (q, Some(open)) if q == open => quote = None,
                (_, Some(_)) => {}
                ('"' | '\'', None) => quote = Some(c),
                ('(', None) => depth += 1,
                (')', None) => depth = depth.saturating_sub(1),
                ('#', None) if before.is_whitespace() => comment = true,
                _ => {}
            }
        }
        if c == '\n' && quote.is_none() && depth == 0 && !continued {
            return text.split_at(i + 1);
        }
        before = c;
    }
    (text, "")
}

type Bad = (String, String);

fn assignment(statement: &str) -> Result<Option<(String, Extra)>, Bad> {
    let trimmed = statement.trim();
    if trimmed.is_empty() || trimmed.starts_with('#') {
        return Ok(None);
    }
    let accepted = || "each line is KEY=\"value\", KEY=(\"a\" \"b\") or a comment".to_owned();
    let trimmed = trimmed.strip_prefix("export ").map_or(trimmed, str::trim_start);
    let Some((key, rest)) = trimmed.split_once('=') else {
        return Err(("this line is not an assignment".to_owned(), accepted()));
    };
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if key.is_empty() || key.starts_with(|c: char| c.is_ascii_digit()) || !key.chars().all(good) {
        return Err(("this line does not begin with a key and `=`".to_owned(), accepted()));
    }
    if let Some(what) = live(rest) {
        return Err((
            format!("{key}: the file is not run by a shell, so {what} has no effect"),
            "write the value itself; put '...' around it if it has such characters".to_owned(),
        ));
    }
    let unclosed = || (format!("{key}: a quote or bracket is not closed"), accepted());
    if let Some(inner) = rest.strip_prefix('(') {
        // A comment may follow the bracket; a bracket in quotes is not the end.
        let end = closing(inner).ok_or_else(unclosed)?;
        let after = inner[end + 1..].trim();
        if !after.is_empty() && !after.starts_with('#') {
            return Err((format!("{key}: text follows the bracket"), accepted()));
        }
        let words = shlex::split(&inner[..end]).ok_or_else(unclosed)?;
        return Ok(Some((key.to_owned(), Extra::Array(words))));
    }
    // With its key, since a `#` that begins a word would be a comment.
    let mut words = shlex::split(trimmed).ok_or_else(unclosed)?.into_iter();
    let word = words.next().unwrap_or_default();
    if words.next().is_some() {
        return Err((
            format!("{key}: text follows the value; put quotes around values with blanks"),
            accepted(),
        ));
    }
    let value = word.split_once('=').map(|(_, value)| value.to_owned()).unwrap_or_default();
    Ok(Some((key.to_owned(), Extra::Word(value))))
}

/// The offset of the bracket that closes an array.
fn closing(text: &str) -> Option<usize> {
    scan(text, |c, _| c == ')').map(|(i, _)| i)
}

/// What a shell would expand or run in a value, if anything.
fn live(text: &str) -> Option<&'static str> {
    let found = scan(text, |c, quoted| match c {
        '$' | '`' => true,
        ';' | '&' | '|' | '<' | '>' => !quoted,
        _ => false,
    });
    found.map(|(_, c)| match c {
        '$' => "`$`",
        '`' => "a backquote",
        _ => "a shell operator",
    })
}

/// The first character outside single quotes and comments, not escaped, that `wanted` takes; it is
/// told whether double quotes are open. A bracket counts outside quotes only.
fn scan(text: &str, wanted: impl Fn(char, bool) -> bool) -> Option<(usize, char)> {
    let (mut quote, mut escaped, mut before, mut comment) = (None, false, '=', false);
    for (i, c) in text.char_indices() {
        if comment {
            comment = c != '\n';
        } else if escaped {
            escaped = false;
        } else {
            match (c, quote) {
                ('\\', None | Some('"')) => escaped = true,
                (q, Some(open)) if q == open => quote = None,
                (_, Some('\'')) => {}
                ('"' | '\'', None) => quote = Some(c),
                ('#', None) if before.is_whitespace() => comment = true,
                (c, q) if wanted(c, q.is_some()) && (c != ')' || q.is_none()) => return Some((i, c)),
                _ => {}
            }
        }
        before = c;
    }
    None
}

/// Puts a `config` file's settings into a profile. Empty values change nothing; a key that no field has
/// is kept in the profile's table of such keys. Returns what is worth a warning.
pub fn import(profile: &mut Profile, file: &Path, bytes: &[u8]) -> Result<Vec<Problem>> {
    let mut warnings = Vec::new();
    let mut problems = Vec::new();
    let entries = parse(file, bytes)?;
    for (index, Entry { key, value, line }) in entries.iter().enumerate() {
        // As in a shell, the last one counts.
        if let Some(later) = entries[index + 1..].iter().find(|e| e.key == *key) {
            warnings.push(
                Problem::usage(format!("{key} is given again in line {}, which counts", later.line))
                    .at(file, *line, None),
            );
            continue;
        }
        let Some(field) = Field::in_config(key) else {
            warnings.push(
                Problem::usage(format!("{key} is not a known key; the profile keeps it"))
                    .at(file, *line, None),
            );
            if let Err(problem) = keep(profile, key, value) {
                problems.push(problem.at(file, *line, None));
            }
            continue;
        };
        let parsed = match value {
            Extra::Word(text) => Value::parse(field.kind, text),
            Extra::Array(items) if field.kind.is_list() => {
                Value::list(field.kind, items.iter().flat_map(|item| item.split(',')))
            }
            Extra::Array(_) => Err(super::value::Invalid("the value is an array".to_owned())),
        };
        let result = match parsed {
            Ok(None) => Ok(()),
            Ok(value) => profile.set(field, value),
            Err(why) => Err(Problem::usage(format!("{key}: {why}")).remedy(format!(
                "{}, for example {}",
                field.kind.accepts(),
                field.example
            ))),
        };
        if let Err(problem) = result {
            problems.push(problem.at(file, *line, None));
        }
    }
    match together(problems) {
        None => Ok(warnings),
        Some(problem) => Err(problem),
    }
}

fn keep(profile: &mut Profile, key: &str, value: &Extra) -> Result<()> {
    let words: &[String] = match value {
        Extra::Word(text) => std::slice::from_ref(text),
        Extra::Array(items) => items,
    };
    let secret = words.iter().any(|word| word.contains("://") && secret::has_credentials(word));
    let telling = ["password", "passwd", "secret", "token"];
    if secret || telling.iter().any(|t| key.to_ascii_lowercase().contains(t)) {
        return Err(Problem::usage(format!("{key} looks like a secret, which a profile never holds"))
            .remedy("take the line out of the file"));
    }
    profile.set_extra(key, value.clone());
    Ok(())
}

/// The `config` file of a site. Credentials are refused, since the file is meant to be passed on.
pub fn export(site: &ResolvedSite, extra: &[(String, Extra)]) -> Result<String> {
    let problems: Vec<_> = site
        .iter()
        .filter(|(f, r)| {
            f.config_key.is_some() && r.value.as_ref().is_some_and(|v| f.kind.is_secret(&v.text()))
        })
        .map(|(f, _)| no_credentials(f))
        .collect();
    if let Some(problem) = together(problems) {
        return Err(problem);
    }
    Ok(render(|field| site.get(field.id).cloned(), extra, None))
}

/// The committed `config.template`: every key without a value.
pub fn template() -> String {
    let about = "\
# Settings of a HookOS site, in the form that `hookos configure --import FILE` takes.
# Copy this file to `config`, fill it in, then:
#
#     hookos configure --profile NAME --import config
#
# The file is read, never run: no $variables, no commands. An empty value is no value.
# This file is generated: hookos configure --template > config.template
";
    render(|_| None, &[], Some(about))
}

fn render(value: impl Fn(&Field) -> Option<Value>, extra: &[(String, Extra)], about: Option<&str>) -> String {
    let mut text = about.unwrap_or_default().to_owned();
    for field in FIELDS {
        let Some(key) = field.config_key else { continue };
        if !text.is_empty() {
            text.push('\n');
        }
        text.push_str(&comment(&format!("{}.", field.help)));
        if !field.more.is_empty() {
            text.push_str(&comment(field.more));
        }
        let _ = writeln!(text, "# Example: {}", field.example);
        let value = value(field);
        match field.kind {
            // Sites have this key as an array; the others are one word, lists too.
            Kind::Ips(most) => {
                let items = value.as_ref().map_or(&[][..], Value::items);
                let words: Vec<_> =
                    (0..most).map(|i| quoted(items.get(i).map_or("", String::as_str))).collect();
                let _ = writeln!(text, "{key}=({})", words.join(" "));
            }
            _ => {
                let _ = writeln!(text, "{key}={}", quoted(&value.map(|v| v.text()).unwrap_or_default()));
            }
        }
    }
    if !extra.is_empty() {
        text.push_str("\n# Keys that hookos does not know; kept as they were.\n");
    }
    for (key, value) in extra {
        let _ = match value {
            Extra::Word(word) => writeln!(text, "{key}={}", quoted(word)),
            Extra::Array(words) => {
                let words: Vec<_> = words.iter().map(|w| quoted(w)).collect();
                writeln!(text, "{key}=({})", words.join(" "))
            }
        };
    }
    text
}

/// A word in double quotes; what a shell would expand is escaped.
fn quoted(word: &str) -> String {
    let mut out = String::from("\"");
    for c in word.chars() {
        if matches!(c, '"' | '\\' | '$' | '`') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

#[cfg(test)]
#[path = "config_file_tests.rs"]
mod tests;
