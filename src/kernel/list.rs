//! `modules.list`: which modules go into the image. The file's own head says its grammar.

use super::modules::depmod::{Graph, normalise_alias};
use super::modules::elf::Module;
use super::modules::{normalise, plain_path};
use crate::problem::{Problem, Result};
use globset::{GlobBuilder, GlobMatcher};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

/// A read list.
#[derive(Debug, Clone)]
pub struct List {
    groups: Vec<String>,
    lines: Vec<Line>,
}

#[derive(Debug, Clone)]
struct Line {
    number: usize,
    text: String,
    group: usize,
    takes_away: bool,
    by_path: bool,
    pattern: GlobMatcher,
}

/// Why a module is in the image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The group of the list with this number has it.
    Group(usize),
    /// A chosen module needs it or wishes for it.
    Needed,
}

/// What a list chose. Modules are named by their position in the slice that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub modules: BTreeMap<usize, Reason>,
    /// Names of the groups, in the order of the list.
    pub groups: Vec<String>,
    /// Lines without effect: number (from 1) and what to know about it.
    pub warnings: Vec<(usize, String)>,
}

impl List {
    /// Reads a list; `file` is its name in problems.
    pub fn parse(text: &str, file: &Path) -> Result<Self> {
        let mut list = Self { groups: Vec::new(), lines: Vec::new() };
        for (at, line) in text.lines().enumerate() {
            let number = at + 1;
            let line = match line.split_once('#') {
                Some((line, _)) => line.trim(),
                None => line.trim(),
            };
            if line.is_empty() {
                continue;
            }
            if let Some(heading) = line.strip_prefix('[').and_then(|l| l.strip_suffix(']'))
                && !heading.trim().is_empty()
            {
                list.groups.push(heading.trim().to_owned());
                continue;
            }
            if list.groups.is_empty() {
                return Err(Problem::usage(format!("{line:?} stands before the first group"))
                    .at(file, number, None)
                    .remedy("put a heading such as `[My drivers]` above it"));
            }
            let takes_away = line.starts_with('-');
            let text = line.strip_prefix('-').unwrap_or(line);
            if text.contains(char::is_whitespace) {
                return Err(Problem::usage(format!("{text:?} has a blank in it"))
                    .at(file, number, None)
                    .remedy("write one pattern on each line"));
            }
            let by_path = text.contains('/');
            let glob = if by_path { text.to_owned() } else { normalise_name(text) };
            let pattern = GlobBuilder::new(&glob)
                .literal_separator(true)
                .build()
                .map_err(|e| {
                    Problem::usage(format!("{text:?} is not a pattern"))
                        .at(file, number, None)
                        .because(e)
                        .remedy("see the head of the file for what a pattern may hold")
                })?
                .compile_matcher();
            let group = list.groups.len() - 1;
            list.lines.push(Line { number, text: line.to_owned(), group, takes_away, by_path, pattern });
        }
        if list.lines.is_empty() {
            return Err(Problem::usage("the list of modules is empty").in_file(file));
        }
        Ok(list)
    }

    /// The groups' names, in order.
    pub fn groups(&self) -> &[String] {
        &self.groups
    }

    /// Leaves groups out, by their [`slug`]s. What another group's module needs still comes with it.
    pub fn without(mut self, off: &[String], file: &Path) -> Result<Self> {
        let slugs: Vec<String> = self.groups.iter().map(|name| slug(name)).collect();
        if let Some(name) = off.iter().find(|name| !slugs.contains(name)) {
            return Err(Problem::usage(format!("there is no group of kernel modules called {name}"))
                .in_file(file)
                .remedy(format!("the groups are {}", slugs.join(", "))));
        }
        self.lines.retain(|line| slugs.get(line.group).is_none_or(|name| !off.contains(name)));
        Ok(self)
    }

    /// Chooses from `modules`, whose dependencies `graph` has. `builtin` holds the names of what is in
    /// the kernel itself: a line may name it, in vain.
    pub fn select(&self, modules: &[Module], graph: &Graph, builtin: &BTreeSet<String>) -> Selection {
        let mut chosen: BTreeMap<usize, Reason> = BTreeMap::new();
        let mut refused = BTreeSet::new();
        let mut warnings = Vec::new();
        for line in &self.lines {
            let mut matched = false;
            for (at, module) in modules.iter().enumerate() {
                if !line.matches(module) {
                    continue;
                }
                if line.takes_away {
                    matched |= chosen.remove(&at).is_some();
                    refused.insert(at);
                } else {
                    matched = true;
                    chosen.insert(at, Reason::Group(line.group));
                    refused.remove(&at);
                }
            }
            let text = &line.text;
            if !matched && line.takes_away {
                warnings.push((line.number, format!("{text} takes nothing away")));
            } else if !matched && !line.in_kernel(builtin) {
                warnings.push((line.number, format!("{text} matches no module of this kernel")));
            }
        }
        self.close(modules, graph, &refused, &mut chosen);
        Selection { modules: chosen, groups: self.groups.clone(), warnings }
    }

    /// Adds what the chosen need (whatever the list says of it) and wish for (unless refused).
    fn close(
        &self,
        modules: &[Module],
        graph: &Graph,
        refused: &BTreeSet<usize>,
        chosen: &mut BTreeMap<usize, Reason>,
    ) {
        let mut by_alias: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, module) in modules.iter().enumerate() {
            for alias in module.aliases.iter().filter_map(|alias| normalise_alias(alias)) {
                by_alias.entry(alias).or_default().push(at);
            }
        }
        let mut open: Vec<usize> = chosen.keys().copied().collect();
        while let Some(next) = open.pop() {
            let mut more = graph.direct(next).to_vec();
            for wish in modules[next].wishes().map(normalise) {
                let named = graph.find(&wish).into_iter();
                let aliased = by_alias.get(&wish).into_iter().flatten().copied();
                more.extend(named.chain(aliased).filter(|at| !refused.contains(at)));
            }
            for at in more {
                if let std::collections::btree_map::Entry::Vacant(entry) = chosen.entry(at) {
                    entry.insert(Reason::Needed);
                    open.push(at);
                }
            }
        }
    }
}

