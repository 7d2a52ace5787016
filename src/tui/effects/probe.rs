//! Connection tests, and the certificates that the orchestrator shows.
//!
//! Both end by themselves after ten seconds; what a person has cancelled meanwhile is dropped as late.

use super::Place;
use crate::probe::{self, Limits, chain};
use crate::problem::{Problem, Result};
use crate::progress::Silent;
use crate::site::certificates::{self, Bundle};
use crate::site::{Id, ResolvedSite};
use crate::tui::data::{Pending, Source, Tested};

/// Tests the endpoints of these fields with the authorities that the image would trust: those that are
/// not saved yet, or the profile's.
pub fn test(place: &Place, site: &ResolvedSite, ids: &[Id], ca: Option<Bundle>) -> Result<Tested> {
    let ca = match ca {
        Some(ca) => Ok(ca),
        None => certificates::of_site(site, &place.root, certificates::now()).map(|found| found.ca),
    };
    let answers = probe::test(site, ids, &ca, Limits::default(), &Silent)?.unwrap_or_default();
    Ok(Tested { answers, notes: probe::notes(site) })
}

/// The authority that the identity provider's server shows, for a person to confirm.
pub fn fetch(site: &ResolvedSite) -> Result<Box<Pending>> {
    let fetched = chain::fetch(site, None, Limits::default(), &Silent)?;
    let fetched = fetched.ok_or_else(|| Problem::new("cancelled"))?;
    Ok(Box::new(Pending { ca: fetched.ca, server: None, source: Source::Fetched(fetched.from) }))
}
