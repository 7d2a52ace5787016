//! A build on the screen: how far the whole is, a row for each stage and for what it is at, what went
//! wrong, and the log of the chosen row.

use super::super::build::action::Typing;
use super::super::build::failure::Part;
use super::super::build::list::{self, Listed, Pick};
use super::super::build::rows::{Row, State};
use super::super::build::state::StageRows;
use super::super::build::{BuildState, Job, Trial};
use super::super::theme::{Role, Theme};
use super::log::{LogView, grouped, view_log};
use super::text::{clip, fit, width, wrap};
use crate::build::Outcome;
use crate::words::{about, amount, time};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use std::time::Duration;

/// Draws a build.
pub fn view_build(frame: &mut Frame, area: Rect, state: &BuildState, theme: &Theme) {
    let area = area.intersection(frame.area());
    if area.is_empty() {
        return;
    }
    let heights = list::areas(area.height, state.zoomed(), state.failure().is_some());
    let mut y = area.y;
    let mut next = |height: u16| {
        let part = Rect { y, height, ..area };
        y += height;
        part
    };
    overall(frame, next(heights.overall), state, theme);
    rows(frame, next(heights.list), state, theme);
    failure(frame, next(heights.failure), state, theme);
    log(frame, next(heights.log), state, theme);
}

fn log(frame: &mut Frame, area: Rect, state: &BuildState, theme: &Theme) {
    let Some(pane) = state.pane() else { return };
    let title = state.pick_name();
    let typing = state.typing().map(prompt);
    let notice = state.notice.as_deref();
    view_log(frame, area, &LogView { buffer: &state.log, pane, title: &title, notice, typing, theme });
}

/// Draws a machine that boots the image.
pub fn view_machine(frame: &mut Frame, area: Rect, trial: &Trial, now: Duration, theme: &Theme) {
    let glyphs = theme.glyphs;
    let took = time(trial.elapsed(now));
    let (role, sign, text) = match trial.end {
        None if trial.stopping => (Role::Warn, glyphs.warn(), format!("ending, after {took}")),
        None => {
            let ticks = now.as_millis() as u64 / 100;
            (Role::Accent, glyphs.run(ticks), format!("running for {took}; {}", trial.job.about()))
        }
        Some((_, 0)) => (
            Role::Ok,
            glyphs.ok(),
            format!("{}, in {took}", trial.job.done().replace("PROFILE", &trial.profile)),
        ),
        Some((_, 130)) => (Role::Warn, glyphs.warn(), format!("ended after {took}")),
        Some((_, code)) => (Role::Error, glyphs.fail(), format!("failed after {took}, exit code {code}")),
    };
    let head = Line::styled(format!(" {sign} {text}"), theme.style(role));
    frame.render_widget(Paragraph::new(head), Rect { height: area.height.min(1), ..area });
    let rest = Rect { y: area.y + 1, height: area.height.saturating_sub(1), ..area };
    let notice = trial.notice.as_deref();
    let typing = trial.typing().map(prompt);
    let (buffer, pane) = (&trial.log, trial.pane());
    let title = if trial.job == Job::Boot { "console" } else { "output" };
    view_log(frame, rest, &LogView { buffer, pane, title, notice, typing, theme });
}

fn prompt(typing: &Typing) -> (&'static str, &super::super::line::Line) {
    (if typing.filter { "Only lines with" } else { "Search" }, &typing.line)
}

/// A bar of so many columns.
fn gauge(fraction: f64, columns: usize, theme: &Theme) -> [Span<'static>; 2] {
    let full = ((fraction * columns as f64).floor() as usize).min(columns);
    [
        Span::styled(theme.glyphs.bar_full().repeat(full), theme.style(Role::Accent)),
        Span::styled(theme.glyphs.bar_empty().repeat(columns - full), theme.style(Role::Border)),
    ]
}

