//! What the state looks like. Views read and draw, nothing else.

pub mod build;
pub mod log;
pub mod overlays;
pub mod panel;
mod rail;
pub mod result;
pub mod rows;
pub mod text;

use super::keys;
use super::model::{Model, Screen};
use super::step::{State, Step};
use super::theme::Role;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;
use text::{clip, fit, width};

/// Below this the screens do not fit.
pub const LEAST: (u16, u16) = (60, 16);
/// From this width on the steps stand beside the screen.
const RAIL: u16 = 100;
/// Columns of the steps.
const STEPS: u16 = 33;

/// Draws everything.
pub fn view(model: &Model, frame: &mut Frame) {
    let area = frame.area();
    if area.width < LEAST.0 || area.height < LEAST.1 {
        return too_small(frame, area);
    }
    let [head, rule, body, panel_rule, panel, foot] = parts(area);
    header(model, frame, head);
    if matches!(model.screen, Screen::Build | Screen::Result | Screen::Machine) {
        let notice = model.notice.as_ref().map(|notice| (notice.role, notice.text.as_str()));
        line(model, frame, rule, notice);
        let (columns, lines) = model.body();
        run(model, frame, Rect { x: area.x, y: body.y, width: columns, height: lines });
        footer(model, frame, foot);
        return overlays::view(model, frame, area);
    }
    line(model, frame, rule, None);
    let body = match &model.site {
        Some(site) if has_rail(model) => {
            let [left, wall, right] =
                Layout::horizontal([Constraint::Length(STEPS), Constraint::Length(1), Constraint::Min(40)])
                    .areas(body);
            rail::view(model, site, frame, left);
            let wall_line = Line::styled(model.theme.glyphs.wall(), model.theme.style(Role::Border));
            frame.render_widget(Paragraph::new(vec![wall_line; usize::from(wall.height)]), wall);
            right
        }
        _ => body,
    };
    rows::view(model, frame, body);
    let notice = model.notice.as_ref().map(|notice| (notice.role, notice.text.as_str()));
    line(model, frame, panel_rule, notice);
    panel::view(model, frame, panel);
    footer(model, frame, foot);
    overlays::view(model, frame, area);
}

/// Head, rule, list, rule, panel, foot.
fn parts(area: Rect) -> [Rect; 6] {
    Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(4),
        Constraint::Length(1),
        Constraint::Length(if area.height < 20 { 3 } else { 4 }),
        Constraint::Length(1),
    ])
    .areas(area)
}

/// Whether the steps stand beside the list.
fn has_rail(model: &Model) -> bool {
    model.screen == Screen::Site && model.size.0 >= RAIL
}

/// Columns and lines of the list.
fn list(model: &Model) -> (u16, u16) {
    let [_, _, body, ..] = parts(Rect::new(0, 0, model.size.0, model.size.1));
    (if has_rail(model) { body.width.saturating_sub(STEPS + 1) } else { body.width }, body.height)
}

/// A build or what came of it: it has the whole width, for logs have long lines.
fn run(model: &Model, frame: &mut Frame, area: Rect) {
    match (model.screen, &model.watch, &model.result) {
        (Screen::Result, _, Some(result)) => result::view_result(frame, area, result, &model.theme),
        (Screen::Machine, ..) => {
            if let Some(trial) = &model.trial {
                build::view_machine(frame, area, trial, model.now, &model.theme);
            }
        }
        (_, Some(watch), _) => build::view_build(frame, area, &watch.state, &model.theme),
        _ => {}
    }
}

/// The screen is too small: say so, in as many words as fit.
fn too_small(frame: &mut Frame, area: Rect) {
    let lines = [
        format!("{}x{} is too small.", area.width, area.height),
        format!("hookos needs {}x{}.", LEAST.0, LEAST.1),
        "Enlarge the window; Ctrl-C leaves.".to_owned(),
    ];
    let lines: Vec<Line> = lines.into_iter().map(|l| Line::raw(clip(&l, area.width.into(), "~"))).collect();
    frame.render_widget(Paragraph::new(lines), area);
}

