//! The proxies that a container engine is told when it builds for a site.

use super::fields::Id;
use super::resolve::{Lookup, ResolvedSite, Sources};
use crate::docker::Arguments;
use crate::secret;

/// Build arguments that every Dockerfile may use without an `ARG`. They stay out of the image, and are no
/// reason to build again. (docs.docker.com, "Predefined ARGs".)
pub const NAMES: [&str; 4] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy"];

const FIELDS: [Id; 4] = [Id::HttpProxy, Id::HttpsProxy, Id::FtpProxy, Id::NoProxy];

/// A password this long is hidden also where it stands alone; of a shorter one too many words have a part.
const LONG: usize = 4;

/// The site's proxies, and where it has none those of the environment; each in both spellings.
pub fn arguments(site: &ResolvedSite) -> Arguments {
    arguments_with(site, &Sources::environment)
}

fn arguments_with(site: &ResolvedSite, env: &Lookup) -> Arguments {
    let env = |name: &str| env(name).filter(|value| !value.trim().is_empty());
    let mut arguments = Arguments::default();
    for (name, id) in NAMES.into_iter().zip(FIELDS) {
        let upper = name.to_ascii_uppercase();
        let Some(value) = site.text(id).or_else(|| env(name)).or_else(|| env(&upper)) else { continue };
        if let Some(user) = secret::user(&value) {
            arguments.hide(user);
            let password = user.split_once(':').map_or("", |(_, password)| password);
            if password.len() >= LONG {
                arguments.hide(password);
            }
        }
        arguments.set(&upper, value.as_str());
        arguments.set(name, value);
    }
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::site::resolve;

    #[test]
    fn the_site_goes_before_the_environment_and_both_spellings_are_told() {
        let flags = [(Id::HttpsProxy, "http://me:secret@site:1".to_owned())].into();
        let site = resolve("berlin", &Sources { flags, ..Sources::default() }).site;
        let env: &Lookup = &|name| match name {
            "https_proxy" | "HTTP_PROXY" => Some("http://machine:1".to_owned()),
            "ftp_proxy" => Some(" ".to_owned()),
            _ => None,
        };
        let arguments = arguments_with(&site, env);
        let all: Vec<(&str, &str)> =
            arguments.values().iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let wanted = [
            ("HTTPS_PROXY", "http://me:secret@site:1"),
            ("HTTP_PROXY", "http://machine:1"),
            ("http_proxy", "http://machine:1"),
            ("https_proxy", "http://me:secret@site:1"),
        ];
        assert_eq!(all, wanted);
        assert!(arguments.are_told_by("me:secret") && arguments.are_told_by("its secret"));
    }
}
