//! Which kernel a site's image has, and which groups of its modules: choices over the fields that say it.

use super::model::Site;
use crate::build::releases::{Release, Releases};
use crate::site::{Id, KernelSource};

/// Whether the image has a group.
pub fn is_on(site: &Site, slug: &str) -> bool {
    !site.form.site().list(Id::ModuleGroupsOff).iter().any(|off| off == slug)
}

/// Switches a group; gives the field that changed.
pub fn toggle(site: &mut Site, slug: &str) -> Id {
    let mut off = site.form.site().list(Id::ModuleGroupsOff).to_vec();
    if is_on(site, slug) {
        off.push(slug.to_owned());
    } else {
        off.retain(|other| other != slug);
    }
    site.form.set(Id::ModuleGroupsOff, off.join(","));
    Id::ModuleGroupsOff
}

/// Every release that is known, of this machine and of others.
pub fn releases(site: &Site) -> Releases {
    let here = site.kernels.value().and_then(|found| found.as_ref().ok()).map(|found| found.here.clone());
    let there = site.elsewhere.value().and_then(|there| there.as_ref().ok());
    let here = here.unwrap_or_default();
    there.map_or(here.clone(), |there| here.with(there))
}

/// Whether a release is the one of the settings.
pub fn is_chosen(site: &Site, release: &Release) -> bool {
    let settings = site.form.site();
    let text = |id: Id| settings.text(id).unwrap_or_default();
    match (release.from, settings.kernel_source()) {
        (KernelSource::Debian, KernelSource::Debian) => true,
        (KernelSource::Source, KernelSource::Source) => {
            text(Id::KernelSeries) == release.series && text(Id::KernelPoint) == release.point.to_string()
        }
        _ => false,
    }
}

/// How the lists below the fields set a field, in words.
pub fn by_list(id: Id) -> Option<&'static str> {
    match id {
        Id::KernelSeries | Id::KernelPoint => Some("Enter on a kernel below sets it"),
        Id::ModuleGroupsOff => Some("Enter on a group below switches it"),
        _ => None,
    }
}

/// Makes a release the kernel of the image; gives the fields that say so.
pub fn choose(site: &mut Site, version: &str, from: KernelSource) -> Vec<Id> {
    let all = releases(site).releases;
    let Some(release) = all.into_iter().find(|r| r.version == version && r.from == from) else {
        return Vec::new();
    };
    match from {
        KernelSource::Debian => {
            site.form.set(Id::KernelSource, "debian".to_owned());
            vec![Id::KernelSource]
        }
        KernelSource::Source => {
            site.form.set(Id::KernelSource, "source".to_owned());
            site.form.set(Id::KernelSeries, release.series);
            site.form.set(Id::KernelPoint, release.point.to_string());
            vec![Id::KernelSource, Id::KernelSeries, Id::KernelPoint]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::*;
    use crate::site::Profile;

    #[test]
    fn a_release_is_chosen_by_the_fields_that_name_it() {
        let release = |version: &str, from, point| Release {
            version: version.to_owned(),
            from,
            series: "5.10".to_owned(),
            point,
            places: Vec::new(),
        };
        let debian = release("5.10.262-1", KernelSource::Debian, 262);
        let source = release("5.10.259", KernelSource::Source, 259);
        let mut site = Site::new(Form::new("x", Profile::new("x"), Default::default(), false));
        let there = Releases { releases: vec![debian.clone(), source.clone()], ..Releases::default() };
        let run = site.elsewhere.begin(std::time::Duration::ZERO);
        site.elsewhere.finish(run, Ok(there), std::time::Duration::ZERO);
        assert!(is_chosen(&site, &debian) && !is_chosen(&site, &source));
        assert_eq!(choose(&mut site, "5.10.259", KernelSource::Source).len(), 3);
        assert!(is_chosen(&site, &source) && !is_chosen(&site, &debian));
        assert_eq!(site.form.text(Id::KernelPoint), "259");
        assert_eq!(choose(&mut site, "5.10.1", KernelSource::Source), []);
        choose(&mut site, "5.10.262-1", KernelSource::Debian);
        assert!(is_chosen(&site, &debian));
    }

    #[test]
    fn a_group_is_switched_off_and_on_without_a_trace() {
        let mut site = Site::new(Form::new("x", Profile::new("x"), Default::default(), false));
        toggle(&mut site, "usb-network-cards");
        toggle(&mut site, "sound");
        assert!(!is_on(&site, "sound") && is_on(&site, "graphics"));
        assert_eq!(site.form.text(Id::ModuleGroupsOff), "usb-network-cards,sound");
        toggle(&mut site, "usb-network-cards");
        toggle(&mut site, "sound");
        assert!(!site.form.changed());
    }
}
