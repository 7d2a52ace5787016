//! The step at boot. It may take a while and it may fail; the boot goes on, and the service goes on
//! trying.

use crate::NAME;
use crate::cards::{Cards, wait_for};
use crate::choose::{Wish, vlan_name, wishes};
use crate::ipam::Ipam;
use crate::keep::Plan;
use crate::lease::{Facts, Places, Site, set_hostname};
use crate::request::{Card, Request};
use crate::run::{Ended, bounded, ip};
use hookos_guest::cmdline::Cmdline;
use hookos_guest::notice;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

/// Drivers are loaded by now (coldplug), but a card may still be starting its firmware.
const FOR_A_CARD: Duration = Duration::from_secs(15);
/// Negotiating a link takes 2 to 5 seconds.
const FOR_A_LINK: Duration = Duration::from_secs(10);
/// What dhcpcd gets to find a lease; 30 seconds see a switch through its spanning tree.
const FOR_A_LEASE: u64 = 30;

pub fn up() -> ExitCode {
    let (request, complaints) = Request::of(&Cmdline::of_this_machine());
    for complaint in complaints {
        notice::warn(NAME, &complaint);
    }
    let site = Site::of_this_machine();
    if let Err(e) = Places::of_this_machine().publish(&site) {
        notice::warn(NAME, &format!("resolv.conf cannot be written: {e}"));
    }
    let cards = Patient { cards: Cards::of_this_machine(), until: Instant::now() + FOR_A_CARD };
    let plan = match &request.ipam {
        Some(ipam) => fixed(&cards, ipam, &site).unwrap_or_else(|why| {
            notice::warn(NAME, &format!("{why}; DHCP is tried"));
            dhcp(&cards, &request)
        }),
        None => dhcp(&cards, &request),
    };
    if let Err(e) = plan.write() {
        notice::warn(NAME, &format!("the service dhcpcd cannot be told what to do: {e}"));
    }
    ExitCode::SUCCESS
}

/// The cards, and until when a missing one is waited for: one time for all that is asked for, so that
/// two wrong parameters cost no more than one.
struct Patient {
    cards: Cards,
    until: Instant,
}

impl Patient {
    fn wait_for<T>(&self, answer: impl FnMut() -> Option<T>) -> Option<T> {
        wait_for(self.until.saturating_duration_since(Instant::now()), answer)
    }
}

impl std::ops::Deref for Patient {
    type Target = Cards;
    fn deref(&self) -> &Cards {
        &self.cards
    }
}

/// Static addresses. `Err` when the card is not there or takes no address.
fn fixed(cards: &Patient, ipam: &Ipam, site: &Site) -> Result<Plan, String> {
    let wish = Wish { parameter: "ipam", card: Card::Mac(ipam.mac) };
    let card = cards
        .wait_for(|| wish.find(&cards.list()))
        .ok_or_else(|| format!("ipam: no network card has the address {}", ipam.mac))?;
    ip(&["link", "set", "dev", &card, "up"])?;
    let interface = match ipam.vlan {
        Some(id) => vlan(cards, &card, id)?,
        None => card,
    };
    let address = format!("{}/{}", ipam.address, ipam.prefix);
    // Again after a first try that got half way: not an error.
    let _ = ip(&["address", "flush", "dev", &interface]);
    ip(&["address", "add", &address, "broadcast", "+", "dev", &interface])?;
    if let Some(gateway) = ipam.gateway {
        let gateway = gateway.to_string();
        if ipam.prefix == 32 {
            // Nothing is in the card's network, so the way to the gateway must be said.
            let _ = ip(&["route", "add", &gateway, "dev", &interface]);
        }
        if let Err(e) = ip(&["route", "replace", "default", "via", &gateway, "dev", &interface]) {
            notice::warn(NAME, &format!("no default route: {e}"));
        }
    }
    if let Some(name) = &ipam.hostname {
        set_hostname(name);
    }
    let facts = Facts {
        dns: ipam.dns.iter().map(ToString::to_string).collect(),
        search: ipam.search.clone(),
        ntp: ipam.ntp.clone(),
        hostname: ipam.hostname.clone(),
    };
    if let Err(e) = Places::of_this_machine().set(&interface, "static", Some(&facts), site) {
        notice::warn(NAME, &format!("name servers cannot be kept: {e}"));
    }
    notice::say(NAME, &format!("{interface} has {address} (ipam)"));
    Ok(Plan::Static { interface })
}

