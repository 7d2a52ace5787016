//! Images and results of work on a stick: an OCI image layout in one tar file or a folder, for a builder that
//! reaches no registry.
//!
//! The tar file is an archive of `docker save` as well, for engines that read no layouts. Layers travel compressed
//! anew, so an image that was pulled has another manifest there; its own goes along, as the annotation
//! `hookos.manifest` says, and what a digest in its name stands for.
//!
//! Source: OCI image specification 1.1, image-layout.md. Results of work are the artifacts of the
//! [`cache`](super::cache), named `work-<key>`; a reader that does not know them sees artifacts and leaves them.

use super::Image;
use super::acquire::{Blobs as _, Platform, way};
use super::artifact::{Manifest, Part};
use super::cache;
use super::docker_archive;
use super::image::{config_digest, read_image, sorted_json};
use super::import::Error;
use super::layout::{CONTAINERD_NAME, Files, Layout, REF_NAME, import_layout, put, written};
use super::push;
use super::registry::{self, parse, pinned};
use super::repository::{Blob, Content};
use crate::progress::{Progress, Unit};
use crate::replace::Replacement;
use crate::store::{Digest, Key, Store};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write as _};
use std::path::Path;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// The annotation with the digest of the manifest that an image was pulled with.
const PULLED: &str = "hookos.manifest";
const LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What was brought in, or written.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize)]
pub struct Carried {
    /// References with the digests of their manifests in the store, or in the file.
    pub images: Vec<(String, Digest)>,
    /// Results of work.
    pub work: u64,
    /// Bytes of all blobs that were written; 0 for an import.
    pub bytes: u64,
}

/// Brings in everything that an OCI image layout or an archive of `docker save` holds, a folder or an
/// uncompressed tar file. An image without a name gets `name`.
pub fn import(
    store: &Store,
    path: &Path,
    name: Option<&str>,
    progress: &dyn Progress,
) -> Result<Carried, Error> {
    let files = Files::open(path)?;
    let refused = |why: String| Error::Content { what: files.name(), why };
    let platform = Platform::default();
    let mut carried = Carried::default();
    let mut keep = |image: Image, called: Option<String>| -> Result<(), Error> {
        let called = name
            .map(str::to_owned)
            .or(called)
            .ok_or_else(|| refused("an image in it has no name: give it one with --name".to_owned()))?;
        let whole = registry::set_name(store, &called, &image)?;
        progress.log(&format!("{whole} is {}", image.manifest));
        carried.images.push((whole, image.manifest));
        Ok(())
    };
    let single = |count: usize| match name {
        Some(name) if count != 1 => {
            Err(refused(format!("it has {count} images, which cannot all be {name}")))
        }
        _ => Ok(()),
    };
    if files.document("oci-layout").is_err() {
        let names = super::docker_archive::names(&files)?;
        single(names.len())?;
        for called in names {
            let first = called.first().map(String::as_str);
            let image = super::import_docker_archive(store, path, first, &platform, progress)?;
            if called.is_empty() || name.is_some() {
                keep(image, None)?;
                continue;
            }
            for one in called {
                keep(image.clone(), Some(one))?;
            }
        }
        return Ok(carried);
    }
    let index: Index = serde_json::from_slice(&files.document("index.json")?)
        .map_err(|e| refused(format!("index.json: {e}")))?;
    let work = |part: &Part| {
        part.annotations.get(REF_NAME).and_then(|name| Key::of_hex(name.strip_prefix("work-")?))
    };
    let (results, images): (Vec<_>, Vec<_>) = index.manifests.iter().partition(|part| work(part).is_some());
    let names: BTreeMap<Option<&str>, &Part> = images.iter().map(|part| (name_of(part), *part)).collect();
    single(names.len())?;
    for (called, part) in names {
        let image = import_layout(store, path, called, &platform, progress)?;
        let image = as_pulled(store, &files, part, image)?;
        if let Some(pinned) = called.and_then(|called| pinned(&parse(called).ok()?)) {
            // What its digest stands for, as far as the file has it.
            let read = |digest: &Digest| document(&files, digest).ok();
            for digest in way(pinned, &image.manifest, &platform, read).unwrap_or_default() {
                store.put(&document(&files, &digest)?)?;
            }
        }
        keep(image, called.map(str::to_owned))?;
    }
    let layout = Layout(files);
    for (n, part) in results.iter().enumerate() {
        let Some(key) = work(part) else { continue };
        let document = document(&layout.0, &part.digest)?;
        let what = format!("{} of {}", cache::tag(&key), layout.called());
        let found = cache::unpack(store, &what, &Manifest::read(&what, &document)?, &layout, progress)?;
        store.set_work_with(&key, &found.result, &found.parts)?;
        progress.at(n as u64 + 1, results.len() as u64, Unit::Items);
        carried.work += 1;
    }
    Ok(carried)
}

