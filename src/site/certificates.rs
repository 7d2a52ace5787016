//! A site's certificates: what is in the files, and whether an image can use it.
//!
//! The image has two files. `ca.pem`: the authorities whose servers it trusts. `server_cert.pem`: what
//! the identity provider's server is checked against when a person logs in; a server's certificate,
//! or simply the authority's.

use super::pem_file;
use super::placeholder;
use super::resolve::{ResolvedSite, together};
use super::{Id, Value};
use crate::problem::{Problem, Result};
use crate::store::Digest;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::time::Duration;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// A certificate with this many seconds left is worth a warning.
const SOON: i64 = 30 * 24 * 3600;

/// What a person wants to know of a certificate. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Info {
    pub subject: String,
    pub issuer: String,
    /// DNS names and addresses that the certificate is for.
    pub names: Vec<String>,
    pub not_before: i64,
    pub not_after: i64,
    /// Type and size of the key.
    pub key: String,
    /// Whether it may sign certificates.
    pub authority: bool,
    pub self_signed: bool,
    pub placeholder: bool,
    /// SHA-256 of the DER bytes.
    pub fingerprint: Digest,
    /// The line of the file that it begins at.
    pub line: Option<usize>,
}

/// A certificate.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub der: CertificateDer<'static>,
    pub info: Info,
}

/// The certificates of one file.
#[derive(Debug, Clone)]
pub struct Bundle {
    pub file: PathBuf,
    pub certificates: Vec<Certificate>,
    /// What was left out or converted.
    pub notes: Vec<String>,
}

/// Certificates that an image can use.
#[derive(Debug, Clone)]
pub struct SiteCertificates {
    pub ca: Bundle,
    pub server: Bundle,
    /// Whether one of them is a placeholder.
    pub placeholder: bool,
    pub warnings: Vec<Problem>,
}

/// The time now, in seconds since 1970.
pub fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |d| i64::try_from(d.as_secs()).unwrap_or(i64::MAX))
}

/// Where `hookos certs` puts a profile's files.
pub fn folder(root: &Path, profile: &str) -> PathBuf {
    root.join("certs").join(profile)
}

/// Reads and checks the certificates that a site's image gets.
pub fn of_site(site: &ResolvedSite, root: &Path, now: i64) -> Result<SiteCertificates> {
    of_folder(site, &site.name, root, now)
}

/// As [`of_site`], from the folder of another profile.
pub fn of_folder(site: &ResolvedSite, profile: &str, root: &Path, now: i64) -> Result<SiteCertificates> {
    let folder = folder(root, profile);
    let said = site.path(Id::CaFile, root);
    let ca = said.clone().unwrap_or_else(|| folder.join("ca.pem"));
    if said.is_none() && !ca.exists() {
        return Err(Problem::usage(format!("the profile {} has no certificates", site.name)).remedy(format!(
            "hookos certs --profile {0} --ca FILE\nor, for a trial, hookos certs --profile {0} --placeholder",
            site.name
        )));
    }
    let server = match site.path(Id::ServerCertFile, root) {
        Some(file) => Some(file),
        None => Some(folder.join("server_cert.pem")).filter(|file| said.is_none() && file.exists()),
    };
    let ca = Bundle::load(&ca)?;
    let server = server.map(|file| Bundle::load(&file)).transpose()?;
    judge(site, ca, server, now)
}

/// Whether a site's image may have these certificates.
pub fn judge(site: &ResolvedSite, ca: Bundle, server: Option<Bundle>, now: i64) -> Result<SiteCertificates> {
    let host = match site.get(Id::KeycloakUrl) {
        Some(Value::Text(host)) => Some(host.split(':').next().unwrap_or(host)),
        _ => None,
    };
    let checked = check(ca, server, host, now)?;
    if checked.placeholder && !site.placeholder_certificates() {
        return Err(Problem::usage(format!(
            "the certificates of the profile {} are placeholders, and the profile does not accept them",
            site.name
        ))
        .in_file(&checked.ca.file)
        .remedy(format!(
            "hookos certs --profile {} --ca FILE takes the real ones; for a trial set certificates.placeholder = true",
            site.name
        )));
    }
    Ok(checked)
}

