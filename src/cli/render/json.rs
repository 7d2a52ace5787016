//! One JSON object a line on standard output.

use crate::build::Event;
use std::io::Write;
use std::sync::mpsc::Receiver;

pub fn show(receiver: Receiver<Event>) {
    let mut out = std::io::stdout().lock();
    super::drain(receiver, |event| {
        // A reader that has gone away ends the display, not the build.
        if serde_json::to_writer(&mut out, &event).is_ok() {
            let _ = out.write_all(b"\n").and_then(|()| out.flush());
        }
    });
}
