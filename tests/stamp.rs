//! A published image becomes a site's image: ours, and one as others publish it. What the kernel would
//! find is read back with other programs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A folder with a project in it, which has a profile and the lab's certificates.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        let definition = "kernel:\n  image: kernel\n  cmdline: console=ttyS0 loglevel=4\n";
        support::project(&place.path("project"), definition, &[]);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, words: &[&str]) -> Output {
        support::hookos(&self.path("project"), &self.path("store"), words).output().unwrap()
    }

    /// Stamps the lab's site on an image.
    fn stamp(&self, image: &Path, out: &Path, more: &[&str]) -> Output {
        let words = ["stamp", text(image), "--profile", "lab", "--out", text(out)];
        self.run(&[&words[..], more].concat())
    }

    fn inspect(&self, image: &Path) -> serde_json::Value {
        serde_json::from_slice(&self.run(&["inspect", text(image), "--json"]).stdout).unwrap()
    }

    fn sh(&self, script: &str) -> String {
        sh(self.0.path(), script)
    }

    /// An image in a folder, by other programs: what `script` prints is the initramfs.
    fn image(&self, name: &str, script: &str) -> PathBuf {
        self.sh(&format!("mkdir -p {name}; {{ {script}\n}} > {name}/initramfs-x86_64"));
        std::fs::write(self.path(name).join("vmlinuz-x86_64"), kernel()).unwrap();
        self.path(name)
    }
}

