use super::*;

const WHOLE: &str = r#"
description = "NTP client"
role = "ntp"
[recipe]
suite = "trixie"
packages = ["openntpd"]
leave_out = ["adduser"]
drop = ["usr/share/zoneinfo/**"]
ca_bundle = true
[[recipe.groups]]
name = "docker"
gid = 999
members = ["x"]
[[recipe.users]]
name = "_openntpd"
uid = 110
gid = 110
[[recipe.files]]
path = "/etc/x.conf"
contents = "x"
mode = "0600"
[[recipe.directories]]
path = "/var/empty"
[[recipe.links]]
path = "/usr/sbin/iptables"
target = "iptables-legacy"
[[recipe.binaries]]
package = "hookos-init"
binary = "hookos-init"
path = "/init"
[run]
stage = "service"
command = ["/usr/sbin/ntpd", "-d"]
capabilities = ["all"]
runtime = { mkdir = ["/var/lib/x"] }
"#;

fn of(text: &str) -> Result<Definition> {
    parse("ntp", Path::new("components/ntp"), text)
}

#[test]
fn a_whole_definition_is_read() {
    let it = of(WHOLE).unwrap();
    assert_eq!((it.stage, it.role.as_deref()), (Some(Stage::Service), Some("ntp")));
    let label = it.label.unwrap();
    assert!(!label.contains("stage"), "{label}");
    let value: serde_json::Value = serde_json::from_str(&label).unwrap();
    assert_eq!(value["runtime"]["mkdir"][0], "/var/lib/x");
    let Source::Recipe(recipe) = it.source else { panic!() };
    assert_eq!(recipe.users[0].shell.0, "/usr/sbin/nologin");
    assert_eq!(recipe.files[0].mode.unwrap().0, 0o600);
}

#[test]
fn every_mistake_names_its_place() {
    let cases = [
        ("role = \"ntp\"", "rolle = \"ntp\"", "3:1", "rolle"),
        ("gid = 999", "gid = \"x\"", "12:7", "invalid type"),
        ("path = \"/var/empty\"", "path = \"var/empty\"", "23:8", "must begin with"),
        ("path = \"/var/empty\"", "path = \"/var/../empty\"", "23:8", "`..`"),
        ("path = \"/var/empty\"", "path = \"/etc/x.conf\"", "23:8", "twice"),
        ("mode = \"0600\"", "mode = \"0800\"", "21:8", "octal"),
        ("contents = \"x\"", "source = \"absent\"", "20:10", "no file"),
        ("contents = \"x\"", "source = \"../x\"", "20:10", "component's folder"),
        ("drop = [\"usr/share/zoneinfo/**\"]", "drop = [\"a[\"]", "8:8", "unclosed"),
        ("uid = 110", "uid = 0", "15:8", "root has the number 0"),
        ("gid = 999", "gid = 65534", "11:8", "nogroup has the number 65534"),
        ("name = \"docker\"", "name = \"Docker\"", "11:8", "not a user or group name"),
        ("stage = \"service\"", "stage = \"later\"", "32:9", "later"),
    ];
    for (from, to, place, words) in cases {
        let problem = of(&WHOLE.replace(from, to)).unwrap_err();
        let text = problem.to_string();
        assert!(text.contains(&format!("component.toml:{place}")) && text.contains(words), "{to}: {text}");
    }
}

#[test]
fn a_component_has_exactly_one_source() {
    let text = of("description = \"x\"\n").unwrap_err().to_string();
    assert!(text.contains("no source"), "{text}");
    let text = of("description = \"x\"\nimage = \"a:1\"\n[recipe]\n").unwrap_err().to_string();
    assert!(text.contains("component.toml:2:9"), "{text}");
    assert!(matches!(of("description = \"x\"\nimage = \"a:1\"\n").unwrap().source, Source::Image(_)));
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("component.toml"), "description = \"x\"\n").unwrap();
    std::fs::write(own.join("Dockerfile"), "FROM scratch\n").unwrap();
    let all = load_all(folder.path()).unwrap();
    assert!(matches!(&all[..], [Definition { source: Source::Dockerfile(_), .. }]));
}

#[test]
fn build_arguments_are_those_that_the_dockerfile_declares() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    std::fs::write(own.join("Dockerfile"), "ARG BASE=scratch\nFROM ${BASE}\nARG VERSION=0 MODE\n").unwrap();
    let with = |args: &str, more: &str| {
        let text = format!("description = \"x\"\n{more}[build.args]\n{args}\n");
        std::fs::write(own.join("component.toml"), text).unwrap();
        load(&own)
    };
    let it = with("VERSION = \"1 2\"\nBUILDKIT_INLINE_CACHE = \"1\"", "").unwrap();
    let Source::Dockerfile(dockerfile) = it.source else { panic!() };
    assert_eq!(dockerfile.arguments["VERSION"], "1 2");
    for (args, more, place, words) in [
        ("VERSOIN = \"1\"", "", "3:1", "it has: BASE, MODE, VERSION"),
        ("VERSION = 1", "", "3:11", "expected a string"),
        ("\"A-B\" = \"1\"", "", "3:1", "not the name of a build argument"),
        ("Http_Proxy = \"1\"", "", "3:1", "[network]"),
        ("SOURCE_DATE_EPOCH = \"1\"", "", "3:1", "environment"),
        ("VERSION = \"1\"", "image = \"a:1\"\n", "3:", "with a Dockerfile"),
    ] {
        let problem = with(args, more).unwrap_err().to_string();
        assert!(problem.contains(&format!("component.toml:{place}")) && problem.contains(words), "{problem}");
    }
}

#[test]
fn an_image_takes_files_on_top_and_a_recipe_has_its_own() {
    let text = "description = \"x\"\nimage = \"a:1\"\n[[files]]\npath = \"/etc/a\"\ncontents = \"a\"\n\
                [[binaries]]\npackage = \"p\"\nbinary = \"b\"\npath = \"/usr/bin/b\"\n";
    let Source::Image(image) = of(text).unwrap().source else { panic!() };
    assert_eq!((image.reference.as_str(), image.own().files.len()), ("a:1", 1));
    assert_eq!(image.own().wanted()[0].binary, "b");
    for (from, to, place, words) in [
        ("image = \"a:1\"", "[recipe]", "4:8", "[[recipe.files]]"),
        ("/usr/bin/b", "/etc/a", "9:8", "twice"),
        ("contents = \"a\"", "source = \"absent\"", "5:10", "no file"),
        ("contents = \"a\"", "uid = 0", "4:8", "`source` or `contents`"),
    ] {
        let problem = of(&text.replace(from, to)).unwrap_err().to_string();
        assert!(problem.contains(&format!("component.toml:{place}")) && problem.contains(words), "{problem}");
    }
}
