//! Which firmware files the chosen modules ask for, and which of them there are.

use super::modules::elf::Module;
use super::report::Wanted;
use globset::{Glob, GlobMatcher};
use std::collections::BTreeSet;

/// What was found for some modules.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// Names of the files that there are, below `/lib/firmware/`.
    pub files: BTreeSet<String>,
    /// What is asked for and is not there, sorted.
    pub missing: Vec<Wanted>,
}

/// Looks for the firmware of `modules` among the files `there` (names below `/lib/firmware/`).
/// Newer kernels name some firmware by a pattern; it is missing when nothing matches.
pub fn find<'a>(modules: impl IntoIterator<Item = &'a Module>, there: &BTreeSet<String>) -> Found {
    let mut found = Found::default();
    let mut missing = BTreeSet::new();
    for module in modules {
        for name in &module.firmware {
            let known = if there.contains(name) {
                found.files.insert(name.clone());
                true
            } else if let Some(pattern) = pattern(name) {
                let matching: Vec<&String> = there.iter().filter(|file| pattern.is_match(file)).collect();
                found.files.extend(matching.iter().map(|file| (*file).clone()));
                !matching.is_empty()
            } else {
                false
            };
            if !known {
                missing.insert(Wanted { module: module.path.clone(), file: name.clone() });
            }
        }
    }
    found.missing = missing.into_iter().collect();
    found
}

fn pattern(name: &str) -> Option<GlobMatcher> {
    if !name.contains(['*', '?', '[']) {
        return None;
    }
    Glob::new(name).ok().map(|glob| glob.compile_matcher())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_by_name_and_by_pattern() {
        let module = |path: &str, firmware: &[&str]| Module {
            path: path.into(),
            firmware: firmware.iter().map(|f| (*f).to_owned()).collect(),
            ..Module::default()
        };
        let there: BTreeSet<String> =
            ["isci/isci.bin", "x/a-1.bin", "x/a-2.bin", "other"].map(str::to_owned).into();
        let modules = [module("b.ko", &["tigon/tg3.bin", "x/a-*.bin"]), module("a.ko", &["isci/isci.bin"])];
        let found = find(&modules, &there);
        assert_eq!(found.files.into_iter().collect::<Vec<_>>(), ["isci/isci.bin", "x/a-1.bin", "x/a-2.bin"]);
        assert_eq!(found.missing, [Wanted { module: "b.ko".into(), file: "tigon/tg3.bin".into() }]);
    }
}
