//! What came of a build: what to do next, the files, and what the image is made of.

use super::super::build::result::{NEXT, ResultAction, ResultRow, ResultState};
use super::super::build::sizes::{Change, Size, Sizes};
use super::super::theme::{Role, Theme};
use super::text::{clip, fit, width};
use crate::words::{size, time};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Columns of `━ packed ─ unpacked`.
const LEGEND: usize = 19;

/// Draws the result.
pub fn view_result(frame: &mut Frame, area: Rect, state: &ResultState, theme: &Theme) {
    let area = area.intersection(frame.area());
    if area.is_empty() {
        return;
    }
    let columns = usize::from(area.width);
    let title = |text: &str| (None, Line::styled(format!(" {text}"), theme.style(Role::Strong)));
    let mut all: Vec<(Option<ResultRow>, Line)> = vec![title("What next")];
    for (at, (action, label)) in NEXT.iter().enumerate() {
        let label = clip(&format!("   {label}"), columns, theme.glyphs.ellipsis());
        let room = columns.saturating_sub(width(&label) + 3);
        let command = match action {
            ResultAction::CopyCommand if room > 8 => clip(&state.command, room, theme.glyphs.ellipsis()),
            _ => String::new(),
        };
        let command = Span::styled(format!("  {command}"), theme.style(Role::Muted));
        all.push((Some(ResultRow::Next(at)), Line::from(vec![Span::raw(label), command])));
    }
    all.push((None, Line::default()));
    all.push(title("Files"));
    for (at, artifact) in state.artifacts.iter().enumerate() {
        all.push((Some(ResultRow::Artifact(at)), artifact_line(artifact, columns, theme)));
    }
    all.push((None, Line::default()));
    match &state.sizes {
        Some(Ok(sizes)) => {
            all.push((None, legend(sizes, columns, theme)));
            let largest = sizes.rows.iter().map(|row| row.unpacked.max(row.compressed)).max().unwrap_or(0);
            for (at, row) in sizes.rows.iter().enumerate() {
                all.push((Some(ResultRow::Size(at)), size_line(row, largest, columns, theme, true)));
            }
            all.push((None, size_line(&sizes.total, 0, columns, theme, false)));
        }
        Some(Err(problem)) => {
            let text = problem.to_string();
            let lines = text.lines().map(|line| clip(&format!(" {line}"), columns, theme.glyphs.ellipsis()));
            all.extend(lines.map(|line| (None, Line::styled(line, theme.style(Role::Warn)))));
        }
        None => all.push((None, Line::styled(" Sizes are being read.", theme.style(Role::Muted)))),
    }
    let focus = state.focus();
    let at = all.iter().position(|(row, _)| row.is_some() && *row == focus).unwrap_or(0);

    let summary = format!(" {} {} is built, in {}", theme.glyphs.ok(), state.profile, time(state.seconds));
    let notice = state.notice.as_ref().map_or(String::new(), |notice| format!("   {notice}"));
    let first = Line::from(vec![
        Span::styled(summary, theme.style(Role::Ok)),
        Span::styled(notice, theme.style(Role::Info)),
    ]);
    let room = usize::from(area.height).saturating_sub(1);
    // The heading above the first row comes along; else the row stands a third down.
    let offset = at.saturating_sub(room * 2 / 3).min(all.len().saturating_sub(room));
    let more = all.len() > offset + room;
    let mut shown = vec![first];
    for (row, line) in all.into_iter().skip(offset).take(room) {
        let chosen = row.is_some() && row == focus;
        shown.push(if chosen { selected(line, columns, theme) } else { line });
    }
    if more && let Some(last) = shown.last_mut().filter(|_| room > 1) {
        let mark = theme.glyphs.ellipsis();
        let text: String = last.spans.iter().map(|span| span.content.as_ref()).collect();
        if !text.trim().is_empty() {
            *last = Line::styled(format!(" {mark} more below"), theme.style(Role::Muted));
        }
    }
    frame.render_widget(Paragraph::new(shown), area);
}

