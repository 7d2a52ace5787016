//! A proxy in front of a registry that does chosen requests wrong, and writes down all of them.
// Each test file is a crate of its own and uses its own part of this.
#![allow(dead_code)]

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};

/// What goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// This status in place of the registry's answer.
    Status(u16),
    /// 429, and not before so many seconds.
    Busy(u64),
    /// The answer's body ends after so many bytes.
    Cut(usize),
    /// Nothing comes after the head for so long.
    Stall(Duration),
    /// The registry has done what was asked, and nothing comes of it for so long.
    Mute(Duration),
    /// Other bytes, as many as were to come.
    Damage,
    /// The first half, as if that were all.
    Truncate,
    /// The registry gets so many bytes of the request's body, then both lines break.
    CutUpload(usize),
    /// The registry has done what was asked, but the answer is lost.
    Lose,
    /// The registry gets the request without its login, as if that had just run out.
    Forget,
}

/// A request as it came, and what became of it.
#[derive(Debug, Clone, Default)]
pub struct Seen {
    /// `METHOD path`.
    pub line: String,
    headers: Vec<String>,
    /// Bytes of the answer's body.
    pub served: usize,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let all = self.headers.iter().filter_map(|line| line.split_once(':'));
        all.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).next()
    }
}

#[derive(Default)]
struct Shared {
    /// Method, a part of the path, and what to do; each is used once.
    plan: Mutex<Vec<(&'static str, String, Fault)>>,
    seen: Mutex<Vec<Seen>>,
    /// What refers to what, as a registry that lists referrers keeps it: digest, and descriptors.
    referrers: Option<Mutex<Vec<(String, serde_json::Value)>>>,
}

pub struct Faults {
    pub host: String,
    shared: Arc<Shared>,
}

impl Faults {
    pub fn before(registry: &str) -> Self {
        Self::start(registry, None, Shared::default())
    }

    /// Gives the registry what it lacks: it lists referrers. Source: OCI distribution specification 1.1,
    /// "Listing Referrers" and "Pushing Manifests with Subject".
    pub fn listing_referrers(registry: &str) -> Self {
        Self::start(registry, None, Shared { referrers: Some(Mutex::default()), ..Shared::default() })
    }

    /// Speaks TLS, which the registry behind it does not: a certificate and its key, in PEM.
    pub fn before_with_tls(registry: &str, certificate: &str, key: &str) -> Self {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        Self::start(registry, Some(Arc::new(config)), Shared::default())
    }

    fn start(registry: &str, tls: Option<Arc<ServerConfig>>, shared: Shared) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = format!("127.0.0.1:{}", listener.local_addr().unwrap().port());
        let shared = Arc::new(shared);
        let (registry, inner) = (registry.to_owned(), shared.clone());
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (registry, shared, tls) = (registry.clone(), inner.clone(), tls.clone());
                // A broken line is what this is for.
                std::thread::spawn(move || match tls {
                    None => serve(client, "http", &registry, &shared).ok(),
                    Some(tls) => {
                        let tls = ServerConnection::new(tls).unwrap();
                        serve(StreamOwned::new(tls, client), "https", &registry, &shared).ok()
                    }
                });
            }
        });
        Self { host, shared }
    }

    /// The next request of this method whose path has `part` in it goes wrong; one call for each time.
    pub fn plan(&self, method: &'static str, part: &str, fault: Fault) -> &Self {
        self.shared.plan.lock().unwrap().push((method, part.to_owned(), fault));
        self
    }

    /// How many of the planned faults have not happened.
    pub fn left(&self) -> usize {
        self.shared.plan.lock().unwrap().len()
    }

    /// From now on nothing goes wrong.
    pub fn drop_plan(&self) {
        self.shared.plan.lock().unwrap().clear();
    }

    /// Requests since the last call.
    pub fn seen(&self) -> Vec<Seen> {
        std::mem::take(&mut self.shared.seen.lock().unwrap())
    }
}

