//! Images made again and again: many sites at once, edits in any order, a store that is damaged, builders that share
//! one. Each time the bytes are those of a clean build.
//!
//! One test function after the other: they share the store of the lab. `HOOKOS_EDITS=N` makes N
//! sequences of edits in place of one, `HOOKOS_FLIPS=N` N rounds of flipped bits in place of three, `HOOKOS_BUILDS=N`
//! N builds side by side in place of 24.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hookos::store::Digest;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::{FileExt as _, MetadataExt, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};
use support::{ROOT, build, fresh, hookos, ok, second_clone, work};

const INITRAMFS: &str = "initramfs-x86_64";
/// A file of a component's that is in the image, and one that decides which modules are.
const COMPONENT_FILE: &str = "components/acpid/power.event";
const KERNEL_FILE: &str = "kernel/modules.list";

/// Not a fixed list: each run tries others. The seed is told, so that one can be tried again.
struct Chance(fastrand::Rng);

impl Chance {
    fn new(what: &str) -> Self {
        let seed = std::env::var("HOOKOS_SEED").ok().and_then(|seed| seed.parse().ok());
        let seed: u64 = seed.unwrap_or_else(|| fastrand::u64(..1 << 32));
        eprintln!("{what}: HOOKOS_SEED={seed}");
        Self(fastrand::Rng::with_seed(seed))
    }

    fn pick<'t, T>(&mut self, from: &'t [T]) -> &'t T {
        &from[self.0.usize(..from.len())]
    }
}

fn number(variable: &str, usual: usize) -> usize {
    std::env::var(variable).map_or(usual, |text| text.parse().expect(variable))
}

/// The digest of every file that a build left in a folder.
fn digests(out: &Path) -> BTreeMap<String, Digest> {
    let files = fs::read_dir(out).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file());
    files
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, Digest::of(&fs::read(entry.path()).unwrap()))
        })
        .collect()
}

/// A store with the same blobs, by hard links.
fn linked(from: &Path, name: &str) -> PathBuf {
    let to = work(name);
    let _ = fs::remove_dir_all(&to);
    assert!(Command::new("cp").arg("-al").arg(from).arg(&to).status().unwrap().success());
    to
}

#[test]
fn images_are_regenerated() {
    let root = Path::new(ROOT);
    let (store, out) = (work("store"), fresh("regenerate"));
    ok(build(root, &store, &out));
    let time = |what: &str, work: &mut dyn FnMut()| {
        let started = Instant::now();
        work();
        eprintln!("{what}: {:.1} s", started.elapsed().as_secs_f64());
    };
    time("reasons", &mut || a_changed_field_is_the_reason(root, &store));
    let clone = fresh("regenerate-clone");
    second_clone(&clone);
    time("files", &mut || a_changed_file_redoes_its_own_pieces(&clone, &store));
    time("sites", &mut || many_sites_are_each_as_if_alone(root, &store));
    time("verify", &mut || a_changed_byte_is_found(root, &store, &out));
    time("flipped bits", &mut || flipped_bits_are_found_and_healed(root, &store, &out));
    time("edits", &mut || edits_in_any_order_give_the_bytes_of_a_clean_build(&clone, &store));
    time("side by side", &mut || builds_side_by_side_share_a_store(root, &store));
}

