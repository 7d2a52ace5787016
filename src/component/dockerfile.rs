//! A component with a `Dockerfile`: the Docker engine builds it, the store keeps it.

use super::build::{Built, Context, Input, VERSION, recall, remember, store_problem};
use super::definition::{Definition, Dockerfile};
use super::own::Own;
use super::pulled::finish;
use super::values::EPOCH;
use crate::docker::{self, Arguments, Engine, Place};
use crate::oci::{self, Platform};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Key, KeyMaker};
use std::path::Path;

/// What decides a component of a Dockerfile: its definition (with the build's arguments), the files beside it,
/// and the clamp of times. Proxies are the way there, and decide nothing.
pub(super) fn key(ctx: &Context, definition: &Definition, files: &Digest) -> Key {
    KeyMaker::new(VERSION)
        .add("definition", &definition.text)
        .add("dockerfile", files.bytes())
        .add("epoch", ctx.epoch.map_or(String::new(), |epoch| epoch.to_string()))
        .finish()
}

/// The component's folder and its digest.
pub(super) fn files(definition: &Definition) -> Result<(docker::Context, Digest)> {
    let files = docker::Context::read(&definition.folder);
    let both = files.and_then(|files| files.digest().map(|digest| (files, digest)));
    both.map_err(|e| {
        Problem::new("the component's files cannot be read").in_file(&definition.folder).because(e)
    })
}

pub(super) fn build(
    ctx: &Context,
    definition: &Definition,
    dockerfile: &Dockerfile,
    progress: &dyn Progress,
) -> Result<Built> {
    let (files, digest) = files(definition)?;
    let key = key(ctx, definition, &digest);
    if let Some(built) = recall(&ctx.store, &key, &definition.name) {
        return Ok(built);
    }
    // One process makes an image; the others wait and then find it.
    let _lock = ctx.store.lock(&format!("component-{}", &key.hex()[..16])).map_err(store_problem)?;
    if let Some(built) = recall(&ctx.store, &key, &definition.name) {
        return Ok(built);
    }
    let file = &dockerfile.path;
    let engine = connect(file)?;
    progress.log(&format!("{engine} builds {}", file.display()));
    let mut arguments = ctx.proxies.clone().and(&dockerfile.arguments);
    if let Some(epoch) = ctx.epoch {
        arguments.set(EPOCH, epoch.to_string());
    }
    let saved = make(ctx, &engine, &files, (&arguments, digest), file, progress)?;
    let manifest = saved.manifest;
    let image = match definition.label {
        Some(_) => finish(ctx, definition, saved, Own::default(), &[], &[])?,
        None => saved,
    };
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

/// Has the engine make the image, and brings it here. The engine keeps nothing but its cache of steps.
fn make(
    ctx: &Context,
    engine: &Engine,
    files: &docker::Context,
    (arguments, digest): (&Arguments, Digest),
    file: &Path,
    progress: &dyn Progress,
) -> Result<oci::Image> {
    let failed = |error: docker::Error| explain(error, file);
    let image = engine.build(files, arguments, &ctx.registry.credentials, progress).map_err(failed)?;
    if image.sent.is_some_and(|sent| sent != digest) {
        return Err(Problem::new("the component's files changed while they were sent to the engine")
            .in_file(file)
            .remedy("build again"));
    }
    // What an archive holds stands at its end, so it is a file for a while.
    let mut archive = tempfile::Builder::new()
        .prefix("docker-")
        .suffix(".tar")
        .tempfile_in(ctx.store.tmp())
        .map_err(|e| Problem::new("the image cannot be kept").because(e))?;
    progress.log(&format!("taking {} from the engine", image.id));
    image.save(archive.as_file_mut(), progress).map_err(failed)?;
    drop(image);
    let saved = oci::import_docker_archive(&ctx.store, archive.path(), None, &Platform::default(), progress)
        .map_err(|e| Problem::new("the engine's image cannot be used").in_file(file).because(e))?;
    let config = oci::image::config_digest(&ctx.store, &saved.manifest)
        .map_err(|e| Problem::new("the engine's image cannot be used").in_file(file).because(e))?;
    let config = ctx.store.read(&config).map_err(store_problem)?;
    if arguments.are_told_by(&String::from_utf8_lossy(&config)) {
        return Err(Problem::new("the image would tell everybody the proxy's password")
            .in_file(file)
            .remedy("the Dockerfile needs no `ARG` and no `ENV` for proxies: every RUN has them without"));
    }
    Ok(saved)
}

/// The engine, or what to do without one.
pub fn connect(file: &Path) -> Result<Engine> {
    Place::find().and_then(|place| Engine::connect(&place)).map_err(|error| explain(error, file))
}

fn explain(error: docker::Error, file: &Path) -> Problem {
    let remedy = match &error {
        docker::Error::Cancelled => return Problem::cancelled(),
        docker::Error::Gone { .. } | docker::Error::Context { .. } => {
            "start Docker (or Podman's service, with DOCKER_HOST), or leave the component out: --components-off, or \
             `components_off` in the profile; everything else is built without it"
        }
        docker::Error::Step { .. } => "mend the Dockerfile; the log has all that the step printed",
        docker::Error::Files(_) | docker::Error::Kept(_) => "check the file, its permissions and the disk",
        docker::Error::Engine { .. } => "look at the engine's own log",
    };
    Problem::new(error.to_string()).in_file(file).remedy(remedy)
}
