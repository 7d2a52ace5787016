//! What the end-to-end tests share: the built program, folders that stay between runs, a shell in the guest.
// Each test file is a crate of its own and uses its own part of this.
#![allow(dead_code)]

use hookos::boot::check::{Guest, Verdict};
use hookos::boot::machine::Console;
use hookos::boot::{Accel, Machine};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

pub fn hookos(root: &Path, store: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hookos"));
    command
        .args(args)
        .arg("--plain")
        .env("HOOKOS_ROOT", root)
        .env("HOOKOS_CACHE", store)
        .stdin(Stdio::null());
    command
}

pub fn build(root: &Path, store: &Path, out: &Path) -> Output {
    hookos(root, store, &["build", "lab", "--out", out.to_str().unwrap()]).output().unwrap()
}

#[track_caller]
pub fn ok(output: Output) -> String {
    let text =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{}: {text}", output.status);
    text
}

/// A folder for the tests' stores, kept between runs of one checkout so that packages are fetched once.
pub fn work(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lab").join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn fresh(name: &str) -> PathBuf {
    let folder = work(name);
    std::fs::remove_dir_all(&folder).unwrap();
    work(name)
}

/// The sources of this checkout in another folder, as a second clone would have them.
pub fn second_clone(into: &Path) {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(ROOT)
        .output()
        .unwrap();
    assert!(listing.status.success());
    for name in listing.stdout.split(|b| *b == 0).filter(|n| !n.is_empty()) {
        let name = std::str::from_utf8(name).unwrap();
        let (from, to) = (Path::new(ROOT).join(name), into.join(name));
        if from.is_file() {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }
}

/// A project in `root`: the lab's profile and certificates, an image definition, and these files of the checkout.
pub fn project(root: &Path, definition: &str, files: &[&str]) {
    let lab = ["profiles/lab.toml", "profiles/lab-ca.pem", "profiles/lab-server.pem"];
    for name in lab.iter().chain(files) {
        let to = root.join(name);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::copy(Path::new(ROOT).join(name), to).unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    std::fs::create_dir_all(root.join("components")).unwrap();
    std::fs::write(root.join("components/hook.yaml"), definition).unwrap();
}

/// The built image in `out` as a machine without KVM. One CPU: the other core is for the servers that it
/// talks to, and on a loaded host two virtual CPUs wait for each other.
pub fn machine(out: &Path, parameters: &str) -> Machine {
    Machine {
        qemu: Machine::find_qemu().unwrap(),
        accel: Accel::Tcg,
        kernel: out.join("vmlinuz-x86_64"),
        initramfs: out.join("initramfs-x86_64"),
        append: format!(
            "{} worker_id={} {parameters}",
            std::fs::read_to_string(out.join("cmdline-x86_64")).unwrap().trim(),
            Machine::MAC
        ),
        memory_mib: 2048,
        cpus: 1,
        smbios: Some("serial=HOOKTEST01".to_owned()),
        mac: Machine::MAC.to_owned(),
        console: Console::Terminal,
        report: None,
        qmp: None,
        disk: None,
        forwards: Vec::new(),
    }
}

/// Boots a machine and waits until all is up; gives what was seen until then.
pub fn boot(machine: Machine, console: impl std::io::Write + Send + 'static) -> (Guest, Verdict) {
    let mut guest = Guest::start(machine, console).unwrap();
    let mut verdict = Verdict::default();
    let until = Instant::now() + Duration::from_secs(240);
    while verdict.ready_at.is_none() {
        assert!(Instant::now() < until, "not up in time:\n{}", guest.last_lines());
        if let Some(report) = guest.report(Duration::from_secs(1)) {
            verdict.take(report);
        }
    }
    (guest, verdict)
}

/// A root shell on the guest's serial console.
pub struct Shell {
    pub guest: Guest,
    number: u32,
}

impl Shell {
    pub fn on(guest: Guest) -> Self {
        Self { guest, number: 0 }
    }

    pub fn log_in(&mut self) {
        let until = Instant::now() + Duration::from_secs(60);
        loop {
            let from = self.guest.printed();
            self.guest.send("\recho log''ged-in\r").unwrap();
            if self.guest.wait_for("logged-in", from, Duration::from_secs(5)).is_ok() {
                break;
            }
            assert!(Instant::now() < until, "no shell on the console:\n{}", self.guest.last_lines());
        }
        self.run("stty cols 250 -echo 2>/dev/null; PS1=; true");
    }

    /// Runs a command; gives what it printed.
    pub fn run(&mut self, command: &str) -> String {
        self.number += 1;
        let (n, from) = (self.number, self.guest.printed());
        // The quotes keep the echoed command line from looking like its result.
        self.guest.send(&format!("echo be''gin-{n}; {command}; echo e''nd-{n}\r")).unwrap();
        let text = self.guest.wait_for(&format!("end-{n}"), from, Duration::from_secs(60)).unwrap();
        let begin = format!("begin-{n}");
        let start = text.rfind(&begin).map_or(0, |at| at + begin.len());
        let answer = text[start..text.len() - format!("end-{n}").len()].replace('\r', "");
        // The machine's programs speak to the same console.
        let own = answer.lines().filter(|line| !is_notice(line)).collect::<Vec<_>>();
        own.join("\n").trim().to_owned()
    }
}

/// `[   12.345] program: words`, as the kernel's log is shown.
fn is_notice(line: &str) -> bool {
    let time = line.strip_prefix('[').and_then(|rest| rest.split_once("] "));
    time.is_some_and(|(time, _)| time.trim().parse::<f64>().is_ok())
}

/// Debian's docker-registry on a loopback port; ends with the test.
pub struct Registry {
    child: std::process::Child,
    pub host: String,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    /// Keeps its images in `folder`, which is made. `more` is added to its configuration.
    pub fn start(folder: &Path, more: &str) -> Self {
        Self::start_with(folder, "", more)
    }

    /// As [`Registry::start`], with TLS: certificate and key.
    pub fn start_with_tls(folder: &Path, certificate: &Path, key: &Path, more: &str) -> Self {
        let tls = format!(", tls: {{certificate: {}, key: {}}}", certificate.display(), key.display());
        Self::start_with(folder, &tls, more)
    }

    fn start_with(folder: &Path, http: &str, more: &str) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let host = format!("127.0.0.1:{port}");
        std::fs::create_dir_all(folder).unwrap();
        let config = folder.join("registry.yml");
        let data = folder.join("registry");
        std::fs::write(
            &config,
            format!(
                "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\n\
                 http: {{addr: '{host}'{http}}}\n{more}",
                data.display()
            ),
        )
        .unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("docker-registry is needed for this test (tests/run installs it): {e}")
            });
        let registry = Self { child, host };
        for _ in 0..200 {
            if std::net::TcpStream::connect(&registry.host).is_ok() {
                return registry;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        panic!("docker-registry does not listen on {}", registry.host);
    }
}
