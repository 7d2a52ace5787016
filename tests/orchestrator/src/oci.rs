//! The OCI artifacts that the stand-in serves: a small one, and the worker's image, made of one static
//! program. Also the same image as an OCI layout, for tools to copy.

use crate::Error;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

pub const HELLO: &str = "edge-orch/lab/hello";
pub const WORKER: &str = "edge-orch/lab/tink-worker";

/// What was kept: digest, media type, size.
type Blob = (String, String, usize);

/// Blobs and manifests, by digest; repositories' `latest`.
#[derive(Default)]
pub struct Artifacts {
    blobs: BTreeMap<String, (String, Vec<u8>)>,
    latest: BTreeMap<String, String>,
}

impl Artifacts {
    pub fn new(worker: Option<&Path>, folder: &Path) -> Result<Self, Error> {
        let mut artifacts = Self::default();
        let hello = artifacts.add("application/octet-stream", b"hello from the release service\n".to_vec());
        let empty = artifacts.add("application/vnd.oci.empty.v1+json", b"{}".to_vec());
        artifacts.manifest(HELLO, &empty, &hello);
        if let Some(worker) = worker {
            let layer = artifacts.add(LAYER, layer(&fs::read(worker).map_err(Error::at(worker.display()))?)?);
            let config = serde_json::json!({
                "architecture": "amd64",
                "os": "linux",
                "config": { "Entrypoint": ["/lab-worker"] },
                "rootfs": { "type": "layers", "diff_ids": [layer.0] },
            });
            let config = artifacts.add(CONFIG, config.to_string().into_bytes());
            let manifest = artifacts.manifest(WORKER, &config, &layer);
            artifacts.layout(&folder.join("worker"), &manifest, [&config, &layer])?;
        }
        Ok(artifacts)
    }

    /// Content type and bytes of what a path below `/v2/` names.
    pub fn find(&self, path: &str) -> Option<(&str, &str, &[u8])> {
        let (repository, reference) = match path.split_once("/manifests/") {
            Some((repository, reference)) => (repository, reference),
            None => path.split_once("/blobs/")?,
        };
        let latest = self.latest.get(repository)?;
        let digest = if reference == "latest" { latest } else { reference };
        let (digest, (kind, bytes)) = self.blobs.get_key_value(digest)?;
        Some((digest, kind, bytes))
    }

    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Blob {
        let hex: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let (digest, size) = (format!("sha256:{hex}"), bytes.len());
        self.blobs.insert(digest.clone(), (kind.to_owned(), bytes));
        (digest, kind.to_owned(), size)
    }

    fn manifest(&mut self, name: &str, config: &Blob, layer: &Blob) -> Blob {
        let manifest = serde_json::json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": descriptor(config),
            "layers": [descriptor(layer)],
        });
        let blob = self.add(MANIFEST, manifest.to_string().into_bytes());
        self.latest.insert(name.to_owned(), blob.0.clone());
        blob
    }

    /// An image as OCI image-layout.md says, with the tag `latest`.
    fn layout(&self, folder: &Path, manifest: &Blob, parts: [&Blob; 2]) -> Result<(), Error> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).map_err(Error::at(blobs.display()))?;
        for (digest, ..) in parts.into_iter().chain([manifest]) {
            let bytes = self.blobs.get(digest).map_or(&[][..], |(_, bytes)| bytes);
            write(&blobs.join(digest.trim_start_matches("sha256:")), bytes)?;
        }
        write(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let mut manifest = descriptor(manifest);
        manifest["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "latest" });
        let index = serde_json::json!({ "schemaVersion": 2, "manifests": [manifest] });
        write(&folder.join("index.json"), index.to_string().as_bytes())
    }
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    fs::write(path, bytes).map_err(Error::at(path.display()))
}

fn descriptor((digest, kind, size): &Blob) -> serde_json::Value {
    serde_json::json!({ "mediaType": kind, "digest": digest, "size": size })
}

/// A layer with the program at `/lab-worker`; the same bytes for the same program.
fn layer(program: &[u8]) -> Result<Vec<u8>, Error> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(program.len() as u64);
    header.set_mode(0o755);
    header.set_mtime(0);
    let layer = archive.append_data(&mut header, "lab-worker", program).and_then(|()| archive.into_inner());
    layer.map_err(Error::at("the worker's layer"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn artifacts_are_found_by_tag_and_by_digest() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::write(&program, "not really a program").unwrap();
        let artifacts = Artifacts::new(Some(&program), folder.path()).unwrap();
        let (digest, kind, bytes) = artifacts.find("edge-orch/lab/hello/manifests/latest").unwrap();
        assert_eq!(kind, MANIFEST);
        let manifest: serde_json::Value = serde_json::from_slice(bytes).unwrap();
        let blob = manifest["layers"][0]["digest"].as_str().unwrap();
        assert!(artifacts.find(&format!("{HELLO}/blobs/{blob}")).unwrap().2.starts_with(b"hello"));
        assert!(artifacts.find(&format!("{HELLO}/manifests/{digest}")).is_some());
        assert!(artifacts.find("edge-orch/lab/other/manifests/latest").is_none());
        let layout = folder.path().join("worker");
        let index = fs::read(layout.join("index.json")).unwrap();
        let index: serde_json::Value = serde_json::from_slice(&index).unwrap();
        let blobs = || fs::read_dir(layout.join("blobs/sha256")).unwrap();
        assert_eq!(blobs().count(), 3, "manifest, configuration and layer, nothing else");
        for blob in blobs() {
            let path = blob.unwrap().path();
            let hex: String =
                Sha256::digest(fs::read(&path).unwrap()).iter().map(|b| format!("{b:02x}")).collect();
            assert!(path.ends_with(hex));
        }
        let worker = artifacts.find(&format!("{WORKER}/manifests/latest")).unwrap();
        assert_eq!(index["manifests"][0]["digest"], worker.0);
        assert_eq!(index["manifests"][0]["size"], worker.2.len());
        // A second one of the same program has the same bytes.
        let again = Artifacts::new(Some(&program), &folder.path().join("again")).unwrap();
        assert_eq!(again.find(&format!("{WORKER}/manifests/latest")), Some(worker));
    }
}
