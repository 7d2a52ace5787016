//! Boxes over the screen.

use super::super::keys::{self, Action};
use super::super::line;
use super::super::model::Model;
use super::super::overlay::{Ask, Files, Overlay, Text};
use super::super::step::Step;
use super::super::theme::{Role, Theme};
use super::rail;
use super::text::{clip, fit, width, wrap};
use crate::words::count_of;
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Clear, Paragraph};

/// Keys of an overlay, for the footer.
pub fn hints(overlay: &Overlay) -> Vec<(String, &'static str)> {
    let contexts = overlay.contexts();
    let key = |action| keys::shown(action, contexts).map(|key| key.name()).unwrap_or_default();
    let arrows = || format!("{} {}", key(Action::Up), key(Action::Down));
    let enter = |word| (key(Action::Choose), word);
    let mut hints = match overlay {
        Overlay::Menu(_) => vec![enter("do it"), (arrows(), "choose"), ("letters".to_owned(), "search")],
        Overlay::Steps(_) => vec![enter("go"), ("1-7".to_owned(), "choose")],
        Overlay::Ask(_) => vec![enter("answer"), (arrows(), "read, choose")],
        Overlay::Prompt(_) => vec![enter("go on")],
        Overlay::Files(_) => {
            vec![enter("take"), (key(Action::FolderAbove), "folder above"), ("letters".to_owned(), "search")]
        }
        Overlay::Paste(_) => vec![(key(Action::TakePaste), "take them")],
        Overlay::Text(_) => vec![enter("close"), (arrows(), "scroll")],
    };
    if !matches!(overlay, Overlay::Text(_)) {
        hints.push((key(Action::Close), "back"));
    }
    hints
}

pub fn view(model: &Model, frame: &mut Frame, area: Rect) {
    let Some(overlay) = &model.overlay else { return };
    let theme = &model.theme;
    let room = usize::from(area.width).saturating_sub(8).min(92);
    let most = usize::from(area.height).saturating_sub(6);
    match overlay {
        Overlay::Menu(menu) => {
            let entries = menu.entries(model);
            let mut lines = vec![typed_line(theme, "Search", &menu.query, room)];
            lines.push(Line::raw(""));
            let rows: Vec<Line> = entries
                .iter()
                .enumerate()
                .map(|(at, entry)| {
                    let key = entry.keys.first().map(|key: &keys::Key| key.name()).unwrap_or_default();
                    choice(theme, &format!("{}  {}", fit(&key, 8, "~"), entry.about), at == menu.at, room)
                })
                .collect();
            let empty = rows.is_empty();
            lines.extend(window(rows, menu.at, most.saturating_sub(4)));
            if empty {
                lines.push(Line::styled("Nothing has this word.", theme.style(Role::Muted)));
            }
            let inner = paint(frame, area, theme, "What you can do here", lines, room);
            put_cursor(frame, inner, "Search", &menu.query, room);
        }
        Overlay::Steps(at) => {
            let Some(site) = &model.site else { return };
            let lines = Step::ALL
                .iter()
                .enumerate()
                .map(|(n, step)| {
                    let state = site.state(*step);
                    let (sign, _) = rail::look(state, theme);
                    let text = format!("{} {sign} {}  {}", n + 1, fit(step.title(), 13, "~"), state.word());
                    choice(theme, &text, n == *at, room.min(44))
                })
                .collect();
            paint(frame, area, theme, "Go to a step", lines, room.min(44));
        }
        Overlay::Ask(ask) => {
            let part = question(ask, model.size);
            let room = part.room;
            let mut lines = part.lines(theme);
            // The gap above the answers says whether there is more to read.
            if !part.more() {
                lines.push(Line::raw(""));
            }
            for (at, (label, _)) in ask.choices.iter().enumerate() {
                lines.push(choice(theme, label, at == ask.at, room));
            }
            paint(frame, area, theme, &ask.title, lines, room);
        }
        Overlay::Prompt(prompt) => {
            let room = room.min(72);
            let mut lines = vec![typed_line(theme, &prompt.label, &prompt.line, room)];
            let (role, text) = match &prompt.error {
                Some(error) => (Role::Error, format!("{} {error}", theme.glyphs.fail())),
                None => (Role::Muted, prompt.help.clone()),
            };
            lines.extend(wrap(&text, room).into_iter().map(|line| Line::styled(line, theme.style(role))));
            let inner = paint(frame, area, theme, &prompt.title, lines, room);
            put_cursor(frame, inner, &prompt.label, &prompt.line, room);
        }
        Overlay::Files(files) => {
            let mut lines = vec![
                Line::styled(
                    tail(&files.folder.display().to_string(), room, theme),
                    theme.style(Role::Strong),
                ),
                typed_line(theme, "Name", &files.line, room),
                Line::raw(""),
            ];
            lines.extend(file_lines(model, files, room, most.saturating_sub(5)));
            let inner = paint(frame, area, theme, "Pick a file", lines, room);
            let below = Rect { y: inner.y + 1, ..inner };
            put_cursor(frame, below, "Name", &files.line, room);
        }
        Overlay::Paste(paste) => {
            let told = "Paste PEM text: blocks from BEGIN CERTIFICATE to END CERTIFICATE.";
            let mut lines: Vec<Line> = wrap(told, room).into_iter().map(Line::raw).collect();
            lines.push(Line::styled(
                "It is read as soon as the last block is whole.",
                theme.style(Role::Muted),
            ));
            if let Some(problem) = &paste.error {
                let text = format!("{} {problem}", theme.glyphs.fail());
                let pieces = text.lines().flat_map(|line| wrap(line, room)).take(4);
                lines.extend(pieces.map(|line| Line::styled(line, theme.style(Role::Error))));
            }
            let text = lines.len();
            lines.extend(vec![Line::raw(""); most.min(24).saturating_sub(text + 2)]);
            let inner = paint(frame, area, theme, "Certificates", lines, room);
            let top = inner.y + text as u16 + 1;
            if top < inner.bottom() {
                let below = Rect { y: top, height: inner.bottom() - top, ..inner };
                frame.render_widget(&paste.area, below);
            }
        }
        Overlay::Text(text) => {
            let part = reading(text, model.size);
            let (lines, room) = (part.lines(theme), part.room);
            paint(frame, area, theme, &text.title, lines, room);
        }
    }
}

