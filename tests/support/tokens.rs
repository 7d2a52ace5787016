//! A token server for docker-registry's `auth: token`: it knows `me` with the password `secret` and the
//! identity token `lasting`, and gives what was asked for.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

pub struct Tokens {
    pub realm: String,
    /// The scopes of the tokens that were given, and how the client said who it is.
    pub given: Arc<Mutex<Vec<(String, &'static str)>>>,
    /// Nothing is given for this repository.
    pub closed: Arc<Mutex<Option<&'static str>>>,
    certificate: String,
}

struct Signer {
    key: EcdsaKeyPair,
    certificate: Vec<u8>,
    /// Seconds that a token is good for.
    life: u64,
}

impl Tokens {
    pub fn start(life: u64) -> Self {
        let pair = rcgen::KeyPair::generate().unwrap();
        let certificate = rcgen::CertificateParams::new(Vec::new()).unwrap().self_signed(&pair).unwrap();
        let random = SystemRandom::new();
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &pair.serialize_der(), &random)
            .unwrap();
        let signer = Signer { key, certificate: certificate.der().to_vec(), life };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let realm = format!("http://{}/token", listener.local_addr().unwrap());
        let given = Arc::<Mutex<Vec<(String, &'static str)>>>::default();
        let closed = Arc::<Mutex<Option<&'static str>>>::default();
        let (log, no) = (given.clone(), closed.clone());
        std::thread::spawn(move || {
            for line in listener.incoming().flatten() {
                let no = *no.lock().unwrap();
                let _ = serve(line, &signer, &log, no);
            }
        });
        Self { realm, given, closed, certificate: certificate.pem() }
    }

    /// What docker-registry needs to know.
    pub fn settings(&self, folder: &Path) -> String {
        let bundle = folder.join("tokens.pem");
        std::fs::write(&bundle, &self.certificate).unwrap();
        format!(
            "auth: {{token: {{realm: '{}', service: test, issuer: tests, rootcertbundle: {}}}}}\n",
            self.realm,
            bundle.display()
        )
    }
}

fn serve(
    mut line: TcpStream,
    signer: &Signer,
    log: &Mutex<Vec<(String, &'static str)>>,
    closed: Option<&str>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(line.try_clone()?);
    let mut head = Vec::new();
    loop {
        let mut text = String::new();
        reader.read_line(&mut text)?;
        if text.trim().is_empty() {
            break;
        }
        head.push(text.trim().to_owned());
    }
    let header = |name: &str| {
        let found = head.iter().skip(1).filter_map(|l| l.split_once(": "));
        found.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned()).next()
    };
    let length = header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let query = match head[0].split(' ').nth(1).unwrap_or_default().split_once('?') {
        Some((_, query)) => query.to_owned(),
        None => String::from_utf8(body).unwrap(),
    };
    let mut asked: HashMap<String, String> = HashMap::new();
    for (key, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let value = value.replace("%3A", ":").replace("%2F", "/").replace("%2C", ",").replace('+', " ");
        // There may be several scopes, each by itself.
        let all = asked.entry(key.to_owned()).or_default();
        *all = if all.is_empty() { value } else { format!("{all} {value}") };
    }
    let of = |name: &str| asked.get(name).map(String::as_str).unwrap_or_default();
    let who = match (header("authorization").as_deref(), of("grant_type"), of("refresh_token")) {
        // me:secret
        (Some("Basic bWU6c2VjcmV0"), ..) => "password",
        (None, "refresh_token", "lasting") => "identity token",
        _ => {
            let text = r#"{"errors":[{"code":"UNAUTHORIZED","message":"who are you"}]}"#;
            return write!(
                line,
                "HTTP/1.1 401 x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}",
                text.len()
            );
        }
    };
    log.lock().unwrap().push((of("scope").to_owned(), who));
    let access: Vec<serde_json::Value> = of("scope")
        .split(' ')
        .filter_map(|scope| {
            let (kind, rest) = scope.split_once(':')?;
            let (name, actions) = rest.rsplit_once(':')?;
            let actions: Vec<&str> = actions.split(',').collect();
            let access = serde_json::json!({"type": kind, "name": name, "actions": actions});
            Some(access).filter(|_| Some(name) != closed)
        })
        .collect();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let head =
        serde_json::json!({"typ": "JWT", "alg": "ES256", "x5c": [STANDARD.encode(&signer.certificate)]});
    let claims = serde_json::json!({"iss": "tests", "sub": "me", "aud": of("service"), "jti": "1",
        "iat": now, "nbf": now - 10, "exp": now + signer.life, "access": access});
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&head), part(&claims));
    let signature = signer.key.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
    let token = format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature));
    // One form of the answer for each way to ask: clients must read both.
    let name = if who == "password" { "token" } else { "access_token" };
    let text = serde_json::json!({ name: token }).to_string();
    write!(line, "HTTP/1.1 200 x\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{text}", text.len())
}
