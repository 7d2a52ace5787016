//! Against real TLS servers and a real proxy on loopback. Each server runs on a thread until the test ends.

use super::*;
use crate::progress::Silent;
use crate::site::resolve::{FlagValues, Sources};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Instant, SystemTime};
use tokio_rustls::rustls::{ServerConfig, ServerConnection, crypto::ring};

const NAME: &str = "keycloak.test.example";
const QUICK: Limits = Limits { connect: Duration::from_millis(700), whole: Duration::from_millis(1500) };

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    der: CertificateDer<'static>,
    pem: String,
}

impl Authority {
    fn params(name: &str) -> CertificateParams {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        params.distinguished_name.push(DnType::CommonName, name);
        params
    }

    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let made = Self::params(name).self_signed(&key).unwrap();
        Self { pem: made.pem(), der: made.der().clone(), issuer: Issuer::new(Self::params(name), key) }
    }

    fn below(&self, name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let made = Self::params(name).signed_by(&key, &self.issuer).unwrap();
        Self { pem: made.pem(), der: made.der().clone(), issuer: Issuer::new(Self::params(name), key) }
    }

    /// A server's chain and key; `days` from now it ends.
    fn server(&self, name: &str, days: i64, more: &[&Self]) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "the server");
        let day = Duration::from_secs(24 * 3600);
        let now = SystemTime::now();
        params.not_before = (now - 30 * day).into();
        let end = if days < 0 { now - day } else { now + day };
        params.not_after = end.into();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        let mut chain = vec![own.der().clone()];
        chain.extend(more.iter().map(|authority| authority.der.clone()));
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        Arc::new(config)
    }

    fn bundle(&self) -> Result<Bundle> {
        Bundle::from_bytes(Path::new("certs/t/ca.pem"), self.pem.as_bytes())
    }
}

/// Does something with every connection to a new port.
fn serve(with: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let with = Arc::new(with);
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let with = Arc::clone(&with);
            std::thread::spawn(move || with(stream));
        }
    });
    port
}

fn tls(config: Arc<ServerConfig>) -> u16 {
    serve(move |mut stream| {
        let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
        while connection.complete_io(&mut stream).is_ok() && connection.is_handshaking() {}
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    })
}

/// A proxy that knows every name as this machine, or answers with a status of its own. It wants `password`
/// as its Basic credentials if there is one.
fn proxy(status: &'static str, credentials: Option<&'static str>) -> u16 {
    serve(move |mut stream| {
        let mut head = Vec::new();
        let mut lines = BufReader::new(stream.try_clone().unwrap());
        while head.last().is_none_or(|line: &String| line.trim() != "") {
            let mut line = String::new();
            if lines.read_line(&mut line).unwrap() == 0 {
                return;
            }
            head.push(line);
        }
        let wanted = credentials.map(|c| format!("proxy-authorization: Basic {c}"));
        let allowed = wanted.is_none_or(|wanted| head.iter().any(|l| l.trim().eq_ignore_ascii_case(&wanted)));
        let status = if allowed { status } else { "407 Proxy Authentication Required" };
        write!(stream, "HTTP/1.1 {status}\r\n\r\n").unwrap();
        if !status.starts_with("200") {
            return;
        }
        let port = head[0].split([' ', ':']).nth(2).unwrap();
        let mut server = TcpStream::connect(format!("127.0.0.1:{port}")).unwrap();
        let (mut from_server, mut to_client) = (server.try_clone().unwrap(), stream.try_clone().unwrap());
        std::thread::spawn(move || {
            let _ = std::io::copy(&mut from_server, &mut to_client);
            let _ = to_client.shutdown(std::net::Shutdown::Write);
        });
        let _ = std::io::copy(&mut lines, &mut server);
        let _ = server.shutdown(std::net::Shutdown::Write);
    })
}

/// A site whose identity provider is `host` and has this machine's address.
fn site(host: &str, flags: &[(Id, &str)]) -> ResolvedSite {
    let mut all = FlagValues::from([
        (Id::KeycloakUrl, host.to_owned()),
        (Id::ExtraHosts, format!("127.0.0.1 {NAME} release.test.example other.test.example")),
    ]);
    all.extend(flags.iter().map(|(id, text)| (*id, (*text).to_owned())));
    let sources = Sources { flags: all, ..Sources::default() };
    crate::site::resolve("t", &sources).into_result().unwrap().0
}

