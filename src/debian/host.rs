//! What is taken over from the host's configuration of apt: where the archives are, and how to reach them.

use super::Error;
use super::answer::said;
use super::run::run;
use super::sources::{self, Archives};
use std::path::PathBuf;
use std::process::Command;

/// What is taken over from the host's configuration.
#[derive(Debug, Clone)]
pub(super) struct Host {
    pub archives: Archives,
    pub acquire: String,
}

impl Host {
    pub(super) fn read() -> Result<Self, Error> {
        let ask = |args: &[&str]| -> Result<String, Error> {
            let mut command = Command::new("apt-config");
            command.args(args).env("LC_ALL", "C.UTF-8");
            let output = run("apt-config", &mut command, &crate::progress::Silent, || ())?;
            if output.ok { Ok(output.stdout) } else { Err(Error::Answer(said(output).join("; "))) }
        };
        let acquire = acquire_settings(&ask(&["dump"])?);
        let places = ask(&["shell", "LIST", "Dir::Etc::sourcelist/f", "PARTS", "Dir::Etc::sourceparts/d"])?;
        let mut list = PathBuf::from("/etc/apt/sources.list");
        let mut parts = PathBuf::from("/etc/apt/sources.list.d");
        for word in shlex::split(&places).unwrap_or_default() {
            match word.split_once('=') {
                Some(("LIST", path)) => list = path.into(),
                Some(("PARTS", path)) => parts = path.into(),
                _ => {}
            }
        }
        Ok(Self { archives: sources::of_host(&list, &parts)?, acquire })
    }
}

/// The lines of `apt-config dump` that say how to reach servers. Retries default to 3.
fn acquire_settings(dump: &str) -> String {
    const OURS: [&str; 10] = [
        "Acquire::IndexTargets",
        "Acquire::Changelogs",
        "Acquire::Languages",
        "Acquire::GzipIndexes",
        "Acquire::CompressionTypes",
        "Acquire::ForceHash",
        "Acquire::AllowInsecureRepositories",
        "Acquire::AllowWeakRepositories",
        "Acquire::AllowDowngradeToInsecureRepositories",
        "Acquire::By-Hash",
    ];
    let mut out = String::from("Acquire::Retries \"3\";\nAcquire::http::Timeout \"60\";\n");
    for line in dump.lines().map(str::trim) {
        let Some((key, value)) = line.split_once(' ') else { continue };
        if key.starts_with("Acquire::") && value != "\"\";" && !OURS.iter().any(|o| key.starts_with(o)) {
            out.push_str(line);
            out.push('\n');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ways_to_servers_are_taken_from_the_host() {
        let dump = "APT::Update::Post-Invoke:: \"rm -rf /\";\nAcquire \"\";\n\
                    Acquire::http::Proxy \"http://p:1/\";\nAcquire::AllowInsecureRepositories \"1\";\n\
                    Acquire::IndexTargets::deb::DEP-11::MetaKey \"x\";\nDPkg::Post-Invoke:: \"x\";\n";
        let kept = acquire_settings(dump);
        assert!(kept.ends_with("Timeout \"60\";\nAcquire::http::Proxy \"http://p:1/\";\n"), "{kept}");
    }
}
