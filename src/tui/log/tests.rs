use super::clean::{Colour, LONGEST, clean, level};
use super::window::{Shown, columns, wraps};
use super::*;
use proptest::prelude::*;
use std::time::Duration;

const T: Duration = Duration::ZERO;

fn text(raw: &[u8]) -> String {
    clean(raw).text
}

#[test]
fn a_line_is_made_fit_to_be_shown() {
    assert_eq!(text(b"plain"), "plain");
    assert_eq!(text(b"10%\r 20%\r100%\r\n"), "100%", "a progress line keeps its last state");
    assert_eq!(text(b"a\tb\xc3\xa9\tc"), "a       b\u{e9}      c", "tabs end at each eighth column");
    assert_eq!(text(b"bad \xff\xfe byte"), "bad \u{fffd}\u{fffd} byte", "nothing is lost silently");
    assert_eq!(text(b"\x1b[2J\x1b[1;1Hhome\x1b[K"), "home");
    assert_eq!(text(b"\x1b]0;a title\x07shown"), "shown");
    assert_eq!(text(b"\x1b]8;;https://x\x1b\\link\x1b]8;;\x1b\\ end"), "link end");
    assert_eq!(text(b"\x1b]0;never ends, so it is text"), "0;never ends, so it is text");
    assert_eq!(text(b"\x1b(Bx\x1bMy\x1b"), "xy");
    assert_eq!(text(b"abc\x08\x08X"), "aX");
    assert_eq!(text("user\u{202e}txt.exe".as_bytes()), "usertxt.exe");
    assert_eq!(text("\u{9b}31mC1\u{85}".as_bytes()), "C1");
}

#[test]
fn colours_become_ink_and_backgrounds_do_not() {
    let line =
        clean(b"\x1b[1;31mred\x1b[0m \x1b[42mgreen ground\x1b[38;5;6mcyan\x1b[38;2;1;2;3mrgb\x1b[37mwhite");
    assert_eq!(line.text, "red green groundcyanrgbwhite");
    let inks: Vec<_> = line.marks.iter().map(|m| (m.at, m.ink.colour, m.ink.bold)).collect();
    assert_eq!(
        inks,
        [(0, Some(Colour::Red), true), (3, None, false), (16, Some(Colour::Cyan), false), (20, None, false)]
    );
}

#[test]
fn a_line_without_end_costs_no_more_than_a_long_one() {
    let line = clean(&vec![b'x'; 5_000_000]);
    assert_eq!((line.text.len(), line.cut), (LONGEST, true));
    let line = clean("\u{e9}".repeat(LONGEST).as_bytes());
    assert!(line.text.len() <= LONGEST && line.cut);
    assert!(!clean(&vec![b'x'; LONGEST]).cut);
}

#[test]
fn lines_that_call_themselves_errors_are_known() {
    for bad in
        ["error: x", "E: Unable", "[caddy] error[E0432]: y", "ERROR boom", "failed: z", "thread panicked at"]
    {
        assert_eq!(level(bad), Level::Error, "{bad}");
    }
    for warn in ["warning: x", "W: old", "2026 WARN y"] {
        assert_eq!(level(warn), Level::Warn, "{warn}");
    }
    for plain in ["0 errors", "terror: x", "no error here", "Setting up libgpg-error0", ""] {
        assert_eq!(level(plain), Level::Plain, "{plain}");
    }
}

/// A buffer with two items of group 1 in turn.
fn filled(lines: usize, keep: usize) -> (LogBuffer, Source, Source) {
    let mut buffer = LogBuffer::with_bounds(keep, 1 << 20);
    let (a, b) = (buffer.source(1, "a"), buffer.source(1, "b"));
    for n in 0..lines {
        buffer.push(if n % 2 == 0 { a } else { b }, T, format!("line {n}").as_bytes());
    }
    (buffer, a, b)
}

fn seqs(rows: &[Shown]) -> Vec<u64> {
    rows.iter().map(|row| row.seq).collect()
}

#[test]
fn each_scope_has_its_lines_and_what_is_dropped_is_counted() {
    let (buffer, a, _) = filled(25, 10);
    assert_eq!((buffer.first(), buffer.next(), buffer.dropped()), (15, 25, 15));
    assert_eq!(buffer.lines(Scope::All).len(), 10);
    assert_eq!(buffer.lines(Scope::Group(1)).len(), 10);
    assert_eq!(buffer.lines(Scope::Source(a)).get(0), Some(16));
    assert!(buffer.lines(Scope::Group(9)).is_empty());
    assert!(buffer.get(14).is_none());
}

