use super::*;
use std::io::Write as _;

/// One header with its checksum, its content, and the padding.
fn raw(name: &str, kind: tar::EntryType, content: &[u8], change: impl Fn(&mut tar::Header)) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(content.len() as u64);
    change(&mut header);
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.write_all(content).unwrap();
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

fn file(name: &str, content: &[u8]) -> Vec<u8> {
    raw(name, tar::EntryType::Regular, content, |_| {})
}

fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let rest = key.len() + value.len() + 3;
        let len = (rest..).find(|len| rest + len.to_string().len() == *len).unwrap();
        text += &format!("{len} {key}={value}\n");
    }
    raw("pax", tar::EntryType::XHeader, text.as_bytes(), |_| {})
}

fn read(bytes: &[u8]) -> Result<Vec<Entry>, Error> {
    index(bytes, Source { blob: Digest::of(bytes), offset: 0, len: bytes.len() as u64 })
}

fn refused(bytes: &[u8]) -> String {
    let error = read(bytes).unwrap_err().to_string();
    assert!(error.contains(&Digest::of(bytes).to_string()), "names the archive: {error}");
    assert!(error.contains("byte "), "names the place: {error}");
    error
}

#[test]
fn contents_are_ranges_of_the_blob_around_the_archive() {
    let mut bytes = vec![b'#'; 100];
    bytes.extend(file("a", b"one"));
    bytes.extend(pax(&[
        ("path", &format!("{}/ü", "d".repeat(180))),
        ("mtime", "-0.5"),
        ("uid", "4000000000"),
    ]));
    bytes.extend(file("short", b"two"));
    let len = bytes.len() as u64 - 100;
    let entries = index(&bytes[100..], Source { blob: Digest::of(b""), offset: 100, len }).unwrap();
    let mut found = Vec::new();
    for entry in &entries {
        let Item::Node(Node { kind: Kind::File(Content::Blob { offset, len, .. }), .. }) = &entry.item else {
            panic!("{entry:?}");
        };
        let start = usize::try_from(*offset).unwrap();
        found.push(&bytes[start..start + usize::try_from(*len).unwrap()]);
    }
    assert_eq!(found, [b"one", b"two"]);
    let Item::Node(node) = &entries[1].item else { panic!() };
    assert_eq!((node.mtime, node.uid), (-1, 4_000_000_000));
    assert!(entries[1].path.as_bytes().ends_with("/ü".as_bytes()));
}

#[test]
fn gnu_long_names_and_names_that_are_not_utf8() {
    let long = [b"\xff\xfe".as_slice(), &[b'n'; 300]].concat();
    let mut bytes = raw("././@LongLink", tar::EntryType::GNULongName, &[&long[..], b"\0"].concat(), |_| {});
    bytes.extend(raw("././@LongLink", tar::EntryType::GNULongLink, &[&long[..], b"\0"].concat(), |_| {}));
    bytes.extend(raw("n", tar::EntryType::Symlink, b"", |_| {}));
    let entries = read(&bytes).unwrap();
    assert_eq!(entries[0].path.as_bytes(), long);
    assert!(matches!(&entries[0].item, Item::Node(Node { kind: Kind::Symlink(to), .. }) if *to == long));
}

#[test]
fn names_are_cleaned_or_refused() {
    assert_eq!(read(&file("/abs//./x", b"")).unwrap()[0].path.as_bytes(), b"abs/x");
    for name in ["../x", "a/../../x", ".."] {
        let error = refused(&file(name, b""));
        assert!(error.contains(name) && error.contains("leaves its root"), "{error}");
    }
    assert!(refused(&file("", b"")).contains("no name"));
    assert!(refused(&[pax(&[("path", "a\0b")]), file("x", b"")].concat()).contains("NUL"));
    let long = "x/".repeat(3000);
    assert!(refused(&[pax(&[("path", &long)]), file("x", b"")].concat()).contains("longer than"));
}

