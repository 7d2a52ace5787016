//! The image definition as one site wants it: containers left out, added, or exchanged for another
//! component of the same role.

use crate::component::{self, Stage};
use crate::linuxkit::Definition;
use crate::problem::{Problem, Result};
use crate::site::ResolvedSite;
use std::collections::BTreeMap;
use std::path::Path;

/// Reads the site's image definition and applies the site's choices to it.
pub fn definition(
    site: &ResolvedSite,
    root: &Path,
    components: &BTreeMap<String, component::Definition>,
) -> Result<Definition> {
    let mut definition = Definition::read(&[site.definition(root)])?;
    leave_out(&mut definition, site.components_off())?;
    exchange(&mut definition, &site.roles(), components)?;
    for name in site.components_on() {
        add(&mut definition, name, components)?;
    }
    Ok(definition)
}

fn leave_out(definition: &mut Definition, off: &[String]) -> Result<()> {
    for name in off {
        if !definition.containers().any(|container| container.name == *name) {
            let names: Vec<&str> = definition.containers().map(|c| c.name.as_str()).collect();
            return Err(Problem::usage(format!(
                "components_off names {name}, which the image does not have"
            ))
            .remedy(format!("its containers are {}", names.join(", "))));
        }
    }
    for list in [&mut definition.onboot, &mut definition.onshutdown, &mut definition.services] {
        list.retain(|container| !off.contains(&container.name));
    }
    Ok(())
}

/// Puts the chosen component wherever the definition has another one of its role.
fn exchange(
    definition: &mut Definition,
    roles: &BTreeMap<&str, &str>,
    components: &BTreeMap<String, component::Definition>,
) -> Result<()> {
    for (role, chosen) in roles {
        let of_role = |name: &str| components.get(name).is_some_and(|c| c.role.as_deref() == Some(role));
        if !of_role(chosen) {
            let names: Vec<&str> =
                components.keys().map(String::as_str).filter(|name| of_role(name)).collect();
            return Err(Problem::usage(format!("{chosen} is not a component of the role {role}"))
                .remedy(format!("components of that role: {}", names.join(", "))));
        }
        for list in [&mut definition.onboot, &mut definition.onshutdown, &mut definition.services] {
            for container in list.iter_mut().filter(|container| of_role(&container.image)) {
                if container.name == container.image {
                    (*chosen).clone_into(&mut container.name);
                }
                (*chosen).clone_into(&mut container.image);
            }
        }
    }
    Ok(())
}

/// Adds a component that the definition does not have, at the stage that its `[run]` table says.
fn add(
    definition: &mut Definition,
    name: &str,
    components: &BTreeMap<String, component::Definition>,
) -> Result<()> {
    if definition.containers().any(|container| container.image == name) {
        return Ok(());
    }
    let Some(component) = components.get(name) else {
        let names: Vec<&str> = components.keys().map(String::as_str).collect();
        return Err(Problem::usage(format!("components_on names {name}, which is not in components/"))
            .remedy(format!("components: {}", names.join(", "))));
    };
    let parsed = |section: &str| {
        Definition::parse(&format!("{section}:\n  - name: {name}\n    image: {name}\n"), "components_on")
    };
    match component.stage {
        Some(Stage::Init) => definition.init.push(name.to_owned()),
        Some(Stage::Onboot) => definition.onboot.extend(parsed("onboot")?.onboot),
        Some(Stage::Onshutdown) => definition.onshutdown.extend(parsed("onshutdown")?.onshutdown),
        Some(Stage::Service) | None => definition.services.extend(parsed("services")?.services),
    }
    Ok(())
}
