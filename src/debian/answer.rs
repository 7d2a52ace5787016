//! What apt's programs answer.

use super::lock::Package;
use super::run::Output;
use std::collections::BTreeMap;

/// Reads `'URI' NAME_VERSION_ARCH.deb SIZE SHA256:HEX`, a line of `apt-get --print-uris`.
pub(super) fn parse_uri_line(line: &str) -> Option<Package> {
    let (uri, rest) = line.strip_prefix('\'')?.split_once('\'')?;
    let mut words = rest.split_whitespace();
    let (file, size, hash) = (words.next()?, words.next()?, words.next()?);
    let (rest, architecture) = file.strip_suffix(".deb")?.rsplit_once('_')?;
    let (name, version) = rest.split_once('_')?;
    Some(Package {
        name: name.to_owned(),
        version: percent_decoded(version)?,
        architecture: architecture.to_owned(),
        sha256: hash.strip_prefix("SHA256:")?.parse().ok()?,
        size: size.parse().ok()?,
        file: percent_decoded(uri.rsplit('/').next()?)?,
    })
}

fn percent_decoded(text: &str) -> Option<String> {
    percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
}

/// The versions of each package, of the columns of `apt-cache madison`.
pub(super) fn versions(text: &str) -> BTreeMap<&str, Vec<&str>> {
    let mut offered: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let mut columns = line.split('|').map(str::trim);
        if let (Some(name), Some(version)) = (columns.next(), columns.next()) {
            let versions = offered.entry(name).or_default();
            if !versions.contains(&version) {
                versions.push(version);
            }
        }
    }
    offered
}

/// What it complained of, as much as a person reads.
pub(super) fn said(output: Output) -> Vec<String> {
    let mut lines = output.complaints;
    lines.dedup();
    lines.truncate(40);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uri_lines_are_read() {
        let sha = "ab".repeat(32);
        let line = format!(
            "'http://m/x/busybox-static_1.37%2bb9_amd64.deb' busybox-static_1%3a1.37+b9_amd64.deb 9 SHA256:{sha}"
        );
        let package = parse_uri_line(&line).unwrap();
        assert_eq!((package.name.as_str(), package.version.as_str()), ("busybox-static", "1:1.37+b9"));
        assert_eq!((package.architecture.as_str(), package.size), ("amd64", 9));
        assert_eq!(package.file, "busybox-static_1.37+b9_amd64.deb");
        assert!(parse_uri_line("'x' y 1 MD5:00").is_none());
    }

    #[test]
    fn each_version_is_offered_once() {
        let text = " a1 | 2-1 | http://m trixie/main amd64 Packages\n a1 | 2-1 | http://s trixie/main amd64 Packages\n\
                    \x20a1 | 1-1 | http://m trixie/main Sources\n b | 3 | http://m trixie/main amd64 Packages\nodd\n";
        let found = versions(text);
        assert_eq!((&found["a1"][..], &found["b"][..]), (&["2-1", "1-1"][..], &["3"][..]));
    }
}
