//! A whole session at a terminal: a site is begun, filled in by keys, saved and built for real; its result
//! is looked at; the command that the wizard gives does the same.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;
#[path = "support/terminal.rs"]
#[allow(dead_code)]
mod terminal;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use support::{fresh, ok, second_clone, work};
use terminal::Terminal;

const HOOKOS: &str = env!("CARGO_BIN_EXE_hookos");
/// A build from nothing compiles our own programs.
const BUILD: Duration = Duration::from_secs(600);

fn start(size: (u16, u16), clone: &Path, store: &Path, words: &[&str]) -> Terminal {
    run(size, clone, store, &[&[HOOKOS], words].concat())
}

fn run(size: (u16, u16), clone: &Path, store: &Path, words: &[&str]) -> Terminal {
    let env = [
        ("HOOKOS_ROOT", clone.to_str().unwrap()),
        ("HOOKOS_CACHE", store.to_str().unwrap()),
        // The clone has no target folder of its own.
        ("CARGO_TARGET_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/target")),
    ];
    Terminal::start(size, clone, words, &env)
}

/// Waits for the build's end, which must be a good one.
#[track_caller]
fn result(terminal: &Terminal) {
    let ended =
        |screen: &vt100::Screen| ["is built", "failed after"].iter().any(|s| screen.contents().contains(s));
    terminal.wait_for("the result", BUILD, ended);
    assert!(terminal.text().contains("depot is built"), "{}", terminal.text());
}

