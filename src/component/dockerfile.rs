//! A component with a `Dockerfile`: the Docker engine builds it, the store keeps it.

use super::build::{Built, Context, Input, VERSION, recall, remember, store_problem};
use super::definition::Definition;
use super::own::Own;
use super::pulled::finish;
use crate::docker::{self, Engine, Place};
use crate::oci::{self, Platform};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::Path;

/// Variables of the environment that a build gets as arguments. Every Dockerfile may use them, they stay
/// out of the image, and they are no reason to build again. (docs.docker.com, "Predefined ARGs".)
const PROXIES: [&str; 8] = [
    "http_proxy",
    "https_proxy",
    "ftp_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "FTP_PROXY",
    "NO_PROXY",
];

/// What decides a component of a Dockerfile: its definition and the files beside it.
pub(super) fn key(definition: &Definition, files: &docker::Context) -> Result<Key> {
    let digest = files.digest().map_err(|e| unreadable(definition, e))?;
    Ok(KeyMaker::new(VERSION).add("definition", &definition.text).add("dockerfile", digest.bytes()).finish())
}

pub(super) fn files(definition: &Definition) -> Result<docker::Context> {
    docker::Context::read(&definition.folder).map_err(|e| unreadable(definition, e))
}

fn unreadable(definition: &Definition, error: std::io::Error) -> Problem {
    Problem::new("the component's files cannot be read").in_file(&definition.folder).because(error)
}

pub(super) fn build(
    ctx: &Context,
    definition: &Definition,
    file: &Path,
    progress: &dyn Progress,
) -> Result<Built> {
    let files = files(definition)?;
    let key = key(definition, &files)?;
    if let Some(built) = recall(&ctx.store, &key, &definition.name) {
        return Ok(built);
    }
    // One process makes an image; the others wait and then find it.
    let _lock = ctx.store.lock(&format!("component-{}", &key.hex()[..16])).map_err(store_problem)?;
    if let Some(built) = recall(&ctx.store, &key, &definition.name) {
        return Ok(built);
    }
    let failed = |error: docker::Error| explain(error, file);
    let engine = connect(file)?;
    progress.log(&format!("Docker {} builds {}", engine.version, file.display()));
    let image = engine.build(&files, &arguments(ctx), progress).map_err(failed)?;
    let mut archive = tempfile::Builder::new()
        .prefix("docker-")
        .suffix(".tar")
        .tempfile_in(ctx.store.tmp())
        .map_err(|e| Problem::new("the image cannot be kept").because(e))?;
    progress.log(&format!("taking {image} from the engine"));
    engine.save(&image, archive.as_file_mut(), progress).map_err(failed)?;
    archive.flush().map_err(|e| Problem::new("the image cannot be kept").because(e))?;
    let saved = oci::import_docker_archive(&ctx.store, archive.path(), None, &Platform::default(), progress)
        .map_err(|e| Problem::new("the engine's image cannot be used").in_file(file).because(e))?;
    let manifest = saved.manifest;
    let image = match definition.label {
        Some(_) => finish(ctx, definition, saved, Own::default(), &[], &[])?,
        None => saved,
    };
    let digest = files.digest().map_err(|e| unreadable(definition, e))?;
    let input = |kind: &str, name: String, digest: Digest| Input { kind: kind.to_owned(), name, digest };
    let built = Built {
        name: definition.name.clone(),
        image,
        key: key.hex(),
        packages: Vec::new(),
        crates: Vec::new(),
        inputs: vec![
            Input::of_definition(definition),
            input("file", format!("{}/Dockerfile and its files", definition.name), digest),
            input("image", format!("{} as Docker built it", definition.name), manifest),
        ],
        cached: false,
    };
    remember(&ctx.store, &key, &built)?;
    Ok(built)
}

/// The engine, or what to do without one.
pub fn connect(file: &Path) -> Result<Engine> {
    Place::find().and_then(|place| Engine::connect(&place)).map_err(|error| explain(error, file))
}

fn arguments(ctx: &Context) -> BTreeMap<String, String> {
    let proxy = |name: &&str| Some(((*name).to_owned(), std::env::var(name).ok().filter(|v| !v.is_empty())?));
    let mut arguments: BTreeMap<String, String> = PROXIES.iter().filter_map(proxy).collect();
    arguments.extend(ctx.epoch.map(|epoch| ("SOURCE_DATE_EPOCH".to_owned(), epoch.to_string())));
    arguments
}

fn explain(error: docker::Error, file: &Path) -> Problem {
    let remedy = match &error {
        docker::Error::Cancelled => return Problem::cancelled(),
        docker::Error::Gone { .. } | docker::Error::Context { .. } => {
            "start Docker (or Podman's service, with DOCKER_HOST), or leave the component out: --components-off, or \
             `components_off` in the profile; everything else is built without it"
        }
        docker::Error::Step { .. } => "mend the Dockerfile; the log has all that the step printed",
        _ => "look at the engine's own log",
    };
    Problem::new(error.to_string()).in_file(file).remedy(remedy)
}
