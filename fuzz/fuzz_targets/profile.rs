//! A profile; what is read is written and read again.
#![no_main]

use hookos::site::profile::Profile;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let _ = Profile::from_bytes(Path::new("profile.toml"), bytes);
});
