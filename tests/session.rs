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
use std::time::Duration;
use support::{fresh, ok, second_clone, work};
use terminal::Terminal;

const HOOKOS: &str = env!("CARGO_BIN_EXE_hookos");
/// A build from nothing compiles our own programs.
const BUILD: Duration = Duration::from_secs(600);

fn start(clone: &Path, store: &Path) -> Terminal {
    let env = [
        ("HOOKOS_ROOT", clone.to_str().unwrap()),
        ("HOOKOS_CACHE", store.to_str().unwrap()),
        // The clone has no target folder of its own.
        ("CARGO_TARGET_DIR", concat!(env!("CARGO_MANIFEST_DIR"), "/target")),
    ];
    Terminal::start((80, 24), clone, &[HOOKOS], &env)
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
fn fields(clone: &Path, run: &str) -> BTreeMap<String, String> {
    let path = clone.join("out/depot/logs").join(run).join("run.json");
    let record: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    serde_json::from_value(record["fields"].clone()).unwrap()
}

fn runs(clone: &Path) -> Vec<String> {
    let logs = std::fs::read_dir(clone.join("out/depot/logs")).unwrap();
    let mut names: Vec<String> = logs
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn sums(clone: &Path) -> Vec<(String, String)> {
    let names = ["vmlinuz-x86_64", "initramfs-x86_64", "hook_x86_64.tar.gz", "cmdline-x86_64"];
    let sum = |name: &str| {
        let bytes = std::fs::read(clone.join("out/depot").join(name)).unwrap();
        (name.to_owned(), hookos::store::Digest::of(&bytes).to_string())
    };
    names.map(sum).into()
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
    let mut terminal = start(&clone, &store);
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
    let built = sums(&clone);

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
    assert_ne!(sums(&clone), built);
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
    let before = (sums(&clone), fields(&clone, runs(&clone).last().unwrap()));
    let count = runs(&clone).len();
    let bin = Path::new(HOOKOS).parent().unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-c", &command])
        .env("PATH", path)
        .env("HOOKOS_ROOT", &clone)
        .env("HOOKOS_CACHE", &store)
        .current_dir(&clone)
        .output()
        .unwrap();
    ok(output);
    assert_eq!(runs(&clone).len(), count + 1);
    assert_eq!((sums(&clone), fields(&clone, runs(&clone).last().unwrap())), before);
    a_dry_run_knows_the_sizes(&clone, &store);
    // The profile alone is what was saved.
    let profile = std::fs::read_to_string(clone.join("profiles/depot.toml")).unwrap();
    assert!(profile.contains("cluster_domain = \"depot.example.com\"") && !profile.contains("loglevel"));
}