fn answers(site: &ResolvedSite, ca: &Result<Bundle>) -> Vec<Answer> {
    test(site, &endpoints(site), ca, QUICK, &Silent).unwrap().unwrap()
}

/// The outcome of the identity provider alone.
fn probe(host: &str, flags: &[(Id, &str)], ca: &Authority) -> Outcome {
    answers(&site(host, flags), &ca.bundle()).remove(0).outcome
}

#[track_caller]
fn failure(outcome: Outcome, phase: Phase) -> Failure {
    let failure = outcome.failure.expect("it should fail");
    assert_eq!(failure.phase, phase, "{failure:?}");
    assert!(failure.brief.len() <= 28, "too long for a line: {failure:?}");
    failure
}

#[test]
fn a_good_server_answers_in_three_steps() {
    let ca = Authority::new("root");
    let port = tls(ca.server(NAME, 1, &[]));
    let outcome = probe(&format!("{NAME}:{port}"), &[], &ca);
    assert_eq!(outcome.failure, None);
    let steps: Vec<Phase> = outcome.took.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(steps, [Phase::Dns, Phase::Tcp, Phase::Tls]);
    assert_eq!((outcome.proxy, outcome.address.unwrap().port()), (None, port));
}

#[test]
fn every_field_has_its_port_and_a_server_is_asked_once() {
    let asked = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let port = serve(move |stream| {
        count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        drop(stream);
    });
    let flags = [
        (Id::ExtraHosts, "127.0.0.1 keycloak.a.b release.a.b onboarding.a.b onboarding-stream.a.b"),
        (Id::ClusterDomain, "a.b"),
        (Id::OnboardingPort, &port.to_string()),
        (Id::OnboardingStreamSvc, "onboarding.a.b"),
        (Id::ReleaseSvc, ""),
        (Id::OciReleaseSvc, ""),
        (Id::TinkStackSvc, ""),
        (Id::TinkServerSvc, ""),
        (Id::LoggingSvc, ""),
    ];
    let site = site(&format!("keycloak.a.b:{port}"), &flags);
    let answers = answers(&site, &Authority::new("root").bundle());
    let named: Vec<_> = answers.iter().map(|a| (a.label.as_str(), a.target.as_str())).collect();
    assert_eq!(
        named,
        [
            ("keycloak_url", format!("keycloak.a.b:{port}").as_str()),
            ("release tokens", &format!("release.a.b:{port}")),
            ("onboarding_manager_svc", &format!("onboarding.a.b:{port}")),
            ("onboarding_stream_svc", &format!("onboarding.a.b:{port}")),
        ]
    );
    assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), 3);
    assert_eq!(target::of_field(&site, Id::ReleaseSvc), []);
    let notes = notes(&site).join(" ");
    assert!(notes.contains("release_svc, oci_release_svc, tink_stack_svc"), "{notes}");
}

#[test]
fn certificates_that_the_image_would_refuse() {
    let ca = Authority::new("root");
    let port = tls(Authority::new("somebody").server(NAME, 1, &[]));
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("signed by CN=somebody, which is not in certs/t/ca.pem"), "{refused:?}");
    let remedy = refused.remedy.unwrap();
    assert!(remedy.contains("hookos certs --profile t"), "{remedy}");

    let port = tls(ca.server(NAME, -1, &[]));
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    let yesterday = date(crate::site::certificates::now() - 24 * 3600);
    assert!(refused.why.contains(&format!("expired on {yesterday}")), "{refused:?}");

    let port = tls(ca.server("a.example", 1, &[]));
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert_eq!(refused.why, format!("the server's certificate is for a.example, not for {NAME}"));

    let port = tls(Authority::new("root").server(NAME, 1, &[]));
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("names CN=root") && refused.why.contains("another key"), "{refused:?}");

    let between = ca.below("between");
    let port = tls(between.server(NAME, 1, &[]));
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("CN=between") && refused.why.contains("not sent"), "{refused:?}");
    let port = tls(between.server(NAME, 1, &[&between]));
    assert_eq!(probe(&format!("{NAME}:{port}"), &[], &ca).failure, None, "with its whole chain");
}

