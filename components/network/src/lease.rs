//! What a lease says besides addresses: name servers, search domains, time servers, a host name.
//!
//! dhcpcd runs this program at each change with the facts in the environment (dhcpcd-run-hooks(8)).
//! Each interface and protocol has its record in `/run/network/leases`; what programs read is written
//! from all of them.

use crate::NAME;
use crate::ipam::is_host_name;
use hookos_guest::notice;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::{self, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// resolv.conf(5): resolvers read no more name servers than this.
const MOST_SERVERS: usize = 3;
/// resolv.conf(5) of older resolvers: no more search domains than this.
const MOST_DOMAINS: usize = 6;

/// Facts about one interface and protocol.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Facts {
    pub dns: Vec<String>,
    pub search: Vec<String>,
    pub ntp: Vec<String>,
    pub hostname: Option<String>,
}

/// What the site says in `/etc/hook/resolv.conf`: name servers for as long as the network names none,
/// and search domains, which always count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Site {
    dns: Vec<String>,
    search: Vec<String>,
}

impl Site {
    pub fn of_this_machine() -> Self {
        let bytes = fs::read("/etc/hook/resolv.conf").unwrap_or_default();
        Self::parse(&String::from_utf8_lossy(&bytes))
    }

    fn parse(text: &str) -> Self {
        let mut site = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => site.dns.extend(words.next().map(str::to_owned)),
                Some("search" | "domain") => site.search.extend(words.map(str::to_owned)),
                _ => {}
            }
        }
        site.dns.retain(|s| s.parse::<IpAddr>().is_ok());
        site.search.retain(|d| is_host_name(d));
        site
    }
}

/// The folders that facts are kept in.
pub struct Places {
    run: PathBuf,
}

impl Places {
    pub fn of_this_machine() -> Self {
        Self { run: PathBuf::from("/run") }
    }

    fn leases(&self) -> PathBuf {
        self.run.join("network/leases")
    }

    /// Keeps the facts of `interface` and `family` (`4`, `6`, `ra`, `static`), or forgets them, and
    /// writes what follows from all that is known.
    pub fn set(&self, interface: &str, family: &str, facts: Option<&Facts>, site: &Site) -> io::Result<()> {
        let folder = self.leases();
        fs::create_dir_all(&folder)?;
        // The family first: IPv4's servers are asked first, whatever the cards are called.
        let path = folder.join(format!("{family}-{interface}.json"));
        match facts {
            Some(facts) => {
                let fresh = path.with_extension("new");
                fs::write(&fresh, serde_json::to_vec(facts)?)?;
                fs::rename(&fresh, &path)?;
            }
            None => match fs::remove_file(&path) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            },
        }
        self.publish(site)
    }

    /// Writes `/run/resolvconf/resolv.conf` and `/run/network/ntp`.
    pub fn publish(&self, site: &Site) -> io::Result<()> {
        let known = self.known();
        fs::create_dir_all(self.run.join("resolvconf"))?;
        fs::create_dir_all(self.run.join("network"))?;
        write_in_place(&self.run.join("resolvconf/resolv.conf"), &resolv_conf(&known, site))?;
        let ntp: String =
            unique(known.iter().flat_map(|f| &f.ntp)).iter().map(|s| format!("{s}\n")).collect();
        write_in_place(&self.run.join("network/ntp"), &ntp)
    }

    fn known(&self) -> Vec<Facts> {
        let Ok(folder) = fs::read_dir(self.leases()) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = folder.flatten().map(|e| e.path()).collect();
        paths.retain(|p| p.extension().is_some_and(|e| e == "json"));
        paths.sort();
        paths.iter().filter_map(|p| serde_json::from_slice(&fs::read(p).ok()?).ok()).collect()
    }
}

/// Writes a file without making a new one: containers have this very file bound into them and would
/// go on reading the old one.
fn write_in_place(path: &Path, text: &str) -> io::Result<()> {
    if fs::read(path).is_ok_and(|old| old == text.as_bytes()) {
        return Ok(());
    }
    let mut file = fs::OpenOptions::new().create(true).write(true).truncate(true).open(path)?;
    file.write_all(text.as_bytes())
}

