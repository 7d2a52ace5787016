//! A `.deb` file: its control archive, and its data as an archive of files.
#![no_main]

use hookos::debian::deb;
use hookos::oci::{Source, index};
use hookos::store::Digest;
use libfuzzer_sys::fuzz_target;
use std::io::Read;

/// Of the data; a small package may unpack to much.
const MOST: u64 = 8 << 20;

fuzz_target!(|bytes: &[u8]| {
    let Ok((control, data)) = deb::open(bytes) else { return };
    let _ = control.source();
    let mut plain = Vec::new();
    if data.take(MOST).read_to_end(&mut plain).is_ok() {
        let source = Source { blob: Digest::of(b""), offset: 0, len: plain.len() as u64 };
        let _ = index::index(plain.as_slice(), source);
    }
});
