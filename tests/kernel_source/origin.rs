//! Where a kernel comes from: a server like kernel.org, whose list gpg has signed; the release service; the
//! store.

use super::{Project, support};
use hookos::kernel::source::signature::Keys;
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
use std::time::{Duration, Instant};
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
    /// What the next answer of the tarball says in place of its bytes.
    instead: Option<String>,
    /// How far a part that was asked for begins too late.
    shift: usize,
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
        for folder in ["pub", "mirror"] {
            self.shared.lock().unwrap().files.insert(format!("/{folder}/v5.x/{name}"), bytes.to_vec());
        }
    }

    /// What was asked for since the last call.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.lock().unwrap().requests)
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
    if path.ends_with(".xz")
        && let Some(head) = shared.instead.take()
    {
        let _ =
            stream.write_all(format!("{head}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes());
        return;
    }
    let status = if from > 0 {
        from += shared.shift;
        format!("206 Partial Content\r\nContent-Range: bytes {from}-{}/{}", bytes.len() - 1, bytes.len())
    } else {
        "200 OK".to_owned()
    };
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

    fn prepare(&self) {
        std::fs::create_dir_all(self.0).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(self.0, private).unwrap();
    }

    fn make(&self, name: &str, kind: &str) {
        self.prepare();
        self.run(&["--quick-gen-key", name, kind, "sign", "never"]);
    }

    fn sign(&self, text: &str) -> Vec<u8> {
        self.sign_with(text, "SHA256")
    }

    fn sign_with(&self, text: &str, digest: &str) -> Vec<u8> {
        let file = self.0.join("text");
        std::fs::write(&file, text).unwrap();
        self.run(&["--digest-algo", digest, "--output", "-", "--clear-sign", file.to_str().unwrap()])
    }

    /// The fingerprint of the only primary key.
    fn fingerprint(&self) -> String {
        let text = String::from_utf8(self.run(&["--with-colons", "--list-keys"])).unwrap();
        let line = text.lines().find(|line| line.starts_with("fpr:")).unwrap();
        line.trim_end_matches(':').rsplit(':').next().unwrap().to_owned()
    }

    /// Revokes the first subkey.
    fn revoke_subkey(&self) {
        let script = self.0.join("commands");
        std::fs::write(&script, "key 1\nrevkey\ny\n0\n\ny\nsave\n").unwrap();
        let output = Command::new("gpg")
            .arg("--homedir")
            .arg(self.0)
            .args([
                "--no-tty",
                "--yes",
                "--pinentry-mode",
                "loopback",
                "--passphrase",
                "",
                "--command-fd",
                "0",
            ])
            .args(["--edit-key", &self.fingerprint()])
            .stdin(std::fs::File::open(script).unwrap())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Revokes the primary key by the certificate that gpg made with it.
    fn revoke(&self) {
        let kept = self.0.join("openpgp-revocs.d").join(format!("{}.rev", self.fingerprint()));
        // A colon keeps it from being used by mistake.
        let text = std::fs::read_to_string(kept).unwrap().replace(":-----BEGIN", "-----BEGIN");
        let file = self.0.join("revocation");
        std::fs::write(&file, text).unwrap();
        self.run(&["--import", file.to_str().unwrap()]);
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
    server.shared.lock().unwrap().shift = 1;
    let said = get().unwrap_err();
    assert!(said.contains("asked for bytes from 1000000, it sends bytes 1000001-"), "{said}");
    server.shared.lock().unwrap().shift = 0;
    server.shared.lock().unwrap().cut = Some(1_000_000);
    server.requests();
    let got = get().unwrap();
    assert_eq!(got.sha256, digest);
    assert_eq!(std::fs::read(&got.path).unwrap(), tarball);
    assert_eq!(
        server.requests().last().unwrap(),
        "/pub/v5.x/linux-5.10.228.tar.xz 1000000",
        "it goes on where it was"
    );

    // From then on out of the store, and no other builder hears of it.
    assert_eq!(get().unwrap(), got);
    assert_eq!(server.requests(), [] as [String; 0]);
    assert_eq!(store.used(), []);

    // Another server must have signed the same; then its bytes need not come once more.
    let elsewhere = settings(&server.base.replace("/pub", "/mirror"));
    assert_eq!(elsewhere.source.get(&elsewhere, &store, &Silent).unwrap(), got);
    assert_eq!(server.requests(), ["/mirror/v5.x/sha256sums.asc 0"]);
    // Other keys trust nothing that these have signed.
    std::fs::write(folder.path().join("keys.asc"), stranger.keys()).unwrap();
    assert!(get().unwrap_err().contains("has signed it"));
    std::fs::write(folder.path().join("keys.asc"), signer.keys()).unwrap();
    get().unwrap();

    // A server that is busy says for how long.
    std::fs::remove_file(store.path(&digest)).unwrap();
    server.shared.lock().unwrap().instead =
        Some("HTTP/1.1 429 Too Many Requests\r\nRetry-After: 2".to_owned());
    let began = Instant::now();
    assert_eq!(get().unwrap(), got);
    assert!(began.elapsed() >= Duration::from_secs(2), "it was asked again too soon");

    // A release that is not there, and the newest one.
    let missing = Settings { point: 300, ..settings(&server.base) };
    let said = missing.source.get(&missing, &store, &Silent).unwrap_err().to_string();
    assert!(said.contains("no linux-5.10.300.tar.xz") && said.contains("228"), "{said}");
}

#[test]
fn the_newest_release_and_a_tarballs_digest_are_written_into_the_profile() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(folder.path());
    let home = folder.path().join("gpg");
    let signer = Gpg(&home);
    signer.make("signer@kernel.example", "ed25519");
    std::fs::write(project.root.join("kernel/keys.asc"), signer.keys()).unwrap();
    let server = Server::start();
    let hex = Digest::of(b"x").hex();
    let list = format!("{hex}  linux-5.10.9.tar.xz\n{hex}  linux-5.10.300.tar.xz\n");
    server.put("sha256sums.asc", &signer.sign(&list));
    let run = |words: &[&str], mirror: bool| {
        let mut command = project.hookos(words);
        command.env("HOOKOS_KERNEL_REPOSITORY", "127.0.0.1:1/hook-kernel");
        command.env("HOOKOS_KERNEL_MIRROR", &server.base);
        if mirror {
            command.env_remove("HOOKOS_KERNEL_TARBALL").env_remove("HOOKOS_KERNEL_TARBALL_SHA256");
        }
        ok(command.output().unwrap())
    };
    let profile = || std::fs::read_to_string(project.root.join("profiles/lab.toml")).unwrap();
    run(&["kernel", "lab", "--update"], true);
    assert!(profile().contains("point = 300\n"), "{}", profile());
    run(&["kernel", "lab", "--update"], false);
    let pinned = format!("tarball_sha256 = \"{}\"\n", super::linux().sha256.hex());
    assert!(profile().contains(&pinned), "{}", profile());

    let places = run(&["kernel", "lab", "--places"], true);
    for said in [
        "not in the store",
        "cannot be asked for 127.0.0.1:1/hook-kernel:5.10.",
        "newest of 5.10 is 5.10.300",
    ] {
        assert!(places.contains(said), "{said}: {places}");
    }
}

#[test]
fn revoked_keys_and_weak_digests_sign_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (home, other) = (folder.path().join("gpg"), folder.path().join("other"));
    let (owner, second) = (Gpg(&home), Gpg(&other));
    // The primary key only certifies; a subkey signs.
    owner.prepare();
    owner.run(&["--quick-gen-key", "owner@kernel.example", "ed25519", "cert", "never"]);
    owner.run(&["--quick-add-key", &owner.fingerprint(), "rsa2048", "sign", "never"]);
    second.make("second@kernel.example", "rsa2048");
    let file = folder.path().join("keys.asc");
    let open = |keys: &[Vec<u8>], text: &[u8]| {
        std::fs::write(&file, keys.concat()).unwrap();
        let keys = Keys::read(&file).map_err(|problem| problem.to_string())?;
        keys.open(std::str::from_utf8(text).unwrap()).map_err(|problem| problem.to_string())
    };
    let text = "0  linux-5.10.1.tar.xz\n";
    let (by_owner, by_second) = (owner.sign(text), second.sign(text));
    assert!(open(&[owner.keys()], &by_owner).is_ok());
    // Each export that is added to the file counts.
    let (keys, fingerprint) = ([owner.keys(), second.keys()], second.fingerprint());
    assert!(open(&keys, &by_owner).is_ok());
    assert_eq!(open(&keys, &by_second).unwrap().1, fingerprint);

    let weak = second.sign_with(text, "SHA1");
    let said = open(&[second.keys()], &weak).unwrap_err();
    assert!(said.contains("weaker than SHA-256"), "{said}");

    owner.revoke_subkey();
    let said = open(&[owner.keys()], &by_owner).unwrap_err();
    assert!(said.contains("has signed it"), "{said}");
    second.revoke();
    let said = open(&[second.keys()], &by_second).unwrap_err();
    assert!(said.contains("no key that is not revoked"), "{said}");
    assert!(open(&[owner.keys(), second.keys()], &by_second).is_err());
}

#[test]
fn a_kernel_is_taken_from_the_store_else_from_the_release_service_else_refused() {
    let folder = tempfile::tempdir().unwrap();
    let project = Project::new(folder.path());
    // A component that takes a while, for all that is known.
    let component = project.root.join("components/slow");
    std::fs::create_dir(&component).unwrap();
    let text = "description = \"Slow\"\n[recipe]\nsuite = \"trixie\"\npackages = []\n\
                [[recipe.files]]\npath = \"/slow\"\nsource = \"slow\"\nmode = \"0644\"\n";
    std::fs::write(component.join("component.toml"), text).unwrap();
    std::fs::write(component.join("slow"), "").unwrap();
    let hook = "kernel:\n  image: kernel\n  cmdline: quiet\ninit:\n  - slow\n";
    std::fs::write(project.root.join("components/hook.yaml"), hook).unwrap();
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
        let done = String::from_utf8_lossy(&output.stdout);
        assert!(!format!("{said}{done}").contains("slow"), "it fails before anything is made: {said}{done}");
        said
    };
    // Where HookOS has its kernels, if nothing else is said.
    let usual = "registry-rs.lab.example.com/edge-orch/edge-node/hook-kernel:5.10.";
    assert!(refused("").contains(usual));
    let nowhere = "127.0.0.1:1/hook-kernel";
    assert!(refused(nowhere).contains(nowhere));

    // The release service has it, or something else by that name.
    let registry = support::Registry::start(folder.path(), "");
    let repository = format!("{}/hook-kernel", registry.host);
    assert!(refused(&repository).contains(&repository), "a registry without the tag");
    let plan = project.hookos(&["kernel", "lab", "--dry-run", "--json"]).output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&plan.stdout).unwrap();
    let tag = plan["tag"].as_str().unwrap();
    let (point, hash) = tag.strip_prefix("5.10.").unwrap().split_once('-').unwrap();
    assert!(point.parse::<u32>().is_ok() && hash.len() == 8, "{tag}");
    let reference = format!("{repository}:{tag}");
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
    let release = format!("5.10.{}-hook-tiny", linux.point);
    let store = Store::open(&project.store).unwrap();
    let options = Options { insecure: vec![registry.host.clone()], refresh: true, ..Options::default() };
    for (kernel, modules, why) in [
        ("5.10.1-hook-tiny", "5.10.1-hook-tiny", "its /kernel is Linux 5.10.1-hook-tiny, not 5.10."),
        (release.as_str(), "5.10.1-hook-tiny", "its /kernel.tar has no modules of 5.10."),
    ] {
        push_kernel(folder.path(), kernel, modules, &reference);
        let said = plan.pull(&reference, &store, &options, &Silent).unwrap_err().to_string();
        assert!(said.contains(why), "{said}");
    }
    push_kernel(folder.path(), &release, &release, &reference);
    let pulled = plan.pull(&reference, &store, &options, &Silent).unwrap();
    assert_eq!(pulled.version, release);

    // It is in the store now: the registry may be gone.
    drop(registry);
    let text = ok(binaries(&repository));
    assert!(text.contains("from the store") && !text.contains("asking for"), "{text}");
    let out = project.root.join("out/lab");
    let image = std::fs::read(out.join("vmlinuz-x86_64")).unwrap();
    assert_eq!(hookos::kernel::bzimage::release(&image), Ok(release.as_str()));
}

/// Makes a kernel image, and pushes it with skopeo.
fn push_kernel(folder: &Path, release: &str, modules: &str, reference: &str) {
    let store = Store::open(folder.join("theirs")).unwrap();
    let layout = folder.join(format!("layout-{release}-{modules}"));
    oci::export_layout(&store, &super::kept::image(&store, release, modules), &layout, "kernel").unwrap();
    ok(Command::new("skopeo")
        .args(["copy", "--dest-tls-verify=false"])
        .arg(format!("oci:{}:kernel", layout.display()))
        .arg(format!("docker://{reference}"))
        .output()
        .unwrap());
}