/// The row with the focus: its pointer stands where every row is blank.
fn selected(line: Line<'_>, columns: usize, theme: &Theme) -> Line<'static> {
    let text: String = line.spans.iter().map(|span| span.content.as_ref()).collect();
    let text = text.strip_prefix("   ").unwrap_or(&text);
    let text = fit(text, columns.saturating_sub(3), "");
    let pointer = Span::styled(format!(" {} ", theme.glyphs.arrow()), theme.style(Role::Focus));
    Line::from(vec![pointer, Span::styled(text, theme.style(Role::Selection))])
}

fn artifact_line(
    artifact: &super::super::build::state::Artifact,
    columns: usize,
    theme: &Theme,
) -> Line<'static> {
    let name = artifact.path.file_name().unwrap_or(artifact.path.as_os_str()).to_string_lossy().into_owned();
    let ellipsis = theme.glyphs.ellipsis();
    let name = fit(&name, if columns < 76 { 20 } else { 24 }, ellipsis);
    let front = format!("   {name} {:>8}  ", size(artifact.bytes));
    let room = columns.saturating_sub(width(&front) + 1);
    let digest = clip(&artifact.sha256.to_string(), room, ellipsis);
    Line::from(vec![Span::raw(front), Span::styled(digest, theme.style(Role::Muted))])
}

/// Columns of a row of sizes: name, bar, change; the two sizes have eight each. There is no bar without its legend.
fn columns_of(columns: usize) -> (usize, usize, usize) {
    let change = 9;
    let name = if columns < 76 { 17 } else { 22 };
    let bar = columns.saturating_sub(3 + name + 1 + 9 + 9 + 2 + change + 1);
    (name, if bar < LEGEND { 0 } else { bar.min(48) }, change)
}

fn legend(sizes: &Sizes, columns: usize, theme: &Theme) -> Line<'static> {
    let (name, bar, change) = columns_of(columns);
    let glyphs = theme.glyphs;
    let key = format!("{} packed {} unpacked", glyphs.bar_full(), glyphs.bar_empty());
    let title = match bar {
        0 => "Components".to_owned(),
        _ => format!("Components, kernel {}", sizes.kernel),
    };
    let title = if width(&title) < name + 2 { title } else { "Components".to_owned() };
    let front = format!(" {}", fit(&title, name + 2, glyphs.ellipsis()));
    let gap = if bar > 0 { format!("{} ", fit(&key, bar, "")) } else { String::new() };
    let heads = format!(" {gap}{:>8} {:>8}  {:>change$}", "packed", "unpacked", "change");
    Line::from(vec![
        Span::styled(front, theme.style(Role::Strong)),
        Span::styled(heads, theme.style(Role::Muted)),
    ])
}

fn size_line(row: &Size, largest: u64, columns: usize, theme: &Theme, bars: bool) -> Line<'static> {
    let (name_columns, bar, change_columns) = columns_of(columns);
    let glyphs = theme.glyphs;
    let name = fit(&row.name, name_columns, glyphs.ellipsis());
    let mut spans =
        vec![Span::styled(format!("   {name} "), theme.style(if bars { Role::Plain } else { Role::Strong }))];
    if bar > 0 {
        // One bar for both: what is packed lies over what it unpacks to.
        let part = |bytes: u64| {
            let exact = bytes as f64 / largest.max(1) as f64 * bar as f64;
            if bytes == 0 || !bars { 0 } else { (exact.round() as usize).clamp(1, bar) }
        };
        let (packed, unpacked) = (part(row.compressed), part(row.unpacked));
        let rest = unpacked.saturating_sub(packed);
        spans.push(Span::styled(glyphs.bar_full().repeat(packed), theme.style(Role::Accent)));
        spans.push(Span::styled(glyphs.bar_empty().repeat(rest), theme.style(Role::Border)));
        spans.push(Span::raw(" ".repeat(bar - packed - rest + 1)));
    }
    // Nothing: it is gone; or names alone, of folders, links, empty files.
    let some = |bytes: u64| if bytes == 0 { "-".to_owned() } else { size(bytes) };
    spans.push(Span::raw(format!("{:>8} {:>8}  ", some(row.compressed), some(row.unpacked))));
    let (role, text) = change(row.change);
    spans.push(Span::styled(format!("{text:>change_columns$}"), theme.style(role)));
    Line::from(spans)
}

fn change(change: Change) -> (Role, String) {
    match change {
        Change::Unknown => (Role::Muted, String::new()),
        Change::Same => (Role::Muted, "same".to_owned()),
        Change::New => (Role::Info, "new".to_owned()),
        Change::Gone => (Role::Info, "gone".to_owned()),
        Change::By(0, unpacked) if unpacked != 0 => (Role::Info, "content".to_owned()),
        Change::By(packed, _) => {
            let sign = if packed < 0 { "-" } else { "+" };
            let role = if packed > 0 { Role::Warn } else { Role::Ok };
            (role, format!("{sign}{}", size(packed.unsigned_abs())))
        }
    }
}
