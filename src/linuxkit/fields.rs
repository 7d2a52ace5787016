//! Strict access to a YAML map: unknown keys and wrong types are problems with their place.

use super::definition::Origin;
use super::options::Id;
use super::yaml::{Key, Mark, Node, Value};
use crate::near::nearest;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;
use std::path::Path;

/// The entries of one map, all of them known keys.
pub struct Fields<'a> {
    file: &'a Path,
    what: String,
    mark: Mark,
    map: &'a [(Key, Node)],
}

impl<'a> Fields<'a> {
    pub fn new(file: &'a Path, node: &'a Node, what: &str, accepted: &[&'static str]) -> Result<Self> {
        let Value::Map(map) = &node.value else {
            return Err(Problem::usage(format!("{what} must be a map, and is {}", node.value.kind())).at(
                file,
                node.mark.line,
                Some(node.mark.column),
            ));
        };
        for (key, _) in map {
            if accepted.contains(&key.text.as_str()) {
                continue;
            }
            let problem = Problem::usage(format!("unknown key `{}` in {what}", key.text)).at(
                file,
                key.mark.line,
                Some(key.mark.column),
            );
            return Err(match nearest(&key.text, accepted.iter().copied()) {
                Some(near) => problem.remedy(format!("did you mean `{near}`?")),
                None => problem.remedy(format!("accepted: {}", accepted.join(", "))),
            });
        }
        Ok(Self { file, what: what.to_owned(), mark: node.mark, map })
    }

    pub fn get(&self, key: &str) -> Option<&'a Node> {
        self.map.iter().find(|(k, _)| k.text == key).map(|(_, node)| node)
    }

    fn path(&self, key: &str) -> String {
        if self.what.starts_with("the ") { key.to_owned() } else { format!("{}.{key}", self.what) }
    }

    fn wrong<T>(&self, key: &str, node: &Node, wanted: &str) -> Result<T> {
        let what = format!("`{}` must be {wanted}, and is {}", self.path(key), node.value.kind());
        let problem = Problem::usage(what).at(self.file, node.mark.line, Some(node.mark.column));
        Err(match (&node.value, wanted) {
            (Value::Null, _) => problem.remedy("leave the key out, or give it a value"),
            (Value::Int(_) | Value::Bool(_) | Value::Float(_), "a text") => {
                problem.remedy("put it in quotes")
            }
            (Value::Text(_), "a list") => problem.remedy("write a list: [\"...\"]"),
            (Value::Text(_), "true or false") => {
                problem.remedy("only true and false, without quotes, are booleans")
            }
            _ => problem,
        })
    }

    pub fn origin(&self) -> Origin {
        let mut origin = Origin::at(self.file, self.mark);
        for (key, node) in self.map {
            origin.marks.insert(key.text.clone(), key.mark);
            if let Value::List(list) = &node.value {
                for (i, node) in list.iter().enumerate() {
                    origin.marks.insert(format!("{}[{i}]", key.text), node.mark);
                }
            }
        }
        origin
    }

