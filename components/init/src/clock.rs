//! Time since the kernel started.

use std::time::Duration;

/// CLOCK_BOOTTIME: monotonic, counts from the kernel's start, goes on while the machine sleeps.
pub fn now() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(t.tv_sec).unwrap_or(0), u32::try_from(t.tv_nsec).unwrap_or(0))
}
