//! Paragraphs of `Field: value` lines (deb822(5)), as in package control files and `.sources`.

/// One paragraph. Field names compare without case, as deb822(5) says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// A paragraph of these names and values.
    pub(super) fn of(fields: Vec<(String, String)>) -> Self {
        Self { fields }
    }

    /// The value of a field: the text after the colon, trimmed; continuation lines follow after `\n`.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The words of a field; none when it is absent.
    pub fn words<'a>(&'a self, name: &str) -> impl Iterator<Item = &'a str> {
        self.get(name).unwrap_or("").split_whitespace()
    }

    pub fn fields(&self) -> impl Iterator<Item = (&str, &str)> {
        self.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()))
    }
}

/// Why a text is not made of paragraphs. Lines count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} is neither `Field: value` nor a continuation: {text:?}")]
pub struct BadLine {
    pub line: usize,
    pub text: String,
}

/// Reads all paragraphs of a text.
pub fn parse(text: &str) -> Result<Vec<Paragraph>, BadLine> {
    let mut all = Vec::new();
    let mut current = Paragraph::default();
    for (number, line) in text.lines().enumerate() {
        let bad = || BadLine { line: number + 1, text: line.chars().take(120).collect() };
        if line.trim().is_empty() {
            if !current.fields.is_empty() {
                all.push(std::mem::take(&mut current));
            }
        } else if line.starts_with('#') {
            // A comment, also between continuation lines.
        } else if line.starts_with([' ', '\t']) {
            let (_, value) = current.fields.last_mut().ok_or_else(bad)?;
            value.push('\n');
            value.push_str(line.trim());
        } else {
            let (name, value) = line.split_once(':').ok_or_else(bad)?;
            if name.is_empty() || name.contains(char::is_whitespace) {
                return Err(bad());
            }
            current.fields.push((name.to_owned(), value.trim().to_owned()));
        }
    }
    if !current.fields.is_empty() {
        all.push(current);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paragraphs_comments_and_continuations() {
        let all = parse("# c\nTypes: deb\nURIs: a\n# inside\n b\n\n\nX: 1\n").unwrap();
        assert_eq!(all.len(), 2);
        assert_eq!(all[0].words("uris").collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(all[1].get("x"), Some("1"));
        assert_eq!(parse(" x").unwrap_err().line, 1);
        assert_eq!(parse("A: 1\nno colon\n").unwrap_err().line, 2);
    }
}
