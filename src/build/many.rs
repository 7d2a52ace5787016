//! Many sites at once: each base is made once, and each site's files are written beside each other. One site
//! that cannot be built fails alone.

use super::base::Base;
use super::files::{Artifact, Output};
use super::image::{ARCHIVE, INITRAMFS, Request, SBOM, VMLINUZ};
use super::kernel::Absent;
use super::manifest::{self, Manifest};
use super::package::Extent;
use super::record::{RunLock, Running};
use super::run::{Run, Task};
use super::sbom::PartRecord;
use super::shared::SharedCache;
use super::{Stage, sbom};
use crate::debian::lock::Mode;
use crate::problem::{Problem, Result};
use crate::progress::{Progress as _, Unit};
use crate::site::ResolvedSite;
use crate::site::certificates::SiteCertificates;
use crate::store::Store;
use crate::words::size;
use serde::Serialize;
use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Instant;

/// The list of results in the output folder.
pub const RESULTS: &str = "sites.json";

/// What to build, and with what. The fields are those of [`Request`].
pub struct Many<'a> {
    pub root: &'a Path,
    /// Each site gets a folder of its name in it.
    pub out: &'a Path,
    pub store: &'a Store,
    pub locks: Mode,
    pub jobs: usize,
    pub cache: Option<&'a SharedCache>,
    pub extent: Extent,
}

/// One site, as far as it could be read.
pub struct Site {
    pub name: String,
    pub ready: Result<Ready>,
}

/// A site that can be built.
pub struct Ready {
    pub site: ResolvedSite,
    pub certificates: SiteCertificates,
    /// What is to be known of its settings and certificates.
    pub warnings: Vec<Problem>,
}

/// How one site went.
#[derive(Debug, Clone, Serialize)]
pub struct SiteResult {
    pub site: String,
    pub out: PathBuf,
    /// The folder with kernel and initramfs, for a bundle.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base: Option<PathBuf>,
    pub seconds: f64,
    pub files: Vec<Artifact>,
    /// None: it is built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<Problem>,
}

/// A site whose base is there.
struct Job<'s> {
    site: &'s ResolvedSite,
    certificates: &'s SiteCertificates,
    base: usize,
}

