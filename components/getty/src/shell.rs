//! Root's shell, in the machine's own file system rather than the container's.

use rustix::fs::{Mode, OFlags};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

/// Becomes /bin/sh with the mount namespace and root of PID 1. The container shares the machine's pid,
/// network, host name and IPC namespaces already (component.toml).
pub fn become_shell() -> ExitCode {
    if let Err(e) = enter_machine() {
        eprintln!("the machine's file system cannot be entered ({e}); this is the shell of the container");
    }
    let term = std::env::var("TERM").unwrap_or_else(|_| "vt220".to_owned());
    let mut shell = Command::new("/bin/sh");
    shell
        .arg0("-sh")
        .env_clear()
        .env("TERM", term)
        .env("HOME", "/root")
        .env("USER", "root")
        .env("LOGNAME", "root");
    shell.env("SHELL", "/bin/sh").env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    shell.env("PS1", "\\h:\\w\\$ ");
    eprintln!("no shell: {}\r", shell.exec());
    ExitCode::FAILURE
}

fn enter_machine() -> rustix::io::Result<()> {
    let open = |path: &str, flags| rustix::fs::open(path, flags | OFlags::CLOEXEC, Mode::empty());
    let root = open("/proc/1/root", OFlags::RDONLY | OFlags::DIRECTORY)?;
    let mounts = open("/proc/1/ns/mnt", OFlags::RDONLY)?;
    move_into_link_name_space(mounts.as_fd(), Some(LinkNameSpaceType::Mount))?;
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    if rustix::process::chdir("/root").is_err() {
        rustix::process::chdir("/")?;
    }
    Ok(())
}
