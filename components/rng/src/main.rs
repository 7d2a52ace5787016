//! Waits, with a bound, until the kernel calls its random numbers ready, after mixing in what a
//! hardware generator gives. Ends with 0 in any case: a program that needs random numbers waits for
//! the kernel by itself.
#![forbid(unsafe_code)]

use hookos_guest::notice;
use rustix::fs::{Mode, OFlags};
use rustix::rand::{GetRandomFlags, getrandom};
use std::fs::OpenOptions;
use std::io::Write;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const NAME: &str = "rng";
const PATIENCE: Duration = Duration::from_secs(20);

fn main() {
    let started = Instant::now();
    let source = stir();
    let was_ready = getrandom(&mut [0_u8; 1][..], GetRandomFlags::NONBLOCK).is_ok();
    if was_ready {
        notice::say(NAME, &format!("the kernel was ready; hardware generator: {source}"));
        return;
    }
    // Waiting in getrandom makes the kernel gather entropy from timing jitter, a second or less.
    let (done, wait) = channel();
    std::thread::spawn(move || {
        let _ = getrandom(&mut [0_u8; 1][..], GetRandomFlags::empty());
        let _ = done.send(());
    });
    if wait.recv_timeout(PATIENCE).is_ok() {
        let seconds = started.elapsed().as_secs_f64();
        notice::say(NAME, &format!("ready after {seconds:.2} s; hardware generator: {source}"));
    } else {
        let seconds = PATIENCE.as_secs();
        notice::warn(NAME, &format!("the kernel has no good random numbers after {seconds} s; boot goes on"));
    }
}

/// Mixes bytes of the hardware generator (or TPM) into the kernel's pool, without claiming that they
/// are random; gives the generator's name.
fn stir() -> String {
    let current = std::fs::read_to_string("/sys/class/misc/hw_random/rng_current").unwrap_or_default();
    let name = current.trim();
    let mut bytes = [0_u8; 64];
    // Not blocking: a generator that has nothing at hand must not hold the boot.
    let taken =
        rustix::fs::open("/dev/hwrng", OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
            .and_then(|device| rustix::io::read(&device, &mut bytes[..]));
    match taken {
        Ok(n) if n > 0 => {
            if let Ok(mut pool) = OpenOptions::new().write(true).open("/dev/urandom") {
                let _ = pool.write_all(&bytes[..n]);
            }
            if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
        }
        _ => "none".to_owned(),
    }
}
