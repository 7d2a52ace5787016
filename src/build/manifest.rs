//! `manifest.json`: every input and output of an image by digest.

use super::files::Artifact;
use crate::problem::{Problem, Result};
use crate::store::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::Path;

/// The version of the manifest's shape.
const SCHEMA: u32 = 1;

/// Its name in the output folder.
pub const FILE: &str = "manifest.json";

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
    pub files: u64,
}

/// The whole record.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Manifest {
    pub schema: u32,
    /// The version of the program that made the image.
    pub hookos: String,
    pub profile: String,
    pub kernel: String,
    /// Seconds since 1970 to which every time in the image is clamped.
    pub epoch: i64,
    pub inputs: Vec<Input>,
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
            epoch,
            inputs: Vec::new(),
            segments: Vec::new(),
            padding: 0,
            artifacts: Vec::new(),
        }
    }

    /// The manifest of the image in `out`.
    pub fn read(out: &Path) -> Result<Self> {
        let path = out.join(FILE);
        let text = std::fs::read(&path).map_err(|e| {
            Problem::usage("there is no finished image here")
                .in_file(&path)
                .because(e)
                .remedy("build the profile first: hookos build PROFILE")
        })?;
        serde_json::from_slice(&text).map_err(|e| {
            Problem::usage("it is no record of a build")
                .in_file(&path)
                .because(e)
                .remedy("build the profile again")
        })
    }

    /// JSON text with sorted inputs.
    pub fn text(mut self) -> Result<Vec<u8>> {
        self.inputs.sort();
        self.inputs.dedup();
        let mut text = serde_json::to_vec_pretty(&self)
            .map_err(|e| Problem::new("cannot write manifest.json").because(e))?;
        text.push(b'\n');
        Ok(text)
    }
}
