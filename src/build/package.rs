//! The last stage: a base and a site become the files in `out/<profile>`.

use super::base::Base;
use super::files::{Artifact, Output};
use super::image::{ARCHIVE, CMDLINE, INITRAMFS, Request, SBOM, VMLINUZ, epoch, site_file};
use super::manifest::{self, Input, Manifest, SegmentRecord};
use super::{provenance, sbom};
use crate::initramfs::cpio::{self, Inodes};
use crate::initramfs::{Compression, Tree, join};
use crate::linuxkit::LINUXKIT_TIME;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::site::certificates::SiteCertificates;
use crate::site::segment::{BuildRecord, site_tree};
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
        progress: &dyn Progress,
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
            output.write(CMDLINE, self.cmdline(base).as_bytes())?,
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
            let archive = base.archive(self.store, bytes, latest.unsigned_abs())?;
            // Both are long copies.
            let (first, second) = std::thread::scope(|scope| {
                let first = scope
                    .spawn(|| output.artifact(INITRAMFS, |path| initramfs.finish(self.store, &tail, path)));
                let second = output.artifact(ARCHIVE, |path| archive.finish(self.store, &tail, bytes, path));
                (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
            });
            artifacts.extend([first?, second?]);
            progress.check()?;
        }
        let mut manifest = Manifest::new(&self.site.name, &base.kernel, latest);
        manifest.inputs.clone_from(&base.inputs);
        for (name, bundle) in [("ca.pem", &certificates.ca), ("server_cert.pem", &certificates.server)] {
            let digest = Digest::of(&bundle.pem());
            manifest.inputs.push(Input { kind: "certificate".to_owned(), name: name.to_owned(), digest });
        }
        if extent == Extent::Whole {
            artifacts.push(output.write(SBOM, &sbom::write(&self.site.name, &base.parts)?)?);
            let text = provenance::write(self.site, &manifest.inputs, &artifacts)?;
            artifacts.push(output.write(provenance::FILE, &text)?);
        }
        manifest.segments.clone_from(&base.segments);
        manifest.segments.push(SegmentRecord {
            name: "site".to_owned(),
            digest: Digest::of(&site),
            compressed: site.len() as u64,
            unpacked: written.content,
            files: written.files,
        });
        manifest.padding = padding;
        manifest.artifacts.clone_from(&artifacts);
        let unpacked: u64 = manifest.segments.iter().map(|segment| segment.unpacked).sum();
        progress.log(&format!("{} of files once unpacked in the machine's memory", size(unpacked)));
        if let Some(warning) = too_large(whole, unpacked) {
            progress.log(&format!("warning: {warning}"));
        }
        artifacts.push(output.write(manifest::FILE, &manifest.text()?)?);
        Ok(artifacts)
    }

    /// The kernel command line that the image is meant for: the definition's, then the site's.
    fn cmdline(&self, base: &Base) -> String {
        let words: Vec<String> = base.cmdline.iter().cloned().chain(self.site.kernel_append()).collect();
        format!("{}\n", words.join(" "))
    }
}

/// The memory of the smallest machine that an image is for.
const MEMORY: u64 = 2 << 30;
/// What kernel and programs take of it before a worker runs: measured 280 MiB with all components.
const RUNNING: u64 = 384 << 20;

/// Why an image would not boot in 2 GiB. The files lie in a tmpfs, which takes half of the memory and no more
/// (the kernel's Documentation/filesystems/ramfs-rootfs-initramfs.rst and tmpfs.rst); while they are
/// unpacked the compressed ones are in memory too.
fn too_large(compressed: u64, unpacked: u64) -> Option<String> {
    let why = if unpacked > MEMORY / 2 {
        format!("its files take {}, and a machine keeps half of its memory for them", size(unpacked))
    } else if compressed + unpacked + RUNNING > MEMORY {
        format!(
            "its files take {}, while they are unpacked {} more, and the system {}",
            size(unpacked),
            size(compressed),
            size(RUNNING)
        )
    } else {
        return None;
    };
    Some(format!(
        "this image does not boot with 2 GiB of memory: {why}; leave components out with --components-off"
    ))
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
        let text = too_large(mib(300), mib(1100)).unwrap();
        assert!(text.contains("1.07 GiB") && text.contains("half"), "{text}");
        let text = too_large(mib(900), mib(1000)).unwrap();
        assert!(text.contains("900 MiB more"), "{text}");
    }
}
