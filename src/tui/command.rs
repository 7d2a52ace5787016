//! The commands that do what the wizard would do, quoted for a shell. Secrets are not in them: their
//! variables are named instead.

use super::data::{Pending, Source};
use super::form::Edit;
use super::model::Site;
use super::msg::Build;
use crate::site::resolve::FlagValues;

/// Where a here-document ends. No line of PEM text is that.
const END: &str = "END";

/// What builds this site as the screen shows it, to be copied: pasted certificates stand below the line, in a
/// here-document.
pub fn whole(site: &Site) -> String {
    let line = line(site);
    match pasted(site) {
        Some(pem) => format!("{line}\n{pem}{END}\n"),
        None => line,
    }
}

/// As [`whole`], for a screen: of what is below the line it says how much it is.
pub fn shown(site: &Site) -> String {
    let line = line(site);
    match pasted(site) {
        Some(pem) => {
            format!("{line} (and below it the {} that were pasted, which a copy has)", count(&pem))
        }
        None => line,
    }
}

fn count(pem: &str) -> String {
    crate::words::count_of(pem.lines().count() as u64, "line")
}

/// PEM text that is in no file.
fn pasted(site: &Site) -> Option<String> {
    let pending = site.pending.as_ref().filter(|pending| pending.source == Source::Pasted)?;
    let bundles = std::iter::once(&pending.ca).chain(&pending.server);
    let pem: Vec<u8> = bundles.flat_map(|bundle| bundle.pem()).collect();
    Some(String::from_utf8_lossy(&pem).into_owned())
}

/// A profile that is saved needs `hookos build` alone, with what differs; what a build saves first is saved by
/// commands of its own.
fn line(site: &Site) -> String {
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
    commands.extend(site.pending.as_ref().map(|pending| certificates(&name, pending, saved)));
    let secret = |(id, text): &(crate::site::Id, String)| id.field().kind.is_secret(text);
    let flags: FlagValues = build.flags.into_iter().filter(secret).collect();
    commands.push(of(&Build { flags, ..build }));
    commands.join(" && ")
}

/// What takes certificates as they were taken here.
fn certificates(name: &str, pending: &Pending, saved: bool) -> String {
    let how = match &pending.source {
        Source::Pasted => format!("--ca /dev/stdin <<'{END}'"),
        Source::File(file) => format!("--ca {}", quote(&file.to_string_lossy())),
        Source::Fetched(_) => {
            let authority = pending.ca.certificates.last();
            let digest = authority.map_or_else(String::new, |c| c.info.fingerprint.hex());
            format!("--fetch --fingerprint {digest}")
        }
        Source::Placeholder => "--placeholder --renew".to_owned(),
    };
    // What was taken here takes the place of all that a saved profile has.
    let alone = saved && pending.server.is_none() && pending.source != Source::Placeholder;
    let forget = if alone { "--no-server " } else { "" };
    format!("hookos certs --profile {name} {forget}{how}")
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
