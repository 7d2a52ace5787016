//! `hookos images`: images of registries, and carrying them to where there is none.

use super::context::Context;
use super::render::Short;
use crate::build::image::Request;
use crate::build::plan::State;
use crate::debian::lock::Mode;
use crate::oci::bundle::{self, Carried};
use crate::oci::signature::VerifyingKey;
use crate::oci::{push, registry};
use crate::problem::{Problem, Result};
use crate::site::FieldFlags;
use crate::store::{Digest, Key, Store};
use crate::words::size;
use std::path::{Path, PathBuf};

/// List, pull, push, import and export images; no Docker is used.
///
/// Logins are those of `docker login` and `podman login`; mirrors, own certificates and registries without TLS
/// stand in registries.toml (docs/registries.md). For a builder that reaches no registry, export on one that
/// does, carry the file there, and import it:
///
///   hookos images export stick.tar --profile lab
///   hookos images import stick.tar
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ImagesArgs {
    #[command(subcommand)]
    command: Option<ImagesCommand>,
}

#[derive(Debug, clap::Subcommand)]
enum ImagesCommand {
    /// Say which images the store has by name (the default).
    List,
    /// Bring images from registries into the store.
    Pull {
        #[arg(required = true, value_name = "REFERENCE")]
        references: Vec<String>,
        /// Ask the registry even where the store has the image.
        #[arg(long)]
        refresh: bool,
        /// Refuse what is not signed with this key (PEM; as `cosign.pub`).
        #[arg(long, env = "HOOKOS_VERIFY_KEY", value_name = "FILE")]
        verify_key: Option<PathBuf>,
    },
    /// Bring the files of a published artifact, such as a HookOS image, into a folder.
    Fetch {
        #[arg(value_name = "REFERENCE")]
        reference: String,
        /// Where the files go.
        #[arg(long, default_value = ".", value_name = "FOLDER")]
        out: PathBuf,
        /// Refuse what is not signed with this key (PEM; as `cosign.pub`).
        #[arg(long, env = "HOOKOS_VERIFY_KEY", value_name = "FILE")]
        verify_key: Option<PathBuf>,
    },
    /// Send an image of the store to a registry; what is there already is not sent.
    Push {
        /// Its name in the store.
        #[arg(value_name = "NAME")]
        name: String,
        /// Where to (default: to where its name says).
        #[arg(value_name = "REFERENCE")]
        to: Option<String>,
    },
    /// Bring in every image of a file: an OCI image layout (folder or tar) or what `docker save` wrote.
    Import {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// The name of an image that has none, or another name for the only one.
        #[arg(long, value_name = "REFERENCE")]
        name: Option<String>,
    },
    /// Write images to a file: an OCI image layout, as one tar where the name ends in .tar, else as a folder.
    Export {
        #[arg(value_name = "FILE")]
        file: PathBuf,
        /// Names of images in the store.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
        /// Every image that has a name.
        #[arg(long, conflicts_with = "names")]
        all: bool,
        /// All that a build of this profile takes from the store: then it needs neither registry nor Debian
        /// mirror nor compiler elsewhere. Build the profile first.
        #[arg(long, value_name = "PROFILE")]
        profile: Option<String>,
        #[command(flatten)]
        fields: Box<FieldFlags>,
    },
    /// Forget the names of images; `hookos cache prune` makes room later.
    Remove {
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

pub fn run(args: ImagesArgs, context: &Context) -> Result<()> {
    let store = context.store()?;
    match args.command.unwrap_or(ImagesCommand::List) {
        ImagesCommand::List => list(&store, context),
        ImagesCommand::Pull { references, refresh, verify_key } => {
            pull(&store, &references, refresh, verify_key.as_deref(), context)
        }
        ImagesCommand::Fetch { reference, out, verify_key } => {
            let verify = verify_key.as_deref().map(VerifyingKey::read).transpose()?;
            let options = registry::Options { verify, ..context.registry()? };
            let progress = Short::start(context)?;
            progress.say(&format!("fetching {reference}"));
            let files = crate::publish::fetch(&store, &reference, &out, &options, &progress)?;
            drop(progress);
            let text: Vec<String> = files.iter().map(|file| file.display().to_string()).collect();
            context.answer(&files, &text.join("\n"))
        }
        ImagesCommand::Push { name, to } => send(&store, &name, to.as_deref(), context),
        ImagesCommand::Import { file, name } => {
            let progress = Short::start(context)?;
            let carried = bundle::import(&store, &file, name.as_deref(), &progress)
                .map_err(|e| Problem::from(e).while_doing("nothing more was brought in"))?;
            drop(progress);
            context.answer(&carried, &told(&carried))
        }
        ImagesCommand::Export { file, names, all, profile, fields } => {
            let (mut wanted, mut keys) = (names, Vec::new());
            if all {
                wanted.extend(store.names()?.into_iter().map(|(name, _)| name));
            }
            if let Some(profile) = profile {
                let (names, work) = of_profile(&store, &profile, *fields, context)?;
                wanted.extend(names);
                keys = work;
            }
            export(&store, wanted, &keys, &file, context)
        }
        ImagesCommand::Remove { names } => {
            for name in &names {
                let whole =
                    registry::parse(name).map(|reference| reference.whole()).map_err(Problem::from)?;
                if !store.forget_name(&whole)? {
                    return Err(unknown(&store, &whole));
                }
            }
            context.answer(&names, &format!("forgotten: {}", names.join(", ")))
        }
    }
}

/// An image of the store, as it is listed.
#[derive(serde::Serialize)]
struct Row {
    name: String,
    digest: Digest,
    layers: usize,
    /// Bytes of all layers, uncompressed.
    bytes: u64,
}

fn list(store: &Store, context: &Context) -> Result<()> {
    let mut rows = Vec::new();
    for (name, digest) in store.names()? {
        let Ok(image) = crate::oci::read_image(store, &digest) else { continue };
        let size = |layer: &Digest| std::fs::metadata(store.path(layer)).map_or(0, |meta| meta.len());
        let bytes = image.layers.iter().map(size).sum();
        rows.push(Row { name, digest, layers: image.layers.len(), bytes });
    }
    let wide = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    let line = |row: &Row| format!("{:<wide$}  {:>10}  {}", row.name, size(row.bytes), row.digest);
    let text = match rows.is_empty() {
        true => "The store has no image with a name. `hookos images pull REFERENCE` brings one.".to_owned(),
        false => rows.iter().map(line).collect::<Vec<_>>().join("\n"),
    };
    context.answer(&rows, &text)
}

fn pull(
    store: &Store,
    references: &[String],
    refresh: bool,
    key: Option<&Path>,
    context: &Context,
) -> Result<()> {
    let verify = key.map(VerifyingKey::read).transpose()?;
    let options = registry::Options { refresh, verify, ..context.registry()? };
    let progress = Short::start(context)?;
    let mut rows = Vec::new();
    for reference in references {
        progress.say(&format!("pulling {reference}"));
        let image = registry::pull(store, reference, &options, &progress)
            .map_err(|e| Problem::from(e).while_doing(format!("image {reference} cannot be pulled")))?;
        rows.push((reference.clone(), image.manifest));
    }
    drop(progress);
    let text: Vec<String> = rows.iter().map(|(name, digest)| format!("{name}  {digest}")).collect();
    context.answer(&rows, &text.join("\n"))
}

fn unknown(store: &Store, name: &str) -> Problem {
    let names: Vec<String> = store.names().unwrap_or_default().into_iter().map(|(name, _)| name).collect();
    let has = if names.is_empty() { "no image with a name".to_owned() } else { names.join(", ") };
    Problem::usage(format!("the store has no image {name}")).remedy(format!("it has: {has}"))
}

fn send(store: &Store, name: &str, to: Option<&str>, context: &Context) -> Result<()> {
    let image = registry::named(store, name).map_err(Problem::from)?.ok_or_else(|| unknown(store, name))?;
    let to = to.unwrap_or(name);
    if context.dry_run {
        return context.answer(&to, &format!("{} would be sent to {to}", image.manifest));
    }
    let progress = Short::start(context)?;
    // The same registry may have its blobs where it was pulled from.
    let (source, target) = (registry::parse(name).ok(), registry::parse(to).map_err(Problem::from)?);
    let from = source.filter(|source| source.registry() == target.registry());
    let from = from.as_ref().map(|source| source.repository());
    let pushed = push::push(store, &image, to, from, &context.registry()?, &progress)
        .map_err(|e| Problem::from(e).while_doing(format!("{name} was not pushed")))?;
    drop(progress);
    context.answer(&pushed, &pushed.to_string())
}

/// The names and results of work that a build of the profile uses.
fn of_profile(
    store: &Store,
    profile: &str,
    fields: FieldFlags,
    context: &Context,
) -> Result<(Vec<String>, Vec<Key>)> {
    let site = context.site(profile, fields)?;
    let out = context.out(&site.name);
    let request = Request {
        root: &context.root,
        out: &out,
        store,
        site: &site,
        locks: Mode::Default,
        jobs: 1,
        cache: None,
    };
    let missing: Vec<String> =
        (request.dry_run()?.into_iter()).filter(|row| row.state == State::Todo).map(|row| row.item).collect();
    if !missing.is_empty() {
        return Err(Problem::usage(format!("the store has not yet: {}", missing.join(", ")))
            .remedy(format!("build it first: hookos build {profile}")));
    }
    let whole =
        |name: String| registry::parse(&name).map(|reference| reference.whole()).map_err(Problem::from);
    let names = request.references()?.into_iter().map(whole).collect::<Result<_>>()?;
    Ok((names, store.used()))
}

fn export(store: &Store, names: Vec<String>, keys: &[Key], file: &Path, context: &Context) -> Result<()> {
    let mut wanted = Vec::new();
    for name in names {
        let whole = registry::parse(&name).map(|reference| reference.whole()).map_err(Problem::from)?;
        if store.named(&whole).is_none() {
            return Err(unknown(store, &whole));
        }
        wanted.push(whole);
    }
    wanted.sort();
    wanted.dedup();
    if wanted.is_empty() && keys.is_empty() {
        return Err(Problem::usage("nothing is named that could be exported")
            .remedy("give names (hookos images list), --all, or --profile PROFILE"));
    }
    if context.dry_run {
        return context.answer(&wanted, &wanted.join("\n"));
    }
    let progress = Short::start(context)?;
    let carried = bundle::export(store, &wanted, keys, file, &progress)
        .map_err(|e| Problem::from(e).while_doing(format!("{} was not written", file.display())))?;
    drop(progress);
    let text = format!("{}\n{}: {}", told(&carried), file.display(), size(carried.bytes));
    context.answer(&carried, &text)
}

fn told(carried: &Carried) -> String {
    let mut lines: Vec<String> =
        carried.images.iter().map(|(name, digest)| format!("{name}  {digest}")).collect();
    if carried.work > 0 {
        lines.push(format!("{} results of work", carried.work));
    }
    lines.join("\n")
}
