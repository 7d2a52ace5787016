//! The kernel's source from Debian's archive: package linux-source-5.10, kept between runs.

use super::package;
use super::support::{ROOT, ok};
use hookos::progress::Silent;
use hookos::store::Digest;
use std::path::{Path, PathBuf};
use std::process::Command;
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

/// The part of the source that the recipe sets a configuration up with, as it leaves it: a tarball that is unpacked in
/// no time.
pub fn set_up(folder: &Path) -> (PathBuf, Digest) {
    let (root, work, tar) =
        (Path::new(ROOT).join("kernel"), folder.join("set-up"), folder.join("set-up.tar"));
    let recipe = [root.join("build.sh"), "config".into(), linux().path.clone()];
    let config = root.join("configs/tiny-5.10.y-x86_64");
    ok(Command::new("bash").args(recipe).arg(config).arg(&work).output().unwrap());
    ok(Command::new("tar").arg("-C").arg(&work).arg("-cf").arg(&tar).arg("linux").output().unwrap());
    std::fs::remove_dir_all(&work).unwrap();
    let sha256 = hookos::kernel::source::tarball::digest(&tar, &Silent).unwrap();
    (tar, sha256)
}

/// The source of a series, as a release of Debian has it.
pub fn of(series: &str, suite: &str) -> Linux {
    let package = format!("linux-source-{series}");
    let (version, path) = package::file(suite, &package, &format!("usr/src/{package}.tar.xz"));
    let point = version.split(['.', '-']).nth(2).unwrap().parse().unwrap();
    let sha256 = hookos::kernel::source::tarball::digest(&path, &Silent).unwrap();
    Linux { path, sha256, point }
}
