//! One suite of an archive: its lists, and the private configuration that every call of apt gets.

use super::Error;
use super::answer::{self, said};
use super::apt::KEYRING;
use super::lock::Package;
use super::run::run;
use crate::progress::Progress;
use crate::store::Lock;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, SystemTime};

/// One suite's private state, locked for as long as this lives.
pub(super) struct Suite {
    pub(super) name: String,
    pub(super) state: PathBuf,
    pub(super) main: String,
    pub(super) security: Option<String>,
    pub(super) acquire: String,
    /// Holds the configuration and the downloads of this call.
    pub(super) scratch: tempfile::TempDir,
    pub(super) _lock: Lock,
}

impl Suite {
    /// Its time says when the lists were fetched; its content, `-updates` when that suite exists.
    pub(super) fn stamp(&self) -> PathBuf {
        self.state.join("fetched")
    }

    /// How old the lists are; none if there are none.
    pub(super) fn age(&self) -> Option<Duration> {
        let then = fs::metadata(self.stamp()).and_then(|m| m.modified()).ok()?;
        Some(SystemTime::now().duration_since(then).unwrap_or(Duration::MAX))
    }

    pub(super) fn update(&self, progress: &dyn Progress) -> Result<(), Error> {
        let _ = fs::remove_file(self.stamp());
        progress.log(&format!("fetching the package lists of {}", self.name));
        let mut updates = has_companions(&self.name);
        let mut waits = 0;
        loop {
            let mut command = self.command_for("apt-get", updates)?;
            command.args(["update", "-q", "-o", "APT::Update::Error-Mode=any"]);
            let output = run("apt-get", &mut command, progress, || ())?;
            let failed = |l: &String| l.starts_with("E:") || l.contains("Failed to fetch");
            if output.ok && !output.complaints.iter().any(failed) {
                break;
            }
            let lines = said(output);
            // An apt whose starter was killed holds its lock a little longer.
            if waits < 60 && lines.iter().any(|l| l.contains("Could not get lock")) {
                waits += 1;
                std::thread::sleep(Duration::from_secs(1));
                if progress.cancelled() {
                    return Err(Error::Cancelled);
                }
                continue;
            }
            // Old suites have no -updates any more.
            let absent = format!("{}-updates Release' does not have a Release file", self.name);
            if updates && lines.iter().any(|l| l.contains(&absent)) {
                updates = false;
                continue;
            }
            return Err(Error::Update { suite: self.name.clone(), lines });
        }
        let path = self.stamp();
        fs::write(&path, if updates { "-updates" } else { "" }).map_err(|source| Error::Io { path, source })
    }

    /// That every package is offered at its version.
    pub(super) fn check_offered(&self, packages: &[&Package], progress: &dyn Progress) -> Result<(), Error> {
        let mut command = self.command("apt-cache")?;
        command.arg("madison").args(packages.iter().map(|p| &p.name));
        let output = run("apt-cache", &mut command, progress, || ())?;
        let mut offered = answer::versions(&output.stdout);
        for package in packages {
            let versions = offered.remove(package.name.as_str()).unwrap_or_default();
            if !versions.contains(&package.version.as_str()) {
                return Err(Error::Gone {
                    name: package.name.clone(),
                    suite: self.name.clone(),
                    locked: package.version.clone(),
                    available: versions.into_iter().map(str::to_owned).collect(),
                });
            }
        }
        Ok(())
    }

    pub(super) fn command(&self, program: &'static str) -> Result<Command, Error> {
        let updates = fs::read_to_string(self.stamp()).is_ok_and(|text| text == "-updates");
        self.command_for(program, updates)
    }

    /// Writes the private configuration (in a folder of mode 0700: proxies and mirrors may carry passwords) and
    /// returns a command that uses it.
    fn command_for(&self, program: &'static str, updates: bool) -> Result<Command, Error> {
        let folder = self.scratch.path();
        let write = |name: &str, text: &str| {
            let path = folder.join(name);
            let made = fs::write(&path, text);
            made.map_err(|source| Error::Io { path, source })
        };
        let suites = if updates { format!("{0} {0}-updates", self.name) } else { self.name.clone() };
        let mut sources = stanza(&self.main, &suites);
        if let Some(security) = &self.security {
            sources.push_str(&stanza(security, &format!("{}-security", self.name)));
        }
        write("own.sources", &sources)?;
        write("status", "")?;
        let (own, state) = (folder.display(), self.state.display());
        let config = format!(
            "{acquire}\
             Dir::State \"{state}/\";\nDir::State::lists \"lists/\";\nDir::State::status \"{own}/status\";\n\
             Dir::Cache \"{state}/cache/\";\nDir::Cache::pkgcache \"pkgcache.bin\";\nDir::Cache::srcpkgcache \"\";\n\
             Dir::Log \"{own}/\";\nDir::Etc::main \"/dev/null\";\nDir::Etc::parts \"/dev/null\";\n\
             Dir::Etc::sourcelist \"{own}/own.sources\";\nDir::Etc::sourceparts \"/dev/null\";\n\
             Dir::Etc::preferences \"/dev/null\";\nDir::Etc::preferencesparts \"/dev/null\";\n\
             Dir::Etc::trusted \"/dev/null\";\nDir::Etc::trustedparts \"/dev/null\";\n\
             APT::Architecture \"amd64\";\nAPT::Architectures \"amd64\";\nAPT::Default-Release \"\";\n\
             APT::Install-Recommends \"false\";\nAPT::Install-Suggests \"false\";\n\
             APT::Sandbox::User \"root\";\nAPT::Color \"0\";\n\
             Acquire::AllowReleaseInfoChange \"true\";\nAcquire::Languages \"none\";\nAcquire::ForceHash \"SHA256\";\nAcquire::GzipIndexes \"true\";\n\
             Acquire::AllowInsecureRepositories \"false\";\nAcquire::AllowWeakRepositories \"false\";\n\
             Acquire::AllowDowngradeToInsecureRepositories \"false\";\n",
            acquire = self.acquire,
        );
        write("apt.conf", &config)?;
        let mut command = Command::new(program);
        command
            .env("APT_CONFIG", folder.join("apt.conf"))
            .env("LC_ALL", "C.UTF-8")
            .env("DEBIAN_FRONTEND", "noninteractive");
        Ok(command)
    }
}

fn stanza(uri: &str, suites: &str) -> String {
    format!(
        "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n\n"
    )
}

/// Whether `-updates` and `-security` belong to the suite.
pub(super) fn has_companions(suite: &str) -> bool {
    !suite.contains('-') && !matches!(suite, "sid" | "unstable" | "experimental" | "rc-buggy")
}
