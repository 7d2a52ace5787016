//! What the kernel command line says to this program.

use crate::go;
use crate::place::Place;
use hookos_guest::cmdline::Cmdline;
use std::time::Duration;

/// The parameters, and what was not understood of them.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Parameters {
    /// MAC address of the card that the machine booted from, as it was written.
    pub worker_id: Option<String>,
    /// Time for one attempt to onboard (`DEBUG=true` with a `TIMEOUT`).
    pub limit: Option<Duration>,
    /// Devices below /dev to ask a person at, in the order of the command line.
    pub consoles: Vec<String>,
    /// Parameters that are passed over, in words.
    pub notes: Vec<String>,
}

impl Parameters {
    pub fn read(place: &Place) -> Self {
        let bytes = std::fs::read(place.at("/proc/cmdline")).unwrap_or_default();
        let exists = |device: &str| place.at(&format!("/dev/{device}")).exists();
        Self::parse(&Cmdline::parse(&bytes), &place.text("/sys/class/tty/console/active"), exists)
    }

    fn parse(cmdline: &Cmdline, active: &str, exists: impl Fn(&str) -> bool) -> Self {
        let mut notes = Vec::new();
        let debug = match cmdline.value("DEBUG") {
            None => false,
            Some(text) => go::truth(text).unwrap_or_else(|| {
                notes.push(format!(
                    "kernel parameter DEBUG={text:?} is neither true nor false; taken as false"
                ));
                false
            }),
        };
        let timeout = cmdline.value("TIMEOUT").and_then(|text| {
            let limit = go::duration(text);
            if limit.is_none() {
                notes.push(format!(
                    "kernel parameter TIMEOUT={text:?} is not a duration such as 120s or 1m30s; there is no time limit"
                ));
            }
            limit
        });
        let mut consoles = Vec::new();
        for item in cmdline.values("console").chain(active.split_whitespace()) {
            if let Some(device) = console(item, &exists)
                && !consoles.contains(&device)
            {
                consoles.push(device);
            }
        }
        Self {
            worker_id: cmdline.value("worker_id").filter(|v| !v.is_empty()).map(str::to_owned),
            limit: timeout.filter(|limit| debug && !limit.is_zero()),
            consoles,
            notes,
        }
    }
}

/// The terminal that an item of `console=` names, if the machine has it.
fn console(item: &str, exists: impl Fn(&str) -> bool) -> Option<String> {
    let name = item.split(',').next().unwrap_or_default();
    let name = name.strip_prefix("/dev/").unwrap_or(name);
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if name.is_empty() || name == "null" || name == "ttynull" || !name.bytes().all(plain) {
        return None;
    }
    // tty0 is whichever screen is in front; the log-in of a console is on the first one.
    let name = if matches!(name, "tty0" | "tty") && exists("tty1") { "tty1" } else { name };
    exists(name).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(text: &str) -> Parameters {
        Parameters::parse(&Cmdline::parse(text.as_bytes()), "ttyS0 hvc0", |d| d != "ttyS7")
    }

    #[test]
    fn limits_need_debug_and_garbage_is_told() {
        assert_eq!(parse("DEBUG=true TIMEOUT=1m30s").limit, Some(Duration::from_secs(90)));
        for none in [
            "DEBUG=false TIMEOUT=120s",
            "TIMEOUT=120s",
            "DEBUG=true",
            "DEBUG=true TIMEOUT=0s",
            "DEBUG TIMEOUT",
        ] {
            assert_eq!((parse(none).limit, parse(none).notes.len()), (None, 0), "{none}");
        }
        let odd = parse("DEBUG=maybe TIMEOUT=soon");
        assert_eq!((odd.limit, odd.notes.len()), (None, 2));
    }

    #[test]
    fn consoles_that_are_there_once_each() {
        let got = parse(
            "console=tty0 console=ttyS0,115200n8 console=ttyS7 console=../x console=null console worker_id=",
        );
        assert_eq!(got.consoles, ["tty1", "ttyS0", "hvc0"]);
        assert_eq!(got.worker_id, None);
    }

    proptest! {
        #[test]
        fn no_command_line_makes_it_fail(bytes in proptest::collection::vec(any::<u8>(), 0..200), active in ".{0,20}") {
            let got = Parameters::parse(&Cmdline::parse(&bytes), &active, |_| true);
            prop_assert!(got.consoles.iter().all(|c| !c.contains(['/', '.'])));
        }
    }
}
