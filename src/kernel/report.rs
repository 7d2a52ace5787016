//! What reducing the modules saved, for the build's log and its record.

use super::list::{Reason, Selection};
use super::modules::elf::Module;
use serde::{Deserialize, Serialize};
use std::fmt;

/// A number of modules and the bytes of their files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    pub modules: u64,
    pub bytes: u64,
}

/// The amount of one group of the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub name: String,
    #[serde(flatten)]
    pub amount: Amount,
}

/// A firmware file that a module may ask for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Wanted {
    /// Path of the module below `/lib/modules/<version>/`.
    pub module: String,
    /// Below `/lib/firmware/`.
    pub file: String,
}

/// Before and after, by group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub before: Amount,
    pub after: Amount,
    /// In the order of the list; a module counts in the group of the last line that chose it.
    pub groups: Vec<Group>,
    /// What no line chose, but a chosen module needs.
    pub needed: Amount,
    /// Firmware files in the image.
    pub firmware: Vec<String>,
    /// Firmware that a module in the image may ask for and the packages do not have.
    pub missing_firmware: Vec<Wanted>,
}

impl Amount {
    fn add(&mut self, module: &Module) {
        self.modules += 1;
        self.bytes += module.bytes;
    }
}

impl Report {
    /// Counts; firmware is added by who looks for it.
    pub fn new(modules: &[Module], selection: &Selection) -> Self {
        let mut report = Self {
            groups: selection
                .groups
                .iter()
                .map(|name| Group { name: name.clone(), amount: Amount::default() })
                .collect(),
            ..Self::default()
        };
        for (at, module) in modules.iter().enumerate() {
            report.before.add(module);
            let Some(reason) = selection.modules.get(&at) else { continue };
            report.after.add(module);
            match reason {
                Reason::Group(group) => report.groups[*group].amount.add(module),
                Reason::Needed => report.needed.add(module),
            }
        }
        report
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>5} modules {:>8}", self.modules, crate::words::size(self.bytes))
    }
}

/// One line for each group, then the sums.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for group in &self.groups {
            writeln!(f, "{}  {}", group.amount, group.name)?;
        }
        writeln!(f, "{}  needed by these", self.needed)?;
        writeln!(f, "{}  in the image", self.after)?;
        writeln!(f, "{}  in the package", self.before)?;
        write!(f, "{:>5} firmware files", self.firmware.len())?;
        if !self.missing_firmware.is_empty() {
            write!(f, "; {} that modules may ask for are not there", self.missing_firmware.len())?;
        }
        Ok(())
    }
}
