use super::*;
use crate::site::{Id, Sources, resolve};
use proptest::prelude::*;

fn read(text: &str) -> Result<Vec<Entry>> {
    parse(Path::new("config"), text.as_bytes())
}
fn word(text: &str) -> Extra {
    Extra::Word(text.to_owned())
}

#[test]
fn shell_syntax() {
    let text = "\u{feff}# comment\n\nexport A=\"x y\" # more\nB='a$b'\nC=plain\nD=\nE=a\"b\"'c'\\ d\n\
                N=(\"1.1.1.1\" # first\n   \"\"\n 2.2.2.2)\nF=\"two\nlines\"\nG=#x\nH=x\\\\\nI=a\\\nb\n";
    let got = read(text).unwrap();
    let flat: Vec<_> = got.iter().map(|e| (e.key.as_str(), e.value.clone(), e.line)).collect();
    let array = Extra::Array(vec!["1.1.1.1".into(), String::new(), "2.2.2.2".into()]);
    assert_eq!(
        flat,
        [
            ("A", word("x y"), 3),
            ("B", word("a$b"), 4),
            ("C", word("plain"), 5),
            ("D", word(""), 6),
            ("E", word("abc d"), 7),
            ("N", array, 8),
            ("F", word("two\nlines"), 11),
            ("G", word("#x"), 13),
            ("H", word("x\\"), 14),
            ("I", word("ab"), 15),
        ]
    );
}

#[test]
fn what_a_shell_would_run_is_refused_by_line() {
    for (text, line) in [
        ("A=$B", 1),
        ("\nA=\"$(rm x)\"", 2),
        ("A=`x`", 1),
        ("A=1; rm x", 1),
        ("if true", 1),
        ("A=\"x", 1),
        ("A=(x", 1),
        ("A=x y", 1),
        ("A= x", 1),
        ("A+=x", 1),
        ("1A=x", 1),
        ("A=(x) y", 1),
    ] {
        let problem = read(text).unwrap_err();
        assert_eq!(problem.place().and_then(|p| p.line), Some(line), "{text:?}: {problem}");
    }
    let both = read("A=$B\nC=`d`\n").unwrap_err().to_string();
    assert!(both.contains("config:1") && both.contains("config:2"), "{both}");
    assert!(parse(Path::new("config"), b"A=1\nB=\xff").unwrap_err().to_string().starts_with("config:2:3"));
}

#[test]
fn the_template_in_the_project_is_the_generated_one() {
    let committed = include_str!("../../config.template");
    assert_eq!(committed, template(), "renew it: hookos configure --template > config.template");
    let entries = read(committed).unwrap();
    assert!(entries.iter().all(|e| Field::in_config(&e.key).is_some()));
    assert_eq!(entries.len(), FIELDS.iter().filter(|f| f.config_key.is_some()).count());
}

#[test]
fn a_profile_from_a_config_file_says_what_the_file_says() {
    let mut profile = Profile::new("x");
    let text = "keycloak_url=\"keycloak.kind.internal:443\"\nnameserver=(\"10.0.0.1\" \"\" \"\")\nmine=\"1\"\n\
                http_proxy=\"\"\nno_proxy=\"a, .b\"\n";
    let warnings = import(&mut profile, Path::new("config"), text.as_bytes()).unwrap();
    assert_eq!(warnings.len(), 1);
    let site = resolve("x", &Sources { profile: Some(&profile), ..Sources::default() }).site;
    assert_eq!(site.list(Id::Nameservers), ["10.0.0.1"]);
    assert_eq!(site.list(Id::NoProxy), ["a", ".b"]);
    assert_eq!(site.get(Id::HttpProxy), None);
    let out = export(&site, profile.extra()).unwrap();
    assert!(out.contains("nameserver=(\"10.0.0.1\" \"\" \"\")\n") && out.contains("mine=\"1\"\n"), "{out}");
}

#[test]
fn secrets_do_not_get_in() {
    for line in ["http_proxy=http://u:canary@h", "api_token=canary", "x=http://u:canary@h"] {
        let mut profile = Profile::new("x");
        let problem = import(&mut profile, Path::new("config"), line.as_bytes()).unwrap_err().to_string();
        assert!(!problem.contains("canary") && !profile.text().contains("canary"), "{problem}");
    }
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "\\PC*") {
        let _ = read(&text);
    }

    /// Any value that can stand in a file survives export and import.
    #[test]
    fn export_and_import_keep_every_key(
        words in proptest::collection::btree_map("zz_[a-z]{1,8}", "[^\0\r]{0,20}", 0..5),
        arrays in proptest::collection::btree_map("yy_[a-z]{1,8}", proptest::collection::vec("[^\0\r]{0,9}", 0..4), 0..3),
    ) {
        let mut extra: Vec<(String, Extra)> = words.into_iter().map(|(k, v)| (k, Extra::Word(v))).collect();
        extra.extend(arrays.into_iter().map(|(k, v)| (k, Extra::Array(v))));
        let text = render(|_| None, &extra, None);
        let got = read(&text).unwrap();
        for (key, value) in extra {
            prop_assert!(got.iter().any(|e| e.key == key && e.value == value), "{key} {value:?}\n{text}");
        }
    }
}