/// A document of a layout, compared with its digest.
fn document(files: &Files, digest: &Digest) -> Result<Vec<u8>, Error> {
    let bytes = files.document(&format!("blobs/sha256/{}", digest.hex()))?;
    let found = Digest::of(&bytes);
    if found != *digest {
        let what = format!("{digest} of {}", files.name());
        return Err(Error::Content { what, why: format!("its content has the digest {found}") });
    }
    Ok(bytes)
}

/// The image with the manifest that it was pulled with, if the file has that: it is the same image where the
/// configuration is the same, which names the layers.
fn as_pulled(store: &Store, files: &Files, part: &Part, image: Image) -> Result<Image, Error> {
    let Some(digest) = part.annotations.get(PULLED) else { return Ok(image) };
    let wrong = |why: String| Error::Content { what: format!("{digest} of {}", files.name()), why };
    let digest: Digest = digest.parse().map_err(|e| wrong(format!("{e}")))?;
    let pulled = store.put(&document(files, &digest)?)?;
    if config_digest(store, &pulled)? != config_digest(store, &image.manifest)? {
        return Err(wrong("it is the manifest of another image".to_owned()));
    }
    Ok(read_image(store, &pulled)?)
}

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Part>,
}

/// What a layout calls an image. Of both the names, containerd's is the whole reference.
fn name_of(part: &Part) -> Option<&str> {
    [CONTAINERD_NAME, REF_NAME].iter().find_map(|key| part.annotations.get(*key)).map(String::as_str)
}

