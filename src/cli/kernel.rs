//! `hookos kernel`: the kernel by itself, and its configuration.

use super::context::Context;
use super::kernel_config as configuration;
use super::profile_arg::ProfileArg;
use super::render::Face;
use crate::build::image::Request;
use crate::build::releases::Release;
use crate::build::{Run, Stage};
use crate::debian::apt::Apt;
use crate::debian::lock::Mode;
use crate::kernel::image::Built;
use crate::kernel::recipe::Recipe;
use crate::kernel::series::{SERIES, Series};
use crate::kernel::source::{Source, download, tarball};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::{FieldFlags, Id, KernelSource, ResolvedSite, Value, files};
use std::path::PathBuf;

/// Make the kernel of a profile, or change its configuration.
///
/// A kernel from source is compiled even if the store has one with the same tag. --engine, --tarball and
/// the --config options mean a kernel from source even where the profile says another.
#[derive(Debug, clap::Args)]
pub struct KernelArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// What compiles it, for this time: auto, docker or host.
    #[arg(long, value_name = "CHOICE", value_parser = ["auto", "docker", "host"], conflicts_with = "kernel-engine")]
    engine: Option<String>,
    /// The source, for this time. Its SHA-256 must be pinned: kernel.tarball_sha256.
    #[arg(long, value_name = "FILE", conflicts_with = "kernel-tarball")]
    tarball: Option<PathBuf>,
    /// Change the configuration with menuconfig, and save it.
    #[arg(long, group = "task")]
    config: bool,
    /// Say what has changed in the configuration: since the last commit, or from FILE.
    #[arg(long, group = "task", value_name = "FILE", num_args = 0..=1)]
    config_diff: Option<Option<PathBuf>>,
    /// Check that this source's kernel gives every option that the configuration names.
    #[arg(long, group = "task")]
    config_check: bool,
    /// Renew the pins: Debian's packages; the newest point release; the SHA-256 of a tarball.
    #[arg(long, group = "task")]
    update: bool,
    /// Say where this profile's kernel can be had: here, in the release service, at kernel.org.
    #[arg(long, group = "task")]
    places: bool,
    /// How many objects to compile at the same time (default: one for each CPU).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    #[command(flatten)]
    fields: FieldFlags,
}

/// Where kernels can be had: the one that is chosen, and others to choose.
fn places(request: &Request<'_>, context: &Context) -> Result<()> {
    let all = request.kernels_here().with(&request.kernels_elsewhere());
    let mut lines: Vec<String> =
        all.places.iter().map(|place| format!("{:<16} {}", place.name, place.has)).collect();
    lines.push("releases, and who has them:".to_owned());
    let release = |r: &Release| {
        let end = Series::of(&r.version).map_or_else(String::new, |series| series.end_text());
        format!("  {:<14} until {end:<15} {}", r.version, r.places.join(", "))
    };
    lines.extend(all.releases.iter().map(release));
    lines.push("long-term series (kernel/configs has those that can be compiled):".to_owned());
    let series = |series: &Series| {
        let newest = all.newest.get(series.name);
        let newest = newest.map_or_else(String::new, |point| format!("newest {}.{point}", series.name));
        format!("  {:<14} until {:<15} {newest}", series.name, series.end_text()).trim_end().to_owned()
    };
    lines.extend(SERIES.iter().map(series));
    context.answer(&all, &lines.join("\n"))
}

