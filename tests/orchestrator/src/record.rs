//! What the stand-in saw, in order.

use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One thing that happened. No token and no secret is ever in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Seconds since the stand-in started.
    pub at: f64,
    #[serde(flatten)]
    pub event: Event,
}

/// `token` is one of `valid`, `expired`, `missing` and `wrong`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Event {
    Started {
        address: SocketAddr,
    },
    /// A connection that did not come to a request.
    Refused {
        why: String,
    },
    /// A message on the onboarding stream and how it was answered.
    OnboardRequest {
        uuid: String,
        serial: String,
        mac: String,
        address: String,
        answer: String,
    },
    CreateNodes {
        uuid: String,
        serial: String,
        mac: String,
        address: String,
        authorized: bool,
        project_id: String,
    },
    /// A request for an access token. `account` is a client id or a user name.
    Token {
        grant: String,
        account: String,
        status: u16,
    },
    ReleaseToken {
        status: u16,
        token: String,
    },
    /// A request for an artifact; `route` is `tink-stack`, `files` or `oci`.
    Fetch {
        route: String,
        host: String,
        path: String,
        status: u16,
        token: String,
    },
    /// A call of the worker.
    Worker {
        method: String,
        worker_id: String,
        token: String,
    },
    Logs {
        scope_org_id: String,
        host_guid: String,
        token: String,
        lines: Vec<LogLine>,
    },
    Misbehaving {
        how: String,
    },
}

/// One shipped line.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    pub file_type: String,
    pub source: String,
    pub host_guid: String,
    pub body: String,
}

/// The records, to be added to by every connection.
#[derive(Clone)]
pub struct Records {
    inner: Arc<Inner>,
}

struct Inner {
    started: Instant,
    kept: Mutex<Kept>,
    more: Condvar,
}

#[derive(Default)]
struct Kept {
    records: Vec<Record>,
    sinks: Vec<File>,
}

impl Default for Records {
    fn default() -> Self {
        let inner = Inner { started: Instant::now(), kept: Mutex::default(), more: Condvar::new() };
        Self { inner: Arc::new(inner) }
    }
}

impl Records {
    pub fn add(&self, event: Event) {
        let record = Record { at: self.inner.started.elapsed().as_secs_f64(), event };
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Ok(mut line) = serde_json::to_vec(&record) {
            line.push(b'\n');
            // A reader that has gone away is no reason to stop.
            kept.sinks.retain_mut(|sink| sink.write_all(&line).is_ok());
        }
        kept.records.push(record);
        self.inner.more.notify_all();
    }

    /// Writes each record from now on, and those that there are, as a JSON line.
    pub fn write_to(&self, mut sink: File) -> std::io::Result<()> {
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        for record in &kept.records {
            serde_json::to_writer(&sink, record)?;
            sink.write_all(b"\n")?;
        }
        kept.sinks.push(sink);
        Ok(())
    }

    pub fn all(&self) -> Vec<Record> {
        self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner).records.clone()
    }

    /// The first record, of those that there are or come within `patience`, that is `what`.
    pub fn wait_for(&self, patience: Duration, mut what: impl FnMut(&Record) -> bool) -> Option<Record> {
        let until = Instant::now() + patience;
        let mut kept = self.inner.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let mut looked = 0;
        loop {
            if let Some(found) = kept.records[looked..].iter().find(|record| what(record)) {
                return Some(found.clone());
            }
            looked = kept.records.len();
            let left = until.checked_duration_since(Instant::now())?;
            kept = self.inner.more.wait_timeout(kept, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_flat_lines_and_are_waited_for() {
        let records = Records::default();
        let mut file = tempfile::tempfile().unwrap();
        records.write_to(file.try_clone().unwrap()).unwrap();
        let other = records.clone();
        let adds = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            other.add(Event::ReleaseToken { status: 200, token: "valid".into() });
        });
        let found =
            records.wait_for(Duration::from_secs(5), |r| matches!(r.event, Event::ReleaseToken { .. }));
        adds.join().unwrap();
        assert_eq!(found, records.all().pop());
        assert_eq!(records.wait_for(Duration::ZERO, |_| false), None);
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        std::io::Read::read_to_string(&mut file, &mut text).unwrap();
        assert!(
            text.ends_with(",\"what\":\"release-token\",\"status\":200,\"token\":\"valid\"}\n"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Record>(text.trim()).unwrap(), found.unwrap());
    }
}
