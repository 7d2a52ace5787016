//! Profiles, certificates and the site's files, through the program and against other programs.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use hookos::site::certificates::{self, Bundle};
use hookos::site::resolve::FlagValues;
use hookos::site::{FIELDS, Field, Id, Kind, Profile, Sources, env_config, placeholder, resolve};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// A project's folder with nothing in it, and a home without settings.
struct Project {
    folder: tempfile::TempDir,
}

impl Project {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("components")).unwrap();
        std::fs::write(folder.path().join("components/hook.yaml"), "").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookos"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path("home"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .args(words);
        command
    }

    fn run(&self, words: &[&str]) -> Output {
        self.command(words).output().unwrap()
    }

    fn good(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert!(output.status.success(), "{words:?}: {}", text(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Fails with exit code 2; returns what it says.
    fn bad(&self, words: &[&str]) -> String {
        let output = self.run(words);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {}", text(&output));
        String::from_utf8(output.stderr).unwrap()
    }
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Runs a tool that tests/run installs.
fn tool(name: &str, args: &[&str], input: &[u8]) -> Output {
    let mut child = Command::new(name)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{name} is needed for this test (tests/run installs it): {e}"));
    child.stdin.take().unwrap().write_all(input).unwrap();
    child.wait_with_output().unwrap()
}

fn host() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9]([a-zA-Z0-9-]{0,8}[a-zA-Z0-9])?(\\.[a-z]([a-z0-9-]{0,6}[a-z])?){0,3}"
        .prop_filter("a number alone is an address", |h| {
            !h.rsplit('.').next().unwrap().bytes().all(|b| b.is_ascii_digit())
        })
}

/// Texts that may or may not be values of a kind: the field's rules decide.
fn candidate(field: &'static Field) -> BoxedStrategy<String> {
    let wild = "[!-~]{1,20}";
    match field.kind {
        Kind::Host => prop_oneof![host(), wild].boxed(),
        Kind::HostPort => {
            prop_oneof![(host(), 1..65535u16).prop_map(|(h, p)| format!("{h}:{p}")), wild].boxed()
        }
        Kind::Proxy => prop_oneof![
            (
                "(http://|https://|socks5://)?",
                "([a-z]{1,4}:[A-Za-z0-9%+=,*._-]{1,9}@)?",
                host(),
                "(:[1-9][0-9]{0,3})?/?"
            )
                .prop_map(|(s, u, h, p)| format!("{s}{u}{h}{p}")),
            wild.prop_map(|w| format!("http://{w}")),
        ]
        .boxed(),
        Kind::NoProxy => {
            let item = prop_oneof![
                host(),
                host().prop_map(|h| format!("*.{h}")),
                host().prop_map(|h| format!(".{h}")),
                Just("10.0.0.0/8".to_owned()),
                Just("fe80::/10".to_owned()),
                Just("*".to_owned()),
                wild
            ];
            proptest::collection::vec(item, 1..4).prop_map(|v| v.join(",")).boxed()
        }
        Kind::Hosts => {
            let item = prop_oneof![
                ("[1-9]{1,2}\\.0\\.0\\.[1-9]", proptest::collection::vec(host(), 1..3))
                    .prop_map(|(a, n)| format!("{a} {}", n.join(" "))),
                "[ -~]{1,20}"
            ];
            proptest::collection::vec(item, 1..4).prop_map(|v| v.join(",")).boxed()
        }
        Kind::Integer(least, most) => (least..=most).prop_map(|n| n.to_string()).boxed(),
        _ => Just(field.example.to_owned()).boxed(),
    }
}

fn any_site() -> impl Strategy<Value = FlagValues> {
    let fields: Vec<_> = FIELDS
        .iter()
        .filter(|f| f.image_key.is_some())
        .map(|f| proptest::option::of(candidate(f)).prop_map(move |t| t.map(|t| (f.id, t))))
        .collect();
    fields.prop_map(|values| values.into_iter().flatten().collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Whatever passes validation reads the same for the plain reader and for a shell.
    #[test]
    fn env_config_reads_the_same_for_both_readers(flags in any_site()) {
        let resolution = resolve("x", &Sources { flags, ..Sources::default() });
        let site = resolution.site;
        let text = env_config::render(&site);
        let plain = hookos_guest::env_config::parse(&text);
        let mut expected = BTreeMap::new();
        for (field, resolved) in site.iter() {
            if let (Some(key), Some(value)) = (field.image_key, &resolved.value) {
                expected.insert(key.to_owned(), value.text());
            }
        }
        prop_assert_eq!(&plain, &expected, "{}", text);
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), &text).unwrap();
        let keys: Vec<&str> = expected.keys().map(String::as_str).collect();
        let prints: String = keys.iter().map(|key| format!("printf '%s\\0' \"${key}\"\n")).collect();
        let script = format!("set -eu\n. {}\n{prints}", file.path().display());
        let output = tool("sh", &["-s"], script.as_bytes());
        prop_assert!(output.status.success() && output.stderr.is_empty(), "{}\n{}", text_of(&output), text);
        let shell: Vec<String> = String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect();
        prop_assert_eq!(shell, expected.values().cloned().collect::<Vec<_>>(), "{}", text);
    }

    /// A config file read by a shell says what hookos says it says.
    #[test]
    fn an_exported_config_file_reads_the_same_in_a_shell(
        values in proptest::collection::btree_map("k_[a-z]{1,6}", "[^\0\r]{0,16}", 1..5)
    ) {
        use hookos::site::config_file;
        use hookos::site::profile::Extra;
        let site = resolve("x", &Sources::default()).site;
        let extra: Vec<_> = values.iter().map(|(k, v)| (k.clone(), Extra::Word(v.clone()))).collect();
        // POSIX sh has no arrays; the shell reads the part after them.
        let text = config_file::export(&site, &extra).unwrap();
        let tail: String = text.split_inclusive("\n").skip_while(|l| !l.starts_with("# Keys that")).collect();
        let prints: String = values.keys().map(|key| format!("printf '%s\\0' \"${key}\"\n")).collect();
        let output = tool("sh", &["-s"], format!("set -eu\n{tail}\n{prints}").as_bytes());
        prop_assert!(output.status.success(), "{}\n{}", text_of(&output), tail);
        let shell: Vec<String> = String::from_utf8(output.stdout).unwrap().split_terminator('\0').map(str::to_owned).collect();
        prop_assert_eq!(shell, values.values().cloned().collect::<Vec<_>>());
    }
}