fn a_changed_field_is_the_reason(root: &Path, store: &Path) {
    let out = fresh("reasons");
    let words = |more: &[&'static str]| -> Vec<String> {
        let words = ["build", "lab", "--explain", "--out"].map(str::to_owned);
        let more = more.iter().map(|word| (*word).to_owned());
        words.into_iter().chain([out.display().to_string()]).chain(more).collect()
    };
    let run = |more: &[&'static str]| {
        let words = words(more);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let output = hookos(root, store, &words).output().unwrap();
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = run(&[]);
    assert!(text.contains("first build into this folder"), "{text}");
    let text = run(&["--kernel-append", "quiet", "--components-off", "acpid"]);
    let why = |name: &str| {
        text.lines().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {text}")).to_owned()
    };
    assert!(why("package/site").contains("kernel.append"), "{text}");
    assert!(why("binaries/base").contains("segment services/acpid is gone"), "{text}");
    assert!(why("components/udev").contains("nothing that decides it has changed"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("made") && line.contains("components/")), "{text}");
    assert!(why("components/programs").starts_with("reused"), "{text}");
    let same = run(&["--kernel-append", "quiet", "--components-off", "acpid"]);
    let made: Vec<&str> = same.lines().filter(|line| line.starts_with("made")).collect();
    let [site] = made[..] else { panic!("{same}") };
    assert!(site.contains("package/site") && site.contains("it is small, and made each time"), "{site}");
    // Many sites have reasons too.
    let out = fresh("reasons-many");
    let words = ["build", "lab", "--bundle", "--explain", "--out", out.to_str().unwrap()];
    let text = ok(hookos(root, store, &words).output().unwrap());
    assert!(text.contains("package/lab") && text.contains("first build into this folder"), "{text}");
}

/// The rows of what was made, without the reasons.
fn made(root: &Path, store: &Path, out: &Path) -> BTreeSet<String> {
    let words = ["build", "lab", "--explain", "--out", out.to_str().unwrap()];
    let output = hookos(root, store, &words).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let rows = text.lines().filter_map(|line| line.strip_prefix("made"));
    rows.filter_map(|row| row.split_whitespace().next()).map(str::to_owned).collect()
}

/// A line more at the end of a file of a checkout.
fn add_line(root: &Path, name: &str, line: &str) {
    let path = root.join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
    fs::write(&path, format!("{text}{line}\n")).unwrap();
}

fn a_changed_file_redoes_its_own_pieces(clone: &Path, from: &Path) {
    let (store, out) = (linked(from, "changed-file"), fresh("changed-file-out"));
    let site: BTreeSet<String> = ["package/site".to_owned()].into();
    let first = made(clone, &store, &out);
    assert_eq!(first, site, "a clone has the bytes of the checkout");
    let of = |names: &[&str]| -> BTreeSet<String> {
        // The files of the definition lie on top of all that is before them.
        let after = ["binaries/files", "binaries/base", "package/archive", "package/site"];
        names.iter().chain(&after).map(|name| (*name).to_owned()).collect()
    };
    add_line(clone, COMPONENT_FILE, "# changed");
    assert_eq!(made(clone, &store, &out), of(&["components/acpid", "binaries/services/acpid"]));
    assert_eq!(made(clone, &store, &out), site);
    add_line(clone, KERNEL_FILE, "-netconsole");
    assert_eq!(made(clone, &store, &out), of(&["kernel/debian", "binaries/modules"]));
    for name in [COMPONENT_FILE, KERNEL_FILE] {
        fs::copy(Path::new(ROOT).join(name), clone.join(name)).unwrap();
    }
    fs::remove_dir_all(&store).unwrap();
}

fn many_sites_are_each_as_if_alone(root: &Path, store: &Path) {
    let folder = fresh("sites");
    let table = folder.join("sites.csv");
    let rows = "name,cluster-domain,endpoints.keycloak_url\n\
        berlin,berlin.example.com,\nrome,rome.example.com,login.example.com\nbad name,x.example.com,\n";
    fs::write(&table, rows).unwrap();
    let run = |out: &Path, more: &[&str]| -> Output {
        let words = ["build", "lab", "--csv", table.to_str().unwrap(), "--out", out.to_str().unwrap()];
        hookos(root, store, &[&words, more].concat()).output().unwrap()
    };
    let (whole, bundles) = (folder.join("whole"), folder.join("bundles"));
    for (out, more) in [(&whole, &[][..]), (&bundles, &["--bundle"][..])] {
        let output = run(out, more);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("1 of 3 sites were not built") && text.contains("sites.csv:4"), "{text}");
        let results: serde_json::Value =
            serde_json::from_slice(&fs::read(out.join("sites.json")).unwrap()).unwrap();
        let failed: Vec<bool> =
            results.as_array().unwrap().iter().map(|site| site["problem"].is_object()).collect();
        assert_eq!(failed, [false, false, true]);
        for site in ["berlin", "rome"] {
            ok(hookos(root, store, &["verify", out.join(site).to_str().unwrap()]).output().unwrap());
        }
    }
    // A row alone gives the same bytes.
    fs::write(&table, "name,keycloak-url,cluster-domain\nrome,login.example.com,rome.example.com\n").unwrap();
    let alone = folder.join("alone");
    ok(run(&alone, &[]));
    assert_eq!(digests(&alone.join("rome")), digests(&whole.join("rome")));
    assert_ne!(digests(&whole.join("berlin"))[INITRAMFS], digests(&whole.join("rome"))[INITRAMFS]);

    // Both initrds of a bundle, one after the other, are the whole one without its padding.
    let base = fs::read_dir(&bundles).unwrap().map(|entry| entry.unwrap().path());
    let base = base.into_iter().find(|path| path.to_string_lossy().contains("base-")).unwrap();
    ok(hookos(root, store, &["verify", base.to_str().unwrap()]).output().unwrap());
    let mut joined = fs::read(base.join(INITRAMFS)).unwrap();
    joined.extend(fs::read(bundles.join("rome/site.cpio.zst")).unwrap());
    let whole = fs::read(whole.join("rome").join(INITRAMFS)).unwrap();
    assert!(whole.starts_with(&joined) && whole[joined.len()..].iter().all(|byte| *byte == 0));
    fs::remove_dir_all(&folder).unwrap();
}

