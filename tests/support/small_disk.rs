//! A disk that is soon full.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A mounted tmpfs; it goes when this is dropped.
pub struct SmallDisk {
    pub path: PathBuf,
}

impl SmallDisk {
    /// None, with a word of it, where this user may not mount; a CI must.
    pub fn mount(path: &Path, size: &str) -> Option<Self> {
        if tmpfs(path, &format!("size={size}")) {
            return Some(Self { path: path.to_owned() });
        }
        eprintln!("SKIPPED: mounting a small tmpfs needs root; the full-disk test did not run");
        assert!(std::env::var_os("CI").is_none(), "CI must run the full-disk test as root");
        None
    }

    pub fn resize(&self, size: &str) {
        assert!(tmpfs(&self.path, &format!("remount,size={size}")));
    }
}

fn tmpfs(path: &Path, options: &str) -> bool {
    Command::new("mount").args(["-t", "tmpfs", "-o", options, "tmpfs"]).arg(path).status().unwrap().success()
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}
