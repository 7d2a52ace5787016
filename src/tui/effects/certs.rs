//! Certificates: those of a profile, and others that a person brings.

use super::Place;
use crate::problem::Result;
use crate::site::certificates::{self, Bundle};
use crate::site::{ResolvedSite, Value, placeholder};
use crate::tui::data::{Certificates, Pending};
use std::path::Path;

/// What an image of this site would get.
pub fn read(place: &Place, site: &ResolvedSite) -> Certificates {
    certificates::of_site(site, &place.root, certificates::now())
}

/// Text or bytes that a person gave.
pub fn decode(bytes: &[u8], from: &str) -> Result<Box<Pending>> {
    sort(Bundle::from_bytes(Path::new(from), bytes)?, from)
}

pub fn decode_file(file: &Path) -> Result<Box<Pending>> {
    sort(Bundle::load(file)?, &file.display().to_string())
}

/// Authorities and servers may come in one text; each goes where the image wants it.
fn sort(bundle: Bundle, from: &str) -> Result<Box<Pending>> {
    let Bundle { file, certificates, notes } = bundle;
    let (ca, server): (Vec<_>, Vec<_>) = certificates.into_iter().partition(|c| c.info.authority);
    let of = |certificates| Bundle { file: file.clone(), certificates, notes: Vec::new() };
    // Without an authority the check says what is missing, at the certificate itself.
    let (ca, server) = if ca.is_empty() { (server, Vec::new()) } else { (ca, server) };
    let server = (!server.is_empty()).then(|| of(server));
    let ca = Bundle { notes, ..of(ca) };
    Ok(Box::new(Pending { ca, server, from: from.to_owned() }))
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

fn hosts(site: &ResolvedSite) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for (_, resolved) in site.iter().filter(|(f, _)| f.onboarding) {
        if let Some(Value::Text(text)) = &resolved.value {
            let host = text.split(':').next().unwrap_or(text).to_owned();
            if !hosts.contains(&host) {
                hosts.push(host);
            }
        }
    }
    hosts
}
