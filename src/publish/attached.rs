//! What goes with something published: checksums, SBOM, provenance, build record.
//!
//! Each is an artifact that refers to the image, so that every tool which lists referrers finds it. That alone
//! proves nothing: whoever writes to the repository can add a referrer. So the manifest of the image names these
//! files by digest, in an annotation: what signs or pins the image does the same for them, and only what
//! the manifest names is fetched.

use crate::build::base::{kernel_inputs, kernel_parts};
use crate::build::files::Artifact as Made;
use crate::build::image::SBOM;
use crate::build::sbom::PartRecord;
use crate::build::{manifest, provenance, sbom};
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::Kind;
use crate::kernel::image::Built;
use crate::oci;
use crate::oci::artifact::{Artifact, File, Manifest, Part};
use crate::oci::repository::{Blob, Found};
use crate::problem::{Problem, Result};
use crate::store::{Digest, Hasher, Store};
use std::path::Path;

/// The checksums of the files that are fetched with an image, or that are in a kernel's image, as
/// `sha256sum --check` reads them.
pub const CHECKSUMS: &str = "application/vnd.hookos.checksums.v1";
pub const CHECKSUMS_FILE: &str = "SHA256SUMS";
/// `manifest.json`: every input and output by digest.
pub const RECORD: &str = "application/vnd.hookos.record.v1+json";
/// Source: the media type that CycloneDX has registered.
pub const SBOM_TYPE: &str = "application/vnd.cyclonedx+json";
/// Source: the media type that in-toto has registered.
pub const PROVENANCE: &str = "application/vnd.in-toto+json";
/// The annotation of a manifest that names what goes with it: a JSON list of descriptors with titles.
const ANNOTATION: &str = "hookos.attached";
/// What is published without a version of its own names this one.
const SCHEMA: u32 = 1;

/// Files that go with a manifest.
#[derive(Debug, Default)]
pub struct Attached(Vec<(&'static str, File)>);

impl Attached {
    fn add(&mut self, kind: &'static str, title: &str, media_type: &str, blob: Blob) {
        self.0.push((kind, File::new(title, media_type, blob)));
    }

    /// What goes with the image that a build left in `out`, of which `made` is the record.
    pub fn of_image(out: &Path, made: &[Made], archive: &Made) -> Result<Self> {
        let mut all = Self::default();
        let mut sums = vec![(archive.sha256, archive.name.clone())];
        // What was stamped has neither.
        for (kind, name) in [(SBOM_TYPE, SBOM), (PROVENANCE, provenance::FILE)] {
            if let Some(stated) = made.iter().find(|made| made.name == name) {
                let blob = super::blob_of(&out.join(name), Some(stated))?;
                sums.push((blob.digest, name.to_owned()));
                all.add(kind, name, kind, blob);
            }
        }
        let record = super::blob_of(&out.join(manifest::FILE), None)?;
        sums.push((record.digest, manifest::FILE.to_owned()));
        all.add(RECORD, manifest::FILE, "application/json", record);
        all.add(CHECKSUMS, CHECKSUMS_FILE, "text/plain", checksums(&sums));
        Ok(all)
    }

    /// What goes with a kernel's image.
    pub fn of_kernel(store: &Store, kernel: &Built) -> Result<Self> {
        let made = files(store, kernel)?;
        let mut inputs = kernel_inputs(kernel);
        inputs.sort();
        let record = serde_json::json!({
            "schema": SCHEMA,
            "hookos": env!("CARGO_PKG_VERSION"),
            "kernel": kernel.version,
            "tag": kernel.tag,
            "inputs": inputs,
            "artifacts": made,
        });
        let mut record = serde_json::to_vec_pretty(&record)
            .map_err(|e| Problem::new("the kernel's record cannot be written").because(e))?;
        record.push(b'\n');
        let parts: Vec<PartRecord> = kernel_parts(kernel).iter().map(PartRecord::new).collect();
        let bom = sbom::write("kernel", &parts)?;
        let sums: Vec<_> = made.into_iter().map(|made| (made.sha256, made.name)).collect();
        let mut all = Self::default();
        all.add(SBOM_TYPE, SBOM, SBOM_TYPE, Blob::of_bytes(bom));
        all.add(RECORD, manifest::FILE, "application/json", Blob::of_bytes(record));
        all.add(CHECKSUMS, CHECKSUMS_FILE, "text/plain", checksums(&sums));
        Ok(all)
    }

    /// The annotation that names them in the manifest of `what`.
    pub fn annotation(&self) -> Result<(String, String)> {
        let part = |(kind, file): &(&str, File)| Part {
            media_type: file.media_type.clone(),
            digest: file.blob.digest,
            size: file.blob.size,
            annotations: file.annotations.clone(),
            artifact_type: Some((*kind).to_owned()),
        };
        let parts: Vec<Part> = self.0.iter().map(part).collect();
        let text = serde_json::to_string(&parts)
            .map_err(|e| Problem::new("what goes with the image cannot be named").because(e))?;
        Ok((ANNOTATION.to_owned(), text))
    }

    /// The artifacts that refer to `subject`.
    pub fn artifacts(self, subject: &Found) -> impl Iterator<Item = Artifact> + '_ {
        self.0.into_iter().map(|(kind, file)| Artifact {
            artifact_type: kind.to_owned(),
            files: vec![file],
            subject: Some(subject.clone()),
            ..Artifact::default()
        })
    }
}

/// What a manifest says goes with it.
pub fn named_by(manifest: &Manifest) -> Result<Vec<Part>, serde_json::Error> {
    manifest.annotations.get(ANNOTATION).map_or(Ok(Vec::new()), |text| serde_json::from_str(text))
}

fn checksums(files: &[(Digest, String)]) -> Blob {
    let lines: String = files.iter().map(|(digest, name)| format!("{}  {name}\n", digest.hex())).collect();
    Blob::of_bytes(lines.into_bytes())
}

/// The files in a kernel's image.
fn files(store: &Store, kernel: &Built) -> Result<Vec<Made>> {
    let failed =
        |e: &dyn std::fmt::Display| Problem::new(format!("the kernel {} cannot be read: {e}", kernel.tag));
    let tree = oci::image_tree(store, &kernel.image).map_err(|e| failed(&e))?;
    let mut contents = Contents::new(store);
    let mut made = Vec::new();
    for (path, node) in tree.iter() {
        let Kind::File(content) = &node.kind else { continue };
        let mut hasher = Hasher::new();
        contents.copy(path, content, &mut hasher).map_err(|e| failed(&e))?;
        let name = String::from_utf8_lossy(path.as_bytes()).into_owned();
        made.push(Made { name, bytes: content.len(), sha256: hasher.finish() });
    }
    Ok(made)
}
