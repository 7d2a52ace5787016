//! Unsaved input as it is kept between sessions. It never holds a secret.

use super::form::{Edit, Form};
use super::step::Step;
use crate::site::{FIELDS, Field};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a person has changed of a profile and not saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub profile: String,
    /// The profile is in no file yet.
    pub new: bool,
    pub step: Step,
    /// By `section.key`; none means the default.
    pub fields: BTreeMap<String, Option<String>>,
}

impl Draft {
    /// The edits of a form, without those that are secret.
    pub fn of(form: &Form, step: Step) -> Self {
        let mut fields = BTreeMap::new();
        for (id, edit) in form.edits() {
            let field = id.field();
            match edit {
                Edit::Text(text) if field.kind.is_secret(text) => {}
                Edit::Text(text) => {
                    fields.insert(field.path(), Some(text.clone()));
                }
                Edit::Default => {
                    fields.insert(field.path(), None);
                }
            }
        }
        Self { profile: form.name.clone(), new: form.profile().path().is_none(), step, fields }
    }

    /// Its edits; fields that are gone since are left out.
    pub fn edits(&self) -> BTreeMap<crate::site::Id, Edit> {
        let of = |field: &Field| {
            let edit = match self.fields.get(&field.path())? {
                Some(text) => Edit::Text(text.clone()),
                None => Edit::Default,
            };
            Some((field.id, edit))
        };
        FIELDS.iter().filter_map(of).collect()
    }
}
