//! Who we are to the registries that a Dockerfile names: the engine pulls the images, and asks us.

use super::{Arguments, Context, dockerfile};
use crate::oci::credentials::{Credentials, Login, Secret};
use crate::oci::registry;
use crate::progress::Progress;
use bollard::auth::DockerCredentials;
use std::collections::HashMap;

/// What the old builder is told them in.
pub(super) const HEADER: &str = "x-registry-config";
/// Docker Hub, for the old builder and for BuildKit.
const HUB: [&str; 2] = ["https://index.docker.io/v1/", "registry-1.docker.io"];

/// The logins of this user for the images that the context's Dockerfile names. One that cannot be had is
/// told of: the image may be one that everybody may have.
pub(super) fn of(
    context: &Context,
    arguments: &Arguments,
    credentials: &Credentials,
    progress: &dyn Progress,
) -> Option<HashMap<String, DockerCredentials>> {
    // Without one the engine says so.
    let text = context.text("Dockerfile").unwrap_or_default();
    let mut all = HashMap::new();
    for image in dockerfile::images(&text, arguments.values()) {
        let Ok(reference) = registry::parse(&image) else { continue };
        let found = credentials.login(reference.registry(), reference.repository(), progress);
        match found.map(|found| found.login) {
            Ok(None) => {}
            Ok(Some(login)) => {
                for key in keys(reference.registry()) {
                    all.entry(key.clone()).or_insert_with(|| of_login(&login, key));
                }
            }
            Err(why) => progress.warn(&format!("no login for {}: {why}", reference.registry())),
        }
    }
    (!all.is_empty()).then_some(all)
}

fn keys(host: &str) -> Vec<String> {
    match host {
        "docker.io" | "index.docker.io" => HUB.map(str::to_owned).to_vec(),
        other => vec![other.to_owned()],
    }
}

fn of_login(login: &Login, server: String) -> DockerCredentials {
    let mut all = DockerCredentials { serveraddress: Some(server), ..DockerCredentials::default() };
    match &login.secret {
        Secret::Password(password) => {
            all.username = Some(login.user.clone());
            all.password = Some(password.clone());
        }
        Secret::IdentityToken(token) => all.identitytoken = Some(token.clone()),
    }
    all
}
