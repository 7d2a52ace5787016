//! `hookos lint`, `doctor` and `matrix` as a CI calls them: exit codes, JSON, what is left out and said.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A project with the profile lab and nothing to build.
struct Project(tempfile::TempDir);

impl Project {
    fn new() -> Self {
        let project = Self(tempfile::tempdir().unwrap());
        let tag = concat!("# SPDX-License-", "Identifier: MIT\n");
        let definition = format!("{tag}kernel:\n  image: kernel\n  cmdline: quiet\n");
        support::project(project.root(), &definition, &[]);
        let rules = "version = 1\n[[annotations]]\npath = \"**\"\nSPDX-FileCopyrightText = \"us\"\n\
                     SPDX-License-Identifier = \"MIT\"\n";
        project.write("REUSE.toml", rules);
        project.write("LICENSES/MIT.txt", "Permission\n");
        let git = Command::new("git").args(["init", "-q"]).current_dir(project.root()).status().unwrap();
        assert!(git.success());
        project
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.root().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn run(&self, words: &[&str], change: impl FnOnce(&mut Command)) -> (Output, String) {
        let mut command = support::hookos(self.root(), &self.root().join(".git/store"), words);
        change(&mut command);
        let output = command.output().unwrap();
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        (output, said)
    }

    /// A folder with programs, for PATH: links, and one of its own.
    fn programs(&self, names: &[&str], own: Option<(&str, &str)>) -> PathBuf {
        let folder = self.root().join(".git/programs");
        std::fs::create_dir_all(&folder).unwrap();
        let path = std::env::var_os("PATH").unwrap();
        for name in names {
            let place = std::env::split_paths(&path).map(|f| f.join(name)).find(|p| p.is_file()).unwrap();
            std::os::unix::fs::symlink(place, folder.join(name)).unwrap();
        }
        if let Some((name, text)) = own {
            std::fs::write(folder.join(name), text).unwrap();
            std::fs::set_permissions(folder.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        folder
    }
}

fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {output:?}"))
}

#[test]
fn lint_ends_with_1_for_a_script_that_shellcheck_rejects() {
    let project = Project::new();
    let (output, said) = project.run(&["lint"], |_| {});
    assert_eq!(output.status.code(), Some(0), "{said}");
    project.write("run", "#!/bin/sh -e\nrm $1\n");
    let (output, said) = project.run(&["lint"], |_| {});
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("run:2: shellcheck: SC2086"), "{said}");
    let (output, _) = project.run(&["lint", "--json"], |_| {});
    assert_eq!(output.status.code(), Some(1));
    let finding = &json(&output)["findings"][0];
    assert_eq!((finding["file"].as_str(), finding["line"].as_u64()), (Some("run"), Some(2)));
    assert_eq!(finding["rule"], "shellcheck");
}

#[test]
fn lint_says_which_tools_it_has_not_run() {
    let project = Project::new();
    project.write("run", "#!/bin/sh -e\nrm $1\n");
    project.write("README.md", "# A\n");
    let path = project.programs(&["git", "sh"], None);
    let (output, said) = project.run(&["lint"], |command| {
        command.env("PATH", &path);
    });
    assert_eq!(output.status.code(), Some(0), "{said}");
    for tool in ["shellcheck", "mdl", "reuse"] {
        assert!(said.contains(&format!("skipped: {tool} is not installed")), "{tool}: {said}");
    }
    // As version 1.1.2, which Debian 12 has, answers to an option that it does not know.
    let old = "#!/bin/sh\necho 'reuse lint: error: unrecognized arguments: --lines' >&2\nexit 2\n";
    let path = project.programs(&[], Some(("reuse", old)));
    let (output, said) = project.run(&["lint"], |command| {
        command.env("PATH", &path);
    });
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("skipped: reuse cannot be used (reuse lint: error: unrecognized"), "{said}");
}

#[test]
fn doctor_ends_with_1_where_no_image_can_be_built() {
    let project = Project::new();
    std::fs::create_dir(project.root().join("kernel")).unwrap();
    std::fs::copy(Path::new(support::ROOT).join("kernel/build.sh"), project.root().join("kernel/build.sh"))
        .unwrap();
    let (output, said) = project.run(&["doctor", "--offline", "--json"], |_| {});
    let findings = json(&output);
    let bad = findings.as_array().unwrap().iter().any(|finding| finding["state"] == "bad");
    assert_eq!(output.status.code(), Some(i32::from(bad)), "{said}");
    assert!(findings.as_array().unwrap().iter().all(|finding| finding["name"] != "registry"), "{said}");

    let path = project.programs(&["git", "bash", "sed", "nproc", "tail", "realpath"], None);
    let (output, said) = project.run(&["doctor", "--offline"], |command| {
        command.env("PATH", &path);
    });
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("MISSING  Rust"), "{said}");
    // A library's headers are looked for as well as programs.
    for package in ["libelf-dev", "libssl-dev", "make"] {
        assert!(said.contains(package), "{package}: {said}");
    }

    // The servers of a profile are looked at, through the proxy that is set.
    let profile = project.root().join("profiles/lab.toml");
    let text = std::fs::read_to_string(&profile).unwrap();
    std::fs::write(&profile, format!("{text}\n[publish]\nregistry = \"publish.invalid:5000\"\n")).unwrap();
    let (_, said) = project.run(&["doctor", "lab"], |command| {
        for name in ["http_proxy", "https_proxy"] {
            command.env(name, "http://127.0.0.1:1");
        }
    });
    for place in ["publish.invalid:5000", "registry-rs.lab.example.com", "kernel.org"] {
        assert!(said.lines().any(|l| l.starts_with("limited") && l.contains(place)), "{place}: {said}");
    }
}

#[test]
fn matrix_has_what_can_be_built_and_says_what_cannot() {
    let project = Project::new();
    let lab = std::fs::read_to_string(project.root().join("profiles/lab.toml")).unwrap();
    project.write("profiles/site-1.toml", &lab);
    project.write("profiles/site-2.toml", "schema_version = 1\n[endpoints]\ncluster_domain = \"a..b\"\n");
    let names = |output: &Output| -> Vec<String> {
        let value = json(output);
        let jobs = value["include"].as_array().unwrap();
        jobs.iter().map(|job| job["profile"].as_str().unwrap().to_owned()).collect()
    };
    let (output, said) = project.run(&["matrix"], |_| {});
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert_eq!(names(&output), ["lab", "site-1"]);
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1, "{said}");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("site-2 is left out"), "{errors}");
    let (output, _) = project.run(&["matrix", "--profiles", "site-*"], |_| {});
    assert_eq!(names(&output), ["site-1"]);
    // A CI must not go on with an empty list.
    let (output, said) = project.run(&["matrix", "--profiles", "site-2"], |_| {});
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{said}");

    let cache = "registry.example.com/hookos/cache";
    let words = ["matrix", "--for", "gitlab", "--cache-from", cache, "--include", ".gitlab/hookos.yml"];
    let (output, _) = project.run(&words, |_| {});
    let pipeline = json(&output);
    assert_eq!(pipeline["build lab"]["script"][0], format!("hookos build lab --plain --cache-from {cache}"));
    assert_eq!(pipeline["include"][0]["local"], ".gitlab/hookos.yml");
}