#[test]
fn memory_is_bounded_by_bytes_too() {
    let mut buffer = LogBuffer::with_bounds(1_000_000, 100_000);
    let source = buffer.source(0, "");
    for _ in 0..1000 {
        buffer.push(source, T, &[b'x'; 1000]);
        assert!(buffer.bytes() <= 100_000);
    }
    assert!(buffer.dropped() > 800);
    buffer.push(source, T, &[b'y'; LONGEST]);
    let mut tiny = LogBuffer::with_bounds(10, 1);
    let source = tiny.source(0, "");
    tiny.push(source, T, b"the last line stays");
    assert_eq!(tiny.lines(Scope::All).len(), 1);
}

#[test]
fn behaviour_21_scrolling_up_pauses_and_only_end_follows_again() {
    let (mut buffer, a, _) = filled(100, 1000);
    let mut pane = Pane::new(Scope::All);
    pane.resize(&buffer, (80, 10));
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), (90..100).collect::<Vec<_>>());
    pane.up(&buffer, 1);
    assert!(!pane.following());
    for n in 0..5 {
        buffer.push(a, T, format!("new {n}").as_bytes());
    }
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), (89..99).collect::<Vec<_>>(), "nothing moved");
    assert_eq!(pane.news(&buffer), 5);
    pane.down(&buffer, 3);
    assert_eq!(pane.news(&buffer), 3, "two of the new lines were seen");
    pane.down(&buffer, 1000);
    assert!(!pane.following(), "the end reached by going down is not a wish to follow");
    assert_eq!(pane.news(&buffer), 0);
    pane.follow();
    buffer.push(a, T, b"newest");
    assert_eq!(pane.shown(&buffer, (80, 10)).last().map(|row| row.seq), Some(105));
}

#[test]
fn behaviour_21_lines_that_are_dropped_do_not_move_the_view() {
    let (mut buffer, a, _) = filled(100, 100);
    let mut pane = Pane::new(Scope::Source(a));
    pane.resize(&buffer, (80, 10));
    pane.up(&buffer, 5);
    let before = pane.shown(&buffer, (80, 10));
    for n in 0..50 {
        buffer.push(a, T, format!("more {n}").as_bytes());
    }
    assert_eq!(buffer.dropped(), 50);
    assert_eq!(pane.shown(&buffer, (80, 10)), before);
    for n in 0..100 {
        buffer.push(a, T, format!("more {n}").as_bytes());
    }
    let oldest = buffer.lines(Scope::Source(a)).get(0);
    assert_eq!(pane.shown(&buffer, (80, 10)).first().map(|row| row.seq), oldest, "the oldest that is left");
}

#[test]
fn behaviour_21_the_horizontal_place_is_kept() {
    let mut buffer = LogBuffer::default();
    let source = buffer.source(0, "");
    for n in 0..50 {
        buffer.push(source, T, format!("{n} {}", "0123456789".repeat(20)).as_bytes());
    }
    let mut pane = Pane::new(Scope::Source(source));
    pane.resize(&buffer, (60, 10));
    pane.aside(&buffer, 40);
    pane.up(&buffer, 20);
    buffer.push(source, T, b"short");
    pane.follow();
    assert_eq!(pane.left(), 40);
    pane.aside(&buffer, 10_000);
    assert_eq!(pane.left(), 203 - 57, "no further than the text goes");
    pane.aside(&buffer, -10_000);
    assert_eq!(pane.left(), 0);
}

#[test]
fn behaviour_21_search_goes_round_and_says_so() {
    let (mut buffer, a, _) = filled(100, 1000);
    buffer.push(a, T, b"the Needle, late in a line");
    let mut pane = Pane::new(Scope::All);
    pane.resize(&buffer, (80, 10));
    pane.up(&buffer, 80);
    pane.set_search(&buffer, Needle::new("needle"));
    assert_eq!((pane.hit(), pane.notice.take()), (Some(100), None));
    pane.next_match(&buffer, true);
    assert_eq!((pane.hit(), pane.notice.take().is_some()), (Some(100), true));
    pane.set_search(&buffer, Needle::new("line 1"));
    let mut hits = Vec::new();
    for _ in 0..4 {
        pane.next_match(&buffer, false);
        hits.push(pane.hit().unwrap());
        let shown = pane.shown(&buffer, (80, 10));
        assert!(shown.iter().any(|row| Some(row.seq) == pane.hit()), "what is found is in sight");
    }
    assert_eq!(hits, [19, 18, 17, 16]);
    pane.set_search(&buffer, Needle::new("absent"));
    assert!(pane.hit().is_none() && pane.notice.take().unwrap().contains("absent"));
}

