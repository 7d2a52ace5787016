//! Rows as lines: a list that scrolls with the focus.

use super::super::components;
use super::super::form::{self, Form};
use super::super::ground::Ground;
use super::super::kernels;
use super::super::model::{Model, Site};
use super::super::rows::{self, Row};
use super::super::theme::{Role, Theme};
use super::text::{clip, fit, width, wrap};
use crate::build::Outcome;
use crate::kernel::series::Series;
use crate::site::field::{Default, Kind};
use crate::site::{Id, KernelSource, Origin};
use crate::words::{self, size};
use ratatui::Frame;
use ratatui::layout::{Position, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// What one row has become.
struct Block {
    lines: Vec<Line<'static>>,
    /// Line and column of the cursor in it.
    cursor: Option<(usize, usize)>,
    focused: bool,
}

/// The rows of a screen as blocks of lines.
fn blocks(model: &Model, columns: usize) -> (Vec<Row>, Vec<Block>) {
    let focus = model.focus();
    let rows = rows::rows(model);
    let painter = Painter::new(model, &rows, columns);
    let mut blocks: Vec<Block> =
        rows.iter().map(|row| painter.block(row, focus.as_ref() == Some(row))).collect();
    // A heading has a blank line above it, which the first one does not need.
    if let (Some(Row::Heading(..)), Some(block)) = (rows.first(), blocks.first_mut()) {
        block.lines.remove(0);
    }
    (rows, blocks)
}

pub fn view(model: &Model, frame: &mut Frame, area: Rect) {
    let (rows, blocks) = blocks(model, area.width.into());
    let extent = Extent::new(&rows, &blocks, area.height.into());
    let (total, height, from) = (extent.total(), extent.height, extent.from(model.scroll));
    let mut cursor = None;
    for (block, spot) in blocks.iter().zip(&extent.spots).filter(|(block, _)| block.focused) {
        cursor = block.cursor.map(|(line, column)| (spot.at + line, column));
    }
    let lines: Vec<Line> = blocks.into_iter().flat_map(|block| block.lines).skip(from).take(height).collect();
    frame.render_widget(Paragraph::new(lines), area);
    if let Some((line, column)) = cursor.filter(|_| model.overlay.is_none())
        && let Some(line) = line.checked_sub(from).filter(|line| *line < height)
    {
        let (x, y) = (area.x + column as u16, area.y + line as u16);
        frame.set_cursor_position(Position::new(x.min(area.right() - 1), y));
    }
    scrollbar(model, frame, area, total, from);
}

/// The lines of a row without the focus, as text.
pub fn text_of(model: &Model, row: &Row) -> Vec<String> {
    let painter = Painter::new(model, std::slice::from_ref(row), model.size.0.into());
    painter.block(row, false).lines.iter().map(ToString::to_string).collect()
}

/// Where a row is.
#[derive(Debug, Clone, Copy)]
pub struct Spot {
    /// Its first line.
    pub at: usize,
    /// How many lines it has.
    pub tall: usize,
    can_focus: bool,
    focused: bool,
}

/// Where the rows of a screen are, and which lines of them are in sight.
#[derive(Debug)]
pub struct Extent {
    pub spots: Vec<Spot>,
    /// Lines of the window.
    pub height: usize,
}

impl Extent {
    /// Of the screen of now.
    pub fn of(model: &Model) -> Self {
        let (columns, height) = super::list(model);
        let (rows, blocks) = blocks(model, columns.into());
        Self::new(&rows, &blocks, height.into())
    }

    fn new(rows: &[Row], blocks: &[Block], height: usize) -> Self {
        let mut at = 0;
        let spot = |(row, block): (&Row, &Block)| {
            let tall = block.lines.len();
            let spot = Spot { at, tall, can_focus: row.can_focus(), focused: block.focused };
            at += tall;
            spot
        };
        let spots = rows.iter().zip(blocks).map(spot).collect();
        Self { spots, height }
    }

    fn total(&self) -> usize {
        self.spots.last().map_or(0, |spot| spot.at + spot.tall)
    }

    /// The last line that the window can begin with.
    pub fn last(&self) -> usize {
        self.total().saturating_sub(self.height)
    }

    /// The line that the window begins with: where a person has scrolled to, else by the focus.
    pub fn from(&self, scroll: Option<usize>) -> usize {
        let focused = || self.spots.iter().find(|spot| spot.focused).map_or(0, |spot| self.offset(spot));
        scroll.unwrap_or_else(focused).min(self.last())
    }

    /// Where the window begins with this focus: the focus is as far down the window as it is down the
    /// list, so that it is always in sight and the list moves evenly.
    fn offset(&self, spot: &Spot) -> usize {
        let focusable = || self.spots.iter().filter(|spot| spot.can_focus).map(|spot| spot.at);
        let (first, last) = (focusable().next().unwrap_or(0), focusable().next_back().unwrap_or(0));
        let even = spot.at.saturating_sub(first) * self.last() / last.saturating_sub(first).max(1);
        let least = (spot.at + spot.tall).saturating_sub(self.height).min(spot.at);
        even.clamp(least, spot.at).min(self.last())
    }

    /// Where an arrow scrolls to, so that no line between two rows that can have the focus is passed over
    /// unseen; none if the arrow moves the focus.
    pub fn scrolled(&self, scroll: Option<usize>, down: bool) -> Option<usize> {
        let now = self.from(scroll);
        let focus = self.spots.iter().position(|spot| spot.focused);
        let home = self.from(None);
        let mut others = self.spots.iter().enumerate().filter(|(_, spot)| spot.can_focus);
        let step = (self.height / 2).max(1);
        if down {
            let next = others.find(|(at, _)| focus.is_none_or(|focus| *at > focus));
            // First to where the focus is, then to the end of what it shows.
            let end = focus.and_then(|at| self.spots.get(at)).map_or(0, |spot| spot.at + spot.tall);
            let to = match next {
                _ if now < home => home,
                _ if now + self.height < end => end - self.height,
                None => self.last(),
                Some((_, spot)) => Some(self.offset(spot)).filter(|to| *to >= now + self.height)?,
            };
            (to > now).then(|| (now + step).min(to))
        } else {
            let next = others.rfind(|(at, _)| focus.is_some_and(|focus| *at < focus));
            let to = match next {
                _ if now > home => home,
                None => 0,
                Some((_, spot)) => Some(self.offset(spot)).filter(|to| to + self.height <= now)?,
            };
            (to < now).then(|| now.saturating_sub(step).max(to))
        }
    }
}

/// The thumb at the right edge, where the list is longer than the window.
fn scrollbar(model: &Model, frame: &mut Frame, area: Rect, total: usize, from: usize) {
    let height = usize::from(area.height);
    if total <= height || area.width == 0 {
        return;
    }
    let long = (height * height / total).max(1);
    let top = from * (height - long) / (total - height).max(1);
    let theme = &model.theme;
    for line in 0..height {
        let (sign, role) = if (top..top + long).contains(&line) {
            (theme.glyphs.scroll(), Role::Muted)
        } else {
            (" ", Role::Plain)
        };
        frame.buffer_mut().set_string(area.right() - 1, area.y + line as u16, sign, theme.style(role));
    }
}

/// Widths that all rows of a screen share.
struct Painter<'a> {
    model: &'a Model,
    theme: &'a Theme,
    /// Columns of a row, without the edge where the scroll bar is.
    width: usize,
    label: usize,
    origin: usize,
}

