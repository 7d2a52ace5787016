use super::*;
use crate::initramfs::tree::{Kind, TreePath};
use proptest::prelude::*;
use std::io::Write as _;

fn tar_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(1);
        header.set_uid(0);
        header.set_gid(0);
        // Written directly: the crate refuses to make the hostile names that are tested here.
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        tar.append(&header, *bytes).unwrap();
    }
    tar.into_inner().unwrap()
}

fn packed(bytes: &[u8], packing: &str) -> Vec<u8> {
    match packing {
        "" => bytes.to_vec(),
        ".gz" => {
            let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        ".xz" => {
            let mut out = liblzma::write::XzEncoder::new(Vec::new(), 1);
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
        _ => {
            let mut out = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
            out.include_checksum(true).unwrap();
            out.write_all(bytes).unwrap();
            out.finish().unwrap()
        }
    }
}

fn ar_of(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, bytes) in members {
        out.extend(
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, bytes.len()).bytes(),
        );
        out.extend_from_slice(bytes);
        if bytes.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

const CONTROL: &[u8] =
    b"Package: sample\nSource: src (1:2-1)\nVersion: 1:2-1+b1\nArchitecture: amd64\nDescription: x\n more\n";

fn sample(packing: &str) -> Vec<u8> {
    let control = packed(&tar_of(&[("./control", CONTROL), ("./conffiles", b"/etc/x\n")]), packing);
    let data = packed(&tar_of(&[("./etc/x", b"hello\n"), ("./usr/y", &[7; 3000])]), packing);
    let (control_name, data_name) = (format!("control.tar{packing}"), format!("data.tar{packing}"));
    ar_of(&[("debian-binary", b"2.0\n"), (&control_name, &control), (&data_name, &data)])
}

/// All that a deb holds.
fn whole(bytes: &[u8]) -> Result<(Control, Vec<u8>), Error> {
    let (control, mut data) = open(bytes)?;
    let mut out = Vec::new();
    data.read_to_end(&mut out).map_err(|source| Error::Member { member: "data".into(), source })?;
    Ok((control, out))
}

#[test]
fn every_packing_is_read_alike() {
    let expected = whole(&sample("")).unwrap();
    assert_eq!(expected.0.field("Package"), "sample");
    assert_eq!(expected.0.source(), ("src".to_owned(), "1:2-1".to_owned()));
    assert_eq!(expected.0.conffiles, ["/etc/x"]);
    for packing in [".gz", ".xz", ".zst"] {
        assert_eq!(whole(&sample(packing)).unwrap(), expected, "{packing}");
    }
}

#[test]
fn a_package_of_the_store_becomes_a_tree() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let deb = store.put(&sample(".xz")).unwrap();
    let first = contents(&store, &deb).unwrap();
    let node = first.1.get(&TreePath::new("usr/y").unwrap()).unwrap();
    assert!(matches!(&node.kind, Kind::File(content) if content.len() == 3000));
    assert_eq!(contents(&store, &deb).unwrap(), first, "remembered, the same");
    // The decompressed data is gone or damaged: made again.
    let Kind::File(crate::initramfs::tree::Content::Blob { digest, .. }) = &node.kind else { panic!() };
    std::fs::remove_file(store.path(digest)).unwrap();
    assert_eq!(contents(&store, &deb).unwrap(), first);
    let path = store.path(digest);
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, b"damaged").unwrap();
    assert_eq!(contents(&store, &deb).unwrap(), first);
}

#[test]
fn a_cut_deb_is_an_error_at_every_byte() {
    for packing in ["", ".gz", ".xz", ".zst"] {
        let bytes = sample(packing);
        let expected = whole(&bytes).unwrap();
        // The last byte may be the padding of an odd member, which nobody misses.
        for len in 0..bytes.len() - 1 {
            match whole(&bytes[..len]) {
                Err(_) => {}
                Ok(got) => panic!("{packing} cut to {len} of {}: {}", bytes.len(), got == expected),
            }
        }
    }
}

#[test]
fn what_is_no_deb_is_refused() {
    let control = tar_of(&[("./control", CONTROL)]);
    let data = tar_of(&[]);
    let binary: (&str, &[u8]) = ("debian-binary", b"2.0\n");
    let huge = {
        let mut bytes = ar_of(&[binary, ("control.tar", &control)]);
        bytes.extend(
            format!("{:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", "data.tar", 0, 0, 0, 0, 9_999_999_999_u64)
                .bytes(),
        );
        bytes
    };
    let cases: Vec<(&str, Vec<u8>)> = vec![
        ("empty", Vec::new()),
        ("no ar", b"PK\x03\x04 and more".to_vec()),
        ("no members", ar_of(&[])),
        ("first member", ar_of(&[("control.tar", &control)])),
        ("old format", ar_of(&[("debian-binary", b"0.939\n")])),
        ("no control", ar_of(&[binary, ("data.tar", &data)])),
        ("two controls", ar_of(&[binary, ("control.tar", &control), ("control.tar.gz", &control)])),
        ("strange member", ar_of(&[binary, ("evil", b"x"), ("control.tar", &control)])),
        ("strange packing", ar_of(&[binary, ("control.tar.lz4", &control)])),
        ("no data", ar_of(&[binary, ("control.tar", &control)])),
        (
            "no version",
            ar_of(&[binary, ("control.tar", &tar_of(&[("control", b"Package: x\n")])), ("data.tar", &data)]),
        ),
        ("huge size", huge),
    ];
    for (what, bytes) in cases {
        assert!(whole(&bytes).is_err(), "{what}");
    }
}

#[test]
fn paths_that_leave_the_root_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    for name in ["../evil", "a/../../evil"] {
        let control = tar_of(&[("./control", CONTROL)]);
        let data = tar_of(&[(name, b"x")]);
        let bytes = ar_of(&[("debian-binary", b"2.0\n"), ("control.tar", &control), ("data.tar", &data)]);
        let deb = store.put(&bytes).unwrap();
        assert!(matches!(contents(&store, &deb), Err(Error::Data(_))), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    /// With a checksum in the packing, a flipped bit is found or without effect.
    #[test]
    fn a_flipped_bit_is_an_error_or_harmless(at in 0.0..1.0_f64, bit in 0..8_u32, gz in any::<bool>()) {
        let packing = if gz { ".gz" } else { ".xz" };
        let bytes = sample(packing);
        let expected = whole(&bytes).unwrap();
        let mut bad = bytes.clone();
        let place = (at * bad.len() as f64) as usize;
        bad[place] ^= 1 << bit;
        if let Ok(got) = whole(&bad) {
            prop_assert_eq!(got, expected);
        }
    }

    #[test]
    fn noise_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), place in 0_usize..300) {
        let mut deb = sample("");
        for (i, b) in bytes.iter().enumerate() {
            if let Some(slot) = deb.get_mut(place + i) {
                *slot = *b;
            }
        }
        let _ = whole(&deb);
        let _ = whole(&bytes);
    }
}
