//! Older formats of profiles.
//!
//! Format 0 has no sections and no `schema_version`: the keys of a `config` file stand at the top of
//! the document. Format 1 has a section for each group of fields.

use super::field::Field;
use super::fields::FIELDS;
use super::profile::VERSION;
use toml_edit::{DocumentMut, Item, Table};

/// The field that a key at the top of a format 0 profile means.
pub fn field_of_flat_key(key: &str) -> Option<&'static Field> {
    Field::in_config(key).or_else(|| FIELDS.iter().find(|f| f.key == key && key != "source"))
}

/// Brings a document of format `version` to the current one. Comments move with their keys; a key
/// that its section has already stays where it is and is not used.
pub fn to_current(document: &mut DocumentMut, version: i64) {
    if version == 0 {
        let root = document.as_table_mut();
        let flat: Vec<String> = root
            .iter()
            .filter(|(key, item)| item.is_value() && field_of_flat_key(key).is_some())
            .map(|(key, _)| key.to_owned())
            .collect();
        for name in flat {
            let Some(field) = field_of_flat_key(&name) else { continue };
            let section = field.section.name();
            let taken = root
                .get(section)
                .is_some_and(|s| s.as_table_like().is_none_or(|t| t.contains_key(field.key)));
            if taken {
                continue;
            }
            let Some((key, item)) = root.remove_entry(&name) else { continue };
            if !root.contains_key(section) {
                let mut table = Table::new();
                table.decor_mut().set_prefix("\n");
                root.insert(section, Item::Table(table));
            }
            let new = toml_edit::Key::new(field.key).with_leaf_decor(key.leaf_decor().clone());
            match root.get_mut(section) {
                Some(Item::Table(table)) => {
                    table.insert_formatted(&new, item);
                }
                Some(other) => {
                    if let Some(table) = other.as_table_like_mut() {
                        table.insert(field.key, item);
                    }
                }
                None => {}
            }
        }
    }
    document.as_table_mut().insert("schema_version", toml_edit::value(VERSION));
}