/// One round of DHCP.
fn dhcp(cards: &Patient, request: &Request) -> Plan {
    let wishes = wishes(request);
    let mut chosen = chosen(cards, &wishes);
    if let Some(id) = request.vlan {
        // A VLAN is on one card: the one that is named, else the first with a cable, else the first.
        let card = chosen.clone().or_else(|| first_with_link(cards));
        match card.ok_or_else(|| "there is no network card".to_owned()).and_then(|c| {
            ip(&["link", "set", "dev", &c, "up"])?;
            vlan(cards, &c, id)
        }) {
            Ok(interface) => chosen = Some(interface),
            Err(e) => {
                notice::warn(NAME, &format!("VLAN {id} cannot be used, the network is tried without: {e}"))
            }
        }
    }
    let mut tried = match &chosen {
        Some(one) => vec![one.clone()],
        None => names(cards),
    };
    let plan = Plan::Dhcp { interfaces: chosen.into_iter().collect() };
    bring_up(&tried);
    if tried.is_empty() {
        notice::warn(NAME, "no wired network card; the service dhcpcd goes on looking");
        return plan;
    }
    if wait_for(FOR_A_LINK, || tried.iter().any(|c| cards.has_link(c)).then_some(())).is_none() {
        let which = tried.join(", ");
        notice::warn(NAME, &format!("no cable in {which}; the service dhcpcd goes on looking"));
        return plan;
    }
    // With a cable in some cards only, dhcpcd would wait for the others in vain.
    tried.retain(|card| cards.has_link(card));
    let seconds = FOR_A_LEASE.to_string();
    let mut dhcpcd = Command::new("dhcpcd");
    dhcpcd
        .args(["--oneshot", "--waitip=4", "--timeout", &seconds, "--script", "/usr/bin/dhcpcd-hook"])
        .args(&tried);
    // dhcpcd counts its own time from when a card is ready; the bound here is for one that hangs.
    match bounded(&mut dhcpcd, Duration::from_secs(FOR_A_LEASE + 15)) {
        Ended::Well => notice::say(NAME, &format!("a lease on {}", tried.join(" or "))),
        end => {
            let on = tried.join(", ");
            notice::warn(
                NAME,
                &format!("no DHCP server answered on {on}; the service dhcpcd goes on asking"),
            );
            if let Ended::Badly(why) = end {
                notice::say(NAME, &format!("dhcpcd: {why}"));
            }
        }
    }
    plan
}

/// The card of the weightiest wish that comes true; wishes are waited for together, so that a wrong
/// one does not cost its time twice.
fn chosen(cards: &Patient, wishes: &[Wish]) -> Option<String> {
    let Some(first) = wishes.first() else {
        cards.wait_for(|| (!cards.list().is_empty()).then_some(()));
        return None;
    };
    // `interface=` may also name what is no card, such as a bond that an image of their own makes.
    let find = |wish: &Wish| {
        let named = match &wish.card {
            Card::Name(name) if cards.exists(name) => Some(name.clone()),
            _ => None,
        };
        named.or_else(|| wish.find(&cards.list()))
    };
    if let Some(card) = cards.wait_for(|| find(first)) {
        return Some(card);
    }
    let next = wishes.iter().skip(1).find_map(|wish| Some((find(wish)?, wish)));
    let found = names(cards).join(", ");
    let found = if found.is_empty() { "none" } else { &found };
    let then = match &next {
        Some((card, wish)) => format!("{card} is used ({})", wish.text()),
        None => "all are tried".to_owned(),
    };
    notice::warn(NAME, &format!("{}: no such network card (there are: {found}); {then}", first.text()));
    next.map(|(card, _)| card)
}

fn first_with_link(cards: &Cards) -> Option<String> {
    let all = names(cards);
    bring_up(&all);
    let linked = wait_for(FOR_A_LINK, || all.iter().find(|c| cards.has_link(c)).cloned());
    linked.or_else(|| all.into_iter().next())
}

fn names(cards: &Cards) -> Vec<String> {
    cards.list().into_iter().map(|nic| nic.name).collect()
}

fn bring_up(interfaces: &[String]) {
    for interface in interfaces {
        if let Err(e) = ip(&["link", "set", "dev", interface, "up"]) {
            notice::say(NAME, &e);
        }
    }
}

/// Makes the VLAN interface on `card` and brings it up; one that is there already is taken.
fn vlan(cards: &Cards, card: &str, id: u16) -> Result<String, String> {
    let name = vlan_name(card, id);
    if !cards.exists(&name) {
        ip(&["link", "add", "link", card, "name", &name, "type", "vlan", "id", &id.to_string()])?;
    }
    ip(&["link", "set", "dev", &name, "up"])?;
    Ok(name)
}
