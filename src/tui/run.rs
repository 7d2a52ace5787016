//! The loop: what comes in is taken, what changed is drawn. It knows neither where events come from nor
//! what they are drawn on, so tests feed keys from a channel and look at a screen in memory.

use super::model::Model;
use super::msg::{Effect, Msg};
use super::signals::GONE;
use super::update::update;
use super::view::view;
use futures_util::{Stream, StreamExt as _};
use ratatui::Terminal;
use ratatui::backend::Backend;
use ratatui::crossterm::event::{Event, KeyEventKind, MouseEventKind};
use rustix::io::Errno;
use std::io;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::Receiver;

/// At most this many answers are taken before the next look at the keys.
const BATCH: usize = 256;
/// A frame at most this often; faster while a person types, so that a key is seen within 16 ms.
const FRAME: Duration = Duration::from_millis(33);
const TYPING: Duration = Duration::from_millis(8);
/// How often time is told while something moves.
const TICK: Duration = Duration::from_millis(100);

/// What the loop needs of the world.
pub trait World<B: Backend> {
    /// Does an effect; answers come over the channel.
    fn effect(&mut self, effect: Effect, terminal: &mut Terminal<B>) -> io::Result<Option<Msg>>;
}

/// Runs until the model leaves; gives its exit code.
///
/// Signals come before keys and keys before answers, so that a flood of answers delays no key.
pub async fn run<B, S, W>(
    model: &mut Model,
    terminal: &mut Terminal<B>,
    mut events: S,
    mut signals: Receiver<u8>,
    mut answers: Receiver<Msg>,
    world: &mut W,
    first: Vec<Effect>,
) -> io::Result<u8>
where
    B: Backend,
    B::Error: Send + Sync + 'static,
    S: Stream<Item = io::Result<Event>> + Unpin,
    W: World<B>,
{
    let began = Instant::now();
    let mut todo: Vec<Effect> = first;
    let mut dirty = true;
    let mut drawn: Option<Instant> = None;
    let mut typed = false;
    let mut batch = Vec::new();
    loop {
        while !todo.is_empty() {
            for effect in std::mem::take(&mut todo) {
                if let Some(msg) = world.effect(effect, terminal)? {
                    todo.extend(update(model, msg));
                }
            }
        }
        if let Some(code) = model.leaving {
            return Ok(code);
        }
        let pause = if typed { TYPING } else { FRAME };
        let due = drawn.map_or(Duration::ZERO, |at: Instant| pause.saturating_sub(at.elapsed()));
        if dirty && due.is_zero() {
            todo.extend(update(model, Msg::Tick(began.elapsed())));
            if let Err(e) = terminal.draw(|frame| view(model, frame)) {
                return lost(model, terminal, world, io::Error::other(e));
            }
            drawn = Some(Instant::now());
            dirty = false;
            typed = false;
            if !todo.is_empty() {
                continue;
            }
        }
        let wait = if dirty {
            due
        } else if model.moving() {
            TICK
        } else {
            Duration::MAX
        };
        batch.clear();
        let msgs: Vec<Msg> = tokio::select! {
            biased;
            Some(code) = signals.recv() => vec![Msg::Signal(code)],
            event = events.next() => match event {
                Some(Ok(event)) => {
                    typed = true;
                    message(event).into_iter().collect()
                }
                // The terminal is gone.
                Some(Err(_)) | None => vec![Msg::Signal(GONE)],
            },
            count = answers.recv_many(&mut batch, BATCH), if !answers.is_closed() || !answers.is_empty() => {
                if count == 0 { Vec::new() } else { std::mem::take(&mut batch) }
            }
            () = sleep(wait) => {
                dirty |= !dirty && model.moving();
                continue;
            }
        };
        todo.extend(update(model, Msg::Tick(began.elapsed())));
        for msg in msgs {
            todo.extend(update(model, msg));
        }
        dirty = true;
    }
}

/// Nothing can be drawn any more: what was typed is kept, then the end.
fn lost<B: Backend, W: World<B>>(
    model: &mut Model,
    terminal: &mut Terminal<B>,
    world: &mut W,
    error: io::Error,
) -> io::Result<u8> {
    for effect in update(model, Msg::Signal(GONE)) {
        world.effect(effect, terminal)?;
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<io::Error>());
    let gone = [Errno::IO, Errno::NXIO, Errno::PIPE].map(|errno| Some(errno.raw_os_error()));
    match inner.map(io::Error::raw_os_error) {
        Some(code) if code.is_some() && gone.contains(&code) => Ok(GONE),
        _ => Err(error),
    }
}

async fn sleep(wait: Duration) {
    if wait == Duration::MAX {
        std::future::pending::<()>().await;
    } else {
        tokio::time::sleep(wait).await;
    }
}

fn message(event: Event) -> Option<Msg> {
    Some(match event {
        Event::Key(key) if key.kind != KeyEventKind::Release => Msg::Key(key),
        Event::Paste(text) => Msg::Paste(text),
        Event::Resize(columns, lines) => Msg::Resize(columns, lines),
        Event::Mouse(mouse) => match mouse.kind {
            MouseEventKind::ScrollUp => Msg::Wheel { up: true },
            MouseEventKind::ScrollDown => Msg::Wheel { up: false },
            _ => return None,
        },
        Event::Key(_) | Event::FocusGained | Event::FocusLost => return None,
    })
}
