//! Effects on real files.

use super::{Place, certs, drafts, sites};
use crate::history;
use crate::site::Profile;
use crate::tui::data::Opened;
use crate::tui::draft::Draft;
use crate::tui::form::Form;
use crate::tui::model::Site;
use crate::tui::msg::Save;
use std::fs;
use std::path::{Path, PathBuf};

/// A project with one profile in it and one of the person's own.
struct Home {
    folder: tempfile::TempDir,
    place: Place,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_owned();
        let place = Place {
            root: path.join("project"),
            store: path.join("store"),
            drafts: Some(path.join("drafts")),
        };
        let home = Self { folder, place };
        home.write(
            "project/profiles/berlin.toml",
            "schema_version = 1\n[endpoints]\ncluster_domain = \"b.example.com\"\n",
        );
        home.write("project/certs/berlin/ca.pem", include_str!("../../../profiles/lab-ca.pem"));
        home
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_else(|e| panic!("{name}: {e}"))
    }
}

/// The site as the wizard has it in memory.
fn site(opened: Opened) -> Site {
    let mut site = Site::new(Form::new(&opened.name, opened.profile, Default::default(), false));
    site.imported = opened.imported;
    site
}

fn save(site: &Site, name: &str) -> Save {
    Save {
        name: name.to_owned(),
        profile: site.form.profile().clone(),
        site: site.form.site().clone(),
        unset: Vec::new(),
        certificates: site.pending.clone(),
        build: false,
    }
}

#[test]
fn an_imported_profile_is_saved_as_its_own_and_its_source_stays_as_it_was() {
    let home = Home::new();
    let text = "schema_version = 1\n[endpoints]\ncluster_domain = \"usb.example.com\"\n[certificates]\nca = \"ca.pem\"\n";
    let source = home.write("usb/north.toml", text);
    let opened = *sites::import(&source, "north").unwrap();
    let mut north = site(opened);
    north.form.set(crate::site::Id::ClusterDomain, "new.example.com".to_owned());
    sites::save(&home.place, save(&north, "north")).unwrap();
    assert_eq!(fs::read_to_string(&source).unwrap(), text, "the source was overwritten");
    let saved = Profile::load(&home.path("project/profiles/north.toml")).unwrap();
    assert!(saved.text().contains("new.example.com"));
    let found =
        crate::site::resolve("north", &crate::site::Sources { profile: Some(&saved), ..Default::default() });
    let ca = found.site.path(crate::site::Id::CaFile, &home.place.root).unwrap();
    assert_eq!(ca, home.path("usb/ca.pem"), "it still means the file beside the source");
    // Another one cannot take its place.
    let again = site(*sites::import(&source, "north").unwrap());
    assert!(sites::save(&home.place, save(&again, "north")).is_err());
}

#[test]
fn an_imported_site_comes_back_from_its_draft_and_can_be_saved() {
    let home = Home::new();
    let config = home.write("usb/config", "keycloak_url=\"kc.example.com\"\nmystery=\"kept\"\n");
    let mut opened = site(*sites::import(&config, "depot").unwrap());
    opened.pending = Some(*certs::decode_file(&home.path("project/certs/berlin/ca.pem")).unwrap());
    drafts::keep(&home.place, &Draft::of(&opened)).unwrap();
    let listed = drafts::list(&home.place);
    assert_eq!(listed[0].what(), "imported, certificates");
    let back = *drafts::resume(&home.place, "depot").unwrap();
    assert!(back.new && back.imported.as_deref() == Some(&*config));
    let draft = back.draft.clone().unwrap();
    let mut back = site(back);
    back.pending = draft.pending().unwrap();
    assert_eq!(back.form.text(crate::site::Id::KeycloakUrl), "kc.example.com");
    sites::save(&home.place, save(&back, "depot")).unwrap();
    let text = home.read("project/profiles/depot.toml");
    assert!(text.contains("kc.example.com") && text.contains("mystery"), "{text}");
    assert_eq!(home.read("project/certs/depot/ca.pem"), home.read("project/certs/berlin/ca.pem"));
}