/// A group's name as settings give it: `Wired network cards` is `wired-network-cards`.
pub fn slug(heading: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { ' ' };
    let text: String = heading.chars().map(letter).collect();
    text.split_whitespace().collect::<Vec<_>>().join("-")
}

impl Line {
    fn matches(&self, module: &Module) -> bool {
        if self.by_path {
            self.pattern.is_match(plain_path(&module.path))
        } else {
            self.pattern.is_match(&module.name)
        }
    }

    fn in_kernel(&self, builtin: &BTreeSet<String>) -> bool {
        !self.by_path && builtin.iter().any(|name| self.pattern.is_match(name))
    }
}

/// `-` outside of brackets is `_`; inside it is a range.
fn normalise_name(pattern: &str) -> String {
    normalise_alias(pattern).unwrap_or_else(|| pattern.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, exports: &[&str], needs: &[&str]) -> Module {
        Module {
            path: path.to_owned(),
            name: super::super::modules::name_of(path),
            exports: exports.iter().map(|s| (*s).to_owned()).collect(),
            needs: needs.iter().map(|s| (*s).to_owned()).collect(),
            ..Module::default()
        }
    }

    #[test]
    fn groups_are_left_out_by_name() {
        let text = "[Cards, wired]\nkernel/a/**\n[Other]\nb\n";
        let list = || List::parse(text, Path::new("modules.list")).unwrap();
        assert_eq!(slug("Cards, wired (10 G)"), "cards-wired-10-g");
        let all = vec![module("kernel/a/a.ko", &[], &[]), module("kernel/b/b.ko", &[], &[])];
        let graph = Graph::new(&all, &BTreeSet::new()).unwrap();
        let chosen = |off: &[&str]| -> Vec<usize> {
            let off: Vec<String> = off.iter().map(|s| (*s).to_owned()).collect();
            let list = list().without(&off, Path::new("modules.list")).unwrap();
            list.select(&all, &graph, &BTreeSet::new()).modules.into_keys().collect()
        };
        assert_eq!((chosen(&[]), chosen(&["cards-wired"])), (vec![0, 1], vec![1]));
        let problem = list().without(&["cards".to_owned()], Path::new("modules.list")).unwrap_err();
        assert!(problem.to_string().contains("cards-wired, other"), "{problem}");
    }

    fn modules() -> Vec<Module> {
        let mut all = vec![
            module("kernel/drivers/net/ethernet/a/card-a.ko", &[], &["mii", "printk"]),
            module("kernel/drivers/net/ethernet/b.ko.xz", &[], &[]),
            module("kernel/drivers/net/mii.ko", &["mii"], &[]),
            module("kernel/fs/fs.ko", &[], &[]),
            module("kernel/crypto/sum_generic.ko", &[], &[]),
            module("kernel/crypto/sum_fast.ko", &[], &[]),
        ];
        all[3].softdeps = vec!["pre: crypto-sum post: nothing".into()];
        all[4].aliases = vec!["crypto-sum".into()];
        all[5].aliases = vec!["crypto-sum".into()];
        all
    }

    fn select(text: &str) -> (Vec<String>, Vec<usize>) {
        let modules = modules();
        let builtin = BTreeSet::from(["inside".to_owned()]);
        let graph = Graph::new(&modules, &builtin).unwrap();
        let list = List::parse(text, Path::new("modules.list")).unwrap();
        let found = list.select(&modules, &graph, &builtin);
        let names = found.modules.keys().map(|at| modules[*at].name.clone()).collect();
        (names, found.warnings.into_iter().map(|(line, _)| line).collect())
    }

    #[test]
    fn what_is_chosen_brings_what_it_needs() {
        assert_eq!(select("[x]\ncard_a # the card\n").0, ["card_a", "mii"]);
        assert_eq!(select("[x]\nfs\n").0, ["fs", "sum_generic", "sum_fast"]);
    }

    #[test]
    fn the_last_line_that_matches_decides() {
        let (names, warnings) = select("[x]\nkernel/drivers/**\n-card-a\n-mii\n");
        assert_eq!(names, ["b"]);
        assert!(warnings.is_empty());
        assert_eq!(select("[x]\n-kernel/drivers/net/**\ncard-?\n").0, ["card_a", "mii"], "needed comes back");
        assert_eq!(select("[x]\nfs\n-sum_fast\n").0, ["fs", "sum_generic"], "a wish does not");
    }

    #[test]
    fn a_star_stays_in_its_folder() {
        assert_eq!(select("[x]\nkernel/drivers/net/ethernet/*.ko\n").0, ["b"]);
    }

    #[test]
    fn lines_without_effect_are_warned_about_by_number() {
        let (_, warnings) = select("[x]\nfs\nnot-there\n-mii\ninside\nkernel/none/**\n");
        assert_eq!(warnings, [3, 4, 6]);
    }

    #[test]
    fn mistakes_name_their_line() {
        for (text, line) in [("fs\n", 1), ("[x]\n\na b\n", 3), ("[x]\nfs\na[\n", 3)] {
            let problem = List::parse(text, Path::new("modules.list")).unwrap_err();
            assert_eq!(problem.place().and_then(|p| p.line), Some(line), "{problem}");
        }
        assert!(List::parse("[x]\n", Path::new("modules.list")).is_err());
    }
}