/// The part of a text that is in sight.
pub struct Part {
    wrapped: Vec<String>,
    from: usize,
    /// Lines for it.
    height: usize,
    room: usize,
}

impl Part {
    fn new(lines: &[String], from: usize, room: usize, height: usize) -> Self {
        let wrapped: Vec<String> = lines.iter().flat_map(|line| wrap_keep(line, room)).collect();
        let height = height.max(1);
        let from = from.min(wrapped.len().saturating_sub(height));
        Self { wrapped, from, height, room }
    }

    /// Where it begins after a move by so many lines, no further than there is text.
    pub fn moved(&self, by: isize) -> usize {
        self.from.saturating_add_signed(by).min(self.wrapped.len().saturating_sub(self.height))
    }

    pub fn page(&self) -> isize {
        isize::try_from(self.height).unwrap_or(1)
    }

    /// Whether there is something above or below it.
    fn more(&self) -> bool {
        self.wrapped.len() > self.height
    }

    fn lines(&self, theme: &Theme) -> Vec<Line<'static>> {
        let seen = self.wrapped.iter().skip(self.from).take(self.height);
        let mut lines: Vec<Line> = seen.cloned().map(Line::raw).collect();
        if self.more() {
            let below = self.wrapped.len().saturating_sub(self.from + self.height) as u64;
            let text = match below {
                0 => String::new(),
                n => format!("{} {} below", theme.glyphs.ellipsis(), count_of(n, "more line")),
            };
            lines.push(Line::styled(text, theme.style(Role::Muted)));
        }
        lines
    }
}

/// Columns and lines inside of the largest box.
fn inside(size: (u16, u16)) -> (usize, usize) {
    (usize::from(size.0).saturating_sub(8).min(92), usize::from(size.1).saturating_sub(3))
}

/// What is in sight of the text of a question.
pub fn question(ask: &Ask, size: (u16, u16)) -> Part {
    let (room, height) = inside(size);
    // The line below the text is blank, or says that there is more.
    Part::new(&ask.text, ask.from, room.min(72), height.saturating_sub(ask.choices.len() + 1))
}

/// What is in sight of a text to read.
pub fn reading(text: &Text, size: (u16, u16)) -> Part {
    let (room, height) = inside(size);
    let part = |height| Part::new(&text.lines, text.from, room, height);
    let whole = part(height);
    // The last line says that there is more.
    if whole.more() { part(height.saturating_sub(1)) } else { whole }
}

/// Wraps, and keeps the indent of a line. A text with columns of its own keeps its blanks.
fn wrap_keep(line: &str, room: usize) -> Vec<String> {
    if width(line) <= room {
        return vec![line.to_owned()];
    }
    let indent = line.len() - line.trim_start().len();
    let pieces = wrap(line.trim_start(), room.saturating_sub(indent));
    pieces.into_iter().map(|piece| format!("{}{piece}", " ".repeat(indent))).collect()
}

/// The end of a path, which says more than its beginning.
fn tail(text: &str, room: usize, theme: &Theme) -> String {
    let mut text = text.to_owned();
    if width(&text) > room {
        while width(&text) > room.saturating_sub(1) && !text.is_empty() {
            text.remove(0);
        }
        text.insert_str(0, theme.glyphs.ellipsis());
    }
    text
}

