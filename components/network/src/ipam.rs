//! The kernel parameter `ipam=`: one card's addresses, given by the boot loader.
//!
//! `mac:vlan:ip:netmask:gateway:hostname:dns,...:search,...:ntp,...`, the MAC with hyphens since the
//! fields are separated by colons; IPv4 only. Fields at the end may be left away and most may be
//! empty; card, address and netmask are needed.

use hookos_guest::mac::Mac;
use std::net::Ipv4Addr;

/// What `ipam=` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ipam {
    pub mac: Mac,
    pub vlan: Option<u16>,
    pub address: Ipv4Addr,
    /// Length of the network's prefix, 1 to 32.
    pub prefix: u8,
    pub gateway: Option<Ipv4Addr>,
    pub hostname: Option<String>,
    pub dns: Vec<Ipv4Addr>,
    pub search: Vec<String>,
    /// Host names or addresses.
    pub ntp: Vec<String>,
}

/// Reads the value of `ipam=`. `Err` says why it is of no use; otherwise complaints about parts that
/// were passed over come with it.
pub fn parse(text: &str) -> Result<(Ipam, Vec<String>), String> {
    let fields: Vec<&str> = text.split(':').map(str::trim).collect();
    let field = |at: usize| fields.get(at).copied().unwrap_or_default();
    let mac = Mac::parse(field(0))
        .ok_or_else(|| format!("{:?} is not a MAC address with hyphens (aa-bb-cc-dd-ee-ff)", field(0)))?;
    let address =
        host_address(field(2)).ok_or_else(|| format!("{:?} is not a host's IPv4 address", field(2)))?;
    let prefix =
        netmask(field(3)).ok_or_else(|| format!("{:?} is not a netmask (255.255.255.0 or 24)", field(3)))?;
    let mut complaints = Vec::new();
    if fields.len() > 9 {
        complaints
            .push("there are more than nine fields, the rest is passed over (IPv6 does not fit)".to_owned());
    }
    let vlan = match field(1) {
        "" | "0" => None,
        text => {
            // Untagged in a tagged network reaches nobody, or the wrong ones.
            Some(vlan_id(text).ok_or_else(|| format!("{text:?} is not a VLAN number from 1 to 4094"))?)
        }
    };
    let mut gateway = None;
    if !field(4).is_empty() {
        gateway = host_address(field(4)).filter(|g| prefix == 32 || same_network(*g, address, prefix));
        if gateway.is_none() {
            complaints.push(format!("the gateway {:?} is not an address in the card's network", field(4)));
        }
    }
    let mut hostname = None;
    if !field(5).is_empty() {
        hostname = Some(field(5)).filter(|h| is_host_name(h)).map(str::to_owned);
        if hostname.is_none() {
            complaints.push(format!("{:?} is not a host name", field(5)));
        }
    }
    let items = |at: usize| field(at).split(',').map(str::trim).filter(|i| !i.is_empty());
    let mut dns = Vec::new();
    for item in items(6) {
        match host_address(item) {
            Some(server) => dns.push(server),
            None => complaints.push(format!("the name server {item:?} is not an IPv4 address")),
        }
    }
    if dns.is_empty() {
        complaints.push("there is no name server".to_owned());
    }
    let mut names = |at: usize, what: &str| {
        let (good, bad): (Vec<&str>, Vec<&str>) = items(at).partition(|i| is_host_name(i));
        complaints.extend(bad.iter().map(|b| format!("{b:?} is not a {what}")));
        good.into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    let search = names(7, "search domain");
    let ntp = names(8, "time server");
    Ok((Ipam { mac, vlan, address, prefix, gateway, hostname, dns, search, ntp }, complaints))
}

/// A VLAN number, 1 to 4094 (0 and 4095 are reserved by IEEE 802.1Q).
pub fn vlan_id(text: &str) -> Option<u16> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    text.parse().ok().filter(|id| digits && (1..=4094).contains(id))
}

