//! Where a test of registries takes place.

use crate::faults::Faults;
use crate::support::{self, ROOT, Registry, ok};
use hookos::initramfs::tree::{Node, Tree, TreePath};
use hookos::oci;
use hookos::store::Store;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// `me` with the password `secret`, by bcrypt.
pub const HTPASSWD: &str = "me:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";

/// An authority that signs certificates of servers.
pub struct Authority(rcgen::CertifiedIssuer<'static, rcgen::KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let key = rcgen::KeyPair::generate().unwrap();
        Self(rcgen::CertifiedIssuer::self_signed(params, key).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate for a name or an address, and its key.
    pub fn certificate(&self, name: &str) -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }
}

/// A folder with a store and with this test's own configuration of the user.
pub struct Room {
    pub folder: tempfile::TempDir,
}

impl Room {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `registries.toml` of the user.
    pub fn registries(&self, text: &str) {
        fs::create_dir_all(self.path("config/hookos")).unwrap();
        fs::write(self.path("config/hookos/registries.toml"), text).unwrap();
    }

    /// `registries.toml` says that these hosts speak without TLS, and `more` of the last one.
    pub fn without_tls(&self, hosts: &[&str], more: &str) {
        let tables = hosts.iter().map(|host| format!("[registry.\"{host}\"]\ntls = \"off\"\n"));
        self.registries(&(tables.collect::<String>() + more));
    }

    /// A registry, and what stands before it and does things wrong; of that one `registries.toml` says `more`.
    pub fn faulty_registry(&self, more: &str) -> (Registry, Faults) {
        let registry = Registry::start(self.folder.path(), "");
        let faults = Faults::before(&registry.host);
        self.without_tls(&[&registry.host, &faults.host], more);
        (registry, faults)
    }

    pub fn login(&self, text: &str) {
        fs::create_dir_all(self.path("docker")).unwrap();
        fs::write(self.path("docker/config.json"), text).unwrap();
    }

    /// A credential helper `docker-credential-<name>`: a shell script.
    pub fn helper(&self, name: &str, script: &str) {
        fs::create_dir_all(self.path("helpers")).unwrap();
        let helper = self.path("helpers").join(format!("docker-credential-{name}"));
        fs::write(&helper, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&helper, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    }

    /// The search path with the helpers in it.
    pub fn helpers(&self) -> String {
        format!("{}:{}", self.path("helpers").display(), std::env::var("PATH").unwrap())
    }

    pub fn command(&self, store: &str, args: &[&str]) -> Command {
        let mut command = support::hookos(Path::new(ROOT), &self.path(store), args);
        command
            .env("XDG_CONFIG_HOME", self.path("config"))
            .env("DOCKER_CONFIG", self.path("docker"))
            .env_remove("REGISTRY_AUTH_FILE")
            .env_remove("XDG_RUNTIME_DIR");
        for proxy in [
            "http_proxy",
            "https_proxy",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "all_proxy",
            "ALL_PROXY",
            "no_proxy",
            "NO_PROXY",
        ] {
            command.env_remove(proxy);
        }
        command
    }

    pub fn hookos(&self, store: &str, args: &[&str]) -> Output {
        self.command(store, args).output().unwrap()
    }

    /// What a call that must fail says.
    #[track_caller]
    pub fn fails(&self, store: &str, args: &[&str]) -> String {
        let output = self.hookos(store, args);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }

    /// The image that a store has by name.
    pub fn named(&self, store: &str, name: &str) -> Option<oci::Image> {
        oci::registry::named(&Store::open(self.path(store)).unwrap(), name).unwrap()
    }

    /// An image of one layer with `bytes` that do not compress, in the store `store` as `name`.
    pub fn image(&self, store: &str, name: &str, bytes: usize) -> oci::Image {
        let store = Store::open(self.path(store)).unwrap();
        let mut tree = Tree::new();
        let mut state = 1u64;
        let noise = std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        });
        let file = Node::file(noise.take(bytes).collect::<Vec<u8>>(), 0o644, 1);
        tree.insert(TreePath::new("noise").unwrap(), file);
        let layer = oci::write_layer(&store, &tree, 1).unwrap();
        let config = oci::Config { cmd: vec!["/noise".to_owned()], ..oci::Config::default() };
        let image = oci::write_image(&store, &[layer], &config).unwrap();
        oci::registry::set_name(&store, name, &image).unwrap();
        image
    }

    /// Nothing wrong is in the store, and no half-written file.
    #[track_caller]
    pub fn is_sound(&self, store: &str) {
        ok(self.hookos(store, &["cache", "verify"]));
        let left = fs::read_dir(self.path(store).join("tmp")).unwrap().count();
        assert_eq!(left, 0, "files are left in tmp");
    }
}

#[track_caller]
pub fn run(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    ok(output.unwrap_or_else(|e| panic!("this test needs {program} (tests/run installs it): {e}")))
}

pub fn digest_of(text: &str) -> &str {
    let at = text.find("sha256:").unwrap();
    &text[at..at + 71]
}
