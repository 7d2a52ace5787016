//! The terminal's keys. A program that gets the terminal for a while must get all of them, so reading can
//! be stopped and begun again.

use futures_util::Stream;
use ratatui::crossterm::event::{self, Event, EventStream};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

#[derive(Default)]
struct State {
    stream: Option<EventStream>,
    waiting: Option<Waker>,
}

/// A handle on the stream of keys; clones share it.
#[derive(Clone)]
pub struct Input(Arc<Mutex<State>>);

impl Default for Input {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { stream: Some(EventStream::new()), waiting: None })))
    }
}

impl Input {
    /// Stops reading. Waits until the reader's thread has let go, so that it takes no key from who comes.
    pub fn pause(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).stream = None;
        // Polling takes the lock that the reader holds; a key that is there already is nobody's now.
        while event::poll(Duration::ZERO).unwrap_or(false) {
            if event::read().is_err() {
                break;
            }
        }
    }

    /// Reads again.
    pub fn resume(&self) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        state.stream = Some(EventStream::new());
        if let Some(waker) = state.waiting.take() {
            waker.wake();
        }
    }
}

impl Stream for Input {
    type Item = io::Result<Event>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut state.stream {
            Some(stream) => Pin::new(stream).poll_next(context),
            None => {
                state.waiting = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