/// Checks what an image would trust. All problems are told at once.
///
/// * Every certificate must be valid now, and every one in `ca` an authority.
/// * `server` (by default the same as `ca`) must be one of the authorities, or lead to one; a server's own
///   certificate must be for `host`.
pub fn check(ca: Bundle, server: Option<Bundle>, host: Option<&str>, now: i64) -> Result<SiteCertificates> {
    let mut problems = Vec::new();
    let mut warnings = Vec::new();
    for certificate in &ca.certificates {
        ca.check_dates(certificate, now, &mut problems, &mut warnings);
        if !certificate.info.authority {
            problems.push(
                ca.place(
                    Problem::usage(format!("{} is not an authority's certificate", certificate.info.subject)),
                    certificate,
                )
                .remedy("give the certificate of the authority that signed it (basicConstraints CA:TRUE)"),
            );
        }
    }
    if !ca.certificates.iter().any(|c| c.info.self_signed) {
        warnings.push(
            Problem::usage(
                "no certificate is self-signed: programs that want a root will not trust this one",
            )
            .in_file(&ca.file)
            .remedy("add the root authority's certificate to the file"),
        );
    }
    let server = match server {
        None => Bundle { file: ca.file.clone(), certificates: ca.certificates.clone(), notes: Vec::new() },
        Some(server) => {
            for certificate in &server.certificates {
                server.check_dates(certificate, now, &mut problems, &mut warnings);
            }
            server.check_chain(&ca, now, &mut problems, &mut warnings);
            if let Some(host) = host {
                server.check_name(host, &mut problems, &mut warnings);
            }
            server
        }
    };
    if let Some(problem) = together(problems) {
        return Err(problem);
    }
    let placeholder = ca.certificates.iter().chain(&server.certificates).any(|c| c.info.placeholder);
    Ok(SiteCertificates { ca, server, placeholder, warnings })
}

impl Certificate {
    /// A certificate that came from elsewhere than a file.
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self> {
        let info = inspect(&der, None).map_err(Problem::usage)?;
        Ok(Self { der, info })
    }
}

impl Bundle {
    /// Authorities, and servers. Without an authority all stay together: a check says then what is missing,
    /// at the certificate itself.
    pub fn split(self) -> (Self, Option<Self>) {
        let Self { file, certificates, notes } = self;
        let (ca, server): (Vec<_>, Vec<_>) = certificates.into_iter().partition(|c| c.info.authority);
        let (ca, server) = if ca.is_empty() { (server, Vec::new()) } else { (ca, server) };
        let of = |certificates, notes| Self { file: file.clone(), certificates, notes };
        let server = (!server.is_empty()).then(|| of(server, Vec::new()));
        (of(ca, notes), server)
    }

    /// Reads a file of certificates. Nothing but their form is checked.
    pub fn load(file: &Path) -> Result<Self> {
        let bytes = std::fs::read(file)
            .map_err(|e| Problem::usage("the certificate file cannot be read").in_file(file).because(e))?;
        Self::from_bytes(file, &bytes)
    }

    /// The certificates in a file's bytes.
    pub fn from_bytes(file: &Path, bytes: &[u8]) -> Result<Self> {
        let pem_file::Blocks { blocks, mut notes } = pem_file::read(file, bytes)?;
        let mut certificates: Vec<Certificate> = Vec::new();
        for block in blocks {
            let info = inspect(&block.der, block.line).map_err(|why| {
                let problem = Problem::usage(why);
                match block.line {
                    Some(line) => problem.at(file, line, None),
                    None => problem.in_file(file),
                }
            })?;
            if let Some(first) = certificates.iter().find(|c| c.info.fingerprint == info.fingerprint) {
                notes.push(format!("{} is there twice; one is left out", first.info.subject));
                continue;
            }
            certificates.push(Certificate { der: block.der.into(), info });
        }
        Ok(Self { file: file.to_owned(), certificates, notes })
    }