/// Letters, digits, `-`, `_` and dots; also fits an IPv4 address. Up to 253 bytes, labels up to 63.
pub fn is_host_name(text: &str) -> bool {
    let label = |l: &str| {
        (1..=63).contains(&l.len())
            && !l.starts_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 253 && text.strip_suffix('.').unwrap_or(text).split('.').all(label)
}

fn host_address(text: &str) -> Option<Ipv4Addr> {
    let address: Ipv4Addr = text.parse().ok()?;
    let none = address.is_multicast() || address.is_broadcast() || address.octets()[0] == 0;
    (!none && !address.is_loopback()).then_some(address)
}

/// Dotted (`255.255.255.0`, ones before zeros) or a prefix length.
fn netmask(text: &str) -> Option<u8> {
    if let Ok(prefix) = text.parse::<u8>() {
        let plain = text.bytes().all(|b| b.is_ascii_digit());
        return (plain && (1..=32).contains(&prefix)).then_some(prefix);
    }
    let bits = u32::from(text.parse::<Ipv4Addr>().ok()?);
    let ones = bits.leading_ones();
    (ones > 0 && bits.count_ones() == ones).then(|| u8::try_from(ones).ok()).flatten()
}

fn same_network(a: Ipv4Addr, b: Ipv4Addr, prefix: u8) -> bool {
    let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
    u32::from(a) & mask == u32::from(b) & mask
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const FULL: &str = "aa-bb-cc-dd-ee-ff:12:192.0.2.10:255.255.255.0:192.0.2.1:host1:192.0.2.2,192.0.2.3:example.com:192.0.2.4,time.example.com";

    #[test]
    fn all_fields() {
        let (ipam, complaints) = parse(FULL).unwrap();
        assert_eq!(complaints, Vec::<String>::new());
        assert_eq!(ipam.vlan, Some(12));
        assert_eq!(ipam.prefix, 24);
        assert_eq!(ipam.gateway, Some(Ipv4Addr::new(192, 0, 2, 1)));
        assert_eq!(ipam.dns.len(), 2);
        assert_eq!(ipam.search, ["example.com"]);
        assert_eq!(ipam.ntp, ["192.0.2.4", "time.example.com"]);
    }

    #[test]
    fn the_needed_fields_are_enough() {
        let (ipam, complaints) = parse("aa-bb-cc-dd-ee-ff::10.0.0.9:8").unwrap();
        assert_eq!((ipam.vlan, ipam.prefix, ipam.gateway), (None, 8, None));
        assert_eq!(complaints, ["there is no name server"]);
    }

    #[test]
    fn useless_values_say_why() {
        for (bad, word) in [
            ("", "MAC"),
            ("aa:bb:cc:dd:ee:ff:1:192.0.2.1:24", "MAC"),
            ("aa-bb-cc-dd-ee-ff::192.0.2.256:24", "IPv4"),
            ("aa-bb-cc-dd-ee-ff::127.0.0.1:24", "IPv4"),
            ("aa-bb-cc-dd-ee-ff::192.0.2.1:255.0.255.0", "netmask"),
            ("aa-bb-cc-dd-ee-ff::192.0.2.1:33", "netmask"),
            ("aa-bb-cc-dd-ee-ff:4095:192.0.2.1:24", "VLAN"),
            ("aa-bb-cc-dd-ee-ff:+5:192.0.2.1:24", "VLAN"),
        ] {
            assert!(parse(bad).unwrap_err().contains(word), "{bad}");
        }
    }

    #[test]
    fn parts_that_are_wrong_are_passed_over() {
        let (ipam, complaints) =
            parse("aa-bb-cc-dd-ee-ff::192.0.2.10:24:10.0.0.1:-x:1.2.3,192.0.2.3:a b:;:x:y").unwrap();
        assert_eq!((ipam.gateway, ipam.hostname, ipam.dns.len()), (None, None, 1));
        assert_eq!(complaints.len(), 6, "{complaints:?}");
    }

    proptest! {
        #[test]
        fn no_text_is_too_wild(text in "\\PC{0,120}") {
            let _ = parse(&text);
        }

        #[test]
        fn what_is_taken_is_safe_to_hand_on(text in "aa-bb-cc-dd-ee-ff:[0-9]{0,4}:[0-9.]{7,12}:[0-9.]{1,13}:[0-9.]{0,12}:[ -~]{0,20}") {
            if let Ok((ipam, _)) = parse(&text) {
                prop_assert!((1..=32).contains(&ipam.prefix));
                prop_assert!(ipam.vlan.is_none_or(|v| (1..=4094).contains(&v)));
                for name in ipam.hostname.iter().chain(&ipam.search).chain(&ipam.ntp) {
                    prop_assert!(is_host_name(name));
                }
            }
        }
    }
}
