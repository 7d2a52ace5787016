//! The TLS handshake: verified against a site's authorities, or only to see what a server shows.

use super::WHOLE;
use super::way::Way;
use crate::problem::{Problem, Result};
use crate::site::certificates::{Certificate, date};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::{
    CertificateError, ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::io;
use std::net::TcpStream;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

/// What a handshake is checked against.
#[derive(Debug, Clone)]
pub struct Trust {
    /// None accepts everything: nothing is sent over such a connection.
    verifier: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl Trust {
    /// The authorities that an image trusts.
    pub fn authorities<'a>(certificates: impl IntoIterator<Item = &'a Certificate>) -> Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let mut roots = RootCertStore::empty();
        for certificate in certificates.into_iter().filter(|c| c.info.authority) {
            roots.add(certificate.der.clone()).map_err(|e| {
                Problem::new(format!("{} cannot be used as an authority", certificate.info.subject))
                    .because(e)
            })?;
        }
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
            .build()
            .map_err(|e| Problem::new("there is no authority to check servers against").because(e))?;
        Ok(Self { verifier: Some(verifier), provider })
    }

    fn anything() -> Self {
        Self { verifier: None, provider: Arc::new(ring::default_provider()) }
    }
}

/// Remembers what a server shows; what it decides is [`Trust`]'s.
#[derive(Debug)]
struct Witness {
    trust: Trust,
    seen: Mutex<Vec<CertificateDer<'static>>>,
}

impl ServerCertVerifier for Witness {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> std::result::Result<ServerCertVerified, rustls::Error> {
        let all = std::iter::once(end_entity).chain(intermediates).map(|der| der.clone().into_owned());
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = all.collect();
        match &self.trust.verifier {
            Some(verifier) => {
                verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            cert,
            dss,
            &self.trust.provider.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> std::result::Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            cert,
            dss,
            &self.trust.provider.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Shakes hands; gives what the server has shown.
pub fn handshake(mut stream: TcpStream, host: &str, trust: &Trust) -> Result<Vec<Certificate>> {
    let failed = |e: rustls::Error| Problem::new("the TLS handshake cannot begin").because(e);
    let name = ServerName::try_from(host.to_owned())
        .map_err(|e| Problem::usage(format!("{host} is not a host name")).because(e))?;
    let witness = Arc::new(Witness { trust: trust.clone(), seen: Mutex::default() });
    let config = ClientConfig::builder_with_provider(Arc::clone(&trust.provider))
        .with_safe_default_protocol_versions()
        .map_err(failed)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&witness) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    let mut connection = ClientConnection::new(Arc::new(config), name).map_err(failed)?;
    let mut done = Ok(());
    while connection.is_handshaking() && done.is_ok() {
        done = connection.complete_io(&mut stream).map(drop);
    }
    let seen = std::mem::take(&mut *witness.seen.lock().unwrap_or_else(PoisonError::into_inner));
    let seen: Vec<Certificate> = seen.into_iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
    match done {
        Ok(()) => Ok(seen),
        Err(e) => Err(explain(host, &e, &seen)),
    }
}

/// The chain that a server shows, the server's own certificate first. Nobody has vouched for it.
pub fn chain(host: &str, port: u16, way: &Way) -> Result<Vec<Certificate>> {
    let link = way.connect(host, port, Instant::now() + WHOLE)?;
    handshake(link.stream, host, &Trust::anything())
}

/// A failed handshake in words.
fn explain(host: &str, error: &io::Error, seen: &[Certificate]) -> Problem {
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    let server = seen.first();
    let issuer = seen.last().map_or("an unknown authority", |c| c.info.issuer.as_str());
    let problem = match inner {
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            CertificateError::UnknownIssuer | CertificateError::BadSignature => Problem::new(format!(
                "its certificate comes from {issuer}, which this profile does not trust"
            ))
            .remedy("take that authority's certificate on the step Certificates, or `hookos certs --fetch`"),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                let when = seen.iter().map(|c| c.info.not_after).min().map_or_else(String::new, date);
                Problem::new(format!("its certificate expired on {when}"))
                    .remedy("the server needs a new one; check this machine's clock too")
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                let when = seen.iter().map(|c| c.info.not_before).max().map_or_else(String::new, date);
                Problem::new(format!("its certificate is not valid before {when}"))
                    .remedy("check this machine's clock")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                let names = server.map(|c| c.info.names.join(", ")).unwrap_or_default();
                let names = if names.is_empty() { "no name".to_owned() } else { names };
                Problem::new(format!("its certificate is for {names}, not for {host}"))
                    .remedy("use a name that the certificate has, or have the server's certificate renewed")
            }
            _ => Problem::new("its certificate cannot be used"),
        },
        Some(_) => Problem::new(format!("{host} does not speak TLS as it should"))
            .remedy("check the port: is it an HTTPS service?"),
        None => match error.kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => {
                Problem::new(format!("{host} took the connection and then said nothing"))
                    .remedy("check that it is an HTTPS service, and firewalls between")
            }
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset => {
                Problem::new(format!("{host} closed the connection during the TLS handshake"))
                    .remedy("check the port; a firewall may also do this")
            }
            _ => Problem::new("the TLS handshake failed"),
        },
    };
    problem.because(io::Error::new(error.kind(), error.to_string()))
}