fn a_changed_byte_is_found(root: &Path, store: &Path, out: &Path) {
    let copy = fresh("changed");
    for name in digests(out).into_keys() {
        fs::copy(out.join(&name), copy.join(name)).unwrap();
    }
    let verify = || hookos(root, store, &["verify", copy.to_str().unwrap()]).output().unwrap();
    ok(verify());
    let mut chance = Chance::new("a changed byte");
    for name in [INITRAMFS, "hook_x86_64.tar.gz", "sbom.cdx.json", "provenance.intoto.json", "site.cpio.zst"]
    {
        let path = copy.join(name);
        let whole = fs::read(&path).unwrap();
        let mut bytes = whole.clone();
        let at = chance.0.usize(..bytes.len());
        bytes[at] ^= 1 << chance.0.u8(..8);
        fs::write(&path, &bytes).unwrap();
        let output = verify();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{name} at {at}: {text}");
        assert!(text.contains(&format!("WRONG  {name}")), "{text}");
        fs::write(&path, &whole).unwrap();
    }
    ok(verify());
    what_does_not_fit_together_is_found(root, store, &copy);
}

/// A finished image in a folder, to be altered.
struct Finished<'f> {
    folder: &'f Path,
}

impl Finished<'_> {
    fn read(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.folder.join(name)).unwrap()).unwrap()
    }

    fn write(&self, name: &str, value: &serde_json::Value) {
        // As the program writes it, so that nothing but the value differs.
        let mut text = serde_json::to_vec_pretty(value).unwrap();
        text.push(b'\n');
        fs::write(self.folder.join(name), text).unwrap();
    }

    fn edit(&self, name: &str, edit: &dyn Fn(&mut serde_json::Value)) {
        let mut value = self.read(name);
        edit(&mut value);
        self.write(name, &value);
    }

    /// Makes the digests of all files in the record fit, as whoever alters a file would.
    fn fit(&self) {
        self.edit("manifest.json", &|manifest| {
            for artifact in manifest["artifacts"].as_array_mut().unwrap() {
                let bytes = fs::read(self.folder.join(artifact["name"].as_str().unwrap())).unwrap();
                artifact["bytes"] = bytes.len().into();
                artifact["sha256"] = Digest::of(&bytes).to_string().into();
            }
        });
    }

    /// Replaces a text in the site's part of the image by one of the same length.
    fn edit_site(&self, old: &str, new: &str) {
        assert_eq!(old.len(), new.len());
        let site = zstd::decode_all(&fs::read(self.folder.join("site.cpio.zst")).unwrap()[..]).unwrap();
        let at = site.windows(old.len()).position(|window| window == old.as_bytes()).unwrap();
        let mut other = site.clone();
        other[at..at + new.len()].copy_from_slice(new.as_bytes());
        let packed = zstd::encode_all(&other[..], 9).unwrap();
        let manifest = self.read("manifest.json");
        let segments = manifest["segments"].as_array().unwrap();
        let old = segments.last().unwrap()["compressed"].as_u64().unwrap() as usize;
        let padding = manifest["padding"].as_u64().unwrap() as usize;
        let mut image = fs::read(self.folder.join(INITRAMFS)).unwrap();
        let begin = image.len() - padding - old;
        image.splice(begin..begin + old, packed.iter().copied());
        fs::write(self.folder.join(INITRAMFS), image).unwrap();
        fs::write(self.folder.join("site.cpio.zst"), &packed).unwrap();
        self.edit("manifest.json", &|manifest| {
            let segment = manifest["segments"].as_array_mut().unwrap().last_mut().unwrap();
            segment["compressed"] = packed.len().into();
            segment["digest"] = Digest::of(&packed).to_string().into();
        });
    }
}

