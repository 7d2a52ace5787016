//! `insecure_registries=`: registries that are used without TLS, or without a check of it.

use crate::host::Host;
use std::net::IpAddr;

/// The registries of all values, and a sentence for each item that is none. The engine would not start
/// with one of those in its configuration.
pub fn list<'a>(values: impl Iterator<Item = &'a str>) -> (Vec<String>, Vec<String>) {
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for item in values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty()) {
        match registry(item) {
            Some(registry) if good.contains(&registry) => {}
            Some(registry) => good.push(registry),
            None => bad.push(format!(
                "insecure_registries: {item:?} is left out: write HOST, HOST:PORT or a network such as 192.0.2.0/24"
            )),
        }
    }
    (good, bad)
}

/// As the engine wants it. It drops `http://` itself, with a warning, so that is no mistake.
fn registry(item: &str) -> Option<String> {
    if let Some((address, bits)) = item.split_once('/')
        && let Ok(address) = address.parse::<IpAddr>()
    {
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits: u8 = bits.parse().ok().filter(|bits| *bits <= most)?;
        return Some(format!("{address}/{bits}"));
    }
    let bare = item.strip_prefix("https://").or_else(|| item.strip_prefix("http://")).unwrap_or(item);
    let Host { name, port } = Host::parse(bare.strip_suffix('/').unwrap_or(bare))?;
    Some(port.map_or_else(|| name.clone(), |port| format!("{name}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn blanks_doubles_and_mistakes() {
        let (good, bad) = list(
            [
                "a.example.com, ,192.0.2.1:5000,,",
                "http://b:80/,a.example.com,192.0.2.0/24,2001:db8::/32,x/y,c:x",
            ]
            .into_iter(),
        );
        assert_eq!(good, ["a.example.com", "192.0.2.1:5000", "b:80", "192.0.2.0/24", "2001:db8::/32"]);
        assert_eq!(bad.len(), 2, "{bad:?}");
        assert!(bad[0].contains("x/y") && bad[1].contains("c:x"), "{bad:?}");
        assert_eq!(list(std::iter::empty()), (vec![], vec![]));
    }

    proptest! {
        #[test]
        fn every_item_is_taken_or_told(text in ".{0,60}") {
            let (good, bad) = list(std::iter::once(text.as_str()));
            let items = text.split(',').filter(|item| !item.trim().is_empty()).count();
            prop_assert!(good.len() + bad.len() <= items);
            prop_assert!(items == 0 || good.len() + bad.len() > 0);
            for item in good {
                prop_assert_eq!(registry(&item), Some(item.clone()), "a taken item is taken again");
            }
        }
    }
}
