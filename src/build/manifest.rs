//! `manifest.json`: every input and output of an image by digest.

use super::files::Artifact;
use super::image::CMDLINE;
use super::sbom::PartRecord;
use crate::initramfs::cpio::Written;
use crate::problem::{Problem, Result};
use crate::site::certificates::{Bundle, SiteCertificates};
use crate::store::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the manifest's shape.
const SCHEMA: u32 = 2;

/// Its name in the output folder.
pub const FILE: &str = "manifest.json";
/// The name of the site's own segment.
pub const SITE: &str = "site";

/// The sizes of the files of the image in `out`, by name; none if it has no manifest.
pub fn sizes(out: &Path) -> BTreeMap<String, u64> {
    let made = Manifest::read(out).ok();
    let own = std::fs::metadata(out.join(FILE)).ok().map(|m| (FILE.to_owned(), m.len()));
    made.into_iter().flat_map(|m| m.artifacts).map(|a| (a.name, a.bytes)).chain(own).collect()
}

/// One thing that decided the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Input {
    /// What it is: `package`, `component`, `image`, `program`, `file`, `certificate`, ...
    pub kind: String,
    pub name: String,
    pub digest: Digest,
}

/// One segment of the initramfs, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    pub name: String,
    pub digest: Digest,
    /// Bytes in the initramfs.
    pub compressed: u64,
    /// Bytes of files, once unpacked.
    pub unpacked: u64,
    /// Bytes of memory that they take: whole pages.
    pub memory: u64,
    pub files: u64,
}

impl SegmentRecord {
    /// The site's own, which is always the last.
    pub fn site(bytes: &[u8], written: &Written) -> Self {
        Self {
            name: SITE.to_owned(),
            digest: Digest::of(bytes),
            compressed: bytes.len() as u64,
            unpacked: written.content,
            memory: written.memory,
            files: written.files,
        }
    }
}

/// A site's certificates as inputs.
pub fn certificates(certificates: &SiteCertificates) -> Vec<Input> {
    let both = [("ca.pem", &certificates.ca), ("server_cert.pem", &certificates.server)];
    let input = |(name, bundle): (&str, &Bundle)| Input {
        kind: "certificate".to_owned(),
        name: name.to_owned(),
        digest: Digest::of(&bundle.pem()),
    };
    both.map(input).into()
}

/// The kernel command line, by who says it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cmdline {
    /// The image definition's, or that of the image that was stamped.
    pub image: String,
    /// What the site adds.
    pub site: String,
}

impl Cmdline {
    pub fn new(image: &str, site: Option<String>) -> Self {
        Self { image: image.trim().to_owned(), site: site.unwrap_or_default() }
    }

    /// The file beside the image.
    pub fn text(&self) -> String {
        let words = [self.image.as_str(), self.site.as_str()].into_iter().filter(|words| !words.is_empty());
        format!("{}\n", words.collect::<Vec<_>>().join(" "))
    }

    /// As the record in `folder` says it, if the file there is that.
    pub fn of_folder(folder: &Path) -> Option<Self> {
        let made = Manifest::read(folder).ok()?;
        let text = std::fs::read_to_string(folder.join(CMDLINE)).ok()?;
        (made.cmdline.text() == text).then_some(made.cmdline)
    }
}

/// The whole record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    /// The version of the program that made the image.
    pub hookos: String,
    pub profile: String,
    pub kernel: String,
    pub cmdline: Cmdline,
    /// Seconds since 1970 to which every time in the image is clamped.
    pub epoch: i64,
    pub inputs: Vec<Input>,
    /// What the SBOM is made of; none where there is no SBOM.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<PartRecord>,
    pub segments: Vec<SegmentRecord>,
    /// NULs behind the last segment.
    #[serde(default)]
    pub padding: u64,
    pub artifacts: Vec<Artifact>,
}

impl Manifest {
    pub fn new(profile: &str, kernel: &str, epoch: i64) -> Self {
        Self {
            schema: SCHEMA,
            hookos: env!("CARGO_PKG_VERSION").to_owned(),
            profile: profile.to_owned(),
            kernel: kernel.to_owned(),
            cmdline: Cmdline::default(),
            epoch,
            inputs: Vec::new(),
            parts: Vec::new(),
            segments: Vec::new(),
            padding: 0,
            artifacts: Vec::new(),
        }
    }

    /// The manifest of the image in `out`.
    pub fn read(out: &Path) -> Result<Self> {
        #[derive(Deserialize)]
        struct Shape {
            schema: u32,
        }
        let path = out.join(FILE);
        let text = std::fs::read(&path).map_err(|e| {
            Problem::usage("there is no finished image here")
                .in_file(&path)
                .because(e)
                .remedy("build the profile first: hookos build PROFILE")
        })?;
        let bad = |e| {
            Problem::usage("it is no record of a build")
                .in_file(&path)
                .because(e)
                .remedy("build the profile again")
        };
        let Shape { schema } = serde_json::from_slice(&text).map_err(bad)?;
        if schema != SCHEMA {
            return Err(Problem::usage(format!(
                "another version of hookos wrote this record (schema {schema})"
            ))
            .in_file(&path)
            .remedy("use that version for this image, or build the profile again with this one"));
        }
        serde_json::from_slice(&text).map_err(bad)
    }

    /// JSON text with sorted inputs.
    pub fn text(mut self) -> Result<Vec<u8>> {
        self.inputs.sort();
        self.inputs.dedup();
        self.parts.sort();
        self.parts.dedup();
        let mut text = serde_json::to_vec_pretty(&self)
            .map_err(|e| Problem::new("cannot write manifest.json").because(e))?;
        text.push(b'\n');
        Ok(text)
    }
}
