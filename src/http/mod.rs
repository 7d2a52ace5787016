//! HTTP with patience: what fails for a passing reason is tried again, what is cut off goes on where it was, and a wait
//! is over soon after it was cancelled.

mod fault;

pub(crate) use fault::{Fault, rest, with_sources};

use crate::progress::Progress;
use reqwest::header::CONTENT_RANGE;
use reqwest::{Client, ClientBuilder, Response, StatusCode};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const CONNECT: Duration = Duration::from_secs(20);
/// How often a wait looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
/// Attempts for one request.
pub(crate) const ATTEMPTS: u32 = 5;
/// So many bytes since the last failure, and the failures are counted anew.
const PROOF_OF_LIFE: u64 = 1 << 20;

/// A client like every other here.
pub(crate) fn builder() -> ClientBuilder {
    // It has no cryptography of its own. Another part of the program may have been first, with the same.
    let _ = tokio_rustls::rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent(concat!("hookos/", env!("CARGO_PKG_VERSION"))).connect_timeout(CONNECT)
}

/// Waits for a future. It is given up when it was cancelled, and after a silence: no end, and no byte `sent` meanwhile.
pub(crate) fn wait<T>(
    runtime: &Runtime,
    silence: Duration,
    progress: &dyn Progress,
    future: impl Future<Output = T>,
    sent: Option<&AtomicU64>,
    tick: Option<&dyn Fn()>,
) -> Result<T, Fault> {
    let count = || sent.map_or(0, |sent| sent.load(Ordering::Relaxed));
    runtime.block_on(async {
        let mut future = std::pin::pin!(future);
        let (mut last, mut moved) = (count(), Instant::now());
        loop {
            if let Ok(done) = tokio::time::timeout(LOOK, &mut future).await {
                return Ok(done);
            }
            if progress.cancelled() {
                return Err(Fault::cancelled());
            }
            if let Some(tick) = tick {
                tick();
            }
            if count() != last {
                (last, moved) = (count(), Instant::now());
            }
            if moved.elapsed() >= silence {
                let seconds = silence.as_secs_f32();
                return Err(Fault::passing(format!("it was silent for {seconds} seconds")));
            }
        }
    })
}

/// Repeats what fails for a passing reason.
pub(crate) fn patiently<T>(
    attempts: u32,
    progress: &dyn Progress,
    mut attempt: impl FnMut() -> Result<T, Fault>,
) -> Result<T, Fault> {
    let mut failures = 0;
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(fault) => {
                failures += 1;
                if failures >= attempts || !rest(failures, &fault, progress) {
                    return Err(if progress.cancelled() { Fault::cancelled() } else { fault });
                }
            }
        }
    }
}

/// The failures of a stream.
#[derive(Debug, Default)]
pub(crate) struct Failures {
    count: u32,
    /// Bytes that had come when it failed last.
    at: u64,
}

impl Failures {
    /// After a failure at byte `at`: rests, and says whether to go on.
    pub fn go_on(&mut self, at: u64, attempts: u32, fault: &Fault, progress: &dyn Progress) -> bool {
        if at >= self.at + PROOF_OF_LIFE {
            self.count = 0;
        }
        self.at = at;
        self.count += 1;
        self.count < attempts && rest(self.count, fault, progress)
    }

    /// Another server is asked.
    pub fn forget(&mut self) {
        self.count = 0;
    }
}

/// How many bytes of an answer are here already, where it was asked for those from `at`: a server that knows no ranges
/// sends all of it again. Source: RFC 9110, section 14.4.
pub(crate) fn known(response: &Response, at: u64) -> Result<u64, Fault> {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return Ok(at);
    }
    let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
    let start = range.and_then(|range| range.trim().strip_prefix("bytes ")?.split('-').next()?.parse().ok());
    if start != Some(at) {
        let range = range.unwrap_or("nothing");
        return Err(Fault::lasting(format!("asked for bytes from {at}, it sends {range}")));
    }
    Ok(0)
}
