//! The machine's network cards, from sysfs.

use crate::choose::Nic;
use crate::request::is_card_name;
use hookos_guest::mac::Mac;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const STEP: Duration = Duration::from_millis(100);
/// ARPHRD_ETHER, if_arp.h.
const ETHERNET: &str = "1";

/// `/sys/class/net`, or what stands for it in a test.
#[derive(Debug, Clone)]
pub struct Cards(PathBuf);

impl Cards {
    pub fn of_this_machine() -> Self {
        Self(PathBuf::from("/sys/class/net"))
    }

    /// Wired Ethernet cards, sorted by name with numbers counted (`eth2` before `eth10`). Interfaces
    /// without a device behind them (bridges, VLANs, veth) are not cards.
    pub fn list(&self) -> Vec<Nic> {
        let Ok(folder) = std::fs::read_dir(&self.0) else { return Vec::new() };
        let names = folder.flatten().filter_map(|e| e.file_name().into_string().ok());
        let mut nics: Vec<Nic> = names
            .filter(|name| is_card_name(name) && self.is_wired(&self.0.join(name)))
            .map(|name| Nic { mac: self.read(&name, "address").and_then(|t| Mac::parse(&t)), name })
            .collect();
        nics.sort_by_key(|nic| {
            let stem = nic.name.trim_end_matches(|c: char| c.is_ascii_digit());
            (stem.to_owned(), nic.name[stem.len()..].parse::<u64>().unwrap_or(0), nic.name.clone())
        });
        nics
    }

    fn is_wired(&self, card: &Path) -> bool {
        let kind = std::fs::read_to_string(card.join("type")).unwrap_or_default();
        kind.trim() == ETHERNET
            && card.join("device").exists()
            && !card.join("wireless").exists()
            && !card.join("phy80211").exists()
    }

    fn read(&self, card: &str, what: &str) -> Option<String> {
        std::fs::read_to_string(self.0.join(card).join(what)).ok().map(|t| t.trim().to_owned())
    }

    /// Whether there is an interface of that name, of whatever kind.
    pub fn exists(&self, name: &str) -> bool {
        self.0.join(name).exists()
    }

    /// Whether a cable with something at its other end is plugged in. Only known while the card is up.
    pub fn has_link(&self, card: &str) -> bool {
        self.read(card, "carrier").as_deref() == Some("1")
    }
}

/// Asks again and again until there is an answer or `limit` is over.
pub fn wait_for<T>(limit: Duration, mut answer: impl FnMut() -> Option<T>) -> Option<T> {
    let until = Instant::now() + limit;
    loop {
        if let Some(found) = answer() {
            return Some(found);
        }
        if Instant::now() >= until {
            return None;
        }
        std::thread::sleep(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn only_wired_cards_in_order() {
        let sys = tempfile::tempdir().unwrap();
        for (name, kind, real, wireless) in [
            ("eth10", "1", true, false),
            ("eth2", "1", true, false),
            ("docker0", "1", false, false),
            ("lo", "772", false, false),
            ("wlan0", "1", true, true),
        ] {
            let card = sys.path().join(name);
            fs::create_dir_all(&card).unwrap();
            fs::write(card.join("type"), format!("{kind}\n")).unwrap();
            fs::write(card.join("address"), "02:00:00:00:00:01\n").unwrap();
            fs::write(card.join("carrier"), "1\n").unwrap();
            if real {
                fs::create_dir(card.join("device")).unwrap();
            }
            if wireless {
                fs::create_dir(card.join("wireless")).unwrap();
            }
        }
        let cards = Cards(sys.path().to_owned());
        let names: Vec<String> = cards.list().into_iter().map(|n| n.name).collect();
        assert_eq!(names, ["eth2", "eth10"]);
        assert!(cards.has_link("eth2") && !cards.has_link("eth3") && cards.exists("lo"));
    }
}
