//! Finds the Debian archive and the security archive in the host's apt sources.

use super::{Error, control};
use std::fs;
use std::path::{Path, PathBuf};

/// Where packages come from: URIs without a trailing `/`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archives {
    pub main: Option<String>,
    pub security: Option<String>,
}

/// One enabled binary-package source of the host.
#[derive(Debug, Default)]
struct Entry {
    uris: Vec<String>,
    suites: Vec<String>,
    components: Vec<String>,
    signed_by: String,
}

/// Reads the files that `Dir::Etc::sourcelist` and `Dir::Etc::sourceparts` name.
pub fn of_host(list: &Path, parts: &Path) -> Result<Archives, Error> {
    let mut files = vec![list.to_owned()];
    if let Ok(folder) = fs::read_dir(parts) {
        let mut found: Vec<PathBuf> = folder.flatten().map(|e| e.path()).collect();
        found.sort();
        files.extend(found);
    }
    let mut entries = Vec::new();
    for path in files {
        let one_line = path.extension().is_some_and(|e| e == "list");
        let deb822 = path.extension().is_some_and(|e| e == "sources");
        if !one_line && !deb822 {
            continue;
        }
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if deb822 {
            entries.extend(deb822_entries(&text).map_err(|bad| Error::Sources { path, bad })?);
        } else {
            entries.extend(text.lines().filter_map(one_line_entry));
        }
    }
    Ok(choose(&entries))
}

fn deb822_entries(text: &str) -> Result<Vec<Entry>, control::BadLine> {
    let owned = |words: &mut dyn Iterator<Item = &str>| words.map(str::to_owned).collect();
    let enabled = |p: &control::Paragraph| !matches!(p.get("Enabled"), Some("no" | "false" | "0" | "off"));
    Ok(control::parse(text)?
        .iter()
        .filter(|p| enabled(p) && p.words("Types").any(|t| t == "deb"))
        .map(|p| Entry {
            uris: owned(&mut p.words("URIs")),
            suites: owned(&mut p.words("Suites")),
            components: owned(&mut p.words("Components")),
            signed_by: p.get("Signed-By").unwrap_or("").to_owned(),
        })
        .collect())
}

/// `deb [option=value ...] URI suite component...` (sources.list(5)).
fn one_line_entry(line: &str) -> Option<Entry> {
    let line = line.split('#').next()?.trim();
    let mut rest = line.strip_prefix("deb")?.strip_prefix([' ', '\t'])?.trim_start();
    let mut entry = Entry::default();
    if let Some(options) = rest.strip_prefix('[') {
        let (options, after) = options.split_once(']')?;
        for option in options.split_whitespace() {
            if let Some(value) = option.strip_prefix("signed-by=") {
                value.clone_into(&mut entry.signed_by);
            }
        }
        rest = after;
    }
    let mut words = rest.split_whitespace().map(str::to_owned);
    entry.uris = vec![words.next()?];
    entry.suites = vec![words.next()?];
    entry.components = words.collect();
    Some(entry)
}

/// Third parties also call their folder `debian`, so a signature by Debian's keyring counts most,
/// another keyring rules an entry out, and without either the path decides.
fn choose(entries: &[Entry]) -> Archives {
    let mut best: [Option<(u32, String)>; 2] = [None, None];
    for entry in entries.iter().filter(|e| e.components.iter().any(|c| c == "main")) {
        let security = entry.suites.iter().any(|s| s.ends_with("-security") || s.ends_with("/updates"));
        let by_debian = entry.signed_by.contains("debian-archive");
        if !entry.signed_by.is_empty() && !by_debian {
            continue;
        }
        for uri in &entry.uris {
            let Some((scheme, after)) = uri.split_once("://").or_else(|| uri.split_once(":/")) else {
                continue;
            };
            if scheme == "cdrom" {
                continue;
            }
            let path = after.split_once('/').map_or("", |(_, path)| path);
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or("");
            let folder = if security { "debian-security" } else { "debian" };
            let has_folder = path.split('/').any(|part| part == folder);
            if !by_debian && !has_folder {
                continue;
            }
            let score = u32::from(by_debian) * 4 + u32::from(has_folder) * 2 + u32::from(last == folder);
            let slot = &mut best[usize::from(security)];
            if slot.as_ref().is_none_or(|(s, _)| score > *s) {
                *slot = Some((score, uri.trim_end_matches('/').to_owned()));
            }
        }
    }
    let [main, security] = best.map(|b| b.map(|(_, uri)| uri));
    Archives { main, security }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Archives {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            fs::write(folder.path().join(name), text).unwrap();
        }
        of_host(&folder.path().join("sources.list"), folder.path()).unwrap()
    }

    #[test]
    fn deb822_sources_are_understood() {
        let found = of(&[
            (
                "debian.sources",
                "Types: deb deb-src\nURIs: http://m.example/debian/\nSuites: bookworm bookworm-updates\n\
                 Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n\n\
                 Types: deb\nURIs: http://s.example/debian-security\nSuites: bookworm-security\n\
                 Components: main\nSigned-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
            ),
            (
                "a-third.sources",
                "Types: deb\nURIs: https://third.example/debian\nSuites: bookworm\nComponents: main\n\
                 Signed-By: /etc/apt/keyrings/third.gpg\n",
            ),
            (
                "b-off.sources",
                "Enabled: no\nTypes: deb\nURIs: http://off.example/debian\nSuites: x\nComponents: main\n",
            ),
        ]);
        assert_eq!(found.main.as_deref(), Some("http://m.example/debian"));
        assert_eq!(found.security.as_deref(), Some("http://s.example/debian-security"));
    }

    #[test]
    fn one_line_sources_are_understood() {
        let found = of(&[
            (
                "sources.list",
                "# deb http://no.example/debian x main\ndeb cdrom:[Debian]/ trixie main\n\
                 deb-src http://src.example/debian trixie main\n\
                 deb [arch=amd64 signed-by=/k/x.gpg] http://x.example/linux/debian trixie main\n\
                 deb\t[arch=amd64]  https://u:p@m.example/mirror/debian trixie main contrib # c\n\
                 deb http://m.example/debian-security trixie-security main\n",
            ),
            ("ignored.list.disabled", "deb http://off.example/debian trixie main\n"),
        ]);
        assert_eq!(found.main.as_deref(), Some("https://u:p@m.example/mirror/debian"));
        assert_eq!(found.security.as_deref(), Some("http://m.example/debian-security"));
    }

    #[test]
    fn another_distribution_gives_nothing() {
        let found = of(&[("sources.list", "deb http://a.example/ubuntu noble main\n")]);
        assert_eq!(found, Archives { main: None, security: None });
    }
}
