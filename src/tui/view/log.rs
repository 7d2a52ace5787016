//! A log on the screen. Written by hand: the list and paragraph widgets cost as much as there are lines,
//! this costs as much as is visible.

use super::super::line::Line;
use super::super::log::clean::{Colour, Ink, Level};
use super::super::log::pane::MARGIN;
use super::super::log::window::{Shown, columns};
use super::super::log::{LogBuffer, LogLine, Needle, Pane};
use super::super::theme::{Role, Theme};
use super::text::{clip, fit, width};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::{Position, Rect};
use ratatui::style::Style;
use std::cell::Cell;

/// What is to be drawn.
pub struct LogView<'a> {
    pub buffer: &'a LogBuffer,
    pub pane: &'a Pane,
    /// Whose lines they are.
    pub title: &'a str,
    /// What the last key has to say.
    pub notice: Option<&'a str>,
    /// A line that is being typed, and what it is for.
    pub typing: Option<(&'a str, &'a Line)>,
    pub theme: &'a Theme,
}

/// Draws a log: its title, its lines, and below them what is being typed.
pub fn view_log(frame: &mut Frame, area: Rect, view: &LogView<'_>) {
    let area = area.intersection(frame.area());
    if area.is_empty() {
        return;
    }
    title(frame.buffer_mut(), Rect { height: 1, ..area }, view);
    let mut body = Rect { y: area.y + 1, height: area.height - 1, ..area };
    if let Some(typed) = view.typing.filter(|_| body.height > 0) {
        body.height -= 1;
        prompt(frame, Rect { y: body.bottom(), height: 1, ..body }, view.theme, typed);
    }
    let shown = view.pane.shown(view.buffer, (body.width, body.height));
    for (y, row) in (body.top()..body.bottom()).zip(&shown) {
        if let Some(text) = view.buffer.get(row.seq) {
            line(frame.buffer_mut(), Rect { y, height: 1, ..body }, view, row, text);
        }
    }
    bar(frame.buffer_mut(), body, view, &shown);
}

/// Writes text at a place, as far as it fits; gives the column behind it.
fn put(buffer: &mut Buffer, x: u16, y: u16, right: u16, text: &str, style: Style) -> u16 {
    buffer.set_stringn(x, y, text, usize::from(right.saturating_sub(x)), style).0
}

/// A number in groups of three digits.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn title(buffer: &mut Buffer, area: Rect, view: &LogView<'_>) {
    let (theme, pane) = (view.theme, view.pane);
    let (rule, border) = (theme.glyphs.rule(), theme.style(Role::Border));
    let mut parts: Vec<(Role, String)> = Vec::new();
    match pane.news(view.buffer) {
        _ if pane.following() => parts.push((Role::Ok, "following".to_owned())),
        0 => parts.push((Role::Warn, "paused (End follows)".to_owned())),
        1 => parts.push((Role::Warn, "paused, 1 new line (End)".to_owned())),
        n => parts.push((Role::Warn, format!("paused, {} new lines (End)", grouped(n as u64)))),
    }
    if let Some(notice) = view.notice {
        parts.push((Role::Info, notice.to_owned()));
    }
    if let Some(filter) = pane.filter() {
        parts.push((Role::Accent, format!("only \"{}\"", filter.text())));
    }
    if let Some(search) = pane.search() {
        parts.push((Role::Accent, format!("/{}", search.text())));
    }
    if view.buffer.dropped() > 0 {
        parts.push((Role::Muted, format!("{} older lines only in the file", grouped(view.buffer.dropped()))));
    }
    if pane.wrapped() {
        parts.push((Role::Muted, "wrapped".to_owned()));
    } else if pane.left() > 0 {
        parts.push((Role::Muted, format!("from column {}", pane.left() + 1)));
    }
    let count = pane.lines(view.buffer).len() as u64;
    parts.push((
        Role::Muted,
        if count == 1 { "1 line".to_owned() } else { format!("{} lines", grouped(count)) },
    ));

    let (y, right) = (area.y, area.right());
    // What is written over the rule takes nothing from its look.
    let style = |role| Style::reset().patch(theme.style(role));
    buffer.set_stringn(area.x, y, rule.repeat(area.width.into()), area.width.into(), border);
    let head = clip(view.title, usize::from(area.width).saturating_sub(6).min(40), theme.glyphs.ellipsis());
    let mut x = put(buffer, (area.x + 2).min(right), y, right, &format!(" {head} "), style(Role::Strong));
    for (role, text) in parts {
        // A part that does not fit is left out; the ones behind it may.
        if usize::from(right.saturating_sub(x)) > width(&text) + 4 {
            x = put(buffer, x + 1, y, right, &format!(" {text} "), style(role));
        }
    }
}

fn prompt(frame: &mut Frame, area: Rect, theme: &Theme, (label, line): (&str, &Line)) {
    let buffer = frame.buffer_mut();
    let x = put(buffer, area.x, area.y, area.right(), &format!(" {label}: "), theme.style(Role::Focus));
    let room = area.right().saturating_sub(x);
    if room > 0 {
        let (text, cursor) = line.window(room.into(), None);
        put(buffer, x, area.y, area.right(), &text, theme.style(Role::Plain));
        frame.set_cursor_position(Position::new(x + (cursor as u16).min(room - 1), area.y));
    }
}

