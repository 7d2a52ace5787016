//! Against OpenSSL's server on loopback, with authorities made here.

use super::*;
use crate::site::certificates::Certificate;
use crate::site::{Profile, Sources, resolve};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: Certificate,
    pem: String,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    Authority {
        certificate: Certificate::from_der(certificate.der().clone()).unwrap(),
        pem: certificate.pem(),
        issuer: Issuer::new(params, key),
    }
}

/// OpenSSL's server with a certificate of an authority.
struct Server {
    child: Child,
    port: u16,
    _folder: tempfile::TempDir,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn server(by: &Authority, name: &str, end: i32) -> Server {
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2020, 1, 1);
    params.not_after = rcgen::date_time_ymd(end, 1, 1);
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, &by.issuer).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("cert.pem", &certificate.pem());
    write("key.pem", &key.serialize_pem());
    write("chain.pem", &by.pem);
    let mut child = Command::new("openssl")
        .args(["s_server", "-accept", "127.0.0.1:0", "-cert", "cert.pem", "-key", "key.pem"])
        .args(["-cert_chain", "chain.pem", "-www"])
        .current_dir(folder.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("openssl is needed: apt-get install openssl");
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = loop {
        let line = lines.next().expect("openssl has ended").unwrap();
        if let Some(address) = line.strip_prefix("ACCEPT ") {
            break address.rsplit(':').next().unwrap().parse().unwrap();
        }
    };
    // Its output has to go somewhere as long as it lives.
    thread::spawn(move || lines.for_each(drop));
    Server { child, port, _folder: folder }
}

fn site(text: &str) -> ResolvedSite {
    let profile = Profile::from_bytes(Path::new("x.toml"), text.as_bytes()).unwrap();
    resolve("x", &Sources { profile: Some(&profile), ..Sources::default() }).into_result().unwrap().0
}

const HOSTS: &str =
    "schema_version = 1\n[network]\nextra_hosts = [\"127.0.0.1 orchestrator.test other.test\"]\n";

fn at(host: &str, port: u16) -> Target {
    Target { id: Id::KeycloakUrl, host: host.to_owned(), port }
}

fn trusting(authority: &Authority) -> Trust {
    Trust::authorities([&authority.certificate]).unwrap()
}

#[track_caller]
fn fails(target: &Target, way: &Way, trust: &Trust, words: &[&str]) {
    let problem = probe(target, way, trust).unwrap_err();
    let text = problem.to_string();
    for word in words {
        assert!(text.contains(word), "{word:?} is not in {text}");
    }
    assert!(problem.remedy_text().is_some(), "{text}");
}

#[test]
fn a_good_server_answers_and_a_bad_one_is_explained() {
    let (own, other) = (authority("own authority"), authority("other authority"));
    let way = Way::of(&site(HOSTS));
    let trust = trusting(&own);
    let good = server(&own, "orchestrator.test", 2050);
    let answer = probe(&at("orchestrator.test", good.port), &way, &trust).unwrap();
    assert_eq!((answer.address, answer.proxy), (format!("127.0.0.1:{}", good.port), None));
    fails(&at("other.test", good.port), &way, &trust, &["is for orchestrator.test, not for other.test"]);
    fails(
        &at("orchestrator.test", good.port),
        &way,
        &trusting(&other),
        &["comes from CN=own authority, which this profile does not trust", "hookos certs --fetch"],
    );
    let old = server(&own, "orchestrator.test", 2021);
    fails(&at("orchestrator.test", old.port), &way, &trust, &["expired on 2021-01-01"]);
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    fails(&at("orchestrator.test", closed), &way, &trust, &["nobody listens at 127.0.0.1:"]);
    fails(&at("nobody.invalid", 443), &way, &trust, &["nobody.invalid"]);
}