/// Each alteration alone, with the digests made to fit.
fn what_does_not_fit_together_is_found(root: &Path, store: &Path, copy: &Path) {
    let good: BTreeMap<String, Vec<u8>> =
        digests(copy).into_keys().map(|name| (name.clone(), fs::read(copy.join(&name)).unwrap())).collect();
    let image = Finished { folder: copy };
    let found = |what: &str, named: &str, alter: &dyn Fn()| {
        alter();
        image.fit();
        let output = hookos(root, store, &["verify", copy.to_str().unwrap()]).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{what}: {text}");
        let line = text.lines().find(|line| line.starts_with(&format!("WRONG  {what}:")));
        assert!(line.is_some_and(|line| line.contains(named)), "{what}, {named}: {text}");
        for name in digests(copy).into_keys() {
            match good.get(&name) {
                Some(bytes) => fs::write(copy.join(name), bytes).unwrap(),
                None => fs::remove_file(copy.join(name)).unwrap(),
            }
        }
    };
    let value = |text: &str| serde_json::Value::String(text.to_owned());
    let sbom = |named: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        found("components of sbom.cdx.json", named, &|| image.edit("sbom.cdx.json", edit));
    };
    let crates = |sbom: &serde_json::Value| {
        let all = sbom["components"].as_array().unwrap();
        all.iter()
            .position(|c| c["purl"].as_str().is_some_and(|purl| purl.starts_with("pkg:cargo/")))
            .unwrap()
    };
    sbom("is missing in it", &|sbom| {
        let at = crates(sbom);
        sbom["components"].as_array_mut().unwrap().remove(at);
    });
    sbom("surplus 1.0", &|sbom| {
        let part = serde_json::json!({"type": "library", "name": "surplus", "version": "1.0"});
        sbom["components"].as_array_mut().unwrap().push(part);
    });
    sbom("in it, and by the record", &|sbom| {
        let at = crates(sbom);
        sbom["components"][at]["properties"][0]["value"] = value("elsewhere");
    });
    let statement = |named: &str, edit: &dyn Fn(&mut serde_json::Value)| {
        found("statement of provenance.intoto.json", named, &|| image.edit("provenance.intoto.json", edit));
    };
    statement("surplus.bin", &|statement| {
        let other = serde_json::json!({"name": "surplus.bin", "digest": {"sha256": "00"}});
        statement["subject"].as_array_mut().unwrap().push(other);
    });
    statement("package ", &|statement| {
        let inputs =
            statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array_mut().unwrap();
        let at = inputs.iter().position(|input| input["annotations"]["kind"] == "package").unwrap();
        inputs[at]["digest"]["sha256"] = value("00");
    });
    statement("endpoints.cluster_domain", &|statement| {
        let fields = &mut statement["predicate"]["buildDefinition"]["externalParameters"]["fields"];
        fields["endpoints.cluster_domain"] = value("other.example.com");
    });
    statement("builder", &|statement| {
        statement["predicate"]["runDetails"]["builder"]["id"] = value("urn:other");
    });
    found("words of cmdline-x86_64", "init=/bin/sh", &|| {
        let path = copy.join("cmdline-x86_64");
        let text = fs::read_to_string(&path).unwrap();
        fs::write(&path, format!("{} init=/bin/sh\n", text.trim())).unwrap();
    });
    for (key, named) in [("files", "files"), ("unpacked", "bytes of files"), ("memory", "bytes in memory")] {
        found("segments of initramfs-x86_64", named, &|| {
            image.edit("manifest.json", &|manifest| {
                let number = manifest["segments"][3][key].as_u64().unwrap();
                manifest["segments"][3][key] = (number + 1).into();
            });
        });
    }
    found("segments of initramfs-x86_64", "behind the last segment", &|| {
        let mut bytes = fs::read(copy.join(INITRAMFS)).unwrap();
        bytes.extend([0; 512]);
        fs::write(copy.join(INITRAMFS), bytes).unwrap();
    });
    found("release of vmlinuz-x86_64", "9.9.9-other", &|| {
        image.edit("manifest.json", &|manifest| manifest["kernel"] = value("9.9.9-other"));
    });
    found("programs and files in the image", "of the record is not in it", &|| {
        image.edit("manifest.json", &|manifest| {
            let inputs = manifest["inputs"].as_array_mut().unwrap();
            let at = inputs.iter().position(|input| input["kind"] == "program").unwrap();
            inputs[at]["digest"] = value(&Digest::of(b"another program").to_string());
        });
    });
    let site = |what: &str, named: &str, old: &str, new: &str| {
        found(what, named, &|| image.edit_site(old, new));
    };
    site("etc/hook/site.json", "its profile is lax", "\"profile\": \"lab\"", "\"profile\": \"lax\"");
    site("etc/hook/site.json", "its kernel is", "\"kernel\": \"5", "\"kernel\": \"6");
    site("etc/hook/site.json", "its image ", "\"acpid\": \"sha256:", "\"acpix\": \"sha256:");
    site(
        "settings in the image",
        "etc/hook/env_config",
        "KEYCLOAK_URL=keycloak.lab",
        "KEYCLOAK_URL=keycloak.lax",
    );
    site("settings in the image", "etc/hook/settings", "GETTY=insecure\n", "GETTY=insecure#");
    site(
        "certificates in the image",
        "etc/idp/ca.pem",
        "-----BEGIN CERTIFICATE-----\nM",
        "-----BEGIN CERTIFICATE-----\nN",
    );
    found("files in hook_x86_64.tar.gz", "surplus.txt", &|| {
        let script = "tar -xzf hook_x86_64.tar.gz -C ../changed-tar && echo x > ../changed-tar/surplus.txt &&
            tar -C ../changed-tar -czf hook_x86_64.tar.gz vmlinuz-x86_64 initramfs-x86_64 surplus.txt";
        fresh("changed-tar");
        assert!(Command::new("sh").args(["-ec", script]).current_dir(copy).status().unwrap().success());
    });
    found("site.cpio.gz", "the record has no such file", &|| {
        fs::write(copy.join("site.cpio.gz"), "x").unwrap()
    });
    ok(hookos(root, store, &["verify", copy.to_str().unwrap()]).output().unwrap());
}

