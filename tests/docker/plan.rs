//! A component that needs Docker, where there is none.

use super::support::{self, fresh, ok, second_clone, work};
use super::{NOWHERE, has, said};
use std::path::Path;

#[test]
fn without_docker_a_plan_says_what_needs_it_and_everything_else_is_built() {
    let (clone, store) = (fresh("docker-plan"), work("store"));
    second_clone(&clone);
    let (example, to) = (clone.join("examples/components/greeting"), clone.join("components/greeting"));
    std::fs::rename(example, &to).unwrap();
    let definition = clone.join("components/hook.yaml");
    let text = std::fs::read_to_string(&definition).unwrap();
    let service = "services:\n  - name: greeting\n    image: greeting\n";
    assert!(text.contains("\nservices:\n"));
    std::fs::write(&definition, text.replacen("services:\n", service, 1)).unwrap();
    let hookos = |words: &[&str]| {
        let mut command = support::hookos(&clone, &store, &[&["build", "lab"], words].concat());
        command.env("DOCKER_HOST", NOWHERE).output().unwrap()
    };

    let reasons = [
        "component greeting needs Docker",
        "no Docker engine answers at unix:///nowhere/docker.sock (DOCKER_HOST)",
        "start Docker (or Podman's service, with DOCKER_HOST), or leave the component out: --components-off",
    ];
    let text = ok(hookos(&["--dry-run"]));
    has(&text, &reasons);
    has(&text, &["components   greeting", "to do and cannot be done here"]);
    let json = ok(hookos(&["--dry-run", "--json"]));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let lacking: Vec<&str> = (json["work"].as_array().unwrap().iter())
        .filter(|row| !row["lacks"].is_null())
        .map(|row| row["item"].as_str().unwrap())
        .collect();
    assert_eq!(lacking, ["greeting"]);

    let words = ["--components-off", "greeting", "--kernel-source", "source", "--kernel-engine", "docker"];
    let text = ok(hookos(&[&words[..], &["--dry-run"]].concat()));
    has(&text, &["the kernel 5.10.", "needs Docker, unless registry-rs.lab.example.com/", "--engine host"]);

    // Before anything is built.
    let output = hookos(&[]);
    assert_eq!(output.status.code(), Some(1));
    has(&said(&output), &reasons);
    assert!(!said(&output).contains("components   "), "{}", said(&output));

    let text = ok(hookos(&["--components-off", "greeting"]));
    has(&text, &["hook_x86_64.tar.gz"]);
    let built = |name: &str| clone.join("out/lab").join(name);
    assert!(built("hook_x86_64.tar.gz").is_file());
    let manifest = std::fs::read_to_string(built("manifest.json")).unwrap();
    assert!(manifest.contains("syslog-ng") && !manifest.contains("greeting"));
    let text = ok(hookos(&["--components-off", "greeting", "--dry-run"]));
    assert!(!text.contains("Docker"), "{text}");
    let _ = std::fs::remove_dir_all(Path::new(&clone));
}
