//! Packages and recipes on the real archive. Needs apt, Debian's archive keyring and the network.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hookos::debian::apt::{Apt, Freshness, Settings};
use hookos::debian::{Error, deb};
use hookos::progress::Silent;
use hookos::store::Store;

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|n| (*n).to_owned()).collect()
}

#[test]
fn packages_of_two_suites_are_resolved_fetched_and_read() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let apt = Apt::new(&store, &Settings::default());
    for (suite, wanted) in [("trixie", "busybox-static"), ("bullseye", "busybox-static")] {
        let found = apt.resolve(suite, &names(&[wanted]), &[], Freshness::Now, &Silent).unwrap();
        assert_eq!(found.len(), 1, "{found:?}");
        apt.fetch(suite, &found, &Silent).unwrap();
        let (control, tree) = deb::contents(&store, &found[0].sha256).unwrap();
        assert_eq!(control.field("Version"), found[0].version);
        assert!(tree.iter().any(|(p, _)| p.name() == b"busybox"), "{suite}");
    }
    let error =
        apt.resolve("trixie", &names(&["no-such-package-x"]), &[], Freshness::Any, &Silent).unwrap_err();
    let text = hookos::problem::Problem::from(error).to_string();
    assert!(text.contains("no-such-package-x"), "{text}");
    let error = apt.resolve("nosuchsuite", &names(&["bash"]), &[], Freshness::Any, &Silent).unwrap_err();
    assert!(matches!(error, Error::Update { .. }), "{error}");
    println!("{}", hookos::problem::Problem::from(error));
    // A version that the archive does not have.
    let mut gone = apt.resolve("trixie", &names(&["busybox-static"]), &[], Freshness::Any, &Silent).unwrap();
    gone[0].version = "1:0.1-1".to_owned();
    gone[0].sha256 = hookos::store::Digest::of(b"gone");
    let error = apt.fetch("trixie", &gone, &Silent).unwrap_err();
    assert!(
        matches!(&error, Error::Gone { name, available, .. } if name == "busybox-static" && available.len() == 1)
    );
}
