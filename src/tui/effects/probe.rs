//! Connection tests, and the certificates that the orchestrator shows.

use super::Place;
use super::certs;
use crate::probe::{self, Trust, Way};
use crate::problem::{Problem, Result};
use crate::site::certificates::{self, Bundle};
use crate::site::{Id, ResolvedSite};
use crate::tui::data::{Pending, Probe};
use std::path::Path;

/// Tries the endpoints of these fields.
pub fn all(place: &Place, site: &ResolvedSite, ids: &[Id]) -> Vec<Probe> {
    let targets: Vec<_> = probe::targets(site).into_iter().filter(|t| ids.contains(&t.id)).collect();
    let trust = certificates::of_site(site, &place.root, certificates::now())
        .and_then(|found| Trust::authorities(found.ca.certificates.iter().chain(&found.server.certificates)));
    let results = match trust {
        Ok(trust) => probe::probe_all(&targets, &Way::of(site), &trust),
        // Without an authority there is nothing to check a server against.
        Err(problem) => targets.iter().map(|_| Err(problem.clone())).collect(),
    };
    let answer = |(target, result): (probe::Target, Result<probe::Answer>)| Probe {
        id: target.id,
        target: target.to_string(),
        result: result.map(|answer| answer.total()),
    };
    targets.into_iter().zip(results).map(answer).collect()
}

/// The chain of the identity provider's server.
pub fn chain(site: &ResolvedSite) -> Result<Box<Pending>> {
    let target = probe::targets(site).into_iter().find(|target| target.id == Id::KeycloakUrl);
    let target = target.ok_or_else(|| Problem::usage("the identity provider is not set"))?;
    let certificates = probe::chain(&target.host, target.port, &Way::of(site))?;
    let from = target.to_string();
    let bundle = Bundle { file: Path::new(&from).to_owned(), certificates, notes: Vec::new() };
    Ok(certs::sort(bundle, &from))
}
