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
