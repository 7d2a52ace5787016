//! The command that does what the wizard would do.

use super::form::Edit;
use super::model::Site;
use std::path::Path;

/// `hookos build` with this profile and every value that differs from it, quoted for a shell. Secrets
/// are not in it: their variables are named instead.
pub fn line(site: &Site, _root: &Path) -> String {
    let form = &site.form;
    let mut words = Vec::new();
    let mut flags = Vec::new();
    for (id, edit) in form.edits() {
        let field = id.field();
        let text = match edit {
            Edit::Text(text) => text.clone(),
            Edit::Default => form.default_text(*id).unwrap_or_default(),
        };
        if field.kind.is_secret(&text) {
            words.push(format!("{}=...", field.env));
        } else {
            flags.push(format!("--{}={}", field.flag, text));
        }
    }
    words.extend(["hookos".to_owned(), "build".to_owned(), quote(&form.name)]);
    words.extend(flags.iter().map(|flag| quote(flag)));
    words.join(" ")
}

fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}
