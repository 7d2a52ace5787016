//! Names of images and the registries that they come from, by Docker's rules
//! (distribution/reference: what is before the first `/` is a registry if it has a `.`, a `:`, or is
//! `localhost`).

/// The registry of names without one.
const HUB: &str = "docker.io";
/// Other names of it.
const HUB_TOO: [&str; 3] = ["index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"];

/// An image to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// With a tag or digest: without one the engine would pull every tag that there is.
    pub full: String,
    /// Its registry, as [`registry`] writes it.
    pub registry: String,
}

impl Image {
    /// None when the text cannot be the name of an image.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"._-:/@[]+".contains(&b);
        if text.is_empty() || !text.bytes().all(fine) || text.contains("//") {
            return None;
        }
        let (first, rest) = match text.split_once('/') {
            Some((first, rest)) if is_registry(first) => (first, rest),
            _ => (HUB, text),
        };
        if rest.is_empty() || rest.starts_with(['/', ':', '@']) || rest.ends_with(['/', ':', '@']) {
            return None;
        }
        let last = rest.rsplit('/').next().unwrap_or(rest);
        let full = if last.contains([':', '@']) { text.to_owned() } else { format!("{text}:latest") };
        Some(Self { full, registry: registry(first) })
    }
}

fn is_registry(part: &str) -> bool {
    part.contains(['.', ':']) || part.eq_ignore_ascii_case("localhost")
}

/// The registry of a text such as `https://Registry.example.com:443/project`: host in lower case, and the
/// port unless it is that of HTTPS. Two registries are the same when these are.
pub fn registry(text: &str) -> String {
    let text = text.trim();
    let bare = text.split_once("://").map_or(text, |(_, rest)| rest);
    let host = bare.split('/').next().unwrap_or(bare).to_ascii_lowercase();
    let host = host.strip_suffix(":443").unwrap_or(&host).trim_end_matches('.');
    if HUB_TOO.contains(&host) { HUB.to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn image(text: &str) -> (String, String) {
        let image = Image::parse(text).unwrap();
        (image.full, image.registry)
    }

    #[test]
    fn tags_and_registries() {
        let pair = |full: &str, registry: &str| (full.to_owned(), registry.to_owned());
        assert_eq!(image("tink-worker"), pair("tink-worker:latest", "docker.io"));
        assert_eq!(image("tinkerbell/tink-worker:v1"), pair("tinkerbell/tink-worker:v1", "docker.io"));
        assert_eq!(image("localhost:7443/a/b"), pair("localhost:7443/a/b:latest", "localhost:7443"));
        assert_eq!(image("LOCALHOST/a:1"), pair("LOCALHOST/a:1", "localhost"));
        let digest = "quay.io/a/b@sha256:0000";
        assert_eq!(image(digest), pair(digest, "quay.io"));
        for bad in ["", " ", "a b", "a//b", "reg.example.com/", "a:", "x/y@", "$(reboot)", "a\nb"] {
            assert_eq!(Image::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn one_registry_has_many_spellings() {
        for text in [
            "Reg.Example.com",
            "reg.example.com:443/project/x",
            "https://reg.example.com/",
            "reg.example.com.",
        ] {
            assert_eq!(registry(text), "reg.example.com", "{text}");
        }
        for text in
            ["index.docker.io", "https://index.docker.io/v1/", "docker.io", "Registry-1.docker.io:443"]
        {
            assert_eq!(registry(text), "docker.io", "{text}");
        }
        assert_ne!(registry("reg.example.com:5000"), registry("reg.example.com"));
        // The part before the `@` or a longer name is another host.
        assert_ne!(registry("reg.example.com.evil.org"), registry("reg.example.com"));
        assert_ne!(registry("reg.example.com@evil.org"), registry("evil.org"));
    }

    proptest! {
        #[test]
        fn any_text(text in ".{0,40}") {
            if let Some(image) = Image::parse(&text) {
                prop_assert!(!image.registry.is_empty());
                prop_assert!(image.full.starts_with(text.trim()));
                let twice = registry(&image.registry);
                prop_assert_eq!(&twice, &registry(&twice));
            }
        }
    }
}
