//! Which cards a request means.

use crate::request::{Card, Request};
use hookos_guest::mac::Mac;

/// A network card of the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nic {
    pub name: String,
    pub mac: Option<Mac>,
}

/// A wish for a card, with the parameter it comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub parameter: &'static str,
    pub card: Card,
}

impl Wish {
    /// The name of the card that is meant, if it is there.
    pub fn find(&self, nics: &[Nic]) -> Option<String> {
        let is_it = |nic: &&Nic| match &self.card {
            Card::Name(name) => nic.name == *name,
            Card::Mac(mac) => nic.mac == Some(*mac),
        };
        nics.iter().find(is_it).map(|nic| nic.name.clone())
    }

    /// The wish in words.
    pub fn text(&self) -> String {
        match &self.card {
            Card::Name(name) => format!("{}={name}", self.parameter),
            Card::Mac(mac) => format!("{}={mac}", self.parameter),
        }
    }
}

/// The wishes of a request for the card that DHCP runs on, the weightiest first; when none is there,
/// all cards are meant. `hw_addr` counts with a VLAN only, and is the only one that names its card;
/// `interface` was written by a person, `worker_id` is always passed by the boot loader.
pub fn wishes(request: &Request) -> Vec<Wish> {
    let vlan_card = request.vlan_card.filter(|_| request.vlan.is_some()).map(Card::Mac);
    let worker = request.worker.map(Card::Mac);
    let all = [("hw_addr", vlan_card), ("interface", request.interface.clone()), ("worker_id", worker)];
    all.into_iter().filter_map(|(parameter, card)| card.map(|card| Wish { parameter, card })).collect()
}

/// The VLAN interface on `card`: `<card>.<id>`, or `vlan<id>` where that is too long for the kernel.
pub fn vlan_name(card: &str, id: u16) -> String {
    let name = format!("{card}.{id}");
    if name.len() <= 15 { name } else { format!("vlan{id}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookos_guest::cmdline::Cmdline;

    fn chosen(cmdline: &str) -> Option<String> {
        let mac = |n: u8| Mac::parse(&format!("02:00:00:00:00:{n:02x}"));
        let nics = [0, 1, 2].map(|n| Nic { name: format!("eth{n}"), mac: mac(n + 1) });
        let (request, _) = Request::of(&Cmdline::parse(cmdline.as_bytes()));
        wishes(&request).iter().find_map(|w| w.find(&nics))
    }

    #[test]
    fn one_card_or_all() {
        assert_eq!(chosen(""), None);
        assert_eq!(chosen("worker_id=02:00:00:00:00:02").as_deref(), Some("eth1"));
        assert_eq!(chosen("worker_id=02:00:00:00:00:02 interface=eth2").as_deref(), Some("eth2"));
        assert_eq!(chosen("worker_id=02:00:00:00:00:02 interface=eth9").as_deref(), Some("eth1"));
        assert_eq!(chosen("interface=02-00-00-00-00-03").as_deref(), Some("eth2"));
        assert_eq!(chosen("worker_id=02:00:00:00:00:02 hw_addr=02:00:00:00:00:01").as_deref(), Some("eth1"));
        let both = "worker_id=02:00:00:00:00:02 hw_addr=02:00:00:00:00:01 vlan_id=5";
        assert_eq!(chosen(both).as_deref(), Some("eth0"));
        assert_eq!(chosen("worker_id=02:00:00:00:00:09"), None);
    }

    #[test]
    fn long_names_get_another_form() {
        assert_eq!(vlan_name("eth0", 10), "eth0.10");
        assert_eq!(vlan_name("enx00e04c680001", 4094), "vlan4094");
    }
}
