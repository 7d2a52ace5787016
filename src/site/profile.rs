//! A profile: one site's saved settings, a TOML file.
//!
//! Reading keeps every comment and unknown key; writing changes only what was set, in the order of
//! the table of fields. A profile never holds credentials.

use super::field::{Field, Kind, Section};
use super::fields::FIELDS;
use super::fields::Id;
use super::migrate;
use super::reader::{self, Reading, line_column};
use super::resolve::{Origin, Resolved};
use super::save;
use super::value::Value;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml_edit::{Array, Document, DocumentMut, Item, Table};

/// The version of the format that this program writes.
pub const VERSION: i64 = 1;

/// The table that keeps keys of an imported `config` file that no field has.
pub const CONFIG_TABLE: &str = "config_file";

/// A `config` file's value that no field has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Extra {
    Word(String),
    Array(Vec<String>),
}

/// What a file says of one field.
#[derive(Debug, Clone)]
pub(super) enum Read {
    Value(Option<Value>),
    Bad(Problem),
}

/// A profile in memory.
#[derive(Debug, Clone)]
pub struct Profile {
    path: Option<PathBuf>,
    document: DocumentMut,
    /// What the file says, with the line it says it in (0: set in memory).
    values: BTreeMap<Id, (Read, usize)>,
    extra: Vec<(String, Extra)>,
    warnings: Vec<Problem>,
    problems: Vec<Problem>,
    /// The version and text of an older file, until it is saved.
    older: Option<(i64, String)>,
}

impl Profile {
    /// An empty profile.
    pub fn new(name: &str) -> Self {
        let text = format!(
            "# Settings of the site {name}, for hookos. All fields are in docs/fields.md.\nschema_version = {VERSION}\n"
        );
        Self {
            path: None,
            document: text.parse().unwrap_or_default(),
            values: BTreeMap::new(),
            extra: Vec::new(),
            warnings: Vec::new(),
            problems: Vec::new(),
            older: None,
        }
    }