fn line(buffer: &mut Buffer, area: Rect, view: &LogView<'_>, row: &Shown, line: &LogLine) {
    let theme = view.theme;
    let (y, right) = (area.y, area.right().saturating_sub(1));
    let gutter = view.pane.gutter(area.width);
    let hit = view.pane.hit() == Some(row.seq);
    if row.first {
        let (sign, role) = match line.level {
            _ if hit => (theme.glyphs.arrow(), Role::Focus),
            Level::Error => (theme.glyphs.fail(), Role::Error),
            Level::Warn => (theme.glyphs.warn(), Role::Warn),
            Level::Plain => (" ", Role::Plain),
        };
        put(buffer, area.x, y, right, sign, theme.style(role));
        let mut x = area.x + MARGIN as u16;
        let muted = theme.style(Role::Muted);
        if gutter.time > 0 {
            let text = format!("{:>8.1}", f64::from(line.at) / 1000.0);
            put(buffer, x, y, right, &text, muted);
            x += gutter.time as u16;
        }
        if gutter.name > 0 {
            let name = fit(view.buffer.name(line.source), gutter.name - 1, theme.glyphs.ellipsis());
            put(buffer, x, y, right, &name, muted);
        }
    }
    let x = area.x + (MARGIN + gutter.time + gutter.name + row.blank) as u16;
    let base = match line.level {
        Level::Error => theme.style(Role::Error),
        Level::Warn => theme.style(Role::Warn),
        Level::Plain => theme.style(Role::Plain),
    };
    let end = Cell::new(x);
    for (from, to, ink) in spans(line, row) {
        let style = if ink == Ink::default() { base } else { style_of(ink, theme) };
        end.set(put(buffer, end.get(), y, right, &line.text[from..to], style));
    }
    if let Some(needle) = view.pane.search() {
        mark(buffer, (x, y, right), view, needle, row, &line.text);
    }
    let ellipsis = theme.glyphs.ellipsis();
    if row.left && x < right {
        put(buffer, x, y, right, ellipsis, theme.style(Role::Muted));
    }
    if (row.right || (line.cut && row.to == line.text.len())) && x < right {
        put(buffer, end.get().min(right - 1), y, right, ellipsis, theme.style(Role::Muted));
    }
}

/// The visible parts of a line, each in its ink.
fn spans<'a>(line: &'a LogLine, row: &'a Shown) -> impl Iterator<Item = (usize, usize, Ink)> + 'a {
    let first = (0, Ink::default());
    let starts = std::iter::once(first).chain(line.marks.iter().map(|mark| (mark.at as usize, mark.ink)));
    let ends = line.marks.iter().map(|mark| mark.at as usize).chain(std::iter::once(line.text.len()));
    starts
        .zip(ends)
        .map(|((from, ink), to)| (from.max(row.from), to.min(row.to), ink))
        .filter(|(from, to, _)| from < to)
}

fn style_of(ink: Ink, theme: &Theme) -> Style {
    let role = match ink.colour {
        None if ink.bold => Role::Strong,
        None if ink.dim => Role::Muted,
        None if ink.underlined => Role::Accent,
        None => Role::Plain,
        Some(Colour::Red) => Role::Error,
        Some(Colour::Green) => Role::Ok,
        Some(Colour::Yellow) => Role::Warn,
        Some(Colour::Blue | Colour::Magenta) => Role::Info,
        Some(Colour::Cyan) => Role::Accent,
    };
    theme.style(role)
}

/// Shows what is looked for, wherever it is in sight.
fn mark(
    buffer: &mut Buffer,
    (x, y, right): (u16, u16, u16),
    view: &LogView<'_>,
    needle: &Needle,
    row: &Shown,
    text: &str,
) {
    for (from, to) in needle.all(text).take(200) {
        let (from, to) = (from.clamp(row.from, row.to), to.clamp(row.from, row.to));
        if from < to && text.is_char_boundary(from) && text.is_char_boundary(to) {
            let start = usize::from(x) + columns(&text[row.from..from]);
            let end = (start + columns(&text[from..to])).min(right.into());
            if start < end {
                let area = Rect::new(start as u16, y, (end - start) as u16, 1);
                buffer.set_style(area, view.theme.style(Role::Selection));
            }
        }
    }
}

/// Where in the whole the view stands.
fn bar(buffer: &mut Buffer, area: Rect, view: &LogView<'_>, shown: &[Shown]) {
    let lines = view.pane.lines(view.buffer);
    let (count, height) = (lines.len(), usize::from(area.height));
    if count <= height || area.width < 4 || shown.is_empty() {
        return;
    }
    let (first, last) = (shown.first().map_or(0, |r| r.seq), shown.last().map_or(0, |r| r.seq));
    let (from, to) = (lines.place(first), lines.place(last) + 1);
    let size = ((to - from) * height).div_ceil(count).clamp(1, height);
    let free = height - size;
    let top = if to >= count { free } else { (from * free).div_ceil(count).min(free.saturating_sub(1)) };
    for y in top..top + size {
        let place = (area.right() - 1, area.y + y as u16);
        put(
            buffer,
            place.0,
            place.1,
            area.right(),
            view.theme.glyphs.scroll(),
            view.theme.style(Role::Border),
        );
    }
}
