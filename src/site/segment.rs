//! The site segment: the files that turn a base image into a site's image.
//!
//! | path | for whom |
//! |---|---|
//! | `/etc/hook/env_config` | services: endpoints and proxies ([`super::env_config`]) |
//! | `/etc/hook/settings` | init and services: `KEY=VALUE` lines, keys below |
//! | `/etc/hook/hosts` | init: lines to append to `/etc/hosts` at boot; may be empty |
//! | `/etc/hook/resolv.conf` | init: copied to `/run/resolvconf/resolv.conf` before DHCP; may be empty |
//! | `/etc/hook/site.json` | people: which build this is |
//! | `/etc/idp/ca.pem`, `/etc/idp/server_cert.pem` | services: certificates ([`super::certificates`]) |
//!
//! Keys of `/etc/hook/settings` (`hookos_guest::settings` reads it; no shell does): `GETTY` = `login`,
//! `insecure` or `off`; `ROOT_PASSWORD_HASH`, a crypt(3) text; `NTP_SERVERS`, with commas, or `none`.
//!
//! The directories `/etc/hook` and `/etc/idp` are the base's; the segment holds no directory, so it
//! changes the mode of none. The files are root:root, 0644 (settings: 0600), with names of their own: they are never
//! hard links, which a later segment must not write through.

use super::certificates::SiteCertificates;
use super::env_config;
use super::field::Field;
use super::fields::{FIELDS, Id};
use super::resolve::{FlagValues, ResolvedSite};
use crate::initramfs::tree::{Node, Tree, TreePath};
use crate::problem::{Problem, Result};
use crate::store::Digest;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// What the image's `/etc/hook/site.json` says of the build, apart from the site.
#[derive(Debug, Clone, Default)]
pub struct BuildRecord {
    /// The kernel's release, as `uname -r` says it.
    pub kernel: String,
    /// Manifest digests of the images, by name.
    pub images: BTreeMap<String, Digest>,
    /// SOURCE_DATE_EPOCH, if the build was given one; seconds since 1970.
    pub source_date_epoch: Option<i64>,
}

/// May hold a password's hash, so only root reads it.
const SETTINGS: &str = "etc/hook/settings";

/// The files of a site. `mtime` (seconds since 1970) is the time of every file.
pub fn site_tree(
    site: &ResolvedSite,
    certificates: &SiteCertificates,
    record: &BuildRecord,
    mtime: i64,
) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut put = |path: &str, bytes: Vec<u8>| -> Result<()> {
        let mode = if path == SETTINGS { 0o600 } else { 0o644 };
        let path = TreePath::new(path).map_err(|e| Problem::new("a path of the site segment").because(e))?;
        tree.insert(path, Node::file(bytes, mode, mtime));
        Ok(())
    };
    put("etc/hook/env_config", env_config::render(site).into_bytes())?;
    put(SETTINGS, settings(site).into_bytes())?;
    // Each site has them all: an image may be stamped on another site's, whose files it has to replace.
    put("etc/hook/hosts", hosts(site).into_bytes())?;
    put("etc/hook/resolv.conf", resolv_conf(site).into_bytes())?;
    put("etc/hook/site.json", site_json(site, certificates, record)?)?;
    put("etc/idp/ca.pem", certificates.ca.pem())?;
    put("etc/idp/server_cert.pem", certificates.server.pem())?;
    Ok(tree)
}

/// `/etc/hook/settings`.
fn settings(site: &ResolvedSite) -> String {
    let mut text = format!("GETTY={}\n", site.getty().name());
    for (key, id) in [("ROOT_PASSWORD_HASH", Id::RootPasswordHash), ("NTP_SERVERS", Id::NtpServers)] {
        if let Some(value) = site.text(id) {
            let _ = writeln!(text, "{key}={value}");
        }
    }
    text
}

/// `/etc/hook/hosts`: `ADDRESS NAME...` lines.
fn hosts(site: &ResolvedSite) -> String {
    site.list(Id::ExtraHosts).iter().map(|entry| format!("{entry}\n")).collect()
}

/// `/etc/hook/resolv.conf`.
fn resolv_conf(site: &ResolvedSite) -> String {
    let mut text = String::new();
    let search = site.list(Id::SearchDomains);
    if !search.is_empty() {
        let _ = writeln!(text, "search {}", search.join(" "));
    }
    for server in site.list(Id::Nameservers) {
        let _ = writeln!(text, "nameserver {server}");
    }
    text
}

