use super::*;
use crate::progress::{Silent, Stopped};

const GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
const ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn stated<'a>(media_type: &'a str, compressed: &[u8], plain: &[u8]) -> Stated<'a> {
    let size = compressed.len() as u64;
    Stated { media_type, digest: Digest::of(compressed), size, diff_id: Digest::of(plain) }
}

fn blobs(store: &Store) -> usize {
    std::fs::read_dir(store.root().join("blobs/sha256")).unwrap().count()
        + std::fs::read_dir(store.tmp()).unwrap().count()
}

#[test]
fn a_layer_is_decompressed_once() {
    let plain: Vec<u8> = (0..300_000u32).flat_map(|n| (n / 7).to_le_bytes()).collect();
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    // Two members end to end, as pigz and estargz write them.
    let half = plain.len() / 2;
    let members = [gzip(&plain[..half]), gzip(&plain[half..])].concat();
    let docker = "application/vnd.docker.image.rootfs.diff.tar.gzip";
    for (media_type, bytes) in [
        ("application/vnd.oci.image.layer.v1.tar", &plain),
        (GZIP, &gzip(&plain)),
        (docker, &members),
        (ZSTD, &zstd),
        (docker, &zstd),
    ] {
        let (_folder, store) = store();
        let stated = stated(media_type, bytes, &plain);
        assert_eq!(stated.known(&store), None);
        let layer = import_layer(&store, bytes.as_slice(), stated, Limits::default(), &Silent).unwrap();
        assert_eq!(layer, Layer { diff_id: Digest::of(&plain), size: plain.len() as u64 });
        assert_eq!(store.read(&layer.diff_id).unwrap(), plain);
        let unread = io::repeat(0);
        assert_eq!(import_layer(&store, unread, stated, Limits::default(), &Silent).unwrap(), layer);
    }
}

#[test]
fn what_is_not_as_stated_is_refused() {
    let plain = vec![7; 100_000];
    let good = gzip(&plain);
    let cut = &good[..good.len() - 9];
    let trailing = [good.as_slice(), b"junk"].concat();
    let mut flipped = good.clone();
    flipped[40] ^= 1;
    let right = stated(GZIP, &good, &plain);
    let one_more = [good.as_slice(), b"x"].concat();
    for (bytes, stated, why) in [
        (cut, right, "it ends after"),
        (&flipped, right, "sha256:"),
        (&one_more, right, "more than the"),
        (&trailing, stated(GZIP, &trailing, &plain), "damaged"),
        (cut, stated(GZIP, cut, &plain), "damaged"),
        (&good, Stated { digest: Digest::of(b""), ..right }, "its content has the digest"),
        (&good, Stated { size: right.size + 1, ..right }, "its manifest states"),
        (&good, Stated { media_type: "application/vnd.in-toto+json", ..right }, "media type"),
        (&good, Stated { media_type: ZSTD, ..right }, ""),
        (b"plain", stated(ZSTD, b"plain", b"plain"), "damaged"),
    ] {
        let (_folder, store) = store();
        let result = import_layer(&store, bytes, stated, Limits::default(), &Silent);
        if why.is_empty() {
            result.unwrap();
            continue;
        }
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(why) && text.contains(&stated.digest.to_string()), "{why}: {text}");
        assert!(matches!(error, Error::Content { .. }));
        assert_eq!(blobs(&store), 0, "{why}: nothing is left");
    }
    let (_folder, store) = store();
    let wrong = Stated { diff_id: Digest::of(b"other"), ..right };
    let error = import_layer(&store, good.as_slice(), wrong, Limits::default(), &Silent).unwrap_err();
    assert!(error.to_string().contains("configuration states"), "{error}");
    assert_eq!(right.known(&store), None);
}

#[test]
fn a_bomb_is_stopped_early() {
    let plain = vec![0; 50 << 20];
    let limits = Limits { free: 1 << 20, ratio: 10, most: 1 << 40 };
    for (media_type, bomb) in [(GZIP, gzip(&plain)), (ZSTD, zstd::encode_all(plain.as_slice(), 3).unwrap())] {
        let (_folder, store) = store();
        let error = import_layer(&store, bomb.as_slice(), stated(media_type, &bomb, &plain), limits, &Silent)
            .unwrap_err();
        assert!(error.to_string().contains("grow to more than"), "{error}");
        assert_eq!(blobs(&store), 0);
    }
    assert_eq!(Limits::default().of(1000), 1 << 30);
    assert_eq!(Limits::default().of(1 << 30), 64 << 30);
    assert_eq!(Limits::default().of(u64::MAX), 64 << 30);
}

#[test]
fn a_source_that_breaks_is_told_from_a_damaged_layer() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::ErrorKind::ConnectionReset.into())
        }
    }
    let (_folder, store) = store();
    let good = gzip(b"x");
    let right = stated(GZIP, &good, b"x");
    let broken = good[..5].chain(Broken);
    assert!(matches!(
        import_layer(&store, broken, right, Limits::default(), &Silent),
        Err(Error::Read { .. })
    ));
    let result = import_layer(&store, good.as_slice(), right, Limits::default(), &Stopped);
    assert!(matches!(result, Err(Error::Cancelled)));
}
