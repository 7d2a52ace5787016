//! One person's view of one scope of the log.
//!
//! Following is a state of its own: any motion upwards ends it, and only End (or asking for it) begins it
//! again, so that a log never pulls away what a person reads. Where the view stands is the number of its
//! topmost line.

use super::buffer::{Lines, LogBuffer, LogLine, Scope};
use super::clean::Level;
use super::find::Needle;
use super::window::{Place, Shown, Window, columns};
use std::collections::VecDeque;

/// Where the view stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scroll {
    /// At the end, and stays there.
    Follow,
    /// This row of the line with this number is the topmost.
    At { seq: u64, row: usize },
}

/// The lines that hold a text, found as they come.
#[derive(Debug)]
struct Filter {
    needle: Needle,
    found: VecDeque<u64>,
    /// Lines below this number have been looked at.
    looked: u64,
}

/// What of the box is not text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gutter {
    /// Columns of the time.
    pub time: usize,
    /// Columns of the source's name.
    pub name: usize,
}

/// Columns for the sign of a line's level, and for the scroll bar.
pub const MARGIN: usize = 2;
const BAR: usize = 1;

#[derive(Debug)]
pub struct Pane {
    scope: Scope,
    scroll: Scroll,
    /// Lines below this number were in sight before the view stopped following.
    seen: u64,
    left: usize,
    wrap: bool,
    times: bool,
    filter: Option<Filter>,
    search: Option<Needle>,
    /// The line that was found last.
    hit: Option<u64>,
    size: (u16, u16),
    /// What the last action has to say.
    pub notice: Option<String>,
}

