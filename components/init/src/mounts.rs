//! Mounting with fstab-like option words, as runtime.json of a LinuxKit bundle has them.
//!
//! The words and their meaning are those of mount(8); a word that is not one of them is data for
//! the file system. One call can change only one thing, so several calls are made where the words ask for
//! several: a bind with `ro` is a bind and then a read-only remount of it.

use std::ffi::CString;
use std::io;
use std::path::Path;

use rustix::mount::{MountFlags, MountPropagationFlags as Propagation, UnmountFlags};

/// Option words, sorted by what they are for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `ro`, `nosuid`, ...
    pub flags: Flags,
    /// `bind`: `Some(false)`, `rbind`: `Some(true)`.
    pub bind: Option<bool>,
    pub remount: bool,
    /// `shared`, `rprivate`, ... in their order.
    pub propagation: Vec<Propagation>,
    /// What is left, for the file system.
    pub data: Vec<String>,
}

/// Mount flags with an empty default.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flags(pub MountFlags);

impl Default for Flags {
    fn default() -> Self {
        Self(MountFlags::empty())
    }
}

/// Sorts option words. Each element may itself hold several, separated by commas.
pub fn parse_options<S: AsRef<str>>(words: &[S]) -> Options {
    let mut o = Options::default();
    for word in words.iter().flat_map(|w| w.as_ref().split(',')).map(str::trim).filter(|w| !w.is_empty()) {
        let (set, clear) = match word {
            "ro" => (MountFlags::RDONLY, MountFlags::empty()),
            "rw" => (MountFlags::empty(), MountFlags::RDONLY),
            "nosuid" => (MountFlags::NOSUID, MountFlags::empty()),
            "suid" => (MountFlags::empty(), MountFlags::NOSUID),
            "nodev" => (MountFlags::NODEV, MountFlags::empty()),
            "dev" => (MountFlags::empty(), MountFlags::NODEV),
            "noexec" => (MountFlags::NOEXEC, MountFlags::empty()),
            "exec" => (MountFlags::empty(), MountFlags::NOEXEC),
            "sync" => (MountFlags::SYNCHRONOUS, MountFlags::empty()),
            "async" => (MountFlags::empty(), MountFlags::SYNCHRONOUS),
            "dirsync" => (MountFlags::DIRSYNC, MountFlags::empty()),
            "mand" => (MountFlags::PERMIT_MANDATORY_FILE_LOCKING, MountFlags::empty()),
            "nomand" => (MountFlags::empty(), MountFlags::PERMIT_MANDATORY_FILE_LOCKING),
            "noatime" => (MountFlags::NOATIME, MountFlags::empty()),
            "atime" => (MountFlags::empty(), MountFlags::NOATIME),
            "nodiratime" => (MountFlags::NODIRATIME, MountFlags::empty()),
            "diratime" => (MountFlags::empty(), MountFlags::NODIRATIME),
            "relatime" => (MountFlags::RELATIME, MountFlags::empty()),
            "norelatime" => (MountFlags::empty(), MountFlags::RELATIME),
            "strictatime" => (MountFlags::STRICTATIME, MountFlags::empty()),
            "nostrictatime" => (MountFlags::empty(), MountFlags::STRICTATIME),
            "lazytime" => (MountFlags::LAZYTIME, MountFlags::empty()),
            "nolazytime" => (MountFlags::empty(), MountFlags::LAZYTIME),
            "silent" => (MountFlags::SILENT, MountFlags::empty()),
            "loud" => (MountFlags::empty(), MountFlags::SILENT),
            "defaults" | "iversion" | "noiversion" | "auto" | "noauto" | "nofail" | "_netdev" => {
                (MountFlags::empty(), MountFlags::empty())
            }
            "bind" | "rbind" => {
                o.bind = Some(o.bind == Some(true) || word == "rbind");
                continue;
            }
            "remount" => {
                o.remount = true;
                continue;
            }
            _ => {
                match propagation(word) {
                    Some(p) => o.propagation.push(p),
                    None => o.data.push(word.to_owned()),
                }
                continue;
            }
        };
        o.flags.0.insert(set);
        o.flags.0.remove(clear);
    }
    o
}

