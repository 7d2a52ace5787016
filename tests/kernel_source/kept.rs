//! Which kernel a build takes: names in the store, work that builders share, a recipe that is run once. The recipe
//! here is `recipe.sh`, which takes Debian's kernel in place of compiling one; `full.rs` runs the real one.

use super::engine::Engine;
use super::{Project, support};
use hookos::initramfs::cpio::Contents;
use hookos::initramfs::tree::{Content, Kind, Node, Tree, TreePath};
use hookos::oci::{self, Config, Image};
use hookos::progress::Silent;
use hookos::store::Store;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::ok;

/// The release of the kernels here.
pub const RELEASE: &str = "5.10.7-hook-test";

/// Debian's kernel with another release in its head, and a command line of 4096 bytes.
pub fn vmlinuz(release: &str) -> Vec<u8> {
    use hookos::kernel::debian::{self, Context};
    let store = Store::open(Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel/store")).unwrap();
    let apt = hookos::debian::apt::Apt::new(&store, &Default::default());
    let settings = debian::Settings {
        folder: &Path::new(support::ROOT).join("kernel"),
        lock: hookos::debian::lock::Mode::Locked,
        groups_off: &[],
        epoch: None,
    };
    let built = debian::build(Context { store: &store, apt: &apt }, &settings, &Silent).unwrap();
    let tree = oci::image_tree(&store, &built.image).unwrap();
    let path = TreePath::new("kernel").unwrap();
    let Kind::File(content) = &tree.get(&path).unwrap().kind else { panic!("no file") };
    let mut bytes = Vec::new();
    Contents::new(&store).copy(&path, content, &mut bytes).unwrap();
    let old = built.version.as_bytes();
    let at = bytes.windows(old.len()).position(|window| window == old).unwrap();
    let text = format!("{release} (x@y) #1\0");
    bytes[at..at + text.len()].copy_from_slice(text.as_bytes());
    bytes[0x238..0x23c].copy_from_slice(&4095u32.to_le_bytes());
    assert_eq!(hookos::kernel::bzimage::release(&bytes), Ok(release));
    bytes
}

/// A kernel image with the modules' folder of a release.
pub fn image(store: &Store, release: &str, modules: &str) -> Image {
    let file = |bytes: Vec<u8>| {
        let len = bytes.len() as u64;
        let digest = store.put(&bytes).unwrap();
        Node::new(Kind::File(Content::Blob { digest, offset: 0, len }), 0o644, 0)
    };
    let mut root = Tree::new();
    let order = TreePath::new(format!("usr/lib/modules/{modules}/modules.order")).unwrap();
    root.ensure_parents(&order, 0);
    root.insert(order, file(Vec::new()));
    let tar = oci::write_layer(store, &root, 0).unwrap();
    let mut tree = Tree::new();
    let tar = Kind::File(Content::Blob { digest: tar.diff_id, offset: 0, len: tar.size });
    tree.insert(TreePath::new("kernel.tar").unwrap(), Node::new(tar, 0o644, 0));
    tree.insert(TreePath::new("kernel").unwrap(), file(vmlinuz(release)));
    let layer = oci::write_layer(store, &tree, 0).unwrap();
    oci::write_image(store, &[layer], &Config::default()).unwrap()
}

/// A project whose recipe is `recipe.sh`.
struct Recipe {
    project: Project,
}

impl Recipe {
    fn new(folder: &Path) -> Self {
        let recipe = Self { project: Project::new(folder) };
        let script = Path::new(support::ROOT).join("tests/kernel_source/recipe.sh");
        std::fs::copy(script, recipe.file("build.sh")).unwrap();
        recipe.write("tools", "gcc 12\n");
        let made = folder.join("made");
        let modules = made.join("lib/modules").join(RELEASE);
        std::fs::create_dir_all(made.join("boot")).unwrap();
        std::fs::create_dir_all(&modules).unwrap();
        std::fs::write(made.join(format!("boot/vmlinuz-{RELEASE}")), vmlinuz(RELEASE)).unwrap();
        for name in ["System.map", "config"] {
            std::fs::write(made.join(format!("boot/{name}-{RELEASE}")), name).unwrap();
        }
        for name in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            std::fs::write(modules.join(name), "").unwrap();
        }
        std::fs::write(made.join("dtbs.tar.gz"), "an archive").unwrap();
        let tar = recipe.file("linux.tar");
        ok(Command::new("tar").arg("-C").arg(&made).arg("-cf").arg(&tar).arg(".").output().unwrap());
        recipe
    }

    fn file(&self, name: &str) -> PathBuf {
        self.project.root.join("kernel").join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.file(name), text).unwrap();
    }

    fn runs(&self) -> usize {
        std::fs::read_to_string(self.file("runs")).unwrap_or_default().lines().count()
    }

    fn hookos(&self, store: &Path, words: &[&str]) -> Command {
        let mut command = support::hookos(&self.project.root, store, words);
        let sha256 = hookos::store::Digest::of(&std::fs::read(self.file("linux.tar")).unwrap());
        command
            .env("HOOKOS_KERNEL_SOURCE", "source")
            .env("HOOKOS_KERNEL_ENGINE", "host")
            .env("HOOKOS_KERNEL_CONFIG", "tiny")
            .env("HOOKOS_KERNEL_POINT", "7")
            .env("HOOKOS_KERNEL_TARBALL", self.file("linux.tar"))
            .env("HOOKOS_KERNEL_TARBALL_SHA256", sha256.hex())
            .env("HOOKOS_KERNEL_REPOSITORY", "127.0.0.1:1/hook-kernel");
        command
    }

    fn tag(&self, words: &[&str]) -> (String, bool) {
        let mut all = vec!["kernel", "lab", "--dry-run", "--json"];
        all.extend(words);
        let output = self.hookos(&self.project.store, &all).output().unwrap();
        let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (plan["tag"].as_str().unwrap().to_owned(), plan["stored"].as_bool().unwrap())
    }
}

