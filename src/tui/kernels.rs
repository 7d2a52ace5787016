//! Which groups of kernel modules a site's image has, as switches over the field that says it.

use super::model::Site;
use crate::site::Id;

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

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::*;
    use crate::site::Profile;

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
