//! The boot report: JSON lines that init writes to the virtio-serial port [`PORT`] if the
//! machine has one, and that `hookos boot --check` reads on the other side.

use serde::{Deserialize, Serialize};

/// Name of the virtio-serial port that carries the report.
pub const PORT: &str = "org.hookos.report";

/// One line of the report. Times are seconds since the kernel started (CLOCK_BOOTTIME).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Report {
    /// Init took over from the kernel, which spent `unpacking` seconds of that time on the initramfs.
    Init {
        at: f64,
        kernel: String,
        #[serde(default)]
        unpacking: Option<f64>,
    },
    /// A step of init itself has ended (mounts, modules, hooks, ...).
    Step { name: String, at: f64, seconds: f64 },
    /// An onboot or onshutdown container has ended.
    Onboot { name: String, exit: i32, at: f64, seconds: f64 },
    /// A service changed its state.
    Service { name: String, state: ServiceState, at: f64, restarts: u32 },
    /// Something went wrong, in one line of words: a container that failed (with the end of
    /// its output), a hook, a mount.
    Problem { name: String, text: String, at: f64 },
    /// Every onboot container has ended and every service is running, or has failed for good.
    Ready { at: f64, memory: Memory, failed: Vec<String> },
    /// The machine is about to power off, reboot or halt.
    Shutdown { at: f64, action: String },
    /// A line that a newer init writes and this reader does not know.
    #[serde(other)]
    Unknown,
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
    /// Could not be started, or ended with an error, and will not be started again.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_flat_json_and_unknown_ones_are_kept_apart() {
        let line = Report::Onboot { name: "000-udev".into(), exit: 0, at: 3.5, seconds: 0.25 };
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(text, r#"{"event":"onboot","name":"000-udev","exit":0,"at":3.5,"seconds":0.25}"#);
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), line);
        let later = r#"{"event":"from-the-future","x":[1]}"#;
        assert_eq!(serde_json::from_str::<Report>(later).unwrap(), Report::Unknown);
    }
}