fn text_of(output: &Output) -> String {
    text(output)
}

#[test]
fn the_lab_can_be_built_as_it_is() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let profile = Profile::load(&root.join("profiles/lab.toml")).unwrap();
    let (site, warnings) =
        resolve("lab", &Sources { profile: Some(&profile), ..Sources::default() }).into_result().unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    assert!(site.missing_for_onboarding().is_empty());
    let certificates = certificates::of_site(&site, root, certificates::now()).unwrap();
    assert!(certificates.placeholder && certificates.warnings.is_empty(), "{:?}", certificates.warnings);
    let host = site.text(Id::KeycloakUrl).unwrap();
    assert!(
        certificates.server.certificates[0].info.names.contains(&host.split(':').next().unwrap().to_owned())
    );
}

#[test]
fn openssl_agrees_with_what_we_say_of_a_certificate() {
    let made = placeholder::make("x", &["keycloak.example.com".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let (ca, server) = (folder.path().join("ca.pem"), folder.path().join("server.pem"));
    std::fs::write(&ca, &made.ca).unwrap();
    std::fs::write(&server, &made.server).unwrap();
    let verify = tool(
        "openssl",
        &[
            "verify",
            "-x509_strict",
            "-verify_hostname",
            "keycloak.example.com",
            "-CAfile",
            ca.to_str().unwrap(),
            server.to_str().unwrap(),
        ],
        b"",
    );
    assert!(verify.status.success(), "{}", text(&verify));
    let print = tool("openssl", &["x509", "-noout", "-fingerprint", "-sha256"], made.ca.as_bytes());
    let print = String::from_utf8(print.stdout)
        .unwrap()
        .trim()
        .rsplit('=')
        .next()
        .unwrap()
        .replace(':', "")
        .to_lowercase();
    let bundle = Bundle::load(&ca).unwrap();
    assert_eq!(bundle.certificates[0].info.fingerprint.hex(), print);
}

/// RSA keys, which our own placeholders do not have, and a PEM file as openssl writes it with `-text`.
#[test]
fn certificates_that_openssl_made_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let run = |args: &[&str]| {
        let output = tool("openssl", args, b"");
        assert!(output.status.success(), "{args:?} {}", text(&output));
    };
    run(&[
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &at("ca.key"),
        "-out",
        &at("ca.pem"),
        "-subj",
        "/O=Site/CN=Root",
        "-days",
        "3650",
    ]);
    run(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-keyout",
        &at("s.key"),
        "-out",
        &at("s.csr"),
        "-subj",
        "/CN=keycloak.example.com",
        "-addext",
        "subjectAltName=DNS:keycloak.example.com",
    ]);
    run(&[
        "x509",
        "-req",
        "-in",
        &at("s.csr"),
        "-CA",
        &at("ca.pem"),
        "-CAkey",
        &at("ca.key"),
        "-copy_extensions",
        "copy",
        "-text",
        "-out",
        &at("s.pem"),
        "-days",
        "365",
    ]);
    let (ca, server) =
        (Bundle::load(Path::new(&at("ca.pem"))).unwrap(), Bundle::load(Path::new(&at("s.pem"))).unwrap());
    assert_eq!(ca.certificates[0].info.key, "RSA 2048");
    assert_eq!(server.notes.len(), 1);
    let checked =
        certificates::check(ca, Some(server), Some("keycloak.example.com"), certificates::now()).unwrap();
    assert!(checked.warnings.is_empty() && !checked.placeholder, "{:?}", checked.warnings);
    let both = [std::fs::read(at("ca.pem")).unwrap(), std::fs::read(at("ca.key")).unwrap()].concat();
    std::fs::write(at("both.pem"), both).unwrap();
    let problem = Bundle::load(Path::new(&at("both.pem"))).unwrap_err().to_string();
    assert!(problem.contains("private key"), "{problem}");
}

