//! Podman's service, which speaks Docker's language.

use super::engine::{base, client};
use super::support::ok;
use super::{Project, has};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// `podman system service` with everything it keeps below a folder.
struct Podman {
    child: Child,
    socket: String,
}

impl Podman {
    fn start(folder: &Path) -> Self {
        let option = |name: &str| format!("--{name}={}", folder.join(name).display());
        let socket = format!("unix://{}", folder.join("podman.sock").display());
        let child = Command::new("podman")
            .args([option("root"), option("runroot"), option("tmpdir")])
            .args(["--storage-driver=vfs", "--cgroup-manager=cgroupfs", "--runtime=runc"])
            .args(["system", "service", "--time=0", &socket])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(folder.join("log")).unwrap())
            .spawn()
            .unwrap();
        let podman = Self { child, socket };
        let until = Instant::now() + Duration::from_secs(60);
        while !podman.client().arg("version").output().unwrap().status.success() {
            let log = std::fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(Instant::now() < until, "Podman's service does not answer:\n{log}");
            std::thread::sleep(Duration::from_millis(100));
        }
        podman
    }

    fn client(&self) -> Command {
        client(&[("DOCKER_HOST", &self.socket)])
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        if let Some(pid) = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()) {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        }
        let _ = self.child.wait();
    }
}

#[test]
fn podman_builds_a_component_and_fails_in_words() {
    if Command::new("podman").arg("--version").output().is_err() {
        // Past the harness, which keeps the words of a test that passes.
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED, podman is not here (apt-get install podman): podman_builds"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let podman = Podman::start(folder.path());
    ok(podman.client().args(["import", base(folder.path()).to_str().unwrap(), "base:1"]).output().unwrap());
    let project = Project::new(folder.path());
    project.define("\n[build.args]\nVERSION = \"1.2\"\n");
    project.file(
        "Dockerfile",
        "FROM base:1\nARG VERSION\nCOPY tool /bin/tool\nRUN echo $http_proxy, $VERSION\n",
    );
    let mut command = project.build(&podman.socket);
    let text = ok(command.env("http_proxy", "http://me:geheim@proxy.test:1").output().unwrap());
    has(&text, &["Podman ", "STEP 4/4: RUN echo", "http://***@proxy.test:1, 1.2", "taking sha256:"]);
    let images = ok(podman.client().args(["images", "--format", "{{.Repository}}"]).output().unwrap());
    assert!(images.contains("base") && !images.contains("hookos"), "{images}");
    project.define("");
    project.file("Dockerfile", "FROM base:1\nRUN echo the reason is this; exit 3\n");
    let reasons = ["the reason is this", "RUN echo the reason is this; exit 3:", "mend the Dockerfile"];
    project.fails(&mut project.build(&podman.socket), &reasons);
}
