//! Which components a site's image has, as switches over the fields that say it.

use super::data::ComponentEntry;
use super::model::Site;
use crate::site::Id;

fn list(site: &Site, id: Id) -> Vec<String> {
    site.form.site().list(id).to_vec()
}

fn with(mut list: Vec<String>, item: &str, there: bool) -> String {
    list.retain(|other| other != item);
    if there {
        list.push(item.to_owned());
    }
    list.join(",")
}

/// The component that a site chose for a role.
fn chosen<'a>(site: &'a Site, role: &str) -> Option<&'a str> {
    site.form.site().roles().get(role).copied()
}

/// The component of the definition that has this role.
fn holder<'a>(entries: &'a [ComponentEntry], role: &str) -> Option<&'a ComponentEntry> {
    entries.iter().find(|entry| entry.container.is_some() && entry.role.as_deref() == Some(role))
}

/// Whether the image has a component.
pub fn is_on(site: &Site, entry: &ComponentEntry) -> bool {
    let chosen = entry.role.as_deref().and_then(|role| chosen(site, role));
    match (&entry.container, chosen) {
        (_, Some(chosen)) => chosen == entry.name,
        (Some(container), None) => !site.form.site().components_off().contains(container),
        (None, None) => site.form.site().components_on().contains(&entry.name),
    }
}

/// Switches a component; gives the field that changed, or none if it has to stay.
pub fn toggle(site: &mut Site, name: &str) -> Option<Id> {
    let entries = site.components.value()?.as_ref().ok()?.clone();
    let entry = entries.iter().find(|entry| entry.name == name)?;
    if entry.fixed {
        return None;
    }
    let on = is_on(site, entry);
    let (id, text) = match (&entry.role, &entry.container) {
        // One of several of a role: the one that the definition has, unless another is chosen.
        (Some(role), container)
            if holder(&entries, role).is_some_and(|h| h.name != *name) || chosen(site, role).is_some() =>
        {
            let mut roles = list(site, Id::Roles);
            roles.retain(|pair| pair.split_once('=').is_none_or(|(r, _)| r != role));
            if !on && container.is_none() {
                roles.push(format!("{role}={name}"));
            }
            (Id::Roles, roles.join(","))
        }
        (_, Some(container)) => (Id::ComponentsOff, with(list(site, Id::ComponentsOff), container, on)),
        (role, None) => {
            let mut listed = list(site, Id::ComponentsOn);
            // One of a role takes the place of another.
            if role.is_some() && !on {
                listed.retain(|other| entries.iter().all(|e| e.name != *other || e.role != *role));
            }
            (Id::ComponentsOn, with(listed, name, !on))
        }
    };
    site.form.set(id, text);
    Some(id)
}

#[cfg(test)]
mod tests {
    use super::super::form::Form;
    use super::*;
    use crate::site::Profile;
    use std::time::Duration;

    fn entry(name: &str, role: Option<&str>, container: Option<&str>) -> ComponentEntry {
        ComponentEntry {
            name: name.to_owned(),
            description: String::new(),
            role: role.map(str::to_owned),
            source: "packages".to_owned(),
            available: true,
            state: String::new(),
            container: container.map(str::to_owned),
            fixed: name == "init",
            bytes: None,
        }
    }

    #[test]
    fn switches_say_what_the_build_understands() {
        let entries = vec![
            entry("acpid", None, Some("acpid")),
            entry("fluent-bit", Some("logging"), Some("fluent-bit")),
            entry("syslog-ng", Some("logging"), None),
            entry("sshd", None, None),
            entry("init", None, Some("init")),
        ];
        let mut site = Site::new(Form::new("x", Profile::new("x"), Default::default(), false));
        let run = site.components.begin(Duration::ZERO);
        site.components.finish(run, Ok(entries.clone()), Duration::ZERO);
        let on = |site: &Site| -> Vec<String> {
            entries.iter().filter(|e| is_on(site, e)).map(|e| e.name.clone()).collect()
        };
        assert_eq!(on(&site), ["acpid", "fluent-bit", "init"]);
        assert_eq!(toggle(&mut site, "acpid"), Some(Id::ComponentsOff));
        assert_eq!(toggle(&mut site, "sshd"), Some(Id::ComponentsOn));
        assert_eq!(toggle(&mut site, "syslog-ng"), Some(Id::Roles));
        assert_eq!(on(&site), ["syslog-ng", "sshd", "init"]);
        assert_eq!(site.form.text(Id::Roles), "logging=syslog-ng");
        assert_eq!(toggle(&mut site, "fluent-bit"), Some(Id::Roles));
        toggle(&mut site, "acpid");
        toggle(&mut site, "sshd");
        assert_eq!(on(&site), ["acpid", "fluent-bit", "init"]);
        assert!(!site.form.changed(), "switching back leaves no trace: {:?}", site.form.edits());
        assert_eq!(toggle(&mut site, "init"), None, "without it there is no system");
        assert_eq!(toggle(&mut site, "fluent-bit"), Some(Id::ComponentsOff));
        assert_eq!(site.form.text(Id::ComponentsOff), "fluent-bit");
    }

    #[test]
    fn of_two_components_of_a_role_that_the_definition_leaves_empty_one_can_be_on() {
        let entries = vec![
            entry("ntpd", Some("time"), None),
            entry("chrony", Some("time"), None),
            entry("sshd", None, None),
        ];
        let mut site = Site::new(Form::new("x", Profile::new("x"), Default::default(), false));
        let run = site.components.begin(Duration::ZERO);
        site.components.finish(run, Ok(entries), Duration::ZERO);
        for name in ["sshd", "ntpd", "chrony"] {
            toggle(&mut site, name);
        }
        assert_eq!(site.form.text(Id::ComponentsOn), "sshd,chrony");
        toggle(&mut site, "chrony");
        assert_eq!(site.form.text(Id::ComponentsOn), "sshd");
    }
}