fn propagation(word: &str) -> Option<Propagation> {
    let (base, recursive) = match word.strip_prefix('r') {
        Some(rest) => (rest, true),
        None => (word, false),
    };
    let p = match base {
        "shared" => Propagation::SHARED,
        "private" => Propagation::PRIVATE,
        "slave" => Propagation::DOWNSTREAM,
        "unbindable" => Propagation::UNBINDABLE,
        _ => return None,
    };
    Some(if recursive { p | Propagation::REC } else { p })
}

/// Mounts `source` at `target`, which must exist.
///
/// With `remount` the propagation words have no effect: so it is for one mount(2) call that has
/// both, and the `remount, private` that LinuxKit writes for a container's `tmp` relies on it.
pub fn mount(kind: &str, source: &str, target: &Path, options: &Options) -> io::Result<()> {
    let data = CString::new(options.data.join(",")).map_err(|_| io::ErrorKind::InvalidInput)?;
    let bind = options.bind.or((kind == "bind").then_some(true));
    if options.remount {
        let flags = if bind.is_some() { options.flags.0 | MountFlags::BIND } else { options.flags.0 };
        rustix::mount::mount_remount(target, flags, data)?;
        return Ok(());
    }
    if let Some(recursive) = bind {
        if recursive {
            rustix::mount::mount_bind_recursive(source, target)?;
        } else {
            rustix::mount::mount_bind(source, target)?;
        }
        if !options.flags.0.is_empty() {
            rustix::mount::mount_remount(target, options.flags.0 | MountFlags::BIND, c"")?;
        }
    } else if !kind.is_empty() {
        let source = if source.is_empty() { kind } else { source };
        rustix::mount::mount(source, target, kind, options.flags.0, data.as_c_str())?;
    } else if options.propagation.is_empty() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "neither a type nor bind, remount or a propagation",
        ));
    }
    for change in &options.propagation {
        rustix::mount::mount_change(target, *change)?;
    }
    Ok(())
}

/// Takes away every mount at or below `folder`, the newest first; one that is in use goes
/// away once its last user does.
pub fn unmount_below(folder: &Path) {
    for mount in crate::mountinfo::read().iter().rev().filter(|m| m.point.starts_with(folder)) {
        unmount(&mount.point);
    }
}

/// Unmounts, at once or, if it is in use, lazily.
pub fn unmount(point: &Path) -> bool {
    rustix::mount::unmount(point, UnmountFlags::NOFOLLOW).is_ok()
        || rustix::mount::unmount(point, UnmountFlags::NOFOLLOW | UnmountFlags::DETACH).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn words_become_flags_and_the_rest_is_data() {
        let o = parse_options(&["ro", "nosuid,nodev", "size=10%", "rw", "mode=755", "lowerdir=/a:/b"]);
        assert_eq!(o.flags.0, MountFlags::NOSUID | MountFlags::NODEV);
        assert_eq!(o.data, ["size=10%", "mode=755", "lowerdir=/a:/b"]);
        assert_eq!(o.bind, None);
    }

    #[test]
    fn linuxkits_remount_private() {
        let o = parse_options(&["remount", "private"]);
        assert!(o.remount);
        assert_eq!(o.propagation, [Propagation::PRIVATE]);
    }

    #[test]
    fn rbind_wins_over_bind_and_slave_is_not_sslave() {
        let o = parse_options(&["rbind", "bind", "rslave", "rshared", "relatime", "rw"]);
        assert_eq!(o.bind, Some(true));
        assert_eq!(
            o.propagation,
            [Propagation::DOWNSTREAM | Propagation::REC, Propagation::SHARED | Propagation::REC]
        );
        assert_eq!(o.flags.0, MountFlags::RELATIME);
        assert!(o.data.is_empty());
    }

    proptest! {
        #[test]
        fn every_word_ends_in_one_place(words in proptest::collection::vec("[a-z=,]{0,12}", 0..8)) {
            let o = parse_options(&words);
            prop_assert!(o.data.iter().all(|d| !d.is_empty() && !d.contains(',')));
        }
    }
}
