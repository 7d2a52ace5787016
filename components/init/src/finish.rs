//! The end: every process, every disk, then reboot(2).

use std::sync::mpsc::channel;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, kill_process_group};
use rustix::system::RebootCommand;

use crate::protocol::Action;
use crate::{info, mountinfo, mounts, say};

/// Ends all processes, writes and unmounts the disks, and takes the machine down. Only for PID 1.
pub fn finish(action: Action) -> ! {
    end_processes();
    if !sync(Duration::from_secs(30)) {
        info!("a disk does not take what is left to write; going on without it");
    }
    unmount_disks();
    sync(Duration::from_secs(10));
    info!(
        "{}",
        match action {
            Action::Poweroff => "power off",
            Action::Reboot => "reboot",
            Action::Halt => "halt; the machine can be switched off",
        }
    );
    say::flush(Duration::from_secs(2));
    loop {
        let _ = rustix::system::reboot(command(action));
        // Reached when the kernel refuses; a machine that cannot be switched off halts.
        std::thread::sleep(Duration::from_secs(5));
        let _ = rustix::system::reboot(RebootCommand::Restart);
    }
}

/// The call for an action.
pub fn command(action: Action) -> RebootCommand {
    match action {
        Action::Poweroff => RebootCommand::PowerOff,
        Action::Reboot => RebootCommand::Restart,
        Action::Halt => RebootCommand::Halt,
    }
}

/// TERM, up to 3 seconds, KILL, for every process but this one.
fn end_processes() {
    if !rustix::process::getpid().is_init() {
        return;
    }
    for (signal, limit) in [(Signal::TERM, Duration::from_secs(3)), (Signal::KILL, Duration::from_secs(2))] {
        // kill(-1): everybody that PID 1 may signal, PID 1 itself excepted. rustix spells a
        // group as a positive number, and group 1 negated is -1.
        let _ = kill_process_group(Pid::INIT, signal);
        let until = crate::clock::now().saturating_add(limit);
        while crate::clock::now() < until {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Err(Errno::CHILD) => return,
                Ok(None) => std::thread::sleep(Duration::from_millis(20)),
                _ => {}
            }
        }
    }
}

/// sync(2), but no longer than `limit`: a disk that has gone away can block it for ever.
pub fn sync(limit: Duration) -> bool {
    let (done, wait) = channel();
    let thread = std::thread::Builder::new().name("sync".to_owned()).spawn(move || {
        rustix::fs::sync();
        let _ = done.send(());
    });
    thread.is_ok() && wait.recv_timeout(limit).is_ok()
}

/// Unmounts what has a block device or a network behind it, the newest first. A mount in use is
/// made read-only, so that it is clean on disk, and detached.
fn unmount_disks() {
    const NETWORK: [&str; 7] = ["nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs"];
    for mount in mountinfo::read().iter().rev() {
        let disk = !mount.device.starts_with("0:") || mount.source.starts_with("/dev/");
        if NETWORK.contains(&mount.kind.as_str()) {
            let lazy = rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::FORCE;
            let _ = rustix::mount::unmount(&mount.point, lazy);
        } else if disk && rustix::mount::unmount(&mount.point, rustix::mount::UnmountFlags::NOFOLLOW).is_err()
        {
            let _ = rustix::mount::mount_remount(&mount.point, rustix::mount::MountFlags::RDONLY, c"");
            if !mounts::unmount(&mount.point) {
                info!("{} cannot be unmounted", mount.point.display());
            }
        }
    }
}