fn file_lines(model: &Model, files: &Files, room: usize, most: usize) -> Vec<Line<'static>> {
    let theme = &model.theme;
    let muted = |text: &str| vec![Line::styled(text.to_owned(), theme.style(Role::Muted))];
    match files.entries.value() {
        None => muted("Looking."),
        Some(Err(problem)) => {
            let style = theme.style(Role::Error);
            vec![Line::styled(clip(problem.what(), room, theme.glyphs.ellipsis()), style)]
        }
        Some(Ok(_)) => {
            let shown = files.shown();
            if shown.is_empty() {
                return muted("Nothing here has this name.");
            }
            let row = |(at, entry): (usize, &&super::super::data::FileEntry)| {
                let slash = if entry.folder { "/" } else { "" };
                choice(theme, &format!("{}{slash}", line::one_line(&entry.name)), at == files.at, room)
            };
            window(shown.iter().enumerate().map(row).collect(), files.at, most)
        }
    }
}

/// One of several; the chosen one is marked by more than its style.
fn choice(theme: &Theme, text: &str, chosen: bool, room: usize) -> Line<'static> {
    let (mark, role) = if chosen { (theme.glyphs.arrow(), Role::Selection) } else { (" ", Role::Plain) };
    let text = fit(text, room.saturating_sub(2), theme.glyphs.ellipsis());
    Line::from(vec![Span::raw(format!("{mark} ")), Span::styled(text, theme.style(role))])
}

/// The part of a list around the chosen row.
fn window(lines: Vec<Line<'static>>, at: usize, most: usize) -> Vec<Line<'static>> {
    let most = most.max(1);
    let from = (at + 1).saturating_sub(most);
    lines.into_iter().skip(from).take(most).collect()
}

fn typed_line(theme: &Theme, label: &str, line: &line::Line, room: usize) -> Line<'static> {
    let (text, _) = line.window(room.saturating_sub(width(label) + 2), None);
    Line::from(vec![Span::styled(format!("{label}: "), theme.style(Role::Focus)), Span::raw(text)])
}

fn put_cursor(frame: &mut Frame, inner: Rect, label: &str, line: &line::Line, room: usize) {
    let before = width(label) + 2;
    let (_, column) = line.window(room.saturating_sub(before), None);
    if inner.width > 0 && inner.height > 0 {
        let x = inner.x.saturating_add((before + column) as u16).min(inner.right() - 1);
        frame.set_cursor_position(Position::new(x, inner.y));
    }
}

/// A line that is no wider than its box, or the wall would be pushed aside.
fn cut(line: Line<'_>, room: usize, theme: &Theme) -> Line<'static> {
    let mut left = room;
    let mut spans = Vec::new();
    for span in line.spans {
        let text = clip(&span.content, left, theme.glyphs.ellipsis());
        left = left.saturating_sub(width(&text));
        spans.push(Span::styled(text, span.style));
    }
    Line::from(spans).style(line.style)
}

/// Draws a box in the middle with these lines; gives the place of the lines.
fn paint(frame: &mut Frame, area: Rect, theme: &Theme, title: &str, lines: Vec<Line>, room: usize) -> Rect {
    let wide = (room + 4).min(area.width.into()) as u16;
    let tall = (lines.len() + 2).min(area.height.saturating_sub(1).into()) as u16;
    let place = Rect {
        x: area.x + (area.width - wide) / 2,
        y: area.y + (area.height.saturating_sub(tall)) / 2,
        width: wide,
        height: tall,
    };
    frame.render_widget(Clear, place);
    let border = theme.style(Role::Border);
    let (rule, wall) = (theme.glyphs.rule(), theme.glyphs.wall());
    let (tl, tr, bl, br) = theme.glyphs.corners();
    let title = clip(title, usize::from(wide).saturating_sub(6), theme.glyphs.ellipsis());
    let rest = usize::from(wide).saturating_sub(width(&title) + 5);
    let top = Line::from(vec![
        Span::styled(format!("{tl}{rule} "), border),
        Span::styled(title, theme.style(Role::Strong)),
        Span::styled(format!(" {}{tr}", rule.repeat(rest)), border),
    ]);
    let bottom =
        Line::styled(format!("{bl}{}{br}", rule.repeat(usize::from(wide).saturating_sub(2))), border);
    let mut all = vec![top];
    let height = usize::from(tall).saturating_sub(2);
    for line in lines.into_iter().take(height) {
        let line = cut(line, usize::from(wide).saturating_sub(4), theme);
        let used = line.width();
        let mut spans = vec![Span::styled(format!("{wall} "), border)];
        spans.extend(line.spans.into_iter().map(|span| span.patch_style(line.style)));
        spans.push(Span::raw(" ".repeat(usize::from(wide).saturating_sub(used + 4))));
        spans.push(Span::styled(format!(" {wall}"), border));
        all.push(Line::from(spans));
    }
    all.push(bottom);
    frame.render_widget(Paragraph::new(all), place);
    Rect { x: place.x + 2, y: place.y + 1, width: place.width.saturating_sub(4), height: height as u16 }
}
