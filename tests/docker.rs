//! A component with a Dockerfile, built by a real engine that the test starts: made, kept, failed in words,
//! cancelled, and told of where there is no engine. Needs root, dockerd and a static busybox.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// A Docker engine with everything it keeps below a folder. Ends with the test.
struct Engine {
    child: Child,
    socket: String,
    bridge_was_there: bool,
}

/// BuildKit's steps want a bridge; dockerd leaves it behind.
const BRIDGE: &str = "/sys/class/net/docker0";

impl Engine {
    fn start(folder: &Path) -> Self {
        let bridge_was_there = Path::new(BRIDGE).exists();
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
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .expect("dockerd is needed: apt-get install docker.io");
        let engine = Self { child, socket, bridge_was_there };
        let until = Instant::now() + Duration::from_secs(60);
        while !engine.docker(&["version"]).status.success() {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        engine
    }

    fn docker(&self, words: &[&str]) -> Output {
        Command::new("docker").args(words).env("DOCKER_HOST", &self.socket).output().unwrap()
    }

    /// An image with a shell.
    fn base(&self, folder: &Path) {
        let root = folder.join("base");
        std::fs::create_dir_all(root.join("bin")).unwrap();
        let busybox =
            ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|p| p.is_file());
        let busybox = busybox.expect("busybox is needed: apt-get install busybox-static");
        std::fs::copy(busybox, root.join("bin/busybox")).unwrap();
        for name in ["sh", "sleep", "echo", "chmod", "mkdir"] {
            std::os::unix::fs::symlink("busybox", root.join("bin").join(name)).unwrap();
        }
        let tar = folder.join("base.tar");
        let tar = tar.to_str().unwrap();
        let made =
            Command::new("tar").args(["-C", root.to_str().unwrap(), "-cf", tar, "."]).status().unwrap();
        assert!(made.success());
        let imported = self.docker(&["import", tar, "base:1"]);
        assert!(imported.status.success(), "{}", said(&imported));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
        if !self.bridge_was_there {
            let _ = Command::new("ip").args(["link", "delete", "docker0"]).status();
        }
    }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A project with one component, `tool`.
struct Project {
    root: PathBuf,
    store: PathBuf,
}

impl Project {
    fn new(folder: &Path) -> Self {
        let root = folder.join("project");
        for name in ["components/tool", "profiles"] {
            std::fs::create_dir_all(root.join(name)).unwrap();
        }
        for name in ["profiles/lab.toml", "profiles/lab-ca.pem", "profiles/lab-server.pem"] {
            std::fs::copy(Path::new(support::ROOT).join(name), root.join(name)).unwrap();
        }
        std::fs::write(root.join("components/hook.yaml"), "").unwrap();
        let project = Self { root, store: folder.join("store") };
        project.file(
            "component.toml",
            "description = \"A tool\"\n\n[run]\nstage = \"service\"\ncommand = [\"/bin/tool\"]\n",
        );
        project.file("tool", "#!/bin/sh\necho a tool\n");
        project
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.root.join("components/tool").join(name), text).unwrap();
    }

    fn build(&self, host: &str) -> Command {
        let mut command = support::hookos(&self.root, &self.store, &["components", "tool"]);
        command.env("DOCKER_HOST", host);
        command
    }
}

#[test]
fn a_dockerfile_is_built_kept_explained_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::start(&folder.path().join("engine"));
    engine.base(folder.path());
    let project = Project::new(folder.path());
    let nowhere = "unix:///nowhere/docker.sock";

    // Made, with its lines and steps; then taken from the store, for which no engine is needed.
    // The mount is one that only BuildKit has.
    let good = "FROM base:1\nCOPY tool /bin/tool\n\
                RUN --mount=type=tmpfs,target=/scratch chmod 755 /bin/tool && echo made by a step\n";
    project.file("Dockerfile", good);
    let text = support::ok(project.build(&engine.socket).output().unwrap());
    for line in ["[3/3] RUN --mount=type=tmpfs,target=/scratch chmod 755", "made by a step"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let old = Project::new(&folder.path().join("old"));
    old.file(
        "Dockerfile",
        "FROM base:1\nCOPY tool /bin/tool\nRUN chmod 755 /bin/tool && echo made by a step\n",
    );
    let text = support::ok(old.build(&engine.socket).env("DOCKER_BUILDKIT", "0").output().unwrap());
    for line in ["Step 3/3 : RUN chmod 755", "made by a step"] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let text = support::ok(project.build(nowhere).output().unwrap());
    assert!(text.contains("from the store"), "{text}");
    let verified = support::hookos(&project.root, &project.store, &["cache", "verify"]).output().unwrap();
    support::ok(verified);

    // The example, as its documentation says; its base is here under that name.
    let tagged = engine.docker(&["tag", "base:1", "docker.io/library/busybox:1.37"]);
    assert!(tagged.status.success(), "{}", said(&tagged));
    let (example, to) = (
        Path::new(support::ROOT).join("examples/components/greeting"),
        project.root.join("components/greeting"),
    );
    std::fs::create_dir_all(&to).unwrap();
    for entry in std::fs::read_dir(example).unwrap().map(|entry| entry.unwrap()) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
    let mut command = support::hookos(&project.root, &project.store, &["components", "greeting"]);
    support::ok(command.env("DOCKER_HOST", &engine.socket).output().unwrap());

    // Any file beside it decides too; and there is nobody to build it again.
    project.file("tool", "#!/bin/sh\necho another tool\n");
    let output = project.build(nowhere).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    for line in [
        "component tool",
        "no Docker engine answers at unix:///nowhere/docker.sock (DOCKER_HOST)",
        "components_off",
    ] {
        assert!(said(&output).contains(line), "{line}: {}", said(&output));
    }

    for builder in ["1", "0"] {
        // A step that fails is named, with what it printed.
        project.file("Dockerfile", "FROM base:1\nRUN echo the reason is this; exit 3\n");
        let output = project.build(&engine.socket).env("DOCKER_BUILDKIT", builder).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        for line in
            ["the reason is this", "RUN echo the reason is this; exit 3:", "code: 3", "mend the Dockerfile"]
        {
            assert!(said(&output).contains(line), "builder {builder}: {line}: {}", said(&output));
        }

        // Ctrl-C stops the engine's build, not only ours.
        let seconds = format!("{}", 31415 + std::process::id());
        project.file("Dockerfile", &format!("FROM base:1\nRUN sleep {seconds}\n"));
        let mut command = project.build(&engine.socket);
        command.env("DOCKER_BUILDKIT", builder).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let until = Instant::now() + Duration::from_secs(60);
        while !sleeps(&seconds) {
            assert!(Instant::now() < until, "the step does not begin");
            std::thread::sleep(Duration::from_millis(100));
        }
        let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(130));
        while sleeps(&seconds) {
            assert!(Instant::now() < until, "the engine goes on building");
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Whether a program `sleep SECONDS` runs.
fn sleeps(seconds: &str) -> bool {
    let wanted = format!("sleep\0{seconds}\0");
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| line == wanted.as_bytes())
}
