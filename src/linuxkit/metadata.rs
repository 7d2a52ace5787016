//! The definition as a text, for files with `metadata:`.

use super::definition::Definition;
use super::{go_json, reference};
use crate::problem::{Problem, Result};

/// The definition with expanded references, except those of volumes, which LinuxKit leaves, and
/// component names, which have no longer form.
pub fn expanded(definition: &Definition, is_component: &dyn Fn(&str) -> bool) -> Definition {
    let mut out = definition.clone();
    let kernel = out.kernel.iter_mut().map(|kernel| &mut kernel.image);
    let containers = out.onboot.iter_mut().chain(&mut out.onshutdown).chain(&mut out.services);
    for image in kernel.chain(&mut out.init).chain(containers.map(|container| &mut container.image)) {
        if !image.is_empty() && !is_component(image) {
            *image = reference::expand(image);
        }
    }
    out
}

/// YAML that parses to the same definition again. (LinuxKit prints null keys, which it then refuses.)
pub fn to_yaml(definition: &Definition) -> Result<String> {
    let options = serde_saphyr::ser_options! { prefer_block_scalars: false };
    serde_saphyr::to_string_with_options(definition, options)
        .map_err(|e| Problem::new("cannot write the definition as YAML").because(e))
}

/// JSON, indented by four blanks.
pub fn to_json(definition: &Definition) -> Result<String> {
    go_json::to_string(definition).map_err(|e| Problem::new("cannot write the definition as JSON").because(e))
}
