//! What the kernel command line asks of the network. docs/parameters.md is its description.

use crate::ipam::{self, Ipam};
use hookos_guest::cmdline::Cmdline;
use hookos_guest::mac::Mac;

/// The parameters, as far as they make sense.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// `worker_id`: the card that the machine booted from.
    pub worker: Option<Mac>,
    /// `interface`: a card's name, or its MAC address.
    pub interface: Option<Card>,
    /// `vlan_id`: the tag of the boot network.
    pub vlan: Option<u16>,
    /// `hw_addr`: the card that the VLAN is on.
    pub vlan_card: Option<Mac>,
    /// `ipam`: addresses without DHCP.
    pub ipam: Option<Ipam>,
}

/// A card as a person names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Card {
    Name(String),
    Mac(Mac),
}

impl Request {
    /// Reads the command line; gives complaints about what was passed over, in words for a person.
    pub fn of(cmdline: &Cmdline) -> (Self, Vec<String>) {
        let mut complaints = Vec::new();
        let mut given = |key: &'static str| {
            let value = cmdline.value(key).map(str::trim).filter(|v| !v.is_empty());
            if value.is_none() && cmdline.has(key) {
                complaints.push(format!("{key} has no value, passed over"));
            }
            value
        };
        let (worker, interface) = (given("worker_id"), given("interface"));
        let (vlan, vlan_card, ipam) = (given("vlan_id"), given("hw_addr"), given("ipam"));
        let mut request = Self::default();
        if let Some(text) = worker {
            request.worker = Mac::parse(text);
            if request.worker.is_none() {
                complaints
                    .push(format!("worker_id={text} is not a MAC address, so it names no network card"));
            }
        }
        if let Some(text) = interface {
            let name = is_card_name(text).then(|| Card::Name(text.to_owned()));
            request.interface = Mac::parse(text).map(Card::Mac).or(name);
            if request.interface.is_none() {
                complaints.push(format!("interface={text} is not a network card's name, passed over"));
            }
        }
        if let Some(text) = vlan {
            request.vlan = ipam::vlan_id(text);
            // 0 is "no VLAN" for boot loaders that always pass the parameter.
            if request.vlan.is_none() && text != "0" {
                complaints.push(format!("vlan_id={text} is not a number from 1 to 4094, no VLAN is used"));
            }
        }
        if let Some(text) = vlan_card {
            request.vlan_card = Mac::parse(text);
            if request.vlan_card.is_none() {
                complaints.push(format!("hw_addr={text} is not a MAC address, passed over"));
            }
        }
        if let Some(text) = ipam {
            match ipam::parse(text) {
                Ok((mut ipam, wrong)) => {
                    complaints.extend(wrong.into_iter().map(|w| format!("ipam: {w}")));
                    ipam.vlan = ipam.vlan.or(request.vlan);
                    request.ipam = Some(ipam);
                }
                Err(why) => complaints.push(format!("ipam={text} is invalid, so DHCP is tried: {why}")),
            }
        }
        (request, complaints)
    }
}

/// What the kernel takes as a name (net/core/dev.c, `dev_valid_name`), and no shell or option sees as
/// something else.
pub fn is_card_name(text: &str) -> bool {
    (1..=15).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
        && !text.starts_with(['.', '-'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn of(text: &str) -> (Request, Vec<String>) {
        Request::of(&Cmdline::parse(text.as_bytes()))
    }

    #[test]
    fn well_formed() {
        let (request, complaints) =
            of("worker_id=AA:bb:cc:dd:ee:01 vlan_id=30 hw_addr=aa:bb:cc:dd:ee:02 interface=eth1");
        assert!(complaints.is_empty());
        assert_eq!(request.worker, Mac::parse("aa:bb:cc:dd:ee:01"));
        assert_eq!(request.vlan, Some(30));
        assert_eq!(request.vlan_card, Mac::parse("aa:bb:cc:dd:ee:02"));
        assert_eq!(request.interface, Some(Card::Name("eth1".to_owned())));
        assert_eq!(of("vlan_id=0").1, Vec::<String>::new());
    }

    #[test]
    fn names_without_value_crashed_the_old_programs() {
        let (request, complaints) = of("worker_id vlan_id hw_addr= interface ipam");
        assert_eq!(request, Request::default());
        assert_eq!(complaints.len(), 5);
    }

    #[test]
    fn wrong_values_are_named() {
        let (request, complaints) = of("worker_id=node7 vlan_id=9999 hw_addr=eth0 interface=../x ipam=1:2:3");
        assert_eq!(request, Request::default());
        for word in ["node7", "9999", "eth0", "../x", "1:2:3"] {
            assert!(complaints.iter().any(|text| text.contains(word)), "{word}: {complaints:?}");
        }
    }

    #[test]
    fn the_vlan_of_ipam_may_stand_apart() {
        let (request, _) = of("vlan_id=7 ipam=aa-bb-cc-dd-ee-ff::192.0.2.1:24:::192.0.2.2");
        assert_eq!(request.ipam.unwrap().vlan, Some(7));
    }

    proptest! {
        #[test]
        fn no_command_line_is_too_wild(words in proptest::collection::vec(
            ("(worker_id|interface|vlan_id|hw_addr|ipam)", "=?", "\\PC{0,30}"), 0..8)) {
            let text: String = words.iter().map(|(k, e, v)| format!("{k}{e}{v} ")).collect();
            let (request, _) = of(&text);
            if let Some(Card::Name(name)) = request.interface {
                prop_assert!(is_card_name(&name));
            }
        }
    }
}
