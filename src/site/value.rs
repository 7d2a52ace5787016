//! Values of fields: what they are read from, and how they are written and shown. Which texts are valid is in
//! [`super::rules`].

use super::field::Kind;
use super::rules::{check_item, check_text};

/// A valid value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
    /// Never empty: an empty list is no value.
    List(Vec<String>),
}

/// Why a text is not a value; shows no credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

impl Value {
    /// Parses the one-line form that flags, the environment and `config` files have. An empty text
    /// is no value.
    pub fn parse(kind: Kind, text: &str) -> Result<Option<Self>, Invalid> {
        let text = text.trim();
        if kind.is_list() {
            return Self::list(kind, text.split(','));
        }
        if text.is_empty() {
            return Ok(None);
        }
        let value = match kind {
            Kind::Bool => match text {
                "true" | "yes" | "1" => Self::Bool(true),
                "false" | "no" | "0" => Self::Bool(false),
                _ => return Err(Invalid(format!("{text:?} is neither true nor false"))),
            },
            Kind::Integer(..) => {
                let number = text.parse();
                return Self::integer(
                    kind,
                    number.map_err(|_| Invalid(format!("{text:?} is not a whole number")))?,
                )
                .map(Some);
            }
            _ => {
                check_text(kind, text)?;
                Self::Text(text.to_owned())
            }
        };
        Ok(Some(value))
    }

    /// A list value; blank entries are left out.
    pub fn list<'a>(kind: Kind, items: impl IntoIterator<Item = &'a str>) -> Result<Option<Self>, Invalid> {
        let mut list: Vec<String> = Vec::new();
        for item in items {
            let item = item.split_whitespace().collect::<Vec<_>>().join(" ");
            if item.is_empty() {
                continue;
            }
            check_item(kind, &item)?;
            list.push(item);
        }
        if let Kind::Ips(most) = kind
            && list.len() > most
        {
            return Err(Invalid(format!("{} addresses are given", list.len())));
        }
        if kind == Kind::Roles {
            let mut roles: Vec<_> =
                list.iter().filter_map(|item| item.split_once('=')).map(|(r, _)| r).collect();
            roles.sort_unstable();
            if let Some(pair) = roles.windows(2).find(|pair| pair[0] == pair[1]) {
                return Err(Invalid(format!("the role {:?} is given twice", pair[0])));
            }
        }
        Ok((!list.is_empty()).then_some(Self::List(list)))
    }

    /// A whole number within the kind's bounds.
    pub fn integer(kind: Kind, number: i64) -> Result<Self, Invalid> {
        match kind {
            Kind::Integer(least, most) if (least..=most).contains(&number) => Ok(Self::Integer(number)),
            _ => Err(Invalid(format!("{number} is out of range"))),
        }
    }

    /// The one-line form, with commas between items; parses to the same value.
    pub fn text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Bool(yes) => yes.to_string(),
            Self::Integer(number) => number.to_string(),
            Self::List(items) => items.join(","),
        }
    }

    /// The one-line form for people: credentials are masked.
    pub fn shown(&self, kind: Kind) -> String {
        kind.masked(&self.text())
    }

    /// For machine-readable output: credentials are masked.
    pub fn json(&self, kind: Kind) -> serde_json::Value {
        match self {
            Self::Text(_) => self.shown(kind).into(),
            Self::Bool(yes) => (*yes).into(),
            Self::Integer(number) => (*number).into(),
            Self::List(items) => items.clone().into(),
        }
    }

    pub fn items(&self) -> &[String] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }
}