/// The value of a field in a run's record.
fn fields(clone: &Path, profile: &str) -> BTreeMap<String, String> {
    let run = runs(clone, profile).pop().unwrap();
    let path = clone.join("out").join(profile).join("logs").join(run).join("run.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(record["fields"].clone()).unwrap()
}

fn runs(clone: &Path, profile: &str) -> Vec<String> {
    let logs = std::fs::read_dir(clone.join("out").join(profile).join("logs")).unwrap();
    let mut names: Vec<String> = logs
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn sums(clone: &Path, profile: &str) -> Vec<(String, String)> {
    let names = ["vmlinuz-x86_64", "initramfs-x86_64", "hook_x86_64.tar.gz", "cmdline-x86_64"];
    let sum = |name: &str| {
        let bytes = std::fs::read(clone.join("out").join(profile).join(name)).unwrap();
        (name.to_owned(), hookos::store::Digest::of(&bytes).to_string())
    };
    names.map(sum).into()
}

/// Runs a command as a person who has copied it does.
fn shell(command: &str, clone: &Path, store: &Path) -> std::process::Output {
    let bin = Path::new(HOOKOS).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let mut shell = Command::new("sh");
    shell.args(["-c", command]).env("PATH", path).env("HOOKOS_ROOT", clone).env("HOOKOS_CACHE", store);
    shell.current_dir(clone).stdin(std::process::Stdio::null()).output().unwrap()
}

/// Every file below a folder with the time of its last change.
fn state(folder: &Path) -> BTreeMap<std::path::PathBuf, std::time::SystemTime> {
    let files = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
    files.map(|e| (e.path().to_owned(), e.metadata().unwrap().modified().unwrap())).collect()
}

/// Where there is an image, its sizes are known.
fn a_dry_run_knows_the_sizes(clone: &Path, store: &Path) {
    let before = state(clone);
    let words = ["build", "depot", "--dry-run"];
    let plain = ok(support::hookos(clone, store, &words).output().unwrap());
    let json = ok(support::hookos(clone, store, &[&words[..], &["--json"]].concat()).output().unwrap());
    assert_eq!(state(clone), before);
    for text in ["components", "kernel", "package", "hook_x86_64.tar.gz", "MiB", "Nothing was written"] {
        assert!(plain.contains(text), "{text}: {plain}");
    }
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let work = json["work"].as_array().unwrap();
    // What decides each piece, with its digest.
    for row in work.iter().filter(|row| row["state"] == "cached") {
        let inputs = row["inputs"].as_object().unwrap();
        assert!(!inputs.is_empty(), "{row}");
        assert!(inputs.values().all(|digest| digest.as_str().unwrap().len() >= 64), "{row}");
    }
    assert!(plain.contains("made of ") && plain.contains("package "), "{plain}");
    assert!(
        work.iter()
            .filter(|row| row["state"] == "cached")
            .all(|row| row["key"].as_str().unwrap().len() == 64)
    );
    for file in json["files"].as_array().unwrap() {
        let path = Path::new(file["path"].as_str().unwrap());
        assert_eq!(path.metadata().unwrap().len(), file["bytes"].as_u64().unwrap(), "{path:?}");
    }
}

#[test]
fn behaviour_16_a_dry_run_tells_everything_and_touches_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (clone, store) = (folder.path().join("clone"), folder.path().join("store"));
    second_clone(&clone);
    let before = state(&clone);
    let plain = ok(support::hookos(&clone, &store, &["build", "lab", "--dry-run"]).output().unwrap());
    for text in
        ["components   caddy", "to do", "hook_x86_64.tar.gz", "size not known yet", "no network was used"]
    {
        assert!(plain.contains(text), "{text}: {plain}");
    }
    let words = ["build", "lab", "--dry-run", "--json"];
    let json = support::hookos(&clone, &store, &words).output().unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
    // What is to be made says of what, and with which programs.
    for row in json["work"].as_array().unwrap().iter().filter(|row| row["stage"] == "components") {
        assert_eq!(row["inputs"]["component.toml"].as_str().unwrap().len(), 64, "{row}");
        assert!(!row["commands"].as_array().unwrap().is_empty(), "{row}");
    }
    assert!(plain.contains("made of component.toml") && plain.contains("runs apt-get, for "), "{plain}");
    let stages: std::collections::BTreeSet<&str> =
        json["work"].as_array().unwrap().iter().map(|row| row["stage"].as_str().unwrap()).collect();
    assert_eq!(stages.into_iter().collect::<Vec<_>>(), ["binaries", "components", "kernel", "package"]);
    assert_eq!(state(&clone), before);
}

#[test]
fn a_whole_session_from_an_empty_profile_to_an_image() {
    let (clone, store) = (fresh("session"), work("store"));
    second_clone(&clone);
    let mut terminal = start((80, 24), &clone, &store, &[]);
    terminal.wait("Begin");

    // A new site, its domain, and nothing else that must be said.
    terminal.send("n");
    terminal.wait("Its name");
    terminal.send("depot\r");
    terminal.wait("Step 1/7: Endpoints");
    terminal.send("depot.example.com");
    terminal.wait("keycloak.depot.example.com:443");
    terminal.send("\x0e");
    terminal.wait("Step 2/7: Network");
    terminal.send("\x0e");
    terminal.wait("Step 3/7: Certificates");
    // By the menu, with a word of what it does.
    terminal.send("\x1b");
    terminal.wait("What you can do here");
    terminal.send("placeholder");
    terminal.wait("make placeholder certificates");
    terminal.send("\r");
    terminal.wait("Make placeholder certificates?");
    terminal.send("\x1b[B\r");
    terminal.wait("Certificates taken");
    terminal.send("\x0e");
    terminal.wait("Step 4/7: Kernel");
    terminal.send("\x0e");
    terminal.wait("Step 5/7: Components");
    terminal.wait("fluent-bit");
    // The other log shipper, which is made from packages.
    terminal.choose("syslog-ng");
    terminal.send(" ");
    terminal.wait_for("syslog-ng switched on", Duration::from_secs(20), |screen| {
        screen.contents().lines().any(|line| line.contains("[x] syslog-ng"))
    });
    terminal.send("\x0e");
    terminal.wait("Step 6/7: Review");
    terminal.wait("What is to be done");
    terminal.wait("hookos configure --profile depot");
    assert!(!clone.join("profiles/depot.toml").exists(), "nothing is written before the start");
    assert!(!clone.join("out").exists());
    terminal.send("b");
    terminal.wait("Save and build");
    terminal.wait("profiles/depot.toml");
    terminal.send("\r");
    terminal.wait("Step 7/7: Build");
    result(&terminal);
    terminal.wait("What next");
    terminal.wait("hook_x86_64.tar.gz");
    let built = sums(&clone, "depot");

    // Another build with something that is not saved: the command says it.
    terminal.send("\x10");
    terminal.wait("Step 6/7: Review");
    terminal.send("\x07");
    terminal.wait("Esc back");
    terminal.send("4\r");
    terminal.wait("Step 4/7: Kernel");
    terminal.choose("Kernel parameters");
    terminal.send("loglevel=7 panic=10");
    terminal.wait("(not saved)");
    terminal.send("\x07");
    terminal.wait("Esc back");
    terminal.send("6\r");
    terminal.wait("Step 6/7: Review");
    terminal.wait("1 setting other than now");
    terminal.wait("--kernel-append='loglevel=7 panic=10'");
    terminal.send("b");
    terminal.wait("Build without saving");
    terminal.send("\x1b[B\r");
    terminal.wait("Step 7/7: Build");
    result(&terminal);
    assert_ne!(sums(&clone, "depot"), built);
    terminal.send("q");
    assert_eq!(terminal.end(), 0);
    terminal.is_given_back();

    // What stays on the main screen: how it ended, where it is, and the command.
    let text = terminal.text();
    let at = text.find("depot is built, in").unwrap_or_else(|| panic!("{text}"));
    let command = text.replace('\n', "");
    let command = command.rsplit("As a command: ").next().unwrap().trim_end().to_owned();
    assert!(text[at..].lines().count() <= 20, "{text}");
    assert_eq!(command, "hookos build depot --kernel-append='loglevel=7 panic=10'");

    // That command, in a shell, gives the same settings and the same image.
    let before = (sums(&clone, "depot"), fields(&clone, "depot"));
    let count = runs(&clone, "depot").len();
    ok(shell(&command, &clone, &store));
    assert_eq!(runs(&clone, "depot").len(), count + 1);
    assert_eq!((sums(&clone, "depot"), fields(&clone, "depot")), before);
    a_dry_run_knows_the_sizes(&clone, &store);
    // The profile alone is what was saved.
    let profile = std::fs::read_to_string(clone.join("profiles/depot.toml")).unwrap();
    assert!(profile.contains("cluster_domain = \"depot.example.com\"") && !profile.contains("loglevel"));
}

/// A build whose lines move, on a terminal: what must be read is still there when they are gone.
#[test]
fn a_warning_stays_on_the_terminal_when_the_live_lines_are_gone() {
    let (clone, store) = (fresh("warned"), work("store"));
    second_clone(&clone);
    openssl(
        &clone,
        &["-keyout", "/dev/null", "-out", "short.pem", "-days", "10", "-subj", "/CN=short lived"],
    );
    let words = ["build", "lab", "--ca-file", "short.pem", "--server-cert-file="];
    let mut terminal = start((120, 50), &clone, &store, &words);
    assert_eq!(terminal.end_within(BUILD), 0, "{}", terminal.text());
    let rows: Vec<String> = terminal.screen(|screen| screen.rows(0, 120).collect());
    assert!(rows.iter().any(|row| row.contains("CN=short lived expires soon")), "{rows:#?}");
    // A stage has one line, that of its end; what moved is gone.
    for stage in ["configure", "certs", "components", "kernel", "binaries", "package"] {
        let of_stage = || rows.iter().filter(|row| row.starts_with(&format!("{stage} ")));
        assert!(of_stage().count() == 1 && of_stage().all(|row| row.contains(" done in ")), "{rows:#?}");
    }
}

/// Ctrl-S, or a connection that hangs: a build that waited for its terminal would hang with it.
#[test]
fn a_terminal_that_is_stopped_does_not_stop_the_build() {
    let (clone, store) = (fresh("stopped"), work("store"));
    second_clone(&clone);
    // It is stopped before the build begins.
    let wait = format!("read go; exec {HOOKOS} build lab");
    let mut terminal = run((120, 50), &clone, &store, &["sh", "-c", &wait]);
    terminal.send("\x13\r");
    let until = Instant::now() + BUILD;
    let ended = || {
        clone.join("out/lab/logs").exists().then_some(())?;
        let run = runs(&clone, "lab").pop()?;
        let record = std::fs::read(clone.join("out/lab/logs").join(run).join("run.json")).ok()?;
        let record: serde_json::Value = serde_json::from_slice(&record).unwrap();
        Some(record["outcome"].as_str()?.to_owned())
    };
    let outcome = loop {
        if let Some(outcome) = ended() {
            break outcome;
        }
        assert!(Instant::now() < until, "it waits for its terminal:\n{}", terminal.text());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(outcome, "ok");
    assert_eq!(terminal.text().trim(), "", "it was not stopped");
    // All that matters is still told when somebody reads again.
    terminal.send("\x11");
    assert_eq!(terminal.end(), 0);
    terminal.wait("hook_x86_64.tar.gz");
    terminal.wait("package                    done in");
}

/// Makes a certificate that signs itself, or is signed by an authority.
fn openssl(folder: &Path, words: &[&str]) {
    let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    ok(Command::new("openssl").args(new).args(words).current_dir(folder).output().unwrap());
}

#[test]
fn behaviour_25_as_lines_from_an_empty_profile_to_an_image_and_the_command_makes_the_same() {
    let (clone, other, store) = (fresh("lines"), fresh("lines-by-command"), work("store"));
    second_clone(&clone);
    second_clone(&other);
    openssl(
        &clone,
        &["-keyout", "a.key", "-out", "a.pem", "-days", "365", "-subj", "/CN=the site's authority"],
    );
    let names = "subjectAltName=DNS:keycloak.quay.example.com";
    let leaf = ["-subj", "/CN=server", "-addext", names, "-addext", "basicConstraints=critical,CA:FALSE"];
    let signed = ["-CA", "a.pem", "-CAkey", "a.key", "-keyout", "s.key", "-out", "s.pem", "-days", "365"];
    openssl(&clone, &[&leaf[..], &signed].concat());
    let pem = |name: &str| std::fs::read_to_string(clone.join(name)).unwrap();
    let (ca, server) = (pem("a.pem"), pem("s.pem"));

    let mut terminal = start((1000, 300), &clone, &store, &["--plain"]);
    terminal.wait("Site:");
    terminal.answer("quay", "Begin a new site of that name");
    terminal.answer("yes", "Cluster domain [no value]:");
    terminal.answer("quay.example.com", "Keycloak [keycloak.quay.example.com:443, derived]:");
    terminal.answer("*go to any", "Step (Enter: stay)");
    terminal.answer("3", "Step 3 of 7: Certificates");
    terminal.answer("*paste certificates", "a line with a single . ends it");
    for line in ca.lines().chain(server.lines()) {
        terminal.send(&format!("{line}\r"));
    }
    terminal.answer(".", "Certificates taken (pasted)");
    terminal.answer("*go to any", "5. Components");
    terminal.answer("5", "Step 5 of 7: Components");
    terminal.wait("in: fluent-bit");
    terminal.answer("syslog-ng", "in: syslog-ng");
    terminal.answer("*go to any", "6. Review");
    terminal.answer("6", "Step 6 of 7: Review");
    terminal.answer("*copy", "That is it.");
    let text = terminal.text();
    let command = text.rsplit("hookos configure --profile quay ").next().unwrap();
    let command = command.split("That is it.").next().unwrap();
    let (command, _) = command.rsplit_once("END").unwrap();
    let command = format!("hookos configure --profile quay {command}END\n");
    assert!(!clone.join("profiles/quay.toml").exists() && !clone.join("certs/quay").exists());
    terminal.answer("build", "Save and build");
    terminal.send("\r");
    let ended = |screen: &vt100::Screen| {
        ["What next", "quay is built"].iter().any(|text| screen.contents().contains(text))
    };
    terminal.wait_for("the end of the build", BUILD, ended);
    terminal.wait("quay is built");
    terminal.send("!\r");
    assert_eq!(terminal.end(), 0, "{}", terminal.text());
    assert!(!terminal.raw().contains(&0x1b), "no escape sequence is sent");

    // The command as it was shown, in another clone that has nothing of this site.
    ok(shell(&command, &other, &store));
    assert_eq!(fields(&clone, "quay"), fields(&other, "quay"));
    for (file, text) in [("ca.pem", &ca), ("server_cert.pem", &server)] {
        for place in [&clone, &other] {
            assert_eq!(
                std::fs::read_to_string(place.join("certs/quay").join(file)).unwrap(),
                **text,
                "{file}"
            );
        }
    }
    assert_eq!(sums(&clone, "quay"), sums(&other, "quay"));
}