/// How a bit comes to be another one.
#[derive(Debug, Clone, Copy)]
enum Flip {
    /// In a new file of the same name.
    NewFile,
    /// In the file itself, as a program that writes would.
    InPlace,
    /// In the file itself, and its time is as before.
    Hidden,
}

/// Flips a bit of a file that is linked nowhere else.
fn flip(path: &Path, chance: &mut Chance) {
    let how = *chance.pick(&[Flip::NewFile, Flip::InPlace, Flip::Hidden]);
    let mut bytes = fs::read(path).unwrap();
    let at = chance.0.usize(..bytes.len());
    bytes[at] ^= 1 << chance.0.u8(..8);
    let modified = path.metadata().unwrap().modified().unwrap();
    if matches!(how, Flip::NewFile) {
        fs::remove_file(path).unwrap();
        fs::write(path, bytes).unwrap();
        return;
    }
    let mut permissions = path.metadata().unwrap().permissions();
    let before = permissions.clone();
    permissions.set_mode(0o644);
    fs::set_permissions(path, permissions).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&bytes[at..=at], at as u64).unwrap();
    if matches!(how, Flip::Hidden) {
        file.set_modified(modified).unwrap();
    }
    fs::set_permissions(path, before).unwrap();
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    all.retain(|path| path.metadata().unwrap().len() > 0);
    all.sort();
    all
}

