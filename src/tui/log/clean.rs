//! Makes a line of a program's output fit to be shown.
//!
//! Bytes that are not UTF-8 become the replacement character, a progress line keeps what follows its last
//! carriage return, tabs become blanks, colours become [`Ink`], every other escape sequence and control
//! character goes, and a line ends after [`LONGEST`] bytes. A cleaned text has no control character in it.

use unicode_width::UnicodeWidthChar;

/// Bytes of a line that are kept for the screen.
pub const LONGEST: usize = 8 * 1024;

/// Bytes of a line that are looked at: escape sequences take room and leave none.
const READ: usize = 8 * LONGEST;

const TAB: usize = 8;

/// A colour that can be read on a dark and on a light background alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Colour {
    Red,
    Green,
    Yellow,
    Blue,
    Magenta,
    Cyan,
}

/// How a program wants a piece of text to look, as far as we go along: no backgrounds, and none of the
/// colours that vanish on one kind of background.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ink {
    pub colour: Option<Colour>,
    pub bold: bool,
    pub dim: bool,
    pub underlined: bool,
}

/// From this byte on the text has this ink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mark {
    pub at: u32,
    pub ink: Ink,
}

/// What a line says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    Plain,
    Warn,
    Error,
}

/// A line that can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clean {
    pub text: String,
    /// In order; before the first one the ink is the usual one.
    pub marks: Vec<Mark>,
    /// The line was longer than what is kept.
    pub cut: bool,
}

/// Cleans one line.
pub fn clean(raw: &[u8]) -> Clean {
    let end = raw.iter().rposition(|b| !matches!(b, b'\n' | b'\r')).map_or(0, |at| at + 1);
    let raw = &raw[..end];
    let raw = memchr::memrchr(b'\r', raw).map_or(raw, |at| &raw[at + 1..]);
    let (raw, mut cut) = if raw.len() > READ { (&raw[..READ], true) } else { (raw, false) };
    if raw.iter().all(|b| (b' '..=b'~').contains(b)) {
        let kept = &raw[..raw.len().min(LONGEST)];
        cut |= kept.len() < raw.len();
        return Clean { text: String::from_utf8_lossy(kept).into_owned(), marks: Vec::new(), cut };
    }
    let text = String::from_utf8_lossy(raw);
    let mut out = Cleaner { cut, ..Cleaner::default() };
    out.take(&text);
    Clean { text: out.text, marks: out.marks, cut: out.cut }
}

#[derive(Default)]
struct Cleaner {
    text: String,
    marks: Vec<Mark>,
    ink: Ink,
    column: usize,
    cut: bool,
}

