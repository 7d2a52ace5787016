//! How things look: roles, not colours. Screens name a [`Role`]; this table alone knows what a
//! terminal makes of it.
//!
//! * Sixteen colours by their ANSI names, so that the person's own palette and a light background work.
//!   No background is ever set: the selection is the terminal's own colours reversed.
//! * Without colour, attributes alone. The decision is ours and not crossterm's, which under `NO_COLOR`
//!   drops bold and reverse together with the colours.
//! * A state is always a glyph, a word and a style, so none of the three has to be seen.

use ratatui::style::{Color, Modifier, Style};

/// What a piece of text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Plain,
    /// Less important: hints, units, origins.
    Muted,
    /// Headings.
    Strong,
    /// Keys and what belongs to the place that one is at.
    Accent,
    /// The field or pane that keys go to.
    Focus,
    /// The chosen row.
    Selection,
    Ok,
    Warn,
    Error,
    Info,
    Border,
    /// A value that follows from another one.
    Derived,
}

impl Role {
    pub const ALL: [Self; 12] = [
        Self::Plain,
        Self::Muted,
        Self::Strong,
        Self::Accent,
        Self::Focus,
        Self::Selection,
        Self::Ok,
        Self::Warn,
        Self::Error,
        Self::Info,
        Self::Border,
        Self::Derived,
    ];
}

/// Signs in front of words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Glyphs {
    Unicode,
    /// For terminals and fonts that have nothing else.
    Ascii,
}

impl Glyphs {
    fn pick(self, unicode: &'static str, ascii: &'static str) -> &'static str {
        match self {
            Self::Unicode => unicode,
            Self::Ascii => ascii,
        }
    }

    pub fn ok(self) -> &'static str {
        self.pick("✓", "+")
    }

    pub fn fail(self) -> &'static str {
        self.pick("✗", "x")
    }

    /// Something that moves while work goes on.
    pub fn run(self, tick: u64) -> &'static str {
        const TURN: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
        const ASCII: [&str; 4] = ["|", "/", "-", "\\"];
        match self {
            Self::Unicode => TURN[(tick % 10) as usize],
            Self::Ascii => ASCII[(tick % 4) as usize],
        }
    }

    pub fn wait(self) -> &'static str {
        self.pick("·", ".")
    }

    /// What cannot be had yet.
    pub fn locked(self) -> &'static str {
        self.pick("-", "-")
    }

    pub fn cached(self) -> &'static str {
        self.pick("=", "=")
    }

    pub fn warn(self) -> &'static str {
        self.pick("!", "!")
    }

    pub fn bullet(self) -> &'static str {
        self.pick("•", "*")
    }

    pub fn arrow(self) -> &'static str {
        self.pick("›", ">")
    }

    pub fn ellipsis(self) -> &'static str {
        self.pick("…", "~")
    }

    pub fn bar_full(self) -> &'static str {
        self.pick("━", "#")
    }

    pub fn bar_empty(self) -> &'static str {
        self.pick("─", "-")
    }

    /// The thumb of a scroll bar.
    pub fn scroll(self) -> &'static str {
        self.pick("┃", "#")
    }

    /// A horizontal line.
    pub fn rule(self) -> &'static str {
        self.pick("─", "-")
    }

    /// A vertical line.
    pub fn wall(self) -> &'static str {
        self.pick("│", "|")
    }

    /// The corners of a box: top left, top right, bottom left, bottom right.
    pub fn corners(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Unicode => ("┌", "┐", "└", "┘"),
            Self::Ascii => ("+", "+", "+", "+"),
        }
    }

    /// What stands for a hidden character.
    pub fn mask(self) -> &'static str {
        self.pick("•", "*")
    }
}

/// Styles and signs of one terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Theme {
    pub glyphs: Glyphs,
    colours: bool,
}

impl Theme {
    /// What the environment says of the terminal: `NO_COLOR`, `TERM`, the locale.
    pub fn detect(env: impl Fn(&str) -> Option<String>) -> Self {
        let said = |name: &str| env(name).filter(|value| !value.is_empty());
        let term = said("TERM").unwrap_or_default();
        let vt = term.strip_prefix("vt").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
        let plain = vt || term == "dumb" || term.ends_with("-m") || term.ends_with("-mono");
        let locale = said("LC_ALL").or_else(|| said("LC_CTYPE")).or_else(|| said("LANG")).unwrap_or_default();
        let locale = locale.to_ascii_lowercase();
        let unicode = locale.contains("utf-8") || locale.contains("utf8");
        // The console of Linux has a font of 256 signs.
        let ascii = plain || term == "linux" || !unicode;
        Self {
            glyphs: if ascii { Glyphs::Ascii } else { Glyphs::Unicode },
            colours: !plain && said("NO_COLOR").is_none(),
        }
    }

