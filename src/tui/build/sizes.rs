//! What an image is made of, in bytes, from its manifest, and how that differs from the one before.

use crate::build::manifest::Manifest;
use crate::problem::{Problem, Result};
use std::collections::BTreeMap;

/// How a component differs from the build before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is no build before.
    Unknown,
    Same,
    New,
    /// It is not in the image any more.
    Gone,
    /// Bytes more (or less) in the archive, and unpacked.
    By(i64, i64),
}

/// One component.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Size {
    pub name: String,
    /// Bytes in the initramfs.
    pub compressed: u64,
    /// Bytes of its files in the machine's memory.
    pub unpacked: u64,
    pub change: Change,
}

/// All components, the largest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sizes {
    pub kernel: String,
    pub rows: Vec<Size>,
    pub total: Size,
}

impl Sizes {
    /// Reads a manifest, and the one of the build before if there was one.
    pub fn read(manifest: &str, before: Option<&str>) -> Result<Self> {
        let now = parse(manifest)
            .map_err(|e| Problem::new("manifest.json cannot be read").because(e).remedy("build again"))?;
        // An old manifest of another shape is as good as none.
        let before = before.and_then(|text| parse(text).ok()).map(|manifest| by_component(&manifest));
        let current = by_component(&now);
        let total = |all: &BTreeMap<String, (u64, u64)>| {
            all.values().fold((0, 0), |sum, size| (sum.0 + size.0, sum.1 + size.1))
        };
        let change = |name: &str, (c, u): (u64, u64)| match before.as_ref().map(|all| all.get(name)) {
            None => Change::Unknown,
            Some(None) => Change::New,
            Some(Some(old)) if *old == (c, u) => Change::Same,
            Some(Some((old_c, old_u))) => Change::By(difference(c, *old_c), difference(u, *old_u)),
        };
        let mut rows: Vec<Size> = current
            .iter()
            .map(|(name, (compressed, unpacked))| Size {
                name: name.clone(),
                compressed: *compressed,
                unpacked: *unpacked,
                change: change(name, (*compressed, *unpacked)),
            })
            .collect();
        for name in before.iter().flat_map(BTreeMap::keys).filter(|name| !current.contains_key(*name)) {
            rows.push(Size { name: name.clone(), compressed: 0, unpacked: 0, change: Change::Gone });
        }
        rows.sort_by(|a, b| b.compressed.cmp(&a.compressed).then_with(|| a.name.cmp(&b.name)));
        let (compressed, unpacked) = total(&current);
        let sum = match before.as_ref().map(total) {
            None => Change::Unknown,
            Some(old) if old == (compressed, unpacked) => Change::Same,
            Some(old) => Change::By(difference(compressed, old.0), difference(unpacked, old.1)),
        };
        let total = Size { name: "all".to_owned(), compressed, unpacked, change: sum };
        Ok(Self { kernel: now.kernel, rows, total })
    }
}

fn parse(text: &str) -> serde_json::Result<Manifest> {
    serde_json::from_str(text)
}

fn difference(now: u64, before: u64) -> i64 {
    let size = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
    size(now) - size(before)
}

fn by_component(manifest: &Manifest) -> BTreeMap<String, (u64, u64)> {
    let mut all: BTreeMap<String, (u64, u64)> = BTreeMap::new();
    for segment in &manifest.segments {
        let sum = all.entry(component(&segment.name).to_owned()).or_default();
        sum.0 = sum.0.saturating_add(segment.compressed);
        sum.1 = sum.1.saturating_add(segment.unpacked);
    }
    all
}

/// The name that people know: `onboot/003-udev-coldplug` is `udev-coldplug`.
fn component(segment: &str) -> &str {
    match segment {
        "modules" => "kernel modules",
        "files" => "files of hook.yaml",
        "site" => "site settings",
        _ if segment.starts_with("init/") => "init",
        _ => {
            let name = segment.rsplit('/').next().unwrap_or(segment);
            match name.split_once('-') {
                Some((number, rest)) if !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()) => {
                    rest
                }
                _ => name,
            }
        }
    }
}
