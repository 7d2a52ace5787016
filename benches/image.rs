//! The image's numbers: `cargo bench --bench image` (about five minutes), with `-- --write` into docs/performance.md
//! and docs/performance.svg.
//!
//! Each job is done by the program as people run it, several times; the best time counts, and the most memory.
//! Beside it, in the same run and on the same files, a public tool does what comes nearest: machines differ
//! and are busy with other things, so what is kept is the ratio. Needs pigz, zstd and cpio; the first build
//! fetches packages.
#![allow(clippy::unwrap_used, clippy::expect_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use hookos::initramfs::cpio::{self, Inodes};
use hookos::oci::{self, image::read_image};
use hookos::store::{Digest, Store};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use support::{ROOT, hookos};

/// What one way of doing a job costs.
#[derive(Clone, Copy)]
struct Cost {
    seconds: f64,
    /// MiB.
    memory: f64,
}

struct Row {
    job: &'static str,
    ours: Cost,
    /// The other tool, and what it costs.
    other: Option<(&'static str, Cost)>,
}

/// Runs a command to its end, with its peak of memory.
fn run(command: &mut Command) -> Cost {
    let began = Instant::now();
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0.0;
    let ended = loop {
        // The kernel keeps the highest mark, so that only the last moments are missed.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let mark = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = mark.and_then(|mark| mark.split_whitespace().next()?.parse::<f64>().ok());
        peak = kib.map_or(peak, |kib| f64::max(peak, kib / 1024.0));
        if let Some(ended) = child.try_wait().unwrap() {
            break ended;
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    assert!(ended.success(), "{command:?}");
    Cost { seconds: began.elapsed().as_secs_f64(), memory: peak }
}

/// The best of several; `before` is not counted.
fn best(times: u32, mut before: impl FnMut(), mut job: impl FnMut() -> Cost) -> Cost {
    let mut all = Cost { seconds: f64::MAX, memory: 0.0 };
    for _ in 0..times {
        before();
        let cost = job();
        all = Cost { seconds: all.seconds.min(cost.seconds), memory: all.memory.max(cost.memory) };
    }
    all
}

fn inside(job: impl FnOnce()) -> Cost {
    let began = Instant::now();
    job();
    Cost { seconds: began.elapsed().as_secs_f64(), memory: 0.0 }
}

fn shell(script: &str, folder: &Path) -> Cost {
    run(Command::new("bash").args(["-c", &format!("set -o pipefail; {script}")]).current_dir(folder))
}

fn empty(folder: &Path) {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).unwrap();
}

/// Forgets segments, bases and archives, so that they are made of the images that are there.
fn forget_segments(store: &Path) {
    let opened = Store::open(store).unwrap();
    for entry in fs::read_dir(store.join("work")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let result: Option<Digest> = text.lines().nth(1).and_then(|line| line.parse().ok());
        let record = result.and_then(|result| opened.read(&result).ok()).unwrap_or_default();
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap_or_default();
        if ["compressed", "initramfs", "crc"].iter().any(|name| record.get(name).is_some()) {
            fs::remove_file(path).unwrap();
        }
    }
}

/// A table with this many sites.
fn table(folder: &Path, sites: u32) -> PathBuf {
    let path = folder.join(format!("{sites}.csv"));
    let rows = (0..sites).map(|n| format!("site-{n:04},s{n}.example.com\n"));
    fs::write(&path, format!("name,cluster-domain\n{}", rows.collect::<String>())).unwrap();
    path
}

fn main() {
    let root = Path::new(ROOT);
    let folder = tempfile::Builder::new().prefix("bench-").tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let at = |name: &str| folder.path().join(name);
    let (store, out, copy) = (at("store"), at("out"), at("copy"));
    let build = |store: &Path, root: &Path, more: &[&str]| {
        let words = ["build", "lab", "--out", out.to_str().unwrap()];
        run(&mut hookos(root, store, &[&words, more].concat()))
    };
    let mut rows: Vec<Row> = Vec::new();
    let mut row = |job, ours: Cost, other: Option<(&'static str, Cost)>| {
        let beside = other.map(|(name, cost)| format!(", {:.2} times {name}", ours.seconds / cost.seconds));
        println!("{job}: {:.3} s, {:.0} MiB{}", ours.seconds, ours.memory, beside.unwrap_or_default());
        rows.push(Row { job, ours, other });
    };

    // Programs are compiled and packages downloaded before anything is measured.
    build(&store, root, &[]);
    let cold = at("cold");
    let ours = best(1, || empty(&cold), || build(&cold, root, &[]));
    row("first image, nothing in the store", ours, None);
    fs::remove_dir_all(&cold).unwrap();

    let files = "initramfs-x86_64 hook_x86_64.tar.gz vmlinuz-x86_64";
    empty(&copy);
    let into = copy.display();
    let cp = best(5, || empty(&copy), || shell(&format!("cp {files} {into}"), &out));
    let new = at("new");
    let words = ["build", "lab", "--out", new.to_str().unwrap()];
    let ours = best(5, || empty(&new), || run(&mut hookos(root, &store, &words)));
    row("image again, into a new folder", ours, Some(("cp of its three files", cp)));
    // A file that is replaced whole or not at all costs more: some file systems write the new one out first.
    let replace = format!("for f in {files}; do cp $f {into}/.new && mv {into}/.new {into}/$f; done");
    let cp = best(5, || (), || shell(&replace, &out));
    let ours = best(5, || (), || build(&store, root, &[]));
    row("image again, in place of the last", ours, Some(("cp and mv of its files", cp)));
    let n = std::cell::Cell::new(0);
    let changed = || build(&store, root, &["--kernel-append", &format!("x={}", n.get())]);
    let ours = best(5, || n.set(n.get() + 1), changed);
    row("image again, one field changed", ours, Some(("cp and mv of its files", cp)));

    let clone = at("clone");
    fs::create_dir_all(&clone).unwrap();
    support::second_clone(&clone);
    build(&store, &clone, &[]);
    let ours = best(
        3,
        || {
            let file = clone.join("components/sysctl/sysctl.conf");
            let text = fs::read_to_string(&file).unwrap();
            fs::write(&file, format!("{text}# one more line\n")).unwrap();
        },
        || build(&store, &clone, &[]),
    );
    row("image again, one component changed", ours, Some(("cp and mv of its files", cp)));

    // The whole tree, as other tools need it.
    let tree = at("tree");
    fs::create_dir_all(&tree).unwrap();
    let initramfs = out.join("initramfs-x86_64");
    unpack(&initramfs, &tree);
    let list = "find . -print0 | sort -z | cpio --null -o -H newc --quiet";
    let segments = best(2, || forget_segments(&store), || build(&store, root, &["--kernel-append", "again"]));
    let zstd = best(2, || (), || shell(&format!("{list} | zstd -q -T0 -9 > {into}/x"), &tree));
    row("all segments of images in the store", segments, Some(("cpio | zstd -9 -T0", zstd)));
    let pigz = best(2, || (), || shell(&format!("{list} | pigz -n > {into}/x"), &tree));
    row("the same, beside gzip", segments, Some(("cpio | pigz", pigz)));

    let archive = out.join("hook_x86_64.tar.gz");
    let stamped = at("stamped");
    let ours = best(
        3,
        || (),
        || {
            let words = ["stamp", archive.to_str().unwrap(), "--profile", "lab", "--out"];
            run(&mut hookos(root, &store, &[&words[..], &[stamped.to_str().unwrap()]].concat()))
        },
    );
    let tar = best(
        3,
        || (),
        || {
            shell(
                &format!(
                    "tar xzf {} -C {into} && cd {into} && tar cf x.tar vmlinuz* initramfs*",
                    archive.display()
                ),
                &out,
            )
        },
    );
    row("stamp of a published archive", ours, Some(("tar xz, tar c", tar)));

    let sites = at("sites");
    for (job, count) in [
        ("1 site as a bundle", 1),
        ("10 sites as bundles", 10),
        ("100 sites as bundles", 100),
        ("1,000 sites as bundles", 1000),
    ] {
        let table = table(folder.path(), count);
        let words =
            ["build", "lab", "--bundle", "--csv", table.to_str().unwrap(), "--out", sites.to_str().unwrap()];
        let ours = best(3, || empty(&sites), || run(&mut hookos(root, &store, &words)));
        row(job, ours, None);
    }
    let table = table(folder.path(), 10);
    let words = ["build", "lab", "--csv", table.to_str().unwrap(), "--out", sites.to_str().unwrap()];
    let ours = best(3, || empty(&sites), || run(&mut hookos(root, &store, &words)));
    let script =
        format!("for n in 0 1 2 3 4 5 6 7 8 9; do mkdir {0}/$n; cp {files} {0}/$n; done", sites.display());
    let cp = best(3, || empty(&sites), || shell(&script, &out));
    row("10 sites as whole images", ours, Some(("cp of their files", cp)));
    empty(&sites);

    // Below the program: the two mechanisms that all of it stands on.
    let opened = Store::open(&store).unwrap();
    let image = largest(&opened, &out);
    let merged = best(5, || (), || inside(|| drop(oci::image_tree(&opened, &image).unwrap())));
    let layers: Vec<String> = image.layers.iter().map(|l| opened.path(l).display().to_string()).collect();
    let unpacked = at("layers");
    let extract = layers.iter().map(|layer| format!("tar xf {layer} -C {}", unpacked.display()));
    let extract = extract.collect::<Vec<_>>().join(" && ");
    let tar = best(3, || empty(&unpacked), || shell(&extract, &out));
    row("layers of the largest image, merged", merged, Some(("tar x of the layers", tar)));
    let merged = oci::image_tree(&opened, &image).unwrap();
    let ours = best(
        3,
        || (),
        || {
            inside(|| {
                let mut file = io_writer(&copy.join("x"));
                cpio::write(&opened, &merged, Inodes::Own, i64::MAX, &mut file).unwrap();
            })
        },
    );
    let other = best(3, || (), || shell(&format!("{list} > {into}/x"), &unpacked));
    row("its cpio archive, written", ours, Some(("cpio -o", other)));
    drop(opened);

    let ours = best(2, || (), || run(&mut hookos(root, &store, &["cache", "verify"])));
    let sums = best(2, || (), || shell("sha256sum *", &store.join("blobs/sha256")));
    row("store, verified", ours, Some(("sha256sum", sums)));

    if std::env::args().any(|argument| argument == "--write") {
        write(root, &rows);
    }
}

fn io_writer(path: &Path) -> std::io::BufWriter<fs::File> {
    std::io::BufWriter::with_capacity(1 << 18, fs::File::create(path).unwrap())
}

/// Unpacks every member of an initramfs, as the kernel does.
fn unpack(initramfs: &Path, tree: &Path) {
    let file = fs::File::open(initramfs).unwrap();
    let mut entries: Vec<(PathBuf, Vec<u8>, u32)> = Vec::new();
    hookos::initramfs::members::read(file, |_, entry, data| {
        let name = String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
        let mut bytes = Vec::new();
        data.read_to_end(&mut bytes)?;
        entries.push((tree.join(name), bytes, entry.mode));
        Ok(())
    })
    .unwrap();
    // Files and folders are what costs; links and devices are few and small.
    for (path, data, mode) in entries {
        match mode & 0o170_000 {
            0o040_000 => fs::create_dir_all(&path).unwrap(),
            0o100_000 => {
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let _ = fs::remove_file(&path);
                fs::write(&path, data).unwrap();
            }
            _ => {}
        }
    }
}

/// The component with the most bytes of layers.
fn largest(store: &Store, out: &Path) -> oci::Image {
    let text = fs::read(out.join("manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_slice(&text).unwrap();
    let images = manifest["inputs"].as_array().unwrap().iter().filter(|input| input["kind"] == "image");
    let images = images.map(|input| {
        let digest: Digest = input["digest"].as_str().unwrap().parse().unwrap();
        read_image(store, &digest).unwrap()
    });
    let size = |image: &oci::Image| -> u64 {
        image.layers.iter().map(|layer| store.path(layer).metadata().unwrap().len()).sum()
    };
    images.max_by_key(size).unwrap()
}

const BEGIN: &str = "<!-- numbers: begin -->\n";
const END: &str = "<!-- numbers: end -->\n";

/// Puts the table into docs/performance.md, and draws the ratios.
fn write(root: &Path, rows: &[Row]) {
    let mut table =
        String::from("| job | hookos | memory | beside it | time | ratio |\n|---|---|---|---|---|---|\n");
    let mib =
        |cost: &Cost| if cost.memory > 0.0 { format!("{:.0} MiB", cost.memory) } else { "in process".into() };
    for Row { job, ours, other } in rows {
        let (name, time, ratio) = match other {
            // A bar would begin another column.
            Some((name, cost)) => (
                name.replace('|', "\\|"),
                format!("{:.3} s", cost.seconds),
                format!("**{:.2}**", ours.seconds / cost.seconds),
            ),
            None => Default::default(),
        };
        let _ =
            writeln!(table, "| {job} | {:.3} s | {} | {name} | {time} | {ratio} |", ours.seconds, mib(ours));
    }
    let path = root.join("docs/performance.md");
    let text = fs::read_to_string(&path).unwrap();
    let (before, rest) = text.split_once(BEGIN).expect("the place for the numbers");
    let (_, after) = rest.split_once(END).expect("the end of the numbers");
    fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).unwrap();
    fs::write(root.join("docs/performance.svg"), plot(rows)).unwrap();
}

/// A bar for each ratio, on a scale where twice as long is always as far; the line is where both take the same.
fn plot(rows: &[Row]) -> String {
    let ratios: Vec<(&str, &str, f64)> = rows
        .iter()
        .filter_map(|row| row.other.map(|(name, cost)| (row.job, name, row.ours.seconds / cost.seconds)))
        .collect();
    let (left, width, step) = (330.0, 400.0, 30.0);
    let (least, most) = (1.0 / 16.0_f64, 8.0_f64);
    let x = |ratio: f64| left + width * (ratio.clamp(least, most) / least).ln() / (most / least).ln();
    let height = 60.0 + step * ratios.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 {height}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"960\" height=\"{height}\" fill=\"white\"/>\n"
    );
    for (n, (job, other, ratio)) in ratios.iter().enumerate() {
        let y = 40.0 + step * n as f64;
        let (from, to) = (x(ratio.min(1.0)), x(ratio.max(1.0)));
        let fill = if *ratio <= 1.0 { "#2a7f62" } else { "#b5651d" };
        let _ = writeln!(
            svg,
            "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{job}</text>\n\
             <rect x=\"{from:.1}\" y=\"{y:.0}\" width=\"{:.1}\" height=\"18\" fill=\"{fill}\"/>\n\
             <text x=\"{:.1}\" y=\"{:.0}\" fill=\"#333\">{ratio:.2} of {other}</text>",
            left - 10.0,
            y + 14.0,
            (to - from).max(1.0),
            x(1.0).max(to) + 6.0,
            y + 14.0,
        );
    }
    let one = x(1.0);
    let _ = write!(
        svg,
        "<line x1=\"{one:.1}\" y1=\"30\" x2=\"{one:.1}\" y2=\"{:.0}\" stroke=\"#333\"/>\n\
         <text x=\"{one:.1}\" y=\"22\" text-anchor=\"middle\">as long as the other tool; left of it hookos is faster</text>\n</svg>\n",
        height - 15.0
    );
    svg
}
