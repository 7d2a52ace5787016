//! Certificates: a good one, one of another authority, one that has ended.

use crate::Error;
use crate::misbehaviour::Misbehaviour;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};
use std::sync::Arc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// The names below a domain that an orchestrator answers to.
pub const NAMES: &[&str] = &[
    "keycloak",
    "release",
    "onboarding",
    "onboarding-stream",
    "tink-stack",
    "tink-server",
    "files-rs",
    "registry-rs",
    "logs-node",
];

/// The ways to greet a client.
pub struct Tls {
    good: TlsAcceptor,
    other_ca: TlsAcceptor,
    expired: TlsAcceptor,
    /// PEM of the authority that signs the good certificate and the expired one.
    pub ca: String,
}

impl Tls {
    pub fn new(domain: &str) -> Result<Self, Error> {
        let ours = Authority::new("HookOS stand-in CA")?;
        let other = Authority::new("A CA that nobody trusts")?;
        Ok(Self {
            good: ours.server(domain, false)?,
            other_ca: other.server(domain, false)?,
            expired: ours.server(domain, true)?,
            ca: ours.pem,
        })
    }

    pub fn acceptor(&self, how: Option<Misbehaviour>) -> &TlsAcceptor {
        match how {
            Some(Misbehaviour::WrongCa) => &self.other_ca,
            Some(Misbehaviour::ExpiredCertificate) => &self.expired,
            _ => &self.good,
        }
    }
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    fn new(name: &str) -> Result<Self, Error> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key)?.pem();
        Ok(Self { issuer: Issuer::new(params, key), pem })
    }

    fn server(&self, domain: &str, expired: bool) -> Result<TlsAcceptor, Error> {
        let key = KeyPair::generate()?;
        let names = NAMES.iter().map(|name| format!("{name}.{domain}"));
        let names = names.chain(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let mut params = CertificateParams::new(names.collect::<Vec<_>>())?;
        params.distinguished_name.push(DnType::CommonName, format!("orchestrator of {domain}"));
        let now = std::time::SystemTime::now();
        let day = std::time::Duration::from_secs(24 * 3600);
        params.not_before = (now - 30 * day).into();
        params.not_after = if expired { now - day } else { now + 30 * day }.into();
        let certificate = params.signed_by(&key, &self.issuer)?;
        let chain = vec![CertificateDer::from(certificate.der().to_vec())];
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}
