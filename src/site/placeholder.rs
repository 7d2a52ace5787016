//! Placeholder certificates: for images that are built to try them out. Their keys are thrown away as
//! soon as they are made, so no server can use them and nobody can sign with them.

use crate::problem::{Problem, Result};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// The organisation in a placeholder's name, by which it is known.
pub const MARK: &str = "hookos placeholder";

/// PEM text of an authority's certificate and of a server's certificate that it signed.
pub struct Placeholder {
    pub ca: String,
    pub server: String,
}

/// Makes new placeholder certificates for the given host names and addresses.
pub fn make(profile: &str, hosts: &[String]) -> Result<Placeholder> {
    let failed = |e: rcgen::Error| Problem::new("cannot make a placeholder certificate").because(e);
    let named = |name: &str| {
        let mut subject = DistinguishedName::new();
        subject.push(DnType::OrganizationName, MARK);
        subject.push(DnType::CommonName, name);
        subject
    };
    let mut ca = CertificateParams::new(Vec::new()).map_err(failed)?;
    ca.distinguished_name = named(&format!("{profile} authority, not for production"));
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let mut server = CertificateParams::new(hosts).map_err(failed)?;
    server.distinguished_name = named(&format!("{profile} server, not for production"));
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    server.use_authority_key_identifier_extension = true;
    for params in [&mut ca, &mut server] {
        params.not_before = date_time_ymd(2024, 1, 1);
        params.not_after = date_time_ymd(2054, 1, 1);
    }
    let ca_key = KeyPair::generate().map_err(failed)?;
    let server_key = KeyPair::generate().map_err(failed)?;
    let ca_certificate = ca.self_signed(&ca_key).map_err(failed)?;
    let issuer = Issuer::new(ca, ca_key);
    let server_certificate = server.signed_by(&server_key, &issuer).map_err(failed)?;
    Ok(Placeholder { ca: crlf_free(&ca_certificate.pem()), server: crlf_free(&server_certificate.pem()) })
}

fn crlf_free(pem: &str) -> String {
    pem.replace('\r', "")
}
