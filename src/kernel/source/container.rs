//! The recipe run by a Docker engine, through `kernel/Dockerfile`.

use super::lines::Lines;
use super::tarball::Tarball;
use super::{DOCKERFILE, Plan, SCRIPT};
use crate::docker::{Context, Engine, Error};
use crate::initramfs::tree::Tree;
use crate::oci::{self, Platform};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::Store;
use std::collections::BTreeMap;
use std::path::Path;

/// What the step of the Dockerfile says that compiles.
const COMPILES: &str = "build.sh build ";

/// Compiles; gives the files of the result and the compiler's warnings.
pub(super) fn compile(
    plan: &Plan,
    engine: &Engine,
    tarball: &Tarball,
    scratch: &Path,
    store: &Store,
    progress: &dyn Progress,
) -> Result<(Tree, Vec<String>)> {
    let recipe = &plan.settings.folder;
    let unusable = |e: std::io::Error| Problem::new("the build's files cannot be laid out").because(e);
    let (dockerfile, script) = (scratch.join(DOCKERFILE), recipe.join(SCRIPT));
    std::fs::write(&dockerfile, &plan.dockerfile).map_err(unusable)?;
    let context = Context::of(&[
        (DOCKERFILE, &dockerfile),
        (SCRIPT, &script),
        ("config", &plan.config),
        ("linux.tar", &tarball.path),
    ]);
    let arguments = plan.settings.proxies.clone().and(&BTreeMap::from([
        ("BASE".to_owned(), plan.settings.base.clone()),
        ("VERSION".to_owned(), plan.settings.version()),
        // Of the engine's cache a kernel that was compiled before would come back as if it were compiled now.
        ("ONCE".to_owned(), format!("{:016x}", fastrand::u64(..))),
        ("JOBS".to_owned(), plan.settings.jobs.max(1).to_string()),
    ]));
    progress.log(&format!("{engine} compiles in {}", plan.settings.base));
    let lines = Lines::new(progress);
    let credentials = &plan.settings.credentials;
    let image =
        engine.build(&context, &arguments, credentials, &lines).map_err(|e| explain(e, &lines, plan))?;
    let mut archive = tempfile::Builder::new()
        .prefix("kernel-")
        .suffix(".tar")
        .tempfile_in(scratch)
        .map_err(|e| Problem::new("the engine's result cannot be kept").because(e))?;
    progress.log(&format!("taking {} from the engine", image.id));
    image.save(archive.as_file_mut(), progress).map_err(|e| explain(e, &lines, plan))?;
    drop(image);
    let unusable = "the engine's result cannot be used";
    let saved = oci::import_docker_archive(store, archive.path(), None, &Platform::default(), progress)
        .map_err(|e| Problem::new(unusable).because(e))?;
    let tree = oci::image_tree(store, &saved).map_err(|e| Problem::new(unusable).because(e))?;
    Ok((tree, lines.warnings()))
}

fn explain(error: Error, lines: &Lines<'_>, plan: &Plan) -> Problem {
    match error {
        Error::Cancelled => Problem::cancelled(),
        // The command failed, and its lines say why; of other steps the engine does.
        Error::Step { step, .. } if step.contains(COMPILES) && step.starts_with("RUN ") => {
            lines.problem(&plan.settings.version())
        }
        Error::Step { .. } => Problem::new(error.to_string())
            .in_file(plan.settings.folder.join(DOCKERFILE))
            .remedy("an image to start from that has the tools needs no network: --kernel-base IMAGE"),
        _ => Problem::new(error.to_string()).remedy("look at the engine's own log"),
    }
}