#[test]
fn behaviour_21_a_match_far_to_the_right_is_brought_into_sight() {
    let mut buffer = LogBuffer::default();
    let source = buffer.source(0, "");
    buffer.push(source, T, format!("{}needle", " .".repeat(200)).as_bytes());
    let mut pane = Pane::new(Scope::Source(source));
    pane.resize(&buffer, (60, 5));
    pane.set_search(&buffer, Needle::new("needle"));
    let row = pane.shown(&buffer, (60, 5))[0];
    assert!(row.from <= 400 && row.to == 406, "{row:?}");
}

#[test]
fn behaviour_21_a_filter_takes_in_lines_as_they_come() {
    let (mut buffer, a, b) = filled(30, 20);
    let mut pane = Pane::new(Scope::Source(b));
    pane.resize(&buffer, (80, 10));
    pane.set_filter(&buffer, Needle::new("line 2"));
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), [21, 23, 25, 27, 29]);
    buffer.push(a, T, b"line 2, of another source");
    buffer.push(b, T, b"line 2 again");
    buffer.push(b, T, b"other");
    pane.refresh(&buffer);
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), [21, 23, 25, 27, 29, 31]);
    for _ in 0..17 {
        buffer.push(a, T, b"x");
    }
    pane.refresh(&buffer);
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), [31], "dropped lines leave the filter too");
    pane.set_filter(&buffer, None);
    assert_eq!(seqs(&pane.shown(&buffer, (80, 10))), [31, 32]);
}

#[test]
fn behaviour_21_next_error_finds_what_calls_itself_one() {
    let (mut buffer, a, _) = filled(50, 1000);
    buffer.push(a, T, b"error: one");
    for _ in 0..50 {
        buffer.push(a, T, b"more");
    }
    let mut pane = Pane::new(Scope::All);
    pane.resize(&buffer, (80, 10));
    pane.next_error(&buffer, false);
    assert_eq!(pane.hit(), Some(50));
    pane.next_error(&buffer, true);
    assert_eq!((pane.hit(), pane.notice.take().is_some()), (Some(50), true));
    assert!(!pane.following());
}

#[test]
fn what_is_copied_and_saved_is_text() {
    let (buffer, a, _) = filled(20, 1000);
    let mut pane = Pane::new(Scope::Source(a));
    pane.resize(&buffer, (80, 2));
    assert_eq!(pane.visible_text(&buffer), "line 16\nline 18\n");
    assert_eq!(pane.whole_text(&buffer).lines().count(), 10);
}

/// What can happen to a pane.
#[derive(Debug, Clone)]
enum Step {
    Push(bool, String),
    Up(usize),
    Down(usize),
    First,
    Follow,
    Aside(isize),
    Wrap,
    Times,
    Filter(Option<String>),
    Search(String),
    Match(bool),
    Error(bool),
    Resize(u16, u16),
}

