//! `hookos probe` and `hookos certs --fetch` against OpenSSL's server on loopback.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

struct Server {
    child: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn openssl(folder: &Path, words: &[&str]) {
    let output = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An authority and a server of it, made by openssl.
fn server(folder: &Path, name: &str) -> Server {
    let new = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "3650"];
    openssl(
        folder,
        &[&new[..], &["-subj", "/CN=the site's authority", "-keyout", "ca.key", "-out", "ca.pem"]].concat(),
    );
    let names = format!("subjectAltName=DNS:{name}");
    openssl(
        folder,
        &[
            &new[..],
            &["-subj", "/CN=server", "-addext", &names, "-addext", "basicConstraints=critical,CA:FALSE"],
            &["-CA", "ca.pem", "-CAkey", "ca.key", "-keyout", "server.key", "-out", "server.pem"],
        ]
        .concat(),
    );
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"])
        .args(["-cert_chain", "ca.pem", "-www"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next().expect("openssl has ended").unwrap();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.rsplit(':').next().unwrap().parse().unwrap();
        }
    };
    std::thread::spawn(move || lines.for_each(drop));
    Server { child, port }
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_site_without_an_authority_fetches_it_and_reaches_its_orchestrator() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("project");
    for name in ["components", "profiles"] {
        std::fs::create_dir_all(root.join(name)).unwrap();
    }
    std::fs::write(root.join("components/hook.yaml"), "").unwrap();
    let server = server(folder.path(), "id.site.test");
    let at = format!("id.site.test:{}", server.port);
    let profile = format!(
        "schema_version = 1\nname = \"depot\"\n[endpoints]\nkeycloak_url = \"{at}\"\n\
         [network]\nextra_hosts = [\"127.0.0.1 id.site.test\"]\n"
    );
    std::fs::write(root.join("profiles/depot.toml"), profile).unwrap();
    let run = |words: &[&str]| support::hookos(&root, &folder.path().join("store"), words).output().unwrap();

    // Nothing to check a server against.
    let output = run(&["probe", "depot"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("no certificates"));

    // Nobody can be asked, and a wrong fingerprint is not the right one.
    let output = run(&["certs", "--profile", "depot", "--fetch"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the site's authority") && said(&output).contains("--fingerprint"));
    let output = run(&["certs", "--profile", "depot", "--fetch", "--fingerprint", &"00".repeat(32)]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(!root.join("certs").exists(), "nothing is taken");

    let print = Command::new("openssl")
        .args(["x509", "-in", "ca.pem", "-noout", "-fingerprint", "-sha256"])
        .current_dir(folder.path())
        .output()
        .unwrap();
    let print = String::from_utf8(print.stdout).unwrap();
    let print = print.trim().rsplit('=').next().unwrap();
    support::ok(run(&["certs", "--profile", "depot", "--fetch", "--fingerprint", print]));
    let took = std::fs::read_to_string(root.join("certs/depot/ca.pem")).unwrap();
    let ca = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    assert_eq!(took.trim(), ca.trim());

    let text = support::ok(run(&["probe", "depot"]));
    assert!(text.contains("ok      keycloak_url") && text.contains("TLS"), "{text}");
    let output = run(&["probe", "depot", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json[0]["ok"].as_bool(), json[0]["target"].as_str()), (Some(true), Some(at.as_str())));

    // One that is not there: all are told, and the exit code says it.
    let closed = "--release-svc=id.site.test";
    let output = run(&["probe", "depot", closed]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("1 of 2 endpoints cannot be reached"), "{}", said(&output));
    support::ok(run(&["probe", "depot", closed, "--only", "keycloak_url"]));
    let output = run(&["probe", "depot", "--only", "nothing"]);
    assert!(said(&output).contains("keycloak_url"), "{}", said(&output));
}
