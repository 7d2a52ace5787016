//! Keycloak gives a person's programs a refresh token as well; the stand-in does not. This stands in
//! front of it, adds one to each answer, and takes the last one it gave in place of the password.

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{BufRead as _, BufReader, Read, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// What a refresh token is worth, and how often one was taken.
#[derive(Default)]
struct State {
    given: u32,
    taken: u32,
    ended: bool,
}

pub struct Keycloak {
    pub address: SocketAddr,
    /// PEM of its authority.
    pub ca: String,
    state: Arc<Mutex<State>>,
}

impl Keycloak {
    /// In front of `server`, whose authority is `ca`; `log_in` is the form of the password grant.
    pub fn start(server: SocketAddr, ca: &str, log_in: &'static str) -> Self {
        let (tls, own_ca) = certificate();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(ca.as_bytes()).unwrap()).unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (tls, client) = (Arc::new(tls), Arc::new(client));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (tls, client, shared) = (Arc::clone(&tls), Arc::clone(&client), Arc::clone(&shared));
                thread::spawn(move || serve(stream, tls, server, client, &shared, log_in));
            }
        });
        Self { address, ca: own_ca, state }
    }

    /// How often a refresh token was taken.
    pub fn taken(&self) -> u32 {
        self.state.lock().unwrap().taken
    }

    /// Takes no refresh token from now on, as when a session has ended.
    pub fn end_session(&self) {
        self.state.lock().unwrap().ended = true;
    }
}

fn certificate() -> (ServerConfig, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&key).unwrap().pem();
    let issuer = Issuer::new(params, key);
    let key = KeyPair::generate().unwrap();
    let names = ["keycloak.lab.example.com", "release.lab.example.com"].map(str::to_owned);
    let leaf = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (config, ca)
}

/// One request for each connection.
fn serve(
    stream: TcpStream,
    tls: Arc<ServerConfig>,
    server: SocketAddr,
    client: Arc<ClientConfig>,
    state: &Mutex<State>,
    log_in: &str,
) -> Option<()> {
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(tls).ok()?, stream));
    let (mut first, mut headers, mut length) = (String::new(), String::new(), 0);
    stream.read_line(&mut first).ok()?;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok().filter(|count| *count > 0)?;
        let lower = line.to_lowercase();
        if lower.trim().is_empty() {
            break;
        } else if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        } else {
            headers.push_str(&line);
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    let mut form = String::from_utf8(body).ok()?;
    let mut adds = form.contains("grant_type=password");
    if form.contains("grant_type=refresh_token") {
        let mut state = state.lock().unwrap();
        let good =
            form.contains("client_id=system-client") && form.contains(&format!("refresh-{}-", state.given));
        adds = good && !state.ended;
        form = if adds { log_in.to_owned() } else { "grant_type=password".to_owned() };
        state.taken += u32::from(adds);
    }
    let name = ServerName::try_from("keycloak.lab.example.com").ok()?;
    let connection = ClientConnection::new(client, name).ok()?;
    let mut upstream = StreamOwned::new(connection, TcpStream::connect(server).ok()?);
    let length = form.len();
    write!(upstream, "{first}{headers}connection: close\r\ncontent-length: {length}\r\n\r\n{form}").ok()?;
    let mut answer = Vec::new();
    // The end of the connection may come without TLS's own end.
    let _ = upstream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).ok()?;
    let (head, mut json) = answer.split_once("\r\n\r\n").map(|(h, j)| (h.to_owned(), j.to_owned()))?;
    if adds && head.starts_with("HTTP/1.1 200") {
        let mut state = state.lock().unwrap();
        state.given += 1;
        json =
            json.replacen('{', &format!("{{\"refresh_token\":\"refresh-{}-of-a-person\",", state.given), 1);
    }
    let status = head.lines().next()?;
    let length = json.len();
    let out = stream.get_mut();
    write!(out, "{status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{json}").ok()?;
    out.conn.send_close_notify();
    out.flush().ok()
}
