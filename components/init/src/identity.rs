//! The machine's name, its hosts file and its name servers.

use std::io;
use std::path::Path;

/// The start of a name that is made up.
const PREFIX: &str = "hookos";

/// The name set at boot, and whether a better one may come once a network card is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hostname {
    /// From /etc/hostname, or made of a card's address.
    Final(String),
    /// No name is given and no card is known yet.
    Provisional,
}

/// Sets the host name: /etc/hostname, else `hookos-<address of the first network card>`, else
/// `hookos`. Cards appear when udev has loaded their drivers, so this is asked again later.
pub fn set_hostname() -> io::Result<Hostname> {
    let given = std::fs::read_to_string("/etc/hostname").unwrap_or_default();
    let name = match valid_name(&given) {
        Some(name) => Hostname::Final(name),
        None => match first_card() {
            Some(address) => Hostname::Final(format!("{PREFIX}-{}", address.replace(':', ""))),
            None => Hostname::Provisional,
        },
    };
    let text = match &name {
        Hostname::Final(name) => name.as_str(),
        Hostname::Provisional => PREFIX,
    };
    rustix::system::sethostname(text.as_bytes())?;
    Ok(name)
}

/// The first line of a hostname file, if it can be a host name (RFC 1123, at most 63 bytes).
pub fn valid_name(text: &str) -> Option<String> {
    let name = text.lines().map(str::trim).find(|l| !l.is_empty() && !l.starts_with('#'))?;
    let fits = name.len() <= 63
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.')
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.']);
    fits.then(|| name.to_owned())
}

/// The address of the first network card with a device behind it, in the order of names.
fn first_card() -> Option<String> {
    let mut cards: Vec<_> = std::fs::read_dir("/sys/class/net").ok()?.flatten().map(|e| e.path()).collect();
    cards.sort();
    cards.iter().find_map(|card| {
        if !card.join("device").exists() {
            return None;
        }
        let address = std::fs::read_to_string(card.join("address")).ok()?;
        let address = address.trim();
        let real = address.len() == 17
            && address.chars().all(|c| c.is_ascii_hexdigit() || c == ':')
            && address != "00:00:00:00:00:00";
        real.then(|| address.to_owned())
    })
}

/// Appends the lines of the site's hosts file that /etc/hosts does not have yet.
pub fn merge_hosts(hosts: &Path, site: &Path) -> io::Result<()> {
    let extra = match std::fs::read_to_string(site) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e),
    };
    let have = std::fs::read_to_string(hosts).unwrap_or_default();
    if let Some(text) = merged(&have, &extra) {
        // Written new and put in place: in the image, equal files may share one inode.
        let new = hosts.with_extension("new");
        std::fs::write(&new, text)?;
        std::fs::rename(&new, hosts)?;
    }
    Ok(())
}

fn merged(have: &str, extra: &str) -> Option<String> {
    let mut text = have.to_owned();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut known: Vec<String> = have.lines().map(words).collect();
    for line in extra.lines().filter(|l| !l.trim().is_empty()) {
        if !known.contains(&words(line)) {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str(line.trim_end());
            text.push('\n');
            known.push(words(line));
        }
    }
    (text != have).then_some(text)
}

/// Makes `/run/resolvconf/resolv.conf`, to which /etc/resolv.conf links: the site's name servers, or
/// an empty file for the DHCP client to fill.
pub fn resolv_conf() -> io::Result<()> {
    std::fs::create_dir_all("/run/resolvconf")?;
    let site = std::fs::read("/etc/hook/resolv.conf").unwrap_or_default();
    std::fs::write("/run/resolvconf/resolv.conf", site)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        assert_eq!(valid_name("\n # x\n edge-1.site \nother").as_deref(), Some("edge-1.site"));
        for bad in ["", "a b", "-a", "a.", "é", &"x".repeat(64)] {
            assert_eq!(valid_name(bad), None, "{bad}");
        }
    }

    #[test]
    fn hosts_are_merged_once() {
        let have = "127.0.0.1 localhost";
        let site = "10.0.0.1   orch.example  \n127.0.0.1\tlocalhost\n\n10.0.0.1 orch.example\n";
        let text = merged(have, site).unwrap();
        assert_eq!(text, "127.0.0.1 localhost\n10.0.0.1   orch.example\n");
        assert_eq!(merged(&text, site), None);
    }

    #[test]
    fn a_site_without_hosts_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let hosts = dir.path().join("hosts");
        std::fs::write(&hosts, "x\n").unwrap();
        merge_hosts(&hosts, &dir.path().join("missing")).unwrap();
        std::fs::write(dir.path().join("site"), "1.2.3.4 a\n").unwrap();
        merge_hosts(&hosts, &dir.path().join("site")).unwrap();
        assert_eq!(std::fs::read_to_string(&hosts).unwrap(), "x\n1.2.3.4 a\n");
    }
}
