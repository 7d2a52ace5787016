//! Options of a kernel's configuration, as files in `kernel/configs` and `.config` have them.
//!
//! Format: the kernel's Documentation/kbuild/kconfig.rst; `CONFIG_X=value`, or `# CONFIG_X is not set`.

use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Names without `CONFIG_`, and values; `n` for what is not set.
pub type Options = BTreeMap<String, String>;

/// The option that a line sets.
fn option(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_end();
    if let Some(rest) = line.strip_prefix("# CONFIG_") {
        return rest.strip_suffix(" is not set").map(|name| (name, "n"));
    }
    line.strip_prefix("CONFIG_")?.split_once('=')
}

/// Reads a configuration; the last line of an option counts.
pub fn parse(text: &str) -> Options {
    text.lines().filter_map(option).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// An option that is not as a file asks for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unmet {
    /// Line of the file, from 1.
    pub line: usize,
    pub name: String,
    pub wanted: String,
    /// None if this kernel has no such option, or it depends on one that is off.
    pub got: Option<String>,
}

/// What the whole configuration does not give of what the file asks for.
pub fn unmet(asked: &str, whole: &Options) -> Vec<Unmet> {
    asked
        .lines()
        .zip(1..)
        .filter_map(|(text, line)| {
            let (name, wanted) = option(text)?;
            let got = whole.get(name);
            // What is left out is off.
            let same = got.map_or(wanted == "n", |got| got == wanted);
            (!same).then(|| Unmet {
                line,
                name: name.to_owned(),
                wanted: wanted.to_owned(),
                got: got.cloned(),
            })
        })
        .collect()
}

/// How one option differs between two configurations.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Change {
    /// `Added`, `Removed`, `Changed`.
    pub kind: Kind,
    pub name: String,
    pub before: String,
    pub after: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// It was off.
    Added,
    /// It is off.
    Removed,
    Changed,
}

impl Kind {
    pub const ALL: [Self; 3] = [Self::Added, Self::Removed, Self::Changed];

    pub fn title(self) -> &'static str {
        match self {
            Self::Added => "Added",
            Self::Removed => "Removed",
            Self::Changed => "Changed",
        }
    }
}

/// All differences, by kind and name.
pub fn changes(before: &Options, after: &Options) -> Vec<Change> {
    let off = "n".to_owned();
    let mut names: Vec<&String> = before.keys().chain(after.keys()).collect();
    names.sort();
    names.dedup();
    let mut changes: Vec<Change> = names
        .into_iter()
        .filter_map(|name| {
            let (before, after) = (before.get(name).unwrap_or(&off), after.get(name).unwrap_or(&off));
            let kind = match (before.as_str(), after.as_str()) {
                (a, b) if a == b => return None,
                ("n", _) => Kind::Added,
                (_, "n") => Kind::Removed,
                _ => Kind::Changed,
            };
            Some(Change { kind, name: name.clone(), before: before.clone(), after: after.clone() })
        })
        .collect();
    changes.sort();
    changes
}

fn word(value: &str) -> &str {
    match value {
        "y" => "built in",
        "m" => "a module",
        "n" => "off",
        other => other,
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Added => write!(f, "{}: {}", self.name, word(&self.after)),
            Kind::Removed => write!(f, "{}: was {}", self.name, word(&self.before)),
            Kind::Changed => write!(f, "{}: {}, was {}", self.name, word(&self.after), word(&self.before)),
        }
    }
}

/// A file with what a person has changed in menuconfig: its lines and comments stay, a line whose option has
/// another value now is changed, and what is new comes last. `whole` is the whole configuration, `differing`
/// what differs from the kernel's defaults.
pub fn merged(file: &str, whole: &Options, differing: &Options) -> String {
    let mut out = String::new();
    let named = parse(file);
    for line in file.lines() {
        match option(line) {
            Some((name, value)) => {
                let now = whole.get(name).map_or("n", String::as_str);
                if now == value {
                    out.push_str(line);
                } else {
                    out.push_str(&text(name, now));
                }
            }
            None => out.push_str(line),
        }
        out.push('\n');
    }
    let new: Vec<_> = differing.iter().filter(|(name, _)| !named.contains_key(*name)).collect();
    if !new.is_empty() {
        const TITLE: &str = "# -- Set with menuconfig";
        if !file.lines().any(|line| line == TITLE) {
            out.push_str(&format!("\n{TITLE}\n"));
        }
        for (name, value) in new {
            out.push_str(&text(name, value));
            out.push('\n');
        }
    }
    out
}

fn text(name: &str, value: &str) -> String {
    if value == "n" { format!("# CONFIG_{name} is not set") } else { format!("CONFIG_{name}={value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "# Containers\nCONFIG_NAMESPACES=y\n# CONFIG_SWAP is not set\nCONFIG_VETH=m\n";

    #[test]
    fn what_a_kernel_does_not_give_is_told_with_its_line() {
        let whole = parse("CONFIG_NAMESPACES=y\nCONFIG_VETH=y\n");
        let unmet = unmet(FILE, &whole);
        assert_eq!(unmet.len(), 1, "{unmet:?}");
        assert_eq!((unmet[0].line, unmet[0].name.as_str(), unmet[0].got.as_deref()), (4, "VETH", Some("y")));
    }

    #[test]
    fn changes_are_said_in_words() {
        let after = parse("CONFIG_NAMESPACES=y\nCONFIG_SWAP=y\nCONFIG_NR_CPUS=8\n");
        let said: Vec<String> = changes(&parse(FILE), &after).iter().map(ToString::to_string).collect();
        assert_eq!(said, ["NR_CPUS: 8", "SWAP: built in", "VETH: was a module"]);
    }

    #[test]
    fn a_file_keeps_its_comments_when_it_is_saved() {
        let whole = parse("CONFIG_NAMESPACES=y\nCONFIG_SWAP=y\nCONFIG_VETH=m\nCONFIG_NR_CPUS=8\n");
        let saved = merged(FILE, &whole, &parse("CONFIG_NR_CPUS=8\nCONFIG_SWAP=y\n"));
        assert_eq!(
            saved,
            "# Containers\nCONFIG_NAMESPACES=y\nCONFIG_SWAP=y\nCONFIG_VETH=m\n\n# -- Set with menuconfig\nCONFIG_NR_CPUS=8\n"
        );
        assert_eq!(merged(&saved, &whole, &parse("CONFIG_NR_CPUS=8\n")), saved);
    }
}