impl<'a> Painter<'a> {
    fn new(model: &'a Model, rows: &[Row], total: usize) -> Self {
        let labels = rows.iter().map(|row| match row {
            Row::Field(id) | Row::Value(id) | Row::Problem(id) => width(id.field().label),
            Row::Site(name) | Row::Draft(name) | Row::Running(name) | Row::Component(name) => width(name),
            _ => 0,
        });
        let most = if total < 66 { 20 } else { 26 };
        let label = labels.max().unwrap_or(0).clamp(8, most);
        let origin = if total < 66 { 8 } else { 14 };
        Self { model, theme: &model.theme, width: total.saturating_sub(2), label, origin }
    }

    fn mark(&self) -> &'static str {
        self.theme.glyphs.ellipsis()
    }

    fn block(&self, row: &Row, focused: bool) -> Block {
        let site = self.model.site.as_ref();
        let mut cursor = None;
        let lines = match (row, site) {
            (Row::Heading(text, work), _) => self.heading(text, work.as_deref()),
            (Row::Note(role, text), _) => self.note(*role, text, 2),
            (Row::Pair(role, name, text), _) => self.pair(*role, name, text),
            (Row::Do(_, text), _) => vec![self.action(text, focused)],
            (Row::Site(name), _) => vec![self.profile(name, focused)],
            (Row::Draft(name), _) => vec![self.draft(name, focused)],
            (Row::Running(name), _) => vec![self.running(name, focused)],
            (Row::Field(id), Some(site)) => {
                let (lines, column) = self.field(site, *id, focused);
                cursor = column.map(|column| (0, column));
                lines
            }
            (Row::Value(id), Some(site)) => self.value(site, *id, focused),
            (Row::Component(name), Some(site)) => vec![self.component(site, name, focused)],
            (Row::Release(version, from), Some(site)) => vec![self.release(site, version, *from, focused)],
            (Row::Problem(id), Some(site)) => vec![self.problem(site, *id, focused)],
            (Row::Group(slug), Some(site)) => vec![self.group(site, slug, focused)],
            (Row::Probe(at), Some(site)) => self.probe(site, *at, focused),
            (Row::Certificate(at), Some(site)) => self.certificate(site, *at, focused),
            _ => Vec::new(),
        };
        Block { lines, cursor, focused }
    }

    /// The two columns that say where the focus is.
    fn pointer(&self, focused: bool) -> Span<'static> {
        if focused {
            Span::styled(format!("{} ", self.theme.glyphs.arrow()), self.theme.style(Role::Focus))
        } else {
            Span::raw("  ")
        }
    }

    fn named(&self, text: &str, room: usize, focused: bool) -> Span<'static> {
        let style = self.theme.style(if focused { Role::Focus } else { Role::Plain });
        Span::styled(fit(text, room, self.mark()), style)
    }

    fn heading(&self, text: &str, work: Option<&str>) -> Vec<Line<'static>> {
        let text = clip(text, self.width, self.mark());
        if text.is_empty() {
            return vec![Line::raw("")];
        }
        let room = self.width.saturating_sub(width(&text) + 4);
        let mut line = vec![Span::styled(text, self.theme.style(Role::Strong))];
        if let Some(work) = work {
            let work =
                format!("  {} {}", self.theme.glyphs.run(self.model.tick()), clip(work, room, self.mark()));
            line.push(Span::styled(work, self.theme.style(Role::Info)));
        }
        vec![Line::raw(""), Line::from(line)]
    }

    /// A field with a problem: what is wrong stands below the field itself.
    fn problem(&self, site: &Site, id: Id, focused: bool) -> Line<'static> {
        let what = site.form.problem(id).map_or("", |problem| problem.what());
        let what = what.split_once(": ").map_or(what, |(_, what)| what);
        let room = self.width.saturating_sub(4 + self.label + 2);
        let style = self.theme.style(Role::Error);
        Line::from(vec![
            self.pointer(focused),
            Span::styled(format!("{} ", self.theme.glyphs.fail()), style),
            self.named(id.field().label, self.label, focused),
            Span::styled(format!("  {}", clip(what, room, self.mark())), style),
        ])
    }

    /// A kernel to choose: its version, who has it, until when its series is looked after.
    fn release(&self, site: &Site, version: &str, from: KernelSource, focused: bool) -> Line<'static> {
        let all = kernels::releases(site).releases;
        let Some(release) = all.iter().find(|r| r.version == version && r.from == from) else {
            return Line::raw("");
        };
        let sign = if kernels::is_chosen(site, release) { "(x)" } else { "( )" };
        let role = if focused { Role::Selection } else { Role::Plain };
        let end =
            Series::of(version).map_or_else(String::new, |series| format!("until {}", series.end_text()));
        let room = self.width.saturating_sub(2 + 4 + 12 + 2 + 21);
        Line::from(vec![
            self.pointer(focused),
            Span::styled(sign, self.theme.style(role)),
            Span::raw(" "),
            self.named(version, 12, focused),
            Span::raw("  "),
            Span::raw(fit(&release.places.join(", "), room, self.mark())),
            Span::styled(fit_right(&end, 21, self.mark()), self.theme.style(Role::Muted)),
        ])
    }

    fn note(&self, role: Role, text: &str, indent: usize) -> Vec<Line<'static>> {
        let sign = match role {
            Role::Ok => format!("{} ", self.theme.glyphs.ok()),
            Role::Error => format!("{} ", self.theme.glyphs.fail()),
            Role::Warn => format!("{} ", self.theme.glyphs.warn()),
            _ => String::new(),
        };
        let room = self.width.saturating_sub(indent + width(&sign));
        // A text with columns of its own keeps its blanks.
        let pieces = if width(text) <= room { vec![text.to_owned()] } else { wrap(text, room) };
        let blank = " ".repeat(width(&sign));
        let line = |(at, piece): (usize, String)| {
            let lead = if at == 0 { &sign } else { &blank };
            Line::styled(format!("{}{lead}{piece}", " ".repeat(indent)), self.theme.style(role))
        };
        pieces.into_iter().enumerate().map(line).collect()
    }

    /// One line for an endpoint: its name in the column of the fields, and how long each step took or what
    /// is wrong. The panel has the rest.
    fn probe(&self, site: &Site, at: usize, focused: bool) -> Vec<Line<'static>> {
        let Some(Ok(tested)) = site.probe.value() else { return Vec::new() };
        let Some(answer) = tested.answers.get(at) else { return Vec::new() };
        let (role, sign) = match answer.outcome.failure {
            // Of other settings: it says nothing of these.
            _ if site.probe.is_stale(&Ground::Probe.of(site)) => (Role::Muted, self.theme.glyphs.wait()),
            None => (Role::Ok, self.theme.glyphs.ok()),
            Some(_) => (Role::Error, self.theme.glyphs.fail()),
        };
        let style = self.theme.style(role);
        let room = self.width.saturating_sub(4 + self.label + 2);
        vec![Line::from(vec![
            self.pointer(focused),
            Span::styled(format!("{sign} "), style),
            self.named(&form::server(answer), self.label, focused),
            Span::styled(format!("  {}", clip(&answer.outcome.brief(), room, self.mark())), style),
        ])]
    }

    /// A word and what is to be said of it, which stays in a column of its own.
    fn pair(&self, role: Role, name: &str, text: &str) -> Vec<Line<'static>> {
        let indent = 2 + 12;
        let style = self.theme.style(role);
        let mut pieces = wrap(text, self.width.saturating_sub(indent)).into_iter();
        // A word that does not fit its column has a line of its own.
        let first = if width(name) > indent - 3 { String::new() } else { pieces.next().unwrap_or_default() };
        let name = fit(name, (indent - 2).max(width(name)), self.mark());
        let mut lines = vec![Line::from(vec![Span::raw(format!("  {name}")), Span::styled(first, style)])];
        lines.extend(
            pieces.map(|piece| Line::from(vec![Span::raw(" ".repeat(indent)), Span::styled(piece, style)])),
        );
        lines
    }

    fn action(&self, text: &str, focused: bool) -> Line<'static> {
        let style = self.theme.style(if focused { Role::Selection } else { Role::Accent });
        let text = clip(text, self.width.saturating_sub(6), self.mark());
        Line::from(vec![self.pointer(focused), Span::styled(format!("[ {text} ]"), style)])
    }

    fn profile(&self, name: &str, focused: bool) -> Line<'static> {
        let entry = self.model.start.value().and_then(|s| s.as_ref().ok());
        let entry = entry.and_then(|sites| sites.sites.iter().find(|site| site.name == name));
        let mut spans = vec![self.pointer(focused), self.named(name, self.label, focused), Span::raw("  ")];
        let Some(entry) = entry else { return Line::from(spans) };
        let place = if entry.shipped { "project" } else { "yours" };
        spans.push(Span::styled(fit(place, 9, self.mark()), self.theme.style(Role::Muted)));
        let room = self.width.saturating_sub(self.label + 13);
        let (role, text) = match (&entry.problem, &entry.last) {
            (Some(problem), _) => (Role::Error, format!("{} {problem}", self.theme.glyphs.fail())),
            (None, None) => (Role::Muted, "not built yet".to_owned()),
            (None, Some(last)) => {
                let (role, sign, word) = match last.outcome {
                    Outcome::Ok => (Role::Ok, self.theme.glyphs.ok(), "built"),
                    Outcome::Failed => (Role::Error, self.theme.glyphs.fail(), "failed"),
                    Outcome::Cancelled => (Role::Warn, self.theme.glyphs.warn(), "cancelled"),
                };
                (role, format!("{sign} {word} {}", words::ago(self.model.clock() - last.at)))
            }
        };
        spans.push(Span::styled(clip(&text, room, self.mark()), self.theme.style(role)));
        Line::from(spans)
    }

    fn draft(&self, name: &str, focused: bool) -> Line<'static> {
        let sites = self.model.start.value().and_then(|s| s.as_ref().ok());
        let draft = sites.and_then(|sites| sites.drafts.iter().find(|draft| draft.name == name));
        let text = draft.map_or_else(String::new, |draft| {
            format!("{} {}", draft.what(), words::ago(self.model.clock() - draft.at))
        });
        Line::from(vec![
            self.pointer(focused),
            self.named(name, self.label, focused),
            Span::styled(format!("  {} {text}", self.theme.glyphs.warn()), self.theme.style(Role::Warn)),
        ])
    }

    fn running(&self, name: &str, focused: bool) -> Line<'static> {
        let sites = self.model.start.value().and_then(|s| s.as_ref().ok());
        let run = sites.and_then(|sites| sites.running.iter().find(|run| run.profile == name));
        let since = run.map_or_else(String::new, |run| words::ago(self.model.clock() - run.since));
        let sign = self.theme.glyphs.run(self.model.tick());
        Line::from(vec![
            self.pointer(focused),
            self.named(name, self.label, focused),
            Span::styled(format!("  {sign} building, begun {since}"), self.theme.style(Role::Info)),
        ])
    }

    /// Label, value, origin; the problem below it.
    fn field(&self, site: &Site, id: Id, focused: bool) -> (Vec<Line<'static>>, Option<usize>) {
        let form = &site.form;
        let field = id.field();
        let room = self.width.saturating_sub(2 + self.label + 2 + self.origin + 1);
        let secret = form.is_secret(id) && !site.reveal;
        let mut cursor = None;
        let value = match form.editor() {
            Some((at, line)) if at == id => {
                let (text, column) = line.window(room, secret.then_some(self.theme.glyphs.mask()));
                cursor = Some(2 + self.label + 2 + column);
                Span::styled(fit(&text, room, self.mark()), self.theme.style(Role::Plain))
            }
            _ => self.shown(form, id, room, secret, focused),
        };
        let origin = match form.site().counts(field) {
            false => "not used".to_owned(),
            true if self.origin < 14 => form.short_origin(id),
            true => form.origin(id),
        };
        let origin = fit_right(&origin, self.origin, self.mark());
        let mut lines = vec![Line::from(vec![
            self.pointer(focused),
            self.named(field.label, self.label, focused),
            Span::raw("  "),
            value,
            Span::raw(" "),
            Span::styled(origin, self.theme.style(Role::Muted)),
        ])];
        if let Some(problem) = form.problem(id) {
            // The field's own name stands right above.
            let what = problem.what();
            let what = what.split_once(": ").map_or(what, |(_, what)| what);
            lines.extend(self.note(Role::Error, what, 4 + 2));
            for line in problem.remedy_text().unwrap_or_default().lines() {
                lines.extend(self.note(Role::Muted, &format!("Accepted: {line}"), 4 + 4));
            }
        }
        (lines, cursor)
    }

    /// A value that nobody is typing.
    fn shown(&self, form: &Form, id: Id, room: usize, secret: bool, focused: bool) -> Span<'static> {
        let field = id.field();
        let text = form.text(id);
        match field.kind {
            Kind::Bool => {
                let on = text == "true";
                let text = if on { "[x] yes" } else { "[ ] no" };
                let role = if focused { Role::Selection } else { Role::Plain };
                let padding = " ".repeat(room.saturating_sub(width(text)));
                return Span::styled(format!("{text}{padding}"), self.theme.style(role));
            }
            Kind::Choice(choices) => {
                let text = if focused && choices.len() > 1 { format!("< {text} >") } else { text };
                let role = match (focused, form.site().counts(field)) {
                    (true, _) => Role::Selection,
                    (false, true) => Role::Plain,
                    (false, false) => Role::Muted,
                };
                return Span::styled(fit(&text, room, self.mark()), self.theme.style(role));
            }
            _ => {}
        }
        if text.is_empty() {
            let text = match (field.default, form.site().resolved(id).origin.clone()) {
                (Default::OfDomain(_), Origin::Domain) => "follows from the cluster domain",
                _ if field.onboarding => "not set",
                _ => "-",
            };
            return Span::styled(fit(text, room, self.mark()), self.theme.style(Role::Muted));
        }
        let shown = if secret { field.kind.masked(&text) } else { text };
        let role = match form.site().counts(field) {
            false => Role::Muted,
            true if form.origin(id) == "derived" => Role::Derived,
            true => Role::Plain,
        };
        Span::styled(fit(&shown, room, self.mark()), self.theme.style(role))
    }

    /// A line of the review: what is not the default is marked, what is not saved says what it was.
    fn value(&self, site: &Site, id: Id, focused: bool) -> Vec<Line<'static>> {
        let form = &site.form;
        let other = form.site().text(id) != form.default_text(id);
        let mark = if other { self.theme.glyphs.bullet() } else { " " };
        let (mut lines, _) = self.field(site, id, focused);
        if let Some(line) = lines.first_mut()
            && !focused
        {
            line.spans[0] = Span::styled(format!("{mark} "), self.theme.style(Role::Accent));
        }
        if form.edits().contains_key(&id) && form.profile().path().is_some() {
            let saved = form.profile().value(id.field()).ok().flatten().and_then(|r| r.value);
            let saved = saved.map_or_else(|| "nothing".to_owned(), |v| v.shown(id.field().kind));
            lines.extend(self.note(Role::Muted, &format!("the profile says {saved}"), 2 + self.label + 2));
        }
        if let Some(before) = rows::before(site, id) {
            let before = if before.is_empty() { "without it".to_owned() } else { format!("with {before}") };
            let text = format!("the last build was {before}");
            lines.extend(self.note(Role::Muted, &text, 2 + self.label + 2));
        }
        lines
    }

    fn group(&self, site: &Site, slug: &str, focused: bool) -> Line<'static> {
        let groups =
            site.kernels.value().and_then(|kernels| kernels.as_ref().ok()).map(|kernels| &kernels.groups);
        let Some(group) = groups.and_then(|groups| groups.iter().find(|group| group.slug == slug)) else {
            return Line::raw("");
        };
        let check = if kernels::is_on(site, slug) { "[x]" } else { "[ ]" };
        let role = if focused { Role::Selection } else { Role::Plain };
        let amount = group.amount.map_or_else(String::new, |amount| amount.to_string());
        let room = self.width.saturating_sub(2 + 4 + 1 + 22);
        Line::from(vec![
            self.pointer(focused),
            Span::styled(check, self.theme.style(role)),
            Span::raw(" "),
            self.named(&group.name, room, focused),
            Span::raw(" "),
            Span::styled(amount, self.theme.style(Role::Muted)),
        ])
    }

    fn component(&self, site: &Site, name: &str, focused: bool) -> Line<'static> {
        let entries = site.components.value().and_then(|c| c.as_ref().ok());
        let Some(entry) = entries.and_then(|all| all.iter().find(|e| e.name == name)) else {
            return Line::raw("");
        };
        let on = components::is_on(site, entry);
        let check = match (entry.fixed, on) {
            (true, _) => " x ",
            (false, true) => "[x]",
            (false, false) => "[ ]",
        };
        let role = if focused { Role::Selection } else { Role::Plain };
        let bytes = entry.bytes.map(size).unwrap_or_default();
        let mut about = entry.description.clone();
        if let Some(role) = &entry.role {
            about = format!("{role}: {about}");
        }
        if !entry.available {
            about = format!("{} no sources at hand. {about}", self.theme.glyphs.warn());
        }
        let room = self.width.saturating_sub(2 + 4 + self.label + 2 + 9);
        Line::from(vec![
            self.pointer(focused),
            Span::styled(check, self.theme.style(role)),
            Span::raw(" "),
            self.named(name, self.label, focused),
            Span::raw("  "),
            Span::styled(fit(&about, room, self.mark()), self.theme.style(Role::Muted)),
            Span::raw(" "),
            Span::raw(fit_right(&bytes, 8, self.mark())),
        ])
    }

    fn certificate(&self, site: &Site, at: usize, focused: bool) -> Vec<Line<'static>> {
        let Some(Ok(found)) = site.certificates.value() else { return Vec::new() };
        let Some(certificate) = rows::all_certificates(found).get(at).copied() else { return Vec::new() };
        let info = &certificate.info;
        let kind = match (info.authority, info.self_signed) {
            (true, true) => "root authority",
            (true, false) => "authority",
            (false, _) => "server",
        };
        let left = info.not_after - self.model.clock();
        let (role, sign) = match left {
            i64::MIN..0 => (Role::Error, self.theme.glyphs.fail()),
            0..2_592_000 => (Role::Warn, self.theme.glyphs.warn()),
            _ => (Role::Ok, self.theme.glyphs.ok()),
        };
        let name = clip(&info.subject, self.width.saturating_sub(kind.len() + 8), self.mark());
        let mut lines = vec![Line::from(vec![
            self.pointer(focused),
            Span::styled(format!("{sign} "), self.theme.style(role)),
            Span::styled(name, self.theme.style(if focused { Role::Focus } else { Role::Plain })),
            Span::styled(format!("  {kind}"), self.theme.style(Role::Muted)),
        ])];
        let date = crate::site::certificates::date;
        let mut about = vec![
            format!("valid {} to {}, {}", date(info.not_before), date(info.not_after), words::until(left)),
            info.key.clone(),
        ];
        if !info.self_signed {
            about.push(format!("issued by {}", info.issuer));
        }
        if !info.names.is_empty() {
            about.push(format!("for {}", info.names.join(", ")));
        }
        about.push(format!("SHA-256 {}", info.fingerprint.hex()));
        let short = !focused;
        for text in about.into_iter().take(if short { 1 } else { usize::MAX }) {
            lines.extend(self.note(Role::Muted, &text, 4));
        }
        lines
    }
}

