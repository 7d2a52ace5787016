//! Layers and images against the programs that other people use: umoci, skopeo, docker-registry.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use hookos::initramfs::{Content, Kind, Node, Tree, TreePath};
use hookos::oci::credentials::Credentials;
use hookos::oci::registry::Options;
use hookos::oci::{self, Config, Image, Layer, Platform};
use hookos::progress::Silent;
use hookos::store::{Digest, Store};
use proptest::prelude::*;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use support::Registry;
use tar::EntryType as T;

// ---- layers made by hand -------------------------------------------------------------------------

/// One entry of a hand-made layer.
#[derive(Debug, Clone)]
struct Made {
    name: Vec<u8>,
    kind: T,
    content: Vec<u8>,
    link: Vec<u8>,
    mode: u32,
    owner: (u64, u64),
    mtime: u64,
    device: (u32, u32),
    pax: Vec<(String, Vec<u8>)>,
}

fn made(name: impl Into<Vec<u8>>, kind: T) -> Made {
    let mode = if kind == T::Directory { 0o755 } else { 0o644 };
    Made {
        name: name.into(),
        kind,
        content: Vec::new(),
        link: Vec::new(),
        mode,
        owner: (0, 0),
        mtime: 1_000_000,
        device: (0, 0),
        pax: Vec::new(),
    }
}

fn dir(name: &str) -> Made {
    made(name, T::Directory)
}
fn file(name: &str) -> Made {
    file_of(name, name)
}
fn file_of(name: &str, content: &str) -> Made {
    Made { content: content.into(), ..made(name, T::Regular) }
}
fn symlink(name: &str, target: &str) -> Made {
    Made { link: target.into(), ..made(name, T::Symlink) }
}
fn hardlink(name: &str, target: &str) -> Made {
    Made { link: target.into(), ..made(name, T::Link) }
}

impl Made {
    fn mode(self, mode: u32) -> Self {
        Self { mode, ..self }
    }
    fn owner(self, uid: u64, gid: u64) -> Self {
        Self { owner: (uid, gid), ..self }
    }
    fn pax(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.pax.push((key.to_owned(), value.into()));
        self
    }
}

/// Writes an archive with the tar crate's own writer, long names the GNU way.
fn archive(entries: &[Made]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in entries {
        if !entry.pax.is_empty() {
            tar.append_pax_extensions(entry.pax.iter().map(|(k, v)| (k.as_str(), v.as_slice()))).unwrap();
        }
        for (field, kind) in [(&entry.name, T::GNULongName), (&entry.link, T::GNULongLink)] {
            if field.len() > 100 {
                let mut long = tar::Header::new_gnu();
                long.as_old_mut().name[..13].copy_from_slice(b"././@LongLink");
                long.set_entry_type(kind);
                long.set_size(field.len() as u64 + 1);
                long.set_cksum();
                tar.append(&long, [field, b"\0".as_slice()].concat().as_slice()).unwrap();
            }
        }
        let mut header = tar::Header::new_gnu();
        for (field, bytes) in [(0, &entry.name), (1, &entry.link)] {
            let old = header.as_old_mut();
            let field = if field == 0 { &mut old.name } else { &mut old.linkname };
            let len = bytes.len().min(100);
            field[..len].copy_from_slice(&bytes[..len]);
        }
        header.set_entry_type(entry.kind);
        header.set_mode(entry.mode);
        header.set_uid(entry.owner.0);
        header.set_gid(entry.owner.1);
        header.set_mtime(entry.mtime);
        header.set_size(entry.content.len() as u64);
        header.set_device_major(entry.device.0).unwrap();
        header.set_device_minor(entry.device.1).unwrap();
        header.set_cksum();
        tar.append(&header, entry.content.as_slice()).unwrap();
    }
    tar.into_inner().unwrap()
}

/// A store in a folder of its own, and room beside it.
struct Room {
    folder: tempfile::TempDir,
    store: Store,
}

impl Room {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("store")).unwrap();
        Self { folder, store }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn image(&self, layers: &[Vec<Made>]) -> Image {
        let layers: Vec<Layer> = layers
            .iter()
            .map(|entries| {
                let bytes = archive(entries);
                Layer { diff_id: self.store.put(&bytes).unwrap(), size: bytes.len() as u64 }
            })
            .collect();
        oci::write_image(&self.store, &layers, &Config::default()).unwrap()
    }
}

