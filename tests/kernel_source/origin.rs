//! Where a kernel comes from: a server like kernel.org, whose list gpg has signed; the release service; the
//! store.

use super::{Project, support};
use hookos::kernel::source::{Compiler, Plan, Settings, Source};
use hookos::oci::{self, registry::Options};
use hookos::progress::Silent;
use hookos::store::{Digest, Store};
use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use support::ok;

/// An HTTP server of a few files, which can cut an answer off.
struct Server {
    base: String,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    files: BTreeMap<String, Vec<u8>>,
    /// The next answer of the tarball ends after so many bytes.
    cut: Option<usize>,
    requests: Vec<String>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}/pub", listener.local_addr().unwrap());
        let shared: Arc<Mutex<Shared>> = Arc::default();
        let inside = Arc::clone(&shared);
        // Ends with the process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(&stream, &inside);
            }
        });
        Self { base, shared }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        self.shared.lock().unwrap().files.insert(format!("/pub/v5.x/{name}"), bytes.to_vec());
    }
}

fn answer(mut stream: &TcpStream, shared: &Mutex<Shared>) {
    let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    let mut from = 0;
    for line in lines.take_while(|line| !line.is_empty()) {
        if let Some(range) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
            from = range.trim_end_matches('-').parse().unwrap();
        }
    }
    let mut shared = shared.lock().unwrap();
    shared.requests.push(format!("{path} {from}"));
    let Some(bytes) = shared.files.get(&path).cloned() else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
        return;
    };
    let status = if from > 0 { "206 Partial Content" } else { "200 OK" };
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", bytes.len() - from);
    let end = if path.ends_with(".xz") { shared.cut.take().unwrap_or(bytes.len()) } else { bytes.len() };
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&bytes[from..end]));
}

/// A key of its own, made by gpg.
struct Gpg<'a>(&'a Path);

impl Gpg<'_> {
    fn run(&self, words: &[&str]) -> Vec<u8> {
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0)
            .args(["--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase", ""])
            .args(words)
            .output()
            .expect("gpg is needed: apt-get install gpg gpg-agent");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    fn make(&self, name: &str, kind: &str) {
        std::fs::create_dir_all(self.0).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(self.0, private).unwrap();
        self.run(&["--quick-gen-key", name, kind, "sign", "never"]);
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        let file = self.0.join("text");
        std::fs::write(&file, text).unwrap();
        self.run(&["--digest-algo", "SHA256", "--output", "-", "--clear-sign", file.to_str().unwrap()])
    }

    fn keys(&self) -> Vec<u8> {
        self.run(&["--armor", "--export"])
    }
}

impl Drop for Gpg<'_> {
    fn drop(&mut self) {
        let _ = Command::new("gpgconf").arg("--homedir").arg(self.0).args(["--kill", "all"]).output();
    }
}

#[test]
fn a_download_is_what_kernel_org_has_signed() {
    let folder = tempfile::tempdir().unwrap();
    let (home, other) = (folder.path().join("gpg"), folder.path().join("other"));
    // kernel.org's own keys are RSA.
    let (signer, stranger) = (Gpg(&home), Gpg(&other));
    signer.make("signer@kernel.example", "rsa2048");
    stranger.make("stranger@kernel.example", "ed25519");
    std::fs::write(folder.path().join("keys.asc"), signer.keys()).unwrap();
    let server = Server::start();
    let settings = |base: &str| Settings {
        folder: folder.path().to_owned(),
        series: "5.10".to_owned(),
        point: 228,
        config: "tiny".to_owned(),
        source: Source::Mirror(base.to_owned()),
        repository: None,
        compiler: Compiler::Host,
        base: String::new(),
        proxies: Default::default(),
        credentials: Default::default(),
        jobs: 1,
    };
    let store = Store::open(folder.path().join("store")).unwrap();
    let get = || {
        let settings = settings(&server.base);
        settings.source.get(&settings, &store, &Silent).map_err(|problem| problem.to_string())
    };
    let tarball: Vec<u8> = (0..3_000_000u32).flat_map(u32::to_le_bytes).take(3_000_000).collect();
    let name = "linux-5.10.228.tar.xz";
    let digest = Digest::of(&tarball);
    let list = format!("{}  linux-5.10.9.tar.xz\n{}  {name}\n", Digest::of(b"x").hex(), digest.hex());

    // A stranger's signature; a list that was changed; other bytes than the signed ones; none at all.
    server.put(name, &tarball);
    server.put("sha256sums.asc", &stranger.sign(&list));
    assert!(get().unwrap_err().contains("has signed it"));
    let signed = String::from_utf8(signer.sign(&list)).unwrap();
    server.put("sha256sums.asc", signed.replace(&digest.hex(), &Digest::of(b"y").hex()).as_bytes());
    assert!(get().unwrap_err().contains("has signed it"));
    server.put("sha256sums.asc", list.as_bytes());
    assert!(get().unwrap_err().contains("not signed"));
    server.put("sha256sums.asc", signed.as_bytes());
    server.put(name, &tarball[1..]);
    let said = get().unwrap_err();
    assert!(said.contains("is not what kernel.org has signed"), "{said}");

    // The right ones, cut off once.
    server.put(name, &tarball);
    server.shared.lock().unwrap().cut = Some(1_000_000);
    server.shared.lock().unwrap().requests.clear();
    let got = get().unwrap();
    assert_eq!(got.sha256, digest);
    assert_eq!(std::fs::read(&got.path).unwrap(), tarball);
    let requests = std::mem::take(&mut server.shared.lock().unwrap().requests);
    assert_eq!(
        requests.last().unwrap(),
        "/pub/v5.x/linux-5.10.228.tar.xz 1000000",
        "it goes on where it was"
    );

    // From then on out of the store.
    assert_eq!(get().unwrap(), got);
    assert_eq!(server.shared.lock().unwrap().requests, [] as [String; 0]);

    // A release that is not there, and the newest one.
    let missing = Settings { point: 300, ..settings(&server.base) };
    let said = missing.source.get(&missing, &store, &Silent).unwrap_err().to_string();
    assert!(said.contains("no linux-5.10.300.tar.xz") && said.contains("228"), "{said}");
}

