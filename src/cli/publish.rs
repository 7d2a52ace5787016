//! `hookos push-kernel-ci`, `publish-binaries-ci` and `artifact-publish`: what is built goes to a registry.

use super::context::Context;
use super::profile_arg::ProfileArg;
use super::render::Short;
use crate::build::image::Request;
use crate::debian::lock::Mode;
use crate::kernel::image::Built;
use crate::oci::signature::{PASSWORD, SigningKey};
use crate::problem::{Problem, Result};
use crate::publish::{Published, Publisher};
use crate::site::{FieldFlags, Id, ResolvedSite};
use std::path::{Path, PathBuf};

/// What the three commands take.
#[derive(Debug, clap::Args)]
pub struct PublishArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// Where the build has left the image, if not in out/PROFILE.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Overwrite a tag that names something else.
    #[arg(long)]
    force: bool,
    /// Sign with this private key (ECDSA P-256, PEM; as `cosign.key`, whose password COSIGN_PASSWORD holds).
    #[arg(long, env = "HOOKOS_SIGN_KEY", value_name = "FILE")]
    sign_key: Option<PathBuf>,
    #[command(flatten)]
    fields: FieldFlags,
}

/// Which of them was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Kernel,
    Binaries,
    All,
}

pub fn run(args: PublishArgs, what: What, context: &Context) -> Result<()> {
    let site = context.site(args.profile.name(), args.fields)?;
    let registry = site.text(Id::PublishRegistry).ok_or_else(|| {
        Problem::usage("no registry is named that could be published to").remedy(
            "name it: --publish-registry HOST, HOOKOS_PUBLISH_REGISTRY, or `registry` under [publish] in the profile",
        )
    })?;
    let key = args.sign_key.as_deref().map(signing_key).transpose()?;
    let store = context.store()?;
    let out = args.out.unwrap_or_else(|| context.out(&site.name));
    let kernel = match what {
        What::Binaries => None,
        What::Kernel | What::All => Some(kernel(&site, &store, &out, context)?),
    };
    let field = |id: Id| site.text(id).unwrap_or_default();
    let kernel = kernel
        .map(|built| (format!("{registry}/{}:{}", field(Id::PublishKernelRepository), built.tag), built));
    let image = (what != What::Kernel)
        .then(|| format!("{registry}/{}:{}", field(Id::PublishRepository), field(Id::PublishVersion)));
    if context.dry_run {
        let targets: Vec<&String> = kernel.iter().map(|(target, _)| target).chain(&image).collect();
        let lines: Vec<String> = targets.iter().map(|target| format!("would publish {target}")).collect();
        return context.answer(&targets, &lines.join("\n"));
    }
    let progress = Short::start(context)?;
    let options = context.registry()?;
    let publisher = Publisher {
        store: &store,
        options: &options,
        key: key.as_ref(),
        force: args.force,
        progress: &progress,
    };
    let mut done: Vec<Published> = Vec::new();
    if let Some((target, built)) = kernel {
        done.push(publisher.kernel(&built, &target)?);
    }
    if let Some(target) = image {
        done.push(publisher.image(&out, &target)?);
    }
    drop(progress);
    let text: Vec<String> = done.iter().map(ToString::to_string).collect();
    context.answer(&done, &text.join("\n"))
}

/// The kernel that the profile's build uses, from the store.
fn kernel(site: &ResolvedSite, store: &crate::store::Store, out: &Path, context: &Context) -> Result<Built> {
    let request =
        Request { root: &context.root, out, store, site, locks: Mode::Default, jobs: 1, cache: None };
    request.kernel_here().ok_or_else(|| {
        Problem::usage("the profile's kernel is not in the store")
            .remedy(format!("build the profile first: hookos build {}", site.name))
    })
}

fn signing_key(file: &Path) -> Result<SigningKey> {
    let password = std::env::var(PASSWORD).ok();
    Ok(SigningKey::read(file, password.as_deref())?)
}