    pub fn text(&self, key: &str) -> Result<Option<String>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { value: Value::Text(text), .. }) => Ok(Some(text.clone())),
            Some(node) => self.wrong(key, node, "a text"),
        }
    }

    pub fn needed(&self, key: &str) -> Result<String> {
        match self.text(key)? {
            Some(text) => Ok(text),
            None => Err(Problem::usage(format!("`{}` is missing", self.path(key))).at(
                self.file,
                self.mark.line,
                Some(self.mark.column),
            )),
        }
    }

    /// A mode: a quoted octal number up to 7777, or empty.
    pub fn octal_text(&self, key: &str) -> Result<String> {
        let text = match self.get(key) {
            Some(node @ Node { value: Value::Int(_), .. }) => {
                return self.wrong(key, node, "a quoted octal number such as \"0644\"");
            }
            _ => self.text(key)?.unwrap_or_default(),
        };
        if !text.is_empty() && octal(&text).is_none() {
            let problem = format!("`{}` {text:?} is not an octal number from 0 to 7777", self.path(key));
            return Err(self.origin().problem(key, problem).remedy("such as \"0644\""));
        }
        Ok(text)
    }

    pub fn bool(&self, key: &str) -> Result<Option<bool>> {
        match self.get(key) {
            None => Ok(None),
            Some(Node { value: Value::Bool(value), .. }) => Ok(Some(*value)),
            Some(node) => self.wrong(key, node, "true or false"),
        }
    }

    pub fn integer<T: TryFrom<i128>>(&self, key: &str) -> Result<Option<T>> {
        match self.get(key) {
            None => Ok(None),
            Some(node) => match node.value {
                Value::Int(value) => match T::try_from(value) {
                    Ok(value) => Ok(Some(value)),
                    Err(_) => self.wrong(key, node, "a number in range"),
                },
                _ => self.wrong(key, node, "an integer"),
            },
        }
    }

    pub fn id(&self, key: &str) -> Result<Option<Id>> {
        self.get(key).map(|node| self.id_of(key, node)).transpose()
    }

    pub fn id_of(&self, key: &str, node: &Node) -> Result<Id> {
        match &node.value {
            Value::Text(name) => Ok(Id::Name(name.clone())),
            Value::Int(number) => match u32::try_from(*number) {
                Ok(number) => Ok(Id::Number(number)),
                Err(_) => self.wrong(key, node, "a number from 0 to 4294967295"),
            },
            _ => self.wrong(key, node, "a number, or a container's name"),
        }
    }

    pub fn elements<'b>(
        &self,
        key: &'b str,
        node: &'a Node,
    ) -> Result<impl Iterator<Item = (String, &'a Node)> + use<'a, 'b>> {
        match &node.value {
            Value::List(list) => {
                Ok(list.iter().enumerate().map(move |(i, node)| (format!("{key}[{i}]"), node)))
            }
            _ => self.wrong(key, node, "a list"),
        }
    }

    pub fn element_marks(&self, key: &str) -> Vec<Mark> {
        match self.get(key).map(|node| &node.value) {
            Some(Value::List(list)) => list.iter().map(|node| node.mark).collect(),
            _ => Vec::new(),
        }
    }

    pub fn texts(&self, key: &str) -> Result<Option<Vec<String>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        self.elements(key, node)?
            .map(|(key, node)| match &node.value {
                Value::Text(text) => Ok(text.clone()),
                _ => self.wrong(&key, node, "a text"),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    pub fn text_map(&self, key: &str) -> Result<Option<BTreeMap<String, String>>> {
        let Some(node) = self.get(key) else { return Ok(None) };
        let Value::Map(map) = &node.value else { return self.wrong(key, node, "a map") };
        map.iter()
            .map(|(k, node)| match &node.value {
                Value::Text(text) => Ok((k.text.clone(), text.clone())),
                _ => self.wrong(&format!("{key}.{}", k.text), node, "a text"),
            })
            .collect::<Result<_>>()
            .map(Some)
    }

    pub fn map(&self, key: &str, accepted: &[&'static str]) -> Result<Option<Fields<'a>>> {
        self.get(key)
            .map(|node| match node.value {
                Value::Map(_) => Fields::new(self.file, node, &self.path(key), accepted),
                _ => self.wrong(key, node, "a map"),
            })
            .transpose()
    }

    pub fn maps(&self, key: &str, accepted: &[&'static str]) -> Result<Vec<Fields<'a>>> {
        let Some(node) = self.get(key) else { return Ok(Vec::new()) };
        self.elements(key, node)?
            .map(|(key, node)| Fields::new(self.file, node, &self.path(&key), accepted))
            .collect()
    }

    pub fn list<T>(
        &self,
        key: &str,
        accepted: &[&'static str],
        read: impl Fn(&Fields<'_>) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        if self.get(key).is_none() {
            return Ok(None);
        }
        self.maps(key, accepted)?.iter().map(read).collect::<Result<_>>().map(Some)
    }
}

/// An octal mode; none unless the text is 1 to 7 octal digits and the mode at most 7777.
pub fn octal(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.len() <= 7 && text.bytes().all(|b| matches!(b, b'0'..=b'7'));
    let mode = u32::from_str_radix(text, 8).ok()?;
    (digits && mode <= 0o7777).then_some(mode)
}
