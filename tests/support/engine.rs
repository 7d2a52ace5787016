//! A Docker engine of a test's own. Needs root and dockerd.
// Each test file is a crate of its own and uses its own part of this.
#![allow(dead_code)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A Docker engine with everything it keeps below a folder, whose path must be short enough for sockets. Ends
/// with the test.
pub struct Engine {
    child: Child,
    pub socket: String,
    bridge: bool,
}

/// Steps of a build want a bridge; dockerd leaves it behind.
const BRIDGE: &str = "/sys/class/net/docker0";
/// One engine's end and another's start would quarrel about it, and the last one takes it away.
static SHARED: Mutex<Bridge> = Mutex::new(Bridge { users: 0, ours: false });

struct Bridge {
    users: usize,
    /// It was not there before them.
    ours: bool,
}

impl Engine {
    /// With more words for dockerd. One with `--bridge=none` takes the bridge away from all others.
    pub fn start(folder: &Path, more: &[&str]) -> Self {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let bridge = !more.contains(&"--bridge=none");
        if bridge {
            shared.ours |= shared.users == 0 && !Path::new(BRIDGE).exists();
            shared.users += 1;
        }
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("daemon.json"), "{}").unwrap();
        let option = |name: &str, path: &str| format!("--{name}={}", folder.join(path).display());
        let socket = format!("unix://{}", folder.join("docker.sock").display());
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("dockerd")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
            .args([
                format!("--host={socket}"),
                option("config-file", "daemon.json"),
                option("data-root", "data"),
            ])
            .args([option("exec-root", "exec"), option("pidfile", "pid")])
            .args(["--iptables=false", "--ip-forward=false", "--ip-masq=false", "--storage-driver=vfs"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout=1"])
            .args(more)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is needed: apt-get install docker.io");
        let engine = Self { child, socket, bridge };
        let until = Instant::now() + Duration::from_secs(60);
        while !engine.docker(&["version"]).status.success() {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    /// The Docker client, which knows of no other engine and of nobody's settings.
    pub fn docker(&self, words: &[&str]) -> Output {
        client(&[("DOCKER_HOST", &self.socket)]).args(words).output().unwrap()
    }

    /// An image `base:1` with a shell.
    pub fn base(&self, folder: &Path) {
        crate::support::ok(self.docker(&["import", base(folder).to_str().unwrap(), "base:1"]));
    }
}

/// A root file system with a shell, as a tar archive.
pub fn base(folder: &Path) -> PathBuf {
    let root = folder.join("base");
    std::fs::create_dir_all(root.join("bin")).unwrap();
    let busybox = ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|p| p.is_file());
    let busybox = busybox.expect("busybox is needed: apt-get install busybox-static");
    std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
    for name in ["sh", "sleep", "echo", "cat", "chmod", "mkdir"] {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
    }
    let tar = folder.join("base.tar");
    crate::support::ok(
        Command::new("tar").arg("-C").arg(root).arg("-cf").arg(&tar).arg(".").output().unwrap(),
    );
    tar
}

/// The Docker client with these settings alone.
pub fn client(settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_CONFIG", "/nonexistent").env_remove("DOCKER_HOST").env_remove("DOCKER_CONTEXT");
    command.envs(settings.iter().copied());
    command
}

impl Drop for Engine {
    fn drop(&mut self) {
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
        shared.users -= usize::from(self.bridge);
        if self.bridge && shared.users == 0 && std::mem::take(&mut shared.ours) {
            let _ = Command::new("ip").args(["link", "delete", "docker0"]).status();
        }
    }
}
