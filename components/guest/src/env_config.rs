//! `/etc/hook/env_config`: `KEY=VALUE` lines that a plain reader and a POSIX shell read alike.

use std::collections::BTreeMap;

/// Reads env_config text the plain way: split at the first `=`, blanks trimmed, `#` lines skipped,
/// one pair of double quotes around the value removed.
pub fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| {
            let value = value.trim();
            let bare = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            (key.trim().to_owned(), bare.to_owned())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn quotes_are_not_part_of_the_value() {
        let got = super::parse("# c\nA=b=c\n E = \"x y\" \n");
        assert_eq!(got["A"], "b=c");
        assert_eq!(got["E"], "x y");
    }
}

#[cfg(test)]
mod laws {
    use super::parse;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_text_is_a_file(text in "\\PC{0,200}(\n\\PC{0,40}){0,5}") {
            for (key, value) in parse(&text) {
                prop_assert_eq!(key.trim(), key.as_str());
                prop_assert!(!key.contains(['=', '\n']) && !key.starts_with('#'));
                prop_assert!(!value.contains('\n'));
            }
        }

        /// What the site segment writes is read back, whatever blanks and comments stand around it.
        #[test]
        fn settings_come_back(
            settings in proptest::collection::btree_map("[A-Za-z_]{1,12}", "[!-~&&[^\"#]]{0,20}", 0..8),
            quoted in any::<bool>(),
            blanks in "[ \t]{0,3}",
        ) {
            let mut text = "# a comment = not a setting\n\n".to_owned();
            for (key, value) in &settings {
                let quote = if quoted { "\"" } else { "" };
                text.push_str(&format!("{blanks}{key}{blanks}={blanks}{quote}{value}{quote}{blanks}\n"));
            }
            prop_assert_eq!(parse(&text), settings);
        }
    }
}
