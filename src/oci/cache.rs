//! Results of work in a registry, for builders that share one: the artifact `work-<key>` holds the blobs of
//! one piece of work, compressed where that helps.
//!
//! A key names everything that decides a result, so a result that is found is right, provided that whoever
//! writes to the repository is trusted: docs/scale.md.

use super::acquire::{Blobs, with_retries};
use super::artifact::{Artifact, File, Manifest};
use super::import::{Error, import_blob};
use super::push::compressed;
use super::registry::Options;
use super::repository::{Blob, Repository, Sent};
use crate::initramfs::compress::Compression;
use crate::progress::{Progress, Unit};
use crate::store::{Digest, Key, Store, Upstream, Work};
use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

/// The type of the artifacts.
pub const TYPE: &str = "application/vnd.hookos.work.v1";
const RAW: &str = "application/vnd.hookos.blob.v1";
const ZSTD: &str = "application/vnd.hookos.blob.v1+zstd";
/// Digest and bytes of a blob before it was compressed.
const DIGEST: &str = "hookos.digest";
const SIZE: &str = "hookos.size";
/// Smaller blobs are not worth compressing, in bytes.
const WORTH_IT: u64 = 64 << 10;
/// So many failures, and the registry is not asked any more.
const MOST_FAILURES: u32 = 3;

/// What became of the results that were to be shared.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub struct Shared {
    /// Results that were sent, and those that were there.
    pub results: u64,
    pub present: u64,
    #[serde(flatten)]
    pub sent: Sent,
}

/// A registry's repository as a place that has results.
pub struct Cache {
    pub reference: String,
    pub options: Options,
    pub progress: Arc<dyn Progress + Send + Sync>,
    failures: AtomicU32,
}

impl Cache {
    /// `reference` is `host/repository`.
    pub fn new(
        reference: &str,
        options: Options,
        progress: Arc<dyn Progress + Send + Sync>,
    ) -> Result<Self, Error> {
        super::registry::parse(reference)?;
        Ok(Self { reference: reference.to_owned(), options, progress, failures: AtomicU32::new(0) })
    }

    fn bring(&self, store: &Store, key: &Key) -> Result<Option<Work>, Error> {
        let quiet = Quiet(&*self.progress);
        let repository = Repository::reading(&self.reference, &self.options, &quiet)?;
        let name = tag(key);
        let Some((_, manifest)) = repository.artifact(&name)? else { return Ok(None) };
        let what = format!("{}:{name}", repository.name());
        self.progress.log(&format!("{name} comes from {}", repository.name()));
        unpack(store, &what, &manifest, &repository, &quiet).map(Some)
    }
}

impl Upstream for Cache {
    fn fetch(&self, store: &Store, key: &Key) -> Option<Work> {
        if self.failures.load(Ordering::Relaxed) >= MOST_FAILURES || self.progress.cancelled() {
            return None;
        }
        match self.bring(store, key) {
            Ok(work) => work,
            Err(error) => {
                let n = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
                let end = if n >= MOST_FAILURES { "; it is not asked any more" } else { "" };
                self.progress.warn(&format!("the shared cache: {error}{end}"));
                None
            }
        }
    }
}

/// What is fetched on the side says its lines, and leaves the bar to the work that it belongs to.
struct Quiet<'a>(&'a (dyn Progress + Send + Sync));

impl Progress for Quiet<'_> {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, line: &str) {
        self.0.log(line);
    }
    fn warn(&self, text: &str) {
        self.0.warn(text);
    }
    fn cancelled(&self) -> bool {
        self.0.cancelled()
    }
}

/// The tag of a result.
pub(super) fn tag(key: &Key) -> String {
    format!("work-{}", key.hex())
}