fn header(model: &Model, frame: &mut Frame, area: Rect) {
    let theme = &model.theme;
    let (left, right) = match (&model.site, model.screen) {
        (Some(site), Screen::Site) => {
            let unsaved = if site.changed() { " (not saved)" } else { "" };
            let all = Step::ALL;
            // The rail says the same where there is room for it.
            let signs: String = all.iter().map(|step| rail::look(site.state(*step), theme).0).collect();
            let signs = if area.width < RAIL { format!("{signs}  ") } else { String::new() };
            let step = format!("{signs}Step {}/{}: {}", site.step.number(), all.len(), site.step.title());
            (format!("{}{unsaved}", site.form.name), step)
        }
        (_, Screen::Machine) => {
            let trial = model.trial.as_ref();
            let title = trial.map_or("", |trial| trial.job.title());
            (trial.map_or(String::new(), |trial| trial.profile.clone()), title.to_owned())
        }
        (_, Screen::Build | Screen::Result) => {
            let name = model.watch.as_ref().map_or("", |watch| watch.state.profile.as_str());
            let step = Step::Build;
            let numbered = format!("Step {}/{}: {}", step.number(), Step::ALL.len(), step.title());
            let result = model.screen == Screen::Result;
            let what = if result { "Result".to_owned() } else { numbered };
            (name.to_owned(), format!("{}{what}", signs_of_run(model, result)))
        }
        _ => ("Sites".to_owned(), String::new()),
    };
    let room = usize::from(area.width).saturating_sub(10 + width(&right) + 2);
    let left = fit(&left, room, theme.glyphs.ellipsis());
    let spans = vec![
        Span::styled(" hookos  ", theme.style(Role::Accent)),
        Span::styled(left, theme.style(Role::Strong)),
        Span::raw("  "),
        Span::styled(right, theme.style(Role::Muted)),
    ];
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// The steps of the site whose run is on the screen; none for a run of another. No rail stands beside it.
fn signs_of_run(model: &Model, result: bool) -> String {
    let Some(site) = model.site.as_ref().filter(|_| model.watches_site()) else { return String::new() };
    let state = |step: &Step| match step {
        Step::Build if result => State::Done,
        Step::Build => State::Current,
        step => site.seen(*step),
    };
    let signs: String = Step::ALL.iter().map(|step| rail::look(state(step), &model.theme).0).collect();
    format!("{signs}  ")
}

/// A rule over the whole width, with a message in it.
fn line(model: &Model, frame: &mut Frame, area: Rect, text: Option<(Role, &str)>) {
    let theme = &model.theme;
    let rule = theme.glyphs.rule();
    let border = theme.style(Role::Border);
    let total = usize::from(area.width);
    let line = match text {
        None => Line::styled(rule.repeat(total), border),
        Some((role, text)) => {
            let glyph = match role {
                Role::Ok => theme.glyphs.ok(),
                Role::Error => theme.glyphs.fail(),
                Role::Warn => theme.glyphs.warn(),
                _ => theme.glyphs.bullet(),
            };
            let text = clip(text, total.saturating_sub(8), theme.glyphs.ellipsis());
            let rest = total.saturating_sub(6 + width(&text));
            Line::from(vec![
                Span::styled(rule.repeat(2), border),
                Span::styled(format!(" {glyph} {text} "), theme.style(role)),
                Span::styled(rule.repeat(rest), border),
            ])
        }
    };
    frame.render_widget(Paragraph::new(line), area);
}

/// The word of an action in the footer.
fn word(model: &Model, entry: &keys::Entry) -> Option<&'static str> {
    use super::rows::Row;
    match (entry.action, entry.context) {
        (keys::Action::Activate, keys::Context::Site) => match model.focus()? {
            Row::Field(_) => Some("next"),
            Row::Do(..) => Some("do it"),
            Row::Component(_) | Row::Group(_) => Some("switch"),
            Row::Release(..) => Some("take it"),
            Row::Problem(_) => Some("go there"),
            Row::Value(_) => Some("go there"),
            _ => None,
        },
        _ => entry.footer,
    }
}

/// The keys that are wanted most, as many as fit.
fn footer(model: &Model, frame: &mut Frame, area: Rect) {
    let theme = &model.theme;
    let hints: Vec<(String, &str)> = match &model.overlay {
        Some(overlay) => overlays::hints(overlay),
        None => {
            let contexts = model.contexts();
            let mut entries: Vec<_> = keys::offered(&contexts)
                .filter(|entry| model.allows(entry.action))
                .filter_map(|entry| Some((entry.keys.first()?.name(), word(model, entry)?, entry.context)))
                .collect();
            // What is always there comes last.
            entries.sort_by_key(|(.., context)| {
                matches!(context, keys::Context::Anywhere | keys::Context::Letters)
            });
            // More than seven are not taken in at a glance; the menu has them all.
            entries.into_iter().take(7).map(|(key, word, _)| (key, word)).collect()
        }
    };
    let mut spans = vec![Span::raw(" ")];
    let mut used = 1;
    // The menu is the way to everything else: it is never the one that is left out.
    let menu = hints.iter().rposition(|(_, word)| *word == "menu");
    let reserve = menu.map_or(0, |at| width(&hints[at].0) + 1 + hints[at].1.len() + 2);
    for (at, (key, word)) in hints.iter().enumerate() {
        let wide = width(key) + 1 + word.len() + 2;
        let keep = if menu.is_some_and(|menu| at < menu) { reserve } else { 0 };
        if used + wide + keep > usize::from(area.width) {
            continue;
        }
        used += wide;
        spans.push(Span::styled(key.clone(), theme.style(Role::Accent)));
        spans.push(Span::styled(format!(" {word}  "), theme.style(Role::Plain)));
    }
    frame.render_widget(Paragraph::new(Line::from(spans)), area);
}

/// What there is to know of the row in focus, line by line.
pub fn facts(model: &Model) -> Vec<String> {
    panel::words(model).into_iter().map(|(_, text)| text).collect()
}

pub use rows::text_of;

#[cfg(test)]
mod build_tests;
#[cfg(test)]
mod check_tests;
#[cfg(test)]
mod reach_tests;
#[cfg(test)]
mod tests;