/// Runs a script. In it, `pack FOLDER` prints an archive of a folder's content.
fn sh(folder: &Path, script: &str) -> String {
    let script = format!("pack() {{ (cd \"$1\" && find . | cpio -o -H newc --quiet); }}\n{script}");
    let output =
        Command::new("bash").args(["-euo", "pipefail", "-c", &script]).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A kernel's head, as a boot loader sees it.
fn kernel() -> Vec<u8> {
    let mut image = vec![0; 0x400];
    image[0x1fe..0x200].copy_from_slice(&0xAA55u16.to_le_bytes());
    image[0x202..0x206].copy_from_slice(b"HdrS");
    image[0x206..0x208].copy_from_slice(&0x20fu16.to_le_bytes());
    image[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
    image.extend(b"5.10.228-test (someone) #1 SMP\0");
    image
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_foreign_image_gets_the_sites_files_behind_its_own() {
    let place = Place::new();
    // As HookOS is published elsewhere: one gzip member by another program, settings of another site.
    let published = place.image(
        "published",
        "mkdir -p base/etc/hook base/etc/idp
         echo KEYCLOAK_URL=old.example.com > base/etc/hook/env_config
         echo old > base/etc/idp/ca.pem
         pack base | gzip -n",
    );
    place.sh("tar -C published -czf hook_x86_64.tar.gz vmlinuz-x86_64 initramfs-x86_64");

    let archive = place.path("hook_x86_64.tar.gz");
    for (name, image) in [("archive", &archive), ("folder", &published)] {
        let out = place.path(name);
        support::ok(place.stamp(image, &out, &[]));
        let base = std::fs::read(published.join("initramfs-x86_64")).unwrap();
        let made = std::fs::read(out.join("initramfs-x86_64")).unwrap();
        assert!(made.starts_with(&base), "nothing of the base changes");
        let site = std::fs::read(out.join("site.cpio.gz")).unwrap();
        assert_eq!(made[base.len()..], site, "packed as the base is, for its kernel can unpack that");
        // gzip and cpio read both members, one after the other, as the kernel does: the later file counts.
        let env = sh(
            &out,
            "mkdir -p tree; gzip -dc initramfs-x86_64 | (cd tree; cpio -i -d -u --quiet; cpio -i -d -u --quiet)
             cat tree/etc/hook/env_config; cmp tree/etc/idp/ca.pem ../project/profiles/lab-ca.pem",
        );
        assert!(env.contains("keycloak.lab.example.com") && !env.contains("old.example.com"), "{env}");
        // The archive holds the same two files.
        sh(
            &out,
            "mkdir tar; tar -C tar -xzf hook_x86_64.tar.gz; cmp tar/initramfs-x86_64 initramfs-x86_64; cmp tar/vmlinuz-x86_64 vmlinuz-x86_64",
        );
        let manifest: serde_json::Value =
            serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
        assert_eq!(manifest["kernel"], "5.10.228-test");
        let sum = hookos::store::Digest::of(&base).to_string();
        assert_eq!(manifest["inputs"][0]["digest"], sum.as_str());
    }
    let inspected = place.inspect(&place.path("archive"));
    assert_eq!(inspected["kernel"]["release"], "5.10.228-test");
    assert_eq!(inspected["members"].as_array().unwrap().len(), 2);
    assert_eq!(inspected["site"]["profile"], "lab");
    assert!(inspected["env_config"].to_string().contains("keycloak.lab.example.com"), "{inspected}");
    assert!(inspected["certificates"]["etc/idp/ca.pem"][0]["authority"].as_bool().unwrap());
    let other = place.run(&["inspect", text(&published), text(&place.path("archive"))]);
    let shown = support::ok(other);
    for line in [
        "KEYCLOAK_URL: old.example.com -> keycloak.lab.example.com:443",
        "~ etc/idp/ca.pem",
        "+ etc/hook/site.json",
    ] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    // The same inputs, the same bytes.
    assert_eq!(
        std::fs::read(place.path("archive/hook_x86_64.tar.gz")).unwrap(),
        std::fs::read(place.path("folder/hook_x86_64.tar.gz")).unwrap()
    );
    // Over itself, or over something else entirely: told, and nothing is written.
    let output = place.stamp(&published, &published, &[]);
    assert!(said(&output).contains("would replace itself"), "{}", said(&output));
    let output = place.stamp(&place.path("project/profiles/lab.toml"), &published, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no initramfs"), "{}", said(&output));
}

#[test]
fn a_base_without_the_folders_gets_them_and_a_bundle_is_the_segment_alone() {
    let place = Place::new();
    place.sh("mkdir -p base/bin; pack base | xz --check=crc32 > bare.img");
    let out = place.path("out");
    support::ok(place.stamp(&place.path("bare.img"), &out, &[]));
    let list = sh(&out, "gzip -dc site.cpio.gz | cpio -t --quiet");
    for name in ["etc/hook", "etc/idp", "etc/hook/env_config"] {
        assert!(list.lines().any(|line| line == name), "{list}");
    }
    assert!(!out.join("hook_x86_64.tar.gz").exists(), "without a kernel there is no archive");

    let bundle = place.path("bundle");
    support::ok(place.run(&["stamp", "--bundle", "--profile", "lab", "--out", text(&bundle)]));
    assert_eq!(left(&bundle), ["cmdline-x86_64", "manifest.json", "site.cpio.zst"]);
    support::ok(place.run(&["verify", text(&bundle)]));
    let mut zstd =
        Command::new("zstd").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    zstd.stdin.take().unwrap().write_all(&std::fs::read(bundle.join("site.cpio.zst")).unwrap()).unwrap();
    let plain = zstd.wait_with_output().unwrap().stdout;
    assert!(plain.starts_with(b"070701"));
}

/// Files of a folder by name, logs apart.
fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// As DKAM leaves it: an initramfs of xz, signatures of kernel and initramfs, the certificate to enrol.
fn signed_archive(place: &Place) -> PathBuf {
    place.image("signed", "mkdir -p base/etc/hook base/etc/idp; pack base | xz --check=crc32");
    place.sh("cd signed
         head -c 566 /dev/urandom > vmlinuz-x86_64.sig
         head -c 566 /dev/urandom > initramfs-x86_64.sig
         head -c 1300 /dev/urandom > hookos_db.der
         mkdir dtbs-x86_64; echo tree > dtbs-x86_64/board.dtb; chmod 600 hookos_db.der
         tar --mtime=@86400 -czf ../signed.tar.gz vmlinuz-x86_64 vmlinuz-x86_64.sig initramfs-x86_64 \
         initramfs-x86_64.sig hookos_db.der dtbs-x86_64");
    place.path("signed.tar.gz")
}

#[test]
fn a_signed_archive_keeps_what_else_is_in_it() {
    let place = Place::new();
    let archive = signed_archive(&place);
    let out = place.path("out");
    let told = support::ok(place.stamp(&archive, &out, &[]));
    assert!(told.contains("warning: initramfs-x86_64.sig is left out"), "{told}");
    let base = std::fs::read(place.path("signed/initramfs-x86_64")).unwrap();
    assert!(std::fs::read(out.join("initramfs-x86_64")).unwrap().starts_with(&base));
    assert_eq!(std::fs::read(out.join("vmlinuz-x86_64")).unwrap(), kernel());
    let list = sh(&out, "tar tzf hook_x86_64.tar.gz");
    let names: Vec<&str> = list.lines().collect();
    assert_eq!(
        names,
        [
            "vmlinuz-x86_64",
            "initramfs-x86_64",
            "vmlinuz-x86_64.sig",
            "hookos_db.der",
            "dtbs-x86_64/board.dtb"
        ]
    );
    sh(
        &out,
        "mkdir tar; tar -C tar -xpzf hook_x86_64.tar.gz
         for f in vmlinuz-x86_64.sig hookos_db.der dtbs-x86_64/board.dtb; do cmp tar/$f ../signed/$f; done
         test $(stat -c '%a %Y' tar/hookos_db.der | tr ' ' -) = 600-86400
         cmp tar/initramfs-x86_64 initramfs-x86_64; rm -r tar",
    );
    let inspected = place.inspect(&archive);
    assert_eq!(inspected["kernel"]["release"], "5.10.228-test");
    let beside: Vec<&String> = inspected["beside"].as_object().unwrap().keys().collect();
    assert_eq!(
        beside,
        ["dtbs-x86_64/board.dtb", "hookos_db.der", "initramfs-x86_64.sig", "vmlinuz-x86_64.sig"]
    );
    support::ok(place.run(&["verify", text(&out)]));
    // A second kernel: nobody can know which one is meant.
    place.sh("cp signed/vmlinuz-x86_64 signed/vmlinuz-old; tar -C signed -czf two.tar.gz .");
    let output = place.stamp(&place.path("two.tar.gz"), &out, &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("vmlinuz-old"), "{}", said(&output));
}

#[test]
fn a_site_on_another_sites_image_has_nothing_of_it() {
    let place = Place::new();
    // Two members by zstd, with NULs between and behind them.
    let generic = place.image(
        "generic",
        "mkdir -p base/etc/hook base/etc/idp more/usr
         echo x > more/usr/x; ln more/usr/x more/usr/y
         pack base | zstd -q; head -c 300 /dev/zero; pack more | zstd -q; head -c 52 /dev/zero",
    );
    let out = |site: &str| place.path("project/out").join(site);
    let stamp = |image: &Path, site: &str, more: &[&str]| support::ok(place.stamp(image, &out(site), more));
    let berlin = ["--extra-hosts", "192.0.2.1 berlin", "--nameservers", "192.0.2.53", "--getty", "off"];
    stamp(&generic, "berlin", &[&berlin[..], &["--kernel-append", "quiet"]].concat());
    stamp(&out("berlin"), "rome", &["--kernel-append", "console=ttyS1"]);
    for site in ["berlin", "rome"] {
        support::ok(place.run(&["verify", text(&out(site))]));
    }
    assert_eq!(place.inspect(&out("berlin"))["settings"]["GETTY"], "off");
    assert_eq!(place.inspect(&out("rome"))["settings"]["GETTY"], "insecure");
    // What the kernel would leave, by another program; each archive ends with a trailer.
    let unpacked = sh(
        &out("rome"),
        "mkdir tree; zstd -dc --no-check initramfs-x86_64 2>/dev/null > all || true
         zstd -dcq site.cpio.zst | (cd tree; cpio -i -d -u --quiet)
         cat tree/etc/hook/hosts tree/etc/hook/resolv.conf | wc -c; rm -r tree all",
    );
    assert_eq!(unpacked.trim(), "0", "Berlin's hosts and name servers are replaced");
    let cmdline = |site: &str| std::fs::read_to_string(out(site).join("cmdline-x86_64")).unwrap();
    assert_eq!(
        cmdline("berlin"),
        "console=ttyS0 loglevel=4 quiet\n",
        "the image definition's, for the image has none"
    );
    assert_eq!(cmdline("rome"), "console=ttyS0 loglevel=4 console=ttyS1\n", "Berlin's words are not Rome's");
    let told = support::ok(place.run(&["boot", "rome", "--dry-run"]));
    assert!(told.contains("console=ttyS1"), "{told}");

    // Over another image: what that left is no part of this one, and a build that runs there is left alone.
    std::fs::write(out("berlin").join("sbom.cdx.json"), "{}").unwrap();
    std::fs::write(out("berlin").join("site.cpio.gz"), "x").unwrap();
    stamp(&generic, "berlin", &[]);
    assert_eq!(
        left(&out("berlin")),
        [
            "cmdline-x86_64",
            "hook_x86_64.tar.gz",
            "initramfs-x86_64",
            "manifest.json",
            "provenance.intoto.json",
            "site.cpio.zst",
            "vmlinuz-x86_64"
        ]
    );
    assert_eq!(cmdline("berlin"), "console=ttyS0 loglevel=4\n");
    support::ok(place.run(&["verify", text(&out("berlin"))]));
    let running = std::fs::File::options().write(true).open(out("berlin").join("logs/running")).unwrap();
    running.lock().unwrap();
    let output = place.stamp(&generic, &out("berlin"), &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("is running already"), "{}", said(&output));
}

#[test]
fn a_certificate_that_ends_soon_is_told_of_when_stamping() {
    let place = Place::new();
    place.sh("mkdir base; pack base > base.img
         openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out soon.pem -days 5 -subj '/CN=soon' \
         -addext basicConstraints=critical,CA:TRUE 2>/dev/null");
    let ca = format!("--ca-file={}", place.path("soon.pem").display());
    let server = ca.replace("--ca-file", "--server-cert-file");
    let told = support::ok(place.stamp(&place.path("base.img"), &place.path("out"), &[&ca, &server]));
    let warning = told.lines().find(|line| line.starts_with("hookos: warning:") && line.contains("soon"));
    assert!(warning.is_some(), "{told}");
    // Hard links by GNU cpio bring their content with the last name, and many names are one file.
    place.sh(
        "mkdir links; head -c 70000 /dev/zero > links/a; ln links/a links/b; ln links/a links/c
         (cd links && printf '%s\\n' a b c | cpio -o -H newc --quiet) > links.img
         cp -a links other; (cd other && chmod 600 a && printf '%s\\n' . a b c | cpio -o -H newc --quiet) > other.img",
    );
    let both = ["links.img", "other.img"].map(|name| place.path(name).display().to_string());
    let shown = support::ok(place.run(&["inspect", &both[0]]));
    assert!(shown.contains("68.4 KiB in 3 files unpacked"), "{shown}");
    let shown = support::ok(place.run(&["inspect", &both[0], &both[1]]));
    for line in ["~ a (mode 100644 -> 100600)", "~ c (mode 100644 -> 100600)", "+ ./"] {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let shown = support::ok(place.run(&["inspect", &both[0], &both[0]]));
    assert!(shown.contains("hold the same"), "{shown}");
}