#[test]
fn a_compiled_kernel_has_a_name_that_every_command_knows_and_that_needs_no_network() {
    let folder = tempfile::tempdir_in(support::work("kernel-source")).unwrap();
    let recipe = Recipe::new(folder.path());
    let store = &recipe.project.store;
    let build = |change: &dyn Fn(&mut Command)| {
        let mut command = recipe.hookos(store, &["build", "lab"]);
        change(&mut command);
        ok(command.output().unwrap())
    };
    build(&|_| {});
    assert_eq!(recipe.runs(), 1);
    let (tag, _) = recipe.tag(&[]);
    let name = format!("127.0.0.1:1/hook-kernel:{tag}");
    let list = ok(recipe.hookos(store, &["images", "list"]).output().unwrap());
    assert!(list.contains(&name) && list.contains(&format!("localhost/hook-kernel:{tag}")), "{list}");

    // Another site's repository, a server for the source that is not there, another compiler: the tag is here.
    for change in [
        &(|command: &mut Command| {
            command.env("HOOKOS_KERNEL_REPOSITORY", "127.0.0.1:2/other");
        }) as &dyn Fn(&mut Command),
        &|command| {
            command
                .env_remove("HOOKOS_KERNEL_TARBALL")
                .env_remove("HOOKOS_KERNEL_TARBALL_SHA256")
                .env("HOOKOS_KERNEL_MIRROR", "http://127.0.0.1:1");
        },
        &|_| recipe.write("tools", "gcc 14\n"),
    ] {
        let text = build(change);
        assert!(!text.contains("asking for") && !text.contains("GET "), "{text}");
        assert_eq!(recipe.runs(), 1, "{text}");
    }

    // It is carried to a site without network, whose build says the same of it to the byte.
    let stick = folder.path().join("stick.tar");
    let stick = stick.to_str().unwrap();
    ok(recipe.hookos(store, &["images", "export", stick, "--profile", "lab"]).output().unwrap());
    let other = folder.path().join("other-store");
    ok(recipe.hookos(&other, &["images", "import", stick]).output().unwrap());
    let manifest = || std::fs::read(recipe.project.root.join("out/lab/manifest.json")).unwrap();
    let before = manifest();
    ok(recipe.hookos(&other, &["binaries", "lab"]).output().unwrap());
    assert_eq!(String::from_utf8_lossy(&manifest()), String::from_utf8_lossy(&before));

    // `kernel` compiles all the same.
    ok(recipe.hookos(store, &["kernel", "lab"]).output().unwrap());
    assert_eq!(recipe.runs(), 2);

    // A source that is pinned to other bytes is another kernel, though the tag is the same.
    let mut tar = std::fs::read(recipe.file("linux.tar")).unwrap();
    tar.extend([0; 512]);
    std::fs::write(recipe.file("linux.tar"), tar).unwrap();
    assert_eq!(recipe.tag(&[]), (tag.clone(), false));
    build(&|_| {});
    assert_eq!(recipe.runs(), 3);

    // An edited recipe is another tag, though nobody has edited the Dockerfile.
    let script = std::fs::read_to_string(recipe.file("build.sh")).unwrap();
    recipe.write("build.sh", &format!("{script}# edited\n"));
    let (edited, stored) = recipe.tag(&[]);
    assert!(edited != tag && !stored, "{edited}");
}

