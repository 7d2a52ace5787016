//! The engine's storage: a tmpfs whose size follows the machine's memory.
//!
//! It is mounted in this container's mount namespace, so it goes when the container does, and an engine
//! that is started again begins with an empty one. An engine that was killed for want of memory would
//! otherwise find the same memory taken.

use crate::NAME;
use hookos_guest::notice;
use rustix::mount::{MountFlags, MountPropagationFlags};
use std::ffi::CString;

pub const FOLDER: &str = "/var/lib/docker";
const MIB: u64 = 1 << 20;
/// A worker and one action with its tools do not fit into less.
const FLOOR: u64 = 512 * MIB;

/// Bytes that the storage may take on a machine with `total` bytes of memory: half of it, which is
/// also what PID 1 lets `/run` and `/tmp` have, and 512 MiB at least, but never more than three
/// quarters. It is a limit; memory is used for what is stored.
pub fn size(total: u64) -> u64 {
    (total / 2).max(FLOOR).min(total / 4 * 3)
}

/// Mounts the storage, and says how large it is.
pub fn prepare() -> Result<(), String> {
    let text =
        std::fs::read_to_string("/proc/meminfo").map_err(|e| format!("cannot read /proc/meminfo: {e}"))?;
    let total = memory(&text).ok_or("/proc/meminfo does not say how much memory there is")?;
    let size = size(total);
    let failed = |e: std::io::Error| format!("cannot mount the engine's storage at {FOLDER}: {e}");
    // Containers' mounts may be shared with others, as on a machine with an init that shares its root;
    // the machine's own mounts stay out of reach, this namespace is a slave of theirs.
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", shared)
        .map_err(|e| format!("cannot share the container's mounts: {e}"))?;
    std::fs::create_dir_all(FOLDER).map_err(failed)?;
    let data = CString::new(format!("size={size},mode=0710")).map_err(|e| failed(e.into()))?;
    rustix::mount::mount("tmpfs", FOLDER, "tmpfs", MountFlags::NOATIME, data.as_c_str())
        .map_err(|e| failed(e.into()))?;
    notice::say(NAME, &format!("storage: {} MiB at most, of {} MiB of memory", size / MIB, total / MIB));
    Ok(())
}

/// `MemTotal` of /proc/meminfo, in bytes.
fn memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn half_with_a_floor() {
        assert_eq!(size(8192 * MIB), 4096 * MIB);
        assert_eq!(size(800 * MIB), 512 * MIB);
        assert_eq!(size(400 * MIB), 300 * MIB);
    }

    #[test]
    fn meminfo() {
        assert_eq!(memory("MemTotal:        2014032 kB\nMemFree: 1 kB\n"), Some(2_014_032 * 1024));
        assert_eq!(memory("MemFree: 1 kB\n"), None);
        assert_eq!(memory("MemTotal: much kB\n"), None);
    }

    proptest! {
        #[test]
        fn never_the_whole_memory(total in 0..u64::MAX / 4) {
            prop_assert!(size(total) <= total / 4 * 3);
        }

        #[test]
        fn any_meminfo(text in ".{0,80}") {
            let _ = memory(&text);
            let _ = memory(&format!("MemTotal:{text}"));
        }
    }
}
