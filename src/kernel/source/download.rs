//! The source downloaded from kernel.org, or from a server that is laid out like it, and checked.
//!
//! Layout: `<base>/v5.x/sha256sums.asc`, signed, names the SHA-256 of `<base>/v5.x/linux-5.10.228.tar.xz`.
//! Source: kernel.org, "Linux kernel releases PGP signatures".

use super::Settings;
use super::signature::{KEYS, Keys, entries, listed};
use super::tarball::Tarball;
use crate::http::{self, ATTEMPTS, Failures, Fault, with_sources};
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::{BlobWriter, Digest, Key, KeyMaker, Store};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::Write as _;
use std::time::Duration;

/// A server that sends nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(60);
/// The most that a list of checksums may have, in bytes; kernel.org's has 0.3 MB.
const LARGEST_LIST: u64 = 8 << 20;
/// The most that a tarball may have.
const LARGEST: u64 = 1 << 30;

/// The folder of a series: `v5.x` for 5.10.
fn folder(base: &str, series: &str) -> String {
    let major = series.split('.').next().unwrap_or(series);
    format!("{}/v{major}.x", base.trim_end_matches('/'))
}

/// The first release of a series has no third number.
fn file(series: &str, point: i64) -> String {
    if point == 0 { format!("linux-{series}.tar.xz") } else { format!("linux-{series}.{point}.tar.xz") }
}

/// What a signed list said of a tarball, as a piece of work: other keys, or another server's list, may say
/// something else. It is worth nothing to another builder, who has keys of its own.
fn said_of(place: &str, name: &str, keys: &Keys) -> Key {
    KeyMaker::new("kernel tarball 2")
        .add("place", place)
        .add("name", name)
        .add("keys", keys.digest.bytes())
        .local()
        .finish()
}

