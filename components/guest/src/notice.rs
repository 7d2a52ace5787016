//! Lines for the person at the console, from programs that run in containers.

use std::fs::OpenOptions;
use std::io::Write;

/// Longest line kept, in bytes: a record of the kernel's log must stay under 1024.
const LONGEST: usize = 800;

/// One line for the program's log.
pub fn say(program: &str, text: &str) {
    eprintln!("{program}: {}", plain(text));
}

/// One line for the program's log and, through the kernel's log, for every console.
///
/// Writing to the kernel's log never blocks, as a console with flow control can. Level 3 (error) is
/// shown with the `loglevel=4` that images are built with.
pub fn warn(program: &str, text: &str) {
    let text = plain(text);
    eprintln!("{program}: {text}");
    if let Ok(mut log) = OpenOptions::new().write(true).open("/dev/kmsg") {
        let _ = log.write_all(format!("<3>{program}: {text}\n").as_bytes());
    }
}

/// Control characters may come from the command line or the network and must not steer a terminal.
fn plain(text: &str) -> String {
    let mut out: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if out.len() > LONGEST {
        let cut = (0..=LONGEST).rev().find(|i| out.is_char_boundary(*i)).unwrap_or(0);
        out.truncate(cut);
        out.push_str(" ...");
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_stay_lines_and_short() {
        assert_eq!(super::plain("a\nb\x1b[2J"), "a b [2J");
        assert!(super::plain(&"ä".repeat(1000)).len() < 810);
    }
}
