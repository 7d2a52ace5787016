//! The engine's configuration file, from the kernel command line and the site's settings.

use crate::{registries, syslog};
use hookos_guest::cmdline::Cmdline;
use hookos_guest::proxy::Proxies;
use hookos_guest::secret::Secrets;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

pub const FILE: &str = "/etc/docker/daemon.json";
pub const SOCKET: &str = "unix:///var/run/docker.sock";

/// What the engine shall do.
#[derive(Debug)]
pub struct Wanted {
    pub debug: bool,
    pub syslog: String,
    pub insecure: Vec<String>,
    pub proxies: Vec<(&'static str, String)>,
    /// What no line may show.
    pub secrets: Secrets,
    /// What was wrong with the settings, in words.
    pub complaints: Vec<String>,
}

impl Wanted {
    /// Reads the settings. A value that the engine would refuse to start with is left out and told.
    pub fn new(cmdline: &Cmdline, site: &BTreeMap<String, String>) -> Self {
        let mut complaints = Vec::new();
        let syslog =
            syslog::address(cmdline.value("syslog_host").unwrap_or_default()).unwrap_or_else(|why| {
                complaints.push(why);
                syslog::LOCAL.to_owned()
            });
        let (insecure, refused) = registries::list(cmdline.values("insecure_registries"));
        complaints.extend(refused);
        let proxies = Proxies::choose(cmdline, site);
        let mut secrets = Secrets::default();
        proxies.secrets(&mut secrets);
        // With `debug` the engine logs the worker's environment.
        secrets.add(cmdline.value("registry_password").unwrap_or_default());
        let given = proxies.environment().into_iter().filter(|(_, value)| !value.is_empty());
        Self {
            debug: cmdline.value("DEBUG").is_some_and(is_true),
            syslog,
            insecure,
            proxies: given.map(|(key, value)| (key, value.to_owned())).collect(),
            secrets,
            complaints,
        }
    }

    /// The settings for the log, without passwords.
    pub fn summary(&self) -> Vec<String> {
        let mut lines = vec![format!("containers log to {}", self.syslog)];
        if !self.insecure.is_empty() {
            lines.push(format!("registries used without TLS checks: {}", self.insecure.join(", ")));
        }
        lines.extend(self.proxies.iter().map(|(key, value)| self.secrets.hide(&format!("{key}={value}"))));
        lines
    }

    /// Writes daemon.json, for root alone.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(self.json().to_string().as_bytes())
    }

    fn json(&self) -> Value {
        json!({
            "debug": self.debug,
            "hosts": [SOCKET],
            "log-driver": "syslog",
            "log-opts": {
                "syslog-address": self.syslog,
                "syslog-format": "rfc3164",
                // The engine's own copy of the last lines, which lies in memory; `docker logs` reads it.
                "cache-max-size": "1m",
                "cache-max-file": "2",
            },
            "insecure-registries": self.insecure,
            "storage-driver": "overlay2",
            "data-root": crate::storage::FOLDER,
            // There is no systemd to ask for groups.
            "exec-opts": ["native.cgroupdriver=cgroupfs"],
            // The storage does not outlive the engine, so no container can.
            "live-restore": false,
            // PID 1 gives a service 10 seconds to end.
            "shutdown-timeout": 5,
        })
    }
}

/// The words for true that the reference's programs (Go's strconv.ParseBool) take.
fn is_true(word: &str) -> bool {
    matches!(word, "1" | "t" | "T" | "true" | "TRUE" | "True")
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookos_guest::env_config;
    use proptest::prelude::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn wanted(cmdline: &str, site: &str) -> Wanted {
        Wanted::new(&Cmdline::parse(cmdline.as_bytes()), &env_config::parse(site))
    }

    #[test]
    fn an_empty_command_line_logs_to_the_local_shipper() {
        let got = wanted("quiet syslog_host= insecure_registries DEBUG=false\n", "");
        let json = got.json();
        assert_eq!(json["log-driver"], "syslog");
        assert_eq!(json["log-opts"]["syslog-address"], "udp://127.0.0.1:5140");
        assert_eq!(json["log-opts"]["syslog-format"], "rfc3164");
        assert_eq!(json["hosts"], json!(["unix:///var/run/docker.sock"]));
        assert_eq!(json["insecure-registries"], json!([]));
        assert_eq!(json["debug"], false);
        assert_eq!(json["live-restore"], false);
        assert!(got.complaints.is_empty() && got.proxies.is_empty());
    }

    #[test]
    fn everything_from_the_command_line() {
        let got = wanted(
            "DEBUG=true syslog_host=192.0.2.9 insecure_registries=reg.example.com:5000,,a/b \
             HTTPS_PROXY=http://u:hunter2@proxy:3128 registry_password=hunter3",
            "http_proxy=http://site",
        );
        let json = got.json();
        assert_eq!(json["debug"], true);
        assert_eq!(json["log-opts"]["syslog-address"], "udp://192.0.2.9:514");
        assert_eq!(json["insecure-registries"], json!(["reg.example.com:5000"]));
        assert!(got.complaints.len() == 1 && got.complaints[0].contains("a/b"), "{:?}", got.complaints);
        assert_eq!(got.proxies, [("HTTPS_PROXY", "http://u:hunter2@proxy:3128".to_owned())]);
        assert!(got.summary().iter().all(|line| !line.contains("hunter2")), "{:?}", got.summary());
        assert_eq!(got.secrets.hide("REGISTRY_PASSWORD=hunter3"), "REGISTRY_PASSWORD=***");
        // Proxies go to the engine by its environment: the file needs no password.
        assert!(!json.to_string().contains("hunter2"));
    }

    #[test]
    fn the_file_is_for_root_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("etc/docker/daemon.json");
        for debug in ["false", "true"] {
            wanted(&format!("DEBUG={debug}"), "").write(&path).unwrap();
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
        }
        let back: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        assert_eq!(back["debug"], true);
    }

    proptest! {
        #[test]
        fn any_command_line_gives_a_configuration(bytes in proptest::collection::vec(any::<u8>(), 0..200),
                                                  host in ".{0,20}", registries in ".{0,30}") {
            let mut line = bytes;
            line.extend(format!(" syslog_host={host} insecure_registries={registries}").bytes());
            let got = Wanted::new(&Cmdline::parse(&line), &BTreeMap::new());
            let json = got.json();
            let address = json["log-opts"]["syslog-address"].as_str().unwrap();
            prop_assert!(address.starts_with("udp://") && !address.contains(char::is_whitespace));
        }
    }
}
