//! MAC addresses, as people and boot loaders write them.

use std::fmt;

/// An Ethernet address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mac([u8; 6]);

impl Mac {
    /// Six pairs of hex digits, separated by `:` throughout or by `-` throughout, in any case.
    pub fn parse(text: &str) -> Option<Self> {
        let separator = if text.contains('-') { '-' } else { ':' };
        let mut bytes = [0; 6];
        let mut parts = text.trim().split(separator);
        for byte in &mut bytes {
            let part = parts.next().filter(|p| p.len() == 2 && p.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(part, 16).ok()?;
        }
        // All zeros belong to no card; the loopback interface has it.
        (parts.next().is_none() && bytes != [0; 6]).then_some(Self(bytes))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::Mac;
    use proptest::prelude::*;

    #[test]
    fn colons_hyphens_and_case() {
        let mac = Mac::parse("AA-bb-0C-00-01-ff").unwrap();
        assert_eq!(mac.to_string(), "aa:bb:0c:00:01:ff");
        assert_eq!(Mac::parse("aa:bb:0c:00:01:ff"), Some(mac));
        for bad in [
            "",
            "aa:bb",
            "aa:bb:cc:dd:ee:fg",
            "aa:bb-cc:dd-ee:ff",
            "aa:bb:cc:dd:ee:ff:00",
            "+a:bb:cc:dd:ee:ff",
        ] {
            assert_eq!(Mac::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn macs_come_back(bytes in any::<[u8; 6]>(), text in ".{0,20}") {
            let mac = Mac(bytes);
            let want = (bytes != [0; 6]).then_some(mac);
            prop_assert_eq!(Mac::parse(&mac.to_string()), want);
            prop_assert_eq!(Mac::parse(&mac.to_string().to_uppercase().replace(':', "-")), want);
            let _ = Mac::parse(&text);
        }
    }
}
