//! The files beside a kernel's modules from which `modprobe` knows names, aliases and dependencies.
//!
//! The work of kmod's `depmod`, with its formats: a module depends on the modules that export the
//! symbols it needs; `modules.dep` lists all that a module needs, in the order in which
//! `modprobe` unloads them (the last one is loaded first).

use super::elf::Module;
use super::index::{self, Index};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

/// Why no index can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("modules {} and {} have the same name", .0, .1)]
    Twice(String, String),
    #[error("these modules need each other: {}", .0.join(", "))]
    Cycle(Vec<String>),
    #[error("module {module}: its `depends` names {missing}, and no symbol that it needs is there")]
    Depends { module: String, missing: String },
    #[error("modules.builtin.modinfo is not a list of `module.key=value` texts")]
    BuiltinInfo,
    #[error(transparent)]
    Index(#[from] index::Error),
}

/// Which module needs which, by position in the list that it was made from.
#[derive(Debug)]
pub struct Graph {
    /// The modules that each one needs itself, in the order of its symbols.
    direct: Vec<Vec<usize>>,
    /// The place of each module when users come before what they use.
    order: Vec<usize>,
    by_name: HashMap<String, usize>,
}

impl Graph {
    /// Finds the dependencies. `builtin` holds the names of what is in the kernel itself: a `depends`
    /// may name it.
    pub fn new(modules: &[Module], builtin: &BTreeSet<String>) -> Result<Self, Error> {
        let mut by_name = HashMap::new();
        let mut owners: HashMap<&str, usize> = HashMap::new();
        for (at, module) in modules.iter().enumerate() {
            if let Some(other) = by_name.insert(module.name.clone(), at) {
                return Err(Error::Twice(modules[other].path.clone(), module.path.clone()));
            }
            owners.extend(module.exports.iter().map(|symbol| (symbol.as_str(), at)));
        }
        let mut direct = vec![Vec::new(); modules.len()];
        for (at, module) in modules.iter().enumerate() {
            let mut seen = BTreeSet::from([at]);
            for owner in module.needs.iter().filter_map(|symbol| owners.get(symbol.as_str())) {
                if seen.insert(*owner) {
                    direct[at].push(*owner);
                }
            }
            // The kernel's own build wrote `depends` from the same symbols: the two must agree.
            let missing = module.depends.iter().find(|name| match by_name.get(*name) {
                Some(other) => !seen.contains(other),
                None => !builtin.contains(*name),
            });
            if let Some(missing) = missing {
                return Err(Error::Depends { module: module.path.clone(), missing: missing.clone() });
            }
        }
        let order = sort(&direct)
            .map_err(|left| Error::Cycle(left.into_iter().map(|at| modules[at].name.clone()).collect()))?;
        Ok(Self { direct, order, by_name })
    }

    /// Position of the module of this (normalised) name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// What a module needs itself.
    pub fn direct(&self, module: usize) -> &[usize] {
        &self.direct[module]
    }

    /// All that a module needs, users before what they use.
    pub fn all(&self, module: usize) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut open = self.direct[module].clone();
        while let Some(next) = open.pop() {
            if seen.insert(next) {
                open.extend(&self.direct[next]);
            }
        }
        let mut found: Vec<usize> = seen.into_iter().collect();
        found.sort_by_key(|at| self.order[*at]);
        found
    }
}

/// Kahn's sort, with the roots on a stack as `depmod` has them, so that its lists come out the same.
fn sort(direct: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let mut users = vec![0usize; direct.len()];
    for needed in direct.iter().flatten() {
        users[*needed] += 1;
    }
    let mut roots: Vec<usize> = (0..direct.len()).filter(|at| users[*at] == 0).collect();
    let mut order = vec![usize::MAX; direct.len()];
    let mut place = 0;
    while let Some(root) = roots.pop() {
        order[root] = place;
        place += 1;
        for needed in &direct[root] {
            users[*needed] -= 1;
            if users[*needed] == 0 {
                roots.push(*needed);
            }
        }
    }
    if place == direct.len() {
        return Ok(order);
    }
    Err((0..direct.len()).filter(|at| order[*at] == usize::MAX).collect())
}

/// What the kernel package says of the parts that are in the kernel itself.
#[derive(Debug, Clone, Default)]
pub struct Builtin {
    /// `modules.builtin`: one path a line.
    pub list: String,
    /// `modules.builtin.modinfo`: NUL-ended `module.key=value` texts.
    pub info: Vec<u8>,
}

impl Builtin {
    /// Normalised names.
    pub fn names(&self) -> BTreeSet<String> {
        self.list.lines().filter(|line| !line.is_empty()).map(super::name_of).collect()
    }