/// The SHA-256 that a server has signed for the tarball. It is not asked again while the store has that tarball.
pub(super) fn wanted(
    base: &str,
    settings: &Settings,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Digest> {
    let (place, name) = (folder(base, &settings.series), file(&settings.series, settings.point));
    let keys = Keys::read(&settings.folder.join(KEYS))?;
    if let Some(sha256) = store.work(&said_of(&place, &name, &keys)) {
        return Ok(sha256);
    }
    let list = Client::new(progress)?.sums(&place, &keys)?;
    listed(&list, &name).ok_or_else(|| {
        let newest = newest(&list, &settings.series);
        let newest = newest.map_or_else(|| "none of that series".to_owned(), |n| n.to_string());
        Problem::usage(format!("{place} has no {name}")).remedy(format!(
            "the newest point release there is {newest}: `point` in the profile's [kernel] table"
        ))
    })
}

/// The tarball, out of the store or downloaded.
pub(super) fn tarball(
    base: &str,
    settings: &Settings,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Tarball> {
    let full = |e: crate::store::Error| Problem::new("the store cannot be used").because(e);
    let (place, name) = (folder(base, &settings.series), file(&settings.series, settings.point));
    let wanted = wanted(base, settings, store, progress)?;
    let key = said_of(&place, &name, &Keys::read(&settings.folder.join(KEYS))?);
    if store.open_blob(&wanted).is_ok() {
        store.set_work(&key, &wanted).map_err(full)?;
        progress.log(&format!("{name} is in the store"));
        return Ok(Tarball { path: store.path(&wanted), sha256: wanted });
    }
    let mut blob = store.writer().map_err(full)?;
    Client::new(progress)?.get(&format!("{place}/{name}"), &mut blob)?;
    let (sha256, _) = blob.commit().map_err(full)?;
    if sha256 != wanted {
        // Nobody asks for it by this name.
        let _ = std::fs::remove_file(store.path(&sha256));
        return Err(Problem::new(format!(
            "{place}/{name} is not what kernel.org has signed: its SHA-256 is {}, the signed one is {}",
            sha256.hex(),
            wanted.hex()
        ))
        .remedy("try again; if it stays so, take another mirror"));
    }
    store.set_work(&key, &sha256).map_err(full)?;
    progress.log(&format!("{name} is the one that is signed, {}", sha256.hex()));
    Ok(Tarball { path: store.path(&sha256), sha256 })
}

/// The newest point release that a server has, by its signed list.
pub fn newest_point(base: &str, settings: &Settings, progress: &dyn Progress) -> Result<i64> {
    let series = settings.series.as_str();
    newest_points(base, settings, &[series], progress)?
        .remove(series)
        .ok_or_else(|| Problem::usage(format!("{} has no release of {series}", folder(base, series))))
}

/// The newest point release of each of these series. The list of the settings' own series has to be had; a
/// server may lack the others.
pub fn newest_points(
    base: &str,
    settings: &Settings,
    others: &[&str],
    progress: &dyn Progress,
) -> Result<BTreeMap<String, i64>> {
    let keys = Keys::read(&settings.folder.join(KEYS))?;
    let client = Client::new(progress)?;
    let own = folder(base, &settings.series);
    let mut lists = BTreeMap::from([(own.clone(), client.sums(&own, &keys)?)]);
    let mut found = BTreeMap::new();
    for series in others.iter().copied().chain([settings.series.as_str()]) {
        let list = match lists.entry(folder(base, series)) {
            Entry::Occupied(list) => list.into_mut(),
            Entry::Vacant(free) => {
                let list = client.sums(free.key(), &keys).unwrap_or_default();
                free.insert(list)
            }
        };
        found.extend(newest(list, series).map(|point| (series.to_owned(), point)));
    }
    Ok(found)
}

fn newest(list: &str, series: &str) -> Option<i64> {
    let point = |name: &str| {
        name.strip_prefix(&format!("linux-{series}."))?.strip_suffix(".tar.xz")?.parse::<i64>().ok()
    };
    entries(list).filter_map(|(_, name)| point(name)).max()
}

/// HTTP, with the proxies of the environment.
struct Client<'a> {
    client: reqwest::Client,
    runtime: tokio::runtime::Runtime,
    progress: &'a dyn Progress,
}

impl<'a> Client<'a> {
    fn new(progress: &'a dyn Progress) -> Result<Self> {
        let bad = |why: String| Problem::new(format!("nothing can be downloaded here: {why}"));
        let client = http::builder().build().map_err(|e| bad(with_sources(&e)))?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|e| bad(e.to_string()))?;
        Ok(Self { client, runtime, progress })
    }

    /// The list of checksums, whose signature is good.
    fn sums(&self, place: &str, keys: &Keys) -> Result<String> {
        let url = format!("{place}/sha256sums.asc");
        let mut bytes = Vec::new();
        self.fetch(&url, LARGEST_LIST, &mut |chunk| {
            bytes.extend_from_slice(chunk);
            Ok(())
        })?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let (list, signer) =
            keys.open(&text).map_err(|problem| problem.while_doing(format!("{url} is refused")))?;
        self.progress.log(&format!("{url} is signed by {signer}"));
        Ok(list)
    }

    fn get(&self, url: &str, blob: &mut BlobWriter) -> Result<()> {
        self.fetch(url, LARGEST, &mut |chunk| blob.write_all(chunk))
    }

    /// Downloads; goes on where it was cut off.
    fn fetch(&self, url: &str, most: u64, take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> Result<()> {
        let mut done = 0;
        let mut failures = Failures::default();
        loop {
            let from = if done > 0 { format!(" from byte {done}") } else { String::new() };
            self.progress.log(&format!("GET {url}{from}"));
            let Err(fault) = self.attempt(url, most, &mut done, take) else { return Ok(()) };
            if failures.go_on(done, ATTEMPTS, &fault, self.progress) {
                continue;
            }
            self.progress.check()?;
            return Err(Problem::new(format!("{url} cannot be downloaded: {}", fault.why)).remedy(
                "see that the server can be reached (https_proxy too); take a mirror: --kernel-mirror; or give the \
                 tarball: --tarball",
            ));
        }
    }

    fn attempt(
        &self,
        url: &str,
        most: u64,
        done: &mut u64,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Fault> {
        let mut request = self.client.get(url);
        if *done > 0 {
            request = request.header(reqwest::header::RANGE, format!("bytes={done}-"));
        }
        // The HTTP client wants the runtime around it when it begins.
        let mut response = self.wait(async { request.send().await })??;
        let status = response.status();
        if !status.is_success() {
            return Err(Fault::of_answer(status, response.headers(), None));
        }
        let mut skip = http::known(&response, *done)?;
        let total = response.content_length().map(|n| n + *done - skip);
        while let Some(chunk) = self.wait(async { response.chunk().await })?? {
            let again = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= again as u64;
            let new = &chunk[again..];
            *done += new.len() as u64;
            if *done > most {
                return Err(Fault::lasting(format!("it is larger than {most} bytes")));
            }
            take(new).map_err(|e| Fault::lasting(e.to_string()))?;
            self.progress.at(*done, total.unwrap_or(0), Unit::Bytes);
        }
        match total {
            Some(total) if total != *done => {
                Err(Fault::passing(format!("it ended after {done} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Fault> {
        http::wait(&self.runtime, SILENCE, self.progress, work, None, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Digest;

    #[test]
    fn places_are_those_of_kernel_org() {
        assert_eq!(folder("https://kernel.example/pub/", "5.10"), "https://kernel.example/pub/v5.x");
        assert_eq!(file("5.10", 228), "linux-5.10.228.tar.xz");
        assert_eq!(file("6.12", 0), "linux-6.12.tar.xz");
        let hex = Digest::of(b"").hex();
        let list = format!(
            "{hex}  linux-5.10.9.tar.xz\r\n{hex}  linux-5.10.228.tar.xz\r\n{hex}  linux-5.1.300.tar.xz\r\n"
        );
        assert_eq!(newest(&list, "5.10"), Some(228));
        assert_eq!(listed(&list, "linux-5.10.9.tar.xz"), Some(Digest::of(b"")));
    }
}
