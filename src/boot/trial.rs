//! An image whose orchestrator is the stand-in on this machine's loopback: the same image with other
//! endpoints and another certificate authority, and a network in which the stand-in answers.
//!
//! Nothing is built anew. The kernel unpacks archives in order and later files win, so a small archive
//! behind the image's own says where the orchestrator is, as the site segment does.

use super::machine::Forward;
use crate::initramfs::Compression;
use crate::initramfs::cpio::{self, Inodes};
use crate::initramfs::tree::TreePath;
use crate::problem::{Problem, Result};
use crate::site::certificates::{self, Bundle};
use crate::site::resolve::FlagValues;
use crate::site::segment::{BuildRecord, site_tree};
use crate::site::{Id, Sources, resolve};
use crate::store::Store;
use std::fs::File;
use std::io::{self, Write as _};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::path::Path;

/// Where the guest sees the orchestrator, in QEMU's user network.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 100);
/// The port of every service of an orchestrator.
const PORT: u16 = 443;
/// Where the guest sees this machine's loopback.
pub const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);
/// The stand-in's domain.
pub const DOMAIN: &str = "lab.example.com";

/// The stand-in's names.
const NAMES: &[&str] = &[
    "keycloak",
    "release",
    "onboarding",
    "onboarding-stream",
    "tink-stack",
    "files-rs",
    "registry-rs",
    "logs-node",
];

/// Writes to `into` what `initramfs` holds, and behind it the settings that lead to the stand-in, whose
/// certificate authority is `ca` (PEM).
pub fn initramfs(store: &Store, initramfs: &Path, ca: &str, into: &Path) -> Result<()> {
    let settings = settings(store, ca)?;
    let copy = || -> io::Result<()> {
        let mut out = File::create(into)?;
        io::copy(&mut File::open(initramfs)?, &mut out)?;
        out.write_all(&settings)
    };
    copy().map_err(|e| Problem::new("cannot write the initramfs of the trial").in_file(into).because(e))
}

/// How the guest reaches the stand-in at `address`: `program relay ADDRESS` for each connection.
pub fn forward(program: &Path, address: SocketAddr) -> Forward {
    let command = vec![program.to_string_lossy().into_owned(), "relay".to_owned(), address.to_string()];
    Forward { guest: SocketAddrV4::new(ADDRESS, PORT), command }
}

/// Kernel parameters for a worker whose image is `worker_image`, with the stand-in's services behind the
/// image's own proxy.
pub fn parameters(worker_image: &str) -> String {
    format!(
        "tink_worker_image={worker_image} grpc_authority=127.0.0.1:42113 tinkerbell_tls=false DEBUG=false"
    )
}

/// The archive with the settings.
fn settings(store: &Store, ca: &str) -> Result<Vec<u8>> {
    let hosts: Vec<String> = NAMES.iter().map(|name| format!("{ADDRESS} {name}.{DOMAIN}")).collect();
    let flags = FlagValues::from([(Id::ClusterDomain, DOMAIN.to_owned()), (Id::ExtraHosts, hosts.join(","))]);
    let (site, _) = resolve("trial", &Sources { flags, ..Sources::default() }).into_result()?;
    let bundle = Bundle::from_bytes(Path::new("ca.pem"), ca.as_bytes())?;
    let certificates = certificates::check(bundle, None, None, certificates::now())?;
    let mut tree = site_tree(&site, &certificates, &BuildRecord::default(), certificates::now())?;
    // What the image's own site says of its consoles, its clock and its build stays.
    for path in ["etc/hook/settings", "etc/hook/site.json"] {
        let path = TreePath::new(path).map_err(|e| Problem::new("a path of the site segment").because(e))?;
        tree.remove(&path);
    }
    let failed = |e: &dyn std::error::Error| Problem::new(format!("cannot write the trial's settings: {e}"));
    let mut out = Compression::Zstd.writer(Vec::new()).map_err(|e| failed(&e))?;
    cpio::write(store, &tree, Inodes::Over, i64::MAX, &mut out).map_err(|e| failed(&e))?;
    out.finish().map_err(|e| failed(&e))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_settings_lead_to_the_stand_in_and_leave_the_consoles_alone() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let made = crate::site::placeholder::make("trial", &[]).unwrap();
        let packed = settings(&store, &made.ca).unwrap();
        let mut files = std::collections::BTreeMap::new();
        let plain = zstd::decode_all(&packed[..]).unwrap();
        cpio::read(&plain[..], u64::MAX, |entry, data| {
            files.insert(String::from_utf8(entry.name).unwrap(), data);
        })
        .unwrap();
        let text = |name: &str| String::from_utf8(files[name].clone()).unwrap();
        assert!(
            text("etc/hook/env_config").contains("onboarding_stream_svc=onboarding-stream.lab.example.com\n")
        );
        assert!(text("etc/hook/env_config").contains("KEYCLOAK_URL=keycloak.lab.example.com:443\n"));
        assert!(text("etc/hook/hosts").contains("10.0.2.100 tink-stack.lab.example.com\n"));
        assert!(text("etc/idp/ca.pem").contains(made.ca.trim()));
        assert!(!files.contains_key("etc/hook/settings"));
    }
}
