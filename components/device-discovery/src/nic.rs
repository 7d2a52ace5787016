//! The card that the machine booted from, found by `worker_id`, and its IPv4 address.

use crate::place::Place;
use hookos_guest::mac::Mac;
use std::net::Ipv4Addr;

/// A card with an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub name: String,
    pub mac: Mac,
    pub address: Ipv4Addr,
}

/// The card of `worker_id` with its address, or what is missing.
pub fn find(place: &Place, worker_id: Option<&str>) -> Result<Nic, String> {
    choose(worker_id, &cards(place), &addresses(place))
}

fn choose(
    worker_id: Option<&str>,
    cards: &[(String, Mac)],
    addresses: &[(String, Ipv4Addr)],
) -> Result<Nic, String> {
    let list = || match cards {
        [] => "no network card at all; its driver may be missing".to_owned(),
        _ => cards.iter().map(|(name, mac)| format!("{name} {mac}")).collect::<Vec<_>>().join(", "),
    };
    let Some(text) = worker_id else {
        return Err(format!(
            "the kernel parameter worker_id is missing; set it to the MAC address of the card that reaches the orchestrator (this machine has: {})",
            list()
        ));
    };
    let Some(mac) = Mac::parse(text) else {
        return Err(format!(
            "the kernel parameter worker_id={text:?} is not a MAC address such as 02:00:00:00:00:01 (this machine has: {})",
            list()
        ));
    };
    // A VLAN or a bridge has the MAC address of its card, and then the address is there.
    let names: Vec<&str> = cards.iter().filter(|(_, m)| *m == mac).map(|(name, _)| name.as_str()).collect();
    if names.is_empty() {
        return Err(format!(
            "no network card has the MAC address {mac} of worker_id (this machine has: {})",
            list()
        ));
    }
    let usable = |a: &Ipv4Addr| !a.is_loopback() && !a.is_link_local() && !a.is_unspecified();
    let found = addresses.iter().find(|(name, address)| names.contains(&name.as_str()) && usable(address));
    match found {
        Some((name, address)) => Ok(Nic { name: name.clone(), mac, address: *address }),
        None => Err(format!(
            "{} ({mac}) has no IPv4 address yet; check the cable, the switch port and the DHCP server",
            names.join(", ")
        )),
    }
}

/// Names and MAC addresses of all cards, by name.
fn cards(place: &Place) -> Vec<(String, Mac)> {
    let folder = std::fs::read_dir(place.at("/sys/class/net"));
    let mut cards: Vec<(String, Mac)> = folder
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let mac = Mac::parse(&place.text(&format!("/sys/class/net/{name}/address")))?;
            Some((name, mac))
        })
        .collect();
    cards.sort_by(|a, b| a.0.cmp(&b.0));
    cards
}

/// IPv4 addresses of all cards. A folder that stands in for a machine has the file `addresses`, with
/// a name and an address a line.
fn addresses(place: &Place) -> Vec<(String, Ipv4Addr)> {
    if !place.is_machine() {
        let text = place.text("/addresses");
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        return pairs.filter_map(|(name, ip)| Some((name.to_owned(), ip.trim().parse().ok()?))).collect();
    }
    let all = if_addrs::get_if_addrs().unwrap_or_default();
    all.into_iter()
        .filter_map(|one| match one.addr {
            // Labels such as eth0:1 are the card's.
            if_addrs::IfAddr::V4(v4) => {
                Some((one.name.split(':').next().unwrap_or_default().to_owned(), v4.ip))
            }
            if_addrs::IfAddr::V6(_) => None,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cards() -> Vec<(String, Mac)> {
        let mac = |text| Mac::parse(text).unwrap();
        vec![
            ("eth0".to_owned(), mac("02:00:00:00:00:0a")),
            ("eth0.5".to_owned(), mac("02:00:00:00:00:0a")),
            ("eth1".to_owned(), mac("02:00:00:00:00:0b")),
        ]
    }

    fn at(name: &str, address: [u8; 4]) -> (String, Ipv4Addr) {
        (name.to_owned(), Ipv4Addr::from(address))
    }

    #[test]
    fn the_card_of_worker_id() {
        let all = [
            at("lo", [127, 0, 0, 1]),
            at("eth1", [192, 0, 2, 9]),
            at("eth0", [169, 254, 1, 1]),
            at("eth0.5", [192, 0, 2, 5]),
        ];
        let nic = choose(Some("02-00-00-00-00-0A"), &cards(), &all).unwrap();
        assert_eq!(
            (nic.name.as_str(), nic.address, nic.mac.to_string().as_str()),
            ("eth0.5", Ipv4Addr::new(192, 0, 2, 5), "02:00:00:00:00:0a")
        );
    }

    #[test]
    fn what_is_missing_is_told() {
        let link_local = [at("eth1", [169, 254, 1, 1])];
        for (worker_id, word) in [
            (None, "worker_id is missing"),
            (Some("none"), "is not a MAC address"),
            (Some("02:00:00:00:00:0c"), "no network card has"),
            (Some("02:00:00:00:00:0b"), "no IPv4 address yet"),
        ] {
            let text = choose(worker_id, &cards(), &link_local).unwrap_err();
            assert!(text.contains(word) && text.contains("eth1"), "{text}");
        }
        assert!(choose(None, &[], &[]).unwrap_err().contains("no network card at all"));
    }
}
