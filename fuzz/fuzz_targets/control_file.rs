//! Debian's control paragraphs.
#![no_main]

use hookos::debian::control;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = control::parse(text);
});