// ---- what a tree and a folder look like ------------------------------------------------------------

#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    kind: String,
    mode: u32,
    owner: (u32, u32),
    /// Not of folders: making something in them changes it.
    mtime: Option<i64>,
    content: Vec<u8>,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first path that is the same file.
    first: Vec<u8>,
}

type Looks = BTreeMap<Vec<u8>, Seen>;

fn bytes_of(store: &Store, content: &Content) -> Vec<u8> {
    match content {
        Content::Inline(bytes) => bytes.to_vec(),
        Content::Blob { digest, offset, len } => {
            let mut file = store.open_blob(digest).unwrap();
            file.seek(std::io::SeekFrom::Start(*offset)).unwrap();
            let mut bytes = Vec::new();
            file.take(*len).read_to_end(&mut bytes).unwrap();
            bytes
        }
    }
}

fn looks_of_tree(store: &Store, tree: &Tree) -> Looks {
    let mut first = HashMap::new();
    let mut out = Looks::new();
    for (path, node) in tree.iter().filter(|(path, _)| !path.is_root()) {
        let (kind, content) = match &node.kind {
            Kind::Directory => ("folder".to_owned(), Vec::new()),
            Kind::File(content) => ("file".to_owned(), bytes_of(store, content)),
            Kind::Symlink(target) => ("link".to_owned(), target.clone()),
            Kind::CharDevice { major, minor } => (format!("char {major}:{minor}"), Vec::new()),
            Kind::BlockDevice { major, minor } => (format!("block {major}:{minor}"), Vec::new()),
            Kind::Fifo => ("fifo".to_owned(), Vec::new()),
        };
        let path = path.as_bytes().to_vec();
        let seen = Seen {
            mode: if kind == "link" { 0o777 } else { node.mode },
            kind,
            owner: (node.uid, node.gid),
            mtime: (!node.is_directory()).then_some(node.mtime),
            content,
            xattrs: node.xattrs.clone(),
            first: first.entry(Arc::as_ptr(node)).or_insert_with(|| path.clone()).clone(),
        };
        out.insert(path, seen);
    }
    out
}

fn xattrs_of(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let len = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
    let names = names[..len].split(|b| *b == 0).filter(|n| !n.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 4096];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
            (name.to_vec(), value[..len].to_vec())
        })
        // umoci's own record of owners it could not set.
        .filter(|(name, _)| name != b"user.rootlesscontainers")
        .collect()
}

