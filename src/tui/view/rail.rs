//! The steps beside the screen: a sign, the name and a word for each.

use super::super::model::{Model, Site};
use super::super::step::{State, Step};
use super::super::theme::{Role, Theme};
use super::text::fit;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::Paragraph;

/// Sign and role of a state.
pub fn look(state: State, theme: &Theme) -> (&'static str, Role) {
    match state {
        State::Current => (theme.glyphs.arrow(), Role::Focus),
        State::Done => (theme.glyphs.ok(), Role::Ok),
        State::Attention => (theme.glyphs.fail(), Role::Error),
        State::Review => (theme.glyphs.warn(), Role::Warn),
        State::Open => (theme.glyphs.wait(), Role::Plain),
        State::Locked => (theme.glyphs.locked(), Role::Muted),
    }
}

pub fn view(model: &Model, site: &Site, frame: &mut Frame, area: Rect) {
    let theme = &model.theme;
    let mut lines = Vec::new();
    for step in Step::ALL {
        let state = site.state(step);
        let (sign, role) = look(state, theme);
        let style = theme.style(role);
        let word = state.word();
        let name = fit(step.title(), 13, theme.glyphs.ellipsis());
        let name_style = if state == State::Current { style } else { theme.style(Role::Plain) };
        lines.push(Line::from(vec![
            Span::styled(format!(" {sign} "), style),
            Span::styled(format!("{name} "), name_style),
            Span::styled(word.to_owned(), style),
        ]));
    }
    frame.render_widget(Paragraph::new(lines), area);
}
