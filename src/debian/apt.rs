//! The host's apt with private state: resolves package sets of any suite and downloads them.
//!
//! Every call gets a configuration of its own through `APT_CONFIG` (apt.conf(5)): private lists and
//! cache, an empty dpkg status, sources written here with `Signed-By` Debian's keyring. Of the host's
//! configuration only the `Acquire` settings are taken over (proxies, timeouts, certificates); its
//! hooks, pins, trusted keys and sources are not, and what would weaken the signature check is not.
//! It works the same for root and for an ordinary user.
//!
//! The lists of a suite are kept in `<store>/apt/`, one folder for each suite and mirror.

use super::answer::{parse_uri_line, said};
use super::host::Host;
use super::run::run;
use super::suite::{Suite, has_companions};
use super::{Error, lock::Package};
use crate::progress::{Progress, Silent, Unit};
use crate::secret::{mask, mask_urls};
use crate::store::{Digest, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

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
    answers: Mutex<BTreeMap<String, Result<(), String>>>,
}

impl Apt {
    /// Reads and starts nothing yet.
    pub fn new(store: &Store, settings: &Settings) -> Self {
        Self {
            store: store.clone(),
            settings: settings.clone(),
            host: OnceLock::new(),
            refreshed: Mutex::default(),
            answers: Mutex::default(),
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

    /// Whether the archive of a suite can be reached: its lists are not an hour old, or its `InRelease` file
    /// comes now. Otherwise says why not, in one line. Asked once in the life of this [`Apt`].
    pub fn answers(&self, suite: &str) -> Result<(), String> {
        // Whoever comes meanwhile waits for the same answer.
        let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answers.get(suite) {
            return known.clone();
        }
        let answer = self.ask(suite);
        answers.insert(suite.to_owned(), answer.clone());
        answer
    }

    fn ask(&self, suite: &str) -> Result<(), String> {
        const HOUR: Duration = Duration::from_secs(3600);
        let said = |error: Error| error.to_string();
        let suite = self.open(suite).map_err(said)?;
        if suite.age().is_some_and(|age| age < HOUR) {
            return Ok(());
        }
        // apt's own downloader: with the host's proxies and certificates.
        let mut command = suite.command("/usr/lib/apt/apt-helper").map_err(said)?;
        for option in ["Acquire::Retries=0", "Acquire::http::Timeout=10", "Acquire::https::Timeout=10"] {
            command.args(["-o", option]);
        }
        let uri = format!("{}/dists/{}/InRelease", suite.main.trim_end_matches('/'), suite.name);
        command.arg("download-file").arg(&uri).arg(suite.scratch.path().join("InRelease"));
        let output = run("apt-helper", &mut command, &Silent, || ()).map_err(said)?;
        if output.ok {
            return Ok(());
        }
        let why = output.complaints.last().map_or("no reason is given", String::as_str);
        let why = why.trim_start_matches("E: ").trim_end_matches('.');
        Err(format!("{} does not answer: {why}", mask(&suite.main)))
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
            let (digest, _) =
                Digest::of_file(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
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
        let fresh = match (suite.age(), freshness) {
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

fn bytes_below(folder: &Path) -> u64 {
    walkdir::WalkDir::new(folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .filter(fs::Metadata::is_file)
        .map(|m| m.len())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

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
