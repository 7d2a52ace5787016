//! A bar for each item that is worked on, on a terminal.

use super::plain::{line, word};
use crate::build::{Event, Outcome, Stage};
use crate::progress::Unit;
use crate::words::time;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::collections::HashMap;
use std::sync::mpsc::Receiver;
use std::time::Duration;

type Bars = HashMap<(Stage, Option<String>), ProgressBar>;

pub fn show(receiver: Receiver<Event>) {
    let screen = MultiProgress::new();
    let mut bars = Bars::new();
    let mut cached: HashMap<Stage, usize> = HashMap::new();
    super::drain_unhindered(receiver, |event| match &event {
        Event::StageStarted { stage } => {
            open(&screen, &mut bars, (*stage, None), &stage.to_string());
        }
        Event::ItemStarted { stage, item } => {
            open(&screen, &mut bars, (*stage, Some(item.clone())), &format!("  {item}"));
        }
        Event::Progress { stage, item, done, total, unit } => {
            if let Some(bar) = bars.get(&(*stage, item.clone())) {
                if *total > 0 && bar.length().is_none() {
                    bar.set_style(measured(*unit));
                }
                if *total > 0 {
                    bar.set_length(*total);
                }
                bar.set_position(*done);
            }
        }
        Event::Log { stage, item, line } => {
            if let Some(bar) = bars.get(&(*stage, item.clone())) {
                bar.set_message(line.clone());
            }
        }
        // It has to be there when the bars are gone.
        Event::Warning { .. } => say_line(&screen, &event),
        Event::Cached { stage, .. } => *cached.entry(*stage).or_default() += 1,
        Event::ItemFinished { stage, item, outcome, seconds: took } => {
            close(&mut bars, &(*stage, Some(item.clone())));
            if *outcome == Outcome::Failed || *took > 1.0 {
                say(&screen, &format!("  {item:<24} {} in {}", word(*outcome), time(*took)));
            }
        }
        Event::StageFinished { stage, outcome, seconds: took } => {
            close(&mut bars, &(*stage, None));
            let reused = cached.get(stage).map_or(String::new(), |n| format!(", {n} from the store"));
            say(&screen, &format!("{:<26} {} in {}{reused}", stage.name(), word(*outcome), time(*took)));
        }
        Event::Problem(_) => {}
        Event::RunStarted { .. } | Event::Artifact { .. } | Event::RunFinished { .. } => {
            say_line(&screen, &event)
        }
    });
    let _ = screen.clear();
}

fn open(screen: &MultiProgress, bars: &mut Bars, key: (Stage, Option<String>), title: &str) {
    let bar = screen.add(ProgressBar::no_length());
    bar.set_style(waiting());
    bar.set_prefix(title.to_owned());
    bar.enable_steady_tick(Duration::from_millis(200));
    bars.insert(key, bar);
}

fn close(bars: &mut Bars, key: &(Stage, Option<String>)) {
    if let Some(bar) = bars.remove(key) {
        bar.finish_and_clear();
    }
}

/// An event that stays to be read, above the bars.
fn say_line(screen: &MultiProgress, event: &Event) {
    if let Some(line) = line(event) {
        say(screen, &line);
    }
}

fn say(screen: &MultiProgress, line: &str) {
    let _ = screen.println(line);
}

fn waiting() -> ProgressStyle {
    ProgressStyle::with_template("{prefix:26} {elapsed:>4} {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_spinner())
}

fn measured(unit: Unit) -> ProgressStyle {
    let template = match unit {
        Unit::Bytes => {
            "{prefix:26} {elapsed:>4} [{bar:24}] {binary_bytes} of {binary_total_bytes} {wide_msg}"
        }
        Unit::Items => "{prefix:26} {elapsed:>4} [{bar:24}] {pos} of {len} {wide_msg}",
    };
    ProgressStyle::with_template(template)
        .map(|style| style.progress_chars("=> "))
        .unwrap_or_else(|_| ProgressStyle::default_bar())
}