#[test]
fn two_builds_at_once_compile_once_and_who_waits_can_be_stopped() {
    let folder = tempfile::tempdir_in(support::work("kernel-source")).unwrap();
    let recipe = Recipe::new(folder.path());
    recipe.write("wait", "");
    let spawn = |out: &str| {
        let words = ["build", "lab", "--out", out];
        let log = std::fs::File::create(folder.path().join(format!("{out}.log"))).unwrap();
        let mut command = recipe.hookos(&recipe.project.store, &words);
        command.current_dir(folder.path()).stdout(log.try_clone().unwrap()).stderr(log);
        command.stdin(Stdio::null()).spawn().unwrap()
    };
    let said = |out: &str| std::fs::read_to_string(folder.path().join(format!("{out}.log"))).unwrap();
    let until = |done: &dyn Fn() -> bool, what: &str| {
        let end = Instant::now() + Duration::from_secs(120);
        while !done() {
            assert!(Instant::now() < end, "{what}: {} {}", said("one"), said("two"));
            std::thread::sleep(Duration::from_millis(100));
        }
    };
    let mut one = spawn("one");
    until(&|| recipe.runs() == 1, "the first does not compile");
    let (mut two, mut stopped) = (spawn("two"), spawn("stopped"));
    for out in ["two", "stopped"] {
        until(&|| said(out).contains("waiting for it"), "the others do not wait");
    }
    let pid = rustix::process::Pid::from_raw(stopped.id().try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(stopped.wait().unwrap().code(), Some(130), "one Ctrl-C is enough");
    std::fs::remove_file(recipe.file("wait")).unwrap();
    assert!(one.wait().unwrap().success(), "{}", said("one"));
    assert!(two.wait().unwrap().success(), "{}", said("two"));
    assert_eq!(recipe.runs(), 1, "{}", said("two"));
}

#[test]
fn builders_with_the_same_compiler_share_a_kernel() {
    let folder = tempfile::tempdir_in(support::work("kernel-source")).unwrap();
    let recipe = Recipe::new(folder.path());
    let registry = support::Registry::start(folder.path(), "");
    let settings = format!("[registry.\"{}\"]\ntls = \"off\"\n", registry.host);
    std::fs::write(recipe.project.root.join("registries.toml"), settings).unwrap();
    let cache = format!("{}/cache", registry.host);
    let build = |store: &str, flag: &str| {
        let words = ["build", "lab", flag, &cache];
        ok(recipe.hookos(&folder.path().join(store), &words).output().unwrap())
    };
    build("one", "--cache-to");
    assert_eq!(recipe.runs(), 1);
    let text = build("two", "--cache-from");
    assert_eq!(recipe.runs(), 1, "{text}");
    recipe.write("tools", "gcc 14\n");
    let text = build("three", "--cache-from");
    assert_eq!(recipe.runs(), 2, "another compiler's kernel is not taken: {text}");
}

/// What a recipe needs, as an image of the engine: this machine's own programs.
fn tools(engine: &Engine, folder: &Path) {
    let root = folder.join("tools");
    for name in ["bin", "tmp"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    for name in ["bash", "cat", "mkdir", "nproc", "rm", "sha256sum", "sleep", "tar"] {
        let place = ["/usr/bin", "/bin"].map(|folder| Path::new(folder).join(name));
        let place = place.into_iter().find(|place| place.is_file()).unwrap();
        std::fs::copy(&place, root.join("bin").join(name)).unwrap();
        let libraries = Command::new("ldd").arg(&place).output().unwrap();
        for word in
            String::from_utf8_lossy(&libraries.stdout).split_whitespace().filter(|w| w.starts_with('/'))
        {
            let to = root.join(word.trim_start_matches('/'));
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(word, to).unwrap();
        }
    }
    std::os::unix::fs::symlink("bash", root.join("bin/sh")).unwrap();
    let tar = folder.join("tools.tar");
    ok(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").output().unwrap());
    ok(engine.docker(&["import", tar.to_str().unwrap(), "tools:1"]));
}

#[test]
fn docker_runs_the_recipe_each_time_and_gives_what_the_host_gives() {
    // Below /var: its path must be short enough for sockets.
    let folder = tempfile::Builder::new().prefix("kernel-recipe-").tempdir_in("/var/tmp").unwrap();
    let recipe = Recipe::new(folder.path());
    let engine = Engine::start(&folder.path().join("engine"), &[]);
    tools(&engine, folder.path());
    let digest = |words: &[&str]| {
        let mut all = vec!["kernel", "lab"];
        all.extend(words);
        let mut command = recipe.hookos(&recipe.project.store, &all);
        let text = ok(command
            .env_remove("HOOKOS_KERNEL_ENGINE")
            .env("DOCKER_HOST", &engine.socket)
            .output()
            .unwrap());
        assert!(text.contains("kernel/fork.o"), "the recipe was not run: {text}");
        let found = text.lines().find_map(|line| Some(line.strip_prefix("Linux ")?.split_once(" as ")?.1));
        found.unwrap_or_else(|| panic!("no digest: {text}")).to_owned()
    };
    let docker = ["--engine", "docker", "--kernel-base", "tools:1"];
    let first = digest(&docker);
    assert_eq!(digest(&docker), first);
    assert_eq!(digest(&["--engine", "host"]), first);
}
