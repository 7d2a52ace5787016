//! Runs chronyd with the servers of the site or of DHCP, and starts it anew when DHCP names others.
//!
//! Nothing here waits for the network: chronyd asks again by itself until a server answers, and steps
//! the clock at its first answers, so boot is never held and a clock that is years off is put right.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used))]

use hookos_guest::notice;
use hookos_guest::settings::Settings;
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fs;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const NAME: &str = "ntp";
/// What DHCP or `ipam=` named, one server a line; written by the component `network`.
const FROM_NETWORK: &str = "/run/network/ntp";
const CONFIG: &str = "/run/chrony/chrony.conf";
/// Used when neither the site nor the network names a server.
const POOL: &str = "pool.ntp.org";
const LOOK_EVERY: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    // In a pid namespace of its own, the first process gets no signal that it does not ask for.
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        if let Err(e) = signal_hook::flag::register(signal, Arc::clone(&stop)) {
            notice::say(NAME, &format!("signal {signal} is not handled: {e}"));
        }
    }
    let settings = Settings::of_this_machine();
    let mut daemon: Option<(Child, String)> = None;
    while !stop.load(Ordering::Relaxed) {
        let (sources, refused) = sources(&settings, &fs::read_to_string(FROM_NETWORK).unwrap_or_default());
        if daemon.as_ref().is_none_or(|(_, running)| *running != sources) {
            for word in refused {
                notice::warn(NAME, &format!("{word:?} is not a time server's name or address, passed over"));
            }
            if let Some((mut child, _)) = daemon.take() {
                end(&mut child);
            }
            notice::say(NAME, &format!("sources: {}", sources.trim_end().replace('\n', "; ")));
            match start(&sources) {
                Ok(child) => daemon = Some((child, sources)),
                Err(e) => {
                    notice::warn(NAME, &format!("cannot start chronyd: {e}"));
                    return ExitCode::FAILURE;
                }
            }
        }
        if let Some((child, _)) = &mut daemon
            && let Ok(Some(status)) = child.try_wait()
        {
            notice::say(NAME, &format!("chronyd ended: {status}"));
            return ExitCode::FAILURE;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    if let Some((mut child, _)) = daemon {
        end(&mut child);
    }
    ExitCode::SUCCESS
}

fn start(sources: &str) -> std::io::Result<Child> {
    fs::create_dir_all("/run/chrony")?;
    fs::write(CONFIG, config(sources))?;
    // The last run may have been killed; the file is in a folder that only we use.
    let _ = fs::remove_file("/run/chrony/chronyd.pid");
    Command::new("/usr/sbin/chronyd").args(["-d", "-u", "_chrony", "-f", CONFIG]).spawn()
}

/// Ends chronyd: asks, and insists after a second.
fn end(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself; it is ours to wait for, so the number is not another's.
        let _ = kill_process(pid, Signal::TERM);
    }
    for _ in 0..20 {
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// chrony's source lines: the network's servers and the site's, else the public pool; and the words
/// that name no server.
fn sources(settings: &Settings, from_network: &str) -> (String, Vec<String>) {
    let mut site = settings.list("NTP_SERVERS");
    let pool_wanted = !site.iter().any(|s| s == "none");
    site.retain(|s| s != "none");
    let (mut servers, mut refused) = (Vec::<String>::new(), Vec::new());
    for word in from_network.split_whitespace().map(str::to_owned).chain(site) {
        if !is_server(&word) {
            refused.push(word);
        } else if !servers.contains(&word) {
            servers.push(word);
        }
    }
    let mut text: String = servers.iter().map(|s| format!("server {s} iburst\n")).collect();
    if servers.is_empty() && pool_wanted {
        text = format!("pool {POOL} iburst maxsources 4\n");
    }
    (text, refused)
}

/// A host name, IPv4 or IPv6 address; the words end up in a configuration file.
fn is_server(word: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b':' | b'_');
    (1..=253).contains(&word.len()) && word.bytes().all(plain) && !word.starts_with('-')
}

fn config(sources: &str) -> String {
    // makestep: a difference over a second is jumped, in the first answers only; later jumps would
    // upset programs that measure time. rtcsync: the kernel keeps the battery clock right.
    format!(
        "{sources}driftfile /var/lib/chrony/drift\nmakestep 1.0 10\nrtcsync\ncmdport 0\n\
         bindcmdaddress /\npidfile /run/chrony/chronyd.pid\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_and_site_come_before_the_pool() {
        let site = Settings::parse("NTP_SERVERS=time.example.com,192.0.2.1");
        let (text, refused) = sources(&site, "192.0.2.1\n2001:db8::1\n$(reboot)\n");
        assert_eq!(
            text,
            "server 192.0.2.1 iburst\nserver 2001:db8::1 iburst\nserver time.example.com iburst\n"
        );
        assert_eq!(refused, ["$(reboot)"]);
        assert!(sources(&Settings::default(), "").0.starts_with("pool "));
        assert_eq!(sources(&Settings::parse("NTP_SERVERS=none"), "").0, "");
    }
}
