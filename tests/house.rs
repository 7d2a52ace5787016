//! Rules of the house that a compiler does not know: licences, versions, floors.
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Licences that may be linked into an Apache-2.0 program and shipped in an image.
const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "OpenSSL",
    "Unicode-3.0",
    "Zlib",
];

/// Crates that are there in two versions, each with its reason.
const TWICE: &[(&str, &str)] = &[
    ("base64", "the HTTP client has moved on, the others have not"),
    ("block-buffer", "follows digest"),
    ("cipher", "pgp's ciphers have not moved on, those that open cosign's keys have"),
    ("const-oid", "follows digest"),
    ("cpufeatures", "follows sha2"),
    ("crypto-common", "follows digest"),
    ("darling", "procedural macros, at build time only"),
    ("darling_core", "procedural macros, at build time only"),
    ("darling_macro", "procedural macros, at build time only"),
    ("digest", "the elliptic curves of pgp's signatures have not moved on"),
    ("getrandom", "ring asks for 0.2, tempfile and rand for a later one"),
    ("hmac", "follows digest"),
    ("inout", "follows cipher"),
    ("itertools", "ratatui asks for 0.14; prost's macros, at build time, for a later one"),
    ("nom", "x509-parser and pgp"),
    ("rand", "pgp asks for 0.8, bollard for a later one"),
    ("rand_core", "follows rand"),
    ("serdect", "follows digest"),
    ("sha2", "follows digest"),
    ("signal-hook", "the program has the version of crossterm, what runs in the image the newer one"),
    ("strum", "cyclonedx-bom and oci-spec"),
    ("strum_macros", "follows strum"),
    ("syn", "procedural macros, at build time only"),
    ("synstructure", "procedural macros, at build time only"),
    ("universal-hash", "follows cipher"),
];

fn metadata() -> serde_json::Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--locked"])
        .args(["--filter-platform", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The packages that are really built for this platform.
fn packages(metadata: &serde_json::Value) -> Vec<&serde_json::Value> {
    let used: BTreeSet<&str> = metadata["resolve"]["nodes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|node| node["id"].as_str().unwrap())
        .collect();
    let all = metadata["packages"].as_array().unwrap();
    all.iter().filter(|package| used.contains(package["id"].as_str().unwrap())).collect()
}

#[test]
fn every_crate_has_a_licence_that_we_may_ship() {
    let accepted: Vec<spdx::Licensee> =
        LICENCES.iter().map(|text| spdx::Licensee::parse(text).unwrap()).collect();
    let metadata = metadata();
    let mut bad = Vec::new();
    for package in packages(&metadata) {
        let name = format!("{} {}", package["name"], package["version"]);
        let Some(text) = package["license"].as_str() else {
            bad.push(format!("{name}: states no licence"));
            continue;
        };
        // Old crates write `MIT/Apache-2.0` for `MIT OR Apache-2.0`.
        match spdx::Expression::parse_mode(text, spdx::ParseMode::LAX) {
            Ok(expression) if expression.evaluate(|req| accepted.iter().any(|a| a.satisfies(req))) => {}
            Ok(_) => bad.push(format!("{name}: {text} is not on the list in tests/house.rs")),
            Err(e) => bad.push(format!("{name}: {text}: {e}")),
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
}

#[test]
fn a_second_version_of_a_crate_has_a_reason() {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--workspace", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--locked"])
        .args(["--target", "x86_64-unknown-linux-gnu"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            versions.entry(name).or_default().insert(version);
        }
    }
    let twice: Vec<_> = versions.iter().filter(|(_, v)| v.len() > 1).collect();
    for (name, versions) in &twice {
        assert!(
            TWICE.iter().any(|(known, _)| known == *name),
            "{name} is there as {versions:?}: unify the versions, or state the reason in tests/house.rs"
        );
    }
    for (name, _) in TWICE {
        assert!(
            twice.iter().any(|(n, _)| n == &name),
            "{name} is there once only: take it off the list in tests/house.rs"
        );
    }
}

/// Floor of each module of `src/`; modules that serve every floor have none.
const FLOORS: &[(&str, u8)] = &[
    ("store", 1),
    ("http", 1),
    ("oci", 1),
    ("docker", 1),
    ("debian", 1),
    ("initramfs", 1),
    ("site", 2),
    ("component", 2),
    ("kernel", 2),
    ("linuxkit", 2),
    ("build", 3),
    ("boot", 3),
    ("history", 3),
    ("doctor", 3),
    ("lint", 3),
    ("probe", 3),
    ("publish", 3),
    ("cli", 4),
    ("tui", 4),
];
const EVERY_FLOOR: &[&str] = &["near", "problem", "process", "progress", "replace", "secret", "words"];

fn sources(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            into.push(path);
        }
    }
}

#[test]
fn no_import_runs_up_a_floor() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let floor = |name: &str| FLOORS.iter().find(|(n, _)| *n == name).map(|(_, floor)| *floor);
    let mut files = Vec::new();
    sources(&root, &mut files);
    let mut bad = Vec::new();
    for file in files {
        let below = file.strip_prefix(&root).unwrap();
        let module = below.components().next().unwrap().as_os_str().to_str().unwrap();
        let module = module.trim_end_matches(".rs");
        if matches!(module, "lib" | "main") {
            continue;
        }
        let own = floor(module);
        assert!(
            own.is_some() || EVERY_FLOOR.contains(&module),
            "src/{module} has no floor: give it one in tests/house.rs and src/lib.rs"
        );
        let text = std::fs::read_to_string(&file).unwrap();
        for (number, line) in text.lines().enumerate() {
            for part in line.split("crate::").skip(1) {
                let name: String = part.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
                let Some(other) = floor(&name) else { continue };
                if own.is_none_or(|own| other > own) {
                    bad.push(format!("src/{}:{}: imports {name}", below.display(), number + 1));
                }
            }
        }
    }
    assert!(bad.is_empty(), "imports that run up a floor:\n{}", bad.join("\n"));
}