fn resolv_conf(known: &[Facts], site: &Site) -> String {
    let mut servers = unique(known.iter().flat_map(|f| &f.dns));
    if servers.is_empty() {
        servers = unique(site.dns.iter());
    }
    let domains = unique(site.search.iter().chain(known.iter().flat_map(|f| &f.search)));
    let mut text = String::new();
    if !domains.is_empty() {
        let list: Vec<&str> = domains.iter().take(MOST_DOMAINS).map(|d| d.as_str()).collect();
        text.push_str(&format!("search {}\n", list.join(" ")));
    }
    for server in servers.iter().take(MOST_SERVERS) {
        text.push_str(&format!("nameserver {server}\n"));
    }
    text
}

fn unique<'a>(items: impl Iterator<Item = &'a String>) -> Vec<&'a String> {
    let mut seen: Vec<&String> = Vec::new();
    for item in items {
        if !seen.contains(&item) {
            seen.push(item);
        }
    }
    seen
}

/// What a call of the hook means.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    Set(Facts),
    Forget,
    Nothing,
}

/// Reads dhcpcd's variables; all of them come from the network and are checked.
fn change(reason: &str, variable: impl Fn(&str) -> Option<String>) -> (&'static str, Change) {
    let family = match reason {
        "ROUTERADVERT" => "ra",
        r if r.ends_with('6') => "6",
        _ => "4",
    };
    match reason.trim_end_matches('6') {
        "BOUND" | "RENEW" | "REBIND" | "REBOOT" | "INFORM" | "STATIC" | "TIMEOUT" | "ROUTERADVERT" => {}
        // What a stop of the daemon leaves behind stays in force (`persistent` in dhcpcd.conf).
        "EXPIRE" | "RELEASE" | "NAK" | "FAIL" => return (family, Change::Forget),
        _ => return (family, Change::Nothing),
    }
    let words = |name: &str| -> Vec<String> {
        variable(name).unwrap_or_default().split_whitespace().map(str::to_owned).collect()
    };
    let (mut dns, mut search, mut ntp) = (Vec::new(), Vec::new(), Vec::new());
    match family {
        "4" => {
            dns = words("new_domain_name_servers");
            search = words("new_domain_search");
            if search.is_empty() {
                search = words("new_domain_name");
            }
            ntp = words("new_ntp_servers");
        }
        "6" => {
            dns = words("new_dhcp6_name_servers");
            search = words("new_dhcp6_domain_search");
            ntp = words("new_dhcp6_sntp_servers");
        }
        _ => {
            for router in 1..=4 {
                for option in 1..=4 {
                    dns.extend(words(&format!("nd{router}_rdnss{option}_servers")));
                    search.extend(words(&format!("nd{router}_dnssl{option}_search")));
                }
            }
        }
    }
    dns.retain(|s| s.split('%').next().is_some_and(|a| a.parse::<IpAddr>().is_ok()) && safe_scope(s));
    search.retain(|d| is_host_name(d));
    ntp.retain(|s| s.parse::<IpAddr>().is_ok() || is_host_name(s));
    let hostname = variable("new_host_name").filter(|h| family == "4" && is_host_name(h));
    (family, Change::Set(Facts { dns, search, ntp, hostname }))
}

fn safe_scope(server: &str) -> bool {
    server.split_once('%').is_none_or(|(_, scope)| crate::request::is_card_name(scope))
}

/// The call by dhcpcd. Always ends with 0: dhcpcd does nothing with another code.
pub fn hook() -> ExitCode {
    let variable = |name: &str| std::env::var_os(name).map(|v| v.to_string_lossy().into_owned());
    let interface = variable("interface").unwrap_or_default();
    let reason = variable("reason").unwrap_or_default();
    if !crate::request::is_card_name(&interface) {
        return ExitCode::SUCCESS;
    }
    let (family, change) = change(&reason, variable);
    let site = Site::of_this_machine();
    let places = Places::of_this_machine();
    let done = match &change {
        Change::Nothing => return ExitCode::SUCCESS,
        Change::Forget => places.set(&interface, family, None, &site),
        Change::Set(facts) => {
            if let Some(name) = &facts.hostname {
                set_hostname(name);
            }
            places.set(&interface, family, Some(facts), &site)
        }
    };
    if let Err(e) = done {
        notice::warn(NAME, &format!("name servers of {interface} cannot be kept: {e}"));
    }
    ExitCode::SUCCESS
}

