use super::*;
use crate::initramfs::tree::{Node, Tree, TreePath};
use crate::oci::layout::{export_layout, import_layout};
use crate::oci::{Config, write_image, write_layer};
use crate::progress::Silent;
use serde_json::json;
use std::collections::HashMap;
use std::sync::atomic::AtomicU32;

/// Blobs in memory; the first `faults` reads of each blob break.
#[derive(Default)]
struct Memory {
    blobs: HashMap<String, Vec<u8>>,
    faults: u32,
    opened: AtomicU32,
    retries: AtomicU32,
}

impl Memory {
    fn put(&mut self, media_type: &str, bytes: &[u8]) -> serde_json::Value {
        let digest = Digest::of(bytes).to_string();
        self.blobs.insert(digest.clone(), bytes.to_vec());
        json!({"mediaType": media_type, "digest": digest, "size": bytes.len()})
    }

    /// An image of one gzip layer; its manifest.
    fn image(&mut self, plain: &[u8], architecture: &str) -> serde_json::Value {
        let mut gzip = flate2::read::GzEncoder::new(plain, flate2::Compression::fast());
        let mut bytes = Vec::new();
        gzip.read_to_end(&mut bytes).unwrap();
        let layer = self.put("application/vnd.docker.image.rootfs.diff.tar.gzip", &bytes);
        // Docker writes nulls for what is empty.
        let config = json!({"architecture": architecture, "os": "linux", "created": "2026-01-01T00:00:00Z",
            "config": {"Env": ["A=b"], "Cmd": ["/x"], "Entrypoint": null, "Labels": null, "Volumes": null,
                "ExposedPorts": {"80/tcp": {}}, "OnBuild": null, "Image": "", "Hostname": ""},
            "container_config": {}, "docker_version": "1", "history": [{"created_by": "x"}],
            "rootfs": {"type": "layers", "diff_ids": [Digest::of(plain).to_string()]}});
        let config =
            self.put("application/vnd.docker.container.image.v1+json", config.to_string().as_bytes());
        let manifest = json!({"schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": config, "layers": [layer]});
        self.put("application/vnd.docker.distribution.manifest.v2+json", manifest.to_string().as_bytes())
    }

    fn document(&self, descriptor: &serde_json::Value) -> Vec<u8> {
        self.blobs[descriptor["digest"].as_str().unwrap()].clone()
    }
}

impl Blobs for Memory {
    fn called(&self) -> String {
        "memory".to_owned()
    }
    fn open(&self, blob: &Digest, _: u64, _: u32) -> Result<Box<dyn Read + Send + '_>, Error> {
        let bytes = &self.blobs[&blob.to_string()];
        if self.opened.fetch_add(1, Ordering::Relaxed) < self.faults {
            // Cut off in the middle.
            return Ok(Box::new(&bytes[..bytes.len() / 2]));
        }
        Ok(Box::new(bytes.as_slice()))
    }
    fn again(&self, failure: u32, _: &Error, _: &dyn Progress) -> bool {
        self.retries.fetch_add(1, Ordering::Relaxed);
        failure < 3
    }
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

fn with_platform(mut descriptor: serde_json::Value, architecture: &str) -> serde_json::Value {
    descriptor["platform"] = json!({"os": "linux", "architecture": architecture});
    descriptor
}

fn index(manifests: &[serde_json::Value]) -> Vec<u8> {
    json!({"schemaVersion": 2, "manifests": manifests}).to_string().into_bytes()
}

#[test]
fn the_platform_is_chosen_out_of_an_index() {
    let (_folder, store) = store();
    let mut from = Memory::default();
    let arm = with_platform(from.image(b"arm", "arm64"), "arm64");
    let amd = with_platform(from.image(b"amd", "amd64"), "amd64");
    let note = with_platform(from.put("application/vnd.oci.image.manifest.v1+json", b"{}"), "unknown");
    let document = index(&[arm.clone(), note.clone(), amd]);
    let image = acquire(&store, &from, document, &Platform::default(), &Silent).unwrap();
    assert_eq!(image.layers, [Digest::of(b"amd")]);
    assert_eq!(image.config.env, ["A=b"]);
    assert_eq!(read_image(&store, &image.manifest).unwrap(), image);

    let error = acquire(&store, &from, index(&[arm.clone(), note]), &Platform::default(), &Silent);
    let error = error.unwrap_err().to_string();
    assert!(error.contains("no image for linux/amd64, only for: linux/arm64"), "{error}");
    let document = from.document(&arm);
    let error = acquire(&store, &from, document, &Platform::default(), &Silent).unwrap_err().to_string();
    assert!(error.contains("an image for linux/arm64"), "{error}");
}

