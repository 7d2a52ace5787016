//! Which rows of which lines are on the screen. Costs what is visible, however many lines there are.

use super::buffer::{Lines, LogBuffer};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// A row: which line of a scope, and which of its rows when it is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Place {
    pub at: usize,
    pub row: usize,
}

/// What one row of the screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shown {
    pub seq: u64,
    /// The part of the text, in bytes.
    pub from: usize,
    pub to: usize,
    /// Empty columns before it: the right half of a wide sign whose left half is out of sight.
    pub blank: usize,
    /// The first row of its line.
    pub first: bool,
    /// There is more on this side.
    pub left: bool,
    pub right: bool,
}

/// Some lines in a box of some columns and rows.
#[derive(Debug, Clone, Copy)]
pub struct Window<'a> {
    pub buffer: &'a LogBuffer,
    pub lines: Lines<'a>,
    pub width: usize,
    pub height: usize,
    pub wrap: bool,
    /// Columns that are scrolled out at the left.
    pub left: usize,
}

impl<'a> Window<'a> {
    fn text(&self, at: usize) -> &'a str {
        let line = self.lines.get(at).and_then(|seq| self.buffer.get(seq));
        line.map_or("", |line| &line.text)
    }

    fn rows(&self, at: usize) -> usize {
        if self.wrap { wraps(self.text(at), self.width).count() } else { 1 }
    }

    /// So many rows before a place, or the very first row.
    pub fn up(&self, from: Place, mut rows: usize) -> Place {
        let mut place = from;
        loop {
            if place.row >= rows {
                return Place { row: place.row - rows, ..place };
            }
            if place.at == 0 {
                return Place::default();
            }
            rows -= place.row + 1;
            place.at -= 1;
            place.row = self.rows(place.at) - 1;
        }
    }

    /// So many rows behind a place, or the lowest top.
    pub fn down(&self, from: Place, mut rows: usize) -> Place {
        let bottom = self.bottom();
        let mut place = from;
        while place < bottom {
            let left = self.rows(place.at).saturating_sub(place.row);
            if rows < left {
                return Place { row: place.row + rows, ..place }.min(bottom);
            }
            rows -= left;
            place = Place { at: place.at + 1, row: 0 };
        }
        bottom
    }

    /// The top of the last screenful.
    pub fn bottom(&self) -> Place {
        let Some(last) = self.lines.len().checked_sub(1) else { return Place::default() };
        let end = Place { at: last, row: self.rows(last) - 1 };
        self.up(end, self.height.saturating_sub(1))
    }

    /// The first place of the first line whose number is not below `seq`, or of the last line.
    pub fn place(&self, seq: u64, row: usize) -> Place {
        let at = self.lines.place(seq).min(self.lines.len().saturating_sub(1));
        let same = self.lines.get(at) == Some(seq);
        Place { at, row: if same && self.wrap { row.min(self.rows(at) - 1) } else { 0 } }
    }

    /// The rows from a place on.
    pub fn shown(&self, top: Place) -> Vec<Shown> {
        let mut out = Vec::with_capacity(self.height);
        let mut skip = top.row;
        for at in top.at.. {
            let Some(seq) = self.lines.get(at).filter(|_| out.len() < self.height) else { break };
            let text = self.text(at);
            if self.wrap {
                let rows = wraps(text, self.width).enumerate().skip(skip).take(self.height - out.len());
                out.extend(rows.map(|(row, (from, to))| Shown {
                    seq,
                    from,
                    to,
                    blank: 0,
                    first: row == 0,
                    left: false,
                    right: false,
                }));
            } else {
                out.push(self.part(seq, text));
            }
            skip = 0;
        }
        out
    }

    /// The part of an unwrapped line that is in sight.
    fn part(&self, seq: u64, text: &str) -> Shown {
        let (from, before) = reach(text, self.left, true);
        let blank = before.saturating_sub(self.left).min(self.width);
        let (len, _) = reach(&text[from..], self.width - blank, false);
        let to = from + len;
        Shown { seq, from, to, blank, first: true, left: from > 0, right: to < text.len() }
    }

    /// Columns of the widest line among these rows.
    pub fn widest(&self, shown: &[Shown]) -> usize {
        let lines = shown.iter().filter_map(|row| self.buffer.get(row.seq));
        lines.map(|line| columns(&line.text)).max().unwrap_or(0)
    }
}

/// Columns of a text.
pub fn columns(text: &str) -> usize {
    if text.is_ascii() { text.len() } else { text.width() }
}

/// How many bytes of a text take up `columns`, and how many columns they take. A wide sign that does not
/// fit is left out, or taken in if `over` is set.
fn reach(text: &str, columns: usize, over: bool) -> (usize, usize) {
    if text.is_ascii() {
        let n = columns.min(text.len());
        return (n, n);
    }
    let mut used = 0;
    for (at, c) in text.char_indices() {
        let wide = c.width().unwrap_or(0);
        let full = if over { used >= columns } else { used + wide > columns };
        // What has no width belongs to the sign before it.
        if full && wide > 0 {
            return (at, used);
        }
        used += wide;
    }
    (text.len(), used)
}

/// The rows of a wrapped line, as ranges of bytes; at least one.
pub fn wraps(text: &str, width: usize) -> impl Iterator<Item = (usize, usize)> + '_ {
    let width = width.max(1);
    let mut from = Some(0);
    std::iter::from_fn(move || {
        let start = from?;
        let rest = &text[start..];
        let (mut len, _) = reach(rest, width, false);
        if len == 0 {
            // A sign wider than the window: better cut off than for ever.
            len = rest.chars().next().map_or(0, char::len_utf8);
        }
        let end = start + len;
        from = (end < text.len()).then_some(end);
        Some((start, end))
    })
}
