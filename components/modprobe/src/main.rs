//! Loads kernel modules that no device asks for: those named as arguments and those of the kernel
//! parameter `modules=a,b,c`. One that cannot be loaded is reported and passed over; the program ends
//! with 0 unless modprobe itself cannot be run.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use hookos_guest::cmdline::Cmdline;
use hookos_guest::notice;
use std::process::{Command, ExitCode};

const NAME: &str = "modprobe";
const MODPROBE: &str = "/usr/sbin/modprobe";

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|a| a.to_string_lossy().into_owned()).collect();
    let (modules, refused) = wanted(&arguments, &Cmdline::of_this_machine());
    for word in refused {
        notice::warn(NAME, &format!("modules=: {word:?} is not a module name, passed over"));
    }
    match not_loaded(&modules) {
        Ok(missing) if missing.is_empty() => ExitCode::SUCCESS,
        Ok(missing) => {
            notice::say(NAME, &format!("not loaded: {}", missing.join(", ")));
            ExitCode::SUCCESS
        }
        Err(e) => {
            notice::warn(NAME, &format!("cannot run {MODPROBE}: {e}"));
            ExitCode::FAILURE
        }
    }
}

/// Loads the modules; gives those that could not be. kmod's `--all` goes on after one that fails, but does
/// not say which it was, so then each is asked for once more.
fn not_loaded(modules: &[String]) -> std::io::Result<Vec<&str>> {
    if modules.is_empty() || Command::new(MODPROBE).arg("--all").args(modules).output()?.status.success() {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for module in modules {
        let output = Command::new(MODPROBE).arg(module).output()?;
        if !output.status.success() {
            missing.push(module.as_str());
            eprint!("{}", String::from_utf8_lossy(&output.stderr));
        }
    }
    Ok(missing)
}

/// Module names in order without repeats, and the words of `modules=` that are none. `-` and `_` are
/// the same to modprobe.
fn wanted(arguments: &[String], cmdline: &Cmdline) -> (Vec<String>, Vec<String>) {
    let (mut modules, mut refused) = (Vec::<String>::new(), Vec::new());
    let words = cmdline.values("modules").flat_map(|v| v.split(','));
    for word in arguments.iter().map(String::as_str).chain(words).map(str::trim).filter(|w| !w.is_empty()) {
        let name = word.replace('-', "_");
        if name.starts_with('_') || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
            refused.push(word.to_owned());
        } else if !modules.contains(&name) {
            modules.push(name);
        }
    }
    (modules, refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_and_parameter_are_joined() {
        let c = Cmdline::parse(b"modules=loop,squashfs,sd-mod,,usb-storage modules modules=-a,../x,loop");
        let (modules, refused) = wanted(&["overlay".to_owned(), "sd_mod".to_owned()], &c);
        assert_eq!(modules, ["overlay", "sd_mod", "loop", "squashfs", "usb_storage"]);
        assert_eq!(refused, ["-a", "../x"]);
    }
}