#[test]
fn without_usable_certificates_the_rest_is_tested() {
    let port = tls(Authority::new("root").server(NAME, 1, &[]));
    let none = Err(Problem::usage("the profile t has no certificates").remedy("get some"));
    let outcome = answers(&site(&format!("{NAME}:{port}"), &[]), &none).remove(0).outcome;
    assert_eq!(outcome.took.len(), 2);
    let refused = failure(outcome, Phase::Tls);
    assert_eq!(
        (refused.why.as_str(), refused.remedy.as_deref()),
        ("the profile t has no certificates", Some("get some"))
    );
}

#[test]
fn servers_that_are_not_there() {
    let ca = Authority::new("root");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tcp);
    assert_eq!(refused.why, format!("connection refused by 127.0.0.1:{port}"));

    let refused = failure(probe("keycloak.name.invalid", &[], &ca), Phase::Dns);
    assert!(refused.why.contains("keycloak.name.invalid"), "{refused:?}");
    let said = |text: &str| connect::unknown_name("a.b", &std::io::Error::other(text)).why;
    assert!(
        said("failed to lookup address information: Name or service not known").contains("not known to DNS")
    );
    let text = said("failed to lookup address information: Temporary failure in name resolution");
    assert!(text.contains("no name server answers"), "{text}");
}

#[test]
fn servers_that_speak_something_else_or_nothing() {
    let ca = Authority::new("root");
    let begun = Instant::now();
    let port = serve(|stream| {
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    });
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("said nothing"), "{refused:?}");
    assert!(begun.elapsed() >= QUICK.whole, "{:?}", begun.elapsed());

    let port = serve(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
    });
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("does not speak TLS"), "{refused:?}");

    let port = serve(drop);
    let refused = failure(probe(&format!("{NAME}:{port}"), &[], &ca), Phase::Tls);
    assert!(refused.why.contains("broke the connection"), "{refused:?}");
}

#[test]
fn the_proxy_is_used_as_the_image_uses_it() {
    let ca = Authority::new("root");
    let port = tls(ca.server("keycloak.behind.example", 1, &[]));
    let host = format!("keycloak.behind.example:{port}");
    let by = |url: String, no: &str| probe(&host, &[(Id::HttpsProxy, &url), (Id::NoProxy, no)], &ca);
    let open = proxy("200 Connection established", None);
    let outcome = by(format!("http://127.0.0.1:{open}"), "other.example");
    assert_eq!(outcome.failure, None);
    assert_eq!(outcome.proxy, Some(format!("127.0.0.1:{open}")));
    let steps: Vec<Phase> = outcome.took.iter().map(|(phase, _)| *phase).collect();
    assert_eq!(steps, [Phase::Dns, Phase::Tcp, Phase::Proxy, Phase::Tls]);

    // Named in no_proxy it is asked directly, where its name means nothing.
    let outcome = by(format!("http://127.0.0.1:{open}"), ".behind.example");
    assert_eq!(outcome.proxy, None);
    failure(outcome, Phase::Dns);

    let closed = proxy("403 Forbidden", None);
    let refused = failure(by(format!("http://127.0.0.1:{closed}"), ""), Phase::Proxy);
    let says = format!("the proxy 127.0.0.1:{closed} answered 403 Forbidden");
    assert!(refused.why.starts_with(&says), "{refused:?}");

    // `u:canary` in Base64.
    let login = proxy("200 OK", Some("dTpjYW5hcnk="));
    assert_eq!(by(format!("http://u:canary@127.0.0.1:{login}"), "").failure, None);
    let refused = failure(by(format!("http://u:wrong-canary@127.0.0.1:{login}"), ""), Phase::Proxy);
    assert!(refused.why.contains("407") && !format!("{refused:?}").contains("canary"), "{refused:?}");
    let refused = failure(by(format!("http://127.0.0.1:{login}"), ""), Phase::Proxy);
    assert!(refused.remedy.unwrap().contains("HOOKOS_HTTPS_PROXY"));

    let refused = failure(by("socks5://u:canary@127.0.0.1:1".to_owned(), ""), Phase::Proxy);
    assert!(refused.why.contains("https_proxy") && !format!("{refused:?}").contains("canary"), "{refused:?}");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let refused = failure(by(format!("http://127.0.0.1:{gone}"), ""), Phase::Tcp);
    assert_eq!(refused.why, format!("connection refused by the proxy at 127.0.0.1:{gone}"));
}