/// The digests that a text names.
fn named_in(text: &str) -> impl Iterator<Item = String> {
    let digest = |rest: &str| rest.get(..64)?.parse::<Digest>().ok().map(|digest| digest.hex());
    text.split("sha256:").skip(1).filter_map(digest)
}

/// The results of work in a store: the file of each, which is another one when the work was done again, and the
/// blobs that it names, or that the records among these name.
fn results(store: &Path) -> BTreeMap<PathBuf, (u64, BTreeSet<String>)> {
    const RECORD: u64 = 1 << 20;
    let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned();
    let read = |path: PathBuf| {
        let mut blobs: BTreeSet<String> = named_in(&text(&path)).collect();
        for blob in blobs.clone() {
            let blob = store.join("blobs/sha256").join(blob);
            if blob.metadata().is_ok_and(|meta| meta.len() < RECORD) {
                blobs.extend(named_in(&text(&blob)));
            }
        }
        let file = path.metadata().unwrap().ino();
        (path, (file, blobs))
    };
    files(&store.join("work")).into_iter().map(read).collect()
}

/// Builds until it works. A build that fails says that damage was taken out, and so there is less of it for the next.
fn heal(root: &Path, store: &Path, out: &Path, most: usize) -> String {
    for attempt in 0..=most {
        let output = build(root, store, out);
        if output.status.success() {
            eprintln!("  healed by build {}", attempt + 1);
            return ok(output);
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains("was damaged") && text.contains("run the same command again"), "{text}");
    }
    panic!("{most} damaged files are not healed by as many builds");
}

/// The blobs that `cache verify` finds damaged.
fn verified(root: &Path, store: &Path) -> BTreeSet<String> {
    let output = hookos(root, store, &["cache", "verify", "--json"]).output().unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let damaged = answer["damaged"].as_array().unwrap().iter();
    let damaged: BTreeSet<String> =
        damaged.map(|digest| digest.as_str().unwrap().parse::<Digest>().unwrap().hex()).collect();
    assert_eq!(output.status.success(), damaged.is_empty());
    damaged
}

fn flipped_bits_are_found_and_healed(root: &Path, from: &Path, out: &Path) {
    // A store of its own, not by links, for its files are written into.
    let store = fresh("flipped");
    fs::remove_dir(&store).unwrap();
    assert!(Command::new("cp").arg("-a").arg(from).arg(&store).status().unwrap().success());
    let mut chance = Chance::new("flipped bits");
    let good = digests(out);
    let again = fresh("flipped-out");
    // What is known of the blobs is known of these files.
    ok(build(root, &store, &again));
    // What was hit and is not made again yet, since no build needed it.
    let mut gone: BTreeSet<String> = BTreeSet::new();
    for round in 0..number("HOOKOS_FLIPS", 3) {
        // The blobs that a build copies, and any others, and what is known of work.
        let mut hit: BTreeSet<PathBuf> = BTreeSet::new();
        let blobs = files(&store.join("blobs/sha256"));
        let mut large: Vec<&PathBuf> = blobs.iter().collect();
        large.sort_by_key(|path| std::cmp::Reverse(path.metadata().unwrap().len()));
        hit.insert((*chance.pick(&large[..large.len().min(6)])).clone());
        hit.extend((0..4).map(|_| chance.pick(&blobs).clone()));
        let before = results(&store);
        let record = chance.pick(&before.keys().cloned().collect::<Vec<_>>()).clone();
        for path in hit.iter().chain([&record]) {
            flip(path, &mut chance);
        }
        gone.retain(|name| !store.join("blobs/sha256").join(name).exists());
        let named: BTreeSet<String> =
            hit.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect();
        if round == 0 {
            // Who asks is told of each, and of no other.
            assert_eq!(verified(root, &store), named);
        }
        let text = heal(root, &store, &again, hit.len());
        assert_eq!(digests(&again), good, "round {round}: {text}");
        // Only that is done again of which a blob or the record was hit.
        gone.extend(named.iter().cloned());
        for (path, (file, _)) in results(&store) {
            // Or that an earlier round forgot.
            let Some((old, blobs)) = before.get(&path) else { continue };
            let is_hit = path == record || !blobs.is_disjoint(&gone);
            assert!(is_hit || file == *old, "{} was done again, hit: {hit:?}: {text}", path.display());
        }
        // What no build needed is found by who looks for it.
        let left = verified(root, &store);
        assert!(left.is_subset(&named), "{left:?} of {named:?}");
        heal(root, &store, &again, 0);
        assert_eq!(digests(&again), good);
    }
    fs::remove_dir_all(&store).unwrap();
}

