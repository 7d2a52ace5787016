//! The kernel of a build: Debian's, or one from source, which may be in the store, in the release service,
//! or still to be compiled.

use super::image::{Request, epoch};
use super::run::Task;
use crate::debian::apt::Apt;
use crate::debian::lock::Mode;
use crate::kernel::image::Built;
use crate::kernel::source::{self, Compiler, Source};
use crate::kernel::{debian, source::Plan};
use crate::oci::credentials::Credentials;
use crate::oci::registry;
use crate::problem::{Exit, Problem, Result};
use crate::progress::{Progress, Silent};
use crate::site::{Id, KernelSource, ResolvedSite, Value, proxies};
use crate::store::Digest;
use std::path::Path;

/// What happens when a kernel from source is neither in the store nor in the release service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    Compile,
    /// Exit code 7.
    Refuse,
}

/// A place that may have a kernel for a site.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct KernelPlace {
    pub name: &'static str,
    /// What it has, in words.
    pub has: String,
}

/// How a site's kernel from source is made. Reads no file.
pub fn settings(site: &ResolvedSite, root: &Path, jobs: usize) -> Result<source::Settings> {
    let text = |id: Id| site.text(id).unwrap_or_default();
    let bad = |id: Id, what: &str| {
        Problem::usage(format!("{} is {:?}, which is not {what}", id.field().path(), text(id)))
    };
    // Both become parts of file names and of a tag.
    let plain = |id: Id, what: &str| {
        let text = text(id);
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        if text.is_empty() || text.starts_with('.') || !text.chars().all(fine) {
            Err(bad(id, what))
        } else {
            Ok(text)
        }
    };
    let sha256: Option<Digest> = match site.text(Id::KernelTarballSha256) {
        None => None,
        Some(hex) => Some(
            hex.trim()
                .to_ascii_lowercase()
                .parse()
                .map_err(|_| bad(Id::KernelTarballSha256, "a SHA-256: 64 hex digits"))?,
        ),
    };
    Ok(source::Settings {
        folder: root.join("kernel"),
        series: plain(Id::KernelSeries, "a series, as in 5.10")?,
        point: match site.get(Id::KernelPoint) {
            Some(Value::Integer(point)) => *point,
            _ => return Err(bad(Id::KernelPoint, "a number, as in 228")),
        },
        config: plain(Id::KernelConfig, "the name of a configuration, as in generic")?,
        source: match site.path(Id::KernelTarball, root) {
            Some(path) => Source::File { path, sha256 },
            None => Source::Mirror(text(Id::KernelMirror)),
        },
        repository: site.text(Id::KernelRepository).or_else(|| {
            // Where HookOS has always looked for its kernels.
            let service = site.text(Id::OciReleaseSvc)?;
            Some(format!("{service}/{}", site.text(Id::PublishKernelRepository)?))
        }),
        compiler: match text(Id::KernelEngine).as_str() {
            "docker" => Compiler::Docker,
            "host" => Compiler::Host,
            _ => Compiler::Auto,
        },
        base: text(Id::KernelBase),
        proxies: proxies::arguments(site),
        credentials: Credentials::of_user(),
        jobs,
    })
}

