//! The TLS handshake: the image's trust, and what a refusal means.

use super::connect::Stream;
use super::target::Target;
use super::{Failure, Phase, day};
use crate::problem::Problem;
use crate::site::certificates::{Bundle, Certificate};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::sync::{Arc, Mutex, PoisonError};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::client::WebPkiServerVerifier;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::crypto::{CryptoProvider, ring};
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore,
    SignatureScheme,
};

/// Whose certificates are taken.
pub struct Trust {
    provider: Arc<CryptoProvider>,
    rule: Rule,
    /// The profile, for remedies.
    profile: String,
}

enum Rule {
    /// Those that the image would take.
    Image { verifier: Arc<WebPkiServerVerifier>, ca: Bundle },
    /// There is nothing that the image could trust.
    Nobody(Failure),
    /// Any: to read them, never to send anything.
    Anybody,
}

impl Trust {
    /// The authorities of `ca.pem`, and no others.
    pub fn new(ca: Result<&Bundle, &Problem>, profile: &str) -> Self {
        let provider = Arc::new(ring::default_provider());
        let rule = match ca {
            Ok(ca) => image(ca, &provider),
            Err(problem) => {
                let why = [problem.what()].into_iter().chain(problem.causes().iter().map(String::as_str));
                let why = why.collect::<Vec<_>>().join("; ");
                let mut failure = Failure::new(Phase::Tls, "no usable ca.pem", why);
                failure.remedy = problem.remedy_text().map(str::to_owned);
                Rule::Nobody(failure)
            }
        };
        Self { provider, rule, profile: profile.to_owned() }
    }

    pub fn anybody() -> Self {
        Self { provider: Arc::new(ring::default_provider()), rule: Rule::Anybody, profile: String::new() }
    }
}

fn image(ca: &Bundle, provider: &Arc<CryptoProvider>) -> Rule {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(ca.certificates.iter().map(|c| c.der.clone()));
    match WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider)).build() {
        Ok(verifier) => Rule::Image { verifier, ca: ca.clone() },
        Err(e) => Rule::Nobody(Failure::new(
            Phase::Tls,
            "no usable ca.pem",
            format!("the certificates in {} cannot be used: {e}", ca.file.display()),
        )),
    }
}

/// What a server showed.
#[derive(Debug, Clone, Default)]
pub struct Shown {
    /// Its own certificate first.
    pub chain: Vec<CertificateDer<'static>>,
}

/// Keeps what the server shows, since an error does not tell it, and asks the rule.
#[derive(Debug)]
struct Listener {
    provider: Arc<CryptoProvider>,
    inner: Option<Arc<WebPkiServerVerifier>>,
    shown: Mutex<Shown>,
}

impl ServerCertVerifier for Listener {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let chain =
            [end_entity].into_iter().chain(intermediates).map(|der| der.clone().into_owned()).collect();
        *self.shown.lock().unwrap_or_else(PoisonError::into_inner) = Shown { chain };
        match &self.inner {
            Some(inner) => {
                inner.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Ok(ServerCertVerified::assertion()),
        }
    }

    // That the server has the key of its certificate is checked in any case.
    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        tokio_rustls::rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Shakes hands with a server, by its name, and leaves.
pub async fn handshake(stream: Box<dyn Stream>, target: &Target, trust: &Trust) -> Result<Shown, Failure> {
    let inner = match &trust.rule {
        Rule::Image { verifier, .. } => Some(Arc::clone(verifier)),
        Rule::Nobody(failure) => return Err(failure.clone()),
        Rule::Anybody => None,
    };
    let other = |why: String| Failure::new(Phase::Tls, "TLS failed", why);
    let listener =
        Arc::new(Listener { provider: Arc::clone(&trust.provider), inner, shown: Mutex::default() });
    let mut config = ClientConfig::builder_with_provider(Arc::clone(&trust.provider))
        .with_safe_default_protocol_versions()
        .map_err(|e| other(e.to_string()))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&listener) as Arc<dyn ServerCertVerifier>)
        .with_no_client_auth();
    // gRPC servers may refuse a client that does not offer HTTP/2.
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let name =
        ServerName::try_from(target.host.clone()).map_err(|e| other(format!("{}: {e}", target.host)))?;
    let done = TlsConnector::from(Arc::new(config)).connect(name, stream).await;
    let shown = listener.shown.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match done {
        Ok(_) => Ok(shown),
        Err(e) => match e.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) {
            Some(error) => Err(explain(error, target, trust, &shown)),
            None => Err(Failure::new(
                Phase::Tls,
                "broke the connection",
                format!("{target} broke the connection while TLS began: {e}"),
            )
            .remedy("see that the port is right; a firewall may cut TLS to this name")),
        },
    }
}

