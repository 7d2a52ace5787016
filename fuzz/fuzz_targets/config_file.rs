//! The shell-style `config` file.
#![no_main]

use hookos::site::config_file;
use libfuzzer_sys::fuzz_target;
use std::path::Path;

fuzz_target!(|bytes: &[u8]| {
    let _ = config_file::parse(Path::new("config"), bytes);
});
