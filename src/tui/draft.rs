//! Unsaved input as it is kept between sessions. It never holds a secret.

use super::data::{Pending, Source};
use super::form::Edit;
use super::model::Site;
use super::step::Step;
use crate::problem::Result;
use crate::site::certificates::Bundle;
use crate::site::{FIELDS, Field};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What a person has changed of a profile and not saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    pub profile: String,
    /// The profile is in no file yet.
    pub new: bool,
    pub step: Step,
    /// By `section.key`; none means the default.
    pub fields: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub imported: Option<Imported>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificates: Option<Taken>,
}

/// A profile that was made from a file and is in none of its own yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    pub file: PathBuf,
    /// The profile's text.
    pub text: String,
}

/// Certificates that are not written yet, as PEM text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    pub ca: String,
    pub server: Option<String>,
    pub source: Source,
}

impl Draft {
    /// What is not saved of a site, without secrets.
    pub fn of(site: &Site) -> Self {
        let form = &site.form;
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
        let text = || form.profile().text_without_secrets();
        let new = form.profile().path().is_none();
        let imported = site.imported.as_ref().filter(|_| new);
        let pem = |bundle: &Bundle| String::from_utf8_lossy(&bundle.pem()).into_owned();
        let taken = |pending: &Pending| Taken {
            ca: pem(&pending.ca),
            server: pending.server.as_ref().map(pem),
            source: pending.source.clone(),
        };
        Self {
            profile: form.name.clone(),
            new,
            step: site.step,
            fields,
            imported: imported.map(|file| Imported { file: file.clone(), text: text() }),
            certificates: site.pending.as_ref().map(taken),
        }
    }

    /// Whether there is nothing in it to go on with.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty() && self.imported.is_none() && self.certificates.is_none()
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

    /// Its certificates.
    pub fn pending(&self) -> Result<Option<Pending>> {
        let Some(taken) = &self.certificates else { return Ok(None) };
        let place = taken.source.to_string();
        let read = |text: &String| Bundle::from_bytes(Path::new(&place), text.as_bytes());
        let server = taken.server.as_ref().map(read).transpose()?;
        Ok(Some(Pending { ca: read(&taken.ca)?, server, source: taken.source.clone() }))
    }
}
