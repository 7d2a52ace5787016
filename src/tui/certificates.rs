//! Certificates that are not written yet: whether an image could use them.

use super::model::Site;
use crate::site::Id;
use crate::site::certificates;

/// Checks what is pending, as a build would.
pub fn judge(site: &mut Site, now: i64, since: std::time::Duration) {
    let Some(pending) = &site.pending else { return };
    let host = site.form.site().text(Id::KeycloakUrl);
    let host = host.as_deref().map(|host| host.split(':').next().unwrap_or(host));
    let verdict = certificates::check(pending.ca.clone(), pending.server.clone(), host, now);
    let run = site.certificates.begin(since);
    site.certificates.finish(run, verdict, since);
}
