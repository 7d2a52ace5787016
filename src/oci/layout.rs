//! OCI image layouts: a folder, or a tar archive of one, that holds images.
//!
//! Source: OCI image specification 1.1, image-layout.md.

use super::Image;
use super::acquire::{Blobs, LARGEST_DOCUMENT, Platform, acquire};
use super::import::Error;
use super::index::{self, Item, Source};
use crate::initramfs::tree::{Content, Kind, Node, TreePath};
use crate::progress::Progress;
use crate::replace::Replacement;
use crate::store::{Digest, Store};
use oci_spec::image::{
    Descriptor, DescriptorBuilder, ImageIndex, ImageIndexBuilder, ImageManifest, ImageManifestBuilder,
    MediaType, SCHEMA_VERSION,
};
use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

pub(super) const REF_NAME: &str = "org.opencontainers.image.ref.name";
pub(super) const CONTAINERD_NAME: &str = "io.containerd.image.name";

/// Brings in the image `name` of the layout at `path`, a folder or an uncompressed tar archive. Without a
/// name the layout must hold one image, for `platform`.
pub fn import_layout(
    store: &Store,
    path: &Path,
    name: Option<&str>,
    platform: &Platform,
    progress: &dyn Progress,
) -> Result<Image, Error> {
    let layout = Layout::open(path)?;
    let refused = |why: String| Error::Content { what: layout.called(), why };
    let text = layout.0.document("index.json")?;
    let index = ImageIndex::from_reader(text.as_slice()).map_err(|e| refused(format!("index.json: {e}")))?;
    let names = |manifest: &Descriptor| -> Vec<String> {
        let notes = manifest.annotations().as_ref();
        [REF_NAME, CONTAINERD_NAME].iter().filter_map(|key| notes?.get(*key).cloned()).collect()
    };
    let all = || index.manifests().iter().flat_map(names).collect::<Vec<_>>().join(", ");
    let Some(name) = name else {
        if index.manifests().len() > 1 && index.manifests().iter().all(|m| m.platform().is_none()) {
            return Err(refused(format!("it has several images, name one of them: {}", all())));
        }
        return acquire(store, &layout, text, platform, progress);
    };
    let found: Vec<Descriptor> =
        index.manifests().iter().filter(|m| names(m).iter().any(|n| n == name)).cloned().collect();
    if found.is_empty() {
        return Err(refused(format!("it has no image {name:?}, only: {}", all())));
    }
    let part = ImageIndexBuilder::default().schema_version(SCHEMA_VERSION).manifests(found).build();
    let part = part.and_then(|index| index.to_string()).map_err(|e| refused(e.to_string()))?;
    acquire(store, &layout, part.into_bytes(), platform, progress)
}

/// The files of a folder, or of an uncompressed tar archive.
pub(super) struct Files {
    path: PathBuf,
    /// Offset and length of the files, where they are in an archive.
    archive: Option<HashMap<TreePath, (u64, u64)>>,
}

/// An opened layout.
pub(super) struct Layout(pub(super) Files);

impl Layout {
    fn open(path: &Path) -> Result<Self, Error> {
        let layout = Files::open(path)?;
        let refused = |why: String| Error::Content { what: layout.name(), why };
        let marker = layout.document("oci-layout").map_err(|e| {
            refused(format!("it is no OCI image layout: {e} (an archive must not be compressed)"))
        })?;
        let marker: serde_json::Value =
            serde_json::from_slice(&marker).map_err(|e| refused(format!("oci-layout: {e}")))?;
        match marker["imageLayoutVersion"].as_str() {
            Some(version) if version.starts_with("1.") => Ok(Self(layout)),
            _ => Err(refused(format!("its layout version {} is not known", marker["imageLayoutVersion"]))),
        }
    }
}

impl Files {
    pub(super) fn open(path: &Path) -> Result<Self, Error> {
        let mut files = Self { path: path.to_owned(), archive: None };
        if !path.is_dir() {
            files.archive = Some(files.read_archive()?);
        }
        Ok(files)
    }

    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }

    /// Bytes of a file.
    pub(super) fn len(&self, below: &str) -> Result<u64, Error> {
        let Some(files) = &self.archive else {
            let path = self.path.join(below);
            return Ok(fs::metadata(&path).map_err(self.failed())?.len());
        };
        let range = TreePath::new(below).ok().and_then(|path| files.get(&path));
        let missing = || Error::Content { what: self.name(), why: format!("it has no file {below}") };
        range.map(|(_, len)| *len).ok_or_else(missing)
    }

    pub(super) fn failed(&self) -> impl Fn(io::Error) -> Error {
        |source| Error::Read { what: self.name(), source }
    }

    fn read_archive(&self) -> Result<HashMap<TreePath, (u64, u64)>, Error> {
        let file = File::open(&self.path).map_err(self.failed())?;
        let len = file.metadata().map_err(self.failed())?.len();
        // The archive is no blob of the store: its ranges are used right here.
        let source = Source { blob: Digest::of(b""), offset: 0, len };
        let entries = index::index(BufReader::with_capacity(256 * 1024, file), source).map_err(|e| {
            let why = e.to_string().replace(&source.blob.to_string(), "the archive");
            Error::Content { what: self.name(), why }
        })?;
        let mut files = HashMap::new();
        for entry in entries {
            if let Item::Node(Node { kind: Kind::File(Content::Blob { offset, len, .. }), .. }) = entry.item {
                files.insert(entry.path, (offset, len));
            }
        }
        Ok(files)
    }

    pub(super) fn file(&self, below: &str) -> Result<Box<dyn Read + Send + '_>, Error> {
        let Some(files) = &self.archive else {
            let path = self.path.join(below);
            let file = File::open(&path)
                .map_err(|source| Error::Read { what: path.display().to_string(), source })?;
            return Ok(Box::new(file));
        };
        let range = TreePath::new(below).ok().and_then(|path| files.get(&path));
        let Some((offset, len)) = range else {
            let why = format!("it has no file {below}");
            return Err(Error::Content { what: self.name(), why });
        };
        let mut file = File::open(&self.path).map_err(self.failed())?;
        file.seek(SeekFrom::Start(*offset)).map_err(self.failed())?;
        Ok(Box::new(file.take(*len)))
    }

    pub(super) fn document(&self, below: &str) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        self.file(below)?.take(LARGEST_DOCUMENT + 1).read_to_end(&mut bytes).map_err(self.failed())?;
        if bytes.len() as u64 > LARGEST_DOCUMENT {
            let why = format!("{below} has more than {LARGEST_DOCUMENT} bytes");
            return Err(Error::Content { what: self.name(), why });
        }
        Ok(bytes)
    }
}

