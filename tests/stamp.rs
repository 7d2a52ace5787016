//! A published image becomes a site's image: ours, and one as others publish it. What the kernel would
//! find is read back with other programs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// A project with a profile and the lab's certificates.
fn project(folder: &Path) {
    for name in ["components", "profiles"] {
        std::fs::create_dir_all(folder.join(name)).unwrap();
    }
    std::fs::write(folder.join("components/hook.yaml"), "").unwrap();
    for name in ["lab.toml", "lab-ca.pem", "lab-server.pem"] {
        let from = Path::new(support::ROOT).join("profiles").join(name);
        if from.is_file() {
            std::fs::copy(from, folder.join("profiles").join(name)).unwrap();
        }
    }
}

fn sh(folder: &Path, script: &str) -> String {
    let output =
        Command::new("bash").args(["-euo", "pipefail", "-c", script]).current_dir(folder).output().unwrap();
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

fn image_of(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_foreign_image_gets_the_sites_files_behind_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    project(&root);
    let run = |words: &[&str]| support::hookos(&root, &folder.path().join("store"), words).output().unwrap();
    // As HookOS is published elsewhere: one gzip member by another program, settings of another site.
    sh(
        folder.path(),
        "mkdir -p base/etc/hook base/etc/idp published
         echo KEYCLOAK_URL=old.example.com > base/etc/hook/env_config
         echo old > base/etc/idp/ca.pem
         (cd base && find . | cpio -o -H newc --quiet) | gzip -n > published/initramfs-x86_64",
    );
    std::fs::write(folder.path().join("published/vmlinuz-x86_64"), kernel()).unwrap();
    sh(folder.path(), "tar -C published -czf hook_x86_64.tar.gz vmlinuz-x86_64 initramfs-x86_64");

    let archive = folder.path().join("hook_x86_64.tar.gz");
    let published = folder.path().join("published");
    for (name, image) in [("archive", &archive), ("folder", &published)] {
        let out = folder.path().join(name);
        let image = image.to_str().unwrap();
        support::ok(run(&["stamp", image, "--profile", "lab", "--out", out.to_str().unwrap()]));
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
    let inspected = run(&["inspect", folder.path().join("archive").to_str().unwrap(), "--json"]);
    let inspected: serde_json::Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["kernel"], "5.10.228-test");
    assert_eq!(inspected["members"].as_array().unwrap().len(), 2);
    assert_eq!(inspected["site"]["profile"], "lab");
    assert!(inspected["env_config"].to_string().contains("keycloak.lab.example.com"), "{inspected}");
    assert!(inspected["certificates"]["etc/idp/ca.pem"][0]["authority"].as_bool().unwrap());
    let other = run(&["inspect", image_of(&published), image_of(&folder.path().join("archive"))]);
    let text = support::ok(other);
    for line in [
        "KEYCLOAK_URL: old.example.com -> keycloak.lab.example.com:443",
        "~ etc/idp/ca.pem",
        "+ etc/hook/site.json",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    // The same inputs, the same bytes.
    assert_eq!(
        std::fs::read(folder.path().join("archive/hook_x86_64.tar.gz")).unwrap(),
        std::fs::read(folder.path().join("folder/hook_x86_64.tar.gz")).unwrap()
    );
    // Over itself, or over something else entirely: told, and nothing is written.
    let image = published.to_str().unwrap();
    let output = run(&["stamp", image, "--profile", "lab", "--out", image]);
    assert!(said(&output).contains("would replace itself"), "{}", said(&output));
    let text = root.join("profiles/lab.toml");
    let output = run(&["stamp", text.to_str().unwrap(), "--profile", "lab", "--out", image]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("no initramfs"), "{}", said(&output));
}

#[test]
fn a_base_without_the_folders_gets_them_and_a_bundle_is_the_segment_alone() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    project(&root);
    let run = |words: &[&str]| support::hookos(&root, &folder.path().join("store"), words).output().unwrap();
    sh(
        folder.path(),
        "mkdir -p base/bin; (cd base && find . | cpio -o -H newc --quiet) | xz --check=crc32 > bare.img",
    );
    let (image, out) = (folder.path().join("bare.img"), folder.path().join("out"));
    support::ok(run(&["stamp", image.to_str().unwrap(), "--profile", "lab", "--out", out.to_str().unwrap()]));
    let list = sh(&out, "gzip -dc site.cpio.gz | cpio -t --quiet");
    for name in ["etc/hook", "etc/idp", "etc/hook/env_config"] {
        assert!(list.lines().any(|line| line == name), "{list}");
    }
    assert!(!out.join("hook_x86_64.tar.gz").exists(), "without a kernel there is no archive");

    let bundle = folder.path().join("bundle");
    support::ok(run(&["stamp", "--bundle", "--profile", "lab", "--out", bundle.to_str().unwrap()]));
    let files: Vec<_> = std::fs::read_dir(&bundle).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(files, ["site.cpio.zst"]);
    let mut zstd =
        Command::new("zstd").arg("-dc").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    zstd.stdin.take().unwrap().write_all(&std::fs::read(bundle.join("site.cpio.zst")).unwrap()).unwrap();
    let plain = zstd.wait_with_output().unwrap().stdout;
    assert!(plain.starts_with(b"070701"));
}