/// Sets the machine's name, at most 64 bytes (uname(2)).
pub fn set_hostname(name: &str) {
    let short = if name.len() > 64 { name.split('.').next().unwrap_or(name) } else { name };
    if let Err(e) = rustix::system::sethostname(short.trim_end_matches('.').as_bytes()) {
        notice::warn(NAME, &format!("the host name {short} cannot be set: {e}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;
    use std::os::unix::fs::MetadataExt as _;

    fn variables(of: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let map: HashMap<String, String> =
            of.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        move |name| map.get(name).cloned()
    }

    #[test]
    fn a_lease_is_read_and_checked() {
        let (family, change) = change(
            "BOUND",
            variables(&[
                ("new_domain_name_servers", "192.0.2.1 bad;x 192.0.2.2"),
                ("new_domain_name", "example.com $(x)"),
                ("new_ntp_servers", "192.0.2.3"),
                ("new_host_name", "node;7"),
            ]),
        );
        assert_eq!(family, "4");
        let Change::Set(facts) = change else { panic!("{change:?}") };
        assert_eq!(facts.dns, ["192.0.2.1", "192.0.2.2"]);
        assert_eq!(facts.search, ["example.com"]);
        assert_eq!(facts.ntp, ["192.0.2.3"]);
        assert_eq!(facts.hostname, None);
    }

    #[test]
    fn router_advertisements_carry_servers() {
        let (family, change) =
            change("ROUTERADVERT", variables(&[("nd1_rdnss1_servers", "fe80::1%eth0 2001:db8::1")]));
        assert_eq!(family, "ra");
        assert!(matches!(change, Change::Set(f) if f.dns.len() == 2));
    }

    #[test]
    fn a_stop_keeps_and_an_expiry_forgets() {
        assert_eq!(change("STOPPED", |_| None).1, Change::Nothing);
        assert_eq!(change("EXPIRE6", |_| None), ("6", Change::Forget));
    }

    #[test]
    fn files_follow_the_leases_and_stay_the_same_file() {
        let run = tempfile::tempdir().unwrap();
        let places = Places { run: run.path().to_owned() };
        let site = Site::parse("# site\nsearch site.example bad;x\nnameserver 198.51.100.1\nnameserver x\n");
        let resolv = run.path().join("resolvconf/resolv.conf");
        places.publish(&site).unwrap();
        assert_eq!(fs::read_to_string(&resolv).unwrap(), "search site.example\nnameserver 198.51.100.1\n");
        let before = fs::metadata(&resolv).unwrap().ino();
        let own = |n: u8| Facts {
            dns: vec![format!("192.0.2.{n}"), "192.0.2.9".to_owned()],
            ntp: vec!["192.0.2.123".to_owned()],
            ..Facts::default()
        };
        places.set("eth1", "4", Some(&own(2)), &site).unwrap();
        places.set("eth0", "4", Some(&own(1)), &site).unwrap();
        let text = fs::read_to_string(&resolv).unwrap();
        assert_eq!(
            text,
            "search site.example\nnameserver 192.0.2.1\nnameserver 192.0.2.9\nnameserver 192.0.2.2\n"
        );
        assert_eq!(fs::read_to_string(run.path().join("network/ntp")).unwrap(), "192.0.2.123\n");
        places.set("eth0", "4", None, &site).unwrap();
        places.set("eth0", "6", None, &site).unwrap();
        assert!(!fs::read_to_string(&resolv).unwrap().contains("192.0.2.1\n"));
        assert_eq!(fs::metadata(&resolv).unwrap().ino(), before);
    }
}
