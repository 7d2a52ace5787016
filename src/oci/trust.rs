//! Which certificates of registries are trusted: those that the system's authorities sign, those that a given
//! authority signs, and one that was given itself.
//!
//! The last is what `openssl req -x509` makes: a certificate that says it is an authority and that a server shows
//! as its own. The usual check refuses that; who gave exactly this certificate has said all there is to say, but
//! its names and its dates still count.

use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use rustls_platform_verifier::Verifier;
use std::sync::Arc;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::verify_server_name;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};
use x509_parser::prelude::{FromDer as _, X509Certificate};

#[derive(Debug)]
struct Trust {
    usual: Verifier,
    given: Vec<CertificateDer<'static>>,
}

/// TLS that trusts these PEM files on top of the system's authorities.
pub(super) fn client(pems: &[&[u8]]) -> Result<ClientConfig, String> {
    let mut given = Vec::new();
    for pem in pems {
        for certificate in CertificateDer::pem_slice_iter(pem) {
            given.push(certificate.map_err(|e| format!("a certificate that was given cannot be read: {e}"))?);
        }
    }
    let provider = Arc::new(ring::default_provider());
    let usual = Verifier::new_with_extra_roots(given.clone(), provider.clone()).map_err(|e| e.to_string())?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Trust { usual, given }))
        .with_no_client_auth();
    Ok(config)
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let usual = self.usual.verify_server_cert(end_entity, intermediates, server_name, ocsp, now);
        match usual {
            Err(Error::InvalidCertificate(_)) if self.given.iter().any(|given| given == end_entity) => {
                verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
                in_time(end_entity, now)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.usual.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

fn in_time(certificate: &CertificateDer<'_>, now: UnixTime) -> Result<(), Error> {
    let (_, parsed) = X509Certificate::from_der(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
    let validity = parsed.validity();
    if now < validity.not_before.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::NotValidYet));
    }
    if now > validity.not_after.timestamp() {
        return Err(Error::InvalidCertificate(CertificateError::Expired));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_certificate_that_was_given_is_trusted_for_its_names_and_in_its_time() {
        let key = rcgen::KeyPair::generate().unwrap();
        let make = |from: i32, to: i32| {
            let mut params = rcgen::CertificateParams::new(vec!["registry.test".to_owned()]).unwrap();
            params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
            params.not_before = rcgen::date_time_ymd(from, 1, 1);
            params.not_after = rcgen::date_time_ymd(to, 1, 1);
            params.self_signed(&key).unwrap()
        };
        let check = |given: &rcgen::Certificate, shown: &rcgen::Certificate, name: &str| {
            let usual =
                Verifier::new_with_extra_roots([given.der().clone()], Arc::new(ring::default_provider()));
            let trust = Trust { usual: usual.unwrap(), given: vec![given.der().clone()] };
            // 2026-11-23
            let now = UnixTime::since_unix_epoch(Duration::from_secs(1_795_392_000));
            let name = ServerName::try_from(name.to_owned()).unwrap();
            trust.verify_server_cert(shown.der(), &[], &name, &[], now).map(drop)
        };
        let good = make(2020, 2040);
        assert!(check(&good, &good, "registry.test").is_ok());
        assert!(check(&good, &good, "other.test").is_err());
        let old = make(2020, 2025);
        assert!(matches!(
            check(&old, &old, "registry.test"),
            Err(Error::InvalidCertificate(
                CertificateError::Expired | CertificateError::ExpiredContext { .. }
            ))
        ));
        let other = rcgen::generate_simple_self_signed(["registry.test".to_owned()]).unwrap().cert;
        assert!(check(&good, &other, "registry.test").is_err(), "another certificate of the same name");
    }
}
