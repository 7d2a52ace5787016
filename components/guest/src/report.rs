//! The boot report: JSON lines that init writes to the virtio-serial port [`PORT`] if the
//! machine has one, and that `hookos boot --check` reads on the other side.

use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port that carries the report.
pub const PORT: &str = "org.hookos.report";

/// One line of the report. Times are seconds since the kernel started (CLOCK_BOOTTIME).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Report {
    /// Init took over from the kernel.
    Init { at: f64, kernel: String },
    /// A step of init itself has ended (mounts, modules, hooks, ...).
    Step { name: String, at: f64, seconds: f64 },
    /// An onboot or onshutdown container has ended.
    Onboot { name: String, exit: i32, at: f64, seconds: f64 },
    /// A service changed its state.
    Service { name: String, state: ServiceState, at: f64, restarts: u32 },
    /// Every onboot container has ended and every service is running, or has failed for good.
    Ready { at: f64, memory: Memory, failed: Vec<String> },
    /// The machine is about to power off, reboot or halt.
    Shutdown { at: f64, action: String },
}

/// What a service is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    Starting,
    Running,
    /// Ended and waiting to be started again.
    Backoff,
    Stopped,
    /// Could not be started at all.
    Failed,
}

/// Memory use in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
    /// Bytes that the root file system (tmpfs) holds.
    pub root: u64,
}
