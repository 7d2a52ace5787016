//! Text that fits: clipped, padded, wrapped by columns rather than bytes.

use ratatui::text::Span;

/// Columns of a text.
pub fn width(text: &str) -> usize {
    Span::raw(text).width()
}

/// The text, cut to `room` columns with a mark at the end if it is longer.
pub fn clip(text: &str, room: usize, mark: &str) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let keep = room.saturating_sub(width(mark));
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = width(c.encode_utf8(&mut [0; 4]));
        if used + wide > keep {
            break;
        }
        used += wide;
        out.push(c);
    }
    if room > 0 {
        out.push_str(mark);
    }
    out
}

/// The text in exactly `room` columns.
pub fn fit(text: &str, room: usize, mark: &str) -> String {
    let mut text = clip(text, room, mark);
    text.push_str(&" ".repeat(room.saturating_sub(width(&text))));
    text
}

/// Lines of at most `room` columns, broken between words; a word that is longer is cut into pieces.
pub fn wrap(text: &str, room: usize) -> Vec<String> {
    let room = room.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let gap = usize::from(!line.is_empty());
        if width(&line) + gap + width(word) <= room {
            if gap == 1 {
                line.push(' ');
            }
            line.push_str(word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        for c in word.chars() {
            if width(&line) + width(c.encode_utf8(&mut [0; 4])) > room {
                lines.push(std::mem::take(&mut line));
            }
            line.push(c);
        }
    }
    if !line.is_empty() || lines.is_empty() {
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn texts_are_cut_with_a_mark() {
        assert_eq!(clip("abcdef", 4, "~"), "abc~");
        assert_eq!(clip("abcd", 4, "~"), "abcd");
        assert_eq!(clip("日本語", 4, "~"), "日~");
        assert_eq!(fit("ab", 4, "~"), "ab  ");
        assert_eq!(wrap("aa bb cccccc", 5), ["aa bb", "ccccc", "c"]);
    }

    proptest! {
        #[test]
        fn nothing_is_wider_than_its_room(text in "[a-zé日 ]{0,40}", room in 0usize..20) {
            prop_assert!(width(&clip(&text, room, "~")) <= room);
            prop_assert_eq!(width(&fit(&text, room, "~")), room);
            for line in wrap(&text, room.max(2)) {
                prop_assert!(width(&line) <= room.max(2));
            }
        }
    }
}
