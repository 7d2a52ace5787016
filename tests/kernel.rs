//! The kernel image from Debian's real package, held against Debian's own depmod and modprobe.
//!
//! Needs apt with a Debian archive, and the package `kmod`. The image is built once for all tests
//! in cargo's folder for test files, where the downloaded package stays.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hookos::debian::apt::{self, Apt};
use hookos::debian::lock::Mode;
use hookos::initramfs::cpio::Contents;
use hookos::initramfs::tree::{Kind, TreePath};
use hookos::kernel::debian::{self, Built, Context, Settings};
use hookos::kernel::modules::{depmod, elf::Module};
use hookos::oci;
use hookos::progress::Silent;
use hookos::store::Store;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("kernel")
}

fn build(store: &Store, apt: &apt::Settings, mode: Mode) -> Built {
    let apt = Apt::new(store, apt);
    let settings = Settings { folder: &folder(), lock: mode, groups_off: &[], epoch: None };
    debian::build(Context { store, apt: &apt }, &settings, &Silent)
        .unwrap_or_else(|problem| panic!("the kernel cannot be built:\n{problem}"))
}

/// The shared store, the kernel in it, and its root unpacked to a folder.
fn kernel() -> &'static (Store, Built, PathBuf) {
    static KERNEL: OnceLock<(Store, Built, PathBuf)> = OnceLock::new();
    KERNEL.get_or_init(|| {
        let base = Path::new(env!("CARGO_TARGET_TMPDIR")).join("kernel");
        // The package stays from run to run; what an earlier state of the program made of it does not.
        let _ = fs::remove_dir_all(base.join("store/work"));
        let store = Store::open(base.join("store")).unwrap();
        let built = build(&store, &apt::Settings::default(), Mode::Locked);
        let root = base.join("root");
        if root.exists() {
            fs::remove_dir_all(&root).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        tar::Archive::new(file(&store, &built, "kernel.tar").as_slice()).unpack(&root).unwrap();
        std::os::unix::fs::symlink("usr/lib", root.join("lib")).unwrap();
        (store, built, root)
    })
}

fn file(store: &Store, built: &Built, name: &str) -> Vec<u8> {
    let tree = oci::image_tree(store, &built.image).unwrap();
    let path = TreePath::new(name).unwrap();
    let node = tree.get(&path).unwrap_or_else(|| panic!("the kernel image has no {name}"));
    let Kind::File(content) = &node.kind else { panic!("{name} is not a file") };
    let mut out = Vec::new();
    Contents::new(store).copy(&path, content, &mut out).unwrap();
    out
}

/// Runs a program of kmod, which lies where not every user's PATH looks.
fn kmod(program: &str, arguments: &[&str]) -> (bool, String) {
    let path = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
        .iter()
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("{program} is not there: apt-get install kmod"));
    let output = Command::new(path).args(arguments).env("LC_ALL", "C").output().unwrap();
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A second root with the same modules, whose indexes are by Debian's depmod.
fn reference(root: &Path, version: &str) -> tempfile::TempDir {
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let (from, to) = (modules(root, version), modules(other.path(), version));
    fs::create_dir_all(&to).unwrap();
    std::os::unix::fs::symlink("usr/lib", other.path().join("lib")).unwrap();
    for name in ["kernel", "modules.order", "modules.builtin", "modules.builtin.modinfo"] {
        let status = Command::new("cp").arg("-a").arg(from.join(name)).arg(&to).status().unwrap();
        assert!(status.success());
    }
    let (ok, _) = kmod("depmod", &["-b", other.path().to_str().unwrap(), version]);
    assert!(ok, "depmod failed");
    other
}

fn modules(root: &Path, version: &str) -> PathBuf {
    root.join("usr/lib/modules").join(version)
}

