//! The command that does what the wizard would do.

use super::model::Site;

/// `hookos build` with this profile and every value that differs from it, quoted for a shell. Secrets
/// are not in it: their variables are named instead.
pub fn line(site: &Site) -> String {
    let form = &site.form;
    let mut words = Vec::new();
    let mut flags = Vec::new();
    for (id, text) in form.flags() {
        let field = id.field();
        if field.kind.is_secret(&text) {
            words.push(format!("{}=...", field.env));
        } else {
            flags.push(format!("--{}={}", field.flag, quote(&text)));
        }
    }
    words.extend(["hookos".to_owned(), "build".to_owned(), quote(&form.name)]);
    words.extend(flags);
    words.join(" ")
}

/// `hookos build` with a profile as it is.
pub fn of_profile(name: &str) -> String {
    format!("hookos build {}", quote(name))
}

fn quote(word: &str) -> String {
    shlex::try_quote(word).map_or_else(|_| String::new(), std::borrow::Cow::into_owned)
}