/// `/etc/hook/site.json`. Nothing in it depends on when or where the image was built.
fn site_json(site: &ResolvedSite, certificates: &SiteCertificates, record: &BuildRecord) -> Result<Vec<u8>> {
    let prints = |bundle: &super::certificates::Bundle| -> Vec<_> {
        let one = |c: &super::certificates::Certificate| serde_json::json!({ "subject": c.info.subject, "fingerprint": c.info.fingerprint });
        bundle.certificates.iter().map(one).collect()
    };
    let json = serde_json::json!({
        "schema": 1,
        "hookos": env!("CARGO_PKG_VERSION"),
        "profile": site.name,
        "placeholder_certificates": certificates.placeholder,
        "kernel": record.kernel,
        "source_date_epoch": record.source_date_epoch,
        "fields": image_fields(site),
        "ca": prints(&certificates.ca),
        "server_cert": prints(&certificates.server),
        "images": record.images,
    });
    let mut text =
        serde_json::to_vec_pretty(&json).map_err(|e| Problem::new("cannot write site.json").because(e))?;
    text.push(b'\n');
    Ok(text)
}

/// Whether an image is made of this field. A mirror or a path tells of the build machine, and so does who
/// compiles a kernel; where the image goes does not change it.
fn is_of_image(field: &Field) -> bool {
    let of_builder =
        matches!(field.id, Id::KernelMirror | Id::KernelRepository | Id::KernelEngine | Id::KernelBase)
            || matches!(field.section, super::Section::Debian | super::Section::Publish);
    !matches!(field.kind, super::Kind::Path) && !of_builder
}

/// The settings that an image is made of, as a record shows them.
pub fn image_fields(site: &ResolvedSite) -> serde_json::Map<String, serde_json::Value> {
    let mut fields = serde_json::Map::new();
    for (field, resolved) in site.iter().filter(|(field, _)| is_of_image(field)) {
        if let Some(value) = &resolved.value {
            fields.insert(field.path(), value.json(field.kind));
        }
    }
    fields
}

/// `/etc/hook/site.json`, read back.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct Recorded {
    pub hookos: String,
    pub profile: String,
    pub placeholder_certificates: bool,
    pub kernel: String,
    pub source_date_epoch: Option<i64>,
    pub fields: serde_json::Map<String, serde_json::Value>,
    pub images: BTreeMap<String, Digest>,
}

