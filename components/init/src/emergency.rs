//! What PID 1 does when it cannot go on. The kernel panics when PID 1 ends, so it never does.

use std::fs::OpenOptions;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Makes a panic anywhere in this process end in [`emergency`] (main thread) or in a thread that
/// sleeps (any other): the image is built with `panic = "abort"`, which the hook comes before.
pub fn catch_panics() {
    let main = std::thread::current().id();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().id() == main {
            emergency(&info.to_string());
        }
        loop {
            std::thread::sleep(Duration::from_secs(3600));
        }
    }));
}

/// Says what happened, offers a shell on the console, and reboots when the shell is left. The
/// services keep running meanwhile, unattended.
pub fn emergency(reason: &str) -> ! {
    let text = format!(
        "\nhookos: PID 1 met an error that it cannot recover from:\n  {reason}\n\
         Services that run go on, but nobody looks after them.\n\
         This is a shell; leave it (exit) to reboot. Please report the lines above.\n\n"
    );
    let console = OpenOptions::new().read(true).write(true).open("/dev/console");
    if let Ok(mut console) = console {
        let _ = console.write_all(text.as_bytes());
        shell(&console);
    }
    // Without a console, or a shell, services get some time before the machine starts over.
    std::thread::sleep(Duration::from_secs(10));
    crate::finish::sync(Duration::from_secs(20));
    loop {
        let _ = rustix::system::reboot(rustix::system::RebootCommand::Restart);
        std::thread::sleep(Duration::from_secs(60));
    }
}

/// Runs busybox's shell on the console, with it as controlling terminal, reaping orphans meanwhile.
fn shell(console: &std::fs::File) {
    let Some(busybox) = crate::children::find("busybox") else { return };
    let stdio = || console.try_clone().map(Stdio::from).unwrap_or_else(|_| Stdio::inherit());
    let started = Command::new(&busybox)
        .args(["setsid", "-c", &busybox, "sh", "-l"])
        .stdin(stdio())
        .stdout(stdio())
        .stderr(stdio())
        .spawn();
    let Ok(child) = started else { return };
    let shell = rustix::process::Pid::from_child(&child);
    loop {
        match rustix::process::wait(rustix::process::WaitOptions::empty()) {
            Ok(Some((pid, _))) if pid == shell => return,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