#[test]
fn a_kernel_is_taken_from_the_store_else_from_the_release_service_else_refused() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(folder.path());
    let binaries = |repository: &str| {
        let mut command = project.hookos(&["binaries", "lab"]);
        command.env("HOOKOS_KERNEL_REPOSITORY", repository);
        command.output().unwrap()
    };
    let refused = |repository: &str| {
        let output = binaries(repository);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(7), "{said}");
        assert!(said.contains("`hookos kernel lab`"), "{said}");
        said
    };
    // Where HookOS has its kernels, if nothing else is said.
    let usual = "registry-rs.lab.example.com/edge-orch/edge-node/hook-kernel:5.10.";
    assert!(refused("").contains(usual));
    let nowhere = "127.0.0.1:1/hook-kernel";
    assert!(refused(nowhere).contains(nowhere));

    // The release service has it: Debian's kernel stands for one that somebody has compiled.
    let registry = support::Registry::start(folder.path(), "");
    let repository = format!("{}/hook-kernel", registry.host);
    assert!(refused(&repository).contains(&repository), "a registry without the tag");
    let plan = project.hookos(&["kernel", "lab", "--dry-run", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let tag = plan["tag"].as_str().unwrap();
    let (point, hash) = tag.strip_prefix("5.10.").unwrap().split_once('-').unwrap();
    assert!(point.parse::<u32>().is_ok() && hash.len() == 8, "{tag}");
    let reference = format!("{repository}:{tag}");
    push_debian_kernel(folder.path(), &reference);
    // The registry of this test speaks no TLS, which no profile can ask for.
    let linux = super::linux();
    let plan = Plan::new(Settings {
        folder: project.root.join("kernel"),
        series: "5.10".to_owned(),
        point: linux.point.into(),
        config: "tiny".to_owned(),
        source: Source::File { path: linux.path.clone(), sha256: Some(linux.sha256) },
        repository: Some(repository.clone()),
        compiler: Compiler::Host,
        base: String::new(),
        proxies: Default::default(),
        credentials: Default::default(),
        jobs: 1,
    })
    .unwrap();
    assert_eq!(plan.reference().unwrap(), reference);
    let store = Store::open(&project.store).unwrap();
    let options = Options { insecure: vec![registry.host.clone()], ..Options::default() };
    let pulled = plan.pull(&reference, &store, &options, &Silent).unwrap();
    assert!(pulled.version.starts_with("5.10."), "{}", pulled.version);

    // It is in the store now: the registry may be gone.
    drop(registry);
    let text = ok(binaries(&repository));
    assert!(text.contains("from the store") && !text.contains("asking for"), "{text}");
    let out = project.root.join("out/lab");
    let image = std::fs::read(out.join("vmlinuz-x86_64")).unwrap();
    assert!(hookos::kernel::bzimage::release(&image).unwrap().starts_with("5.10."));
}

/// Makes Debian's kernel image with the library, and pushes it with skopeo.
fn push_debian_kernel(folder: &Path, reference: &str) {
    use hookos::kernel::debian::{self, Context};
    let store = Store::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel/store")).unwrap();
    let apt = hookos::debian::apt::Apt::new(&store, &Default::default());
    let kernel = Path::new(support::ROOT).join("kernel");
    let settings = debian::Settings {
        folder: &kernel,
        lock: hookos::debian::lock::Mode::Locked,
        groups_off: &[],
        epoch: None,
    };
    let built = debian::build(Context { store: &store, apt: &apt }, &settings, &Silent).unwrap();
    let layout = folder.join("layout");
    oci::export_layout(&store, &built.image, &layout, "kernel").unwrap();
    ok(Command::new("skopeo")
        .args(["copy", "--dest-tls-verify=false"])
        .arg(format!("oci:{}:kernel", layout.display()))
        .arg(format!("docker://{reference}"))
        .output()
        .unwrap());
}
