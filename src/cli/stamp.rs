//! `hookos stamp`: a published image becomes a site's image.

use super::context::Context;
use super::profile_arg::ProfileFlag;
use super::render::Short;
use crate::build::files::Artifact;
use crate::build::image::registry;
use crate::build::published::Base;
use crate::build::stamp::Request;
use crate::problem::{Problem, Result};
use crate::progress::Progress as _;
use crate::publish::Named;
use crate::site::{FieldFlags, certificates};
use crate::words::size;
use std::path::{Path, PathBuf};

/// Put a profile's site segment on a published image, in place of a build.
///
/// Takes seconds: nothing of the image is unpacked or compressed anew. Its kernel and initramfs are copied, and
/// the site's endpoints, settings and certificates go behind them, where they replace those of the image. What else is
/// in the image's archive stays in it, apart from a signature of the initramfs, which is none of the new one.
/// The image may be one of ours or of HookOS as others publish it (initramfs compressed by gzip, zstd or xz).
///
/// With --bundle only the site's segment and its kernel command line are written: boot loaders that load two initrds put it on the
/// image themselves, so one image serves every site.
#[derive(Debug, clap::Args)]
pub struct StampArgs {
    /// A hook_x86_64.tar.gz, a folder with kernel and initramfs, an initramfs, or a published image
    /// (registry/repository:tag). Not with --bundle.
    #[arg(value_name = "IMAGE", required_unless_present = "bundle", conflicts_with = "bundle")]
    image: Option<PathBuf>,
    #[command(flatten)]
    profile: ProfileFlag,
    /// Where the files go instead of out/PROFILE.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Write the site's segment alone.
    #[arg(long)]
    bundle: bool,
    #[command(flatten)]
    fields: FieldFlags,
}

pub fn run(args: StampArgs, context: &Context) -> Result<()> {
    let site = context.site(args.profile.name(), args.fields)?;
    let certificates = certificates::of_site(&site, &context.root, certificates::now())?;
    let out = args.out.unwrap_or_else(|| context.out(&site.name));
    let store = context.store()?;
    let options = registry(&site, &context.root)?;
    let progress = Short::start(context)?;
    let named = |image: &Path| Named::find(image, &store, &options, &progress);
    let named = args.image.as_deref().map(named).transpose()?;
    let base = named.as_ref().map(|named| Base::find(&named.path)).transpose()?;
    if let Some(image) = &args.image
        && same(image, &out)
    {
        return Err(Problem::usage("the image would replace itself")
            .in_file(image)
            .remedy("give another folder with --out"));
    }
    if context.dry_run {
        return context.answer(&out, &format!("The files would go to {}.", out.display()));
    }
    for warning in &certificates.warnings {
        progress.warn(&warning.to_string());
    }
    let request =
        Request { root: &context.root, store: &store, site: &site, certificates: &certificates, out: &out };
    let artifacts = match &base {
        Some(base) => request.stamp(base, &progress)?,
        None => request.bundle(&progress)?,
    };
    drop(progress);
    let line =
        |a: &Artifact| format!("{:<58} {:>12}  {}", out.join(&a.name).display(), size(a.bytes), a.sha256);
    let text: Vec<String> = artifacts.iter().map(line).collect();
    context.answer(&artifacts, &text.join("\n"))
}

/// Whether the image lies in the folder that is written to.
fn same(image: &Path, out: &Path) -> bool {
    let folder = if image.is_dir() { Some(image) } else { image.parent() };
    let real = |path: &Path| path.canonicalize().ok();
    folder.and_then(real).is_some_and(|folder| real(out) == Some(folder))
}