/// Writes images (by their references) and results of work to `to`: one tar file, or a folder where the name
/// does not end in `.tar`. The same content gives the same bytes.
pub fn export(
    store: &Store,
    images: &[String],
    work: &[Key],
    to: &Path,
    progress: &dyn Progress,
) -> Result<Carried, Error> {
    let mut carried = Carried::default();
    let mut blobs: BTreeMap<Digest, Blob> = BTreeMap::new();
    let mut index: Vec<serde_json::Value> = Vec::new();
    let mut saved: BTreeMap<Digest, (Vec<String>, Digest, Vec<Digest>)> = BTreeMap::new();
    for name in images {
        let missing =
            || Error::Content { what: name.clone(), why: "the store has no image of this name".to_owned() };
        let image = read_image(store, &store.named(name).ok_or_else(missing)?)?;
        let packed = push::pack(store, &image, progress)?;
        let manifest = Blob::of_bytes(packed.manifest);
        let mut annotations = BTreeMap::from([(REF_NAME, name.clone()), (CONTAINERD_NAME, name.clone())]);
        let pinned = pinned(&parse(name)?);
        if manifest.digest != image.manifest {
            annotations.insert(PULLED, image.manifest.to_string());
            let read = |digest: &Digest| store.read(digest).ok();
            let way = way(pinned.unwrap_or(image.manifest), &image.manifest, &Platform::default(), read);
            for digest in way.unwrap_or_default() {
                blobs.insert(digest, Blob::of_store(store, &digest)?);
            }
        }
        index.push(
            serde_json::json!({"mediaType": MANIFEST, "digest": manifest.digest, "size": manifest.size,
            "annotations": annotations, "platform": {"os": "linux", "architecture": "amd64"}}),
        );
        carried.images.push((name.clone(), manifest.digest));
        let layers = packed.blobs[1..].iter().map(|blob| blob.digest).collect();
        let saved = saved.entry(manifest.digest).or_insert((Vec::new(), packed.blobs[0].digest, layers));
        // Docker takes tags there, no digests.
        saved.0.extend(pinned.is_none().then(|| name.clone()));
        blobs.extend(packed.blobs.into_iter().chain([manifest]).map(|blob| (blob.digest, blob)));
    }
    for key in work {
        let Some(artifact) = cache::pack(store, key, progress)? else { continue };
        let manifest = Blob::of_bytes(artifact.manifest()?);
        index.push(
            serde_json::json!({"mediaType": MANIFEST, "digest": manifest.digest, "size": manifest.size,
            "artifactType": cache::TYPE, "annotations": {REF_NAME: cache::tag(key)}}),
        );
        carried.work += 1;
        let files = artifact.files.into_iter().map(|file| file.blob);
        blobs.extend(files.chain([manifest, Blob::of_bytes(b"{}".to_vec())]).map(|blob| (blob.digest, blob)));
    }
    let index = serde_json::json!({"schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": index});
    let index = sorted_json(&index, "that lists what is carried")?;
    carried.bytes = blobs.values().map(|blob| blob.size).sum();
    let mut done = 0;
    let mut moved = |bytes: u64| {
        done += bytes;
        progress.at(done, carried.bytes, Unit::Bytes);
    };
    if to.extension().is_some_and(|extension| extension == "tar") {
        let saved = docker_archive::manifest(saved.into_values().collect())?;
        let documents = [("oci-layout", LAYOUT), ("index.json", &index), (docker_archive::MANIFEST, &saved)];
        write_tar(store, &blobs, &documents, to, progress, &mut moved)?;
    } else {
        let folder = to.join("blobs/sha256");
        fs::create_dir_all(&folder).map_err(written(&folder))?;
        for blob in blobs.values() {
            stop(progress)?;
            put(&folder.join(blob.digest.hex()), &mut open(store, blob)?)?;
            moved(blob.size);
        }
        put(&to.join("oci-layout"), &mut &*LAYOUT)?;
        put(&to.join("index.json"), &mut index.as_slice())?;
    }
    Ok(carried)
}

fn stop(progress: &dyn Progress) -> Result<(), Error> {
    if progress.cancelled() { Err(Error::Cancelled) } else { Ok(()) }
}

fn open<'b>(store: &Store, blob: &'b Blob) -> Result<Box<dyn Read + 'b>, Error> {
    Ok(match &blob.content {
        Content::Bytes(bytes) => Box::new(bytes.as_slice()),
        Content::File(_) => Box::new(store.open_blob(&blob.digest)?),
    })
}

/// The layout as one archive, written beside its place and then moved there.
fn write_tar(
    store: &Store,
    blobs: &BTreeMap<Digest, Blob>,
    documents: &[(&str, &[u8])],
    to: &Path,
    progress: &dyn Progress,
    moved: &mut dyn FnMut(u64),
) -> Result<(), Error> {
    let failed = written(to);
    let mut new = Replacement::of(to, 0o644).map_err(&failed)?;
    let mut archive = tar::Builder::new(io::BufWriter::with_capacity(1 << 20, new.file()));
    let mut add = |name: &str, size: u64, content: &mut dyn Read| {
        let mut header = tar::Header::new_ustar();
        header.set_size(size);
        header.set_mode(0o644);
        header.set_mtime(0);
        archive.append_data(&mut header, name, content).map_err(&failed)
    };
    for (name, content) in documents {
        add(name, content.len() as u64, &mut &**content)?;
    }
    for blob in blobs.values() {
        stop(progress)?;
        add(&format!("blobs/sha256/{}", blob.digest.hex()), blob.size, &mut open(store, blob)?)?;
        moved(blob.size);
    }
    archive.into_inner().and_then(|mut buffer| buffer.flush()).map_err(&failed)?;
    new.place_durably().map_err(&failed)
}
