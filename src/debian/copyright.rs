//! Licence names in a machine-readable `copyright` file.
//!
//! Format: <https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>.

use super::control;
use std::collections::BTreeSet;

/// The short names of all licences, sorted; empty for a free-form file.
pub fn licences(text: &str) -> Vec<String> {
    let header = text.lines().find(|l| !l.trim().is_empty()).unwrap_or("");
    let machine_readable = ["Format:", "Format-Specification:"].iter().any(|f| header.starts_with(f));
    let Ok(paragraphs) = control::parse(text) else { return Vec::new() };
    if !machine_readable {
        return Vec::new();
    }
    let mut names = BTreeSet::new();
    for paragraph in &paragraphs {
        let Some(first) = paragraph.get("License").and_then(|l| l.lines().next()) else { continue };
        // `GPL-2+ or Artistic`, `BSD-3-clause, and MIT`: names between the joining words.
        for name in first.split([',', '|']).flat_map(|part| part.split(" or ")).flat_map(|p| p.split(" and "))
        {
            let name = name.trim().trim_start_matches("or ").trim_start_matches("and ").trim();
            if !name.is_empty() && name.len() <= 80 {
                names.insert(name.to_owned());
            }
        }
    }
    names.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let text = "Format: https://x\nUpstream-Name: y\n\nFiles: *\nCopyright: z\nLicense: GPL-2+ or Artistic\n \
                    text\n\nFiles: a\nLicense: MIT, and BSD-3-clause\n\nLicense: MIT\n x\n";
        assert_eq!(licences(text), ["Artistic", "BSD-3-clause", "GPL-2+", "MIT"]);
        assert!(licences("This package was debianized by:\nLicense: x\n").is_empty());
        assert!(licences("").is_empty());
    }
}
