//! The first thing PID 1 does: a root that can be pivoted from, the kernel's file systems,
//! descriptors, limits. Nothing here is fatal; what fails is told once there is a console.

use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};
use rustix::process::{Resource, Rlimit};

/// `f_type` of tmpfs and ramfs (linux/magic.h).
const MEMORY_FILE_SYSTEMS: [i64; 2] = [0x0102_1994, 0x8584_58f6];

const NOSUID: MountFlags = MountFlags::NOSUID;

fn kernel() -> MountFlags {
    MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC
}

/// Prepares the machine. The result is what went wrong, a line each.
pub fn bring_up() -> Vec<String> {
    let mut wrong = Vec::new();
    let mut note = |what: &str, result: io::Result<()>| {
        if let Err(e) = result {
            wrong.push(format!("{what}: {e}"));
        }
    };
    note("give the root a parent mount", root_with_parent());
    for (kind, target, flags, data) in [
        ("proc", "/proc", kernel(), c""),
        ("sysfs", "/sys", kernel(), c""),
        ("devtmpfs", "/dev", NOSUID, c"mode=0755"),
        ("devpts", "/dev/pts", NOSUID | MountFlags::NOEXEC, c"gid=5,mode=0620,ptmxmode=0666"),
        ("tmpfs", "/dev/shm", NOSUID | MountFlags::NODEV, c"mode=1777"),
        ("mqueue", "/dev/mqueue", kernel(), c""),
        // Docker keeps its images and containers below /run, hence half of the memory and exec.
        ("tmpfs", "/run", NOSUID | MountFlags::NODEV, c"mode=0755,size=50%"),
        ("tmpfs", "/tmp", NOSUID | MountFlags::NODEV, c"mode=1777,size=50%"),
    ] {
        note(target, mount(kind, target, flags, data));
    }
    note("standard input and output", standard_descriptors());
    optional_mounts();
    note("cgroups", control_groups());
    let shared = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    note("share the root's mounts", rustix::mount::mount_change("/", shared).map_err(io::Error::from));
    note("folders", folders());
    note("limits", limits());
    kernel_settings();
    seed_random();
    note("network interface lo", crate::netlink::up("lo"));
    wrong
}

/// Gives `/` a parent mount.
///
/// The kernel's first root file system has none, and pivot_root(2), which OCI runtimes use, needs
/// one. The root is bound to a folder, that mount is moved over `/` and becomes the root. PID 1
/// shares its root with the kernel's threads, so `modprobe` that the kernel starts follows.
fn root_with_parent() -> io::Result<()> {
    let kind = rustix::fs::statfs("/")?.f_type;
    #[allow(clippy::unnecessary_cast, reason = "the type differs between architectures")]
    if !MEMORY_FILE_SYSTEMS.contains(&(kind as i64)) {
        return Ok(());
    }
    folder("/mnt", 0o755)?;
    rustix::mount::mount_bind("/", "/mnt")?;
    rustix::process::chdir("/mnt")?;
    rustix::mount::mount_move(".", "/")?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    Ok(())
}