#[test]
fn a_truncated_archive_is_refused_at_any_byte() {
    let whole = [file("a", &[7; 1000]), pax(&[("mtime", "5")]), file("b", b"x")].concat();
    assert_eq!(read(&[&whole[..], &[0; 1024]].concat()).unwrap().len(), 2);
    // Between two entries the end is taken as one; the last content may lack its padding.
    let ends = [0, 1536];
    let last = whole.len() - 511;
    for cut in (0..last).filter(|cut| !ends.contains(cut) && !(1512..1536).contains(cut)) {
        refused(&whole[..cut]);
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    let huge = |header: &mut tar::Header| header.set_size(5 << 30);
    assert!(refused(&raw("x", tar::EntryType::Regular, b"x", huge)).contains("5368709120 bytes reach past"));
    let pax_size = [pax(&[("size", "18446744073709551615")]), file("x", b"x")].concat();
    assert!(refused(&pax_size).contains("reach past"));
    assert!(refused(&[pax(&[("size", "18446744073709551616")]), file("x", b"x")].concat()).contains("size"));
    let overflow =
        |header: &mut tar::Header| header.as_old_mut().size = [0x80, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    assert!(refused(&raw("x", tar::EntryType::Regular, b"x", overflow)).contains("over 64 bits"));
    let negative = |header: &mut tar::Header| header.as_old_mut().size = [0xff; 12];
    assert!(refused(&raw("x", tar::EntryType::Regular, b"x", negative)).contains("negative"));
}

/// Counts what a file of more than 8 GiB would be, without its bytes.
#[test]
fn files_over_4_and_8_gib_are_taken() {
    const LARGE: u64 = 9 << 30;
    let head =
        [pax(&[("size", &LARGE.to_string())]), raw("big", tar::EntryType::Regular, b"", |_| {})].concat();
    let tail = file("after", b"x");
    let len = (head.len() + tail.len()) as u64 + LARGE;
    let reader = head.as_slice().chain(io::repeat(0).take(LARGE)).chain(tail.as_slice());
    let entries = index(reader, Source { blob: Digest::of(b""), offset: 0, len }).unwrap();
    let lens: Vec<u64> = entries
        .iter()
        .map(|e| match &e.item {
            Item::Node(Node { kind: Kind::File(content), .. }) => content.len(),
            _ => 0,
        })
        .collect();
    assert_eq!(lens, [LARGE, 1]);
}

#[test]
fn folders_and_links_have_no_content_whatever_they_say() {
    for kind in [tar::EntryType::Directory, tar::EntryType::Link, tar::EntryType::Symlink] {
        let says = |header: &mut tar::Header| {
            header.set_size(512);
            header.as_old_mut().linkname[0] = b't';
        };
        let entries = read(&[raw("x", kind, b"", says), file("next", b"")].concat()).unwrap();
        assert_eq!(entries.len(), 2);
    }
}

#[test]
fn damaged_headers_are_refused() {
    let mut bytes = file("name", b"x");
    bytes[0] ^= 1;
    assert!(refused(&bytes).contains("checksum"));
    let wrong = |field: fn(&mut tar::OldHeader) -> &mut [u8]| {
        raw("x", tar::EntryType::Regular, b"", |header| field(header.as_old_mut())[0] = b'9')
    };
    assert!(refused(&wrong(|h| &mut h.mode)).contains("its mode"));
    assert!(refused(&wrong(|h| &mut h.uid)).contains("its user"));
    assert!(refused(&wrong(|h| &mut h.mtime)).contains("its time"));
    let device = |h: &mut tar::Header| h.set_device_major(4096).unwrap();
    assert!(refused(&raw("x", tar::EntryType::Char, b"", device)).contains("not a device number"));
    assert!(refused(&raw("x", tar::EntryType::Link, b"", |_| {})).contains("x"));
    assert!(refused(&raw("x", tar::EntryType::GNUSparse, b"", |_| {})).contains("sparse"));
    assert!(refused(&raw("x", tar::EntryType::new(b'M'), b"", |_| {})).contains("'M'"));
    assert!(refused(&[pax(&[("GNU.sparse.major", "1")]), file("x", b"")].concat()).contains("sparse"));
    assert!(refused(&pax(&[("path", "x")])).contains("without its entry"));
    let hole = [file("a", b""), vec![0; 512], file("b", b"")].concat();
    assert!(refused(&hole).contains("empty block"));
}

#[test]
fn pax_headers_are_bounded_and_checked() {
    let large = raw("x", tar::EntryType::XHeader, &vec![b'0'; 2 << 20], |_| {});
    assert!(refused(&large).contains("2097152 bytes"));
    for text in ["99 a=b\n", "6 a=bc", "x a=b\n", "3 a\n", "-6 a=b\n", "+6 a=b\n", " 6 a=b\n"] {
        let bytes = [raw("x", tar::EntryType::XHeader, text.as_bytes(), |_| {}), file("x", b"")].concat();
        assert!(read(&bytes).is_err(), "{text:?}");
    }
    let back = [pax(&[("path", "other"), ("path", "")]), file("x", b"")].concat();
    assert_eq!(read(&back).unwrap()[0].path.as_bytes(), b"x", "an empty value takes a record back");
    let global =
        [raw("g", tar::EntryType::XGlobalHeader, b"13 comment=x\n", |_| {}), file("x", b"")].concat();
    assert_eq!(read(&global).unwrap().len(), 1);
}