    /// Reads a profile's file.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path)
            .map_err(|e| Problem::usage("the profile cannot be read").in_file(path).because(e))?;
        Self::from_bytes(path, &bytes)
    }

    /// Reads a profile's bytes; `path` is for messages and for relative paths.
    pub fn from_bytes(path: &Path, bytes: &[u8]) -> Result<Self> {
        let text = match std::str::from_utf8(bytes) {
            Ok(text) => text,
            Err(e) => {
                let valid = String::from_utf8_lossy(&bytes[..e.valid_up_to()]).into_owned();
                let (line, column) = line_column(&valid, valid.len());
                return Err(Problem::usage("the profile is not UTF-8 text").at(path, line, Some(column)));
            }
        };
        // Only message and place: the library's own rendering would print the line, which may hold
        // a password.
        let document = Document::parse(text.to_owned()).map_err(|e| {
            let (line, column) = line_column(text, e.span().map_or(0, |s| s.start));
            Problem::usage("the profile is not valid TOML")
                .at(path, line, Some(column))
                .because(Message(e.message()))
        })?;
        let root = document.as_table();
        let Reading { version, values, extra, warnings, problems } = reader::read(path, text, root)?;
        let mut profile = Self {
            path: Some(path.to_owned()),
            document: document.into_mut(),
            values,
            extra,
            warnings,
            problems,
            older: None,
        };
        if version < VERSION {
            profile.older = Some((version, text.to_owned()));
            migrate::to_current(&mut profile.document, version);
            profile.arrange();
            profile.warnings.push(
                Problem::usage(format!("the profile has the old format {version}; it is read as format {VERSION}"))
                    .in_file(path)
                    .remedy("hookos configure --profile NAME saves it in the new format and keeps a copy of the old file"),
            );
        }
        Ok(profile)
    }

    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Things that a person should know and that stop nothing: unknown keys, an old format.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }

    /// What is wrong with the file apart from single values.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// What the profile says of a field: nothing, a value (or that it shall have none), or a problem.
    pub fn value(&self, field: &Field) -> Result<Option<Resolved>> {
        match self.values.get(&field.id) {
            None => Ok(None),
            Some((Read::Bad(problem), _)) => Err(problem.clone()),
            Some((Read::Value(value), line)) => {
                let file = self.path.clone().unwrap_or_default();
                Ok(Some(Resolved { value: value.clone(), origin: Origin::Profile { file, line: *line } }))
            }
        }
    }

    /// Sets a field; `None` makes the profile say that the field has no value. Credentials are refused.
    pub fn set(&mut self, field: &'static Field, value: Option<Value>) -> Result<()> {
        if let Some(value) = &value
            && field.kind.is_secret(&value.text())
        {
            return Err(no_credentials(field));
        }
        let new = match (&value, field.kind) {
            (Some(value), _) => item_of(value),
            (None, kind) if kind.is_list() => Array::new().into(),
            (None, Kind::Bool | Kind::Integer(..)) => {
                self.unset(field);
                return Ok(());
            }
            (None, _) => "".into(),
        };
        put(&mut self.document, field.section.name(), field.key, new);
        self.arrange();
        self.values.insert(field.id, (Read::Value(value), 0));
        Ok(())
    }

    /// Removes what the profile says of a field.
    pub fn unset(&mut self, field: &Field) {
        if let Some(table) = self.document.get_mut(field.section.name()).and_then(Item::as_table_like_mut) {
            table.remove(field.key);
        }
        self.values.remove(&field.id);
    }

    /// Keys of an imported `config` file that no field has.
    pub fn extra(&self) -> &[(String, Extra)] {
        &self.extra
    }

    /// Keeps a key of a `config` file that no field has.
    pub fn set_extra(&mut self, key: &str, value: Extra) {
        let item: toml_edit::Value = match &value {
            Extra::Word(text) => text.as_str().into(),
            Extra::Array(items) => items.iter().map(String::as_str).collect::<Array>().into(),
        };
        put(&mut self.document, CONFIG_TABLE, key, item);
        self.arrange();
        self.extra.retain(|(k, _)| k != key);
        self.extra.push((key.to_owned(), value));
    }

    /// The file's text.
    pub fn text(&self) -> String {
        self.document.to_string()
    }

    /// Saves the profile: a temporary file beside it, synced, renamed over it; the mode is kept, and a
    /// new file is its owner's alone.
    /// Returns the copy of the old file if the format was an older one.
    pub fn save(&mut self, path: &Path) -> Result<Option<PathBuf>> {
        let backup = match self.older.take() {
            Some((version, text)) => Some(super::files::keep_copy(path, version, &text)?),
            None => None,
        };
        super::files::write_private(path, self.text().as_bytes())?;
        self.path = Some(path.to_owned());
        Ok(backup)
    }

    /// Saves the profile to another file than it was read from; no copy of an older format is kept there.
    /// What it names relative to its file, it names from the new one.
    pub fn save_as_new(&mut self, path: &Path) -> Result<()> {
        self.older = None;
        self.name_files(|file| save::for_profile(path, file))?;
        self.save(path).map(|_| ())
    }

    /// The same settings in no file: it names files in full.
    pub fn unbound(mut self) -> Result<Self> {
        let text = |file: &Path| {
            let whole = std::path::absolute(file)
                .map_err(|e| Problem::new("the path cannot be made absolute").in_file(file).because(e))?;
            let text = whole.into_os_string().into_string();
            text.map_err(|_| Problem::usage("the path is not UTF-8").in_file(file))
        };
        self.name_files(text)?;
        self.path = None;
        self.older = None;
        self.values.values_mut().for_each(|(_, line)| *line = 0);
        Ok(self)
    }

    /// The profile of a text that is in no file.
    pub fn from_text(text: &str) -> Result<Self> {
        Self::from_bytes(Path::new(""), text.as_bytes())?.unbound()
    }

    /// Its text without values that it must not have, such as passwords in a file from elsewhere.
    pub fn text_without_secrets(&self) -> String {
        let mut clean = self.clone();
        let refused = |field: &&&Field| {
            matches!(field.kind, Kind::Url | Kind::Proxy | Kind::PasswordHash) && self.value(field).is_err()
        };
        FIELDS.iter().collect::<Vec<_>>().iter().filter(refused).for_each(|field| clean.unset(field));
        clean.text()
    }

    /// Says anew how the files are named that it names relative to its own.
    fn name_files(&mut self, name: impl Fn(&Path) -> Result<String>) -> Result<()> {
        let Some(folder) = self.path.as_deref().and_then(Path::parent).map(Path::to_owned) else {
            return Ok(());
        };
        for field in FIELDS.iter().filter(|f| f.kind == Kind::Path) {
            let Some((Read::Value(Some(Value::Text(text))), _)) = self.values.get(&field.id) else {
                continue;
            };
            if Path::new(text).is_relative() {
                let text = name(&folder.join(text))?;
                self.set(field, Some(Value::Text(text)))?;
            }
        }
        Ok(())
    }

    /// Puts sections and keys in the order of the table; what is unknown follows in its own order.
    fn arrange(&mut self) {
        let root = self.document.as_table_mut();
        root.sort_values_by(|a, _, b, _| (a.get() != "schema_version").cmp(&(b.get() != "schema_version")));
        let mut order: Vec<(isize, String)> = Vec::new();
        for (key, item) in root.iter() {
            if let Some(table) = item.as_table() {
                order.push((table.position().unwrap_or(isize::MAX), key.to_owned()));
            }
        }
        order.sort_by_key(|(position, _)| *position);
        let rank = |key: &str| Section::ALL.iter().position(|s| s.name() == key);
        // Known sections are sorted among themselves; an unknown one stays behind its neighbour.
        let mut last = 0;
        let mut ranked: Vec<(usize, String)> = Vec::new();
        for (position, key) in order {
            if position != isize::MAX || rank(&key).is_some() {
                last = rank(&key).unwrap_or(last);
                ranked.push((last, key));
            } else {
                ranked.push((usize::MAX, key));
            }
        }
        ranked.sort_by_key(|(rank, _)| *rank);
        let mut next = 1;
        for (_, key) in ranked {
            if let Some(table) = root.get_mut(&key).and_then(Item::as_table_mut) {
                number(table, &mut next);
            }
        }
        for section in Section::ALL {
            let order = |key: &str| Field::in_profile(*section, key).map_or(usize::MAX, |f| f.id as usize);
            if let Some(table) = root.get_mut(section.name()).and_then(Item::as_table_mut) {
                table.sort_values_by(|a, _, b, _| order(a.get()).cmp(&order(b.get())));
            }
        }
    }
}

