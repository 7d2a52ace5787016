//! Components with a Dockerfile, built by real engines that the tests start: made, kept, failed in words,
//! cancelled, told what they may know, and told of where there is no engine. Needs root, dockerd and a static
//! busybox.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/engine.rs"]
mod engine;
#[path = "docker/places.rs"]
mod places;
#[path = "docker/plan.rs"]
mod plan;
#[path = "docker/podman.rs"]
mod podman;
#[path = "docker/told.rs"]
mod told;

mod support;

use engine::Engine;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

/// Where no engine is.
const NOWHERE: &str = "unix:///nowhere/docker.sock";
/// `DOCKER_BUILDKIT`: BuildKit, and the old builder.
const BUILDERS: [&str; 2] = ["1", "0"];

/// The engine that these tests share, with an image `base:1`; it ends with the last of them.
struct Shared {
    // Ends before its folder.
    engine: Engine,
    _folder: tempfile::TempDir,
}

fn shared() -> Arc<Shared> {
    static ONE: Mutex<Weak<Shared>> = Mutex::new(Weak::new());
    let mut one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    one.upgrade().unwrap_or_else(|| {
        let folder = tempfile::tempdir().unwrap();
        let engine = Engine::start(&folder.path().join("engine"), &[]);
        engine.base(folder.path());
        let shared = Arc::new(Shared { engine, _folder: folder });
        *one = Arc::downgrade(&shared);
        shared
    })
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn has(text: &str, all: &[&str]) {
    for line in all {
        assert!(text.contains(line), "{line}: {text}");
    }
}

/// A project with one component, `tool`.
struct Project {
    root: PathBuf,
    store: PathBuf,
}

impl Project {
    fn new(folder: &Path) -> Self {
        let root = folder.join("project");
        support::project(&root, "", &[]);
        std::fs::create_dir_all(root.join("components/tool")).unwrap();
        let project = Self { root, store: folder.join("store") };
        project.define("");
        project.file("tool", "#!/bin/sh\necho a tool\n");
        project
    }

    fn define(&self, more: &str) {
        let run = "[run]\nstage = \"service\"\ncommand = [\"/bin/tool\"]\n";
        self.file("component.toml", &format!("description = \"A tool\"\n\n{run}{more}"));
    }

    fn file(&self, name: &str, text: &str) {
        std::fs::write(self.root.join("components/tool").join(name), text).unwrap();
    }

    /// Knows of one engine, and of nothing else of this machine.
    fn build(&self, host: &str) -> Command {
        let mut command = support::hookos(&self.root, &self.store, &["components", "tool"]);
        for name in ["DOCKER_CONTEXT", "DOCKER_TLS_VERIFY", "DOCKER_CERT_PATH", "SOURCE_DATE_EPOCH"] {
            command.env_remove(name);
        }
        for name in ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"] {
            command.env_remove(name).env_remove(name.to_uppercase());
        }
        command.env("DOCKER_HOST", host).env("DOCKER_CONFIG", self.root.join("nobody"));
        command
    }

    #[track_caller]
    fn fails(&self, command: &mut Command, all: &[&str]) {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        has(&said(&output), all);
    }
}

#[test]
fn a_dockerfile_is_built_kept_and_explained() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let engine = &shared.engine;
    let project = Project::new(folder.path());

    // Made, with its lines and steps; then taken from the store, for which no engine is needed.
    // The mount is one that only BuildKit has.
    std::fs::create_dir(project.root.join("components/tool/empty")).unwrap();
    let good = "FROM base:1\nRUN mkdir /made\nCOPY tool /bin/tool\nCOPY empty /empty\n\
                RUN --mount=type=tmpfs,target=/scratch chmod 755 /bin/tool && echo made by a step\n";
    project.file("Dockerfile", good);
    let text = support::ok(project.build(&engine.socket).output().unwrap());
    has(&text, &["[5/5] RUN --mount=type=tmpfs,target=/scratch chmod 755", "made by a step"]);
    let old = Project::new(&folder.path().join("old"));
    old.file(
        "Dockerfile",
        "FROM base:1\nRUN mkdir /made\nCOPY tool /bin/tool\nRUN chmod 755 /bin/tool && echo made by a step\n",
    );
    let text = support::ok(old.build(&engine.socket).env("DOCKER_BUILDKIT", "0").output().unwrap());
    has(&text, &["Step 4/4 : RUN chmod 755", "made by a step"]);
    let text = support::ok(project.build(NOWHERE).output().unwrap());
    has(&text, &["from the store"]);
    let verified = support::hookos(&project.root, &project.store, &["cache", "verify"]).output().unwrap();
    support::ok(verified);

    // The example, as its documentation says; its base is here under that name.
    support::ok(engine.docker(&["tag", "base:1", "docker.io/library/busybox:1.37"]));
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
    for each in [&project, &old] {
        each.file("tool", "#!/bin/sh\necho another tool\n");
    }
    let reasons = [
        "component tool",
        "no Docker engine answers at unix:///nowhere/docker.sock (DOCKER_HOST)",
        "components_off",
    ];
    project.fails(&mut project.build(NOWHERE), &reasons);

    // The engine has kept its cache of steps, and no image of ours.
    let text = support::ok(project.build(&engine.socket).output().unwrap());
    has(&text, &["RUN mkdir /made (from the engine's cache)"]);
    let text = support::ok(old.build(&engine.socket).env("DOCKER_BUILDKIT", "0").output().unwrap());
    has(&text, &["Using cache"]);
    let images = support::ok(engine.docker(&["images", "--format", "{{.Repository}}"]));
    assert!(!images.contains("hookos"), "{images}");
    // Which may be somebody else's too: this is `base:1` itself.
    old.file("Dockerfile", "FROM base:1\n");
    support::ok(old.build(&engine.socket).env("DOCKER_BUILDKIT", "0").output().unwrap());
    support::ok(engine.docker(&["inspect", "base:1"]));

    for builder in BUILDERS {
        // A step that fails is named, with what it printed.
        project.file("Dockerfile", "FROM base:1\nRUN echo the reason is this; exit 3\n");
        let reasons =
            ["the reason is this", "RUN echo the reason is this; exit 3:", "code: 3", "mend the Dockerfile"];
        project.fails(project.build(&engine.socket).env("DOCKER_BUILDKIT", builder), &reasons);
    }

    // What cannot be sent is named before anybody waits for it.
    let pipe = project.root.join("components/tool/pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    project.fails(&mut project.build(&engine.socket), &[&pipe.display().to_string(), "a named pipe"]);
}

