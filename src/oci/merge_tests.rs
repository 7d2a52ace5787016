use super::*;
use crate::oci::layer::write_layer;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

/// `d/` is a folder, `l>target` a symbolic link, `h=target` a hard link, anything else a file.
fn entries(names: &[&str]) -> Vec<Entry> {
    let entry = |name: &&str| {
        let (path_text, item) = if let Some((name, target)) = name.split_once('>') {
            (name, Item::Node(Node::symlink(target, 0)))
        } else if let Some((name, target)) = name.split_once('=') {
            (name, Item::HardLink(path(target)))
        } else if name.ends_with('/') {
            (*name, Item::Node(Node::directory(0o755, 0)))
        } else {
            (*name, Item::Node(Node::file(name.as_bytes().to_vec(), 0o644, 0)))
        };
        Entry { path: path(path_text), item, at: 0 }
    };
    names.iter().map(entry).collect()
}

fn merged(layers: &[&[&str]]) -> Result<Vec<String>, String> {
    let mut tree = Tree::new();
    for layer in layers {
        apply(&mut tree, &entries(layer), &Digest::of(b"layer")).map_err(|e| e.to_string())?;
    }
    let shown = |(path, node): (&TreePath, &Arc<Node>)| match &node.kind {
        Kind::Directory => format!("{path}/"),
        Kind::Symlink(to) => format!("{path}>{}", String::from_utf8_lossy(to)),
        _ => path.to_string(),
    };
    Ok(tree.iter().map(shown).collect())
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    let low: &[&str] = &["a/", "a/x", "a/y/", "a/y/z", "b/", "b/x"];
    let high: &[&str] = &["a/", "a/.wh..wh..opq", "a/new", "b/", "b/.wh.x"];
    assert_eq!(merged(&[low, high]).unwrap(), ["/a/", "/a/new", "/b/"]);
    let late: &[&str] = &["a/", "a/new", "a/.wh..wh..opq", "b/", ".wh.b"];
    assert_eq!(merged(&[low, late]).unwrap(), ["/a/", "/a/new", "/b/"]);
    let all: &[&str] = &[".wh..wh..opq", ".wh..wh.plnk/", "nothing/.wh.here", "new"];
    assert_eq!(merged(&[low, all]).unwrap(), ["/new"]);
}

#[test]
fn a_whiteout_in_a_folder_that_replaced_a_link_spares_the_links_target() {
    let low: &[&str] = &["real/", "real/x", "a>real"];
    assert_eq!(merged(&[low, &["a/", "a/.wh.x"]]).unwrap(), ["/a/", "/real/", "/real/x"]);
    assert_eq!(merged(&[low, &["a/.wh.x"]]).unwrap(), ["/a>real", "/real/"]);
}

#[test]
fn writes_follow_links_inside_the_root() {
    assert_eq!(merged(&[&["l>../../../etc", "l/x"]]).unwrap(), ["/etc/", "/etc/x", "/l>../../../etc"]);
    assert_eq!(merged(&[&["u/s/"], &["s>/u/s", "s/x"]]).unwrap(), ["/s>/u/s", "/u/", "/u/s/", "/u/s/x"]);
}

#[test]
fn a_file_over_a_folder_and_the_other_way_round() {
    assert_eq!(merged(&[&["d/", "d/x"], &["d"]]).unwrap(), ["/d"]);
    assert_eq!(merged(&[&["d"], &["d/", "d/x"]]).unwrap(), ["/d/", "/d/x"]);
    assert_eq!(merged(&[&["d/", "d/x"], &["d/"]]).unwrap(), ["/d/", "/d/x"]);
}

#[test]
fn what_cannot_be_is_refused_with_the_entrys_name() {
    for (layers, name, why) in [
        (&[&["f", "f/x"] as &[&str]] as &[&[&str]], "f/x", "not a folder"),
        (&[&["l>l", "l/x"]], "l/x", "go round"),
        (&[&["a>b", "b>a"], &["a/.wh.x"]], "a/.wh.x", "go round"),
        (&[&["a=a"]], "a", "itself"),
        (&[&["a=b", "b=a"]], "a", "no earlier entry"),
        (&[&["b"], &[".wh.b", "a=b"]], "a", "no earlier entry"),
        (&[&["d/", "a=d"]], "a", "the folder /d"),
        (&[&[".wh."]], ".wh.", "without a name"),
        (&[&[".wh..."]], ".wh...", "leaves its root"),
        (&[&[".wh.d/x"]], ".wh.d/x", "whiteouts own"),
    ] {
        let error = merged(layers).unwrap_err();
        assert!(error.contains(&format!("{name:?}")) && error.contains(why), "{error}");
        assert!(error.contains("sha256:"), "{error}");
    }
}

#[test]
fn hard_links_share_a_node_over_layers() {
    let mut tree = Tree::new();
    apply(&mut tree, &entries(&["low", "s>low"]), &Digest::of(b"")).unwrap();
    apply(&mut tree, &entries(&["high=low", "t=s", "low"]), &Digest::of(b"")).unwrap();
    assert!(Arc::ptr_eq(tree.get(&path("t")).unwrap(), tree.get(&path("s")).unwrap()));
    assert!(!Arc::ptr_eq(tree.get(&path("high")).unwrap(), tree.get(&path("low")).unwrap()));
}

#[test]
fn deep_names_without_their_folders_are_limited() {
    let deep = "d/".repeat(2000);
    let many: Vec<String> = (0..200).map(|n| format!("{n}/{deep}x")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert!(merged(&[&many]).unwrap_err().contains("too many folders"));
}

#[test]
fn layers_in_the_store_are_merged() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let layer = |names: &[&str]| {
        let mut tree = Tree::new();
        apply(&mut tree, &entries(names), &Digest::of(b"")).unwrap();
        write_layer(&store, &tree, 0).unwrap().diff_id
    };
    let layers = vec![layer(&["a/", "a/x"]), layer(&["a/y"])];
    let image = Image { manifest: layers[0], layers, config: super::super::Config::default() };
    assert_eq!(image_tree(&store, &image).unwrap().len(), 3);
}
