//! What compiles whole kernels, for `tests/kernel-full`: the same digest wherever it is built, by the host as
//! by Docker; and a machine that boots it.

use super::engine::Engine;
use super::{scratch, source, support};
use hookos::initramfs::cpio::Contents;
use hookos::initramfs::tree::{Kind, TreePath};
use hookos::oci::{self, registry};
use hookos::store::Store;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;
use support::{ROOT, Shell, boot, fresh, machine, ok, work};

/// Builds the tiny kernel; gives its image's digest.
fn digest(store: &Path, change: &dyn Fn(&mut Command)) -> String {
    let mut command = source(support::hookos(Path::new(ROOT), store, &["kernel", "lab"]));
    command.env("CCACHE_DIR", work("kernel-source").join("ccache"));
    change(&mut command);
    let started = Instant::now();
    let text = ok(command.output().unwrap());
    eprintln!("compiled in {:.0} s", started.elapsed().as_secs_f64());
    assert!(text.contains(" of "), "objects are counted: {text}");
    assert_eq!(scratch(store), [] as [PathBuf; 0]);
    let digest = text.lines().find_map(|line| Some(line.strip_prefix("Linux ")?.split_once(" as ")?.1));
    digest.unwrap_or_else(|| panic!("no digest: {text}")).to_owned()
}

#[test]
#[ignore = "compiles a kernel twice, builds lab and boots it: tests/kernel-full"]
fn two_builds_are_the_same_bytes_and_boot() {
    let (store, other) = (fresh("kernel-one"), fresh("kernel-two/in/a/folder/with/a/longer/name"));
    let first = digest(&store, &|_| {});
    // The second time nothing comes out of a cache of objects.
    let second = digest(&other, &|command| {
        command.env("CCACHE_RECACHE", "1").args(["--jobs", "1"]);
    });
    assert_eq!(first, second, "two builds gave other bytes");
    std::fs::remove_dir_all(&other).unwrap();
    holds_everything(&store);
    boots(&store);
}

/// What the kernel's image has, and what its head says.
fn holds_everything(store: &Path) {
    let store = Store::open(store).unwrap();
    let names = store.names().unwrap();
    let (name, _) = names.iter().find(|(name, _)| name.starts_with("localhost/hook-kernel:")).unwrap();
    let image = registry::named(&store, name).unwrap().unwrap();
    let tree = oci::image_tree(&store, &image).unwrap();
    let file = |name: &str| {
        let path = TreePath::new(name).unwrap();
        let Kind::File(content) = &tree.get(&path).unwrap().kind else { panic!("{name} is no file") };
        let mut bytes = Vec::new();
        Contents::new(&store).copy(&path, content, &mut bytes).unwrap();
        bytes
    };
    assert_eq!(hookos::kernel::bzimage::cmdline_size(&file("kernel")), Some(4095));
    let map = String::from_utf8(file("System.map")).unwrap();
    assert!(map.lines().any(|line| line.ends_with(" T start_kernel")), "no symbols of a kernel");
    assert_eq!(file("dtbs.tar.gz")[..2], [0x1f, 0x8b]);
    assert!(!file("kernel.tar").is_empty());
}

/// Builds lab with the kernel of the store, and boots it.
fn boots(store: &Path) {
    let out = fresh("kernel-out");
    let words = ["build", "lab", "--out", out.to_str().unwrap()];
    let text = ok(source(support::hookos(Path::new(ROOT), store, &words)).output().unwrap());
    assert!(text.contains("unchanged, from the store"), "the kernel is not built again: {text}");
    let console = std::fs::File::create(out.join("console.log")).unwrap();
    let (guest, _) = boot(machine(&out, ""), console);
    let mut shell = Shell::on(guest);
    shell.log_in();
    let release = shell.run("uname -r");
    assert!(release.starts_with("5.10.") && release.ends_with("-hook-tiny"), "{release}");
    // A module of this kernel, found by the indexes that were made for it.
    assert_eq!(shell.run("modprobe dummy && grep -c ^dummy /proc/modules"), "1");
}

#[test]
#[ignore = "compiles a kernel three times, boots it, and makes a Debian system with debootstrap: tests/kernel-full"]
fn docker_and_the_host_give_the_same_bytes() {
    // Below /var: its path must be short enough for sockets.
    let folder = tempfile::Builder::new().prefix("kernel-docker-").tempdir_in("/var/tmp").unwrap();
    let root = folder.path().join("tools");
    // The same release of Debian as here, so that both have the same compiler.
    let release = std::fs::read_to_string("/etc/os-release").unwrap();
    let suite = release.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME=")).unwrap();
    let tools = "bc,binutils,bison,flex,gcc,libc6-dev,libelf-dev,libssl-dev,make,perl,xz-utils";
    ok(Command::new("debootstrap")
        .env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap()))
        .args(["--variant=minbase", &format!("--include={tools}"), suite])
        .arg(&root)
        .output()
        .expect("debootstrap is needed: apt-get install debootstrap"));
    let engine = Engine::start(&folder.path().join("engine"), &[]);
    let tar = folder.path().join("tools.tar");
    ok(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&tar).arg(".").output().unwrap());
    ok(engine.docker(&["import", tar.to_str().unwrap(), "tools:1"]));
    std::fs::remove_file(&tar).unwrap();
    std::fs::remove_dir_all(&root).unwrap();

    let by_docker = |command: &mut Command| {
        command.env("DOCKER_HOST", &engine.socket).args(["--engine", "docker", "--kernel-base", "tools:1"]);
    };
    let store = fresh("kernel-docker");
    let docker = digest(&store, &by_docker);
    assert_eq!(
        digest(&fresh("kernel-docker-again"), &by_docker),
        docker,
        "two builds in Docker gave other bytes"
    );
    holds_everything(&store);
    boots(&store);
    let host = digest(&fresh("kernel-host"), &|_| {});
    assert_eq!(docker, host, "the host's bytes are not Docker's");
}
