//! The host's apt with private state: resolves package sets of any suite and downloads them.
//!
//! Every call gets a configuration of its own through `APT_CONFIG` (apt.conf(5)): private lists and
//! cache, an empty dpkg status, sources written here with `Signed-By` Debian's keyring. Of the host's
//! configuration only the `Acquire` settings are taken over (proxies, timeouts, certificates); its
//! hooks, pins, trusted keys and sources are not, and what would weaken the signature check is not.
//! It works the same for root and for an ordinary user.
//!
//! The lists of a suite are kept in `<store>/apt/`, one folder for each suite and mirror.

use super::run::{Output, run};
use super::sources::{self, Archives};
use super::{Error, lock::Package};
use crate::progress::{Progress, Unit};
use crate::secret::{mask, mask_urls};
use crate::store::{Digest, Hasher, Lock, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, SystemTime};

/// Debian's archive keys, as the package `debian-archive-keyring` installs them.
pub const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where packages come from when it is not the host's apt configuration that says it.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// The Debian archive, for example `https://HOST/debian`.
    pub mirror: Option<String>,
    /// The security archive. Without it, and with a `mirror` that ends in `/debian`, the
    /// `/debian-security` beside that.
    pub security_mirror: Option<String>,
}

/// How old the package lists may be that a resolution uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Freshness {
    /// Whatever is there.
    Any,
    /// At most this old.
    Within(Duration),
    /// Fetched by this [`Apt`], which fetches the lists of a suite once in its life.
    Now,
}

/// Access to Debian's archive. Many threads may share one; calls for one suite wait for each other.
pub struct Apt {
    store: Store,
    settings: Settings,
    host: OnceLock<Host>,
    refreshed: Mutex<BTreeSet<String>>,
}

/// What is taken over from the host's configuration.
#[derive(Debug, Clone)]
struct Host {
    archives: Archives,
    acquire: String,
}

/// One suite's private state, locked for as long as this lives.
struct Suite {
    name: String,
    state: PathBuf,
    main: String,
    security: Option<String>,
    acquire: String,
    /// Holds the configuration and the downloads of this call.
    scratch: tempfile::TempDir,
    _lock: Lock,
}

impl Apt {
    /// Reads and starts nothing yet.
    pub fn new(store: &Store, settings: &Settings) -> Self {
        Self {
            store: store.clone(),
            settings: settings.clone(),
            host: OnceLock::new(),
            refreshed: Mutex::default(),
        }
    }

    /// The packages that installing `packages` on an empty system takes, without recommendations and
    /// without those that `leave_out` names; sorted by name.
    ///
    /// A `suite` such as `trixie` stands for trixie, trixie-updates and trixie-security; names with a
    /// `-`, and sid, unstable and experimental, stand for themselves alone.
    pub fn resolve(
        &self,
        suite: &str,
        packages: &[String],
        leave_out: &[String],
        freshness: Freshness,
        progress: &dyn Progress,
    ) -> Result<Vec<Package>, Error> {
        for name in packages.iter().chain(leave_out) {
            check_package(name)?;
        }
        if packages.is_empty() {
            return Ok(Vec::new());
        }
        let suite = self.open(suite)?;
        self.refresh(&suite, freshness, progress)?;
        let ask = || {
            let mut command = suite.command("apt-get")?;
            command.args(["install", "--print-uris", "-y", "-qq", "--no-install-recommends"]).args(packages);
            run("apt-get", &mut command, progress, || ())
        };
        let mut output = ask()?;
        if !output.ok && !self.is_refreshed(&suite) {
            // The lists may be old, or damaged by a power cut.
            self.refresh(&suite, Freshness::Now, progress)?;
            output = ask()?;
        }
        if !output.ok {
            let packages = packages.join(" ");
            return Err(Error::Resolve { suite: suite.name, packages, lines: said(output) });
        }
        for name in leave_out.iter().filter(|name| !output.stdout.contains(&format!("' {name}_"))) {
            progress.log(&format!("`leave_out` names {name}, which nothing here would bring"));
        }
        let mut found = Vec::new();
        for line in output.stdout.lines().filter(|l| l.starts_with('\'')) {
            let package = parse_uri_line(line).ok_or_else(|| Error::Answer(mask_urls(line)))?;
            if !leave_out.contains(&package.name) {
                found.push(package);
            }
        }
        found.sort();
        Ok(found)
    }