/// An authority, and a server's certificate of it.
fn authority_and_server(folder: &Path, name: &str) -> (String, String) {
    let run = |args: &[&str]| {
        let output = Command::new("openssl").args(args).current_dir(folder).output().unwrap();
        assert!(output.status.success(), "{args:?} {}", text(&output));
    };
    let new =
        ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "365"];
    run(&[&new[..], &["-subj", "/CN=Site Root", "-keyout", "a.key", "-out", "a.pem"]].concat());
    let names = format!("subjectAltName=DNS:{name}");
    let leaf = ["-subj", "/CN=server", "-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"];
    let signed = ["-CA", "a.pem", "-CAkey", "a.key", "-keyout", "s.key", "-out", "s.pem"];
    run(&[&new[..], &leaf, &signed].concat());
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    (read("a.pem"), read("s.pem"))
}

/// A site's people are handed one file with all that is needed.
#[test]
fn a_bundle_with_the_servers_certificate_is_taken_whole_as_the_wizard_does() {
    let p = Project::new();
    p.good(&["configure", "--profile", "x", "--keycloak-url", "keycloak.example.com"]);
    let (ca, server) = authority_and_server(p.folder.path(), "keycloak.example.com");
    let bundle = p.path("bundle.pem");
    std::fs::write(&bundle, format!("{server}{ca}")).unwrap();
    let said = p.good(&["certs", "--profile", "x", "--ca", "bundle.pem"]);
    assert!(said.contains("CN=Site Root (root authority)") && said.contains("CN=server (server)"), "{said}");
    assert_eq!((p.read("certs/x/ca.pem"), p.read("certs/x/server_cert.pem")), (ca.clone(), server.clone()));
    let taken = hookos::tui::effects::certs::decode_file(&bundle).unwrap();
    assert_eq!(taken.ca.pem(), ca.as_bytes());
    assert_eq!(taken.server.unwrap().pem(), server.as_bytes());
    // Where it is said what the server's is, authorities alone are taken from the file.
    std::fs::write(p.path("server.pem"), &server).unwrap();
    let problem = p.bad(&["certs", "--profile", "x", "--ca", "bundle.pem", "--server", "server.pem"]);
    assert!(problem.contains("CN=server is not an authority's certificate"), "{problem}");
    // And without a file of its own the server is checked against the authorities again.
    p.good(&["certs", "--profile", "x", "--no-server"]);
    assert!(!p.path("certs/x/server_cert.pem").exists());
    assert_eq!(p.read("certs/x/ca.pem"), ca);
    // What a setting outweighs is not taken.
    p.good(&["configure", "--profile", "x", "--server-cert-file", "server.pem"]);
    let problem = p.bad(&["certs", "--profile", "x", "--ca", "bundle.pem"]);
    assert!(problem.contains("--unset certificates.server_cert"), "{problem}");
}