/// Gives a table and the tables in it positions from `next` on, keeping their order.
fn number(table: &mut Table, next: &mut isize) {
    table.set_position(Some(*next));
    *next += 1;
    let mut inner: Vec<(isize, String)> = table
        .iter()
        .filter_map(|(key, item)| Some((item.as_table()?.position().unwrap_or(isize::MAX), key.to_owned())))
        .collect();
    inner.sort_by_key(|(position, _)| *position);
    for (_, key) in inner {
        if let Some(table) = table.get_mut(&key).and_then(Item::as_table_mut) {
            number(table, next);
        }
    }
    for (_, item) in table.iter_mut() {
        for table in item.as_array_of_tables_mut().into_iter().flat_map(|tables| tables.iter_mut()) {
            number(table, next);
        }
    }
}

/// Sets a key, keeping the comment after the old value.
pub(super) fn put(document: &mut DocumentMut, section: &str, key: &str, mut value: toml_edit::Value) {
    let root = document.as_table_mut();
    if !root.get(section).is_some_and(Item::is_table_like) {
        let mut table = Table::new();
        if !root.is_empty() {
            table.decor_mut().set_prefix("\n");
        }
        root.insert(section, Item::Table(table));
    }
    let Some(table) = root.get_mut(section).and_then(Item::as_table_like_mut) else { return };
    match table.get_mut(key).and_then(Item::as_value_mut) {
        Some(old) => {
            *value.decor_mut() = old.decor().clone();
            *old = value;
        }
        None => {
            table.insert(key, Item::Value(value));
        }
    }
}

pub(super) fn item_of(value: &Value) -> toml_edit::Value {
    match value {
        Value::Text(text) => text.as_str().into(),
        Value::Bool(yes) => (*yes).into(),
        Value::Integer(number) => (*number).into(),
        Value::List(items) => items.iter().map(String::as_str).collect::<Array>().into(),
    }
}

/// The problem of credentials where they would be saved.
pub(super) fn no_credentials(field: &Field) -> Problem {
    Problem::usage(format!(
        "{}: the value is a secret (a password or its hash), which a profile never holds",
        field.path()
    ))
    .remedy(format!("leave it out, and give the whole value in {} when you build", field.env))
}

/// A library's message without its rendering.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Message<'a>(&'a str);

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