impl Cleaner {
    fn take(&mut self, text: &str) {
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            rest = &rest[c.len_utf8()..];
            if self.text.len() + c.len_utf8() > LONGEST {
                self.cut = true;
                return;
            }
            match c {
                '\x1b' => rest = self.escape(rest),
                '\u{9b}' => rest = self.control(rest),
                '\t' => {
                    let blanks = (TAB - self.column % TAB).min(LONGEST - self.text.len());
                    self.text.extend(std::iter::repeat_n(' ', blanks));
                    self.column += blanks;
                }
                // What a terminal would have taken away again.
                '\x08' => self.backspace(),
                // Signs that turn the direction of writing make a line look like another one.
                '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' => {}
                c if c.is_control() => {}
                c => {
                    self.text.push(c);
                    self.column += c.width().unwrap_or(0);
                }
            }
        }
    }

    fn backspace(&mut self) {
        let floor = self.marks.last().map_or(0, |mark| mark.at as usize);
        if self.text.len() > floor
            && let Some(c) = self.text.pop()
        {
            self.column -= c.width().unwrap_or(0).min(self.column);
        }
    }

    /// Behind an escape character: skips the sequence and gives what follows it.
    fn escape<'t>(&mut self, text: &'t str) -> &'t str {
        let Some(kind) = text.chars().next() else { return text };
        let behind = &text[kind.len_utf8()..];
        match kind {
            '[' => self.control(behind),
            // Titles, links and the like: the text up to their end is not for the screen. One that does not
            // end on this line would take the whole line along, so it keeps its text.
            ']' | 'P' | 'X' | '^' | '_' => {
                let bell = if kind == ']' { behind.find('\x07').map(|at| (at, 1)) } else { None };
                let end = behind.find("\x1b\\").map(|at| (at, 2));
                let first = bell.into_iter().chain(end).min();
                first.map_or(behind, |(at, len)| &behind[at + len..])
            }
            // Two bytes more: `ESC ( B` and its kin.
            ' '..='/' => {
                let skip = behind.chars().next().filter(char::is_ascii_graphic);
                skip.map_or(behind, |c| &behind[c.len_utf8()..])
            }
            '0'..='~' => behind,
            _ => text,
        }
    }

    /// Behind a control sequence's introducer.
    fn control<'t>(&mut self, text: &'t str) -> &'t str {
        let bytes = text.as_bytes();
        let parameters = bytes.iter().take_while(|b| (0x30..=0x3f).contains(*b)).count();
        let between = bytes[parameters..].iter().take_while(|b| (0x20..=0x2f).contains(*b)).count();
        match bytes.get(parameters + between) {
            Some(b'm') if between == 0 => {
                self.colour(&text[..parameters]);
                &text[parameters + 1..]
            }
            Some(0x40..=0x7e) => &text[parameters + between + 1..],
            _ => &text[parameters + between..],
        }
    }

    /// `ESC [ ... m`.
    fn colour(&mut self, parameters: &str) {
        let mut ink = self.ink;
        let mut codes = parameters.split([';', ':']).map(|code| code.parse::<u16>().unwrap_or(0));
        while let Some(code) = codes.next() {
            match code {
                0 => ink = Ink::default(),
                // Reverse is how this program shows a selection.
                1 | 7 => ink.bold = true,
                2 | 90 => ink.dim = true,
                4 | 21 => ink.underlined = true,
                22 => (ink.bold, ink.dim) = (false, false),
                24 => ink.underlined = false,
                30..=37 => ink.colour = named(code - 30),
                91..=97 => ink.colour = named(code - 90),
                39 => ink.colour = None,
                38 | 48 | 58 => {
                    let colour = match codes.next() {
                        Some(5) => codes.next().filter(|n| *n < 16).and_then(|n| named(n % 8)),
                        Some(2) => codes.by_ref().take(3).last().and(None),
                        _ => None,
                    };
                    if code == 38 {
                        ink.colour = colour;
                    }
                }
                _ => {}
            }
        }
        if ink != self.ink {
            self.ink = ink;
            let at = self.text.len() as u32;
            self.marks.retain(|mark| mark.at < at);
            self.marks.push(Mark { at, ink });
        }
    }
}

/// The colours of which both black and white have enough contrast.
fn named(code: u16) -> Option<Colour> {
    match code {
        1 => Some(Colour::Red),
        2 => Some(Colour::Green),
        3 => Some(Colour::Yellow),
        4 => Some(Colour::Blue),
        5 => Some(Colour::Magenta),
        6 => Some(Colour::Cyan),
        _ => None,
    }
}

/// Whether a line calls itself an error or a warning, as compilers, apt and our own stages do:
/// `error: ...`, `error[E0432]`, `ERROR ...`, `E: ...`. A word inside a sentence ("0 errors") does not count.
pub fn level(text: &str) -> Level {
    let bytes = &text.as_bytes()[..text.len().min(256)];
    let mut level = match bytes {
        [b'E', b':', b' ', ..] => return Level::Error,
        [b'W', b':', b' ', ..] => Level::Warn,
        _ => Level::Plain,
    };
    let mut at = 0;
    while at < bytes.len() {
        let len = bytes[at..].iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        let (word, behind) = (&bytes[at..at + len], bytes.get(at + len));
        let is = |names: &[&str]| names.iter().any(|name| word.eq_ignore_ascii_case(name.as_bytes()));
        if (4..=8).contains(&len) && matches!(word[0] | 0x20, b'e' | b'f' | b'p' | b'w') {
            let loud = matches!(behind, Some(b':' | b'[')) || word.iter().all(u8::is_ascii_uppercase);
            if word == b"panicked" || (loud && is(&["error", "fatal", "failed", "failure"])) {
                return Level::Error;
            }
            if loud && is(&["warning", "warn"]) {
                level = Level::Warn;
            }
        }
        at += len.max(1);
    }
    level
}