fn edits_in_any_order_give_the_bytes_of_a_clean_build(root: &Path, from: &Path) {
    let mut edits: Vec<(&str, Vec<&str>)> = vec![
        ("--cluster-domain", vec!["a.example.com", "b.example.com"]),
        ("--components-off", vec!["acpid", "ntp", "acpid,ntp", "caddy"]),
        ("--kernel-append", vec!["quiet", "console=ttyS1"]),
        ("--nameservers", vec!["10.0.0.1", "10.0.0.1,10.0.0.2"]),
        ("--extra-hosts", vec!["10.0.0.9 a b"]),
        ("--getty", vec!["off", "insecure"]),
        (COMPONENT_FILE, vec!["# one", "# two"]),
        (KERNEL_FILE, vec!["-netconsole", "-ifb"]),
    ];
    let sequences = number("HOOKOS_EDITS", 1);
    if sequences > 1 {
        // All segments anew each time.
        edits.push(("--compression", vec!["gzip", "zstd"]));
    }
    let texts =
        [COMPONENT_FILE, KERNEL_FILE].map(|name| (name, fs::read_to_string(root.join(name)).unwrap()));
    let mut chance = Chance::new("edits");
    for _ in 0..sequences {
        let (used, out) = (linked(from, "edited"), fresh("edited-out"));
        let mut settings: BTreeMap<&str, &str> = BTreeMap::new();
        let words = |settings: &BTreeMap<&str, &str>, out: &Path| -> Vec<String> {
            let first = ["build", "lab", "--out", out.to_str().unwrap()].map(str::to_owned);
            let more = settings.iter().filter(|(name, _)| name.starts_with("--"));
            first.into_iter().chain(more.flat_map(|(k, v)| [(*k).to_owned(), (*v).to_owned()])).collect()
        };
        let run = |store: &Path, words: &[String]| {
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            ok(hookos(root, store, &words).output().unwrap())
        };
        for _ in 0..6 {
            let (what, values) = chance.pick(&edits);
            if chance.0.u8(..3) == 0 {
                settings.remove(what);
            } else {
                settings.insert(what, *chance.pick::<&str>(values));
            }
            for (name, text) in &texts {
                let line = settings.get(name).map_or_else(String::new, |line| format!("{line}\n"));
                fs::write(root.join(name), format!("{text}{line}")).unwrap();
            }
            run(&used, &words(&settings, &out));
        }
        let (clean, other) = (without_results(from, "clean"), fresh("clean-out"));
        run(&clean, &words(&settings, &other));
        assert_eq!(digests(&out), digests(&other), "{settings:?}");
        fs::remove_dir_all(&clean).unwrap();
        fs::remove_dir_all(&used).unwrap();
    }
}