#[test]
fn a_profile_that_is_saved_as_another_takes_its_certificates_and_its_files_along() {
    let home = Home::new();
    let own =
        home.write("own/west.toml", "schema_version = 1\n[certificates]\nserver_cert = \"server.pem\"\n");
    home.write("project/certs/west/ca.pem", "west's");
    let profile = Profile::load(&own).unwrap();
    let opened =
        Opened { name: "west".into(), profile, new: false, imported: None, warnings: vec![], draft: None };
    sites::save(&home.place, save(&site(opened), "west-2")).unwrap();
    assert_eq!(home.read("project/certs/west-2/ca.pem"), "west's");
    let text = home.read("project/profiles/west-2.toml");
    let server = home.path("own/server.pem");
    assert!(text.contains(server.to_str().unwrap()), "{text}");
    // Certificates of another profile are not written over.
    home.write("project/certs/taken/ca.pem", "taken's");
    let opened = *sites::open(&home.place, "berlin").unwrap();
    let problem = sites::save(&home.place, save(&site(opened), "taken")).unwrap_err();
    assert!(problem.to_string().contains("in the way"), "{problem}");
    assert_eq!(home.read("project/certs/taken/ca.pem"), "taken's");
    assert!(!home.path("project/profiles/taken.toml").exists());
}

#[test]
fn drafts_follow_a_rename_and_go_with_a_deletion() {
    let home = Home::new();
    let mut berlin = site(*sites::open(&home.place, "berlin").unwrap());
    berlin.form.set(crate::site::Id::ClusterDomain, "new.example.com".to_owned());
    drafts::keep(&home.place, &Draft::of(&berlin)).unwrap();
    sites::rename(&home.place, "berlin", "potsdam").unwrap();
    let names = || drafts::list(&home.place).into_iter().map(|d| d.name).collect::<Vec<_>>();
    assert_eq!(names(), ["potsdam"]);
    let draft = drafts::resume(&home.place, "potsdam").unwrap().draft.unwrap();
    assert_eq!((draft.profile.as_str(), draft.edits()), ("potsdam", berlin.form.edits().clone()));
    sites::delete(&home.place, "potsdam").unwrap();
    assert!(names().is_empty());
}

#[test]
fn a_profile_that_is_being_built_is_not_renamed() {
    let home = Home::new();
    let out = home.place.root.join("out/berlin");
    let (sender, _events) = std::sync::mpsc::sync_channel(100);
    let run = crate::build::Run::start("berlin", &out, sender, Default::default()).unwrap();
    assert!(history::running(&out.join("logs")).is_some());
    let problem = sites::rename(&home.place, "berlin", "potsdam").unwrap_err();
    assert!(problem.to_string().contains("is being built"), "{problem}");
    assert!(out.exists() && home.path("project/profiles/berlin.toml").exists());
    drop(run);
    sites::rename(&home.place, "berlin", "potsdam").unwrap();
    assert!(Path::new(&home.place.root.join("out/potsdam")).exists());
}

#[test]
fn what_a_run_was_begun_with_is_known_while_it_goes_on() {
    let home = Home::new();
    let profile = Profile::load(&home.path("project/profiles/berlin.toml")).unwrap();
    let flags = [
        (crate::site::Id::ClusterDomain, "other.example.com".to_owned()),
        (crate::site::Id::HttpProxy, "http://u:c4n4ry@p.example.com:1".to_owned()),
    ];
    let sources = crate::site::Sources { profile: Some(&profile), flags: flags.into(), ..Default::default() };
    let (berlin, _) = crate::site::resolve("berlin", &sources).into_result().unwrap();
    let out = home.place.root.join("out/berlin");
    let (sender, _events) = std::sync::mpsc::sync_channel(100);
    let run = crate::build::Run::start("berlin", &out, sender, Default::default()).unwrap().of_site(&berlin);
    let flags = super::runs::flags(&home.place, "berlin", run.logs());
    let shown = "http://***@p.example.com:1".to_owned();
    assert_eq!(
        flags,
        [
            (crate::site::Id::ClusterDomain, "other.example.com".to_owned()),
            (crate::site::Id::HttpProxy, shown)
        ]
        .into(),
        "what follows from the domain is not said again"
    );
    assert!(crate::tui::msg::Build { profile: "berlin".into(), flags }.lost().is_some());
}
