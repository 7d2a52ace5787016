//! The wizard's numbers: `cargo bench --bench wizard` (about half a minute).
//!
//! A run prints 2,000,000 lines, 100,000 a second, into its files as every build does. The wizard's loop
//! follows these files and draws 120x40, while a person presses a key each 50 ms. Reported: how long it is
//! from a key to the frame that shows it, how the memory goes, and whether every line is in the file. Then
//! the program itself is started at a terminal: its first frame, and what it uses when nothing happens.
//!
//! The limits are those of a quiet machine with two cores; over one of them the bench ends with 1.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use hookos::build::{Cancel, Run, Stage};
use hookos::history::{Follow, Step};
use hookos::progress::Progress;
use hookos::tui::build::Watch;
use hookos::tui::model::{Model, Screen};
use hookos::tui::msg::{Effect, Msg};
use hookos::tui::run::{World, run};
use hookos::tui::theme::Theme;
use ratatui::backend::{Backend, CrosstermBackend};
use ratatui::crossterm::event::{Event, KeyCode, KeyEvent, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const LINES: u64 = 2_000_000;
const A_SECOND: u64 = 100_000;
const SIZE: (u16, u16) = (120, 40);

/// When keys came and when frames were done.
#[derive(Clone, Default)]
struct Times(Arc<Mutex<TimesInner>>);

#[derive(Default)]
struct TimesInner {
    /// A key that the loop has taken, and when it was pressed.
    pressed: Option<Instant>,
    waits: Vec<Duration>,
    frames: u64,
}

/// A screen that nobody looks at: it counts frames.
struct Sink(Times);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut times = self.0.0.lock().unwrap();
        times.frames += 1;
        if let Some(pressed) = times.pressed.take() {
            let wait = pressed.elapsed();
            times.waits.push(wait);
        }
        Ok(())
    }
}

/// No effect is of use here.
struct Nowhere;

impl<B: Backend> World<B> for Nowhere {
    fn effect(&mut self, _: Effect, _: &mut Terminal<B>) -> io::Result<Option<Msg>> {
        Ok(None)
    }
}

/// MiB of this process in memory.
fn memory() -> f64 {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = text.split_whitespace().nth(1).unwrap().parse().unwrap();
    pages * 4096.0 / f64::from(1 << 20)
}

/// Prints lines like a compiler's, evenly.
fn print(out: &Path, done: &AtomicU64) {
    // The plain face of a build takes the events as well.
    let (sender, face) = std::sync::mpsc::sync_channel(1000);
    let face = std::thread::spawn(move || face.into_iter().count());
    let run = Run::start("bench", out, sender, Cancel::default()).unwrap();
    let result: hookos::problem::Result<()> = run.stage(Stage::Components, |task| {
        let began = Instant::now();
        for n in 0..LINES {
            let level = if n % 10_000 == 0 { "warning: unused" } else { "CC [M]" };
            task.log(&format!("  {level}  drivers/net/ethernet/vendor{}/module_{n}.o", n % 97));
            done.store(n + 1, Ordering::Relaxed);
            if n % 100 == 99 {
                let due = Duration::from_micros((n + 1) * 1_000_000 / A_SECOND);
                std::thread::sleep(due.saturating_sub(began.elapsed()));
            }
        }
        Ok(())
    });
    run.finish(&result);
    drop(run);
    face.join().unwrap();
}

