//! The source downloaded from kernel.org, or from a server that is laid out like it, and checked.
//!
//! Layout: `<base>/v5.x/sha256sums.asc`, signed, names the SHA-256 of `<base>/v5.x/linux-5.10.228.tar.xz`.
//! Source: kernel.org, "Linux kernel releases PGP signatures".

use super::Settings;
use super::signature::{KEYS, Keys, entries, listed};
use super::tarball::Tarball;
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::store::{BlobWriter, Digest, Key, KeyMaker, Store};
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::future::Future;
use std::io::Write as _;
use std::time::Duration;

/// A server that sends nothing for so long is asked again.
const SILENCE: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(20);
/// How often a blocked read looks whether it was cancelled.
const LOOK: Duration = Duration::from_millis(200);
const ATTEMPTS: u32 = 5;
/// Wait after the first failure; it doubles each time.
const WAIT: Duration = Duration::from_millis(if cfg!(test) { 5 } else { 500 });
/// A server that wants to be left alone for longer is asked all the same.
const LONGEST_WAIT: Duration = Duration::from_secs(60);
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

/// Why an attempt failed, and whether another may do better.
struct Failed {
    why: String,
    again: bool,
    /// How long the server wants to be left alone.
    after: Option<Duration>,
}

impl Failed {
    fn now(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: true, after: None }
    }

    fn lasting(why: impl Into<String>) -> Self {
        Self { why: why.into(), again: false, after: None }
    }
}

/// `Retry-After` in seconds (RFC 9110, section 10.2.3); a date is not looked at.
fn retry_after(response: &reqwest::Response) -> Option<Duration> {
    let text = response.headers().get(reqwest::header::RETRY_AFTER)?.to_str().ok()?;
    text.trim().parse().ok().map(Duration::from_secs)
}

/// Where a partial answer begins: `Content-Range: bytes 100-199/200` (RFC 9110, section 14.4).
fn range_start(response: &reqwest::Response) -> Option<u64> {
    let text = response.headers().get(reqwest::header::CONTENT_RANGE)?.to_str().ok()?;
    text.trim().strip_prefix("bytes")?.trim_start().split_once('-')?.0.parse().ok()
}

impl<'a> Client<'a> {
    fn new(progress: &'a dyn Progress) -> Result<Self> {
        let bad = |why: String| Problem::new(format!("nothing can be downloaded here: {why}"));
        crate::oci::registry::with_cryptography();
        let client = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .user_agent(concat!("hookos/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|e| bad(said(&e)))?;
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
        let mut wait = WAIT;
        for attempt in 1.. {
            self.progress.log(&format!(
                "GET {url}{}",
                if done > 0 { format!(" from byte {done}") } else { String::new() }
            ));
            match self.attempt(url, most, &mut done, take) {
                Ok(()) => return Ok(()),
                Err(_) if self.progress.cancelled() => return Err(Problem::cancelled()),
                Err(failed) if failed.again && attempt < ATTEMPTS => {
                    self.progress.warn(&format!("{url}: {}; trying again", failed.why));
                    self.rest(failed.after.map_or(wait, |after| after.clamp(wait, LONGEST_WAIT)));
                    wait *= 2;
                }
                Err(failed) => {
                    return Err(Problem::new(format!("{url} cannot be downloaded: {}", failed.why)).remedy(
                        "see that the server can be reached (https_proxy too); take a mirror: --kernel-mirror; or \
                         give the tarball: --tarball",
                    ));
                }
            }
        }
        Ok(())
    }

    fn attempt(
        &self,
        url: &str,
        most: u64,
        done: &mut u64,
        take: &mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Result<(), Failed> {
        let broken = |e: reqwest::Error| Failed::now(said(&e));
        let mut request = self.client.get(url);
        if *done > 0 {
            request = request.header(reqwest::header::RANGE, format!("bytes={done}-"));
        }
        let mut response = self.wait(async { request.send().await })?.map_err(broken)?;
        let status = response.status();
        if !status.is_success() {
            let again = status.is_server_error() || status.as_u16() == 429;
            let after = retry_after(&response);
            return Err(Failed { why: format!("the server says {status}"), again, after });
        }
        // A server that knows no ranges sends all of it once more.
        let partial = status == reqwest::StatusCode::PARTIAL_CONTENT;
        if partial && range_start(&response) != Some(*done) {
            return Err(Failed::lasting("the server sends another part than it was asked for"));
        }
        let mut skip = if partial { 0 } else { *done };
        let total = response.content_length().map(|n| if partial { n + *done } else { n });
        loop {
            let Some(chunk) = self.wait(async { response.chunk().await })?.map_err(broken)? else { break };
            let again = usize::try_from(skip).unwrap_or(usize::MAX).min(chunk.len());
            skip -= again as u64;
            let new = &chunk[again..];
            *done += new.len() as u64;
            if *done > most {
                return Err(Failed::lasting(format!("it is larger than {most} bytes")));
            }
            take(new).map_err(|e| Failed::lasting(e.to_string()))?;
            self.progress.at(*done, total.unwrap_or(0), Unit::Bytes);
        }
        match total {
            Some(total) if total != *done => {
                Err(Failed::now(format!("it ended after {done} of {total} bytes")))
            }
            _ => Ok(()),
        }
    }

    /// Does nothing for a while, unless nobody wants it any more.
    fn rest(&self, mut left: Duration) {
        while !left.is_zero() && !self.progress.cancelled() {
            let step = left.min(LOOK);
            std::thread::sleep(step);
            left -= step;
        }
    }

    /// Waits, and looks now and then whether nobody wants it any more. `work` must do nothing before it is
    /// polled: the HTTP client wants the runtime around it.
    fn wait<T>(&self, work: impl Future<Output = T>) -> Result<T, Failed> {
        self.runtime.block_on(async {
            let mut work = std::pin::pin!(work);
            loop {
                match tokio::time::timeout(LOOK, &mut work).await {
                    Ok(value) => return Ok(value),
                    Err(_) if self.progress.cancelled() => {
                        return Err(Failed::lasting("cancelled"));
                    }
                    Err(_) => {}
                }
            }
        })
    }
}

/// An error with what is behind it.
pub fn said(error: &reqwest::Error) -> String {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(source) = next {
        text = format!("{text}: {source}");
        next = source.source();
    }
    text
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