    /// PEM text, the same for the same certificates whatever the file looked like.
    pub fn pem(&self) -> Vec<u8> {
        pem_file::write(self.certificates.iter().map(|c| c.der.as_ref()))
    }

    fn place(&self, problem: Problem, certificate: &Certificate) -> Problem {
        match certificate.info.line {
            Some(line) => problem.at(&self.file, line, None),
            None => problem.in_file(&self.file),
        }
    }

    fn check_dates(
        &self,
        c: &Certificate,
        now: i64,
        problems: &mut Vec<Problem>,
        warnings: &mut Vec<Problem>,
    ) {
        let Info { subject, not_before, not_after, .. } = &c.info;
        let problem = if now > *not_after {
            format!("{subject} expired on {}", date(*not_after))
        } else if now < *not_before {
            format!("{subject} is not valid before {}; the clock here says {}", date(*not_before), date(now))
        } else {
            if not_after - now < SOON {
                warnings.push(
                    self.place(Problem::usage(format!("{subject} expires soon, on {}", date(*not_after))), c),
                );
            }
            return;
        };
        problems.push(self.place(Problem::usage(problem), c).remedy("get a current certificate"));
    }

    /// The first certificate is the server's, the others help to reach an authority.
    fn check_chain(&self, ca: &Self, now: i64, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
        let Some(first) = self.certificates.first() else { return };
        if ca.certificates.iter().any(|c| c.der == first.der) {
            return;
        }
        let refuse = |why: String| {
            self.place(
                Problem::usage(format!(
                    "{} does not lead to an authority in {}",
                    first.info.subject,
                    ca.file.display()
                ))
                .because(Why(why)),
                first,
            )
            .remedy("give the chain of this server, or the authority that signed it")
        };
        if first.info.authority {
            // Path building takes no authority as a server; one signature is looked at instead.
            let signed = ca.certificates.iter().any(|c| signed_by(&first.der, &c.der));
            if !signed {
                problems.push(refuse(format!(
                    "no authority there has signed it; its issuer is {}",
                    first.info.issuer
                )));
            }
            return;
        }
        let anchors: Vec<_> =
            ca.certificates.iter().filter_map(|c| webpki::anchor_from_trusted_cert(&c.der).ok()).collect();
        let between: Vec<_> = self.certificates[1..].iter().map(|c| c.der.clone()).collect();
        let time = UnixTime::since_unix_epoch(Duration::from_secs(now.max(0).unsigned_abs()));
        let verified = webpki::EndEntityCert::try_from(&first.der).and_then(|server| {
            server
                .verify_for_usage(
                    webpki::ALL_VERIFICATION_ALGS,
                    &anchors,
                    &between,
                    time,
                    webpki::KeyUsage::server_auth(),
                    None,
                    None,
                )
                .map(|_| ())
        });
        match verified {
            Ok(()) => {}
            // Dates are told already, with the line.
            Err(webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. }) => {}
            Err(
                e @ (webpki::Error::UnsupportedSignatureAlgorithmContext(_)
                | webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)),
            ) => warnings.push(
                self.place(
                    Problem::usage(format!(
                        "whether {} leads to an authority cannot be checked here",
                        first.info.subject
                    ))
                    .because(e),
                    first,
                ),
            ),
            Err(e) => problems.push(refuse(format!("{e:?}; its issuer is {}", first.info.issuer))),
        }
    }

    /// A machine would refuse the server. What trusts no real server anyway is only told of.
    fn check_name(&self, host: &str, problems: &mut Vec<Problem>, warnings: &mut Vec<Problem>) {
        let Some(first) = self.certificates.first().filter(|c| !c.info.authority) else { return };
        let Ok(name) = ServerName::try_from(host) else { return };
        let good = webpki::EndEntityCert::try_from(&first.der)
            .and_then(|server| server.verify_is_valid_for_subject_name(&name));
        if good.is_err() {
            let to = if first.info.placeholder { warnings } else { problems };
            to.push(self.place(
                Problem::usage(format!("the certificate is not for {host} (keycloak_url)")).remedy(format!(
                    "it is for {}",
                    if first.info.names.is_empty() {
                        "no name".to_owned()
                    } else {
                        first.info.names.join(", ")
                    }
                )),
                first,
            ));
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Why(String);

/// Whether `issuer`'s key signed `der` under `issuer`'s name.
pub fn signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let (Ok((_, certificate)), Ok((_, issuer))) =
        (X509Certificate::from_der(der), X509Certificate::from_der(issuer))
    else {
        return false;
    };
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

fn inspect(der: &[u8], line: Option<usize>) -> Result<Info, String> {
    let (rest, c) =
        X509Certificate::from_der(der).map_err(|_| "the content is not an X.509 certificate".to_owned())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the certificate in its block", rest.len()));
    }
    let signs = match c.key_usage() {
        Ok(Some(usage)) => usage.value.key_cert_sign(),
        Ok(None) => true,
        Err(_) => return Err("the certificate has two key usages".to_owned()),
    };
    let names = match c.subject_alternative_name() {
        Ok(names) => names.map(|n| n.value.general_names.iter().map(name_text).collect()).unwrap_or_default(),
        Err(_) => return Err("the certificate has two lists of alternative names".to_owned()),
    };
    let subject = printable(&c.subject().to_string());
    let issuer = printable(&c.issuer().to_string());
    Ok(Info {
        names,
        not_before: c.validity().not_before.timestamp(),
        not_after: c.validity().not_after.timestamp(),
        key: key_text(&c),
        authority: c.is_ca() && signs,
        self_signed: c.subject().as_raw() == c.issuer().as_raw() && signed_by(der, der),
        placeholder: subject.contains(placeholder::MARK) || issuer.contains(placeholder::MARK),
        fingerprint: Digest::of(der),
        line,
        subject: if subject.is_empty() { "(no subject)".to_owned() } else { subject },
        issuer,
    })
}

/// Names come from a file that anyone may have made; they must not steer a terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn name_text(name: &GeneralName<'_>) -> String {
    match name {
        GeneralName::DNSName(name) => printable(name),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(*bytes).map(|b| IpAddr::V4(Ipv4Addr::from(b)).to_string()),
            _ => <[u8; 16]>::try_from(*bytes).map(|b| IpAddr::V6(Ipv6Addr::from(b)).to_string()),
        }
        .unwrap_or_else(|_| "(bad address)".to_owned()),
        other => printable(&other.to_string()),
    }
}

fn key_text(c: &X509Certificate<'_>) -> String {
    use x509_parser::public_key::PublicKey;
    match c.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => format!("RSA {}", key.key_size()),
        Ok(PublicKey::EC(point)) => format!("EC {}", point.key_size()),
        Ok(PublicKey::DSA(_)) => "DSA".to_owned(),
        _ if c.public_key().algorithm.algorithm.to_id_string() == "1.3.101.112" => "Ed25519".to_owned(),
        _ => c.public_key().algorithm.algorithm.to_id_string(),
    }
}

/// A day, as `2026-01-31`.
pub fn date(seconds: i64) -> String {
    match jiff::Timestamp::from_second(seconds) {
        Ok(time) => time.strftime("%Y-%m-%d").to_string(),
        Err(_) => seconds.to_string(),
    }
}

#[cfg(test)]
#[path = "certificates_tests.rs"]
mod tests;
