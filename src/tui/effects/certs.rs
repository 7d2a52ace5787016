//! Certificates: those of a profile, and others that a person brings.

use super::Place;
use crate::probe::hosts;
use crate::problem::Result;
use crate::site::certificates::{self, Bundle};
use crate::site::{ResolvedSite, placeholder};
use crate::tui::data::{Certificates, Pending};
use std::path::Path;

/// What an image of this site would get.
pub fn read(place: &Place, site: &ResolvedSite) -> Certificates {
    certificates::of_site(site, &place.root, certificates::now())
}

/// Text or bytes that a person gave.
pub fn decode(bytes: &[u8], from: &str) -> Result<Box<Pending>> {
    Ok(sort(Bundle::from_bytes(Path::new(from), bytes)?, from))
}

pub fn decode_file(file: &Path) -> Result<Box<Pending>> {
    Ok(sort(Bundle::load(file)?, &file.display().to_string()))
}

/// Each goes where the image wants it.
pub(super) fn sort(bundle: Bundle, from: &str) -> Box<Pending> {
    let (ca, server) = bundle.split();
    Box::new(Pending { ca, server, from: from.to_owned() })
}

/// Placeholders for the names of this site's endpoints.
pub fn placeholder(site: &ResolvedSite) -> Result<Box<Pending>> {
    let made = placeholder::make(&site.name, &hosts(site))?;
    Ok(Box::new(Pending {
        ca: Bundle::from_bytes(Path::new("placeholder"), made.ca.as_bytes())?,
        server: Some(Bundle::from_bytes(Path::new("placeholder"), made.server.as_bytes())?),
        from: "placeholders; their keys are thrown away".to_owned(),
    }))
}
