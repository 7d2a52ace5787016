//! Certificates: those of a profile, and others that a person brings.

use super::Place;
use crate::probe::hosts;
use crate::problem::Result;
use crate::site::certificates::{self, Bundle};
use crate::site::{ResolvedSite, placeholder};
use crate::tui::data::{Certificates, Pending, Source};
use std::path::Path;

/// What an image of this site would get.
pub fn read(place: &Place, site: &ResolvedSite) -> Certificates {
    certificates::of_site(site, &place.root, certificates::now())
}

/// Text that a person has pasted.
pub fn decode(bytes: &[u8]) -> Result<Box<Pending>> {
    Ok(sort(Bundle::from_bytes(Path::new("pasted"), bytes)?, Source::Pasted))
}

pub fn decode_file(file: &Path) -> Result<Box<Pending>> {
    Ok(sort(Bundle::load(file)?, Source::File(file.to_owned())))
}

/// Each goes where the image wants it.
fn sort(bundle: Bundle, source: Source) -> Box<Pending> {
    let (ca, server) = bundle.split();
    Box::new(Pending { ca, server, source })
}

/// Placeholders for the names of this site's endpoints.
pub fn placeholder(site: &ResolvedSite) -> Result<Box<Pending>> {
    let made = placeholder::make(&site.name, &hosts(site))?;
    Ok(Box::new(Pending {
        ca: Bundle::from_bytes(Path::new("placeholder"), made.ca.as_bytes())?,
        server: Some(Bundle::from_bytes(Path::new("placeholder"), made.server.as_bytes())?),
        source: Source::Placeholder,
    }))
}
