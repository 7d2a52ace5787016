//! How long the kernel took to unpack the initramfs, from its own log.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::time::Duration;

/// What the kernel says before and after (`init/initramfs.c` of Linux 5.10 to 6.12).
const BEGINS: &str = "Trying to unpack rootfs image as initramfs";
const ENDS: &str = "Freeing initrd memory";

/// `None` when the log does not tell: the kernel has no `/dev/kmsg`, or says it in other words.
pub fn time() -> Option<Duration> {
    let flags = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).ok()?;
    let kmsg = OpenOptions::new().read(true).custom_flags(flags).open("/dev/kmsg").ok()?;
    between(std::iter::from_fn(|| record(&kmsg)))
}

/// The next record; each read(2) gives one (`Documentation/ABI/testing/dev-kmsg`).
fn record(mut kmsg: &File) -> Option<String> {
    let mut buffer = [0_u8; 8192];
    let length = kmsg.read(&mut buffer).ok().filter(|length| *length > 0)?;
    Some(String::from_utf8_lossy(buffer.get(..length)?).into_owned())
}

/// Records are `priority,sequence,microseconds,flags;text`.
fn between(records: impl Iterator<Item = String>) -> Option<Duration> {
    let mut begun = None;
    for record in records {
        let Some((head, text)) = record.split_once(';') else { continue };
        let at = || head.split(',').nth(2)?.parse().ok().map(Duration::from_micros);
        if text.starts_with(BEGINS) {
            begun = at();
        } else if text.starts_with(ENDS) {
            return at()?.checked_sub(begun?);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_between_the_two_lines() {
        let lines =
            |words: &[&str]| between(words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>().into_iter());
        let (begins, ends) = (
            "6,339,5140900,-;Trying to unpack rootfs image as initramfs...\n SUBSYSTEM=x\n",
            "6,351,9240900,-;Freeing initrd memory: 150528K\n",
        );
        assert_eq!(lines(&["6,1,0,-;Linux version\n", begins, ends]), Some(Duration::from_millis(4100)));
        assert_eq!(lines(&[ends]), None);
        assert_eq!(lines(&[begins, "no record"]), None);
    }
}
