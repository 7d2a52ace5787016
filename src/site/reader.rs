//! What a profile's file says: values with their lines, and what is wrong with it.

use super::field::{Field, Kind, Section};
use super::fields::{FIELDS, Id};
use super::migrate;
use super::profile::{CONFIG_TABLE, Extra, Read, VERSION, no_credentials};
use super::value::{Invalid, Value};
use crate::near::nearest;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::path::Path;
use toml_edit::{Item, Table};

/// What a profile's file says.
#[derive(Default)]
pub(super) struct Reading {
    /// 0: the keys of a `config` file at the top of the document.
    pub version: i64,
    /// With the line that says it.
    pub values: BTreeMap<Id, (Read, usize)>,
    pub extra: Vec<(String, Extra)>,
    pub warnings: Vec<Problem>,
    pub problems: Vec<Problem>,
}

/// Reads the document `root` of `text`; `path` is for messages.
pub(super) fn read(path: &Path, text: &str, root: &Table) -> Result<Reading> {
    let mut reader = Reader { path, text, found: Reading::default() };
    let version = reader.version(root)?;
    if version == 0 {
        reader.flat(root);
    }
    reader.sections(root, version);
    Ok(Reading { version, ..reader.found })
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    found: Reading,
}

impl Reader<'_> {
    fn place(&self, problem: Problem, item: &Item) -> Problem {
        let (line, column) = self.start(item);
        problem.at(self.path, line, Some(column))
    }

    fn start(&self, item: &Item) -> (usize, usize) {
        line_column(self.text, item.span().map_or(0, |span| span.start))
    }

    fn version(&mut self, root: &Table) -> Result<i64> {
        let Some(item) = root.get("schema_version") else { return Ok(0) };
        match item.as_integer() {
            Some(version @ 0..=VERSION) => Ok(version),
            Some(version) => Err(self.place(
                Problem::usage(format!(
                    "the profile has format {version}; this program knows up to {VERSION}"
                ))
                .remedy("use a newer hookos"),
                item,
            )),
            None => Err(self.place(
                Problem::usage(format!("schema_version is of type {}", item.type_name()))
                    .remedy(format!("schema_version = {VERSION}")),
                item,
            )),
        }
    }

    /// Format 0: the keys of a `config` file at the top of the document.
    fn flat(&mut self, root: &Table) {
        for (key, item) in root.iter().filter(|(_, item)| item.is_value()) {
            if let Some(field) = migrate::field_of_flat_key(key) {
                self.read(field, item);
            }
        }
    }

    fn sections(&mut self, root: &Table, version: i64) {
        for (key, item) in root.iter() {
            if key == "schema_version" || (version == 0 && migrate::field_of_flat_key(key).is_some()) {
                continue;
            }
            if key == CONFIG_TABLE {
                self.config_table(item);
                continue;
            }
            let Some(section) = Section::ALL.iter().find(|s| s.name() == key) else {
                let names = Section::ALL.iter().map(|s| s.name()).chain([CONFIG_TABLE]);
                self.unknown(key, key, names, item);
                continue;
            };
            let Some(table) = item.as_table_like() else {
                let problem = Problem::usage(format!("{key} is of type {}, not a table", item.type_name()))
                    .remedy(format!("write [{key}] on a line of its own, and its keys below"));
                self.found.problems.push(self.place(problem, item));
                continue;
            };
            for (key, item) in table.iter() {
                match Field::in_profile(*section, key) {
                    Some(field) => self.read(field, item),
                    None => {
                        let names = FIELDS.iter().filter(|f| f.section == *section).map(|f| f.key);
                        self.unknown(&format!("{}.{key}", section.name()), key, names, item);
                    }
                }
            }
        }
    }

    fn unknown<'n>(&mut self, shown: &str, key: &str, known: impl Iterator<Item = &'n str>, item: &Item) {
        let problem = Problem::usage(format!("{shown} is not a known key; it is kept and not used"));
        let problem = match nearest(key, known) {
            Some(name) => problem.remedy(format!("did you mean {name}?")),
            None => problem,
        };
        self.found.warnings.push(self.place(problem, item));
    }

    fn read(&mut self, field: &'static Field, item: &Item) {
        let line = self.start(item).0;
        let read = match value_of(field, item) {
            Ok(value) => {
                let secret = value.as_ref().is_some_and(|v| field.kind.is_secret(&v.text()));
                if secret { Read::Bad(self.place(no_credentials(field), item)) } else { Read::Value(value) }
            }
            Err(why) => {
                let problem = Problem::usage(format!("{}: {why}", field.path())).remedy(format!(
                    "{}, for example {}",
                    field.kind.accepts(),
                    field.example
                ));
                Read::Bad(self.place(problem, item))
            }
        };
        self.found.values.insert(field.id, (read, line));
    }

    fn config_table(&mut self, item: &Item) {
        for (key, item) in item.as_table_like().map(|t| t.iter()).into_iter().flatten() {
            let words = item
                .as_array()
                .map(|a| a.iter().map(|v| v.as_str().map(str::to_owned)).collect::<Option<Vec<_>>>());
            let extra = match (item.as_str(), words) {
                (Some(text), _) => Extra::Word(text.to_owned()),
                (None, Some(Some(words))) => Extra::Array(words),
                _ => {
                    let problem = Problem::usage(format!(
                        "{CONFIG_TABLE}.{key} is neither a string nor an array of strings"
                    ));
                    self.found.problems.push(self.place(problem, item));
                    continue;
                }
            };
            self.found.extra.push((key.to_owned(), extra));
        }
    }
}

/// A TOML item as a field's value.
fn value_of(field: &Field, item: &Item) -> Result<Option<Value>, Invalid> {
    let wrong =
        |wanted: &str| Err(Invalid(format!("the value is of type {}, not {wanted}", item.type_name())));
    match field.kind {
        Kind::Bool => match item.as_bool() {
            Some(yes) => Ok(Some(Value::Bool(yes))),
            None => wrong("true or false"),
        },
        kind @ Kind::Integer(..) => match item.as_integer() {
            Some(number) => Value::integer(kind, number).map(Some),
            None => wrong("a whole number"),
        },
        kind if kind.is_list() => {
            if let Some(text) = item.as_str() {
                return Value::parse(kind, text);
            }
            let words: Option<Vec<&str>> =
                item.as_array().and_then(|a| a.iter().map(|v| v.as_str()).collect());
            match words {
                Some(words) => match words.iter().find(|word| word.contains(',')) {
                    Some(word) => Err(Invalid(format!("the item {word:?} has a comma"))),
                    None => Value::list(kind, words),
                },
                None => wrong("an array of strings"),
            }
        }
        kind => match item.as_str() {
            Some(text) => Value::parse(kind, text),
            None => wrong("a string"),
        },
    }
}

/// Line and column, both from 1, of a byte offset; the column counts characters.
pub(super) fn line_column(text: &str, offset: usize) -> (usize, usize) {
    let mut offset = offset.min(text.len());
    while !text.is_char_boundary(offset) {
        offset -= 1;
    }
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}