impl Request<'_> {
    /// What the site's kernel from source is made of.
    pub fn source_plan(&self) -> Result<Plan> {
        Plan::new(settings(self.site, self.root, self.jobs)?)
    }

    /// The name of the site's kernel in the store, if it is one from source that is there.
    pub(super) fn kernel_name(&self) -> Option<String> {
        (self.site.kernel_source() == KernelSource::Source)
            .then(|| self.source_plan().ok()?.named(self.store).map(|(name, _)| name))?
    }

    /// What Debian's kernel would be made of, without these groups of modules. Uses no network.
    pub fn kernel_plan(&self, groups_off: &[String]) -> Result<debian::Plan> {
        let apt = Apt::new(self.store, &self.archive());
        let settings = debian::Settings {
            folder: &self.root.join("kernel"),
            lock: Mode::Locked,
            groups_off,
            epoch: epoch(),
        };
        debian::Plan::new(debian::Context { store: self.store, apt: &apt }, &settings, &Silent)
    }

    /// What the kernel is called in events and plans, and the kernel, if the store has it.
    pub(super) fn find_kernel(&self) -> (String, Option<Built>) {
        match self.site.kernel_source() {
            KernelSource::Debian => {
                let plan = self.kernel_plan(self.site.list(Id::ModuleGroupsOff)).ok();
                ("debian".to_owned(), plan.and_then(|plan| plan.find(self.store)))
            }
            KernelSource::Source => match self.source_plan() {
                Ok(plan) => (plan.tag.clone(), self.stored(&plan).ok().flatten()),
                Err(_) => ("source".to_owned(), None),
            },
        }
    }

    /// Why the site's kernel cannot be made on this machine: the profile says that Docker compiles it.
    pub(super) fn kernel_hindrance(&self) -> Option<Problem> {
        if self.site.kernel_source() != KernelSource::Source {
            return None;
        }
        let plan = self.source_plan().ok()?;
        let unless = plan.reference().map_or_else(String::new, |there| format!(", unless {there} is there"));
        Some(plan.hindrance()?.while_doing(format!("the kernel {} needs Docker{unless}", plan.tag)))
    }

    /// The kernel of the site. What the store has costs no network.
    pub(super) fn kernel(&self, task: &Task<'_>, absent: Absent) -> Result<Built> {
        let settled = |item: &Task<'_>, built: Built| {
            let inputs = built.inputs.iter().map(|input| (input.name.clone(), input.sha256.hex()));
            item.settled(&built.key, inputs, built.cached);
            Ok(built)
        };
        match self.site.kernel_source() {
            KernelSource::Debian => {
                task.item("debian", |item| settled(item, self.debian_kernel(item, self.locks)?))
            }
            KernelSource::Source => {
                let plan = self.source_plan()?;
                task.item(&plan.tag, |item| settled(item, self.source_kernel(&plan, item, absent)?))
            }
        }
    }

    /// Makes the site's kernel, even if there is one already.
    pub fn make_kernel(&self, task: &Task<'_>) -> Result<Built> {
        match self.site.kernel_source() {
            KernelSource::Debian => task.item("debian", |item| self.debian_kernel(item, self.locks)),
            KernelSource::Source => {
                let plan = self.source_plan()?;
                task.item(&plan.tag, |item| plan.build(self.store, item))
            }
        }
    }

    fn debian_kernel(&self, item: &Task<'_>, lock: Mode) -> Result<Built> {
        let apt = Apt::new(self.store, &self.archive());
        let folder = self.root.join("kernel");
        let built = debian::build(
            debian::Context { store: self.store, apt: &apt },
            &debian::Settings {
                folder: &folder,
                lock,
                groups_off: self.site.list(Id::ModuleGroupsOff),
                epoch: epoch(),
            },
            item,
        )?;
        for warning in &built.warnings {
            item.warn(&warning.to_string());
        }
        Ok(built)
    }

    /// The kernel of a plan, if the store has it. One that was pulled must be signed where that is asked for.
    pub(super) fn stored(&self, plan: &Plan) -> Result<Option<Built>> {
        let Some((name, built)) = plan.named(self.store) else { return Ok(None) };
        let trusted =
            !built.was_pulled() || registry::is_trusted(self.store, &name, &built.image, &self.registry()?)?;
        Ok(Some(built).filter(|_| trusted))
    }

    fn source_kernel(&self, plan: &Plan, item: &Task<'_>, absent: Absent) -> Result<Built> {
        if let Some(built) = self.stored(plan)? {
            return Ok(built);
        }
        let mut reason = None;
        if let Some(reference) = plan.reference() {
            match plan.pull(&reference, self.store, &self.registry()?, item) {
                Ok(built) => return Ok(built),
                Err(problem) => {
                    item.warn(&problem.to_string());
                    reason = Some(problem);
                }
            }
        }
        item.run().cancel().check()?;
        match absent {
            Absent::Compile => plan.obtain(self.store, item),
            Absent::Refuse => Err(no_kernel(&plan.tag, &self.site.name, plan.reference(), reason)),
        }
    }
}

/// What a person needs to know who has no kernel.
fn no_kernel(tag: &str, profile: &str, reference: Option<String>, reason: Option<Problem>) -> Problem {
    let place = match reference {
        Some(reference) => format!("could not be had as {reference}"),
        None => "no release service is asked (`repository` in the profile's [kernel] table)".to_owned(),
    };
    let problem = Problem::new(format!("the kernel {tag} is not in the store, and {place}"));
    let problem = reason.into_iter().fold(problem, Problem::because);
    problem
        .remedy(format!(
            "compile it: `hookos kernel {profile}`; or `hookos build {profile}`, which does that too"
        ))
        .exit_with(Exit::NoKernel)
}