    /// Brings packages into the store, each as a blob whose digest is the package's `sha256`. Those
    /// that are there already are left alone; when all are, neither apt nor the network is touched.
    pub fn fetch(&self, suite: &str, packages: &[Package], progress: &dyn Progress) -> Result<(), Error> {
        let absent = |p: &&Package| !self.store.has(&p.sha256);
        if !packages.iter().any(|p| absent(&p)) {
            return Ok(());
        }
        let suite = self.open(suite)?;
        // Another thread or process may have fetched them while this one waited for the lock.
        let missing: Vec<&Package> = packages.iter().filter(absent).collect();
        if missing.is_empty() {
            return Ok(());
        }
        self.refresh(&suite, Freshness::Any, progress)?;
        if let Err(error) = suite.check_offered(&missing, progress) {
            if !matches!(error, Error::Gone { .. }) || self.is_refreshed(&suite) {
                return Err(error);
            }
            self.refresh(&suite, Freshness::Now, progress)?;
            suite.check_offered(&missing, progress)?;
        }
        let mut result = self.download(&suite, &missing, progress);
        if matches!(result, Err(Error::Download { .. })) && !self.is_refreshed(&suite) {
            // The lists may be older than the pool.
            self.refresh(&suite, Freshness::Now, progress)?;
            let missing: Vec<&Package> = packages.iter().filter(absent).collect();
            suite.check_offered(&missing, progress)?;
            result = self.download(&suite, &missing, progress);
        }
        result
    }

    fn download(&self, suite: &Suite, missing: &[&Package], progress: &dyn Progress) -> Result<(), Error> {
        let folder = suite.scratch.path().join("debs");
        let io = |source| Error::Io { path: folder.clone(), source };
        fs::create_dir_all(&folder).map_err(io)?;
        let total: u64 = missing.iter().map(|p| p.size).sum();
        progress.log(&format!("fetching {} packages of {}, {total} bytes", missing.len(), suite.name));
        let mut command = suite.command("apt-get")?;
        command.current_dir(&folder).args(["download", "-y", "-qq"]);
        command.args(missing.iter().map(|p| format!("{}={}", p.name, p.version)));
        let tick = || progress.at(bytes_below(&folder).min(total), total, Unit::Bytes);
        let output = run("apt-get", &mut command, progress, tick)?;
        progress.at(total, total, Unit::Bytes);
        // Also after an error: what is complete is kept.
        for entry in fs::read_dir(&folder).map_err(io)?.flatten() {
            let path = entry.path();
            let digest = hash_file(&path)?;
            if missing.iter().any(|p| p.sha256 == digest) {
                self.put(&path)?;
            } else if output.ok {
                let name = entry.file_name().to_string_lossy().into_owned();
                let prefix = |p: &&&Package| name.starts_with(&format!("{}_", p.name));
                if let Some(package) = missing.iter().find(prefix) {
                    return Err(Error::Changed {
                        name: package.name.clone(),
                        version: package.version.clone(),
                        expected: package.sha256.to_string(),
                        found: digest.to_string(),
                    });
                }
            }
            fs::remove_file(&path).map_err(io)?;
        }
        if !output.ok || missing.iter().any(|p| !self.store.has(&p.sha256)) {
            return Err(Error::Download { suite: suite.name.clone(), lines: said(output) });
        }
        Ok(())
    }

