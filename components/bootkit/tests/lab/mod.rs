//! A Docker engine and registries for one test, in a temporary folder and on loopback.

use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, PushImageOptionsBuilder};
use futures_util::StreamExt as _;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Whether this machine can run the tests. CI must be able to.
pub fn able() -> bool {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    let there = |tool: &&&str| {
        let path = std::env::var("PATH").unwrap_or_default();
        format!("{path}:/usr/sbin").split(':').any(|folder| Path::new(folder).join(tool).is_file())
    };
    let missing: Vec<_> =
        ["dockerd", "containerd", "runc", "docker-registry", "cc"].iter().filter(|t| !there(t)).collect();
    if root && missing.is_empty() {
        return true;
    }
    eprintln!(
        "SKIPPED: this test needs root, and {missing:?} on PATH (packages docker.io, docker-registry, gcc)"
    );
    assert!(std::env::var_os("CI").is_none(), "CI must run the tests with a real engine");
    false
}

/// Whether a container can have all capabilities here: a sandbox keeps some from everybody in it.
pub fn all_capabilities() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let bounding = status.lines().find_map(|line| line.strip_prefix("CapBnd:")).unwrap().trim();
    let last: u32 = std::fs::read_to_string("/proc/sys/kernel/cap_last_cap").unwrap().trim().parse().unwrap();
    u64::from_str_radix(bounding, 16).unwrap().count_ones() > last
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A program that ends when it is dropped: asked first, so that it can end what it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let until = Instant::now() + Duration::from_secs(20);
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < until {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub struct Engine {
    folder: PathBuf,
    running: Mutex<Option<Running>>,
}

impl Engine {
    /// Starts dockerd with everything it keeps below `folder`.
    pub async fn start(folder: &Path) -> Self {
        for name in ["worker", "run"] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
        }
        std::fs::write(folder.join("daemon.json"), "{}").unwrap();
        let engine = Self { folder: folder.to_owned(), running: Mutex::new(None) };
        engine.again().await;
        engine
    }

    /// Starts dockerd; one that runs is stopped first.
    pub async fn again(&self) {
        drop(self.running.lock().unwrap().take());
        let log = std::fs::File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let option = |name: &str, path: &str| format!("--{name}={}", self.folder.join(path).display());
        let child = Command::new("dockerd")
            .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
            .args([
                format!("--host=unix://{}", self.socket().display()),
                option("config-file", "daemon.json"),
                option("data-root", "data"),
                option("exec-root", "exec"),
                option("pidfile", "pid"),
            ])
            .args(["--iptables=false", "--bridge=none", "--ip-forward=false", "--storage-driver=vfs"])
            .args(["--exec-opt", "native.cgroupdriver=cgroupfs", "--shutdown-timeout=1"])
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        *self.running.lock().unwrap() = Some(Running(child));
        let until = Instant::now() + Duration::from_secs(60);
        while self.docker().await.is_none() {
            let log = || std::fs::read_to_string(self.folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "dockerd does not answer:\n{}", log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn socket(&self) -> PathBuf {
        self.folder.join("docker.sock")
    }

    async fn docker(&self) -> Option<Docker> {
        let socket = self.socket();
        let docker = Docker::connect_with_unix(socket.to_str()?, 60, bollard::API_DEFAULT_VERSION).ok()?;
        docker.negotiate_version().await.ok()
    }

    pub async fn client(&self) -> Docker {
        self.docker().await.unwrap()
    }

    /// Makes an image of one program, pushes it to the registry in its name, and removes it here.
    pub async fn publish(&self, image: &str, program: &Path, changes: &str) {
        let docker = self.client().await;
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_path_with_name(program, "program").unwrap();
        let (name, tag) = image.rsplit_once(':').unwrap();
        let options = CreateImageOptionsBuilder::new()
            .from_src("-")
            .repo(name)
            .tag(tag)
            .changes(vec![changes.to_owned()]);
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        let mut made = docker.create_image(Some(options.build()), Some(body), None);
        while let Some(step) = made.next().await {
            step.unwrap();
        }
        let mut pushed = docker.push_image(name, Some(PushImageOptionsBuilder::new().tag(tag).build()), None);
        while let Some(step) = pushed.next().await {
            step.unwrap();
        }
        docker
            .remove_image(image, None::<bollard::query_parameters::RemoveImageOptions>, None)
            .await
            .unwrap();
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        drop(self.running.lock().unwrap().take());
        // containerd's mounts end with it; what a killed one left would keep the folder.
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let below = self.folder.to_str().unwrap();
        for point in
            mounts.lines().rev().filter_map(|line| line.split(' ').nth(1)).filter(|p| p.starts_with(below))
        {
            let _ = Command::new("umount").args(["-l", point]).status();
        }
    }
}

/// Debian's docker-registry, open to all.
pub struct Registry(#[allow(dead_code)] Running);

impl Registry {
    pub fn start(folder: &Path, port: u16) -> Self {
        std::fs::create_dir_all(folder).unwrap();
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\n",
            folder.join("blobs").display()
        );
        std::fs::write(&config, text).unwrap();
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(config)
            .stdout(Stdio::null())
            .stderr(log)
            .spawn();
        let running = Self(Running(child.unwrap()));
        let until = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(Instant::now() < until, "docker-registry does not listen");
            std::thread::sleep(Duration::from_millis(50));
        }
        running
    }
}

/// A registry that wants credentials, has no image, and remembers what it was shown.
pub struct Spy {
    pub port: u16,
    shown: Arc<Mutex<Vec<String>>>,
}

impl Spy {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&shown);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = answer(&stream, &into);
            }
        });
        Self { port, shown }
    }

    /// The values of all Authorization headers so far.
    pub fn shown(&self) -> Vec<String> {
        self.shown.lock().unwrap().clone()
    }
}

/// One request a connection.
fn answer(mut stream: &TcpStream, shown: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let mut known = false;
    for line in BufReader::new(stream).lines() {
        let line = line?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            known = true;
            shown.lock().unwrap().push(value.to_owned());
        }
    }
    let head = match known {
        true => "404 Not Found",
        false => "401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"spy\"",
    };
    let version = "Docker-Distribution-Api-Version: registry/2.0";
    write!(stream, "HTTP/1.1 {head}\r\n{version}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}

/// A static program: it notes its worker's id in /worker, then stays, or fails when it is told to.
pub fn program(folder: &Path) -> PathBuf {
    const SOURCE: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
int main(int argc, char **argv) {
    if (argc > 1) {
        puts("first line");
        puts("I cannot reach the server");
        return 3;
    }
    FILE *note = fopen("/worker/started", "w");
    if (!note) return 4;
    fprintf(note, "%s\n", getenv("ID"));
    fclose(note);
    for (;;) pause();
}
"#;
    let (source, out) = (folder.join("worker.c"), folder.join("worker-program"));
    std::fs::write(&source, SOURCE).unwrap();
    let made = Command::new("cc").arg("-static").arg("-o").arg(&out).arg(&source).status().unwrap();
    assert!(made.success(), "cc cannot make a static program");
    out
}
