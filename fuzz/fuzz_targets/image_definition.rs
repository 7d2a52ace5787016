//! LinuxKit's YAML.
#![no_main]

use hookos::linuxkit::Definition;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _ = Definition::parse(text, "hook.yaml");
});