fn mount(kind: &str, target: &str, flags: MountFlags, data: &std::ffi::CStr) -> io::Result<()> {
    folder(target, 0o755)?;
    match rustix::mount::mount(kind, target, kind, flags, data) {
        // Mounted already, by the kernel or a program before us.
        Ok(()) | Err(Errno::BUSY) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// File systems that this kernel or machine may not have: mounted where their folder exists.
fn optional_mounts() {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    for (kind, target, data) in [
        ("securityfs", "/sys/kernel/security", c""),
        ("debugfs", "/sys/kernel/debug", c"mode=0700"),
        ("tracefs", "/sys/kernel/tracing", c"mode=0700"),
        ("configfs", "/sys/kernel/config", c""),
        ("fusectl", "/sys/fs/fuse/connections", c""),
        ("pstore", "/sys/fs/pstore", c""),
        ("bpf", "/sys/fs/bpf", c"mode=0700"),
        // Its module is loaded by the mount.
        ("efivarfs", "/sys/firmware/efi/efivars", c""),
        ("binfmt_misc", "/proc/sys/fs/binfmt_misc", c""),
    ] {
        let there = kind == "efivarfs" || known.lines().any(|l| l.split_whitespace().last() == Some(kind));
        if there && Path::new(target).is_dir() {
            let _ = rustix::mount::mount(kind, target, kind, kernel(), data);
        }
    }
}

/// Closed descriptors 0 to 2 are opened on the console, or on /dev/null where there is none.
fn standard_descriptors() -> io::Result<()> {
    let closed = rustix::io::fcntl_getfd(rustix::stdio::stdin()).is_err()
        || rustix::io::fcntl_getfd(rustix::stdio::stdout()).is_err()
        || rustix::io::fcntl_getfd(rustix::stdio::stderr()).is_err();
    if !closed {
        return Ok(());
    }
    let flags = OFlags::RDWR | OFlags::NOCTTY;
    let device = rustix::fs::open("/dev/console", flags, Mode::empty())
        .or_else(|_| rustix::fs::open("/dev/null", flags, Mode::empty()))?;
    rustix::stdio::dup2_stdin(&device)?;
    rustix::stdio::dup2_stdout(&device)?;
    rustix::stdio::dup2_stderr(&device)?;
    // The device's own descriptor may be one of the three: it must then stay open.
    if std::os::fd::AsRawFd::as_raw_fd(&device) <= 2 {
        std::mem::forget(device);
    }
    Ok(())
}

/// cgroup v2 with every controller passed on to the groups below the root.
fn control_groups() -> io::Result<()> {
    mount("cgroup2", "/sys/fs/cgroup", kernel(), c"")?;
    let controllers = std::fs::read_to_string("/sys/fs/cgroup/cgroup.controllers")?;
    for controller in controllers.split_whitespace() {
        // One by one: a controller that cannot be enabled must not keep the others.
        let _ = std::fs::write("/sys/fs/cgroup/cgroup.subtree_control", format!("+{controller}"));
    }
    Ok(())
}

fn folder(path: &str, mode: u32) -> io::Result<()> {
    if Path::new(path).is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(mode).create(path)
}

fn folders() -> io::Result<()> {
    for path in ["/var/log/onboot", "/var/log/init.d", "/var/lib", "/var/cache", "/var/spool", "/run/lock"] {
        folder(path, 0o755)?;
    }
    folder("/run/hookos/pids", 0o700)?;
    folder("/var/tmp", 0o1777)?;
    std::fs::set_permissions("/var/tmp", std::fs::Permissions::from_mode(0o1777))?;
    if !Path::new("/var/run").is_symlink() {
        // An image may bring an empty folder; one with files in it is left, and /run put over it.
        let _ = std::fs::remove_dir("/var/run");
        if Path::new("/var/run").exists() {
            rustix::mount::mount_bind("/run", "/var/run")?;
        } else {
            symlink("/run", "/var/run")?;
        }
    }
    for (link, target) in [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
    ] {
        if !Path::new(link).is_symlink() {
            symlink(target, link)?;
        }
    }
    Ok(())
}

fn limits() -> io::Result<()> {
    let files = Rlimit { current: Some(1 << 20), maximum: Some(1 << 20) };
    rustix::process::setrlimit(Resource::Nofile, files)?;
    let all = Rlimit { current: None, maximum: None };
    rustix::process::setrlimit(Resource::Nproc, all)?;
    Ok(())
}

/// Settings that have no meaning or no file on some kernels, so failures are left alone.
fn kernel_settings() {
    // Devices are udev's: the kernel must not start a program for each event.
    let _ = std::fs::write("/proc/sys/kernel/hotplug", "\n");
    let _ = std::fs::write("/proc/sys/kernel/printk_devkmsg", "on\n");
    if let Some(modprobe) = crate::children::find("modprobe") {
        let _ = std::fs::write("/proc/sys/kernel/modprobe", modprobe);
    }
    // Ctrl-Alt-Del becomes SIGINT for PID 1, that is an orderly reboot.
    let _ = rustix::system::reboot(rustix::system::RebootCommand::CadOff);
}

/// Stirs what differs between machines and boots into the kernel's random pool. This credits no
/// entropy (that is the kernel's and the rng service's job) and never waits.
fn seed_random() {
    let mut seed = Vec::new();
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    if let Ok(device) = rustix::fs::open("/dev/hwrng", flags, Mode::empty()) {
        let mut bytes = [0_u8; 64];
        if let Ok(n) = rustix::io::read(&device, &mut bytes[..]) {
            seed.extend(bytes.iter().take(n));
        }
    }
    for path in ["/sys/class/dmi/id/product_uuid", "/sys/class/dmi/id/product_serial", "/proc/interrupts"] {
        seed.extend(std::fs::read(path).unwrap_or_default());
    }
    let wall = rustix::time::clock_gettime(rustix::time::ClockId::Realtime);
    seed.extend(wall.tv_sec.to_ne_bytes());
    seed.extend(crate::clock::now().as_nanos().to_ne_bytes());
    let _ = std::fs::write("/dev/urandom", seed);
}
