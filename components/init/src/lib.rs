//! PID 1 of a HookOS image and its control command.
//!
//! One static program, which looks at the name it was started by:
//! - as PID 1 it brings the machine up ([`early`]), runs the boot's steps and supervises the
//!   services ([`machine`], [`unit`]), and takes the machine down ([`finish`]);
//! - as `service`, `poweroff`, `reboot`, `halt` it talks to PID 1 over a socket ([`client`]).
//!
//! PID 1 is one thread around one `poll` ([`machine::Machine::run`]). It starts every child and
//! reaps every child in that thread, so a process number in its tables is never a recycled one.
//! Nothing here may panic: no `unwrap`, no indexing. Should it happen all the same, the panic hook
//! ([`emergency`]) never returns, so the kernel does not see PID 1 die.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::panic, clippy::string_slice, clippy::unreachable)
)]

pub mod backoff;
pub mod bundle;
pub mod children;
pub mod client;
pub mod clock;
pub mod control;
pub mod early;
pub mod emergency;
pub mod finish;
pub mod identity;
pub mod logfile;
pub mod machine;
pub mod mountinfo;
pub mod mounts;
pub mod netlink;
pub mod output;
pub mod reporter;
pub mod runtime;
pub mod say;
pub mod tasks;
pub mod unit;
pub mod unpacking;

pub use hookos_guest::control as protocol;

/// What the program does, by its process number and the name it was started by. Returns the exit code.
pub fn run() -> i32 {
    let args: Vec<String> = std::env::args_os().map(|a| a.to_string_lossy().into_owned()).collect();
    if rustix::process::getpid().is_init() {
        return machine::pid_1();
    }
    let name = args.first().map(String::as_str).unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default();
    let rest = args.get(1..).unwrap_or_default();
    match name {
        "poweroff" | "reboot" | "halt" => client::power(name, rest),
        "service" => client::service(rest),
        _ => match rest.split_first() {
            Some((word, rest)) if word == "service" => client::service(rest),
            Some((word, rest)) if ["poweroff", "reboot", "halt"].contains(&word.as_str()) => {
                client::power(word, rest)
            }
            _ => {
                eprintln!("{name}: this is PID 1 of HookOS; use service, poweroff, reboot or halt");
                2
            }
        },
    }
}
