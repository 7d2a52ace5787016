//! Short image references, expanded as LinuxKit's `build` expands them.

/// `alpine` to `docker.io/library/alpine`, `linuxkit/init:v1` to `docker.io/linuxkit/init:v1`; a
/// reference whose first of two parts is a host, or that has three parts, stays as it is.
/// No tag is added: LinuxKit looks `alpine` up under the name without `:latest`.
pub fn expand(reference: &str) -> String {
    let parts: Vec<&str> = reference.split('/').collect();
    match parts.as_slice() {
        [_] => format!("docker.io/library/{reference}"),
        [first, _] if !first.contains(['.', ':']) && *first != "localhost" => {
            format!("docker.io/{reference}")
        }
        _ => reference.to_owned(),
    }
}

/// The sentence that says what is wrong with a reference, if anything is.
pub fn fault(reference: &str) -> Option<String> {
    if reference.is_empty() {
        return Some("the image reference is empty".into());
    }
    if let Some(bad) = reference.chars().find(|c| c.is_whitespace() || c.is_control()) {
        return Some(format!("the image reference {reference:?} has the character {bad:?}"));
    }
    if reference.contains("://") {
        return Some(format!("the image reference {reference:?} is an address; leave the scheme out"));
    }
    if reference.split('/').any(str::is_empty) {
        return Some(format!("the image reference {reference:?} has an empty part"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_expanded_as_linuxkit_does() {
        for (short, full) in [
            ("alpine", "docker.io/library/alpine"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("linuxkit/init:v1", "docker.io/linuxkit/init:v1"),
            ("localhost/x", "localhost/x"),
            ("localhost:5000/x", "localhost:5000/x"),
            ("registry.test/x", "registry.test/x"),
            ("a/b/c", "a/b/c"),
            ("x@sha256:00", "docker.io/library/x@sha256:00"),
        ] {
            assert_eq!(expand(short), full);
            assert_eq!(expand(full), full, "expanding twice changes nothing");
        }
        assert!(fault("a b").is_some() && fault("").is_some() && fault("a//b").is_some());
        assert!(fault("a/b:1@sha256:00").is_none());
    }
}
