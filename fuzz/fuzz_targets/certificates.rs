//! PEM files and the X.509 certificates in them.
#![no_main]

use hookos::site::certificates::Bundle;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let _ = Bundle::from_bytes(Path::new("ca.pem"), bytes);
});