#[test]
fn a_broken_transfer_is_tried_again_and_a_known_layer_is_not() {
    let (_folder, store) = store();
    let mut from = Memory { faults: 2, ..Memory::default() };
    let descriptor = from.image(b"layer", "amd64");
    let document = from.document(&descriptor);
    let image = acquire(&store, &from, document.clone(), &Platform::default(), &Silent).unwrap();
    assert_eq!(from.retries.load(Ordering::Relaxed), 2);
    let opened = from.opened.load(Ordering::Relaxed);
    assert_eq!(acquire(&store, &from, document.clone(), &Platform::default(), &Silent).unwrap(), image);
    assert_eq!(from.opened.load(Ordering::Relaxed), opened + 1, "the configuration alone");

    from.faults = u32::MAX;
    let (_folder, empty) = self::store();
    assert!(acquire(&empty, &from, document, &Platform::default(), &Silent).is_err());
}

#[test]
fn documents_that_two_readers_could_read_differently_are_refused() {
    let (_folder, store) = store();
    let mut from = Memory::default();
    let good = from.image(b"x", "amd64");
    let both = json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": good});
    let mut nested = good.clone();
    for _ in 0..6 {
        nested = from.put("application/vnd.oci.image.index.v1+json", &self::index(&[nested]));
    }
    let mut manifest: serde_json::Value = serde_json::from_slice(&from.document(&good)).unwrap();
    manifest["layers"] = json!([]);
    let mut large = good.clone();
    large["size"] = json!(1u64 << 40);
    for (document, why) in [
        (both.to_string().into_bytes(), "at the same time"),
        (b"{\"schemaVersion\": 1}".to_vec(), "schemaVersion"),
        (b"nonsense".to_vec(), "not JSON"),
        (index(&[nested]), "too often"),
        (manifest.to_string().into_bytes(), "0 layers, its configuration 1"),
        (index(&[large]), "1099511627776 bytes"),
    ] {
        let error = acquire(&store, &from, document, &Platform::default(), &Silent).unwrap_err().to_string();
        assert!(error.contains(why) && error.contains("memory"), "{error}");
    }
}

#[test]
fn a_layout_keeps_its_images_apart() {
    let (folder, store) = store();
    let to = folder.path().join("layout");
    let image = |name: &str| {
        let mut tree = Tree::new();
        tree.insert(TreePath::new(name).unwrap(), Node::file(name.as_bytes().to_vec(), 0o644, 0));
        let layer = write_layer(&store, &tree, 0).unwrap();
        let config = Config { cmd: vec![name.to_owned()], ..Config::default() };
        write_image(&store, &[layer], &config).unwrap()
    };
    let (one, two) = (image("one"), image("two"));
    export_layout(&store, &one, &to, "a").unwrap();
    export_layout(&store, &two, &to, "b").unwrap();
    export_layout(&store, &one, &to, "b").unwrap();
    export_layout(&store, &two, &to, "b").unwrap();

    let (_other, fresh) = self::store();
    let import =
        |path: &std::path::Path, name| import_layout(&fresh, path, name, &Platform::default(), &Silent);
    assert_eq!(import(&to, Some("a")).unwrap(), one);
    assert_eq!(import(&to, Some("b")).unwrap(), two);
    let error = import(&to, Some("c")).unwrap_err().to_string();
    assert!(error.contains("only: a, b"), "{error}");
    let error = import(&to, None).unwrap_err().to_string();
    assert!(error.contains("name one of them: a, b"), "{error}");
    let error = import(folder.path(), None).unwrap_err().to_string();
    assert!(error.contains("no OCI image layout"), "{error}");

    let archive = folder.path().join("layout.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&archive).unwrap());
    tar.append_dir_all(".", &to).unwrap();
    tar.into_inner().unwrap();
    let (_third, fresh) = self::store();
    let import = import_layout(&fresh, &archive, Some("b"), &Platform::default(), &Silent);
    assert_eq!(import.unwrap(), two);

    let layer = to.join("blobs/sha256").join(one.layers[0].hex());
    std::fs::write(&layer, b"other").unwrap();
    let (_fourth, fresh) = self::store();
    let error = import_layout(&fresh, &to, Some("a"), &Platform::default(), &Silent).unwrap_err().to_string();
    assert!(error.contains(&one.layers[0].to_string()), "{error}");
}