fn flood() -> bool {
    let out = tempfile::tempdir().unwrap();
    let logs = out.path().join("logs");
    let times = Times::default();
    let printed = Arc::new(AtomicU64::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let (answers, incoming) = tokio::sync::mpsc::channel(64);
    let (keys, pressed) = tokio::sync::mpsc::unbounded_channel::<Instant>();
    let (ends, signals) = tokio::sync::mpsc::channel(1);

    let printer = {
        let (out, printed) = (out.path().to_owned(), Arc::clone(&printed));
        std::thread::spawn(move || print(&out, &printed))
    };
    let id = loop {
        match hookos::history::running(&logs) {
            Some(running) => break running.run,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let follower = {
        let (logs, id) = (logs.clone(), id.clone());
        std::thread::spawn(move || {
            let mut follow = Follow::open(&logs, &id).unwrap();
            loop {
                match follow.step().unwrap() {
                    Step::Events(events) => answers.blocking_send(Msg::Events(1, events)).unwrap(),
                    Step::Wait => std::thread::sleep(Duration::from_millis(40)),
                    Step::End => return,
                }
            }
        })
    };
    let person = {
        let (over, keys) = (Arc::clone(&over), keys.clone());
        std::thread::spawn(move || {
            while !over.load(Ordering::SeqCst) {
                std::thread::sleep(Duration::from_millis(50));
                if keys.send(Instant::now()).is_err() {
                    return;
                }
            }
        })
    };
    let watcher = {
        let (printed, over) = (Arc::clone(&printed), Arc::clone(&over));
        std::thread::spawn(move || {
            let mut seen = BTreeMap::new();
            while !over.load(Ordering::SeqCst) {
                let n = printed.load(Ordering::Relaxed);
                seen.insert(n / 200_000, memory());
                std::thread::sleep(Duration::from_millis(100));
                if n == LINES && follower.is_finished() {
                    over.store(true, Ordering::SeqCst);
                }
            }
            follower.join().unwrap();
            // What is on its way is taken before the end.
            std::thread::sleep(Duration::from_millis(200));
            ends.blocking_send(0).unwrap();
            seen
        })
    };

    let mut model = Model::new(Theme::sixteen(), SIZE, "/project".into(), Default::default(), 0);
    model.watch = Some(Watch::new(1, hookos::tui::msg::Build::of("bench"), Vec::new(), model.body()));
    model.screen = Screen::Build;
    let area = Rect::new(0, 0, SIZE.0, SIZE.1);
    let backend = CrosstermBackend::new(Sink(times.clone()));
    let options = TerminalOptions { viewport: Viewport::Fixed(area) };
    let mut screen = Terminal::with_options(backend, options).unwrap();
    let events = {
        let times = times.clone();
        // Up and down in the log, follow again: what a reader does.
        let codes = [KeyCode::Char('k'), KeyCode::PageUp, KeyCode::Char('t'), KeyCode::End];
        futures_util::stream::unfold((pressed, 0), move |(mut pressed, n)| {
            let times = times.clone();
            async move {
                let at = pressed.recv().await?;
                times.0.lock().unwrap().pressed.get_or_insert(at);
                let key = KeyEvent::new(codes[n % codes.len()], KeyModifiers::NONE);
                Some((Ok(Event::Key(key)), (pressed, n + 1)))
            }
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let began = Instant::now();
    let code = runtime.block_on(async {
        let events = std::pin::pin!(events);
        run(&mut model, &mut screen, events, signals, incoming, &mut Nowhere, Vec::new()).await
    });
    assert_eq!(code.unwrap(), 0);
    // As long as there is a keyboard, the terminal is there.
    drop(keys);
    let seconds = began.elapsed().as_secs_f64();
    over.store(true, Ordering::SeqCst);
    let memory = watcher.join().unwrap();
    person.join().unwrap();
    printer.join().unwrap();

    let mut waits = std::mem::take(&mut times.0.lock().unwrap().waits);
    waits.sort();
    let at = |part: f64| waits[((waits.len() - 1) as f64 * part) as usize].as_secs_f64() * 1000.0;
    let frames = times.0.lock().unwrap().frames;
    println!("{LINES} lines in {seconds:.1} s, {frames} frames, {} keys", waits.len());
    println!("key to frame: half {:.1} ms, 99 % {:.1} ms, longest {:.1} ms", at(0.5), at(0.99), at(1.0));
    let marks: Vec<String> =
        memory.iter().map(|(n, mib)| format!("{:.1}M {mib:.0}", *n as f64 / 5.0)).collect();
    println!("memory in MiB after so many lines: {}", marks.join(", "));
    let watch = model.watch.as_ref().unwrap();
    let taken = watch.state.log.next();
    let file = std::fs::File::open(logs.join(&id).join("components.log")).unwrap();
    let written = io::BufReader::with_capacity(1 << 20, file).lines().count() as u64;
    println!("lines in the file: {written}; lines that the wizard took: {taken}");
    // The buffer is full long before the middle: from there on nothing may grow.
    let (middle, end) = (memory[&5], *memory.values().last().unwrap());
    let mut good = true;
    good &= limit("key to frame, 99 %", at(0.99), 16.0, "ms");
    good &= limit("memory from the middle to the end", end / middle, 1.1, "times");
    good &= limit("lines missing in the file", (LINES - written) as f64, 0.0, "");
    good &= limit("lines that the wizard missed", (LINES - taken) as f64, 0.0, "");
    good
}

fn limit(what: &str, value: f64, most: f64, unit: &str) -> bool {
    let good = value <= most;
    let word = if good { "good" } else { "TOO MUCH" };
    println!("{word:<9} {what}: {value:.2} {unit} (at most {most})");
    good
}

/// Jiffies of CPU that a process has used.
fn jiffies(pid: i32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let after = text.rsplit(')').next().unwrap();
    let fields: Vec<&str> = after.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn program() -> bool {
    let home = tempfile::tempdir().unwrap();
    let root = env!("CARGO_MANIFEST_DIR");
    let store = home.path().join("store");
    let env = [("HOOKOS_ROOT", root), ("HOOKOS_CACHE", store.to_str().unwrap())];
    let mut first = Vec::new();
    let mut used = 0;
    for _ in 0..10 {
        let began = Instant::now();
        let mut terminal =
            terminal::Terminal::start(SIZE, home.path(), &[env!("CARGO_BIN_EXE_hookos")], &env);
        while !terminal.screen(|screen| screen.contents().contains("Begin")) {
            std::thread::sleep(Duration::from_micros(200));
        }
        first.push(began.elapsed().as_secs_f64() * 1000.0);
        if first.len() == 10 {
            std::thread::sleep(Duration::from_secs(1));
            let pid = terminal.pid().as_raw_nonzero().get();
            let before = jiffies(pid);
            std::thread::sleep(Duration::from_secs(5));
            used = jiffies(pid) - before;
        }
        terminal.send("q");
        terminal.end();
    }
    first.sort_by(f64::total_cmp);
    println!("first frame: {:.1} ms at best, {:.1} ms in the middle of ten", first[0], first[5]);
    let mut good = limit("first frame, in the middle", first[5], 50.0, "ms");
    good &= limit("CPU of five idle seconds", used as f64 * 10.0, 0.0, "ms");
    good
}

fn main() {
    let good = flood() & program();
    std::process::exit(i32::from(!good));
}
