//! The cpio reader.
#![no_main]

use hookos::initramfs::cpio;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let mut total = 0;
    let _ = cpio::read(bytes, 1 << 20, |_, data| total += data.len());
    assert!(total <= bytes.len());
});