fn serve(client: impl Read + Write, scheme: &str, registry: &str, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let (first, headers) = head(&mut reader)?;
    let mut words = first.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let fault = {
        let mut plan = shared.plan.lock().unwrap();
        let at = plan.iter().position(|(m, part, _)| *m == method && path.contains(part.as_str()));
        at.map(|at| plan.remove(at).2)
    };
    let mut body = vec![0; length(&headers)];
    if let Some(Fault::CutUpload(n)) = fault {
        body.truncate(n);
    }
    reader.read_exact(&mut body)?;
    let client = reader.get_mut();
    let seen = Seen { line: format!("{method} {path}"), headers: headers.clone(), served: 0 };
    let number = {
        let mut all = shared.seen.lock().unwrap();
        all.push(seen);
        all.len() - 1
    };
    let served = |bytes: usize| {
        // The list may have been taken meanwhile.
        if let Some(seen) = shared.seen.lock().unwrap().get_mut(number) {
            seen.served = bytes;
        }
    };
    match fault {
        Some(Fault::Status(status)) => return answer(client, &format!("HTTP/1.1 {status} x"), b"{}"),
        Some(Fault::Busy(seconds)) => {
            return answer(client, &format!("HTTP/1.1 429 x\r\nRetry-After: {seconds}"), b"{}");
        }
        _ => {}
    }
    if let (Some(referrers), Some((_, digest))) = (&shared.referrers, path.split_once("/referrers/")) {
        let all = referrers.lock().unwrap();
        let of = |(subject, part): &(String, serde_json::Value)| (subject == digest).then(|| part.clone());
        let index = serde_json::json!({"schemaVersion": 2, "manifests": all.iter().filter_map(of).collect::<Vec<_>>(),
            "mediaType": "application/vnd.oci.image.index.v1+json"});
        return answer(client, "HTTP/1.1 200 OK", index.to_string().as_bytes());
    }
    let mut upstream = TcpStream::connect(registry)?;
    let mut text = format!("{first}\r\nConnection: close\r\nX-Forwarded-Proto: {scheme}\r\n");
    for line in headers {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if name != "connection" && !(name == "authorization" && matches!(fault, Some(Fault::Forget))) {
            text.push_str(&format!("{line}\r\n"));
        }
    }
    upstream.write_all(format!("{text}\r\n").as_bytes())?;
    upstream.write_all(&body)?;
    if matches!(fault, Some(Fault::CutUpload(_))) {
        // Time to take what has come.
        std::thread::sleep(Duration::from_millis(300));
        return Ok(());
    }
    let mut back = BufReader::new(upstream);
    let (status, headers) = head(&mut back)?;
    let mut content = Vec::new();
    if method == "HEAD" {
        let kept: String = headers.iter().map(|line| format!("\r\n{line}")).collect();
        client.write_all(format!("{status}{kept}\r\nConnection: close\r\n\r\n").as_bytes())?;
        return client.flush();
    }
    back.read_to_end(&mut content)?;
    let mut kept: String = headers
        .iter()
        .filter(|line| {
            let name = line.to_ascii_lowercase();
            !name.starts_with("content-length:") && !name.starts_with("connection:")
        })
        .map(|line| format!("\r\n{line}"))
        .collect();
    if let (Some(referrers), "PUT", true) = (&shared.referrers, method, status.contains(" 201 ")) {
        let manifest: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        if let Some(subject) = manifest["subject"]["digest"].as_str() {
            kept.push_str(&format!("\r\nOCI-Subject: {subject}"));
            let part = serde_json::json!({"mediaType": manifest["mediaType"], "size": body.len(),
                "digest": hookos::store::Digest::of(&body).to_string(), "artifactType": manifest["artifactType"]});
            let mut all = referrers.lock().unwrap();
            all.retain(|(_, other)| *other != part);
            all.push((subject.to_owned(), part));
        }
    }
    let length = content.len();
    match fault {
        Some(Fault::Lose) => return Ok(()),
        Some(Fault::Mute(time)) => {
            std::thread::sleep(time);
            return Ok(());
        }
        Some(Fault::Cut(n)) => {
            write!(client, "{status}{kept}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            served(n.min(length));
            client.write_all(&content[..n.min(length)])?;
            return client.flush();
        }
        Some(Fault::Stall(time)) => {
            write!(client, "{status}{kept}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n")?;
            client.flush()?;
            std::thread::sleep(time);
            return Ok(());
        }
        Some(Fault::Damage) => content.iter_mut().for_each(|byte| *byte ^= 1),
        Some(Fault::Truncate) => content.truncate(length / 2),
        _ => {}
    }
    served(content.len());
    answer(client, &format!("{status}{kept}"), &content)
}

fn answer(out: &mut impl Write, head: &str, body: &[u8]) -> io::Result<()> {
    write!(out, "{head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len())?;
    out.write_all(body)?;
    out.flush()
}

/// The first line, and the headers.
fn head(reader: &mut impl BufRead) -> io::Result<(String, Vec<String>)> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        lines.push(line.to_owned());
    }
    if lines.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok((lines.remove(0), lines))
}

fn length(headers: &[String]) -> usize {
    let of = |line: &String| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    };
    headers.iter().find_map(of).unwrap_or(0)
}