pub fn run(args: KernelArgs, context: &Context) -> Result<()> {
    let mut fields = args.fields;
    if let Some(engine) = &args.engine {
        fields.0.insert(Id::KernelEngine, engine.clone());
    }
    if let Some(tarball) = &args.tarball {
        fields.0.insert(Id::KernelTarball, tarball.display().to_string());
    }
    let of_source = args.config || args.config_check || args.config_diff.is_some();
    if of_source || args.engine.is_some() || args.tarball.is_some() {
        fields.0.insert(Id::KernelSource, "source".to_owned());
    }
    if args.engine.as_deref() == Some("docker") && (args.config || args.config_check) {
        return Err(Problem::usage("a configuration is set up by this machine's own tools, not by Docker")
            .remedy("leave --engine out; what is missing here is said with the packages that have it"));
    }
    let site = context.site(args.profile.name(), fields)?;
    let store = context.store()?;
    let out = context.out(&site.name);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let request = Request {
        root: &context.root,
        out: &out,
        store: &store,
        site: &site,
        locks: if args.update { Mode::Update } else { Mode::Default },
        jobs: args.jobs.map_or(cores, usize::from),
        cache: None,
    };
    if let Some(other) = &args.config_diff {
        return configuration::diff(&request.source_plan()?, other.as_deref(), context);
    }
    if args.config {
        return configuration::change(&request.source_plan()?, &store, context);
    }
    if args.places {
        return places(&request, context);
    }
    if context.dry_run {
        return forecast(&request, context);
    }
    let title = format!("the kernel of {}", site.name);
    let cancel = super::cancel_on_signals()?;
    let (sender, face) = Face::choose(context.json, context.plain).show()?;
    let run = Run::start(&site.name, &out, sender, cancel)?;
    let done = run.stage(Stage::Kernel, |task| {
        if args.config_check {
            return task
                .item("configuration", |item| configuration::check(&request.source_plan()?, &store, item));
        }
        if args.update {
            return task.item("pins", |item| update(&request, args.profile.name(), context, item));
        }
        let built = request.make_kernel(task)?;
        Ok(Done { text: summary(&built), value: serde_json::json!({ "kernel": built }) })
    });
    run.finish(&done);
    drop(run);
    let _ = face.join();
    let done = done.map_err(|problem| problem_of(problem, &title))?;
    // With --json the events are the lines before it.
    context.answer(&done.value, &done.text)
}

/// What a task has to say at its end.
pub(super) struct Done {
    pub text: String,
    pub value: serde_json::Value,
}

fn problem_of(problem: Problem, title: &str) -> Problem {
    if problem.remedy_text().is_some() {
        problem
    } else {
        problem.while_doing(format!("{title} was not made"))
    }
}

fn summary(built: &Built) -> String {
    format!("Linux {} as {}\ntag {}\n{}", built.version, built.image.manifest, built.tag, built.report.after)
}

/// What would be made. Makes nothing.
fn forecast(request: &Request<'_>, context: &Context) -> Result<()> {
    let (tag, stored, from) = match request.site.kernel_source() {
        KernelSource::Debian => {
            let plan = request.kernel_plan(request.site.list(Id::ModuleGroupsOff))?;
            (plan.tag(), plan.find(request.store).is_some(), format!("Debian {}", plan.suite))
        }
        KernelSource::Source => {
            let plan = request.source_plan()?;
            let from = match &plan.settings.source {
                Source::File { path, .. } => path.display().to_string(),
                Source::Mirror(url) => url.clone(),
            };
            let stored = plan.find(request.store).is_some();
            (plan.tag, stored, from)
        }
    };
    let value = serde_json::json!({ "tag": tag, "stored": stored, "from": from });
    let place = if stored { "in the store" } else { "not in the store" };
    context
        .answer(&value, &format!("{tag}, from {from}: {place}\nNothing was made, and no network was used."))
}

/// Renews what the profile or the lock pins.
fn update(request: &Request<'_>, profile: &str, context: &Context, progress: &dyn Progress) -> Result<Done> {
    let site: &ResolvedSite = request.site;
    if site.kernel_source() == KernelSource::Debian {
        let folder = context.root.join("kernel");
        let apt = Apt::new(request.store, &request.archive());
        let packages = Recipe::read(&folder)?.packages(&folder, Mode::Update, &apt, progress)?;
        let lines: Vec<String> = packages.iter().map(|p| format!("{} {}", p.name, p.version)).collect();
        let text = format!("{}: {}", folder.join(Recipe::LOCK).display(), lines.join(", "));
        return Ok(Done { text, value: serde_json::json!({ "packages": packages }) });
    }
    let settings = request.source_plan()?.settings;
    let (id, value) = match &settings.source {
        Source::File { path, .. } => {
            (Id::KernelTarballSha256, Value::Text(tarball::digest(path, progress)?.hex()))
        }
        Source::Mirror(base) => {
            (Id::KernelPoint, Value::Integer(download::newest_point(base, &settings, progress)?))
        }
    };
    let (found, mut profile) = files::load(&context.root, profile)?;
    let field = id.field();
    let text = value.text();
    profile.set(field, Some(value))?;
    profile.save(&found.path)?;
    let said = format!("{}: {} is {text}", found.path.display(), field.path());
    Ok(Done { text: said, value: serde_json::json!({ "field": field.path(), "value": text }) })
}
