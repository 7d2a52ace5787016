//! The last stage: a base and a site become the files in `out/<profile>`.

use super::base::Base;
use super::files::{Artifact, Output};
use super::image::{ARCHIVE, CMDLINE, INITRAMFS, Request, SBOM, VMLINUZ, epoch, site_file};
use super::manifest::{self, Cmdline, Manifest, SegmentRecord};
use super::run::Task;
use super::sbom::PartRecord;
use super::{explain, provenance, sbom};
use crate::initramfs::cpio::{self, Inodes};
use crate::initramfs::{Compression, Tree, join};
use crate::linuxkit::LINUXKIT_TIME;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::certificates::SiteCertificates;
use crate::site::segment::{BuildRecord, image_fields, site_tree};
use crate::store::{Digest, Store};
use crate::words::size;
use std::io::Write;
use std::path::Path;

/// Which files a site gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    Whole,
    /// The site's segment and the command line: for boot loaders that load two initrds, the base's and the
    /// site's.
    Bundle,
}

impl Request<'_> {
    /// Writes the site's files. `kernel` is the file of another site of the base, which has the same bytes.
    pub(super) fn package(
        &self,
        base: &Base,
        certificates: &SiteCertificates,
        (extent, kernel): (Extent, Option<&Path>),
        task: &Task<'_>,
    ) -> Result<Vec<Artifact>> {
        let output = Output::open(self.out)?;
        let record = BuildRecord {
            kernel: base.kernel.clone(),
            images: base.images.clone(),
            source_date_epoch: epoch(),
        };
        let tree = site_tree(self.site, certificates, &record, LINUXKIT_TIME)?;
        let options = base.options;
        let (site, written) = site_member(self.store, &tree, options.compression, options.latest)?;
        let latest = base.latest();

        let mut artifacts = vec![
            output.write(&site_file(options.compression), &site)?,
            output.write(CMDLINE, self.cmdline(base).text().as_bytes())?,
        ];
        let whole = base.files.initramfs.bytes + site.len() as u64;
        let padding = join::padding(whole);
        if extent == Extent::Whole {
            let (vmlinuz, initramfs) = (&base.files.vmlinuz, &base.files.initramfs);
            let mut tail = site.clone();
            tail.resize(site.len() + padding as usize, 0);
            artifacts.push(match kernel.and_then(|kernel| output.link(kernel, VMLINUZ, vmlinuz)) {
                Some(linked) => linked,
                None => output.artifact(VMLINUZ, |path| vmlinuz.finish(self.store, &[], path))?,
            });
            let bytes = whole + padding;
            let archive = base.archive(self.store, bytes, latest.unsigned_abs(), task)?;
            // Both are long copies.
            let (first, second) = std::thread::scope(|scope| {
                let first = scope
                    .spawn(|| output.artifact(INITRAMFS, |path| initramfs.finish(self.store, &tail, path)));
                let second = output.artifact(ARCHIVE, |path| archive.finish(self.store, &tail, bytes, path));
                (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
            });
            artifacts.extend([first?, second?]);
            task.check()?;
        }
        let mut manifest = Manifest::new(&self.site.name, &base.kernel, latest);
        manifest.inputs.clone_from(&base.inputs);
        manifest.inputs.extend(manifest::certificates(certificates));
        manifest.cmdline = self.cmdline(base);
        if extent == Extent::Whole {
            manifest.parts = base.parts.iter().map(PartRecord::new).collect();
            artifacts.push(output.write(SBOM, &sbom::write(&self.site.name, &manifest.parts)?)?);
            let text = provenance::write(
                (provenance::BUILT, &manifest.hookos),
                (&self.site.name, &image_fields(self.site)),
                &manifest.inputs,
                &artifacts,
            )?;
            artifacts.push(output.write(provenance::FILE, &text)?);
        }
        manifest.segments.clone_from(&base.segments);
        manifest.segments.push(SegmentRecord::site(&site, &written));
        manifest.padding = padding;
        manifest.artifacts.clone_from(&artifacts);
        tell_size(&manifest.segments, whole, task);
        output.remove_others(&artifacts)?;
        artifacts.push(output.write(manifest::FILE, &manifest.text()?)?);
        task.made_each_time(&Digest::of(&site).hex(), explain::of_site(self.site, certificates));
        Ok(artifacts)
    }

    /// The kernel command line that the image is meant for: the definition's, then the site's.
    fn cmdline(&self, base: &Base) -> Cmdline {
        Cmdline::new(base.cmdline.as_deref().unwrap_or_default(), self.site.kernel_append())
    }
}

/// What a machine with 2 GiB has when the kernel mounts its root: less by the firmware's part, the kernel itself and
/// its table of pages. QEMU's q35 with Debian's 5.10: 2096628 KiB, of which 85616 KiB are reserved ("Memory:" of its
/// log, without the initramfs).
const USABLE: u64 = 1960 << 20;

/// Tells how much memory an image's files take, and warns if that is too much for the smallest machine.
/// `compressed` is the size of the initramfs.
pub(super) fn tell_size(segments: &[SegmentRecord], compressed: u64, progress: &dyn Progress) {
    let memory: u64 = segments.iter().map(|segment| segment.memory).sum();
    progress.log(&format!("{} of files once unpacked in the machine's memory", size(memory)));
    if let Some(warning) = too_large(compressed, memory) {
        progress.warn(&warning);
    }
}

/// Why an image would not boot in 2 GiB. Its files lie in a tmpfs, in whole pages. That takes half of the memory which
/// is free when it is mounted and no more, and then the compressed initramfs still lies in memory: half of the rest
/// (`shmem_default_max_blocks` in the kernel's mm/shmem.c; Documentation/filesystems/ramfs-rootfs-initramfs.rst).
fn too_large(compressed: u64, memory: u64) -> Option<String> {
    let room = USABLE.saturating_sub(compressed) / 2;
    (memory > room).then(|| {
        format!(
            "this image does not boot with 2 GiB of memory: its files take {} there, and the root file system has \
             {}, half of what the {} of the initramfs leave; leave components out with --components-off",
            size(memory),
            size(room),
            size(compressed)
        )
    })
}

/// The last member: small, made each time. It replaces what the base has under the same names, and its
/// trailer frees the memory of the kernel's link table.
pub(super) fn site_member(
    store: &Store,
    tree: &Tree,
    compression: Compression,
    latest: i64,
) -> Result<(Vec<u8>, cpio::Written)> {
    let failed = |e: &dyn std::error::Error| Problem::new(format!("cannot write the site segment: {e}"));
    let mut out = compression.writer(Vec::new()).map_err(|e| failed(&e))?;
    let written = cpio::write(store, tree, Inodes::Over, latest, &mut out).map_err(|e| failed(&e))?;
    out.flush().map_err(|e| failed(&e))?;
    Ok((out.finish().map_err(|e| failed(&e))?, written))
}

#[cfg(test)]
mod tests {
    use super::too_large;

    #[test]
    fn an_image_that_needs_more_than_two_gigabytes_is_told_of() {
        let mib = |n: u64| n << 20;
        assert_eq!(too_large(mib(140), mib(412)), None);
        // Half of 2 GiB was taken for the limit, which no such machine has.
        let text = too_large(mib(200), mib(900)).unwrap();
        assert!(text.contains("900 MiB there") && text.contains("880 MiB, half"), "{text}");
        assert_eq!(too_large(mib(200), mib(880)), None);
    }
}
