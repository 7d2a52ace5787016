//! Keeping passwords out of logs and off the console.

use std::fmt;

/// What stands in a line where a secret was.
const STARS: &str = "***";

/// Texts that no line may show.
#[derive(Clone, Default)]
pub struct Secrets(Vec<String>);

impl Secrets {
    /// Adds a secret, in the forms in which it may turn up: as given, in JSON, and both of them once
    /// more in the quotes of a log line. Empty ones are no secrets.
    pub fn add(&mut self, secret: &str) {
        let json = quoted(secret);
        // Go writes these three of JSON as for a web page.
        let web = json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
        let twice = [quoted(&json), quoted(&web)];
        for form in [secret.to_owned(), json, web].into_iter().chain(twice) {
            if !form.is_empty() && !self.0.contains(&form) {
                self.0.push(form);
            }
        }
        // The longer first, so that no secret hides a part of another alone.
        self.0.sort_by_key(|s| std::cmp::Reverse(s.len()));
    }

    /// Adds the password of a URL such as `http://user:password@proxy:3128`, as written and decoded.
    pub fn add_url(&mut self, url: &str) {
        if let Some(password) = password(url) {
            self.add(password);
            self.add(&percent_encoding::percent_decode_str(password).decode_utf8_lossy());
        }
    }

    /// `text` without the secrets.
    pub fn hide(&self, text: &str) -> String {
        // In one pass from the left: what has been put in is not looked at again.
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            if let Some(secret) = self.0.iter().find(|secret| rest.starts_with(secret.as_str())) {
                out.push_str(STARS);
                rest = rest.get(secret.len()..).unwrap_or_default();
            } else {
                let mut chars = rest.chars();
                out.extend(chars.next());
                rest = chars.as_str();
            }
        }
        out
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} secrets", self.0.len())
    }
}

/// As between quotation marks.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"")
}

/// The password in a URL's user part. Up to the last `@` before the path: a password may hold one.
fn password(url: &str) -> Option<&str> {
    let after = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (user, _) = after.rsplit_once('@')?;
    user.split_once(':').map(|(_, password)| password).filter(|p| !p.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn passwords_of_urls_in_both_forms() {
        let mut secrets = Secrets::default();
        secrets.add_url("http://me:p%40ss@proxy:3128/x");
        secrets.add_url("me:o@dd@proxy:3128");
        secrets.add_url("http://me@proxy");
        secrets.add("");
        assert_eq!(secrets.hide("http://me:p%40ss@proxy p@ss o@dd me"), "http://me:***@proxy *** *** me");
        assert_eq!(format!("{secrets:?}"), "3 secrets");
    }

    #[test]
    fn quoted_forms_too() {
        let mut secrets = Secrets::default();
        secrets.add(r#"a"b\c"#);
        assert_eq!(secrets.hide(r#"x a"b\c y "a\"b\\c""#), r#"x *** y "***""#);
        // A line of dockerd's log with an object in it: msg="{\"Env\":[\"P=...\"]}".
        let mut secrets = Secrets::default();
        secrets.add(r#"p<"1&\"#);
        assert_eq!(secrets.hide(r#"\"P=p\\u003c\\\"1\\u0026\\\\\""#), r#"\"P=***\""#);
        assert_eq!(secrets.hide(r#""p\u003c\"1\u0026\\""#), r#""***""#);
    }

    proptest! {
        #[test]
        fn nothing_of_a_secret_is_left(
            before in "[a-z =]{0,10}", after in "[a-z =]{0,10}",
            secrets in proptest::collection::vec("[A-Z%0-9äß]{1,8}", 1..4),
        ) {
            let mut all = Secrets::default();
            for secret in &secrets {
                all.add(secret);
            }
            for secret in &secrets {
                let hidden = all.hide(&format!("{before}{secret}{after}"));
                prop_assert_eq!(hidden, format!("{before}***{after}"));
            }
        }

        #[test]
        fn any_url_is_read(url in ".{0,40}") {
            let mut secrets = Secrets::default();
            secrets.add_url(&url);
            let _ = secrets.hide(&url);
        }
    }
}