#[test]
fn extra_hosts_mean_nothing_to_a_proxy() {
    let closed = proxy("502 Bad Gateway", None);
    let url = format!("http://127.0.0.1:{closed}");
    let refused = failure(probe(NAME, &[(Id::HttpsProxy, &url)], &Authority::new("root")), Phase::Proxy);
    let remedy = refused.remedy.unwrap();
    assert!(remedy.contains("extra_hosts") && remedy.contains("network.no_proxy"), "{remedy}");
}

#[test]
fn endpoints_are_tested_at_the_same_time() {
    // How many connections are open, and how many were at the same time.
    let open = Arc::new((AtomicUsize::new(0), AtomicUsize::new(0)));
    let silent = || {
        let open = Arc::clone(&open);
        serve(move |stream| {
            open.1.fetch_max(open.0.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let _ = std::io::copy(&mut &stream, &mut std::io::sink());
            open.0.fetch_sub(1, Ordering::SeqCst);
        })
    };
    let (a, b) = (silent(), silent());
    let flags =
        [(Id::OnboardingPort, b.to_string()), (Id::OnboardingManagerSvc, "other.test.example".to_owned())];
    let flags: Vec<(Id, &str)> = flags.iter().map(|(id, text)| (*id, text.as_str())).collect();
    let answers = answers(&site(&format!("{NAME}:{a}"), &flags), &Authority::new("root").bundle());
    assert_eq!(answers.len(), 3);
    assert!(answers.iter().all(|a| a.outcome.failure.is_some()));
    assert!(open.1.load(Ordering::SeqCst) >= 2, "one after the other");
}

struct Impatient(Instant);

impl Progress for Impatient {
    fn at(&self, _: u64, _: u64, _: Unit) {}
    fn log(&self, _: &str) {}
    fn warn(&self, _: &str) {}
    fn cancelled(&self) -> bool {
        self.0.elapsed() > Duration::from_millis(200)
    }
}

#[test]
fn it_can_be_cancelled() {
    let port = serve(|stream| drop(std::io::copy(&mut &stream, &mut std::io::sink())));
    let site = site(&format!("{NAME}:{port}"), &[]);
    let ca = Authority::new("root").bundle();
    let impatient = Impatient(Instant::now());
    assert!(test(&site, &[Id::KeycloakUrl], &ca, Limits::default(), &impatient).unwrap().is_none());
}

fn fetch(port: u16) -> Result<chain::Fetched> {
    let site = site(&format!("{NAME}:{port}"), &[]);
    chain::fetch(&site, None, QUICK, &Silent).map(Option::unwrap)
}

#[test]
fn the_authority_at_the_end_of_a_chain_is_the_one_to_trust() {
    let root = Authority::new("root");
    let between = root.below("between");
    let stranger = Authority::new("stranger");
    // Not in their order, and with one that has nothing to do with the server.
    let fetched = fetch(tls(between.server(NAME, 1, &[&stranger, &root, &between]))).unwrap();
    assert_eq!(fetched.chain.certificates.len(), 4);
    let [ca] = &fetched.ca.certificates[..] else { panic!("{fetched:?}") };
    assert_eq!(ca.der, root.der);
    assert!(fetched.ca.notes[0].contains("CN=the server"), "{:?}", fetched.ca.notes);

    let fetched = fetch(tls(between.server(NAME, 1, &[&between]))).unwrap();
    assert_eq!(fetched.ca.certificates[0].der, between.der);
    assert!(fetched.ca.notes[1].contains("CN=root"), "{:?}", fetched.ca.notes);
    // An expired server can still be read: its authority is what is wanted.
    assert!(fetch(tls(root.server(NAME, -1, &[&root]))).is_ok());
}

#[test]
fn a_chain_without_an_authority_is_not_taken() {
    let why = fetch(tls(Authority::new("root").server(NAME, 1, &[]))).unwrap_err().to_string();
    assert!(why.contains("alone, not that of CN=root"), "{why}");
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let why = fetch(port).unwrap_err().to_string();
    assert!(why.contains("connection refused"), "{why}");
    let site = crate::site::resolve("t", &Sources::default()).into_result().unwrap().0;
    let why = chain::fetch(&site, None, QUICK, &Silent).unwrap_err().to_string();
    assert!(why.contains("no identity provider"), "{why}");
    let why = chain::fetch(&site, Some("https://x"), QUICK, &Silent).unwrap_err().to_string();
    assert!(why.contains("scheme"), "{why}");
}
