//! The service: keeps the DHCP lease for as long as the machine runs.

use crate::NAME;
use hookos_guest::notice;
use serde::{Deserialize, Serialize};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

const PLAN: &str = "/run/network/plan.json";
/// What `keep` watches when no card was chosen: names that the kernel gives to wired cards (no rule of
/// ours renames them), so that a card plugged in later is served and a container's bridge is not.
const WIRED: &[&str] = &["--allowinterfaces", "eth*,en*,usb*", "--denyinterfaces", "*.*"];

/// What `up` found out, for the service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase")]
pub enum Plan {
    Static {
        interface: String,
    },
    /// No interfaces: all wired cards, also those that come later.
    Dhcp {
        interfaces: Vec<String>,
    },
}

impl Plan {
    pub fn write(&self) -> std::io::Result<()> {
        let text = serde_json::to_vec(self)?;
        std::fs::create_dir_all("/run/network")?;
        std::fs::write(PLAN, text)
    }

    fn read() -> Option<Self> {
        serde_json::from_slice(&std::fs::read(PLAN).ok()?).ok()
    }
}

pub fn keep() -> ExitCode {
    let plan = Plan::read().unwrap_or(Plan::Dhcp { interfaces: Vec::new() });
    match plan {
        Plan::Static { interface } => {
            notice::say(NAME, &format!("{interface} has static addresses, no lease to keep"));
            idle()
        }
        Plan::Dhcp { interfaces } => {
            let mut dhcpcd = Command::new("dhcpcd");
            dhcpcd.args(["--nobackground", "--script", "/usr/bin/dhcpcd-hook"]);
            if interfaces.is_empty() {
                dhcpcd.args(WIRED);
            } else {
                dhcpcd.args(interfaces);
            }
            notice::warn(NAME, &format!("cannot run dhcpcd: {}", dhcpcd.exec()));
            ExitCode::FAILURE
        }
    }
}

/// Sleeps until asked to end: a service that ended would be started again.
fn idle() -> ExitCode {
    // The first process of a pid namespace gets no signal that it does not ask for.
    match Signals::new([SIGTERM, SIGINT]) {
        Ok(mut signals) => {
            signals.forever().next();
            ExitCode::SUCCESS
        }
        Err(e) => {
            notice::say(NAME, &format!("cannot wait for signals: {e}"));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Plan;

    #[test]
    fn a_plan_is_read_as_written() {
        for plan in [
            Plan::Static { interface: "eth0".to_owned() },
            Plan::Dhcp { interfaces: vec!["eth0.7".to_owned()] },
        ] {
            let text = serde_json::to_string(&plan).unwrap();
            assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        }
    }
}