impl Blobs for Layout {
    fn called(&self) -> String {
        self.0.name()
    }

    fn open(&self, blob: &Digest, _: u64, _: u32) -> Result<Box<dyn Read + Send + '_>, Error> {
        self.0.file(&format!("blobs/sha256/{}", blob.hex()))
    }
}

/// Writes an image into the layout folder `to`, under `name`; an image of that name is replaced, others
/// stay. Layers are written as the store keeps them, uncompressed, so the manifest of an image that came
/// compressed is written anew (its configuration stays, byte for byte). Returns the manifest's digest.
pub fn export_layout(store: &Store, image: &Image, to: &Path, name: &str) -> Result<Digest, Error> {
    let refused = |why: String| Error::Content { what: format!("image {}", image.manifest), why };
    let text = store.read(&image.manifest)?;
    let manifest = ImageManifest::from_reader(text.as_slice()).map_err(|e| refused(e.to_string()))?;
    let parse = |digest: String| digest.parse::<Digest>().map_err(|e| refused(e.to_string()));
    let as_kept = manifest
        .layers()
        .iter()
        .map(|l| l.digest().to_string())
        .eq(image.layers.iter().map(ToString::to_string));
    let text = if as_kept { text } else { plain_manifest(store, image, &manifest)? };
    let config = parse(manifest.config().digest().to_string())?;

    let blobs = to.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(written(&blobs))?;
    for digest in image.layers.iter().chain([&config]) {
        put(&blobs.join(digest.hex()), &mut store.open_blob(digest)?)?;
    }
    let digest = Digest::of(&text);
    put(&blobs.join(digest.hex()), &mut text.as_slice())?;
    put(&to.join("oci-layout"), &mut br#"{"imageLayoutVersion":"1.0.0"}"#.as_slice())?;

    // The index comes last: until then the layout does not know the image.
    let index = to.join("index.json");
    let mut manifests = match File::open(&index) {
        Ok(file) => {
            let old = ImageIndex::from_reader(BufReader::new(file)).map_err(|e| refused(e.to_string()))?;
            old.manifests().clone()
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(source) => return Err(written(&index)(source)),
    };
    manifests.retain(|m| m.annotations().as_ref().and_then(|a| a.get(REF_NAME)).is_none_or(|n| n != name));
    let spec = |e: oci_spec::OciSpecError| refused(e.to_string());
    let described = DescriptorBuilder::default()
        .media_type(MediaType::ImageManifest)
        .digest(digest.to_string().parse::<oci_spec::image::Digest>().map_err(spec)?)
        .size(text.len() as u64)
        .annotations(HashMap::from([(REF_NAME.to_owned(), name.to_owned())]))
        .build()
        .map_err(spec)?;
    manifests.push(described);
    let new = ImageIndexBuilder::default().schema_version(SCHEMA_VERSION).manifests(manifests).build();
    let new = new.map_err(spec)?.to_string().map_err(spec)?;
    put(&index, &mut new.as_bytes())?;
    Ok(digest)
}

/// The manifest of an image with its layers as the store keeps them.
fn plain_manifest(store: &Store, image: &Image, manifest: &ImageManifest) -> Result<Vec<u8>, Error> {
    let refused = |why: String| Error::Content { what: format!("image {}", image.manifest), why };
    let spec = |e: oci_spec::OciSpecError| refused(e.to_string());
    let describe = |media_type: MediaType, digest: &Digest, size: u64| {
        let digest: oci_spec::image::Digest = digest.to_string().parse().map_err(spec)?;
        DescriptorBuilder::default().media_type(media_type).digest(digest).size(size).build().map_err(spec)
    };
    let mut layers = Vec::new();
    for layer in &image.layers {
        let path = store.path(layer);
        let size = fs::metadata(&path).map_err(|source| crate::store::Error::Io { path, source })?.len();
        layers.push(describe(MediaType::ImageLayer, layer, size)?);
    }
    let config = manifest.config();
    let digest: Digest = config.digest().to_string().parse().map_err(|e| refused(format!("{e}")))?;
    let plain = ImageManifestBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageManifest)
        .config(describe(MediaType::ImageConfig, &digest, config.size())?)
        .layers(layers)
        .build();
    Ok(plain.map_err(spec)?.to_string().map_err(spec)?.into_bytes())
}

pub(super) fn written(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| crate::store::Error::Io { path: path.to_owned(), source }.into()
}

/// Writes a file whole or not at all.
pub(super) fn put(path: &Path, content: &mut impl Read) -> Result<(), Error> {
    let mut new = Replacement::of(path, 0o644).map_err(written(path))?;
    io::copy(content, new.file()).map_err(written(path))?;
    new.place_durably().map_err(written(path))
}
