//! The main job, end to end: `lab` is built by the program, stamped for another site, booted in QEMU, looked at from
//! inside; built again elsewhere for the same bytes; killed at random points; starved of disk.
//!
//! One test function after the other: they share one first build.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "support/small_disk.rs"]
mod small_disk;
mod support;

use small_disk::SmallDisk;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{ROOT, Shell, boot, build, fresh, hookos, machine, ok, second_clone, work};

/// What a build leaves that must be the same bytes everywhere.
const ARTIFACTS: &[&str] = &[
    "hook_x86_64.tar.gz",
    "vmlinuz-x86_64",
    "initramfs-x86_64",
    "cmdline-x86_64",
    "site.cpio.zst",
    "manifest.json",
    "sbom.cdx.json",
];

fn digests(out: &Path) -> BTreeMap<&'static str, String> {
    let digest = |name: &&'static str| {
        let file = std::fs::read(out.join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        (*name, hookos::store::Digest::of(&file).to_string())
    };
    ARTIFACTS.iter().map(digest).collect()
}

#[test]
fn lab_end_to_end() {
    let root = Path::new(ROOT);
    let (store, out) = (fresh("store"), fresh("out"));
    let mut took = Vec::new();
    let mut time = |what: &'static str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        took.push((what, started.elapsed().as_secs_f64()));
        eprintln!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    };
    time("first build", &mut || {
        ok(build(root, &store, &out));
    });
    let first = digests(&out);
    time("same build again", &mut || {
        let text = ok(build(root, &store, &out));
        assert!(text.contains("from the store"), "{text}");
    });
    assert_eq!(first, digests(&out), "a build from the store gave other bytes");
    time("archive", &mut || archive_holds_kernel_and_initramfs(&out));
    let stamped = fresh("stamped");
    time("stamp", &mut || stamp_published_archive(root, &store, &out, &stamped));
    time("boot", &mut || boots_and_serves(&stamped));
    time("other clone, empty store", &mut || same_bytes_elsewhere(root, &store));
    time("killed builds", &mut || killed_builds_leave_a_good_store(root, &store, &first));
    time("full disk", &mut || a_full_disk_is_said_and_survived(root, &store, &first));
    eprintln!("{took:?}");
}

fn archive_holds_kernel_and_initramfs(out: &Path) {
    let text = ok(Command::new("tar").arg("tzf").arg(out.join("hook_x86_64.tar.gz")).output().unwrap());
    let names: Vec<&str> = text.lines().collect();
    assert_eq!(names, ["vmlinuz-x86_64", "initramfs-x86_64"]);
    let manifest: serde_json::Value =
        serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    assert!(manifest["inputs"].as_array().unwrap().len() > 10, "{manifest}");
}

/// The archive alone, as it is published, becomes another site's image: that is the one that is booted.
fn stamp_published_archive(root: &Path, store: &Path, out: &Path, stamped: &Path) {
    let (archive, out) = (out.join("hook_x86_64.tar.gz"), stamped.to_str().unwrap());
    let words = ["stamp", archive.to_str().unwrap(), "--profile", "lab", "--out", out];
    let site =
        ["--keycloak-url", "login.stamped.example.com", "--extra-hosts", "192.0.2.7 stamped.example.com"];
    let site = [&site[..], &["--kernel-append", "hookos.stamped"]].concat();
    ok(hookos(root, store, &[&words[..], &site].concat()).output().unwrap());
    ok(hookos(root, store, &["verify", out]).output().unwrap());
    let output = hookos(root, store, &["verify", out, "--rebuild"]).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("was stamped on another one"), "{output:?}");
}

/// A site of a table, made here, is made again of what its image says of itself: in another clone, which has neither
/// the table nor a profile of that name, with an empty store.
fn same_bytes_elsewhere(root: &Path, full: &Path) {
    let (clone, store, sites) = (fresh("clone"), fresh("store2"), fresh("sites-elsewhere"));
    let table = sites.join("sites.csv");
    let row = "name,extra-hosts,nameservers,components-off,kernel-append,logging-svc\n\
        rome,192.0.2.1 a b,192.0.2.53,acpid,quiet,logs.example.com\n";
    std::fs::write(&table, row).unwrap();
    let words = ["build", "lab", "--csv", table.to_str().unwrap(), "--out", sites.to_str().unwrap()];
    ok(hookos(root, full, &words).output().unwrap());
    second_clone(&clone);
    let rome = sites.join("rome");
    let text = ok(hookos(&clone, &store, &["verify", rome.to_str().unwrap(), "--rebuild"]).output().unwrap());
    for name in ARTIFACTS {
        assert!(text.contains(&format!("ok     {name} built again")), "{name}: {text}");
    }
    assert!(text.contains("Compiling"), "programs were not compiled again: {text}");
    for folder in [&clone, &store, &sites] {
        std::fs::remove_dir_all(folder).unwrap();
    }
}

/// Takes from a copy of a full store what was made of packages and programs, so that a build has
/// work to do without the network.
fn forget_results(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
    assert!(copied.success());
    let work = to.join("work");
    for entry in std::fs::read_dir(&work).unwrap() {
        let path = entry.unwrap().path();
        std::fs::remove_file(path).unwrap();
    }
}

