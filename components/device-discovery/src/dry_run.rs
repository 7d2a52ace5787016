//! `--dry-run`: what would be sent where, and what is in the way of it.

use crate::hardware::Hardware;
use crate::net::Net;
use crate::nic;
use crate::pace::Pace;
use crate::parameters::Parameters;
use crate::place::Place;
use crate::site::{CA, Site};
use std::fmt::Write as _;

/// The report, and whether onboarding could begin.
pub fn report(place: &Place) -> (String, bool) {
    let hardware = Hardware::read(place);
    let parameters = Parameters::read(place);
    let (mut text, mut bad) = (String::new(), Vec::new());
    let mut line = |key: &str, value: &str| {
        let _ = writeln!(text, "{key:<10} {}", if value.is_empty() { "-" } else { value });
    };
    line("uuid", &hardware.uuid);
    line("serial", &hardware.serial);
    match nic::find(place, parameters.worker_id.as_deref()) {
        Ok(nic) => {
            line("mac", &nic.mac.to_string());
            line("address", &format!("{} ({})", nic.address, nic.name));
        }
        Err(words) => bad.push(words),
    }
    let mut notes = parameters.notes.clone();
    match Site::read(place) {
        Ok(site) => {
            line("stream", &site.stream.to_string());
            line("manager", &site.manager.to_string());
            line("keycloak", &site.keycloak.to_string());
            line("release", &site.release.to_string());
            line("proxy", &site.proxy_name().unwrap_or_default());
            line("trust", &format!("{CA}, {} certificates, and no others", site.authorities.len()));
            bad.extend(Net::new(&site, Pace::new(1)).err());
            notes.extend(site.notes);
        }
        Err(problems) => bad.extend(problems),
    }
    line("consoles", &parameters.consoles.join(", "));
    line("limit", &parameters.limit.map(|limit| format!("{limit:?}")).unwrap_or_default());
    let hardware_notes = hardware.notes.into_iter();
    if hardware.uuid.is_empty() {
        bad.extend(hardware_notes)
    } else {
        notes.extend(hardware_notes)
    }
    notes.iter().for_each(|note| line("note", note));
    bad.iter().for_each(|problem| line("problem", problem));
    (text, bad.is_empty())
}
