use super::*;
use crate::site::{ResolvedSite, Sources, resolve};
use proptest::prelude::*;

fn read(text: &str) -> Result<Profile> {
    Profile::from_bytes(Path::new("p/x.toml"), text.as_bytes())
}
fn site(profile: &Profile) -> Result<(ResolvedSite, Vec<Problem>)> {
    resolve("x", &Sources { profile: Some(profile), ..Sources::default() }).into_result()
}
fn text(value: &str) -> Option<Value> {
    Some(Value::Text(value.to_owned()))
}

#[test]
fn comments_and_unknown_keys_stay_and_new_keys_go_to_their_place() {
    let before = "# top\nschema_version = 1\n\n# about certs\n[certificates]\nca = \"x.pem\" # the ca\n\n\
                  [mine]\nkey = 1\n\n[endpoints]\n# logs\nlogging_svc = \"logs.example.com\"\nodd = true\n# end\n";
    let mut profile = read(before).unwrap();
    assert_eq!(profile.text(), before);
    let warned: Vec<_> = profile.warnings().iter().map(|w| w.place().unwrap().line.unwrap()).collect();
    assert_eq!(warned, [8, 14]);
    profile.set(Id::CaFile.field(), text("y.pem")).unwrap();
    profile.set(Id::KeycloakUrl.field(), text("keycloak.example.com")).unwrap();
    profile.set(Id::NoProxy.field(), Value::parse(Kind::NoProxy, "a,.b").unwrap()).unwrap();
    let after = "# top\nschema_version = 1\n\n[endpoints]\nkeycloak_url = \"keycloak.example.com\"\n# logs\n\
                 logging_svc = \"logs.example.com\"\nodd = true\n\n[network]\nno_proxy = [\"a\", \".b\"]\n\n\
                 # about certs\n[certificates]\nca = \"y.pem\" # the ca\n\n[mine]\nkey = 1\n# end\n";
    assert_eq!(profile.text(), after);
    assert_eq!(read(after).unwrap().text(), after);
}

#[test]
fn all_problems_are_told_with_their_places() {
    let profile = read(
        "schema_version = 1\n[endpoints]\nkeycloak_url = \"https://x\"\nonboarding_port = \"443\"\n\
         [network]\nnameservers = [\"1.2.3\"]\nhttp_proxy = 'http://u:canary@h'\n[image]\ngetty = 3\n",
    );
    let problem = site(&profile.unwrap()).unwrap_err().to_string();
    for place in ["p/x.toml:3:16", "p/x.toml:4:19", "p/x.toml:6:15", "p/x.toml:7:14", "p/x.toml:9:9"] {
        assert!(problem.contains(place), "{place}\n{problem}");
    }
    assert!(problem.contains("HOOKOS_HTTP_PROXY") && !problem.contains("canary"), "{problem}");
}

#[test]
fn bad_files_are_refused_by_place_and_without_their_text() {
    let problem =
        read("schema_version = 1\n[network]\nhttp_proxy = \"http://u:canary@h\n").unwrap_err().to_string();
    assert!(problem.starts_with("p/x.toml:3:") && !problem.contains("canary"), "{problem}");
    let problem = Profile::from_bytes(Path::new("x"), b"a = 1\nb = \"\xff\"\n").unwrap_err().to_string();
    assert!(problem.starts_with("x:2:6: "), "{problem}");
    assert!(read("schema_version = 99\n").unwrap_err().to_string().contains("newer"));
    assert!(read("schema_version = \"1\"\n").is_err());
    let problem = site(&read("schema_version = 1\nendpoints = 3\n").unwrap()).unwrap_err().to_string();
    assert!(problem.starts_with("p/x.toml:2:13: endpoints is of type integer"), "{problem}");
}

#[test]
fn a_near_key_is_suggested() {
    let profile = read("schema_version = 1\n[network]\nhttp_proxi = \"x\"\n").unwrap();
    assert!(profile.warnings()[0].to_string().contains("did you mean http_proxy?"));
}

