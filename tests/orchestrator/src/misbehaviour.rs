//! Ways in which an orchestrator goes wrong.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How the stand-in misbehaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Misbehaviour {
    /// Its certificate is signed by an authority that nobody trusts.
    WrongCa,
    /// Its certificate ended yesterday.
    ExpiredCertificate,
    /// Every request is answered with 401 (gRPC: UNAUTHENTICATED).
    Http401,
    /// Every request is answered with 429 and `Retry-After: 2` (gRPC: RESOURCE_EXHAUSTED).
    Http429,
    /// Every request is answered with 500 (gRPC: INTERNAL).
    Http500,
    /// Requests are taken and never answered.
    Hang,
    /// The onboarding stream ends after the first message without an answer; other answers break off.
    HalfClosed,
    /// No machine is known.
    NotFound,
    /// The orchestrator says that the machine is onboarded already.
    FailedPrecondition,
    /// Every answer comes 3 seconds late.
    Slow,
    /// Connections are closed as they come.
    Drop,
}

impl Misbehaviour {
    pub const ALL: [Self; 11] = [
        Self::WrongCa,
        Self::ExpiredCertificate,
        Self::Http401,
        Self::Http429,
        Self::Http500,
        Self::Hang,
        Self::HalfClosed,
        Self::NotFound,
        Self::FailedPrecondition,
        Self::Slow,
        Self::Drop,
    ];

    /// The word for it on the command line.
    pub fn name(self) -> String {
        clap::ValueEnum::to_possible_value(&self).map_or(String::new(), |value| value.get_name().to_owned())
    }

    /// The HTTP status that every request gets.
    pub fn status(self) -> Option<u16> {
        match self {
            Self::Http401 => Some(401),
            Self::Http429 => Some(429),
            Self::Http500 => Some(500),
            _ => None,
        }
    }
}

/// How late an answer is with [`Misbehaviour::Slow`].
pub const LATE: Duration = Duration::from_secs(3);

/// What holds at the moment; every connection looks at it.
#[derive(Clone)]
pub struct Conduct {
    now: Arc<Mutex<Option<Misbehaviour>>>,
    /// Counts the changes that open connections must not survive.
    breaks: watch::Sender<u64>,
}

impl Default for Conduct {
    fn default() -> Self {
        Self { now: Arc::default(), breaks: watch::Sender::new(0) }
    }
}

impl Conduct {
    pub fn now(&self) -> Option<Misbehaviour> {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on. Open connections end, so that nobody goes on with what was before.
    pub fn set(&self, how: Option<Misbehaviour>) {
        *self.now.lock().unwrap_or_else(PoisonError::into_inner) = how;
        self.breaks.send_modify(|count| *count += 1);
    }

    pub fn breaks(&self) -> watch::Receiver<u64> {
        self.breaks.subscribe()
    }
}