    fn put(&self, path: &Path) -> Result<(), Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let mut writer = self.store.writer()?;
        io::copy(&mut File::open(path).map_err(io)?, &mut writer).map_err(io)?;
        writer.commit()?;
        Ok(())
    }

    fn open(&self, name: &str) -> Result<Suite, Error> {
        let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.' | b'+');
        if !name.bytes().all(fine) || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return Err(Error::BadSuite(name.to_owned()));
        }
        let host = self.host()?;
        let has_security = has_companions(name);
        let main = self.settings.mirror.clone().or_else(|| host.archives.main.clone());
        let main = checked_mirror(main, false)?;
        let security = match (has_security, &self.settings) {
            (false, _) => None,
            (true, Settings { security_mirror: Some(uri), .. }) => Some(uri.clone()),
            (true, Settings { mirror: Some(uri), .. }) => {
                let beside = uri.trim_end_matches('/').strip_suffix("/debian");
                beside.map(|start| format!("{start}/debian-security"))
            }
            (true, _) => host.archives.security.clone(),
        };
        let security = has_security.then(|| checked_mirror(security, true)).transpose()?;
        if !Path::new(KEYRING).is_file() {
            return Err(Error::NoKeyring { path: KEYRING.into() });
        }

        let place = Digest::of(format!("{main}\n{}", security.as_deref().unwrap_or("")).as_bytes());
        let folder = format!("{name}-{}", &place.hex()[..12]);
        let lock = self.store.lock(&format!("apt-{}", folder.replace(['.', '+'], "-")))?;
        let root = std::path::absolute(self.store.root()).unwrap_or_else(|_| self.store.root().to_owned());
        let state = root.join("apt").join(folder);
        for below in ["lists/partial", "cache/archives/partial"] {
            let path = state.join(below);
            fs::create_dir_all(&path).map_err(|source| Error::Io { path, source })?;
        }
        let tmp = root.join("tmp");
        let scratch = tempfile::Builder::new()
            .prefix("apt-")
            .tempdir_in(&tmp)
            .map_err(|source| Error::Io { path: tmp, source })?;
        let acquire = host.acquire.clone();
        Ok(Suite { name: name.to_owned(), state, main, security, acquire, scratch, _lock: lock })
    }

    fn host(&self) -> Result<&Host, Error> {
        if self.host.get().is_none() {
            let host = Host::read()?;
            let _ = self.host.set(host);
        }
        self.host.get().ok_or_else(|| Error::Answer("no configuration".into()))
    }

    fn is_refreshed(&self, suite: &Suite) -> bool {
        self.refreshed.lock().unwrap_or_else(PoisonError::into_inner).contains(&suite.name)
    }

    fn refresh(&self, suite: &Suite, freshness: Freshness, progress: &dyn Progress) -> Result<(), Error> {
        let age = fs::metadata(suite.stamp())
            .and_then(|m| m.modified())
            .ok()
            .map(|then| SystemTime::now().duration_since(then).unwrap_or(Duration::MAX));
        let fresh = match (age, freshness) {
            (None, _) => false,
            (Some(_), Freshness::Any) => true,
            (Some(age), Freshness::Within(limit)) => age <= limit || self.is_refreshed(suite),
            (Some(_), Freshness::Now) => self.is_refreshed(suite),
        };
        if !fresh {
            suite.update(progress)?;
            self.refreshed.lock().unwrap_or_else(PoisonError::into_inner).insert(suite.name.clone());
        }
        Ok(())
    }
}

impl Suite {
    /// Its time says when the lists were fetched; its content, `-updates` when that suite exists.
    fn stamp(&self) -> PathBuf {
        self.state.join("fetched")
    }

