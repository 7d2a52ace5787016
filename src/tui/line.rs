//! One line of text that a person edits: the text and where the cursor stands.
//!
//! Pure data. The multi-line editor for certificates is ratatui-textarea's; a form row needs less, and
//! wants the terminal's own cursor, which screen readers follow.

use super::keys::TextAction;
use ratatui::text::Span;

/// A text without line ends, with a cursor between two of its characters.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    text: String,
    /// In bytes, always at the start of a character or at the end.
    cursor: usize,
}

impl Line {
    /// The text with the cursor behind it.
    pub fn new(text: impl Into<String>) -> Self {
        let text = one_line(&text.into());
        Self { cursor: text.len(), text }
    }

    pub fn text(&self) -> &str {
        &self.text
    }

    /// Puts text in at the cursor; line ends and tabs become blanks, other control characters go.
    pub fn insert(&mut self, text: &str) {
        let text = one_line(text);
        self.text.insert_str(self.cursor, &text);
        self.cursor += text.len();
    }

    pub fn backspace(&mut self) {
        if let Some(c) = self.text[..self.cursor].chars().next_back() {
            self.cursor -= c.len_utf8();
            self.text.remove(self.cursor);
        }
    }

    pub fn delete(&mut self) {
        if self.cursor < self.text.len() {
            self.text.remove(self.cursor);
        }
    }

    /// Deletes back to the start of the word before the cursor. Values are made of parts such as host
    /// labels and list items, so their separators end a word too.
    pub fn delete_word(&mut self) {
        let from = self.word_start();
        self.text.replace_range(from..self.cursor, "");
        self.cursor = from;
    }

    /// Deletes everything before the cursor.
    pub fn delete_to_start(&mut self) {
        self.text.replace_range(..self.cursor, "");
        self.cursor = 0;
    }

    /// Deletes everything behind the cursor.
    pub fn delete_to_end(&mut self) {
        self.text.truncate(self.cursor);
    }

    pub fn left(&mut self) {
        self.cursor -= self.text[..self.cursor].chars().next_back().map_or(0, char::len_utf8);
    }

    pub fn right(&mut self) {
        self.cursor += self.text[self.cursor..].chars().next().map_or(0, char::len_utf8);
    }

    pub fn home(&mut self) {
        self.cursor = 0;
    }

    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    /// Does what a key means.
    pub fn act(&mut self, action: TextAction) {
        match action {
            TextAction::Left => self.left(),
            TextAction::Right => self.right(),
            TextAction::Start => self.home(),
            TextAction::End => self.end(),
            TextAction::Backspace => self.backspace(),
            TextAction::Delete => self.delete(),
            TextAction::DeleteWord => self.delete_word(),
            TextAction::DeleteToStart => self.delete_to_start(),
            TextAction::DeleteToEnd => self.delete_to_end(),
        }
    }

    fn word_start(&self) -> usize {
        let ends_word = |c: char| !c.is_alphanumeric();
        let before = self.text[..self.cursor].trim_end_matches(ends_word);
        before.rfind(ends_word).map_or(0, |at| at + before[at..].chars().next().map_or(0, char::len_utf8))
    }

    /// What fits in `width` columns, and the column of the cursor in it. `mask` stands for every
    /// character of a secret.
    pub fn window(&self, width: usize, mask: Option<&str>) -> (String, usize) {
        let shown = |c: char| mask.map_or_else(|| c.to_string(), str::to_owned);
        let columns = |text: &str| Span::raw(text).width();
        let (before, behind) = self.text.split_at(self.cursor);
        let before: Vec<String> = before.chars().map(shown).collect();
        // One column is for the cursor behind the last character.
        let room = width.saturating_sub(1);
        let mut from = before.len();
        let mut column = 0;
        while from > 0 && column + columns(&before[from - 1]) <= room {
            from -= 1;
            column += columns(&before[from]);
        }
        let mut text: String = before[from..].concat();
        let mut used = column;
        for c in behind.chars().map(shown) {
            let wide = columns(&c);
            if used + wide > width {
                break;
            }
            used += wide;
            text.push_str(&c);
        }
        (text, column)
    }
}

/// Text without anything that ends a line or steers a terminal.
pub fn one_line(text: &str) -> String {
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.replace("\r\n", " ");
    text.chars()
        .map(|c| if matches!(c, '\n' | '\r' | '\t') { ' ' } else { c })
        .filter(|c| !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_end_at_separators() {
        let mut line = Line::new("a.example.com,b-c");
        line.delete_word();
        assert_eq!(line.text(), "a.example.com,b-");
        line.delete_word();
        assert_eq!(line.text(), "a.example.com,");
        line.delete_word();
        assert_eq!(line.text(), "a.example.");
        line.home();
        line.delete_word();
        assert_eq!(line.text(), "a.example.");
    }

    #[test]
    fn pasted_line_ends_become_blanks() {
        let mut line = Line::new("x");
        line.insert("a\r\nb\rc\td\u{1b}[0m\n");
        assert_eq!(line.text(), "xa b c d[0m");
    }

    #[test]
    fn the_window_follows_the_cursor_and_hides_secrets() {
        let mut line = Line::new("abcdef");
        assert_eq!(line.window(4, None), ("def".into(), 3));
        line.home();
        assert_eq!(line.window(4, None), ("abcd".into(), 0));
        assert_eq!(line.window(10, Some("*")), ("******".into(), 0));
        assert_eq!(Line::new("日本").window(4, None), ("本".into(), 2), "wide characters are whole");
    }

    proptest! {
        #[test]
        fn any_keys_keep_the_cursor_in_the_text(text in ".*", keys in prop::collection::vec(0u8..11, 0..40)) {
            let mut line = Line::new(text);
            for key in keys {
                match key {
                    0 => line.insert("é日"),
                    1 => line.backspace(),
                    2 => line.delete(),
                    3 => line.delete_word(),
                    4 => line.left(),
                    5 => line.right(),
                    6 => line.home(),
                    7 => line.end(),
                    8 => line.delete_to_start(),
                    9 => line.delete_to_end(),
                    _ => line.insert("a.b"),
                }
                prop_assert!(line.text.is_char_boundary(line.cursor));
                let (shown, column) = line.window(7, None);
                prop_assert!(Span::raw(shown).width() <= 7 && column < 7);
            }
        }
    }
}
