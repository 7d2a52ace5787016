//! How a run's events look: plain lines, bars on a terminal, or JSON lines.

mod bars;
mod json;
pub mod plain;
mod short;

use crate::build::Event;
use crate::problem::{Problem, Result};
use std::io::IsTerminal;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, channel, sync_channel};
use std::thread::JoinHandle;

pub use short::Short;

/// Which face shows a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Face {
    /// A line for each thing that happens, for pipes and logs.
    Plain,
    /// A bar for each component, for terminals.
    Bars,
    /// One JSON object a line.
    Json,
}

impl Face {
    /// Bars if standard error is a terminal that can move its cursor, else plain lines.
    pub fn choose(json: bool, plain: bool) -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
        if json {
            Self::Json
        } else if plain || dumb || !std::io::stderr().is_terminal() {
            Self::Plain
        } else {
            Self::Bars
        }
    }

    /// Starts to show events. Wait for the handle after the last sender is gone.
    pub fn show(self) -> Result<(SyncSender<Event>, JoinHandle<()>)> {
        let (sender, receiver) = sync_channel(1024);
        let work = move || match self {
            Self::Plain => plain::show(receiver),
            Self::Bars => bars::show(receiver),
            Self::Json => json::show(receiver),
        };
        let handle = std::thread::Builder::new()
            .name("face".to_owned())
            .spawn(work)
            .map_err(|e| Problem::new("cannot start a thread").because(e))?;
        Ok((sender, handle))
    }
}

/// As [`drain`], for a terminal: one that is stopped (Ctrl-S) or hangs must not stop the build. When `each` is
/// that far behind, what only says how far work is at the moment is left out.
fn drain_unhindered(receiver: Receiver<Event>, mut each: impl FnMut(Event)) {
    const BEHIND: usize = 1024;
    let waiting = AtomicUsize::new(0);
    let (sender, queue) = channel();
    std::thread::scope(|scope| {
        let waiting = &waiting;
        scope.spawn(move || {
            for event in receiver {
                let passing = matches!(event, Event::Progress { .. } | Event::Log { .. });
                if passing && waiting.load(Ordering::Relaxed) >= BEHIND {
                    continue;
                }
                waiting.fetch_add(1, Ordering::Relaxed);
                if sender.send(event).is_err() {
                    return;
                }
            }
        });
        for event in queue {
            waiting.fetch_sub(1, Ordering::Relaxed);
            each(event);
        }
    });
}

/// Feeds every event to `each` until the run is gone.
fn drain(receiver: Receiver<Event>, mut each: impl FnMut(Event)) {
    for event in receiver {
        each(event);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::Stage;

    #[test]
    fn a_terminal_that_is_stopped_holds_up_no_build_and_hears_later_what_matters() {
        let (sender, receiver) = sync_channel(4);
        let (go_on, stopped) = channel::<()>();
        let mut shown = Vec::new();
        std::thread::scope(|scope| {
            let face = scope.spawn(move || {
                let mut shown = Vec::new();
                drain_unhindered(receiver, |event| {
                    // Until there is nobody to wait for.
                    let _ = stopped.recv();
                    shown.push(event);
                });
                shown
            });
            // A build is done with all this while its terminal takes nothing.
            for n in 0..10_000 {
                let log = Event::Log { stage: Stage::Kernel, item: None, line: n.to_string() };
                sender.send(log).unwrap();
                if n % 1000 == 0 {
                    let warning = Event::Warning { stage: Stage::Kernel, item: None, text: n.to_string() };
                    sender.send(warning).unwrap();
                }
            }
            drop(sender);
            drop(go_on);
            shown = face.join().unwrap();
        });
        let warnings: Vec<&Event> = shown.iter().filter(|e| matches!(e, Event::Warning { .. })).collect();
        assert_eq!(warnings.len(), 10);
        assert!(shown.len() < 3000, "{} events were kept for a terminal that takes none", shown.len());
    }
}
