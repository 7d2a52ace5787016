//! The kernel's source from Debian's archive: package linux-source-5.10, kept between runs.

use super::package;
use hookos::progress::Silent;
use hookos::store::Digest;
use std::path::PathBuf;
use std::sync::OnceLock;

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
    let (version, path) = package::file(suite, &package, &format!("usr/src/{package}.tar.xz"));
    let point = version.split(['.', '-']).nth(2).unwrap().parse().unwrap();
    let sha256 = hookos::kernel::source::tarball::digest(&path, &Silent).unwrap();
    Linux { path, sha256, point }
}
