//! Credentials in URLs: found, and masked wherever a value is shown.

/// Stands for what is not shown.
pub const MASK: &str = "***";

/// Where the user part of a URL-like text lies: after `scheme://` (if any), before the last `@` of
/// the host part. Works on texts that are not valid URLs too, since error messages show those.
fn user_part(text: &str) -> Option<(usize, usize)> {
    let start = text.find("://").map_or(0, |i| i + 3);
    let end = start + text[start..].rfind('@')?;
    (end > start).then_some((start, end))
}

/// Whether the text carries a user name or password.
pub fn has_credentials(text: &str) -> bool {
    user_part(text).is_some()
}

/// The user name and password that a text carries.
pub fn user(text: &str) -> Option<&str> {
    user_part(text).map(|(start, end)| &text[start..end])
}

/// The text with its user name and password replaced by [`MASK`].
pub fn mask(text: &str) -> String {
    match user_part(text) {
        Some((start, end)) => format!("{}{MASK}{}", &text[..start], &text[end..]),
        None => text.to_owned(),
    }
}

/// A text with the user names and passwords of all its URLs replaced.
pub fn mask_urls(text: &str) -> String {
    let is_end = |c: char| c.is_whitespace() || matches!(c, '\'' | '"');
    let words = text.split_inclusive(is_end);
    words.map(|word| if word.contains("://") { mask(word) } else { word.to_owned() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_password_are_hidden_in_good_and_bad_urls() {
        assert_eq!(mask("http://u:p@h:1/x"), "http://***@h:1/x");
        assert_eq!(mask("u:p@h:1"), "***@h:1");
        assert_eq!(mask("http://u:p@ss w$rd@h"), "http://***@h");
        assert_eq!(mask("http://h:1/"), "http://h:1/");
        assert_eq!(mask("http://u:p/q@h"), "http://***@h");
        assert!(!has_credentials("http://h"));
        let said = "E: http://me:p@ss@host/x 'https://h/y' \"http://u:p/q@h\" me@example.com";
        assert_eq!(mask_urls(said), "E: http://***@host/x 'https://h/y' \"http://***@h\" me@example.com");
        assert_eq!(user("http://u:p@h:1/x"), Some("u:p"));
    }
}
