//! The kernel command line: no input makes PID 1 fail.
#![no_main]

use hookos_guest::cmdline::Cmdline;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let line = Cmdline::parse(bytes);
    for key in ["console", "worker_id", "ipam", "interface", "vlan_id"] {
        assert!(line.values(key).last() == line.value(key) || line.value(key).is_none());
        let _ = line.has(key);
    }
});
