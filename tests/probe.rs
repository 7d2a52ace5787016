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
    openssl(
        folder,
        &[&new[..], &["-subj", "/CN=a stranger", "-keyout", "other.key", "-out", "other.pem"]].concat(),
    );
    // The stranger has nothing to do with the server.
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    std::fs::write(folder.join("chain.pem"), read("ca.pem") + &read("other.pem")).unwrap();
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key"])
        .args(["-cert_chain", "chain.pem", "-www"])
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

    // Nothing to check a server against: the way there is tested all the same.
    let output = run(&["probe", "depot", "--only", "keycloak_url"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("tls: no usable ca.pem"), "{}", said(&output));
    assert!(said(&output).contains("the profile depot has no certificates"), "{}", said(&output));

    // Nobody can be asked, and a wrong fingerprint is not the right one.
    let output = run(&["certs", "--profile", "depot", "--fetch"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    assert!(said(&output).contains("the site's authority") && said(&output).contains("--fingerprint"));
    let fetch = |print: &str| run(&["certs", "--profile", "depot", "--fetch", &at, "--fingerprint", print]);
    let output = fetch(&"00".repeat(32));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    // Whoever is in between may send a good authority along with its own.
    let output = fetch(&fingerprint(folder.path(), "other.pem"));
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("the fingerprint of CN=a stranger"), "{}", said(&output));
    assert_eq!(fetch("sha256:12").status.code(), Some(2));
    let output = run(&["certs", "--profile", "depot", "--fetch", "--dry-run"]);
    assert!(said(&output).contains("nothing is written"), "{}", said(&output));
    assert!(!root.join("certs").exists(), "nothing is taken");

    support::ok(fetch(&fingerprint(folder.path(), "ca.pem")));
    let took = std::fs::read_to_string(root.join("certs/depot/ca.pem")).unwrap();
    let ca = std::fs::read_to_string(folder.path().join("ca.pem")).unwrap();
    assert_eq!(took.trim(), ca.trim(), "the authority alone");
    assert!(!root.join("certs/depot/server_cert.pem").exists());

    let output = run(&["probe", "depot", "--json", "--only", "keycloak_url"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let first = &json["endpoints"][0];
    assert_eq!((first["ok"].as_bool(), first["target"].as_str()), (Some(true), Some(at.as_str())));
    assert!(first["took_ms"]["tls"].as_f64().is_some_and(|ms| ms > 0.0), "{first}");
    let text = support::ok(run(&["probe", "depot"]));
    assert!(text.starts_with("ok      keycloak_url") && text.contains(" ms: dns "), "{text}");

    // What does not answer is told with the rest, and the exit code says it.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let port = format!("--onboarding-port={closed}");
    let bad = ["probe", "depot", "--onboarding-stream-svc=id.site.test", &port];
    let output = run(&bad);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains("1 of 2 endpoints cannot be used"), "{}", said(&output));
    assert!(
        said(&output).contains(&format!("connection refused by 127.0.0.1:{closed}")),
        "{}",
        said(&output)
    );
    support::ok(run(&[&bad[..], &["--only", "keycloak_url"]].concat()));
    let output = run(&["probe", "depot", "--only", "getty"]);
    assert!(said(&output).contains("one of keycloak_url"), "{}", said(&output));
}

fn fingerprint(folder: &Path, file: &str) -> String {
    let output = Command::new("openssl")
        .args(["x509", "-in", file, "-noout", "-fingerprint", "-sha256"])
        .current_dir(folder)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().rsplit('=').next().unwrap().to_owned()
}
