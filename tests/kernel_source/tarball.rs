//! The kernel's source from Debian's archive: package linux-source-5.10, kept between runs.

use super::support::work;
use hookos::debian::apt::{Apt, Freshness, Settings};
use hookos::debian::deb;
use hookos::initramfs::cpio::Contents;
use hookos::initramfs::tree::{Kind, TreePath};
use hookos::progress::Silent;
use hookos::store::{Digest, Store};
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

pub struct Linux {
    pub path: PathBuf,
    pub sha256: Digest,
    pub point: u32,
}

pub fn linux() -> &'static Linux {
    static LINUX: OnceLock<Linux> = OnceLock::new();
    LINUX.get_or_init(|| of("5.10", "bullseye"))
}

/// The source of a series, as a release of Debian has it.
pub fn of(series: &str, suite: &str) -> Linux {
    let package = format!("linux-source-{series}");
    let folder = work("kernel-source");
    let store = Store::open(folder.join("packages")).unwrap();
    let apt = Apt::new(&store, &Settings::default());
    let week = Freshness::Within(Duration::from_secs(7 * 24 * 3600));
    let closure = apt.resolve(suite, std::slice::from_ref(&package), &[], week, &Silent).unwrap();
    let found = closure.into_iter().find(|found| found.name == package).unwrap();
    // What it depends on (compressors) is here already.
    apt.fetch(suite, std::slice::from_ref(&found), &Silent).unwrap();
    let point = found.version.split(['.', '-']).nth(2).unwrap().parse().unwrap();
    let path = folder.join(format!("linux-{}.tar.xz", found.version));
    if !path.is_file() {
        let (_, files) = deb::contents(&store, &found.sha256).unwrap();
        let name = TreePath::new(format!("usr/src/{package}.tar.xz")).unwrap();
        let Kind::File(content) = &files.get(&name).unwrap().kind else { panic!("no file") };
        let mut out = tempfile::NamedTempFile::new_in(&folder).unwrap();
        Contents::new(&store).copy(&name, content, &mut out).unwrap();
        out.persist(&path).unwrap();
    }
    let sha256 = hookos::kernel::source::tarball::digest(&path, &Silent).unwrap();
    Linux { path, sha256, point }
}