impl Many<'_> {
    /// Builds every site that can be built; the result has all of them, in their order.
    pub fn build(&self, run: &Run, sites: &[Site], absent: Absent) -> Result<Vec<SiteResult>> {
        let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut results: Vec<Option<SiteResult>> = sites.iter().map(|_| None).collect();
        run.stage(Stage::Configure, |task| {
            for (at, (site, slot)) in sites.iter().zip(&mut results).enumerate() {
                match &site.ready {
                    Ok(ready) => {
                        for warning in &ready.warnings {
                            task.warn(&format!("{}: {warning}", site.name));
                        }
                        groups.entry(self.request(&ready.site).base_settings()).or_default().push(at);
                    }
                    Err(problem) => *slot = Some(self.failed(&site.name, problem, task)),
                }
            }
            task.log(&format!("{} sites of {} bases", sites.len(), groups.len()));
            Ok(())
        })?;
        let mut bases: Vec<Base> = Vec::new();
        let mut jobs: Vec<(usize, Job<'_>)> = Vec::new();
        for members in groups.values() {
            let ready = |at: &usize| Some((*at, sites.get(*at)?.ready.as_ref().ok()?));
            let members: Vec<_> = members.iter().filter_map(ready).collect();
            let Some((_, first)) = members.first() else { continue };
            let request = self.request(&first.site);
            match request.chosen().and_then(|chosen| request.base(run, &chosen, absent)) {
                Ok(base) => {
                    bases.push(base);
                    let base = bases.len() - 1;
                    jobs.extend(members.iter().map(|(at, Ready { site, certificates, .. })| {
                        (*at, Job { site, certificates, base })
                    }));
                }
                Err(problem) => {
                    run.cancel().check()?;
                    run.stage(Stage::Package, |task| {
                        for (at, Ready { site, .. }) in &members {
                            if let Some(slot) = results.get_mut(*at) {
                                *slot = Some(self.failed(&site.name, &problem, task));
                            }
                        }
                        Ok(())
                    })?;
                }
            }
        }
        jobs.sort_by_key(|(at, _)| *at);
        run.stage(Stage::Package, |task| {
            if let Err(problem) = self.check_room(&bases, &jobs) {
                for (at, job) in &jobs {
                    if let Some(slot) = results.get_mut(*at) {
                        *slot = Some(self.failed(&job.site.name, &problem, task));
                    }
                }
                return Ok(());
            }
            let folders =
                bases.iter().map(|base| self.shared_files(base, task)).collect::<Result<Vec<_>>>()?;
            for (at, result) in self.write(&bases, &folders, &jobs, task)? {
                if let Some(slot) = results.get_mut(at) {
                    *slot = Some(result);
                }
            }
            if let Some(cache) = self.cache {
                task.item("shared cache", |item| cache.finish(self.store, item))?;
            }
            Ok(())
        })?;
        let results: Vec<SiteResult> = results.into_iter().flatten().collect();
        let text = serde_json::to_vec_pretty(&results)
            .map_err(|e| Problem::new("the results cannot be written").because(e))?;
        Output::open(self.out)?.write(RESULTS, &text)?;
        Ok(results)
    }

    fn request<'r>(&'r self, site: &'r ResolvedSite) -> Request<'r> {
        let Self { root, out, store, locks, jobs, cache, .. } = self;
        Request { root, out, store, site, locks: *locks, jobs: *jobs, cache: *cache }
    }

    fn failed(&self, name: &str, problem: &Problem, task: &Task<'_>) -> SiteResult {
        // For the log and the faces; what it gives back is the problem itself.
        let _ = task.item(name, |_| Err::<(), _>(problem.clone()));
        SiteResult {
            site: name.to_owned(),
            out: self.out.join(name),
            base: None,
            seconds: 0.0,
            files: Vec::new(),
            problem: Some(problem.clone()),
        }
    }

    /// Whether the disk has room for whole images. One that copies by reference needs next to none.
    fn check_room(&self, bases: &[Base], jobs: &[(usize, Job<'_>)]) -> Result<()> {
        if self.extent == Extent::Bundle {
            return Ok(());
        }
        let output = Output::open(self.out)?;
        let Some(first) = bases.first() else { return Ok(()) };
        if output.copies_by_reference(self.store, &first.files.vmlinuz.blob) {
            return Ok(());
        }
        let sites = jobs.iter().filter_map(|(_, job)| {
            let base = bases.get(job.base)?;
            Some(Space {
                kernel: base.files.vmlinuz.bytes,
                initramfs: base.files.initramfs.bytes,
                there: there(&self.out.join(&job.site.name)),
            })
        });
        let kernels = bases.iter().map(|base| base.files.vmlinuz.bytes).sum();
        let needed = needed(&sites.collect::<Vec<_>>(), kernels, self.jobs);
        let free = output.room()?;
        if needed <= free {
            return Ok(());
        }
        Err(Problem::new(format!(
            "{} whole images take {}, and {} are free",
            jobs.len(),
            size(needed),
            size(free)
        ))
        .in_file(self.out)
        .remedy("with --bundle each site takes a few kilobytes beside one shared base; or give another folder with --out"))
    }

    /// The folder of a base, for bundles: kernel and initramfs without a site.
    fn shared_files(&self, base: &Base, task: &Task<'_>) -> Result<Option<PathBuf>> {
        if self.extent == Extent::Whole {
            return Ok(None);
        }
        let digest = base.files.initramfs.blob.hex();
        let name = format!("base-{}", digest.get(..12).unwrap_or(&digest));
        task.item(&name, |_| {
            let folder = self.out.join(&name);
            let output = Output::open(&folder)?;
            let (vmlinuz, initramfs) = (&base.files.vmlinuz, &base.files.initramfs);
            let mut manifest = Manifest::new(&name, &base.kernel, base.latest());
            manifest.inputs.clone_from(&base.inputs);
            manifest.segments.clone_from(&base.segments);
            manifest.parts = base.parts.iter().map(PartRecord::new).collect();
            manifest.artifacts = vec![
                output.artifact(VMLINUZ, |path| vmlinuz.finish(self.store, &[], path))?,
                output.artifact(INITRAMFS, |path| initramfs.finish(self.store, &[], path))?,
                output.write(SBOM, &sbom::write(&name, &manifest.parts)?)?,
            ];
            output.remove_others(&manifest.artifacts)?;
            output.write(manifest::FILE, &manifest.text()?)?;
            Ok(Some(folder))
        })
    }

    /// Writes the sites' files, several at a time.
    fn write(
        &self,
        bases: &[Base],
        folders: &[Option<PathBuf>],
        jobs: &[(usize, Job<'_>)],
        task: &Task<'_>,
    ) -> Result<Vec<(usize, SiteResult)>> {
        let next = AtomicUsize::new(0);
        let done: Mutex<Vec<(usize, SiteResult)>> = Mutex::default();
        // The kernel of the first site of each base that is finished.
        let kernels: Vec<OnceLock<PathBuf>> = bases.iter().map(|_| OnceLock::new()).collect();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.clamp(1, jobs.len().max(1)) {
                scope.spawn(|| {
                    while let Some((at, job)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) {
                        if task.cancelled() {
                            break;
                        }
                        let (Some(base), Some(kernel)) = (bases.get(job.base), kernels.get(job.base)) else {
                            continue;
                        };
                        let folder = folders.get(job.base).cloned().flatten();
                        let result = self.one(job, base, (folder, kernel), task);
                        let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
                        done.push((*at, result));
                        task.at(done.len() as u64, jobs.len() as u64, Unit::Items);
                    }
                });
            }
        });
        task.run().cancel().check()?;
        Ok(done.into_inner().unwrap_or_else(PoisonError::into_inner))
    }

    fn one(
        &self,
        job: &Job<'_>,
        base: &Base,
        (shared, kernel): (Option<PathBuf>, &OnceLock<PathBuf>),
        task: &Task<'_>,
    ) -> SiteResult {
        let started = Instant::now();
        let out = self.out.join(&job.site.name);
        let made = task.item(&job.site.name, |item| {
            let now = jiff::Timestamp::now().as_second();
            let running = Running { run: task.run().id().to_owned(), pid: std::process::id(), since: now };
            let _lock = RunLock::take(&out.join("logs"), &running)?;
            let request = Request { out: &out, ..self.request(job.site) };
            let extent = (self.extent, kernel.get().map(PathBuf::as_path));
            let files = request.package(base, job.certificates, extent, item)?;
            if self.extent == Extent::Whole {
                // Whoever was first.
                let _ = kernel.set(out.join(VMLINUZ));
            }
            Ok(files)
        });
        let (files, problem) = match made {
            Ok(files) => (files, None),
            Err(problem) => (Vec::new(), Some(problem)),
        };
        let seconds = started.elapsed().as_secs_f64();
        SiteResult { site: job.site.name.clone(), out, base: shared, seconds, files, problem }
    }
}

/// What a whole image takes, and what is there already.
struct Space {
    kernel: u64,
    initramfs: u64,
    /// Bytes that its files take now, which they will be replaced by.
    there: u64,
}

/// Free bytes that whole images need. The archive of each holds kernel and initramfs once more; the kernel's own
/// file is one for all sites of a base. A file is written beside the one that it replaces, so `jobs` sites need room
/// for both for a while.
fn needed(sites: &[Space], kernels: u64, jobs: usize) -> u64 {
    let whole = |site: &Space| site.kernel + 2 * site.initramfs;
    let more: u64 = sites.iter().map(|site| whole(site).saturating_sub(site.there)).sum();
    let beside = sites.iter().filter(|site| site.there > 0).map(|site| whole(site).min(site.there)).max();
    more + kernels + beside.unwrap_or(0) * jobs.min(sites.len()) as u64
}

/// Bytes that go when the files of an image are replaced. One that has other names too stays.
fn there(folder: &Path) -> u64 {
    let file = |name: &&str| folder.join(name).metadata().ok().filter(|meta| meta.nlink() == 1);
    [INITRAMFS, ARCHIVE].iter().filter_map(file).map(|meta| meta.blocks() * 512).sum()
}

#[cfg(test)]
mod tests {
    use super::{Space, needed};

    #[test]
    fn images_that_are_replaced_need_no_room_of_their_own() {
        let site = |there| Space { kernel: 10, initramfs: 100, there };
        assert_eq!(needed(&[site(0), site(0), site(0)], 10, 2), 3 * 210 + 10, "the kernel is one for all");
        // A thousand sites that are there, built once more: two at a time lie beside the old ones.
        let again: Vec<Space> = (0..1000).map(|_| site(210)).collect();
        assert_eq!(needed(&again, 10, 2), 10 + 2 * 210);
        assert_eq!(needed(&[site(150)], 10, 2), 60 + 10 + 150);
    }
}