#[test]
fn servers_that_speak_something_else_or_nothing_are_told_apart() {
    let way = Way::of(&site(HOSTS));
    let trust = trusting(&authority("own"));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let answer = |mut stream: TcpStream| stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        answer(listener.accept().unwrap().0).unwrap();
        // Closed without a word.
        drop(listener.accept().unwrap().0);
        // Silent until the other side has had enough.
        let mut silent = listener.accept().unwrap().0;
        let _ = silent.read_to_end(&mut Vec::new());
    });
    let target = at("orchestrator.test", port);
    fails(&target, &way, &trust, &["does not speak TLS"]);
    fails(&target, &way, &trust, &["closed the connection"]);
    let began = Instant::now();
    fails(&target, &way, &trust, &["said nothing"]);
    assert!(began.elapsed() < WHOLE);
}

/// A proxy that lets one connection through, or refuses it.
fn proxy(answer: &'static str, to: u16) -> (u16, thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let work = thread::spawn(move || {
        let (mut client, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            client.read_exact(&mut byte).unwrap();
            head.push(byte[0]);
        }
        client.write_all(format!("HTTP/1.1 {answer}\r\nVia: test\r\n\r\n").as_bytes()).unwrap();
        if answer.starts_with("200") {
            let server = TcpStream::connect(("127.0.0.1", to)).unwrap();
            let (mut from_server, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            thread::spawn(move || std::io::copy(&mut from_server, &mut to_client));
            let mut server = server;
            let _ = std::io::copy(&mut client, &mut server);
            // OpenSSL's server has one client at a time.
            server.shutdown(std::net::Shutdown::Both).unwrap();
        }
        String::from_utf8(head).unwrap()
    });
    (port, work)
}

#[test]
fn the_sites_proxy_is_used_as_the_site_says() {
    let own = authority("own");
    let trust = trusting(&own);
    let server = server(&own, "orchestrator.test", 2050);
    let target = at("orchestrator.test", server.port);
    let with = |proxy: u16, more: &str| {
        Way::of(&site(&format!("{HOSTS}https_proxy = \"http://127.0.0.1:{proxy}\"\n{more}")))
    };
    let (port, work) = proxy("200 Connection established", server.port);
    let answer = probe(&target, &with(port, ""), &trust).unwrap();
    assert_eq!(answer.proxy, Some(format!("127.0.0.1:{port}")));
    assert!(
        work.join().unwrap().starts_with(&format!("CONNECT orchestrator.test:{} HTTP/1.1\r\n", server.port))
    );
    let (port, _work) = proxy("407 Proxy Authentication Required", server.port);
    fails(&target, &with(port, ""), &trust, &["407 Proxy Authentication Required", "user name and password"]);
    let (port, _work) = proxy("403 Forbidden", server.port);
    fails(&target, &with(port, ""), &trust, &["403 Forbidden"]);
    // Nobody listens there, and nobody has to.
    let answer = probe(&target, &with(1, "no_proxy = [\".test\"]"), &trust).unwrap();
    assert_eq!(answer.proxy, None);
    fails(&target, &with(1, ""), &trust, &["the proxy 127.0.0.1:1 cannot be reached"]);
}

#[test]
fn the_chain_of_a_server_that_nobody_trusts_yet_is_read() {
    let own = authority("own authority");
    let server = server(&own, "orchestrator.test", 2050);
    let chain = chain("orchestrator.test", server.port, &Way::of(&site(HOSTS))).unwrap();
    let subjects: Vec<bool> = chain.iter().map(|certificate| certificate.info.authority).collect();
    assert_eq!(subjects, [false, true]);
    assert_eq!(chain[1].info.fingerprint, own.certificate.info.fingerprint);
}

#[test]
fn every_endpoint_of_a_site_has_a_port() {
    let all = targets(&site(
        "schema_version = 1\n[endpoints]\ncluster_domain = \"edge.test\"\nonboarding_port = 8443\nkeycloak_url = \"id.test:9443\"\n",
    ));
    let shown: Vec<String> = all.iter().map(ToString::to_string).collect();
    for target in [
        "id.test:9443",
        "onboarding.edge.test:8443",
        "onboarding-stream.edge.test:8443",
        "tink-stack.edge.test:443",
    ] {
        assert!(shown.iter().any(|t| t == target), "{target}: {shown:?}");
    }
    assert!(
        hosts(&site("schema_version = 1\n[endpoints]\ncluster_domain = \"edge.test\"\n")).len() < all.len()
    );
}