fn step() -> impl Strategy<Value = Step> {
    let line = prop_oneof![
        "[a-f \t\u{e9}\u{65e5}]{0,60}",
        Just("error: a".to_owned()),
        Just("\x1b[31mred\x1b[m".to_owned())
    ];
    prop_oneof![
        8 => (any::<bool>(), line).prop_map(|(which, text)| Step::Push(which, text)),
        2 => (0usize..30).prop_map(Step::Up),
        2 => (0usize..30).prop_map(Step::Down),
        1 => Just(Step::First),
        1 => Just(Step::Follow),
        1 => (-50isize..50).prop_map(Step::Aside),
        1 => Just(Step::Wrap),
        1 => Just(Step::Times),
        1 => proptest::option::of("[a-f]{0,2}").prop_map(Step::Filter),
        1 => "[a-f]{0,2}".prop_map(Step::Search),
        1 => any::<bool>().prop_map(Step::Match),
        1 => any::<bool>().prop_map(Step::Error),
        1 => (0u16..40, 0u16..12).prop_map(|(w, h)| Step::Resize(w, h)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn a_cleaned_line_has_no_control_character(raw in proptest::collection::vec(any::<u8>(), 0..200)) {
        let line = clean(&raw);
        prop_assert!(!line.text.chars().any(char::is_control), "{:?}", line.text);
        let mut last = None;
        for mark in &line.marks {
            prop_assert!(line.text.is_char_boundary(mark.at as usize));
            prop_assert!(last < Some(mark.at), "marks are in order");
            last = Some(mark.at);
        }
    }

    #[test]
    fn escape_sequences_leave_nothing_behind(
        parts in proptest::collection::vec(("[a-z ]{0,6}", r"\x1b(\[[0-9;:?]{0,8}[@A-Za-z]|[78=>cDEHM]|\([AB0])"), 0..8)
    ) {
        let raw: String = parts.iter().flat_map(|(text, escape)| [text.as_str(), escape.as_str()]).collect();
        let plain: String = parts.iter().map(|(text, _)| text.as_str()).collect();
        prop_assert_eq!(text(raw.as_bytes()), plain);
    }

    #[test]
    fn wrapped_rows_are_the_line_and_fit(line in "[a-z\u{e9}\u{65e5}\u{301}]{0,60}", width in 2usize..30) {
        let rows: Vec<_> = wraps(&line, width).collect();
        prop_assert_eq!(rows.iter().map(|(from, to)| &line[*from..*to]).collect::<String>(), line.clone());
        for (from, to) in rows {
            prop_assert!(columns(&line[from..to]) <= width);
        }
    }

    #[test]
    fn a_pane_keeps_its_laws_whatever_happens(steps in proptest::collection::vec(step(), 1..80)) {
        let mut buffer = LogBuffer::with_bounds(40, 1 << 20);
        let (a, b) = (buffer.source(0, "a"), buffer.source(0, "b"));
        let mut pane = Pane::new(Scope::Source(a));
        let mut size = (30, 6);
        pane.resize(&buffer, size);
        for step in steps {
            let before = pane.shown(&buffer, size);
            let motion = !matches!(step, Step::Push(..));
            match step {
                Step::Push(first, line) => {
                    buffer.push(if first { a } else { b }, T, line.as_bytes());
                    pane.refresh(&buffer);
                }
                Step::Up(n) => {
                    pane.up(&buffer, n);
                    prop_assert!(!pane.following(), "any motion upwards pauses");
                }
                Step::Down(n) => pane.down(&buffer, n),
                Step::First => pane.first(&buffer),
                Step::Follow => pane.follow(),
                Step::Aside(n) => pane.aside(&buffer, n),
                Step::Wrap => pane.toggle_wrap(&buffer),
                Step::Times => pane.toggle_times(&buffer),
                Step::Filter(text) => pane.set_filter(&buffer, text.and_then(|t| Needle::new(&t))),
                Step::Search(text) => pane.set_search(&buffer, Needle::new(&text)),
                Step::Match(forward) => pane.next_match(&buffer, forward),
                Step::Error(forward) => pane.next_error(&buffer, forward),
                Step::Resize(w, h) => {
                    size = (w, h);
                    pane.resize(&buffer, size);
                }
            }
            let rows = pane.shown(&buffer, size);
            prop_assert!(rows.len() <= usize::from(size.1));
            prop_assert!(rows.windows(2).all(|w| (w[0].seq, w[0].from) < (w[1].seq, w[1].from)));
            prop_assert!(rows.iter().all(|row| buffer.get(row.seq).is_some()), "no row of a dropped line");
            let lines = pane.lines(&buffer);
            let last = lines.len().checked_sub(1).and_then(|at| lines.get(at));
            if pane.following() && size.1 > 0 {
                prop_assert_eq!(rows.last().map(|row| row.seq), last, "who follows sees the last line");
            }
            if usize::from(size.1) > rows.len() && size.1 > 0 {
                prop_assert_eq!(rows.first().map(|row| row.seq), lines.get(0), "no gap below while lines are above");
            }
            // Lines that come, and old ones that go, move nothing that is still there.
            let kept = before.first().is_some_and(|row| buffer.get(row.seq).is_some());
            if !motion && !pane.following() && kept {
                prop_assert_eq!(&rows[..before.len()], &before[..]);
            }
        }
    }
}