    fn update(&self, progress: &dyn Progress) -> Result<(), Error> {
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
    fn check_offered(&self, packages: &[&Package], progress: &dyn Progress) -> Result<(), Error> {
        let mut command = self.command("apt-cache")?;
        command.arg("madison").args(packages.iter().map(|p| &p.name));
        let output = run("apt-cache", &mut command, progress, || ())?;
        let mut offered: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for line in output.stdout.lines() {
            let mut columns = line.split('|').map(str::trim);
            if let (Some(name), Some(version)) = (columns.next(), columns.next()) {
                let versions = offered.entry(name).or_default();
                if !versions.contains(&version) {
                    versions.push(version);
                }
            }
        }
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

    fn command(&self, program: &'static str) -> Result<Command, Error> {
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

impl Host {
    fn read() -> Result<Self, Error> {
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

fn stanza(uri: &str, suites: &str) -> String {
    format!(
        "Types: deb\nURIs: {uri}\nSuites: {suites}\nComponents: main\nArchitectures: amd64\nSigned-By: {KEYRING}\n\n"
    )
}

/// Whether `-updates` and `-security` belong to the suite.
fn has_companions(suite: &str) -> bool {
    !suite.contains('-') && !matches!(suite, "sid" | "unstable" | "experimental" | "rc-buggy")
}

fn checked_mirror(uri: Option<String>, security: bool) -> Result<String, Error> {
    let uri = uri.ok_or(Error::NoMirror { security })?;
    let fine = !uri.contains(char::is_whitespace) && uri.contains(":/") && !uri.contains(['"', '\'']);
    if fine { Ok(uri.trim_end_matches('/').to_owned()) } else { Err(Error::BadMirror(mask(&uri))) }
}

/// Debian policy 5.6.7, and an optional `=version`. A trailing `-` would tell apt to remove.
fn check_package(text: &str) -> Result<(), Error> {
    let (name, version) = text.split_once('=').unwrap_or((text, "0"));
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'+' | b'-' | b'.');
    let fine_version = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'~' | b':');
    let good = name.len() >= 2
        && name.bytes().all(fine)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with('-')
        && !version.is_empty()
        && version.bytes().all(fine_version);
    if good { Ok(()) } else { Err(Error::BadPackage(text.to_owned())) }
}

/// Reads `'URI' NAME_VERSION_ARCH.deb SIZE SHA256:HEX`, a line of `apt-get --print-uris`.
fn parse_uri_line(line: &str) -> Option<Package> {
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

fn said(output: Output) -> Vec<String> {
    let mut lines = output.complaints;
    lines.dedup();
    lines.truncate(40);
    lines
}

fn bytes_below(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|m| m.len())
        .sum()
}

fn hash_file(path: &Path) -> Result<Digest, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let mut hasher = Hasher::new();
    io::copy(&mut File::open(path).map_err(io)?, &mut hasher).map_err(io)?;
    Ok(hasher.finish())
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
    fn names_that_apt_would_take_as_something_else_are_refused() {
        for good in ["libc6", "g++", "libstdc++6", "a1=1:2.0~rc1-3+b2"] {
            check_package(good).unwrap();
        }
        for bad in ["", "a", "-y", "foo-", "foo*", "foo/bar", "Foo", "x y", "ab=", "ab=1 2"] {
            assert!(matches!(check_package(bad), Err(Error::BadPackage(_))), "{bad}");
        }
    }

    #[test]
    fn only_ways_to_servers_are_taken_from_the_host() {
        let dump = "APT::Update::Post-Invoke:: \"rm -rf /\";\nAcquire \"\";\n\
                    Acquire::http::Proxy \"http://p:1/\";\nAcquire::AllowInsecureRepositories \"1\";\n\
                    Acquire::IndexTargets::deb::DEP-11::MetaKey \"x\";\nDPkg::Post-Invoke:: \"x\";\n";
        let kept = acquire_settings(dump);
        assert!(kept.ends_with("Timeout \"60\";\nAcquire::http::Proxy \"http://p:1/\";\n"), "{kept}");
    }

    #[test]
    fn a_fetch_of_what_is_there_needs_no_apt() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let sha256 = store.put(b"deb").unwrap();
        let settings = Settings { mirror: Some("broken".into()), security_mirror: None };
        let package = Package {
            name: "x1".into(),
            version: "1".into(),
            architecture: "all".into(),
            sha256,
            size: 3,
            file: "x1_1_all.deb".into(),
        };
        let apt = Apt::new(&store, &settings);
        apt.fetch("trixie", std::slice::from_ref(&package), &crate::progress::Silent).unwrap();
        let absent = Package { sha256: Digest::of(b"other"), ..package };
        let error = apt.fetch("trixie", &[absent], &crate::progress::Silent).unwrap_err();
        assert!(matches!(error, Error::BadMirror(_)), "{error}");
    }
}
