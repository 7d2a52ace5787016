//! The last lines of all sources, within bounds of count and of memory.
//!
//! One queue holds the lines in the order of their coming, so a sequence number is found at once; each
//! source and each group of sources keeps the numbers of its own. To drop the oldest line costs the same
//! however many there are.

use super::clean::{self, Level, Mark};
use std::collections::VecDeque;
use std::time::Duration;

/// Lines that are kept.
pub const LINES: usize = 200_000;
/// Bytes that they may take, with what is needed to find them.
pub const BYTES: usize = 64 << 20;

/// Who prints: one item of a group, or the group itself. From [`LogBuffer::source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source(u16);

/// Whose lines are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    All,
    Group(u8),
    Source(Source),
}

/// One line as it can be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    pub seq: u64,
    pub source: Source,
    /// Milliseconds since the program began.
    pub at: u32,
    pub level: Level,
    /// The line goes on in the file.
    pub cut: bool,
    pub text: Box<str>,
    pub marks: Box<[Mark]>,
}

impl LogLine {
    fn cost(&self) -> usize {
        // Two sequence numbers lead to it: its source's and its group's.
        size_of::<Self>() + 2 * size_of::<u64>() + self.text.len() + size_of_val(&*self.marks)
    }
}

#[derive(Debug)]
struct Kept {
    group: u8,
    name: String,
    lines: VecDeque<u64>,
}

/// Lines of a run.
#[derive(Debug)]
pub struct LogBuffer {
    lines: VecDeque<LogLine>,
    /// The number of the first line that is kept; those before were dropped.
    first: u64,
    bytes: usize,
    most_lines: usize,
    most_bytes: usize,
    sources: Vec<Kept>,
    groups: Vec<VecDeque<u64>>,
    errors: u64,
}

impl Default for LogBuffer {
    fn default() -> Self {
        Self::with_bounds(LINES, BYTES)
    }
}

impl LogBuffer {
    pub fn with_bounds(lines: usize, bytes: usize) -> Self {
        Self {
            lines: VecDeque::new(),
            first: 0,
            bytes: 0,
            most_lines: lines.max(1),
            most_bytes: bytes,
            sources: Vec::new(),
            groups: Vec::new(),
            errors: 0,
        }
    }

    /// A new source; an empty name is the group itself.
    pub fn source(&mut self, group: u8, name: &str) -> Source {
        let id = u16::try_from(self.sources.len()).unwrap_or(u16::MAX);
        if usize::from(id) == self.sources.len() {
            self.sources.push(Kept { group, name: name.to_owned(), lines: VecDeque::new() });
        }
        if self.groups.len() <= usize::from(group) {
            self.groups.resize_with(usize::from(group) + 1, VecDeque::new);
        }
        Source(id.min(self.sources.len() as u16 - 1))
    }

    /// Adds a line as it was printed. The oldest ones go when there is no more room.
    pub fn push(&mut self, source: Source, now: Duration, raw: &[u8]) {
        let line = clean::clean(raw);
        let level = clean::level(&line.text);
        let line = LogLine {
            seq: self.next(),
            source,
            at: u32::try_from(now.as_millis()).unwrap_or(u32::MAX),
            level,
            cut: line.cut,
            text: line.text.into_boxed_str(),
            marks: line.marks.into_boxed_slice(),
        };
        let Some(kept) = self.sources.get_mut(usize::from(source.0)) else { return };
        kept.lines.push_back(line.seq);
        if let Some(group) = self.groups.get_mut(usize::from(kept.group)) {
            group.push_back(line.seq);
        }
        self.errors += u64::from(level == Level::Error);
        self.bytes += line.cost();
        self.lines.push_back(line);
        while self.lines.len() > self.most_lines || (self.bytes > self.most_bytes && self.lines.len() > 1) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        let Some(line) = self.lines.pop_front() else { return };
        self.first = line.seq + 1;
        self.bytes -= line.cost();
        let Some(kept) = self.sources.get_mut(usize::from(line.source.0)) else { return };
        kept.lines.pop_front();
        if let Some(group) = self.groups.get_mut(usize::from(kept.group)) {
            group.pop_front();
        }
    }

    /// The line with this number, unless it was dropped.
    pub fn get(&self, seq: u64) -> Option<&LogLine> {
        let at = seq.checked_sub(self.first)?;
        self.lines.get(usize::try_from(at).ok()?)
    }

    /// The number of the oldest line that is kept.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number that the next line gets.
    pub fn next(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    /// How many lines are gone from here; the file has them.
    pub fn dropped(&self) -> u64 {
        self.first
    }

    /// How many lines called themselves errors, with those that are gone.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The name of a source; empty for a group itself.
    pub fn name(&self, source: Source) -> &str {
        self.sources.get(usize::from(source.0)).map_or("", |kept| &kept.name)
    }

    pub fn holds(&self, scope: Scope, line: &LogLine) -> bool {
        match scope {
            Scope::All => true,
            Scope::Group(group) => {
                self.sources.get(usize::from(line.source.0)).is_some_and(|kept| kept.group == group)
            }
            Scope::Source(source) => line.source == source,
        }
    }

    /// The numbers of the lines of a scope, in order.
    pub fn lines(&self, scope: Scope) -> Lines<'_> {
        let listed = match scope {
            Scope::All => return Lines::Range(self.first, self.next()),
            Scope::Group(group) => self.groups.get(usize::from(group)),
            Scope::Source(source) => self.sources.get(usize::from(source.0)).map(|kept| &kept.lines),
        };
        listed.map_or(Lines::Range(0, 0), Lines::Listed)
    }
}

/// Numbers of lines in order.
#[derive(Debug, Clone, Copy)]
pub enum Lines<'a> {
    /// From, to (not included).
    Range(u64, u64),
    Listed(&'a VecDeque<u64>),
}

impl Lines<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Range(from, to) => usize::try_from(to - from).unwrap_or(usize::MAX),
            Self::Listed(all) => all.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn get(&self, at: usize) -> Option<u64> {
        match self {
            Self::Range(from, to) => Some(from + at as u64).filter(|seq| seq < to),
            Self::Listed(all) => all.get(at).copied(),
        }
    }

    /// The place of the first line whose number is not below `seq`; the count of lines if there is none.
    pub fn place(&self, seq: u64) -> usize {
        match self {
            Self::Range(from, to) => usize::try_from(seq.clamp(*from, *to) - from).unwrap_or(usize::MAX),
            Self::Listed(all) => all.partition_point(|other| *other < seq),
        }
    }
}