impl Pane {
    pub fn new(scope: Scope) -> Self {
        Self {
            scope,
            scroll: Scroll::Follow,
            seen: 0,
            left: 0,
            wrap: false,
            times: false,
            filter: None,
            search: None,
            hit: None,
            size: (0, 0),
            notice: None,
        }
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    pub fn following(&self) -> bool {
        self.scroll == Scroll::Follow
    }

    pub fn scroll(&self) -> Scroll {
        self.scroll
    }

    pub fn wrapped(&self) -> bool {
        self.wrap
    }

    pub fn left(&self) -> usize {
        self.left
    }

    pub fn filter(&self) -> Option<&Needle> {
        self.filter.as_ref().map(|filter| &filter.needle)
    }

    pub fn search(&self) -> Option<&Needle> {
        self.search.as_ref()
    }

    pub fn hit(&self) -> Option<u64> {
        self.hit
    }

    /// The numbers of the lines that the view has.
    pub fn lines<'a>(&'a self, buffer: &'a LogBuffer) -> Lines<'a> {
        match &self.filter {
            Some(filter) => Lines::Listed(&filter.found),
            None => buffer.lines(self.scope),
        }
    }

    /// How a box of this width is divided. Names are shown where lines of several sources mix.
    pub fn gutter(&self, width: u16) -> Gutter {
        let mixed = !matches!(self.scope, Scope::Source(_));
        let name = if width >= 110 { 20 } else { 14 };
        Gutter { time: if self.times { 9 } else { 0 }, name: if mixed && width >= 50 { name + 1 } else { 0 } }
    }

    /// The view in a box of this size.
    pub fn window<'a>(&'a self, buffer: &'a LogBuffer, (width, height): (u16, u16)) -> Window<'a> {
        let gutter = self.gutter(width);
        let taken = MARGIN + BAR + gutter.time + gutter.name;
        Window {
            buffer,
            lines: self.lines(buffer),
            width: usize::from(width).saturating_sub(taken),
            height: height.into(),
            wrap: self.wrap,
            left: self.left,
        }
    }

    /// The topmost row.
    pub fn top(&self, window: &Window<'_>) -> Place {
        match self.scroll {
            Scroll::Follow => window.bottom(),
            Scroll::At { seq, row } => window.place(seq, row).min(window.bottom()),
        }
    }

    /// The rows in sight in a box of this size.
    pub fn shown(&self, buffer: &LogBuffer, size: (u16, u16)) -> Vec<Shown> {
        let window = self.window(buffer, size);
        window.shown(self.top(&window))
    }

    /// How many lines came since the view stopped following and were not in sight yet.
    pub fn news(&self, buffer: &LogBuffer) -> usize {
        let lines = self.lines(buffer);
        if self.following() { 0 } else { lines.len() - lines.place(self.seen) }
    }

    /// Tells the size of the box for the motions to come.
    pub fn resize(&mut self, buffer: &LogBuffer, size: (u16, u16)) {
        self.size = size;
        self.settle(buffer);
    }

    /// Looks at lines that came since the last time. Cheap without a filter.
    pub fn refresh(&mut self, buffer: &LogBuffer) {
        let Some(filter) = &mut self.filter else { return };
        while filter.found.front().is_some_and(|seq| *seq < buffer.first()) {
            filter.found.pop_front();
        }
        let lines = buffer.lines(self.scope);
        for at in lines.place(filter.looked)..lines.len() {
            let line = lines.get(at).and_then(|seq| buffer.get(seq));
            if let Some(line) = line.filter(|line| filter.needle.is_in(&line.text)) {
                filter.found.push_back(line.seq);
            }
        }
        filter.looked = buffer.next();
    }

    /// After a change of the box or of the lines: the view never hangs below the end.
    fn settle(&mut self, buffer: &LogBuffer) {
        if let Scroll::At { .. } = self.scroll {
            let window = self.window(buffer, self.size);
            let top = self.top(&window);
            self.stand(buffer, top);
        }
    }

    fn stand(&mut self, buffer: &LogBuffer, top: Place) {
        let window = self.window(buffer, self.size);
        let (seq, after) = (window.lines.get(top.at), window.shown(top).last().map(|row| row.seq + 1));
        if self.following() {
            self.seen = buffer.next();
        }
        self.scroll = Scroll::At { seq: seq.unwrap_or(buffer.next()), row: top.row };
        self.seen = self.seen.max(after.unwrap_or(0));
    }

    /// Up by rows; the view stops following.
    pub fn up(&mut self, buffer: &LogBuffer, rows: usize) {
        let window = self.window(buffer, self.size);
        let top = window.up(self.top(&window), rows);
        self.stand(buffer, top);
    }

    /// Down by rows. A view that follows stays at the end.
    pub fn down(&mut self, buffer: &LogBuffer, rows: usize) {
        if self.following() {
            return;
        }
        let window = self.window(buffer, self.size);
        let top = window.down(self.top(&window), rows);
        self.stand(buffer, top);
    }

    /// One screenful, but for a row that stays in sight.
    pub fn page(&self) -> usize {
        usize::from(self.size.1).saturating_sub(1).max(1)
    }

    pub fn first(&mut self, buffer: &LogBuffer) {
        self.stand(buffer, Place::default());
    }

    pub fn follow(&mut self) {
        self.scroll = Scroll::Follow;
    }

    /// To the side by columns, as far as there is text in sight.
    pub fn aside(&mut self, buffer: &LogBuffer, by: isize) {
        if self.wrap {
            self.notice = Some("Lines are wrapped: there is nothing at the side.".to_owned());
            return;
        }
        let window = self.window(buffer, self.size);
        let widest = window.widest(&window.shown(self.top(&window)));
        let most = widest.saturating_sub(window.width).max(self.left);
        self.left = self.left.saturating_add_signed(by).min(most);
    }

    pub fn toggle_wrap(&mut self, buffer: &LogBuffer) {
        self.wrap = !self.wrap;
        self.settle(buffer);
    }

    pub fn toggle_times(&mut self, buffer: &LogBuffer) {
        self.times = !self.times;
        self.settle(buffer);
    }

    /// Shows only lines that hold a text, or all again. A view that stands keeps its place.
    pub fn set_filter(&mut self, buffer: &LogBuffer, needle: Option<Needle>) {
        self.filter = needle.map(|needle| Filter { needle, found: VecDeque::new(), looked: 0 });
        self.refresh(buffer);
        self.settle(buffer);
    }

    /// Looks for a text, from the top of what is in sight.
    pub fn set_search(&mut self, buffer: &LogBuffer, needle: Option<Needle>) {
        self.search = needle;
        self.hit = None;
        if self.search.is_some() {
            // What is in sight at the end of a log that follows is looked at before what is above.
            self.next_match(buffer, true);
        }
    }

    /// The next line that holds the text, or the one before.
    pub fn next_match(&mut self, buffer: &LogBuffer, forward: bool) {
        let Some(needle) = self.search.clone() else {
            self.notice = Some("Nothing is looked for; / begins a search.".to_owned());
            return;
        };
        let missing = format!("\"{}\" is not in these lines.", needle.text());
        let hit = self.seek(buffer, forward, &missing, |line| needle.is_in(&line.text));
        let line = hit.and_then(|seq| buffer.get(seq));
        if let Some((from, to)) = line.and_then(|line| needle.find(&line.text, 0)) {
            let text = line.map_or("", |line| &line.text);
            self.bring(buffer, columns(&text[..from]), columns(&text[..to]));
        }
    }

    /// The next line that calls itself an error, or the one before.
    pub fn next_error(&mut self, buffer: &LogBuffer, forward: bool) {
        self.seek(buffer, forward, "No line here calls itself an error.", |line| line.level == Level::Error);
    }

    /// Goes to a line, from the one that was found last if it is in sight, else from the top; round once.
    fn seek(
        &mut self,
        buffer: &LogBuffer,
        forward: bool,
        missing: &str,
        wanted: impl Fn(&LogLine) -> bool,
    ) -> Option<u64> {
        let window = self.window(buffer, self.size);
        let (lines, shown) = (window.lines, window.shown(self.top(&window)));
        let count = lines.len();
        let last = self.hit.filter(|hit| shown.iter().any(|row| row.seq == *hit));
        let top = shown.first().map_or(0, |row| row.seq);
        // The first place to look at; for the way back, the one behind it.
        let start = match (last, forward) {
            (Some(hit), true) => lines.place(hit + 1),
            (Some(hit), false) => lines.place(hit),
            (None, true) => lines.place(top),
            (None, false) => lines.place(shown.last().map_or(0, |row| row.seq + 1)),
        };
        let is_it = |at: &usize| {
            let line = lines.get(*at).and_then(|seq| buffer.get(seq));
            line.is_some_and(&wanted)
        };
        let (hit, round) = if forward {
            let ahead = (start..count).find(is_it);
            (ahead.or_else(|| (0..start.min(count)).find(is_it)), ahead.is_none())
        } else {
            let behind = (0..start).rev().find(is_it);
            (behind.or_else(|| (start..count).rev().find(is_it)), behind.is_none())
        };
        let Some(at) = hit else {
            self.notice = Some(missing.to_owned());
            return None;
        };
        let seq = lines.get(at)?;
        let top = if shown.iter().any(|row| row.seq == seq) {
            self.top(&window)
        } else {
            window.up(Place { at, row: 0 }, window.height / 3).min(window.bottom())
        };
        self.stand(buffer, top);
        self.hit = Some(seq);
        if round {
            let word = if forward { "start" } else { "end" };
            self.notice = Some(format!("Went on from the {word}."));
        }
        Some(seq)
    }

    /// Scrolls aside so that these columns are in sight.
    fn bring(&mut self, buffer: &LogBuffer, from: usize, to: usize) {
        let width = self.window(buffer, self.size).width;
        if !self.wrap && (from < self.left || to > self.left + width) {
            self.left = if to <= width { 0 } else { from.saturating_sub(width / 3) };
        }
    }

    /// The text of the rows in sight, as lines.
    pub fn visible_text(&self, buffer: &LogBuffer) -> String {
        let mut seqs: Vec<u64> = self.shown(buffer, self.size).iter().map(|row| row.seq).collect();
        seqs.dedup();
        text_of(buffer, seqs.into_iter())
    }

    /// The text of all lines that the view has.
    pub fn whole_text(&self, buffer: &LogBuffer) -> String {
        let lines = self.lines(buffer);
        text_of(buffer, (0..lines.len()).filter_map(|at| lines.get(at)))
    }
}

fn text_of(buffer: &LogBuffer, seqs: impl Iterator<Item = u64>) -> String {
    let mut out = String::new();
    for line in seqs.filter_map(|seq| buffer.get(seq)) {
        out.push_str(&line.text);
        out.push('\n');
    }
    out
}
