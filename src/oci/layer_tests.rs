use super::*;
use proptest::prelude::*;

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn read_back(store: &Store, layer: &Digest) -> Tree {
    let mut tree = Tree::new();
    apply(&mut tree, &layer_entries(store, layer).unwrap(), layer).unwrap();
    tree
}

fn bytes(store: &Store, content: &Content) -> Vec<u8> {
    let mut out = Vec::new();
    Contents::new(store).copy(&TreePath::root(), content, &mut out).unwrap();
    out
}

/// Compares two trees by what they are, not by where their contents lie.
fn same(store: &Store, left: &Tree, right: &Tree) {
    let names = |tree: &Tree| tree.iter().map(|(path, _)| path.clone()).collect::<Vec<_>>();
    assert_eq!(names(left), names(right));
    let mut pairs = HashMap::new();
    for ((path, a), (_, b)) in left.iter().zip(right.iter()) {
        let plain = |node: &Node| {
            let mut node = node.clone();
            if let Kind::File(content) = &node.kind {
                node.kind = Kind::File(Content::Inline(bytes(store, content).into()));
            }
            node
        };
        assert_eq!(plain(a), plain(b), "{path}");
        if !a.is_directory() {
            let first = pairs.entry(Arc::as_ptr(a)).or_insert_with(|| Arc::as_ptr(b));
            assert_eq!(*first, Arc::as_ptr(b), "{path}: another set of hard links");
        }
    }
}

#[test]
fn a_layer_reads_back_as_it_was_written() {
    let (_folder, store) = store();
    let mut tree = Tree::new();
    tree.insert(path("d"), Node::directory(0o1777, 7));
    let long = format!("d/{}/{}", "x".repeat(200), "ü".repeat(30));
    tree.ensure_parents(&path(&long), 7);
    let mut file = Node::file(b"hello".to_vec(), 0o4755, 7);
    file.uid = 3_000_000_000;
    file.xattrs.insert(b"security.capability".to_vec(), b"\0\n=x".to_vec());
    let file = Arc::new(file);
    tree.insert(path(&long), Arc::clone(&file));
    tree.insert(path("d/again"), Arc::clone(&file));
    drop(file);
    tree.insert(path("l"), Node::symlink("y".repeat(300), 7));
    tree.insert(path("null"), Node::new(Kind::CharDevice { major: 1, minor: 3 }, 0o666, 7));
    tree.insert(path("disk"), Node::new(Kind::BlockDevice { major: 4095, minor: 1_048_575 }, 0o660, 7));
    tree.insert(path("p"), Node::new(Kind::Fifo, 0o600, -7));
    tree.insert(path("late"), Node::file(Vec::new(), 0o600, 1 << 40));
    let layer = write_layer(&store, &tree, i64::MAX).unwrap();
    let back = read_back(&store, &layer.diff_id);
    same(&store, &tree, &back);
    let again = write_layer(&store, &back, i64::MAX).unwrap();
    assert_eq!(again, layer, "written, read, written: the same bytes");
    let clamped = read_back(&store, &write_layer(&store, &tree, 5).unwrap().diff_id);
    assert!(clamped.iter().all(|(_, node)| node.mtime <= 5));
}

#[test]
fn attributes_that_a_tar_archive_cannot_hold_are_refused() {
    let (_folder, store) = store();
    for (name, value) in [("user.a=b", 1), ("", 1), ("user.large", 2 << 20)] {
        let mut node = Node::file(Vec::new(), 0o644, 0);
        node.xattrs.insert(name.into(), vec![0; value]);
        let mut tree = Tree::new();
        tree.insert(path("odd"), node);
        let error = write_layer(&store, &tree, 0).unwrap_err().to_string();
        assert!(error.contains("/odd") && error.contains("attribute"), "{error}");
    }
}

fn node() -> impl Strategy<Value = Node> {
    let number = prop_oneof![Just(0u32), 0..5000u32, any::<u32>()];
    let kind = prop_oneof![
        3 => Just(Kind::Directory),
        4 => prop::collection::vec(any::<u8>(), 0..1500).prop_map(|b| Kind::File(Content::Inline(b.into()))),
        1 => prop::collection::vec(1..=255u8, 1..300).prop_map(Kind::Symlink),
        1 => (0..4096u32, 0..1_048_576u32).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
        1 => (0..4096u32, 0..1_048_576u32).prop_map(|(major, minor)| Kind::BlockDevice { major, minor }),
        1 => Just(Kind::Fifo),
    ];
    let key = prop::collection::vec(any::<u8>().prop_filter("no = and NUL", |b| !b"=\0".contains(b)), 1..12);
    let xattrs = prop::collection::btree_map(key, prop::collection::vec(any::<u8>(), 0..40), 0..3);
    (kind, 0..0o10000u32, number.clone(), number, any::<i64>(), xattrs)
        .prop_map(|(kind, mode, uid, gid, mtime, xattrs)| Node { kind, mode, uid, gid, mtime, xattrs })
}

fn name() -> impl Strategy<Value = Vec<u8>> {
    let part = prop_oneof![
        4 => prop::sample::select(vec!["a", "b", "a-b", "c"]).prop_map(|s| s.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>().prop_filter("no / and NUL", |b| !b"/\0".contains(b)), 1..150)
            .prop_filter("no . and ..", |p| p != b"." && p != b".." && !p.starts_with(b".wh.")),
    ];
    prop::collection::vec(part, 1..4).prop_map(|parts| parts.join(&b'/'))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_tree_survives_a_layer(
        nodes in prop::collection::vec((name(), node(), any::<bool>()), 0..12),
    ) {
        let (_folder, store) = store();
        let mut tree = Tree::new();
        let mut last: Option<Arc<Node>> = None;
        for (name, node, link) in nodes {
            let path = TreePath::new(name).unwrap();
            // Only a folder has something below it.
            let mut above = path.parent();
            while let Some(folder) = above {
                if tree.get(&folder).is_some_and(|n| !n.is_directory()) {
                    tree.remove(&folder);
                }
                above = folder.parent();
            }
            tree.ensure_parents(&path, 3);
            let node = match last.take() {
                Some(last) if link && !last.is_directory() => last,
                _ => Arc::new(node),
            };
            last = Some(Arc::clone(&node));
            tree.insert(path, node);
        }
        let layer = write_layer(&store, &tree, i64::MAX).unwrap();
        let back = read_back(&store, &layer.diff_id);
        same(&store, &tree, &back);
        prop_assert_eq!(write_layer(&store, &back, i64::MAX).unwrap(), layer);
    }
}
