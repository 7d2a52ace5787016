//! The commands that do what the wizard would do, quoted for a shell. Secrets are not in them: their
//! variables are named instead.

use super::data::{Pending, Source};
use super::form::Edit;
use super::model::Site;
use super::msg::Build;
use crate::site::resolve::FlagValues;

/// What builds this site as the screen shows it. A profile that is saved needs `hookos build` alone, with
/// what differs; what a build saves first is saved by commands of its own.
pub fn line(site: &Site) -> String {
    let form = &site.form;
    let build = Build { profile: form.name.clone(), flags: form.flags() };
    let saved = form.profile().path().is_some();
    if saved && site.pending.is_none() {
        return of(&build);
    }
    let name = quote(&form.name);
    let imported = site.imported.as_ref().filter(|_| !saved);
    let mut commands = Vec::new();
    commands.extend(
        imported.map(|file| format!("hookos profiles import {} {name}", quote(&file.to_string_lossy()))),
    );
    let edits: Vec<String> = form
        .edits()
        .iter()
        .filter_map(|(id, edit)| {
            let field = id.field();
            match edit {
                Edit::Text(text) if field.kind.is_secret(text) => None,
                Edit::Text(text) => Some(format!("--{}={}", field.flag, quote(text))),
                Edit::Default => Some(format!("--unset {}", field.path())),
            }
        })
        .collect();
    if !edits.is_empty() || (!saved && imported.is_none()) {
        commands.push(
            [format!("hookos configure --profile {name}")]
                .into_iter()
                .chain(edits)
                .collect::<Vec<_>>()
                .join(" "),
        );
    }
    commands.extend(site.pending.as_ref().map(|pending| certificates(&name, pending)));
    let secret = |(id, text): &(crate::site::Id, String)| id.field().kind.is_secret(text);
    let flags: FlagValues = build.flags.into_iter().filter(secret).collect();
    commands.push(of(&Build { flags, ..build }));
    commands.join(" && ")
}

/// What takes certificates as they were taken here. Pasted ones are pasted again.
fn certificates(name: &str, pending: &Pending) -> String {
    let how = match &pending.source {
        Source::Pasted => "--ca /dev/stdin".to_owned(),
        Source::File(file) => format!("--ca {}", quote(&file.to_string_lossy())),
        Source::Fetched(_) => {
            let authority = pending.ca.certificates.last();
            let digest = authority.map_or_else(String::new, |c| c.info.fingerprint.hex());
            format!("--fetch --fingerprint {digest}")
        }
        Source::Placeholder => "--placeholder --renew".to_owned(),
    };
    format!("hookos certs --profile {name} {how}")
}

/// `hookos build` with a profile and every value that differs from it.
pub fn of(build: &Build) -> String {
    let mut words = Vec::new();
    let mut flags = Vec::new();
    for (id, text) in &build.flags {
        let field = id.field();
        if field.kind.is_secret(text) {
            words.push(format!("{}=...", field.env));
        } else {
            flags.push(format!("--{}={}", field.flag, quote(text)));
        }
    }
    words.extend(["hookos".to_owned(), "build".to_owned(), quote(&build.profile)]);
    words.extend(flags);
    words.join(" ")
}

fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}