    /// Pairs of alias and module name, in the order of the file.
    fn aliases(&self) -> Result<Vec<(String, String)>, Error> {
        let mut out = Vec::new();
        for text in self.info.split(|b| *b == 0).filter(|text| !text.is_empty()) {
            // Other keys hold descriptions, in any encoding.
            let equals = text.iter().position(|b| *b == b'=').ok_or(Error::BuiltinInfo)?;
            let key = std::str::from_utf8(&text[..equals]).map_err(|_| Error::BuiltinInfo)?;
            let (module, key) = key.split_once('.').ok_or(Error::BuiltinInfo)?;
            if key == "alias" {
                let alias = std::str::from_utf8(&text[equals + 1..]).map_err(|_| Error::BuiltinInfo)?;
                out.push((alias.to_owned(), super::normalise(module)));
            }
        }
        Ok(out)
    }
}

/// Writes every index file: pairs of file name and bytes, sorted by name.
///
/// `modules` are in the order of the kernel's `modules.order`, which decides who is asked first when
/// two modules have the same alias.
pub fn write(modules: &[Module], builtin: &Builtin) -> Result<BTreeMap<&'static str, Vec<u8>>, Error> {
    let graph = Graph::new(modules, &builtin.names())?;
    let mut files = BTreeMap::new();
    files.insert("modules.order", lines(modules.iter().map(|m| super::plain_path(&m.path).to_owned())));
    files.insert("modules.builtin", builtin.list.clone().into_bytes());
    files.insert("modules.builtin.modinfo", builtin.info.clone());

    let mut index = Index::new();
    let mut text = String::new();
    for (at, module) in modules.iter().enumerate() {
        let mut line = format!("{}:", module.path);
        for needed in graph.all(at) {
            let _ = write!(line, " {}", modules[needed].path);
        }
        let _ = writeln!(text, "{line}");
        index.insert(&module.name, line, at as u32)?;
    }
    files.insert("modules.dep", text.into_bytes());
    files.insert("modules.dep.bin", index.write()?);

    let mut index = Index::new();
    let mut text = "# Aliases extracted from modules themselves.\n".to_owned();
    for (at, module) in modules.iter().enumerate() {
        for alias in &module.aliases {
            let _ = writeln!(text, "alias {alias} {}", module.name);
            // An unclosed bracket can match nothing; depmod leaves it out with a warning.
            if let Some(key) = normalise_alias(alias) {
                index.insert(&key, &module.name, at as u32)?;
            }
        }
    }
    files.insert("modules.alias", text.into_bytes());
    files.insert("modules.alias.bin", index.write()?);

    // Sorted: depmod writes the text in the order of its hash table, and nothing reads the text.
    let mut index = Index::new();
    let mut symbols = BTreeMap::new();
    for (at, module) in modules.iter().enumerate() {
        symbols.extend(module.exports.iter().map(|symbol| (symbol, at)));
    }
    let mut text = "# Aliases for symbols, used by symbol_request().\n".to_owned();
    for (symbol, at) in symbols {
        let _ = writeln!(text, "alias symbol:{symbol} {}", modules[at].name);
        index.insert(&format!("symbol:{symbol}"), &modules[at].name, at as u32)?;
    }
    files.insert("modules.symbols", text.into_bytes());
    files.insert("modules.symbols.bin", index.write()?);

    let mut text = "# Soft dependencies extracted from modules themselves.\n".to_owned();
    for (name, softdep) in pairs(modules, |m| &m.softdeps) {
        let _ = writeln!(text, "softdep {name} {softdep}");
    }
    files.insert("modules.softdep", text.into_bytes());
    let mut text = "# Weak dependencies extracted from modules themselves.\n".to_owned();
    for (name, weakdep) in pairs(modules, |m| &m.weakdeps) {
        let _ = writeln!(text, "weakdep {name} {weakdep}");
    }
    files.insert("modules.weakdep", text.into_bytes());

    let mut text = "# Device nodes to trigger on-demand module loading.\n".to_owned();
    for module in modules {
        if let Some((node, kind, major, minor)) = device_node(&module.aliases) {
            let _ = writeln!(text, "{} {node} {kind}{major}:{minor}", module.name);
        }
    }
    files.insert("modules.devname", text.into_bytes());

    let mut index = Index::new();
    for name in builtin.list.lines().filter(|line| !line.is_empty()).map(super::name_of) {
        index.insert(&name, "", 0)?;
    }
    files.insert("modules.builtin.bin", index.write()?);
    let mut index = Index::new();
    for (alias, module) in builtin.aliases()? {
        if let Some(key) = normalise_alias(&alias) {
            index.insert(&key, module, 0)?;
        }
    }
    files.insert("modules.builtin.alias.bin", index.write()?);
    Ok(files)
}