    /// Attributes and ASCII alone.
    pub fn mono_ascii() -> Self {
        Self { glyphs: Glyphs::Ascii, colours: false }
    }

    /// Sixteen colours and Unicode.
    pub fn sixteen() -> Self {
        Self { glyphs: Glyphs::Unicode, colours: true }
    }

    pub fn style(&self, role: Role) -> Style {
        let plain = Style::new();
        let attributes = match role {
            Role::Plain | Role::Ok | Role::Info | Role::Accent => plain,
            Role::Muted | Role::Border => plain.add_modifier(Modifier::DIM),
            Role::Strong | Role::Warn | Role::Error | Role::Focus => plain.add_modifier(Modifier::BOLD),
            Role::Selection => plain.add_modifier(Modifier::REVERSED),
            Role::Derived => plain.add_modifier(Modifier::ITALIC),
        };
        if !self.colours {
            return match role {
                // Without a colour something else must tell keys from words.
                Role::Accent => plain.add_modifier(Modifier::BOLD),
                Role::Focus => attributes.add_modifier(Modifier::UNDERLINED),
                _ => attributes,
            };
        }
        match role {
            Role::Accent | Role::Focus => attributes.fg(Color::Cyan),
            Role::Ok => attributes.fg(Color::Green),
            Role::Warn => attributes.fg(Color::Yellow),
            Role::Error => attributes.fg(Color::Red),
            Role::Info => attributes.fg(Color::Blue),
            _ => attributes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn detect(vars: &[(&str, &str)]) -> Theme {
        Theme::detect(|name| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn the_environment_decides_signs_and_colours() {
        let utf8 = ("LANG", "en_GB.UTF-8");
        assert_eq!(detect(&[("TERM", "xterm-256color"), utf8]), Theme::sixteen());
        let mono = detect(&[("TERM", "xterm"), utf8, ("NO_COLOR", "1")]);
        assert!(!mono.colours && mono.glyphs == Glyphs::Unicode);
        assert!(
            detect(&[("TERM", "xterm"), utf8, ("NO_COLOR", "")]).colours,
            "an empty NO_COLOR says nothing"
        );
        let console = detect(&[("TERM", "linux"), utf8]);
        assert!(console.colours && console.glyphs == Glyphs::Ascii);
        assert_eq!(detect(&[("TERM", "vt220"), utf8]), Theme::mono_ascii());
        assert!(detect(&[("TERM", "vte-256color"), utf8]).colours);
        assert_eq!(detect(&[("TERM", "xterm"), ("LC_ALL", "C"), utf8]).glyphs, Glyphs::Ascii);
        assert_eq!(detect(&[("TERM", "xterm"), ("LC_ALL", ""), utf8]).glyphs, Glyphs::Unicode);
    }

    #[test]
    fn without_colour_no_colour_is_named_and_no_theme_sets_a_background() {
        for role in Role::ALL {
            let mono = Theme::mono_ascii().style(role);
            assert_eq!((mono.fg, mono.bg), (None, None), "{role:?}");
            assert_eq!(Theme::sixteen().style(role).bg, None, "{role:?}");
        }
        let mono = Theme::mono_ascii();
        assert_ne!(mono.style(Role::Selection), mono.style(Role::Plain));
        assert_ne!(mono.style(Role::Focus), mono.style(Role::Strong));
    }

    #[test]
    fn ascii_signs_are_ascii_and_all_signs_are_one_column_wide() {
        use ratatui::text::Span;
        for glyphs in [Glyphs::Ascii, Glyphs::Unicode] {
            let mut all = vec![
                glyphs.ok(),
                glyphs.fail(),
                glyphs.wait(),
                glyphs.cached(),
                glyphs.warn(),
                glyphs.bullet(),
                glyphs.arrow(),
                glyphs.ellipsis(),
                glyphs.bar_full(),
                glyphs.bar_empty(),
                glyphs.scroll(),
                glyphs.rule(),
                glyphs.wall(),
                glyphs.mask(),
            ];
            all.extend((0..20).map(|tick| glyphs.run(tick)));
            for sign in all {
                assert_eq!(Span::raw(sign).width(), 1, "{sign}");
                assert!(glyphs == Glyphs::Unicode || sign.is_ascii(), "{sign}");
            }
        }
    }
}