#[test]
fn another_clamp_of_times_is_other_work() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let project = Project::new(folder.path());
    project
        .file("Dockerfile", "FROM base:1\nARG SOURCE_DATE_EPOCH\nRUN echo clamped to $SOURCE_DATE_EPOCH\n");
    for epoch in ["1000000000", "2000000000"] {
        project.fails(project.build(NOWHERE).env("SOURCE_DATE_EPOCH", epoch), &["no Docker engine"]);
        let mut command = project.build(&shared.engine.socket);
        let text = support::ok(command.env("SOURCE_DATE_EPOCH", epoch).output().unwrap());
        has(&text, &[&format!("clamped to {epoch}")]);
        support::ok(project.build(NOWHERE).env("SOURCE_DATE_EPOCH", epoch).output().unwrap());
    }
}

#[test]
fn ctrl_c_ends_a_silent_build_and_one_that_never_stops_talking() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let project = Project::new(folder.path());
    let number = 31415 + std::process::id();
    let (silent, talkative) = (format!("sleep {number}"), format!("while :; do echo {number}; done"));
    for builder in BUILDERS {
        for step in [&silent, &talkative] {
            project.file("Dockerfile", &format!("FROM base:1\nRUN {step}\n"));
            let mut command = project.build(&shared.engine.socket);
            cancel(command.env("DOCKER_BUILDKIT", builder), step);
        }
    }
}

/// Sends SIGINT once a program runs that has these words in its command line; all of it ends.
fn cancel(command: &mut Command, words: &str) {
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let until = Instant::now() + Duration::from_secs(600);
    while !runs(words) {
        assert!(Instant::now() < until, "the step does not begin: {words}");
        assert_eq!(child.try_wait().unwrap(), None, "it has ended: {words}");
        std::thread::sleep(Duration::from_millis(100));
    }
    // It is in the midst of it.
    std::thread::sleep(Duration::from_secs(1));
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > until {
            let _ = child.kill();
            panic!("Ctrl-C does not end it: {words}");
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert_eq!(status.code(), Some(130));
    while runs(words) {
        assert!(Instant::now() < until, "the engine goes on building: {words}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// Whether a program with these words in its command line runs.
fn runs(words: &str) -> bool {
    let all = std::fs::read_dir("/proc").unwrap().flatten();
    all.filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .any(|line| String::from_utf8_lossy(&line).replace('\0', " ").contains(words))
}

#[test]
fn a_component_on_debian_is_built_fails_in_words_and_is_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let shared = shared();
    let engine = &shared.engine;
    support::ok(engine.docker(&["import", debian().to_str().unwrap(), "debian:here"]));
    let project = Project::new(folder.path());
    let from = "FROM debian:here\nCOPY tool /usr/local/bin/tool\n";
    project.file("Dockerfile", &format!("{from}RUN chmod 755 /usr/local/bin/tool && dpkg --audit && tool\n"));
    let text = support::ok(project.build(&engine.socket).output().unwrap());
    has(&text, &["a tool", "taking sha256:"]);
    project.file("Dockerfile", &format!("{from}RUN dpkg -s no-such-package\n"));
    let reasons = ["package 'no-such-package' is not installed", "RUN dpkg -s no-such-package:", "code: 1"];
    project.fails(&mut project.build(&engine.socket), &reasons);
    let step = format!("sleep {}", 27182 + std::process::id());
    project.file("Dockerfile", &format!("{from}RUN {step}\n"));
    cancel(&mut project.build(&engine.socket), &step);
}

/// A small Debian system as a tar archive, made by debootstrap once in a checkout.
fn debian() -> PathBuf {
    let (tar, scratch) = (support::work("debian").join("root.tar"), tempfile::tempdir().unwrap());
    if !tar.exists() {
        let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
        let root = scratch.path().join("root");
        let mut command = Command::new("debootstrap");
        command.env("PATH", path).args(["--variant=minbase", "bookworm"]).arg(&root);
        support::ok(command.output().expect("debootstrap is needed: apt-get install debootstrap"));
        let part = tar.with_extension("part");
        // The engine copies all of it for each step.
        let unneeded = ["var/cache", "var/lib/apt", "usr/share/doc", "usr/share/locale", "usr/share/man"];
        let mut command = Command::new("tar");
        command.args(unneeded.map(|folder| format!("--exclude=./{folder}/*")));
        support::ok(command.arg("-C").arg(root).arg("-cf").arg(&part).arg(".").output().unwrap());
        std::fs::rename(part, &tar).unwrap();
    }
    tar
}