fn overall(frame: &mut Frame, area: Rect, state: &BuildState, theme: &Theme) {
    let (glyphs, profile) = (theme.glyphs, &state.profile);
    let took = time(state.elapsed());
    let mut spans = vec![Span::raw(" ")];
    match state.end() {
        Some(end) => {
            let (glyph, role, text) = match end.outcome {
                Outcome::Ok => (glyphs.ok(), Role::Ok, format!("{profile} is built, in {took}")),
                Outcome::Failed => {
                    (glyphs.fail(), Role::Error, format!("The build of {profile} failed after {took}"))
                }
                Outcome::Cancelled => (
                    glyphs.warn(),
                    Role::Warn,
                    format!("{profile}: cancelled after {took}; r goes on with it"),
                ),
            };
            spans.push(Span::styled(format!("{glyph} {text}"), theme.style(role)));
        }
        None if state.cancelling() => {
            let text = format!("{} {profile}: cancelling, as soon as what runs can stop", glyphs.warn());
            spans.push(Span::styled(text, theme.style(Role::Warn)));
        }
        None => {
            let done = state.overall();
            let name = clip(profile, usize::from(area.width / 4), glyphs.ellipsis());
            spans.push(Span::styled(format!("{name}  "), theme.style(Role::Strong)));
            spans.extend(gauge(done, usize::from(area.width / 3), theme));
            spans.push(Span::raw(format!("  {:>2} %  {took}", (done * 100.0).floor())));
            if let Some(left) = state.left() {
                spans.push(Span::styled(format!("  {} left", about(left)), theme.style(Role::Muted)));
            }
        }
    }
    let errors = state.log.errors();
    if errors > 0 {
        let word = if errors == 1 { "error" } else { "errors" };
        spans.push(Span::styled(format!("  {} {word} in the log", grouped(errors)), theme.style(Role::Warn)));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

fn rows(frame: &mut Frame, area: Rect, state: &BuildState, theme: &Theme) {
    let room = usize::from(area.height);
    let listed = state.listed(room);
    let offset = state.offset(&listed, room);
    let lines: Vec<Line> = listed
        .iter()
        .skip(offset)
        .take(room)
        .map(|row| match row {
            Listed::Row(pick) => row_line(state, *pick, area.width, theme),
            Listed::Rest { waiting, finished } => {
                let parts = [(waiting, "waiting"), (finished, "finished")];
                let parts: Vec<_> =
                    parts.iter().filter(|(n, _)| **n > 0).map(|(n, word)| format!("{n} {word}")).collect();
                Line::styled(format!("     {}", parts.join(", ")), theme.style(Role::Muted))
            }
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn row_line(state: &BuildState, pick: Pick, columns: u16, theme: &Theme) -> Line<'static> {
    let Some(stage) = state.stages().iter().find(|stage| stage.stage == pick.stage) else {
        return Line::default();
    };
    let item = pick.item.and_then(|at| stage.items.get(at));
    let row = item.unwrap_or(&stage.row);
    let ellipsis = theme.glyphs.ellipsis();
    let name_columns = match columns {
        ..76 => 18,
        76..110 => 24,
        _ => 30,
    };
    let indent = if item.is_some() { "  " } else { "" };
    let name = fit(&format!("{indent}{}", row.name), name_columns, ellipsis);
    let clock = row.elapsed(state.now()).filter(|_| row.state.begun()).map_or(String::new(), time);
    let role = row.state.role();
    let mut spans = vec![
        Span::styled(format!(" {} ", row.glyph(theme, state.ticks())), theme.style(role)),
        Span::styled(name, theme.style(if item.is_none() { Role::Strong } else { Role::Plain })),
        Span::styled(format!(" {:<9}", row.state.word()), theme.style(role)),
        Span::raw(format!(" {clock:>7}  ")),
    ];
    let used: usize = spans.iter().map(Span::width).sum();
    let room = usize::from(columns).saturating_sub(used + 1);
    spans.extend(match item {
        Some(item) => item_detail(state, item, room, theme),
        None => stage_detail(state, stage, room, theme),
    });
    let mut line = Line::from(spans);
    if state.pick() == pick && !state.zoomed() {
        let rest = usize::from(columns).saturating_sub(line.width());
        line.push_span(Span::raw(" ".repeat(rest)));
        // The whole row is the selection; colours under it would be backgrounds.
        let style = theme.style(Role::Selection);
        line = Line::from(
            line.spans.into_iter().map(|span| Span::styled(span.content, style)).collect::<Vec<_>>(),
        );
    }
    line
}

fn said(theme: &Theme, room: usize, role: Role, text: &str) -> Vec<Span<'static>> {
    vec![Span::styled(clip(text, room, theme.glyphs.ellipsis()), theme.style(role))]
}

fn silence(row: &Row, state: &BuildState, room: usize, theme: &Theme) -> Option<Vec<Span<'static>>> {
    let seconds = row.silent(state.now())?;
    let long = if seconds < 60 { format!("{seconds} s") } else { time(seconds as f64) };
    Some(said(theme, room, Role::Warn, &format!("no output for {long}")))
}

fn stage_detail(state: &BuildState, stage: &StageRows, room: usize, theme: &Theme) -> Vec<Span<'static>> {
    let row = &stage.row;
    let count = stage.items.len();
    let (reused, made) = (stage.count(|s| s == State::Reused), stage.count(|s| s == State::Done));
    let to_reuse = stage.count(|s| s == State::Reusable);
    match row.state {
        State::Running if count > 0 => {
            if let Some(quiet) = silence(row, state, room, theme) {
                return quiet;
            }
            let text = format!("{} of {count}", stage.count(State::finished));
            measured(stage.fraction(), &text, room, theme)
        }
        State::Running => item_detail(state, row, room, theme),
        State::Waiting if count > 0 => {
            let todo = count - to_reuse;
            let text = match (todo, to_reuse) {
                (0, n) => format!("{n} to reuse"),
                (n, 0) => format!("{n} to do"),
                (todo, n) => format!("{todo} to do, {n} to reuse"),
            };
            let guess = stage.expected().map_or(String::new(), |s| format!(", {}", about(s)));
            let whole = format!("{text}{guess}");
            let text = if width(&whole) <= room { whole } else { text };
            said(theme, room, Role::Muted, &text)
        }
        State::Waiting => stage.expected().map_or(Vec::new(), |s| said(theme, room, Role::Muted, &about(s))),
        state if state.finished() && count > 0 => {
            let failed = stage.count(|s| s == State::Failed);
            let parts = [(failed, "failed"), (made, "made"), (reused, "reused")];
            let parts: Vec<_> =
                parts.iter().filter(|(n, _)| *n > 0).map(|(n, w)| format!("{n} {w}")).collect();
            said(theme, room, if failed > 0 { Role::Error } else { Role::Muted }, &parts.join(", "))
        }
        _ => Vec::new(),
    }
}

fn item_detail(state: &BuildState, row: &Row, room: usize, theme: &Theme) -> Vec<Span<'static>> {
    if let Some(quiet) = silence(row, state, room, theme) {
        return quiet;
    }
    let running = row.state == State::Running;
    if let Some(progress) = row.progress.filter(|_| running) {
        let done = amount(progress.done, progress.unit);
        let Some(fraction) = progress.fraction() else {
            return said(theme, room, Role::Plain, &done);
        };
        let mut text = format!("{done} of {}", amount(progress.total, progress.unit));
        let rate = row.rate.per_second().map(|r| format!("{}/s", amount(r as u64, progress.unit)));
        let left = row.rate.left(&progress).map(|seconds| format!("{} left", about(seconds)));
        for part in [left, rate].into_iter().flatten() {
            if width(&text) + width(&part) + 16 <= room {
                text = format!("{text}, {part}");
            }
        }
        return measured(fraction, &text, room, theme);
    }
    match row.state {
        State::Running if room >= 12 => {
            let line = state.last_line(row.source).unwrap_or_default();
            said(theme, room, Role::Muted, line)
        }
        State::Failed => {
            let line = state.last_line(row.source).unwrap_or_default();
            said(theme, room, Role::Error, line)
        }
        State::Waiting => row.expected.map_or(Vec::new(), |s| said(theme, room, Role::Muted, &about(s))),
        _ => Vec::new(),
    }
}