fn explain(error: &Error, target: &Target, trust: &Trust, shown: &Shown) -> Failure {
    let failure = |brief: &str, why: String| Failure::new(Phase::Tls, brief, why);
    match error {
        Error::InvalidCertificate(why) => certificate(why, target, trust, shown),
        Error::AlertReceived(AlertDescription::UnrecognisedName) => failure(
            "unknown to the server",
            format!("{target} has no certificate for the name {}", target.host),
        )
        .remedy("check the name, and how the server is set up for it"),
        Error::AlertReceived(alert) => {
            failure("TLS refused", format!("{target} ended the handshake: {alert:?}")).remedy(
                "the server's TLS versions and ciphers may be too old; TLS 1.2 and 1.3 are spoken here",
            )
        }
        Error::InvalidMessage(_) => failure("no TLS there", format!("{target} does not speak TLS"))
            .remedy("see that the port is right; it may be the one for plain HTTP"),
        Error::PeerIncompatible(why) => {
            failure("TLS too old", format!("{target} cannot agree on TLS: {why:?}"))
                .remedy("the server needs TLS 1.2 or 1.3")
        }
        other => failure("TLS failed", format!("{target}: {other}")),
    }
}

fn certificate(why: &CertificateError, target: &Target, trust: &Trust, shown: &Shown) -> Failure {
    let failure = |brief: String, why: String| Failure::new(Phase::Tls, brief, why);
    let clock = |time: &UnixTime| format!("; the clock here says {}", day(*time));
    let renew = "the server needs a current certificate";
    match why {
        CertificateError::UnknownIssuer | CertificateError::BadSignature => untrusted(target, trust, shown),
        CertificateError::ExpiredContext { time, not_after } => failure(
            format!("expired on {}", day(*not_after)),
            format!("a certificate of {target} expired on {}{}", day(*not_after), clock(time)),
        )
        .remedy(renew),
        CertificateError::NotValidYetContext { time, not_before } => failure(
            format!("valid from {}", day(*not_before)),
            format!("a certificate of {target} is valid from {} only{}", day(*not_before), clock(time)),
        )
        .remedy("check the clock here and on the server"),
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            let own = read(shown).into_iter().next();
            let names = own.map(|c| c.info.names).filter(|names| !names.is_empty());
            let names = names.map_or("no name".to_owned(), |names| some(&names));
            failure(
                "certificate of another name".to_owned(),
                format!("the server's certificate is for {names}, not for {}", target.host),
            )
            .remedy("check the name of this endpoint; or the server needs a certificate with this name")
        }
        CertificateError::Expired => {
            failure("expired".to_owned(), format!("a certificate of {target} has expired")).remedy(renew)
        }
        // The enum that tells this one is not public.
        other if format!("{other:?}").contains("CaUsedAsEndEntity") => failure(
            "an authority's certificate".to_owned(),
            format!("{target} shows an authority's certificate as its own"),
        )
        .remedy("the server needs a certificate of its own, signed by that authority"),
        other => failure(
            "unusable certificate".to_owned(),
            format!("the certificate of {target} cannot be used: {other}"),
        ),
    }
}

/// Says whose signature is missing, and where it should be.
fn untrusted(target: &Target, trust: &Trust, shown: &Shown) -> Failure {
    let chain = read(shown);
    let Some(top) = super::chain::top(&chain) else {
        return Failure::new(
            Phase::Tls,
            "unknown authority",
            format!("{target} shows no readable certificate"),
        );
    };
    let Rule::Image { ca, .. } = &trust.rule else {
        return Failure::new(Phase::Tls, "unknown authority", format!("{target} is not trusted"));
    };
    let file = ca.file.display();
    let info = &top.info;
    let take = format!(
        "if this is the right server: hookos certs --profile {} --fetch {target}\nor take the authority's file with --ca FILE",
        trust.profile
    );
    if ca.certificates.iter().all(|c| c.info.placeholder) {
        let why = format!("the certificates in {file} are placeholders, so no server is trusted");
        return Failure::new(Phase::Tls, "only placeholders", why).remedy(take);
    }
    let signer = if info.self_signed { &info.subject } else { &info.issuer };
    let known = |name: &String| ca.certificates.iter().any(|c| c.info.subject == *name);
    if known(signer) {
        let why = format!("the server's certificate names {signer}, but the one in {file} has another key");
        return Failure::new(Phase::Tls, "authority has another key", why)
            .remedy(format!("the authority was renewed, or somebody else took its name; {take}"));
    }
    if info.self_signed {
        let why = if chain.len() == 1 {
            format!("the server's certificate {signer} is signed by itself, and not in {file}")
        } else {
            format!("the server's certificate is signed by {signer}, which is not in {file}")
        };
        return Failure::new(Phase::Tls, "unknown authority", why).remedy(take);
    }
    let why = format!(
        "the server's certificate is signed by {signer}, which is not in {file} and not sent by the server"
    );
    Failure::new(Phase::Tls, "unknown authority", why).remedy(format!(
        "take that authority's file: hookos certs --profile {} --ca FILE\nor let the server send its whole chain",
        trust.profile
    ))
}

/// The certificates of a server, as far as they can be read.
fn read(shown: &Shown) -> Vec<Certificate> {
    shown.chain.iter().filter_map(|der| Certificate::from_der(der.clone()).ok()).collect()
}

/// A few names of many.
fn some(names: &[String]) -> String {
    let shown = names.iter().take(4).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len() {
        0..=4 => shown,
        n => format!("{shown} and {} more", n - 4),
    }
}
