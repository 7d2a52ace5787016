//! `hookos build --all` and its kin: which sites, and what is said of them at the end.

use super::context::Context;
use super::render::Face;
use crate::build::kernel::Absent;
use crate::build::many::{Many, RESULTS, Ready, Site, SiteResult};
use crate::build::package::Extent;
use crate::build::{Cancel, Run};
use crate::problem::{Exit, Problem, Result};
use crate::site::files::{self, Found};
use crate::site::profile::Profile;
use crate::site::resolve::{FlagValues, Lookup};
use crate::site::{FIELDS, Field, FieldFlags, ResolvedSite, Sources, certificates, resolve};
use crate::words::size;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Which sites, if more than one.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Many sites")]
pub struct SitesArgs {
    /// Build every profile.
    #[arg(long, conflicts_with = "profile_flag")]
    all: bool,
    /// Build the profiles whose name matches, such as 'site-*'; may be given several times.
    #[arg(long, value_name = "PATTERN", conflicts_with_all = ["all", "profile_flag"])]
    profiles: Vec<String>,
    /// Build every profile (*.toml) of a folder.
    #[arg(long, value_name = "FOLDER", conflicts_with_all = ["all", "profiles", "profile_flag"])]
    folder: Option<PathBuf>,
    /// Build a site for each row of a table. The column `name` names the site, the others are settings by the
    /// name of their flag (cluster-domain) or as profiles write them (endpoints.cluster_domain); an
    /// empty cell leaves what PROFILE says.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["all", "profiles", "folder"])]
    csv: Option<PathBuf>,
    /// Write each site's segment alone, and kernel and initramfs once for all, in a folder base-*: for boot loaders
    /// that load two initrds.
    #[arg(long)]
    bundle: bool,
}

impl SitesArgs {
    pub fn are_given(&self) -> bool {
        self.all || self.folder.is_some() || self.csv.is_some() || !self.profiles.is_empty() || self.bundle
    }

    /// Every site with its settings and certificates; what is wrong with one is its own.
    fn sites(&self, profile: &str, flags: &FieldFlags, context: &Context) -> Result<Vec<Site>> {
        if let Some(table) = &self.csv {
            return of_table(table, profile, flags, context);
        }
        let found = match &self.folder {
            Some(folder) => files::in_folder(folder)?,
            None if self.all || !self.profiles.is_empty() => files::matching(&context.root, &self.profiles)?,
            None => vec![files::load(&context.root, profile)?.0],
        };
        Ok(found.iter().map(|found| of_profile(found, flags, context)).collect())
    }
}

fn of_profile(found: &Found, flags: &FieldFlags, context: &Context) -> Site {
    let ready = || {
        let profile = Profile::load(&found.path)?;
        let (site, mut warnings) = resolved(&found.name, &profile, flags.0.clone())?;
        let certificates = certificates::of_site(&site, &context.root, certificates::now())?;
        warnings.extend(certificates.warnings.iter().cloned());
        Ok(Ready { site, certificates, warnings })
    };
    Site { name: found.name.clone(), ready: ready() }
}

fn resolved(name: &str, profile: &Profile, flags: FlagValues) -> Result<(ResolvedSite, Vec<Problem>)> {
    let env: &Lookup = &Sources::environment;
    let sources = Sources { profile: Some(profile), flags, env: Some(env), ambient: false };
    resolve(name, &sources).into_result()
}

/// The sites of a table.
fn of_table(path: &Path, profile: &str, flags: &FieldFlags, context: &Context) -> Result<Vec<Site>> {
    let bad = |e: csv::Error| Problem::usage("the table cannot be read").in_file(path).because(e);
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(bad)?;
    let columns = reader.headers().map_err(bad)?.clone();
    let columns: Vec<Option<&'static Field>> =
        columns.iter().map(|column| of_column(column, path)).collect::<Result<_>>()?;
    if columns.iter().all(Option::is_some) {
        return Err(Problem::usage("the table has no column `name`")
            .in_file(path)
            .remedy("its first line names the columns: name,cluster-domain,..."));
    }
    let (found, profile) = files::load(&context.root, profile)?;
    let mut sites = Vec::new();
    let mut names = BTreeSet::new();
    for row in reader.records() {
        let row = row.map_err(bad)?;
        let line = row.position().map_or(0, csv::Position::line) as usize;
        let mut values = flags.0.clone();
        let mut name = String::new();
        for (field, cell) in columns.iter().zip(&row).filter(|(_, cell)| !cell.is_empty()) {
            match field {
                None => cell.clone_into(&mut name),
                Some(field) => drop(values.insert(field.id, cell.to_owned())),
            }
        }
        let ready = || {
            files::check_name(&name)?;
            if !names.insert(name.clone()) {
                return Err(Problem::usage(format!("there are two sites {name}")));
            }
            let (site, mut warnings) = resolved(&name, &profile, values)?;
            // A row without certificates of its own has those of the profile.
            let own = certificates::folder(&context.root, &name).exists();
            let of = if own { &name } else { &found.name };
            let certificates = certificates::of_folder(&site, of, &context.root, certificates::now())?;
            warnings.extend(certificates.warnings.iter().cloned());
            Ok(Ready { site, certificates, warnings })
        };
        let ready = ready().map_err(|problem: Problem| problem.at(path, line, None));
        let name = if name.is_empty() { format!("line {line}") } else { name };
        sites.push(Site { name, ready });
    }
    Ok(sites)
}

