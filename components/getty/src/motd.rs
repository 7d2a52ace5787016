//! The few lines above a session.

use std::process::Command;

/// Name, addresses and what to type.
pub fn motd() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let output =
        Command::new("/usr/bin/busybox").args(["ip", "-o", "address", "show", "scope", "global"]).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
    let addresses = addresses(&text);
    let addresses = if addresses.is_empty() { "no address yet".to_owned() } else { addresses.join(", ") };
    format!(
        "\r\nHookOS on {name} ({addresses})\r\n`service list` shows what runs, `service log NAME` what it says.\r\n\r\n"
    )
}

/// `eth0 192.0.2.1` from lines such as `2: eth0    inet 192.0.2.1/24 brd ...`; bridges of containers
/// are left out.
fn addresses(text: &str) -> Vec<String> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let name = words.nth(1)?.trim_end_matches(':').split('@').next()?.to_owned();
        let family = words.next()?;
        let address = words.next()?.split('/').next()?;
        let shown = family.starts_with("inet") && !name.starts_with("docker") && !name.starts_with("br-");
        shown.then(|| format!("{name} {address}"))
    };
    text.lines().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_of_cards() {
        let text = "2: eth0    inet 10.0.2.15/24 brd 10.0.2.255 scope global eth0\\       valid_lft forever\n\
                    3: docker0    inet 172.17.0.1/16 scope global docker0\n\
                    4: eth0.7@eth0    inet6 2001:db8::1/64 scope global\n\nodd\n";
        assert_eq!(super::addresses(text), ["eth0 10.0.2.15", "eth0.7 2001:db8::1"]);
    }
}