impl Recorded {
    /// The settings that an image was made of, as flags: those that it was made without are unset. What the record
    /// masks is not among them; it comes apart, with what is shown of it.
    pub fn flags(&self) -> (FlagValues, Vec<(&'static Field, String)>) {
        let mut flags = FlagValues::new();
        let mut masked = Vec::new();
        for field in FIELDS.iter().filter(|field| is_of_image(field)) {
            let text = match self.fields.get(&field.path()) {
                None => String::new(),
                Some(serde_json::Value::String(text)) => text.clone(),
                Some(serde_json::Value::Array(items)) => {
                    items.iter().filter_map(serde_json::Value::as_str).collect::<Vec<_>>().join(",")
                }
                Some(other) => other.to_string(),
            };
            if field.kind.is_secret(&text) && !text.is_empty() {
                masked.push((field, text));
            } else {
                flags.insert(field.id, text);
            }
        }
        (flags, masked)
    }

    /// The record of the build that it came with.
    pub fn build(&self) -> BuildRecord {
        BuildRecord {
            kernel: self.kernel.clone(),
            images: self.images.clone(),
            source_date_epoch: self.source_date_epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initramfs::tree::{Content, Kind};
    use crate::site::certificates::{self, Bundle};
    use crate::site::resolve::FlagValues;
    use crate::site::{Sources, placeholder, resolve};
    use std::path::Path;

    fn tree(flags: &[(Id, &str)]) -> (Tree, BTreeMap<String, String>) {
        let flags: FlagValues = flags.iter().map(|(id, text)| (*id, (*text).to_owned())).collect();
        let (site, _) = resolve("x", &Sources { flags, ..Sources::default() }).into_result().unwrap();
        let made = placeholder::make("x", &[]).unwrap();
        let bundle = |pem: &str| Bundle::from_bytes(Path::new("x.pem"), pem.as_bytes()).unwrap();
        let certificates =
            certificates::check(bundle(&made.ca), Some(bundle(&made.server)), None, certificates::now())
                .unwrap();
        let record = BuildRecord { kernel: "5.10.0".to_owned(), ..BuildRecord::default() };
        let tree = site_tree(&site, &certificates, &record, 7).unwrap();
        let mut texts = BTreeMap::new();
        for (path, node) in tree.iter() {
            let Kind::File(Content::Inline(bytes)) = &node.kind else {
                panic!("{path} is no file in memory")
            };
            let mode = if path.to_string() == "/etc/hook/settings" { 0o600 } else { 0o644 };
            assert_eq!((node.mode, node.uid, node.gid, node.mtime), (mode, 0, 0, 7));
            texts.insert(path.to_string(), String::from_utf8(bytes.to_vec()).unwrap());
        }
        (tree, texts)
    }

    #[test]
    fn the_segment_has_the_site_and_no_directory() {
        let (_, texts) = tree(&[
            (Id::ClusterDomain, "example.com"),
            (Id::ReleaseSvc, "files.example.com"),
            (Id::ExtraHosts, "192.0.2.1 a b,192.0.2.2 c"),
            (Id::Nameservers, "192.0.2.53"),
            (Id::SearchDomains, "example.com,example.org"),
            (Id::HttpProxy, "http://u:canary@proxy:1"),
            (Id::Getty, "login"),
            (Id::RootPasswordHash, "$6$canary..$canary.canary"),
            (Id::NtpServers, "none"),
            (Id::DebianMirror, "http://mirror.example.com"),
        ]);
        assert_eq!(
            texts["/etc/hook/env_config"],
            "KEYCLOAK_URL=keycloak.example.com:443\nrelease_svc=files.example.com\n\
             oci_release_svc=registry-rs.example.com\n\
             tink_stack_svc=tink-stack.example.com\ntink_server_svc=tink-stack.example.com\n\
             onboarding_manager_svc=onboarding.example.com\nonboarding_stream_svc=onboarding-stream.example.com\n\
             OBM_PORT=443\nlogging_svc=logs-node.example.com\n\
             EXTRA_HOSTS=\"192.0.2.1 a b,192.0.2.2 c\"\nhttp_proxy=http://u:canary@proxy:1\n"
        );
        let settings = "GETTY=login\nROOT_PASSWORD_HASH=$6$canary..$canary.canary\nNTP_SERVERS=none\n";
        assert_eq!(texts["/etc/hook/settings"], settings);
        assert_eq!(texts["/etc/hook/hosts"], "192.0.2.1 a b\n192.0.2.2 c\n");
        assert_eq!(texts["/etc/hook/resolv.conf"], "search example.com example.org\nnameserver 192.0.2.53\n");
        let json = &texts["/etc/hook/site.json"];
        assert!(!json.contains("canary") && !json.contains("mirror"), "{json}");
        let json: serde_json::Value = serde_json::from_str(json).unwrap();
        assert_eq!(json["placeholder_certificates"], true);
        assert_eq!(json["fields"]["network.http_proxy"], "http://***@proxy:1");
        assert_eq!(json["kernel"], "5.10.0");
        assert!(texts["/etc/idp/ca.pem"].starts_with("-----BEGIN CERTIFICATE-----\n"));
        // The record is enough to make the same settings again, but for what it masks.
        let recorded: Recorded = serde_json::from_value(json.clone()).unwrap();
        let (flags, masked) = recorded.flags();
        let masked: Vec<&str> = masked.iter().map(|(field, _)| field.key).collect();
        assert_eq!(masked, ["http_proxy", "root_password_hash"]);
        let (again, _) = resolve("x", &Sources { flags, ..Sources::default() }).into_result().unwrap();
        let mut fields = recorded.fields.clone();
        fields.retain(|name, _| !masked.iter().any(|masked| name.ends_with(masked)));
        assert_eq!(image_fields(&again), fields);
        assert_eq!(texts.len(), 7);
    }

    #[test]
    fn a_site_without_hosts_and_name_servers_has_empty_files_over_those_of_another() {
        let (tree, texts) = tree(&[]);
        assert_eq!(texts["/etc/hook/env_config"], "OBM_PORT=443\n");
        assert_eq!((texts["/etc/hook/hosts"].as_str(), texts["/etc/hook/resolv.conf"].as_str()), ("", ""));
        assert_eq!(tree.len(), 7);
    }
}