/// A bar with words, or the words alone where there is no room for a bar.
fn measured(fraction: f64, text: &str, room: usize, theme: &Theme) -> Vec<Span<'static>> {
    let bar = room.saturating_sub(width(text) + 1).min(16);
    let mut spans = Vec::new();
    if bar >= 6 {
        spans.extend(gauge(fraction, bar, theme));
        spans.push(Span::raw(" "));
    }
    spans.extend(said(theme, room, Role::Plain, text));
    spans
}

fn failure(frame: &mut Frame, area: Rect, state: &BuildState, theme: &Theme) {
    let (room, most) = (usize::from(area.width).saturating_sub(4), usize::from(area.height));
    let mark = theme.glyphs.ellipsis();
    let mut lines: Vec<(Part, String)> = Vec::new();
    for (part, text) in state.failure_text() {
        match part {
            Part::Log => lines.push((part, middle(&text, room, theme))),
            _ => lines.extend(wrap(&text, room).into_iter().map(|line| (part, line))),
        }
    }
    // What was wrong, what to do and where to read more outlast the rest.
    let mut left_out = None;
    while lines.len() > most {
        let Some(least) = lines.iter().map(|(part, _)| *part).max() else { break };
        if let Some(at) = lines.iter().rposition(|(part, _)| *part == least) {
            lines.remove(at);
            left_out = Some(least);
        }
    }
    let cut = lines.iter().rposition(|(part, _)| Some(*part) == left_out);
    if let Some((_, last)) = cut.and_then(|at| lines.get_mut(at)) {
        *last = format!("{}{mark}", clip(last, room.saturating_sub(1), ""));
    }
    let lines: Vec<Line> = lines
        .into_iter()
        .enumerate()
        .map(|(at, (part, text))| {
            let sign = if at == 0 { theme.glyphs.fail() } else { " " };
            Line::styled(format!(" {sign} {text}"), theme.style(part.role()))
        })
        .collect();
    frame.render_widget(Paragraph::new(lines), area);
}

/// A path that is too long loses its middle: both ends say more.
fn middle(text: &str, room: usize, theme: &Theme) -> String {
    if width(text) <= room {
        return text.to_owned();
    }
    let mark = theme.glyphs.ellipsis();
    let head = room.saturating_sub(1) / 3;
    let tail = room.saturating_sub(1) - head;
    let start = clip(text, head, "");
    let mut end = text;
    while width(end) > tail {
        let mut rest = end.chars();
        rest.next();
        end = rest.as_str();
    }
    format!("{start}{mark}{end}")
}