fn looks_of_folder(root: &Path) -> Looks {
    fn walk(root: &Path, folder: &Path, out: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            out.push(path.strip_prefix(root).unwrap().to_owned());
            if fs::symlink_metadata(&path).unwrap().is_dir() {
                walk(root, &path, out);
            }
        }
    }
    let mut paths = Vec::new();
    walk(root, root, &mut paths);
    // In the order of the bytes, as our trees are: `Path` compares part by part.
    paths.sort_by(|a, b| a.as_os_str().as_bytes().cmp(b.as_os_str().as_bytes()));
    let mut first = HashMap::new();
    let mut out = Looks::new();
    for path in paths {
        let full = root.join(&path);
        let meta = fs::symlink_metadata(&full).unwrap();
        let kind = meta.file_type();
        let device = format!("{}:{}", rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let (kind, content) = if kind.is_dir() {
            ("folder".to_owned(), Vec::new())
        } else if kind.is_symlink() {
            ("link".to_owned(), fs::read_link(&full).unwrap().as_os_str().as_bytes().to_vec())
        } else if kind.is_char_device() {
            (format!("char {device}"), Vec::new())
        } else if kind.is_block_device() {
            (format!("block {device}"), Vec::new())
        } else if kind.is_fifo() {
            ("fifo".to_owned(), Vec::new())
        } else {
            ("file".to_owned(), fs::read(&full).unwrap())
        };
        let path = path.as_os_str().as_bytes().to_vec();
        let seen = Seen {
            mode: meta.mode() & 0o7777,
            owner: (meta.uid(), meta.gid()),
            mtime: (!meta.is_dir()).then_some(meta.mtime()),
            kind,
            content,
            xattrs: xattrs_of(&full),
            first: first.entry(meta.ino()).or_insert_with(|| path.clone()).clone(),
        };
        out.insert(path, seen);
    }
    out
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Takes away what an ordinary user cannot make: owners, devices, special attributes.
fn as_a_user(mut looks: Looks) -> Looks {
    for seen in looks.values_mut() {
        seen.owner = (0, 0);
        seen.xattrs.retain(|name, _| name.starts_with(b"user."));
        if seen.kind.starts_with("char ") || seen.kind.starts_with("block ") {
            seen.kind = "file".to_owned();
        }
    }
    looks
}

fn assert_same(ours: Looks, theirs: Looks) {
    let (ours, theirs) = if is_root() { (ours, theirs) } else { (as_a_user(ours), as_a_user(theirs)) };
    let shown = |path: &[u8]| String::from_utf8_lossy(path).chars().take(120).collect::<String>();
    for (path, seen) in &theirs {
        assert!(ours.contains_key(path), "{} is there when unpacked: {seen:?}", shown(path));
    }
    for (path, seen) in &ours {
        let other = theirs.get(path);
        assert_eq!(Some(seen), other, "{}: ours left, unpacked right", shown(path));
    }
}

// ---- the other programs ----------------------------------------------------------------------------

fn run(program: &str, args: &[&std::ffi::OsStr]) -> Output {
    Command::new(program)
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap_or_else(|e| panic!("{program} is needed for this test (tests/run installs it): {e}"))
}

macro_rules! run {
    ($program:expr $(, $arg:expr)* $(,)?) => {
        run($program, &[$(std::ffi::OsStr::new(&$arg)),*])
    };
}

fn good(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Unpacks an image with umoci; its root folder, or what umoci says against it.
fn umoci(room: &Room, image: &Image, name: &str) -> Result<PathBuf, String> {
    let layout = room.path(&format!("{name}.layout"));
    oci::export_layout(&room.store, image, &layout, "test").unwrap();
    let bundle = room.path(&format!("{name}.bundle"));
    let from = format!("{}:test", layout.display());
    let output = if is_root() {
        run!("umoci", "unpack", "--image", from, bundle)
    } else {
        run!("umoci", "unpack", "--rootless", "--image", from, bundle)
    };
    if output.status.success() {
        Ok(bundle.join("rootfs"))
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

fn compare(layers: &[Vec<Made>]) {
    let room = Room::new();
    let image = room.image(layers);
    let tree = oci::image_tree(&room.store, &image).unwrap();
    let unpacked = umoci(&room, &image, "x").unwrap();
    assert_same(looks_of_tree(&room.store, &tree), looks_of_folder(&unpacked));
}

// ---- tests -----------------------------------------------------------------------------------------

#[test]
fn whiteouts_and_opaque_folders() {
    let low = || vec![dir("a"), file("a/x"), dir("a/y"), file("a/y/z"), dir("b"), file("b/x"), file("c")];
    compare(&[low(), vec![dir("a"), file("a/.wh..wh..opq"), file("a/new"), file("b/.wh.x"), file(".wh.c")]]);
    // After what the layer adds, and without an entry for the folder.
    compare(&[low(), vec![file_of("a/x", "new"), file("a/.wh..wh..opq"), dir("b"), file(".wh.b")]]);
    compare(&[
        low(),
        vec![file(".wh.a"), dir("a").mode(0o700), file_of("a/x", "new"), file("none/.wh.here")],
    ]);
    compare(&[
        low(),
        vec![file("a/y/new"), file("a/.wh..wh..opq")],
        vec![file("a/y/.wh.new"), file("a/y/z")],
    ]);
    compare(&[
        low(),
        vec![file(".wh..wh..opq"), file("only")],
        vec![dir(".wh..wh.plnk"), file(".wh.absent")],
    ]);
    // A name that begins like a whiteout's, and names around one that is hidden.
    compare(&[
        vec![dir("n"), file("n/x"), file("n/x-y"), file("n/xy"), file("n/.whale")],
        vec![file("n/.wh.x")],
    ]);
}

#[test]
fn whiteouts_through_links() {
    let low = || {
        vec![dir("real"), file("real/x"), file("real/y"), symlink("a", "real"), symlink("gone", "nowhere")]
    };
    compare(&[low(), vec![file("a/.wh.x")]]);
    compare(&[low(), vec![file("a/.wh..wh..opq")]]);
    compare(&[low(), vec![dir("a"), file("a/.wh.x"), file("a/new")]]);
    compare(&[low(), vec![file(".wh.a"), file("gone/.wh.x")]]);
}

#[test]
fn one_kind_over_another() {
    let low = || vec![dir("d"), dir("d/e"), file("d/e/f"), file("f"), symlink("l", "d")];
    compare(&[low(), vec![file("d")]]);
    compare(&[low(), vec![symlink("d", "f"), dir("f"), file("f/x")]]);
    compare(&[low(), vec![dir("l"), file("l/x")]]);
    compare(&[low(), vec![file("l"), dir("d").mode(0o711).owner(7, 8), dir("d"), dir("d").mode(0o1777)]]);
    compare(&[low(), vec![Made { ..made("d", T::Fifo) }, file("f"), file_of("f", "twice")]]);
}

#[test]
fn writes_through_links_stay_in_the_root() {
    compare(&[vec![dir("real"), symlink("a", "real")], vec![file("a/b"), dir("a/c"), file("a/c/d")]]);
    compare(&[vec![dir("u"), dir("u/s"), symlink("s", "/u/s"), symlink("t", "s")], vec![file("t/b")]]);
    compare(&[vec![symlink("a", "gone/x"), file("a/b")]]);
    compare(&[vec![symlink("a", "../../../../../tmp/escape"), file("a/b")]]);
    compare(&[vec![dir("d"), symlink("d/up", ".."), file("d/up/x"), file("d/up/d/y")]]);
    assert!(!Path::new("/tmp/escape").exists());
}

#[test]
fn hard_links() {
    compare(&[
        vec![file("b"), hardlink("a", "b"), hardlink("c", "./a")],
        vec![hardlink("d", "/b"), file("b")],
    ]);
    compare(&[vec![symlink("s", "b"), file("b"), hardlink("a", "s")]]);
    compare(&[vec![dir("real"), file("real/f"), symlink("l", "real")], vec![hardlink("l/g", "l/f")]]);
    compare(&[vec![file("b"), hardlink("a", "b")], vec![file(".wh.b")]]);
    compare(&[vec![file("b")], vec![hardlink("a", "b"), file("b")], vec![hardlink("c", "a")]]);
}

#[test]
fn names_and_attributes_of_every_kind() {
    let long = format!("long/{}/{}", "n".repeat(120), "m".repeat(130));
    let deep = vec!["d"; 60].join("/");
    let byte_name = |name: &[u8]| Made { content: b"bytes".to_vec(), ..made(name, T::Regular) };
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut entries = vec![
        dir("./").mode(0o755),
        file("/absolute//./name"),
        file(&long),
        symlink("to-long", &"t".repeat(200)),
        hardlink("hard-long", &long),
        file("short").pax("path", format!("pax/{}", "p".repeat(200))),
        file("u").pax("path", "ünï/cödé"),
        symlink("v", "w").pax("linkpath", "ziel/ü"),
        byte_name(b"not-utf8-\xff\xfe"),
        byte_name(b"line\nbreak and space "),
        file(&deep),
        file("set-uid").mode(0o4755).owner(3, 4),
        file("set-gid").mode(0o2711).owner(1000, 1000),
        dir("sticky").mode(0o1777),
        file("large-owner").owner(70_000, 4_000_000),
        file("user-attribute").pax("SCHILY.xattr.user.note", b"one\ntwo=\0three".as_slice()),
        Made { mtime: 0o77_777_777_777, ..file("late") },
        file("early").pax("mtime", "-1.5"),
        file("fraction").pax("mtime", "5.999999999"),
        made("fifo", T::Fifo).mode(0o622),
        Made { device: (1, 3), ..made("null", T::Char).mode(0o666) },
        Made { device: (259, 70_000), ..made("disk", T::Block).mode(0o660).owner(0, 6) },
    ];
    if is_root() {
        entries.push(file("capable").pax("SCHILY.xattr.security.capability", capability.as_slice()));
    }
    compare(&[entries.clone()]);
    // The same attributes again, others, and none.
    let again = vec![
        dir("sticky").mode(0o700).pax("SCHILY.xattr.user.dir", "1"),
        file("user-attribute").pax("SCHILY.xattr.user.other", "2"),
        made("fifo", T::Fifo),
        file("null"),
    ];
    compare(&[entries, again.clone(), vec![dir("sticky")]]);
}

#[test]
fn what_umoci_refuses_is_refused() {
    for layers in [
        vec![vec![symlink("a", "a")], vec![file("a/b")]],
        vec![vec![file("a")], vec![file("a/b")]],
        vec![vec![hardlink("a", "b"), hardlink("b", "a")]],
        vec![vec![file("a")], vec![hardlink("a", "a")]],
        vec![vec![file("b")], vec![file(".wh.b"), hardlink("a", "b")]],
        vec![vec![dir("d")], vec![hardlink("a", "d")]],
        vec![vec![hardlink("a", "b"), file("b")]],
        vec![vec![file("a")], vec![file(".wh.")]],
    ] {
        let room = Room::new();
        let image = room.image(&layers);
        umoci(&room, &image, "x").unwrap_err();
        let last = *image.layers.last().unwrap();
        let error = oci::image_tree(&room.store, &image).unwrap_err().to_string();
        assert!(error.contains(&last.to_string()) && error.contains("byte "), "{error}");
    }
}

#[test]
fn our_layers_unpack_as_they_were_meant() {
    let room = Room::new();
    let path = |text: &str| TreePath::new(text).unwrap();
    let mut tree = Tree::new();
    let shared: Arc<Node> = Arc::new(Node::file(vec![b'x'; 3000], 0o4711, 77));
    tree.insert(path("bin"), Node::directory(0o755, 5));
    tree.insert(path("bin/one"), Arc::clone(&shared));
    tree.insert(path("bin/two"), shared);
    tree.insert(path("bin/three"), Node::symlink("one", 6));
    tree.insert(path("null"), Node::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666, 7));
    tree.insert(path("loop"), Node::new(Kind::BlockDevice { major: 7, minor: 260 }, 0o660, 7));
    tree.insert(path("pipe"), Node::new(Kind::Fifo, 0o600, 8));
    let long = format!("{}/{}", "ü".repeat(100), "l".repeat(250));
    tree.ensure_parents(&path(&long), 9);
    let mut node = Node::file(b"long".to_vec(), 0o644, -9);
    node.uid = 4_000_000;
    node.xattrs.insert(b"user.note".to_vec(), b"a\nb\0c".to_vec());
    tree.insert(path(&long), node);
    let layer = oci::write_layer(&room.store, &tree, i64::MAX).unwrap();
    let image = oci::write_image(&room.store, &[layer], &Config::default()).unwrap();
    let unpacked = umoci(&room, &image, "ours").unwrap();
    assert_same(looks_of_tree(&room.store, &tree), looks_of_folder(&unpacked));
}

fn part() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c"])
}

fn name() -> impl Strategy<Value = String> {
    prop::collection::vec(part(), 1..4).prop_map(|parts| parts.join("/"))
}

fn entry() -> impl Strategy<Value = Made> {
    let content = prop::sample::select(vec!["1", "22", "333"]);
    let target = prop_oneof![
        3 => name(),
        1 => name().prop_map(|n| format!("/{n}")),
        1 => name().prop_map(|n| format!("../{n}")),
    ];
    prop_oneof![
        4 => name().prop_map(|n| dir(&n)),
        5 => (name(), content).prop_map(|(n, c)| file_of(&n, c)),
        3 => (name(), target).prop_map(|(n, t)| symlink(&n, &t)),
        2 => (name(), name()).prop_map(|(n, t)| hardlink(&n, &t)),
        3 => name().prop_map(|n| {
            let (folder, last) = n.rsplit_once('/').map_or((String::new(), n.as_str()), |(f, l)| (format!("{f}/"), l));
            file_of(&format!("{folder}.wh.{last}"), "")
        }),
        1 => name().prop_map(|n| file_of(&format!("{n}/.wh..wh..opq"), "")),
        1 => name().prop_map(|n| made(n, T::Fifo)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 2000, ..ProptestConfig::default() })]

    /// Random layers over few names, so that they collide: the same files, or refused by both.
    #[test]
    fn random_layers_are_merged_as_umoci_does(
        layers in prop::collection::vec(prop::collection::vec(entry(), 1..7), 1..4),
    ) {
        let room = Room::new();
        let image = room.image(&layers);
        match (oci::image_tree(&room.store, &image), umoci(&room, &image, "x")) {
            (Ok(tree), Ok(unpacked)) => {
                assert_same(looks_of_tree(&room.store, &tree), looks_of_folder(&unpacked));
            }
            (Err(_), Err(_)) => {}
            (Ok(_), Err(theirs)) => panic!("umoci refuses: {theirs}"),
            (Err(ours), Ok(_)) => panic!("we refuse: {ours}"),
        }
    }
}

/// `HOOKOS_TEST_CASES` asks for more than the few of an ordinary run.
fn cases() -> u32 {
    std::env::var("HOOKOS_TEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(40)
}

fn sample_image(room: &Room) -> Image {
    let low =
        vec![dir("etc"), file("etc/x"), file_of("big", &"0123456789".repeat(50_000)), symlink("l", "etc")];
    let high = vec![file("etc/.wh.x"), file("l/new").mode(0o600).owner(5, 6), hardlink("again", "big")];
    let layers: Vec<Layer> = [low, high]
        .iter()
        .map(|entries| {
            let bytes = archive(entries);
            Layer { diff_id: room.store.put(&bytes).unwrap(), size: bytes.len() as u64 }
        })
        .collect();
    let config = Config {
        cmd: vec!["/bin/x".into(), "-y".into()],
        env: vec!["A=b".into()],
        working_dir: "/etc".into(),
        labels: BTreeMap::from([("org.test".to_owned(), "{\"a\": 1}".to_owned())]),
        ..Config::default()
    };
    oci::write_image(&room.store, &layers, &config).unwrap()
}

#[test]
fn skopeo_reads_our_layouts_and_we_read_what_it_compresses() {
    let room = Room::new();
    let image = sample_image(&room);
    let layout = room.path("layout");
    let digest = oci::export_layout(&room.store, &image, &layout, "v1").unwrap();
    assert_eq!(digest, image.manifest, "nothing had to be written anew");
    let ours = format!("oci:{}:v1", layout.display());
    let seen: serde_json::Value = serde_json::from_str(&good(run!("skopeo", "inspect", ours))).unwrap();
    assert_eq!(seen["Digest"], image.manifest.to_string());
    assert_eq!(seen["Labels"]["org.test"], "{\"a\": 1}");
    assert_eq!(seen["Layers"].as_array().unwrap().len(), 2);

    let tree = looks_of_tree(&room.store, &oci::image_tree(&room.store, &image).unwrap());
    for format in ["gzip", "zstd"] {
        for archived in [false, true] {
            let name = format!("{format}-{archived}");
            let copy = room.path(&name);
            let kind = if archived { "oci-archive" } else { "oci" };
            let to = format!("{kind}:{}:v2", copy.display());
            good(run!("skopeo", "copy", "--insecure-policy", "--dest-compress-format", format, ours, to));
            let fresh = Store::open(room.path(&format!("{name}.store"))).unwrap();
            let theirs =
                oci::import_layout(&fresh, &copy, Some("v2"), &Platform::default(), &Silent).unwrap();
            assert_eq!((&theirs.layers, &theirs.config), (&image.layers, &image.config), "{name}");
            let merged = oci::image_tree(&fresh, &theirs).unwrap();
            assert_eq!(looks_of_tree(&fresh, &merged), tree, "{name}");
            // Out again: the layers are no longer compressed, the configuration is the same.
            let again = room.path(&format!("{name}.again"));
            oci::export_layout(&fresh, &theirs, &again, "v3").unwrap();
            let again = format!("oci:{}:v3", again.display());
            let config = good(run!("skopeo", "inspect", "--config", again));
            assert_eq!(config, good(run!("skopeo", "inspect", "--config", ours)), "{name}");
        }
    }
}

fn options(registry: &Registry) -> Options {
    Options { insecure: vec![registry.host.clone()], ..Options::default() }
}

#[test]
fn images_are_pulled_from_a_registry() {
    let room = Room::new();
    let image = sample_image(&room);
    let layout = room.path("layout");
    oci::export_layout(&room.store, &image, &layout, "v1").unwrap();
    let ours = format!("oci:{}:v1", layout.display());
    let registry = Registry::start(room.folder.path(), "");
    let host = &registry.host;
    let push = |format: &str, name: &str| {
        let to = format!("docker://{host}/{name}");
        good(run!(
            "skopeo",
            "copy",
            "--insecure-policy",
            "--dest-tls-verify=false",
            "--dest-compress-format",
            "gzip",
            "--format",
            format,
            ours,
            to,
        ));
    };
    push("oci", "test/oci:v1");
    push("v2s2", "test/docker:v1");
    let tree = looks_of_tree(&room.store, &oci::image_tree(&room.store, &image).unwrap());
    let digest = good(run!(
        "skopeo",
        "inspect",
        "--tls-verify=false",
        "--format",
        "{{.Digest}}",
        format!("docker://{host}/test/oci:v1"),
    ));
    let by_digest = format!("{host}/test/oci@{}", digest.trim());
    for (n, reference) in
        [format!("{host}/test/oci:v1"), format!("{host}/test/docker:v1"), by_digest].iter().enumerate()
    {
        let fresh = Store::open(room.path(&format!("store{n}"))).unwrap();
        let pulled = oci::pull(&fresh, reference, &options(&registry), &Silent).unwrap();
        assert_eq!((&pulled.layers, &pulled.config), (&image.layers, &image.config), "{reference}");
        assert_eq!(looks_of_tree(&fresh, &oci::image_tree(&fresh, &pulled).unwrap()), tree);
    }
    // What was pulled needs the registry no more; what was not, says so.
    let reference = format!("{host}/test/oci:v1");
    let known = Store::open(room.path("store0")).unwrap();
    let options = options(&registry);
    let missing = oci::pull(&known, &format!("{host}/test/none"), &options, &Silent).unwrap_err().to_string();
    assert!(missing.contains(host.as_str()) && missing.contains("test/none"), "{missing}");
    drop(registry);
    oci::pull(&known, &reference, &options, &Silent).unwrap();
    let wrong = format!("{}/test/oci@{}", "127.0.0.1:1", Digest::of(b"x"));
    let insecure = Options { insecure: vec!["127.0.0.1:1".to_owned()], ..Options::default() };
    let error = oci::pull(&known, &wrong, &insecure, &Silent).unwrap_err().to_string();
    assert!(error.contains("127.0.0.1:1") && error.contains("onnect"), "{error}");
}

#[test]
fn a_registry_that_wants_a_login_gets_dockers() {
    let room = Room::new();
    let image = sample_image(&room);
    let layout = room.path("layout");
    oci::export_layout(&room.store, &image, &layout, "v1").unwrap();
    // bcrypt of `secret`.
    let passwords = room.path("htpasswd");
    fs::write(&passwords, "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n").unwrap();
    let auth = format!("auth: {{htpasswd: {{realm: test, path: {}}}}}\n", passwords.display());
    let registry = Registry::start(room.folder.path(), &auth);
    let host = &registry.host;
    good(run!(
        "skopeo",
        "copy",
        "--insecure-policy",
        "--dest-tls-verify=false",
        "--dest-creds",
        "me:secret",
        format!("oci:{}:v1", layout.display()),
        format!("docker://{host}/x:v1"),
    ));
    let reference = format!("{host}/x:v1");
    let fresh = Store::open(room.path("fresh")).unwrap();
    let anonymous = oci::pull(&fresh, &reference, &options(&registry), &Silent).unwrap_err().to_string();
    assert!(anonymous.contains("wants a login"), "{anonymous}");
    let login = room.path("config.json");
    fs::write(&login, format!(r#"{{"auths": {{"{host}": {{"auth": "bWU6c2VjcmV0"}}}}}}"#)).unwrap();
    let options = Options { credentials: Credentials::Files(vec![login]), ..options(&registry) };
    assert_eq!(oci::pull(&fresh, &reference, &options, &Silent).unwrap().layers, image.layers);
}