#[test]
fn a_site_from_nothing_to_checked_certificates() {
    let p = Project::new();
    let problem = p.bad(&["configure", "--profile", "berlin"]);
    assert!(
        problem.contains("--release-svc (HOOKOS_RELEASE_SVC)") && problem.contains("--cluster-domain"),
        "{problem}"
    );
    let words = [
        "configure",
        "--profile",
        "berlin",
        "--cluster-domain",
        "edge.example.com",
        "--http-proxy",
        "http://proxy.example.com:3128",
    ];
    let dry = p.good(&[&words[..], &["--dry-run"]].concat());
    assert!(dry.contains("cluster_domain = \"edge.example.com\"") && !p.path("profiles").exists(), "{dry}");
    let shown = p.good(&words);
    assert!(
        shown.contains("keycloak.edge.example.com:443") && shown.contains("(from cluster_domain)"),
        "{shown}"
    );
    let saved = p.read("profiles/berlin.toml");
    assert!(!saved.contains("keycloak"), "what follows from the domain is not saved: {saved}");
    assert!(p.good(&words).contains("unchanged"));

    let problem = p.bad(&["certs", "--profile", "berlin"]);
    assert!(problem.contains("has no certificates") && problem.contains("--placeholder"), "{problem}");
    p.good(&["certs", "--profile", "berlin", "--placeholder"]);
    assert!(p.read("profiles/berlin.toml").contains("placeholder = true"));
    let first = p.read("certs/berlin/ca.pem");
    assert!(p.good(&["certs", "--profile", "berlin", "--placeholder"]).contains("there already"));
    assert_eq!(p.read("certs/berlin/ca.pem"), first, "a rebuild gives the same image");
    p.good(&["certs", "--profile", "berlin", "--placeholder", "--renew"]);
    assert_ne!(p.read("certs/berlin/ca.pem"), first);

    // A real authority takes the place of the placeholder, and no placeholder is accepted any more.
    let key = tool(
        "openssl",
        &[
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:P-384",
            "-nodes",
            "-keyout",
            "/dev/null",
            "-subj",
            "/CN=Real",
        ],
        b"",
    );
    std::fs::write(p.path("real.pem"), &key.stdout).unwrap();
    let taken = p.good(&["certs", "--profile", "berlin", "--ca", "real.pem"]);
    assert!(
        taken.contains("CN=Real (root authority)") && taken.contains("removed the placeholder"),
        "{taken}"
    );
    assert!(!p.read("profiles/berlin.toml").contains("placeholder = true"));
    assert!(p.good(&["certs", "check", "--profile", "berlin"]).contains("CN=Real"));
    let problem = p.bad(&["certs", "--profile", "berlin", "--placeholder"]);
    assert!(problem.contains("a real authority"), "{problem}");
    let json: serde_json::Value =
        serde_json::from_str(&p.good(&["certs", "show", "real.pem", "--json"])).unwrap();
    assert_eq!(json[0]["certificates"][0]["key"], "EC 384");
}

#[test]
fn a_placeholder_that_the_profile_does_not_accept_is_refused() {
    let p = Project::new();
    p.good(&["configure", "--profile", "x", "--cluster-domain", "example.com"]);
    p.good(&["certs", "--profile", "x", "--placeholder"]);
    p.good(&["configure", "--profile", "x", "--unset", "certificates.placeholder"]);
    let problem = p.bad(&["certs", "--profile", "x"]);
    assert!(problem.contains("placeholders, and the profile does not accept them"), "{problem}");
}

#[test]
fn profiles_are_listed_shown_compared_imported_and_exported() {
    let p = Project::new();
    std::fs::write(p.path("config"), "keycloak_url=\"keycloak.kind.internal:443\"\nlogging_svc='logs.kind.internal'\nnameserver=(\"192.0.2.1\" \"\" \"\")\nsite_code=\"B 7\"\n").unwrap();
    p.good(&["profiles", "import", "config", "old"]);
    assert!(p.bad(&["profiles", "import", "config", "old"]).contains("there already"));
    p.good(&["configure", "--profile", "new", "--import", "config", "--logging-svc", "other.kind.internal"]);
    let diff = p.good(&["profiles", "diff", "old", "new"]);
    assert_eq!(
        diff,
        "endpoints.logging_svc\n  old: logs.kind.internal  (old.toml:6)\n  new: other.kind.internal  (new.toml:6)\n"
    );
    assert_eq!(p.good(&["profiles", "diff", "old", "old"]), "no field differs\n");
    let json: serde_json::Value =
        serde_json::from_str(&p.good(&["profiles", "diff", "old", "--json"])).unwrap();
    assert_eq!(json["fields"].as_array().unwrap().len(), 3, "{json}");
    assert!(p.good(&["profiles", "list"]).starts_with("new  "));
    assert!(p.good(&["profiles", "show", "old"]).contains("nameservers"));
    // There and back again without loss.
    let exported = p.good(&["profiles", "export", "old"]);
    std::fs::write(p.path("config2"), &exported).unwrap();
    p.good(&["profiles", "import", "config2", "again"]);
    assert_eq!(p.good(&["profiles", "export", "again"]), exported);
    assert!(exported.contains("site_code=\"B 7\""));
    assert!(p.bad(&["profiles", "show", "oldd"]).contains("did you mean old?"));
    std::fs::write(p.path("profiles/broken.toml"), "x = ").unwrap();
    assert!(p.good(&["profiles", "list"]).contains("has problems"));
    assert!(p.bad(&["profiles", "show", "broken"]).contains("broken.toml:1:"));
}