/// The field of a column; none is the site's name.
fn of_column(text: &str, table: &Path) -> Result<Option<&'static Field>> {
    if text == "name" {
        return Ok(None);
    }
    let is = |field: &&Field| field.flag == text || field.path() == text || field.env == text;
    FIELDS.iter().find(is).map(Some).ok_or_else(|| {
        Problem::usage(format!("there is no setting {text:?}"))
            .at(table, 1, Some(1))
            .remedy("`hookos configure --fields` lists them; the column `name` names the site")
    })
}

/// How many sites are built.
pub struct How {
    pub cancel: Cancel,
    pub absent: Absent,
    /// Say at the end why each piece of work was done or reused.
    pub explain: bool,
}

/// Builds them.
pub fn run(
    args: &SitesArgs,
    profile: &str,
    flags: &FieldFlags,
    mut many: Many<'_>,
    how: How,
    context: &Context,
) -> Result<()> {
    if args.bundle {
        many.extent = Extent::Bundle;
    }
    let sites = args.sites(profile, flags, context)?;
    if sites.is_empty() {
        return Err(Problem::usage("no profile matches").remedy("`hookos profiles` lists them"));
    }
    if context.dry_run {
        let line = |site: &Site| match &site.ready {
            Ok(_) => format!("{:<32} {}", site.name, many.out.join(&site.name).display()),
            Err(problem) => format!("{:<32} cannot be built: {}", site.name, problem.what()),
        };
        let lines: Vec<String> = sites.iter().map(line).collect();
        return context.answer(&lines, &lines.join("\n"));
    }
    let (sender, face) = Face::choose(context.json, context.plain).show()?;
    let run = Run::start(&format!("{} sites", sites.len()), many.out, sender, how.cancel)?;
    let result = many.build(&run, &sites, how.absent).and_then(|results| match failures(&results) {
        None => Ok(results),
        Some(problem) => Err(problem
            .remedy(format!("the others are built; {} has every site", many.out.join(RESULTS).display()))),
    });
    let explained = super::build::explained(&run, result.is_ok());
    run.finish(&result);
    drop(run);
    // The face ends when the last sender is gone.
    let _ = face.join();
    if how.explain {
        super::build::tell_reasons(&explained, context)?;
    }
    let results = result?;
    if !context.json {
        println!("{}", summary(&results));
    }
    Ok(())
}

/// One problem for all sites that failed.
fn failures(results: &[SiteResult]) -> Option<Problem> {
    /// More than a person reads; the list of results has all.
    const SHOWN: usize = 12;
    let failed: Vec<(&str, &Problem)> =
        results.iter().filter_map(|r| Some((r.site.as_str(), r.problem.as_ref()?))).collect();
    let exit = failed.first()?.1.exit();
    let exit = if failed.len() == results.len() { exit } else { Exit::Failed };
    let all = Problem::new(format!("{} of {} sites were not built", failed.len(), results.len()));
    let shown = failed.iter().take(SHOWN);
    let told = shown.fold(all.exit_with(exit), |all, (site, problem)| {
        all.because((*problem).clone().while_doing(format!("site {site}")))
    });
    Some(if failed.len() > SHOWN {
        told.because(std::io::Error::other(format!("and {} more", failed.len() - SHOWN)))
    } else {
        told
    })
}

/// What was built, in a few lines.
fn summary(results: &[SiteResult]) -> String {
    let bytes: u64 = results.iter().flat_map(|r| &r.files).map(|file| file.bytes).sum();
    let slowest = results.iter().max_by(|a, b| a.seconds.total_cmp(&b.seconds));
    let mut lines = vec![format!("{} sites built, {} of files", results.len(), size(bytes))];
    if let Some(slowest) = slowest {
        lines.push(format!("slowest: {} in {:.2} s", slowest.site, slowest.seconds));
    }
    let bases: BTreeSet<&PathBuf> = results.iter().filter_map(|r| r.base.as_ref()).collect();
    lines.extend(bases.iter().map(|base| format!("kernel and initramfs for all: {}", base.display())));
    lines.join("\n")
}
