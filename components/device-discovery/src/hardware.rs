//! The machine by its firmware: serial number and UUID, from the kernel's DMI folder in sysfs.

use crate::place::Place;

/// What the firmware says, and what is odd about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hardware {
    /// SMBIOS system UUID, lower case; empty when there is none.
    pub uuid: String,
    /// SMBIOS system serial number; empty when there is none.
    pub serial: String,
    /// What a person should know before wondering why the orchestrator says no.
    pub notes: Vec<String>,
}

/// What board makers ship when nobody filled the field in.
const PLACEHOLDERS: &[&str] = &[
    "to be filled by o.e.m.",
    "default string",
    "not specified",
    "not applicable",
    "system serial number",
    "none",
    "n/a",
    "unknown",
    "invalid",
    "0",
    "00000000",
    "0123456789",
    "123456789",
    "1234567890",
    "123456789abcdef",
];

impl Hardware {
    pub fn read(place: &Place) -> Self {
        Self::of(
            &place.text("/sys/class/dmi/id/product_uuid"),
            &place.text("/sys/class/dmi/id/product_serial"),
        )
    }

    fn of(uuid: &str, serial: &str) -> Self {
        let (uuid, serial) = (uuid.trim().to_lowercase(), serial.trim().to_owned());
        let mut notes = Vec::new();
        if uuid.is_empty() {
            notes.push("the firmware states no system UUID (/sys/class/dmi/id/product_uuid), so this machine cannot be told from others; set it in the firmware or its SMBIOS data".to_owned());
        } else if !is_uuid(&uuid) {
            notes.push(format!(
                "the firmware's system UUID {uuid:?} is not a UUID; the orchestrator will refuse it"
            ));
        } else if uuid.bytes().all(|b| matches!(b, b'0' | b'-'))
            || uuid.bytes().all(|b| matches!(b, b'f' | b'-'))
        {
            notes.push(format!("the firmware's system UUID {uuid} was never set; machines with the same one cannot be told apart"));
        }
        if serial.is_empty() {
            notes.push("the firmware states no serial number (/sys/class/dmi/id/product_serial); the orchestrator may refuse this machine".to_owned());
        } else if PLACEHOLDERS.contains(&serial.to_lowercase().as_str()) {
            notes.push(format!("the firmware's serial number {serial:?} is a placeholder; the orchestrator may refuse it, and machines with the same one cannot be told apart"));
        } else if !(5..=20).contains(&serial.len()) || !serial.bytes().all(|b| b.is_ascii_alphanumeric()) {
            notes.push(format!("the firmware's serial number {serial:?} is not 5 to 20 letters and digits; the orchestrator may refuse it"));
        }
        Self { uuid, serial, notes }
    }

    /// For messages.
    pub fn name(&self) -> &str {
        if self.serial.is_empty() { "(no serial number)" } else { &self.serial }
    }
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let lengths: Vec<usize> = text.split('-').map(str::len).collect();
    lengths == [8, 4, 4, 4, 12] && text.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_good_machine_has_nothing_odd() {
        let got = Hardware::of("4C4C4544-0042-3510-8052-B4C04F4E5431\n", "LAB0001\n");
        assert_eq!(got.uuid, "4c4c4544-0042-3510-8052-b4c04f4e5431");
        assert_eq!((got.serial.as_str(), got.notes.len()), ("LAB0001", 0));
    }

    #[test]
    fn odd_firmware_is_told() {
        let good = "4c4c4544-0042-3510-8052-b4c04f4e5431";
        for (uuid, serial, word) in [
            ("", "LAB0001", "no system UUID"),
            ("00000000-0000-0000-0000-000000000000", "LAB0001", "never set"),
            ("FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "LAB0001", "never set"),
            ("Not Settable", "LAB0001", "not a UUID"),
            (good, " ", "no serial number"),
            (good, "To be filled by O.E.M.", "placeholder"),
            (good, "AB-1", "5 to 20"),
        ] {
            let notes = Hardware::of(uuid, serial).notes;
            assert!(notes.len() == 1 && notes[0].contains(word), "{uuid} {serial}: {notes:?}");
        }
    }

    proptest! {
        #[test]
        fn uuids_are_uuids(bytes in any::<[u8; 16]>(), at in 0usize..36) {
            let hex: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
            let text = format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]);
            prop_assert!(is_uuid(&text));
            let mut broken = text;
            broken.replace_range(at..=at, "g");
            prop_assert!(!is_uuid(&broken));
        }
    }
}