fn lines(lines: impl Iterator<Item = String>) -> Vec<u8> {
    lines.fold(String::new(), |text, line| text + &line + "\n").into_bytes()
}

fn pairs<'a>(
    modules: &'a [Module],
    texts: impl Fn(&'a Module) -> &'a Vec<String> + Copy,
) -> impl Iterator<Item = (&'a str, &'a str)> {
    modules.iter().flat_map(move |m| texts(m).iter().map(|text| (m.name.as_str(), text.as_str())))
}

/// `_` for `-` outside of brackets, where `-` means a range; none if the brackets do not match.
pub fn normalise_alias(alias: &str) -> Option<String> {
    let mut inside = false;
    let out = alias
        .chars()
        .map(|c| match c {
            '-' if !inside => Some('_'),
            // A second `[` is one of the characters in the brackets.
            '[' => {
                inside = true;
                Some(c)
            }
            ']' if !inside => None,
            ']' => {
                inside = false;
                Some(c)
            }
            c => Some(c),
        })
        .collect::<Option<String>>()?;
    (!inside).then_some(out)
}

/// The device node that a module wants before it is loaded: name, `c` or `b`, major, minor.
fn device_node(aliases: &[String]) -> Option<(&str, char, u32, u32)> {
    let mut node = None;
    let mut number = None;
    for alias in aliases {
        if let Some(name) = alias.strip_prefix("devname:") {
            node = Some(name);
        } else if let Some((kind, rest)) = [("char-major-", 'c'), ("block-major-", 'b')]
            .iter()
            .find_map(|(prefix, kind)| alias.strip_prefix(prefix).map(|rest| (*kind, rest)))
            && let Some((major, minor)) = rest.split_once('-')
            && let (Ok(major), Ok(minor)) = (major.parse(), minor.parse())
        {
            number = Some((kind, major, minor));
        }
        if let (Some(node), Some((kind, major, minor))) = (node, number) {
            return Some((node, kind, major, minor));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn module(path: &str, exports: &[&str], needs: &[&str]) -> Module {
        Module {
            path: path.to_owned(),
            name: super::super::name_of(path),
            exports: exports.iter().map(|s| (*s).to_owned()).collect(),
            needs: needs.iter().map(|s| (*s).to_owned()).collect(),
            ..Module::default()
        }
    }

    #[test]
    fn dependencies_follow_symbols_and_users_come_first() {
        let modules = [
            module("k/base.ko", &["base"], &["printk"]),
            module("k/mid.ko", &["mid"], &["base"]),
            module("k/top.ko", &[], &["base", "mid"]),
        ];
        let files = write(&modules, &Builtin::default()).unwrap();
        let dep = String::from_utf8(files["modules.dep"].clone()).unwrap();
        assert_eq!(dep, "k/base.ko:\nk/mid.ko: k/base.ko\nk/top.ko: k/mid.ko k/base.ko\n");
    }

    #[test]
    fn modules_that_need_each_other_are_an_error() {
        let modules = [module("k/a.ko", &["a"], &["b"]), module("k/b.ko", &["b"], &["a"])];
        let error = write(&modules, &Builtin::default()).unwrap_err();
        assert_eq!(error, Error::Cycle(vec!["a".into(), "b".into()]));
    }

    #[test]
    fn a_depends_without_its_symbols_is_an_error_unless_it_is_built_in() {
        let mut user = module("k/user.ko", &[], &["lost"]);
        user.depends = vec!["libcrc32c".into()];
        let builtin = Builtin { list: "kernel/lib/libcrc32c.ko\n".into(), ..Builtin::default() };
        assert!(write(std::slice::from_ref(&user), &builtin).is_ok());
        assert!(matches!(write(&[user], &Builtin::default()), Err(Error::Depends { .. })));
    }

    #[test]
    fn aliases_are_normalised_outside_brackets() {
        assert_eq!(normalise_alias("crypto-aes").as_deref(), Some("crypto_aes"));
        assert_eq!(normalise_alias("usb:d[0-5]-*").as_deref(), Some("usb:d[0-5]_*"));
        assert_eq!(normalise_alias("usb:d[0-5"), None);
        assert_eq!(normalise_alias("usb:d]"), None);
    }

    #[test]
    fn device_nodes_need_a_name_and_numbers() {
        let aliases = ["devname:fuse".to_owned(), "char-major-10-229".to_owned()];
        assert_eq!(device_node(&aliases), Some(("fuse", 'c', 10, 229)));
        assert_eq!(device_node(&aliases[..1]), None);
        assert_eq!(device_node(&["block-major-7-*".to_owned(), "devname:x".to_owned()]), None);
    }
}
