//! `hookos build`: a profile becomes a bootable image.

use super::context::Context;
use super::profile_arg::ProfileArg;
use super::render::Face;
use super::sites::{self, SitesArgs};
use crate::build::Run;
use crate::build::explain::{self, Explained};
use crate::build::image::Request;
use crate::build::kernel::Absent;
use crate::build::manifest;
use crate::build::many::Many;
use crate::build::package::Extent;
use crate::build::plan::Forecast;
use crate::build::shared::SharedCache;
use crate::debian::lock::Mode;
use crate::problem::{Problem, Result};
use crate::site::FieldFlags;
use std::path::PathBuf;

/// Turn a profile into a bootable image in out/PROFILE.
///
/// Work whose inputs have not changed is taken from the store. Every field of the profile can be
/// overridden by a flag or an environment variable for this build.
///
/// Many sites at once: `hookos build --all`, `hookos build --profiles 'site-*'`, or a table with a row for each
/// (`hookos build lab --csv sites.csv`). What they share is made once, and one that cannot be built fails
/// alone; out/sites.json has the result of each.
#[derive(Debug, clap::Args)]
pub struct BuildArgs {
    #[command(flatten)]
    profile: ProfileArg,
    /// Where the image goes instead of out/PROFILE.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Take the Debian packages that packages.lock names, or fail.
    #[arg(long)]
    locked: bool,
    /// How many things to do at the same time (default: one for each CPU).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Take what others have made from this repository of a registry (host/repository).
    #[arg(long, env = "HOOKOS_CACHE_FROM", value_name = "REPOSITORY")]
    cache_from: Option<String>,
    /// Send what this build used to this repository of a registry, for others.
    #[arg(long, env = "HOOKOS_CACHE_TO", value_name = "REPOSITORY")]
    cache_to: Option<String>,
    /// Say at the end why each piece of work was done or reused: what has changed since the last build.
    #[arg(long)]
    explain: bool,
    #[command(flatten)]
    sites: SitesArgs,
    #[command(flatten)]
    fields: FieldFlags,
}

pub fn run(args: BuildArgs, context: &Context) -> Result<()> {
    run_with(args, context, Absent::Compile)
}

/// Turn a profile into a bootable image, but never compile its kernel.
///
/// As `hookos build`; a kernel from source must be in the store or in the release service, else it ends
/// with exit code 7.
#[derive(Debug, clap::Args)]
pub struct BinariesArgs {
    #[command(flatten)]
    build: BuildArgs,
}

pub fn run_binaries(args: BinariesArgs, context: &Context) -> Result<()> {
    run_with(args.build, context, Absent::Refuse)
}

fn run_with(args: BuildArgs, context: &Context, absent: Absent) -> Result<()> {
    let name = args.profile.name();
    let store = context.store()?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let cancel = super::cancel_on_signals()?;
    let cache = match (&args.cache_from, &args.cache_to, context.dry_run) {
        (None, None, _) | (.., true) => None,
        (from, to, _) => {
            Some(SharedCache::new(&store, from.as_deref(), to.as_deref(), context.registry()?, &cancel)?)
        }
    };
    let locks = if args.locked { Mode::Locked } else { Mode::Default };
    let jobs = args.jobs.map_or(cores, usize::from);
    if args.sites.are_given() {
        let out = args.out.unwrap_or_else(|| context.root.join("out"));
        let many = Many {
            root: &context.root,
            out: &out,
            store: &store,
            locks,
            jobs,
            cache: cache.as_ref(),
            extent: Extent::Whole,
        };
        let how = sites::How { cancel, absent, explain: args.explain };
        return sites::run(&args.sites, name, &args.fields, many, how, context);
    }
    let site = context.site(name, args.fields)?;
    let out = args.out.unwrap_or_else(|| context.out(&site.name));
    let request = Request {
        root: &context.root,
        out: &out,
        store: &store,
        site: &site,
        locks,
        jobs,
        cache: cache.as_ref(),
    };
    if context.dry_run {
        let forecast = request.forecast()?;
        return context.answer(&forecast, &text(&forecast));
    }
    let (sender, face) = Face::choose(context.json, context.plain).show()?;
    let run = Run::start(&site.name, &out, sender, cancel)?.of_site(&site);
    let logs = run.logs().to_owned();
    let result = request.build(&run, absent);
    if result.is_ok() {
        // For later comparison; a build is no failure for the lack of it.
        let _ = std::fs::copy(out.join(manifest::FILE), logs.join(manifest::FILE));
    }
    let explained = explained(&run, result.is_ok());
    run.finish(&result);
    drop(run);
    // The face ends when the last sender is gone.
    let _ = face.join();
    if args.explain {
        tell_reasons(&explained, context)?;
    }
    result.map(drop).map_err(|problem| hint(problem, &logs))
}

/// Why each piece of work of a run went as it did. What was made is kept for the next run to compare with.
pub(super) fn explained(run: &Run, made: bool) -> Vec<Explained> {
    let logs = run.logs().parent().unwrap_or(run.logs());
    let pieces = run.pieces();
    let explained = explain::explain(&pieces, explain::last(logs).as_deref());
    if made {
        // A build is no failure for the lack of it.
        let _ = explain::keep(logs, &pieces);
    }
    explained
}

pub(super) fn tell_reasons(explained: &[Explained], context: &Context) -> Result<()> {
    let lines: Vec<String> = explained.iter().map(ToString::to_string).collect();
    context.answer(&explained, &lines.join("\n"))
}

/// A forecast for people.
fn text(forecast: &Forecast) -> String {
    let mut lines: Vec<String> = Vec::new();
    for row in &forecast.work {
        lines.push(row.to_string());
        lines.extend(row.details().into_iter().map(|line| format!("    {line}")));
    }
    for problem in forecast.work.iter().filter_map(|row| row.lacks.as_ref()) {
        lines.push(String::new());
        lines.push(problem.to_string());
    }
    lines.push(String::new());
    for file in &forecast.files {
        let bytes = file.bytes.map_or_else(|| "size not known yet".to_owned(), crate::words::size);
        lines.push(format!("{:<58} {bytes:>12}", file.path.display()));
    }
    lines.push(match forecast.bytes() {
        Some(bytes) => {
            format!("These files take about {}, by the sizes of the last build.", crate::words::size(bytes))
        }
        None => "How much room these files take is known after the first build.".to_owned(),
    });
    lines.push("Nothing was written, and no network was used.".to_owned());
    lines.join("\n")
}

/// Points to the logs where the problem itself has nothing better to say.
fn hint(problem: Problem, logs: &std::path::Path) -> Problem {
    if problem.remedy_text().is_some() {
        problem
    } else {
        problem.remedy(format!("read the logs in {}", logs.display()))
    }
}
