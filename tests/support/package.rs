//! A file of a package in Debian's archive, of whatever release, kept between runs. Nothing is installed.

use super::support::work;
use hookos::debian::apt::{Apt, Freshness, Settings};
use hookos::debian::deb;
use hookos::initramfs::cpio::Contents;
use hookos::initramfs::tree::{Kind, TreePath};
use hookos::progress::Silent;
use hookos::store::Store;
use std::path::PathBuf;
use std::time::Duration;

/// The package's version, and where its file `name` is now.
pub fn file(suite: &str, package: &str, name: &str) -> (String, PathBuf) {
    let folder = work("packages");
    let store = Store::open(folder.join("store")).unwrap();
    let apt = Apt::new(&store, &Settings::default());
    let week = Freshness::Within(Duration::from_secs(7 * 24 * 3600));
    let closure = apt.resolve(suite, &[package.to_owned()], &[], week, &Silent).unwrap();
    // What it depends on is here already.
    let found = closure.into_iter().find(|found| found.name == package).unwrap();
    apt.fetch(suite, std::slice::from_ref(&found), &Silent).unwrap();
    let path = folder.join(format!("{package}_{}", found.version)).join(name);
    if !path.is_file() {
        let (_, files) = deb::contents(&store, &found.sha256).unwrap();
        let name = TreePath::new(name).unwrap();
        let Kind::File(content) = &files.get(&name).unwrap().kind else {
            panic!("{package}: {name} is not a file")
        };
        let into = path.parent().unwrap();
        std::fs::create_dir_all(into).unwrap();
        let mut out = tempfile::NamedTempFile::new_in(into).unwrap();
        Contents::new(&store).copy(&name, content, &mut out).unwrap();
        out.persist(&path).unwrap();
    }
    (found.version, path)
}
