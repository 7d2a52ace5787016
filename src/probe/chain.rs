//! A server's certificates, read to take its authority.
//!
//! Nobody vouches for what comes over the network: the server is not trusted here, nothing is sent to it,
//! and a person compares the authority's fingerprint before it is written anywhere.

use super::connect::{Attempt, Net};
use super::target::{self, Target};
use super::tls::{Shown, Trust};
use super::{Failure, Limits, wait};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::certificates::{Bundle, Certificate, date, signed_by};
use crate::site::field::Kind;
use crate::site::{Id, ResolvedSite, Value};

/// What a server showed.
#[derive(Debug, Clone)]
pub struct Fetched {
    /// `HOST:PORT`.
    pub from: String,
    /// All that it sent, its own certificate first.
    pub chain: Bundle,
    /// The authority to trust: the last one in the chain that the server's certificate leads to. A
    /// server's own certificate is not taken, since an image outlives it.
    pub ca: Bundle,
}

/// Reads the certificates of a server: of the identity provider, or of `HOST[:PORT]`. It is reached as
/// the site's settings say. None if it was cancelled.
pub fn fetch(
    site: &ResolvedSite,
    server: Option<&str>,
    limits: Limits,
    progress: &dyn Progress,
) -> Result<Option<Fetched>> {
    let target = target(site, server)?;
    let net = Net::new(site, limits);
    let shown = wait(progress, async {
        let mut attempt = Attempt::new(&net, &target);
        let stream = attempt.open().await?;
        attempt.handshake(stream, &Trust::anybody()).await
    })?;
    let Some(shown) = shown else { return Ok(None) };
    let shown = shown.map_err(|failure| problem(&target, failure))?;
    sort(&target.to_string(), &shown).map(Some)
}

fn target(site: &ResolvedSite, server: Option<&str>) -> Result<Target> {
    let Some(text) = server else {
        return target::of_field(site, Id::KeycloakUrl).into_iter().next().ok_or_else(|| {
            Problem::usage(format!("the profile {} names no identity provider to ask", site.name))
                .remedy("give the server as HOST:PORT, or set endpoints.keycloak_url")
        });
    };
    match Value::parse(Kind::HostPort, text) {
        Ok(Some(Value::Text(text))) => Ok(target::parse(&text, 443, Id::KeycloakUrl, text.clone())),
        Ok(_) => {
            Err(Problem::usage("no server is named").remedy("HOST:PORT, such as keycloak.example.com:443"))
        }
        Err(why) => Err(Problem::usage(why.0).remedy("HOST:PORT, such as keycloak.example.com:443")),
    }
}

fn problem(target: &Target, failure: Failure) -> Problem {
    let problem = Problem::new(format!("the certificates of {target} cannot be read: {}", failure.why));
    match failure.remedy {
        Some(remedy) => problem.remedy(remedy),
        None => problem,
    }
}

fn sort(from: &str, shown: &Shown) -> Result<Fetched> {
    let mut chain = Bundle { file: from.into(), certificates: Vec::new(), notes: Vec::new() };
    for der in &shown.chain {
        chain.certificates.push(Certificate::from_der(der.clone())?);
    }
    let Some((own, top)) = chain.certificates.first().zip(top(&chain.certificates)) else {
        return Err(Problem::new(format!("{from} shows no certificate")));
    };
    if !top.info.authority {
        let (what, remedy) = if top.info.self_signed {
            let what = format!("the certificate of {from} is signed by itself and is not an authority's");
            (what, "the server needs a certificate of an authority")
        } else {
            let what = format!("{from} sends its own certificate alone, not that of {}", top.info.issuer);
            (what, "take the authority's file from who runs the orchestrator: hookos certs --ca FILE")
        };
        return Err(Problem::new(what).remedy(remedy));
    }
    let mut notes = vec![format!(
        "the server's own certificate is {}, valid to {}",
        own.info.subject,
        date(own.info.not_after)
    )];
    if !top.info.self_signed {
        notes.push(format!("its root, {}, is not sent by the server", top.info.issuer));
    }
    let ca = Bundle { file: from.into(), certificates: vec![top.clone()], notes };
    Ok(Fetched { from: from.to_owned(), ca, chain })
}

/// The last certificate that the first one leads to, by signatures and not by the order that they are in.
pub fn top(chain: &[Certificate]) -> Option<&Certificate> {
    let mut top = chain.first()?;
    // No more steps than certificates: two authorities may have signed each other.
    for _ in 0..chain.len() {
        if top.info.self_signed {
            break;
        }
        let signer = chain.iter().find(|c| c.der != top.der && signed_by(&top.der, &c.der));
        let Some(signer) = signer else { break };
        top = signer;
    }
    Some(top)
}
