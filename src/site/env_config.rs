//! `/etc/hook/env_config`: what the programs in the image read of the site.
//!
//! `KEY=VALUE` lines with two readers: one that splits at the first `=`, and `sh` that sources the
//! file. Values have only characters that both take as they are (see [`super::value`]), so there are
//! no quotes, except around EXTRA_HOSTS, whose entries have blanks.

use super::field::Kind;
use super::resolve::ResolvedSite;

/// The file's text: the keys that have a value, in the order of the table of fields.
pub fn render(site: &ResolvedSite) -> String {
    let mut text = String::new();
    for (field, resolved) in site.iter() {
        let (Some(key), Some(value)) = (field.image_key, &resolved.value) else { continue };
        let value = value.text();
        match field.kind {
            Kind::Hosts => text.push_str(&format!("{key}=\"{value}\"\n")),
            _ => text.push_str(&format!("{key}={value}\n")),
        }
    }
    text
}
