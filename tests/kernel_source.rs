//! A kernel from its source, as far as it fits in a few minutes: real source (Debian's linux-source-5.10),
//! real compiler, real registry, real gpg. What compiles a whole kernel is in `tests/kernel-full`:
//! `cargo test --test kernel_source -- --ignored`.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/engine.rs"]
mod engine;
#[path = "kernel_source/full.rs"]
mod full;
#[path = "kernel_source/kept.rs"]
mod kept;
#[path = "kernel_source/menu.rs"]
mod menu;
#[path = "kernel_source/origin.rs"]
mod origin;
#[path = "support/package.rs"]
mod package;
mod support;
#[path = "kernel_source/tarball.rs"]
mod tarball;
#[path = "support/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use hookos::store::Store;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use support::{ok, work};
use tarball::linux;

/// A project with a kernel and an image definition with nothing else.
struct Project {
    root: PathBuf,
    store: PathBuf,
}

impl Project {
    fn new(folder: &Path) -> Self {
        let root = folder.join("project");
        let kernel = [
            "kernel/build.sh",
            "kernel/Dockerfile",
            "kernel/configs/tiny-5.10.y-x86_64",
            "kernel/configs/tiny-6.1.y-x86_64",
            "kernel/configs/tiny-6.12.y-x86_64",
            "kernel/configs/generic-5.10.y-x86_64",
        ];
        support::project(&root, "kernel:\n  image: kernel\n  cmdline: quiet\n", &kernel);
        let lab = root.join("profiles/lab.toml");
        let text = std::fs::read_to_string(&lab).unwrap().replace("roles = ", "# roles = ");
        std::fs::write(&lab, text).unwrap();
        Self { root, store: folder.join("store") }
    }

    fn hookos(&self, words: &[&str]) -> Command {
        source(support::hookos(&self.root, &self.store, words))
    }
}

/// Settings of a kernel from the tests' source.
fn source(mut command: Command) -> Command {
    let linux = linux();
    command
        .env("HOOKOS_KERNEL_SOURCE", "source")
        .env("HOOKOS_KERNEL_ENGINE", "host")
        .env("HOOKOS_KERNEL_CONFIG", "tiny")
        .env("HOOKOS_KERNEL_POINT", linux.point.to_string())
        .env("HOOKOS_KERNEL_TARBALL", &linux.path)
        .env("HOOKOS_KERNEL_TARBALL_SHA256", linux.sha256.hex());
    command
}

/// What is left of a build in a store.
fn scratch(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.join("tmp")).unwrap();
    let path = |entry: std::io::Result<std::fs::DirEntry>| entry.unwrap().path();
    entries.map(path).filter(|path| path.is_dir()).collect()
}

/// Whether a process has its working folder in a store.
fn works_in(store: &Path) -> bool {
    let store = store.canonicalize().unwrap();
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        std::fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&store))
    })
}

#[test]
fn every_option_of_every_configuration_is_met() {
    let folder = tempfile::tempdir_in(work("kernel-source")).unwrap();
    let project = Project::new(folder.path());
    for config in ["tiny", "generic"] {
        let words = ["kernel", "lab", "--config-check", "--kernel-config", config];
        let text = ok(project.hookos(&words).output().unwrap());
        assert!(text.contains("options are as it says"), "{text}");
    }
    for (series, suite) in [("6.1", "bookworm"), ("6.12", "trixie")] {
        let linux = tarball::of(series, suite);
        let words = ["kernel", "lab", "--config-check", "--kernel-series", series];
        let mut command = project.hookos(&words);
        command
            .env("HOOKOS_KERNEL_POINT", linux.point.to_string())
            .env("HOOKOS_KERNEL_TARBALL", &linux.path)
            .env("HOOKOS_KERNEL_TARBALL_SHA256", linux.sha256.hex());
        let text = ok(command.output().unwrap());
        assert!(text.contains(&format!("Linux {series}.{} gets", linux.point)), "{text}");
    }
    // An option that the kernel does not have is named with its line.
    let file = project.root.join("kernel/configs/tiny-5.10.y-x86_64");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}CONFIG_NO_SUCH_THING=y\n")).unwrap();
    let output = project.hookos(&["kernel", "lab", "--config-check"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().count() + 1;
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(
        said.contains(&format!(":{line}: ")) && said.contains("CONFIG_NO_SUCH_THING is not there"),
        "{said}"
    );
    assert_eq!(scratch(&project.store), [] as [PathBuf; 0], "the source's folder is taken away");
}

#[test]
fn a_changed_configuration_is_told_in_words() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(folder.path());
    let old = folder.path().join("old");
    std::fs::write(&old, "CONFIG_NR_CPUS=4\nCONFIG_SWAP=y\n").unwrap();
    let words = ["kernel", "lab", "--config-diff", old.to_str().unwrap()];
    let text = ok(project.hookos(&words).output().unwrap());
    for line in
        ["Added (", "  OVERLAY_FS: built in", "Removed (1)", "  SWAP: was built in", "  NR_CPUS: 8, was 4"]
    {
        assert!(text.lines().any(|l| l.starts_with(line)), "{line}: {text}");
    }
}

#[test]
fn a_tarball_is_taken_only_as_pinned_and_of_the_version_that_is_asked_for() {
    let folder = tempfile::tempdir_in(work("kernel-source")).unwrap();
    let project = Project::new(folder.path());
    let refused = |change: &dyn Fn(&mut Command)| {
        let mut command = project.hookos(&["kernel", "lab"]);
        change(&mut command);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let said = refused(&|command| {
        command.env_remove("HOOKOS_KERNEL_TARBALL_SHA256");
    });
    assert!(said.contains(&format!("tarball_sha256 = \"{}\"", linux().sha256.hex())), "{said}");
    let said = refused(&|command| {
        command.env("HOOKOS_KERNEL_POINT", "1");
    });
    assert!(said.contains(&format!("--kernel-point {}", linux().point)), "{said}");
    let said = refused(&|command| {
        command.env("HOOKOS_KERNEL_CONFIG", "huge");
    });
    assert!(said.contains("tiny-5.10.y-x86_64"), "says which there are: {said}");
}

#[test]
fn ctrl_c_stops_the_compiler_and_leaves_nothing() {
    let folder = tempfile::tempdir_in(work("kernel-source")).unwrap();
    let project = Project::new(folder.path());
    let mut child =
        project.hookos(&["kernel", "lab"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let compiling = lines.by_ref().any(|line| line.unwrap().contains("  CC      arch/x86/"));
    assert!(compiling, "it never began to compile");
    let rest = std::thread::spawn(move || lines.count());
    let pid = rustix::process::Pid::from_raw(child.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    rest.join().unwrap();
    assert_eq!(scratch(&project.store), [] as [PathBuf; 0]);
    assert!(!works_in(&project.store), "a compiler is left");
    let _ = Store::open(&project.store).unwrap();
}