/// Sends the results of `keys` that are in the store and not in the repository.
pub fn share(
    store: &Store,
    keys: &[Key],
    reference: &str,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Shared, Error> {
    let repository = Repository::open(reference, options, progress)?;
    let mut shared = Shared::default();
    for key in keys {
        let tag = tag(key);
        if repository.find(&tag)?.is_some() {
            shared.present += 1;
            continue;
        }
        let Some(artifact) = pack(store, key, progress)? else { continue };
        progress.log(&format!("sending {tag}"));
        let (_, sent) = repository.put_artifact(&artifact, Some(&tag))?;
        shared.results += 1;
        shared.sent += sent;
    }
    Ok(shared)
}

/// A result of work as an artifact; none where the store has it not.
pub(super) fn pack(store: &Store, key: &Key, progress: &dyn Progress) -> Result<Option<Artifact>, Error> {
    let Some(work) = store.work_here(key) else { return Ok(None) };
    let mut artifact = Artifact { artifact_type: TYPE.to_owned(), ..Artifact::default() };
    for digest in work.blobs() {
        artifact.files.push(file(store, digest, progress)?);
    }
    Ok(Some(artifact))
}

/// A blob as it travels.
fn file(store: &Store, digest: &Digest, progress: &dyn Progress) -> Result<File, Error> {
    let raw = Blob::of_store(store, digest)?;
    let mut start = [0; 4];
    let mut opened = store.open_blob(digest)?;
    let io = |source| Error::Store(crate::store::Error::Io { path: store.path(digest), source });
    let n = opened.read(&mut start).map_err(io)?;
    let packed = matches!(&start[..n], [0x1f, 0x8b, ..] | [0x28, 0xb5, 0x2f, 0xfd]);
    let annotations =
        [(DIGEST.to_owned(), raw.digest.to_string()), (SIZE.to_owned(), raw.size.to_string())].into();
    if packed || raw.size < WORTH_IT {
        return Ok(File { blob: raw, media_type: RAW.to_owned(), annotations });
    }
    let blob = Blob::of_store(store, &compressed(store, digest, Compression::Zstd, progress)?)?;
    Ok(File { blob, media_type: ZSTD.to_owned(), annotations })
}

/// Brings the result of work that a manifest is of into the store.
pub(super) fn unpack(
    store: &Store,
    what: &str,
    manifest: &Manifest,
    from: &dyn Blobs,
    progress: &dyn Progress,
) -> Result<Work, Error> {
    let wrong = |why: &str| Error::Content { what: what.to_owned(), why: why.to_owned() };
    if manifest.artifact_type.as_deref() != Some(TYPE) {
        return Err(wrong("it is not a result of work"));
    }
    let mut blobs = Vec::new();
    for part in &manifest.layers {
        let digest: Option<Digest> = part.annotations.get(DIGEST).and_then(|digest| digest.parse().ok());
        let size: Option<u64> = part.annotations.get(SIZE).and_then(|size| size.parse().ok());
        let (Some(digest), Some(size)) = (digest, size) else {
            return Err(wrong("a part of it does not say which blob it is"));
        };
        blobs.push(digest);
        if store.has(&digest) {
            continue;
        }
        let blob = format!("{digest} of {what}");
        let packed = match part.media_type.as_str() {
            RAW => false,
            ZSTD => true,
            other => return Err(wrong(&format!("a part of it is a {other}, which is not known"))),
        };
        with_retries(from, progress, |failures| {
            let bytes = from.open(&part.digest, part.size, failures)?;
            if !packed {
                return import_blob(store, &blob, bytes, &digest, size, progress);
            }
            let plain = zstd::Decoder::new(bytes).map_err(|e| wrong(&e.to_string()))?;
            import_blob(store, &blob, plain, &digest, size, progress)
        })?;
    }
    if blobs.is_empty() {
        return Err(wrong("it is empty"));
    }
    let result = blobs.remove(0);
    Ok(Work { result, parts: blobs })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::artifact::Part;
    use crate::progress::Silent;
    use std::collections::BTreeMap;

    /// Wrong bytes of the right length, but for the last of three attempts.
    struct Damaged(Vec<u8>);

    impl Blobs for Damaged {
        fn called(&self) -> String {
            "damaged".to_owned()
        }
        fn open(&self, _: &Digest, _: u64, failures: u32) -> Result<Box<dyn Read + Send + '_>, Error> {
            let flip = u8::from(failures < 2);
            Ok(Box::new(std::io::Cursor::new(self.0.iter().map(|byte| byte ^ flip).collect::<Vec<u8>>())))
        }
        fn again(&self, failure: u32, _: &Error, _: &dyn Progress) -> bool {
            failure < 3
        }
    }

    #[test]
    fn a_part_with_wrong_bytes_is_asked_for_again() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let plain = vec![7; 100_000];
        let packed = zstd::encode_all(plain.as_slice(), 1).unwrap();
        for (media_type, bytes) in [(RAW, b"raw bytes".to_vec()), (ZSTD, packed)] {
            let whole = if media_type == RAW { bytes.clone() } else { plain.clone() };
            let digest = Digest::of(&whole);
            let part = Part {
                media_type: media_type.to_owned(),
                digest: Digest::of(&bytes),
                size: bytes.len() as u64,
                annotations: BTreeMap::from([
                    (DIGEST.to_owned(), digest.to_string()),
                    (SIZE.to_owned(), whole.len().to_string()),
                ]),
                artifact_type: None,
            };
            let mut manifest = Manifest::of_image(part.clone(), vec![part]);
            manifest.artifact_type = Some(TYPE.to_owned());
            let work = unpack(&store, "x", &manifest, &Damaged(bytes), &Silent).unwrap();
            assert_eq!(work.result, digest);
            assert_eq!(store.read(&digest).unwrap(), whole);
        }
    }
}