/// Everything in a binary index, in the order in which its reader meets it.
fn entries(bytes: &[u8]) -> Vec<(String, u32, String)> {
    fn word(bytes: &[u8], at: &mut usize) -> u32 {
        *at += 4;
        u32::from_be_bytes(bytes[*at - 4..*at].try_into().unwrap())
    }
    fn text(bytes: &[u8], at: &mut usize) -> String {
        let end = *at + bytes[*at..].iter().position(|b| *b == 0).unwrap();
        let text = String::from_utf8(bytes[*at..end].to_vec()).unwrap();
        *at = end + 1;
        text
    }
    fn node(bytes: &[u8], offset: u32, mut key: String, out: &mut Vec<(String, u32, String)>) {
        let mut at = (offset & 0x0fff_ffff) as usize;
        if offset & 0x8000_0000 != 0 {
            key.push_str(&text(bytes, &mut at));
        }
        let mut children = Vec::new();
        if offset & 0x2000_0000 != 0 {
            let (low, high) = (bytes[at], bytes[at + 1]);
            at += 2;
            children.extend((low..=high).map(|c| (c as char, word(bytes, &mut at))));
        }
        if offset & 0x4000_0000 != 0 {
            for _ in 0..word(bytes, &mut at) {
                let priority = word(bytes, &mut at);
                out.push((key.clone(), priority, text(bytes, &mut at)));
            }
        }
        for (character, child) in children.into_iter().filter(|(_, child)| *child != 0) {
            node(bytes, child, format!("{key}{character}"), out);
        }
    }
    assert_eq!(bytes[..8], [0xb0, 0x07, 0xf4, 0x57, 0, 2, 0, 1]);
    let mut out = Vec::new();
    node(bytes, word(bytes, &mut 8), String::new(), &mut out);
    out
}

/// The binary indexes must be the same bytes; where a newer depmod puts the same nodes in another
/// order in the file, what a reader meets must be the same, in the same order.
fn compare_indexes(ours: &BTreeMap<String, Vec<u8>>, theirs: &Path) {
    for (name, ours) in ours {
        let theirs = match fs::read(theirs.join(name)) {
            Ok(theirs) => theirs,
            // depmod writes this one since kmod 33.
            Err(_) if name == "modules.weakdep" => continue,
            Err(e) => panic!("depmod did not write {name}: {e}"),
        };
        if name.ends_with(".bin") {
            assert!(*ours == theirs || entries(ours) == entries(&theirs), "{name} differs");
            assert_eq!(ours.len(), theirs.len(), "{name} has another length");
        } else if name == "modules.symbols" {
            // In the order of depmod's hash table.
            let sorted = |bytes: &[u8]| {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
                lines.sort();
                lines
            };
            assert_eq!(sorted(ours), sorted(&theirs), "{name} differs");
        } else {
            assert!(*ours == theirs, "{name} differs");
        }
    }
}

#[test]
fn the_image_has_the_shape_of_linuxkits() {
    let (store, built, root) = kernel();
    assert!(built.package_version.starts_with("5.10."), "{}", built.package_version);
    let image = file(store, built, "kernel");
    assert_eq!(hookos::kernel::bzimage::release(&image).unwrap(), built.version);
    assert!(!file(store, built, "System.map").is_empty());
    assert!(root.join("usr/lib/modules").join(&built.version).is_dir());
    let names: Vec<_> = fs::read_dir(root).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "only usr (and this test's lib) lies in the root: {names:?}");
    assert!(root.join("usr/lib/firmware/isci/isci_firmware.bin").is_file());
    assert!(built.warnings.is_empty(), "{:#?}", built.warnings);
    assert!(built.report.after.bytes * 2 < built.report.before.bytes, "{}", built.report);
}

#[test]
fn debians_signatures_stay_on_the_modules() {
    let (_, built, root) = kernel();
    let ext4 = modules(root, &built.version).join("kernel/fs/ext4/ext4.ko.zst");
    assert!(Module::read("kernel/fs/ext4/ext4.ko.zst", &fs::read(ext4).unwrap()).unwrap().signed);
}

#[test]
fn indexes_of_the_image_are_those_of_depmod() {
    let (_, built, root) = kernel();
    let other = reference(root, &built.version);
    let ours = fs::read_dir(modules(root, &built.version))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_type().unwrap().is_file())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect::<BTreeMap<_, _>>();
    assert_eq!(ours.len(), 14, "{:?}", ours.keys());
    compare_indexes(&ours, &modules(other.path(), &built.version));
}