/// The text at the right end of `room` columns.
fn fit_right(text: &str, room: usize, mark: &str) -> String {
    let text = clip(text, room, mark);
    format!("{}{text}", " ".repeat(room.saturating_sub(width(&text))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_focus_is_always_in_sight_and_arrows_pass_over_no_line(
            rows in prop::collection::vec((1usize..9, any::<bool>()), 1..60),
            height in 1usize..30,
        ) {
            let mut extent = Extent { spots: Vec::new(), height };
            for (tall, can_focus) in rows {
                extent.spots.push(Spot { at: extent.total(), tall, can_focus, focused: false });
            }
            let places: Vec<usize> = (0..extent.spots.len()).filter(|at| extent.spots[*at].can_focus).collect();
            let Some(first) = places.first().copied() else { return Ok(()) };
            extent.spots[first].focused = true;
            let mut seen = vec![false; extent.total()];
            // Up to the very top, then down to the very end.
            for down in [false, true] {
                let mut scroll = None;
                loop {
                    let from = extent.from(scroll);
                    seen.iter_mut().skip(from).take(height).for_each(|line| *line = true);
                    if scroll.is_none() {
                        let spot = extent.spots.iter().find(|spot| spot.focused).unwrap();
                        prop_assert!(from <= spot.at && spot.at < from + height);
                        prop_assert!(spot.tall > height || spot.at + spot.tall <= from + height);
                    }
                    if let Some(to) = extent.scrolled(scroll, down) {
                        prop_assert_ne!(to, from);
                        scroll = Some(to);
                        continue;
                    }
                    let now = extent.spots.iter().position(|spot| spot.focused).unwrap();
                    let next = places.iter().copied().find(|at| *at > now).filter(|_| down);
                    let Some(next) = next else { break };
                    extent.spots[now].focused = false;
                    extent.spots[next].focused = true;
                    scroll = None;
                }
            }
            prop_assert!(seen.iter().all(|line| *line));
        }
    }
}
