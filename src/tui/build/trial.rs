//! A machine that boots the image, or another command of this program, with what it says in a pane.

use super::action::{BuildAction, BuildEffect, Typing, read};
use crate::tui::keys::Key;
use crate::tui::log::{LogBuffer, Pane, Scope, Source};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What runs in the pane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// A machine with the image, until all of it is up.
    Boot,
    /// The site is put on this published image.
    Stamp(PathBuf),
}

impl Job {
    pub fn title(&self) -> &'static str {
        match self {
            Self::Boot => "Machine",
            Self::Stamp(_) => "Stamp",
        }
    }

    /// What can be said of it while it runs.
    pub fn about(&self) -> &'static str {
        match self {
            Self::Boot => "it powers off when all is up",
            Self::Stamp(_) => "it ends by itself",
        }
    }

    /// What a good end means.
    pub fn done(&self) -> &'static str {
        match self {
            Self::Boot => "all came up and it powered off",
            Self::Stamp(_) => "the stamped image is in out/PROFILE/stamped",
        }
    }

    /// The words of the command, for an image in `out`.
    pub fn words(&self, profile: &str, out: &Path) -> Vec<OsString> {
        let word = OsString::from;
        match self {
            Self::Boot => vec![word("boot"), word(profile), word("--check"), word("--plain")],
            Self::Stamp(image) => vec![
                word("stamp"),
                image.into(),
                word("--profile"),
                word(profile),
                word("--out"),
                out.join("stamped").into(),
                word("--plain"),
            ],
        }
    }

    /// The name of the file with all that it says, in the profile's folder of logs.
    pub fn log(&self) -> &'static str {
        match self {
            Self::Boot => "console.log",
            Self::Stamp(_) => "stamp.log",
        }
    }
}

#[derive(Debug)]
pub struct Trial {
    /// What comes of machines with other numbers is late.
    pub number: u64,
    pub profile: String,
    pub job: Job,
    pub log: LogBuffer,
    source: Source,
    pane: Pane,
    typing: Option<Typing>,
    pub notice: Option<String>,
    /// The file that gets the whole console.
    pub file: PathBuf,
    began: Duration,
    /// When it ended, and with which exit code.
    pub end: Option<(Duration, i32)>,
    pub stopping: bool,
    size: (u16, u16),
}

impl Trial {
    pub fn new(number: u64, profile: &str, job: Job, file: PathBuf, size: (u16, u16), now: Duration) -> Self {
        let mut log = LogBuffer::default();
        let source = log.source(0, "");
        let mut trial = Self {
            number,
            profile: profile.to_owned(),
            job,
            log,
            source,
            pane: Pane::new(Scope::Source(source)),
            typing: None,
            notice: None,
            file,
            began: now,
            end: None,
            stopping: false,
            size,
        };
        trial.resize(size);
        trial
    }

    /// Takes lines of the console.
    pub fn take(&mut self, lines: &[Vec<u8>], now: Duration) {
        for line in lines {
            self.log.push(self.source, now.saturating_sub(self.began), line);
        }
        self.pane.refresh(&self.log);
    }

    pub fn running(&self) -> bool {
        self.end.is_none()
    }

    /// Seconds that it has run.
    pub fn elapsed(&self, now: Duration) -> f64 {
        self.end.map_or(now, |(end, _)| end).saturating_sub(self.began).as_secs_f64()
    }

    pub fn pane(&self) -> &Pane {
        &self.pane
    }

    pub fn typing(&self) -> Option<&Typing> {
        self.typing.as_ref()
    }

    pub fn resize(&mut self, size: (u16, u16)) {
        self.size = size;
        // The head and the log's title.
        self.pane.resize(&self.log, (size.0, size.1.saturating_sub(2)));
    }

    pub fn typed(&mut self, key: Key) {
        Typing::key(&mut self.typing, key, &mut self.pane, &self.log);
    }

    pub fn paste(&mut self, text: &str) {
        if let Some(typing) = &mut self.typing {
            typing.line.insert(text);
        }
    }

    pub fn wheel(&mut self, up: bool) {
        if up { self.pane.up(&self.log, 3) } else { self.pane.down(&self.log, 3) }
    }

    pub fn handle(&mut self, action: BuildAction) -> Option<BuildEffect> {
        use BuildAction as A;
        self.pane.notice = None;
        match action {
            A::Cancel if self.running() => {
                self.stopping = true;
                return Some(BuildEffect::Cancel);
            }
            A::Search | A::Filter => self.typing = Some(Typing::begin(action == A::Filter, &self.pane)),
            A::Copy => return Some(BuildEffect::Copy(self.pane.visible_text(&self.log))),
            A::Pager => return Some(BuildEffect::Pager(self.file.clone())),
            A::Save => {
                let text = self.pane.whole_text(&self.log);
                return Some(BuildEffect::Save { name: "console-shown.txt".to_owned(), text });
            }
            action => {
                read(&mut self.pane, &self.log, action);
            }
        }
        self.notice = self.pane.notice.take();
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ratatui::crossterm::event::KeyCode;

    #[test]
    fn a_console_is_followed_searched_and_ended() {
        let mut trial =
            Trial::new(1, "lab", Job::Boot, "/l/boot.log".into(), (80, 20), Duration::from_secs(5));
        let lines: Vec<Vec<u8>> = (0..100).map(|n| format!("\x1b[32mline {n}\x1b[m").into_bytes()).collect();
        trial.take(&lines, Duration::from_secs(6));
        assert!(trial.pane().following());
        assert!(trial.pane().visible_text(&trial.log).ends_with("line 99\n"));
        trial.handle(BuildAction::Search);
        for c in "line 7".chars() {
            trial.typed(Key { code: KeyCode::Char(c), ctrl: false });
        }
        trial.typed(Key { code: KeyCode::Enter, ctrl: false });
        assert!(trial.typing().is_none() && !trial.pane().following());
        trial.handle(BuildAction::Last);
        assert!(trial.pane().following());
        assert_eq!(trial.handle(BuildAction::Cancel), Some(BuildEffect::Cancel));
        trial.end = Some((Duration::from_secs(35), 0));
        assert_eq!((trial.elapsed(Duration::from_secs(99)), trial.running()), (30.0, false));
        assert_eq!(trial.handle(BuildAction::Cancel), None);
    }
}
