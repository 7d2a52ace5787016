//! Certificates that are not written yet: whether an image could use them.

use super::data::Pending;
use super::model::Site;
use crate::site::Id;
use crate::site::certificates;
use std::time::Duration;

/// Takes certificates that a person brought. What the profile says of other files would win over them, so
/// it goes; whether placeholders are accepted follows from what they are.
pub fn take(site: &mut Site, pending: Pending, now: i64, since: Duration) {
    let all = || pending.ca.certificates.iter().chain(pending.server.iter().flat_map(|s| &s.certificates));
    let placeholder = all().any(|certificate| certificate.info.placeholder);
    for id in [Id::CaFile, Id::ServerCertFile] {
        if site.form.site().get(id).is_some() {
            site.form.restore(id);
        }
    }
    if placeholder {
        site.form.set(Id::PlaceholderCertificates, "true".to_owned());
    } else if site.form.site().placeholder_certificates() {
        site.form.restore(Id::PlaceholderCertificates);
    }
    site.pending = Some(pending);
    site.takes += 1;
    judge(site, now, since);
}

/// Checks what is pending, as a build would.
pub fn judge(site: &mut Site, now: i64, since: Duration) {
    let Some(pending) = &site.pending else { return };
    let verdict = certificates::judge(site.form.site(), pending.ca.clone(), pending.server.clone(), now);
    let run = site.certificates.begin(since);
    site.certificates.finish(run, verdict, since);
}