fn killed_builds_leave_a_good_store(root: &Path, full: &Path, first: &BTreeMap<&'static str, String>) {
    let (store, out) = (work("kill").join("store"), fresh("out-kill"));
    let _ = std::fs::remove_dir_all(&store);
    forget_results(full, &store);
    // Not a fixed list: each run of the tests tries other moments.
    let seed = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let mut killed = 0;
    for round in 0..5u32 {
        let mut child = hookos(root, &store, &["build", "lab", "--out", out.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let moment = 200 + u64::from(seed.wrapping_mul(round.wrapping_mul(2_654_435_761) | 1) % 6000);
        std::thread::sleep(Duration::from_millis(moment));
        killed += u32::from(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(killed > 0, "no build was still running when it was to be killed");
    ok(build(root, &store, &out));
    assert_eq!(*first, digests(&out), "after {killed} killed builds the bytes differ");
    ok(hookos(root, &store, &["cache", "verify"]).output().unwrap());
    std::fs::remove_dir_all(&store).unwrap();
}

fn a_full_disk_is_said_and_survived(root: &Path, full: &Path, first: &BTreeMap<&'static str, String>) {
    let (mount, out) = (work("small-disk"), fresh("out-small"));
    let Some(disk) = SmallDisk::mount(&mount, "3g") else { return };
    let store = mount.join("store");
    forget_results(full, &store);
    let used = ok(Command::new("du").args(["-sm"]).arg(&store).output().unwrap());
    let used: u64 = used.split_whitespace().next().unwrap().parse().unwrap();
    disk.resize(&format!("{}m", used + 20));
    let output = build(root, &store, &out);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("full") || text.contains("No space left"),
        "not said that the disk is full: {text}"
    );
    disk.resize("6g");
    ok(build(root, &store, &out));
    assert_eq!(*first, digests(&out));
    drop(disk);
}

fn boots_and_serves(out: &Path) {
    let (guest, verdict) = boot(machine(out, "interface=../x"), std::io::sink());
    eprintln!("{}", verdict.text());
    assert_eq!(verdict.failed, Vec::<String>::new(), "{}", guest.last_lines());
    assert!(!verdict.onboot.is_empty());
    assert!(verdict.onboot.iter().all(|step| step.exit == 0), "{:?}", verdict.onboot);
    assert!(verdict.services.len() >= 5, "{:?}", verdict.services);

    // A mistake on the command line is told on the console, and stops nothing.
    guest.wait_for("interface=../x is not a network card's name", 0, Duration::from_secs(5)).unwrap();

    let mut shell = Shell::on(guest);
    shell.log_in();
    // What the services tell of an orchestrator that is not there would stand between the answers.
    shell.run("dmesg -n 1");
    assert!(shell.run("uname -r").starts_with("5.10."), "kernel version");
    // The shell's own modprobe cannot read modules that are compressed.
    assert_eq!(
        shell.run("modprobe dummy && grep -c ^dummy /proc/modules; modinfo -F name dummy"),
        "1\ndummy"
    );
    for (file, of_site) in [
        ("/etc/hook/env_config", "KEYCLOAK_URL=login.stamped.example.com"),
        ("/etc/hosts", "192.0.2.7 stamped.example.com"),
        ("/proc/cmdline", "hookos.stamped"),
    ] {
        let text = shell.run(&format!("cat {file}"));
        assert!(text.contains(of_site), "{file} is not the stamped site's: {text}");
    }
    let address = shell.run("ip -4 -o addr show scope global 2>/dev/null || ifconfig");
    assert!(address.contains("10.0.2.15"), "no address by DHCP: {address}");
    assert!(shell.run("cat /etc/resolv.conf").contains("nameserver"), "no name server");
    assert!(shell.run("ls -l /dev/disk /dev/null").contains("/dev/null"));
    // A caller whose process number udevd could not see was hung up on: whether drivers were loaded before
    // the network was set up was then a matter of luck.
    assert_eq!(shell.run("grep 'ctrl connection' /var/log/udev.log"), "");
    assert_eq!(shell.run("cat /var/log/onboot/*udev-coldplug.log | grep -v '^hookos:'"), "");
    let listing = shell.run("service list");
    for name in verdict.services.keys() {
        let line = listing.lines().find(|line| line.contains(name.as_str()));
        assert!(line.is_some_and(|line| line.contains("running")), "{name} is not running:\n{listing}");
    }
    let json = |shell: &mut Shell| -> serde_json::Value {
        let text = shell.run("service list --json");
        serde_json::from_str(text.trim()).unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let pid = |value: &serde_json::Value, name: &str| {
        let all = value.as_array().unwrap();
        all.iter().find(|s| s["name"] == name).and_then(|s| s["pid"].as_i64())
    };
    let before = pid(&json(&mut shell), "acpid").expect("acpid has a process");
    shell.run(&format!("kill -9 {before}"));
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let after = pid(&json(&mut shell), "acpid");
        if after.is_some_and(|after| after != before) {
            break;
        }
        assert!(Instant::now() < until, "a killed service was not started again");
        std::thread::sleep(Duration::from_millis(500));
    }
    // The one that was started again must hear the button.
    std::thread::sleep(Duration::from_secs(3));
    shell.guest.power_button().unwrap();
    let status = shell.guest.wait(Duration::from_secs(60)).unwrap();
    assert!(status.success(), "{status}");
}