#[test]
fn format_0_is_read_migrated_and_kept() {
    let old = "# my site\nkeycloak_url = \"keycloak.kind.internal\" # idp\nnameserver = [\"10.0.0.1\", \"\"]\n\
               extra_hosts = \"10.0.0.2 a,10.0.0.3 b\"\nodd = 1\n";
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.toml");
    std::fs::write(&path, old).unwrap();
    let mut profile = Profile::load(&path).unwrap();
    let (resolved, warnings) = site(&profile).unwrap();
    assert_eq!(resolved.text(Id::KeycloakUrl).as_deref(), Some("keycloak.kind.internal"));
    assert!(matches!(&resolved.resolved(Id::Nameservers).origin, Origin::Profile { line: 3, .. }));
    assert_eq!(warnings.len(), 2, "{warnings:?}");
    // What was set since has no line: `configure --import` said ":0".
    profile.set(Id::LoggingSvc.field(), text("logs.example.com")).unwrap();
    let set = profile.value(Id::LoggingSvc.field()).unwrap().unwrap();
    assert_eq!(set.origin.to_string(), "profile");
    profile.unset(Id::LoggingSvc.field());
    let backup = profile.save(&path).unwrap().unwrap();
    assert_eq!(std::fs::read_to_string(&backup).unwrap(), old);
    let new = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        new,
        "schema_version = 1\nodd = 1\n\n[endpoints]\n# my site\nkeycloak_url = \"keycloak.kind.internal\" # idp\n\n\
         [network]\nextra_hosts = \"10.0.0.2 a,10.0.0.3 b\"\nnameservers = [\"10.0.0.1\", \"\"]\n"
    );
    let mut again = Profile::load(&path).unwrap();
    let (same, _) = site(&again).unwrap();
    assert!(resolved.iter().zip(same.iter()).all(|((_, a), (_, b))| a.value == b.value));
    assert_eq!(again.save(&path).unwrap(), None);
}

#[test]
fn a_save_keeps_mode_and_link_and_leaves_no_other_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let real = folder.path().join("real.toml");
    let link = folder.path().join("x.toml");
    std::fs::write(&real, "schema_version = 1\n").unwrap();
    std::fs::set_permissions(&real, std::fs::Permissions::from_mode(0o640)).unwrap();
    std::os::unix::fs::symlink("real.toml", &link).unwrap();
    let mut profile = Profile::load(&link).unwrap();
    profile.set(Id::Getty.field(), text("off")).unwrap();
    profile.save(&link).unwrap();
    assert!(std::fs::read_to_string(&real).unwrap().contains("getty = \"off\""));
    assert!(link.is_symlink());
    assert_eq!(std::fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
}

#[test]
fn credentials_are_not_set() {
    let mut profile = Profile::new("x");
    let problem = profile.set(Id::HttpProxy.field(), text("http://u:canary@h")).unwrap_err();
    assert!(!problem.to_string().contains("canary") && !profile.text().contains("canary"));
}

fn savable() -> Vec<usize> {
    (0..FIELDS.len()).filter(|i| !FIELDS[*i].kind.is_secret(FIELDS[*i].example)).collect()
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}", line in "[a-z_.\\[\\]= \"1\n]{0,80}") {
        for text in [text, line] {
            if let Ok(mut profile) = read(&text) {
                let _ = profile.set(Id::Getty.field(), Some(Value::Text("off".to_owned())));
                prop_assert!(read(&profile.text()).is_ok(), "{text:?} became {:?}", profile.text());
            }
        }
    }

    /// What is set is read back, whatever the order.
    #[test]
    fn set_values_are_read_back(fields in proptest::sample::subsequence(savable(), 0..savable().len()).prop_shuffle()) {
        let mut profile = Profile::new("x");
        for i in &fields {
            profile.set(&FIELDS[*i], Value::parse(FIELDS[*i].kind, FIELDS[*i].example).unwrap()).unwrap();
        }
        let again = read(&profile.text()).unwrap();
        prop_assert!(again.warnings().is_empty());
        for (i, field) in FIELDS.iter().enumerate() {
            let value = again.value(field).unwrap().and_then(|r| r.value);
            let expected = fields.contains(&i).then(|| Value::parse(field.kind, field.example).unwrap()).flatten();
            prop_assert_eq!(value, expected);
        }
        // The order of the table, so that two people's profiles can be compared.
        let lines: Vec<String> = profile.text().lines().filter_map(|l| l.split_once(" = ").map(|(k, _)| k.to_owned())).skip(1).collect();
        let mut sorted = fields.clone();
        sorted.sort_unstable();
        prop_assert_eq!(lines, sorted.iter().map(|i| FIELDS[*i].key.to_owned()).collect::<Vec<_>>());
    }
}