/// Promise 8: nothing that people see or keep has a proxy's password.
#[test]
fn a_proxy_password_is_neither_shown_nor_saved() {
    let p = Project::new();
    let url = "http://user:canary@proxy.example.com:3128";
    let problem = p.bad(&["configure", "--profile", "x", "--http-proxy", url]);
    assert!(problem.contains("HOOKOS_HTTP_PROXY") && !problem.contains("canary"), "{problem}");
    for name in ["HOOKOS_HTTP_PROXY", "http_proxy"] {
        for more in [&["--json"][..], &["--dry-run"], &[]] {
            let words = [&["configure", "--profile", "x", "--cluster-domain", "example.com"], more].concat();
            let output = p.command(&words).env(name, url).output().unwrap();
            assert!(output.status.success(), "{}", text(&output));
            assert!(!text(&output).contains("canary"), "{}", text(&output));
        }
        assert!(!p.read("profiles/x.toml").contains("canary"));
        std::fs::remove_file(p.path("profiles/x.toml")).unwrap();
    }
    std::fs::create_dir_all(p.path("profiles")).unwrap();
    std::fs::write(
        p.path("profiles/y.toml"),
        format!("schema_version = 1\n[network]\nhttps_proxy = \"{url}\"\n"),
    )
    .unwrap();
    for words in [
        &["configure", "--profile", "y"][..],
        &["profiles", "show", "y"],
        &["profiles", "export", "y"],
        &["profiles", "list"],
    ] {
        let output = p.run(words);
        assert!(!text(&output).contains("canary"), "{}", text(&output));
    }
}

#[test]
fn a_password_hash_is_neither_shown_nor_saved() {
    let p = Project::new();
    let words = ["configure", "--profile", "x", "--cluster-domain", "example.com", "--getty", "login"];
    let output = p.run(&words);
    assert!(text(&output).contains("nobody can log in"), "{}", text(&output));
    let output =
        p.command(&words).env("HOOKOS_ROOT_PASSWORD_HASH", "$6$canary$canarycanarycanary").output().unwrap();
    assert!(output.status.success() && !text(&output).contains("nobody can log in"), "{}", text(&output));
    assert!(!text(&output).contains("canary") && !p.read("profiles/x.toml").contains("canary"));
}

#[test]
fn a_bad_profile_tells_all_problems_by_line() {
    let p = Project::new();
    std::fs::create_dir_all(p.path("profiles")).unwrap();
    std::fs::write(
        p.path("profiles/x.toml"),
        "schema_version = 1\n[endpoints]\nrelease_svc = \"https://a\"\n[network]\nnameservers = [\"x\"]\n",
    )
    .unwrap();
    let problem = p.bad(&["configure", "--profile", "x"]);
    assert!(
        problem.contains("profiles/x.toml:3:15") && problem.contains("profiles/x.toml:5:15"),
        "{problem}"
    );
}

#[test]
fn paths_given_as_flags_are_found_again_from_the_profile() {
    let p = Project::new();
    let made = placeholder::make("x", &[]).unwrap();
    std::fs::create_dir_all(p.path("mine")).unwrap();
    std::fs::write(p.path("mine/ca.pem"), made.ca).unwrap();
    p.good(&[
        "configure",
        "--profile",
        "x",
        "--cluster-domain",
        "example.com",
        "--ca-file",
        "mine/ca.pem",
        "--placeholder-certificates",
    ]);
    assert!(p.read("profiles/x.toml").contains("ca = \"../mine/ca.pem\""));
    assert!(p.good(&["certs", "--profile", "x"]).contains("root authority, placeholder"));
}