/// All 3,900 modules of the package, not only the chosen ones.
#[test]
fn indexes_of_the_whole_package_are_those_of_depmod() {
    let (store, built, _) = kernel();
    let package = built.packages.iter().find(|r| r.package.name.starts_with("linux-image-")).unwrap();
    let deb = fs::File::open(store.path(&package.package.sha256)).unwrap();
    let (_, data) = hookos::debian::deb::open(std::io::BufReader::new(deb)).unwrap();
    let root = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    tar::Archive::new(data).unpack(root.path()).unwrap();
    let folder = root.path().join("lib/modules").join(&built.version);
    let (ok, _) = kmod("depmod", &["-b", root.path().to_str().unwrap(), &built.version]);
    assert!(ok, "depmod failed");
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    let order = String::from_utf8(read("modules.order")).unwrap();
    let all: Vec<Module> = order.lines().map(|path| Module::read(path, &read(path)).unwrap()).collect();
    assert!(all.len() > 3000);
    let builtin = depmod::Builtin {
        list: String::from_utf8(read("modules.builtin")).unwrap(),
        info: read("modules.builtin.modinfo"),
    };
    let ours = depmod::write(&all, &builtin).unwrap();
    compare_indexes(&ours.into_iter().map(|(name, bytes)| (name.to_owned(), bytes)).collect(), &folder);
}

#[test]
fn modprobe_and_modinfo_answer_the_same_from_both() {
    let (_, built, root) = kernel();
    let other = reference(root, &built.version);
    let roots = [root.to_str().unwrap(), other.path().to_str().unwrap()];
    let mut asked: Vec<String> = [
        "virtio_net",
        "e1000e",
        "overlay",
        "nvme",
        "ext4",
        "dm-verity",
        "dm_thin_pool",
        "nbd",
        "tpm_tis",
        "ipmi_si",
        "cifs",
        "nf_tables",
        "fs-iso9660",
        "crypto-xts",
        "char-major-10-200",
        "net-pf-17",
        "symbol:usbnet_probe",
        "pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00",
        "virtio:d00000001v00001AF4",
        "hid:b0003g0001v0000046Dp0000C31C",
        "dmi*:pvnDell*:",
        "unix",
        "not-there",
    ]
    .map(str::to_owned)
    .into();
    // Aliases from all over the file, with each pattern made into something that it matches.
    let aliases = fs::read_to_string(modules(root, &built.version).join("modules.alias")).unwrap();
    let concrete = aliases.lines().skip(1).filter_map(|line| line.split(' ').nth(1)).step_by(131);
    asked.extend(concrete.map(|alias| alias.replace("[0-9]", "7").replace(['*', '?'], "0")));
    assert!(asked.len() > 70, "{}", asked.len());
    let mut found = 0;
    for name in &asked {
        let answers = roots.map(|root| {
            let (ok, text) = kmod(
                "modprobe",
                &["-C", "/dev/null", "-d", root, "-S", &built.version, "--show-depends", name],
            );
            (ok, text.replace(root, ""))
        });
        assert_eq!(answers[0], answers[1], "modprobe {name}");
        found += usize::from(answers[0].0);
    }
    assert!(found > asked.len() / 2, "only {found} of {} were found", asked.len());
    for name in ["e1000e", "ext4"] {
        let answers = roots.map(|root| {
            let (ok, text) = kmod("modinfo", &["-b", root, "-k", &built.version, name]);
            assert!(ok, "modinfo {name}");
            text.replace(root, "")
        });
        assert_eq!(answers[0], answers[1]);
    }
}

#[test]
fn two_stores_get_the_same_bytes_and_a_known_kernel_needs_no_apt() {
    let (store, built, _) = kernel();
    let other = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let other = Store::open(other.path()).unwrap();
    // The package comes from the first store, so that it is not downloaded again.
    for record in &built.packages {
        other.put(&store.read(&record.package.sha256).unwrap()).unwrap();
    }
    let nowhere = apt::Settings { mirror: Some("nowhere".into()), security_mirror: None };
    let again = build(&other, &nowhere, Mode::Locked);
    assert!(!again.cached);
    assert_eq!(again.image, built.image);
    assert_eq!(again.report, built.report);
    let third = build(&other, &nowhere, Mode::Locked);
    assert!(third.cached);
    assert_eq!(third, Built { cached: true, ..again });
}