/// Its results are forgotten. Packages and programs are there as blobs, so that no network is needed.
fn without_results(from: &Path, name: &str) -> PathBuf {
    let store = linked(from, name);
    fs::remove_dir_all(store.join("work")).unwrap();
    store
}

/// Blobs that no build needs, last used so many days ago.
fn add_unused(store: &Path, n: usize, days: u64) -> PathBuf {
    let bytes = format!("unused {n}");
    let path = store.join("blobs/sha256").join(Digest::of(bytes.as_bytes()).hex());
    fs::write(&path, bytes).unwrap();
    let used = SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    fs::File::open(&path).unwrap().set_modified(used).unwrap();
    path
}

/// The store begins without any result, so that the first builds make everything at the same time. Pruning goes on
/// beside them.
fn builds_side_by_side_share_a_store(root: &Path, from: &Path) {
    const PROCESSES: usize = 8;
    let builds = number("HOOKOS_BUILDS", 24);
    eprintln!("{builds} builds by {PROCESSES} processes; HOOKOS_BUILDS=200 makes more");
    let store = without_results(from, "shared");
    let folder = fresh("side-by-side");
    let variants = ["acpid", "ntp", "acpid,ntp"];
    let words = |n: usize, out: &Path| -> Vec<String> {
        let domain = format!("s{}.example.com", n % 5);
        let words = ["build", "lab", "--bundle", "--components-off", variants[n % variants.len()]];
        let more = ["--cluster-domain", &domain, "--out", out.to_str().unwrap()];
        words.into_iter().chain(more).map(str::to_owned).collect()
    };
    let start = |store: &Path, n: usize, out: &Path| {
        let words = words(n, out);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        hookos(root, store, &words).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let prune = || {
        let words = ["cache", "prune", "--unused-days", "20"];
        let mut prune = hookos(root, &store, &words);
        prune.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    // Each has the base too: 200 of them are no room to keep.
    let left = |out: &Path| -> BTreeMap<String, BTreeMap<String, Digest>> {
        let folders = fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
        let folders = folders.filter(|path| path.is_dir() && !path.ends_with("logs"));
        let named = |path: PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), digests(&path));
        let left: BTreeMap<_, _> = folders.map(named).collect();
        assert!(left.len() >= 2 && left.values().all(|files| !files.is_empty()), "{left:?}");
        fs::remove_dir_all(out).unwrap();
        left
    };
    let mut all = Vec::new();
    let (mut refused, started) = (0, Instant::now());
    for first in (0..builds).step_by(PROCESSES) {
        let unused = add_unused(&store, first, 30);
        let batch = || -> Vec<_> {
            let all = first..builds.min(first + PROCESSES);
            all.map(|n| start(&store, n, &folder.join(n.to_string()))).collect()
        };
        // Whoever is first has the other wait, or is refused.
        let (running, beside) = if (first / PROCESSES).is_multiple_of(2) {
            let running = batch();
            (running, prune())
        } else {
            let beside = prune();
            (batch(), beside)
        };
        let beside = beside.wait_with_output().unwrap();
        if !beside.status.success() {
            let text = String::from_utf8_lossy(&beside.stderr);
            assert!(text.contains("in use by another build"), "{text}");
            refused += 1;
        }
        for child in running {
            ok(child.wait_with_output().unwrap());
            all.push(left(&folder.join(all.len().to_string())));
        }
        ok(prune().wait_with_output().unwrap());
        assert!(!unused.exists());
    }
    eprintln!("{:.1} s; pruning was refused {refused} times beside builds", started.elapsed().as_secs_f64());
    // A lone builder: the results in its store were made by one build after the other.
    let lone = linked(from, "lone");
    for n in 0..builds.min(15) {
        let out = folder.join(format!("lone-{n}"));
        ok(start(&lone, n, &out).wait_with_output().unwrap());
        let alone = left(&out);
        for same in (n..builds).step_by(15) {
            assert_eq!(all[same], alone, "build {same}");
        }
    }
    assert_eq!(verified(root, &store), BTreeSet::new());
    for folder in [store, lone, folder] {
        fs::remove_dir_all(folder).unwrap();
    }
}
