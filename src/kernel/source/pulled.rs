//! A kernel from a registry: what the release service has below the same tag.

use super::Plan;
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, TreePath};
use crate::kernel::bzimage;
use crate::kernel::image::{Built, Input};
use crate::kernel::report::Report;
use crate::oci::{self, Image, registry};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::Store;

impl Plan {
    /// Pulls the kernel from the release service and keeps it as if it were built here.
    pub fn pull(
        &self,
        reference: &str,
        store: &Store,
        options: &registry::Options,
        progress: &dyn Progress,
    ) -> Result<Built> {
        progress.log(&format!("asking for {reference}"));
        let image = registry::pull(store, reference, options, progress)
            .map_err(|e| Problem::new(format!("the kernel {reference} cannot be had")).because(e))?;
        let version = release(store, &image)
            .map_err(|problem| problem.while_doing(format!("the image {reference} is no kernel of ours")))?;
        let mut inputs = self.inputs.clone();
        inputs.push(Input { name: reference.to_owned(), sha256: image.manifest });
        let built = Built {
            image,
            version,
            package_version: self.settings.version(),
            tag: self.tag.clone(),
            key: self.key.hex(),
            inputs,
            packages: Vec::new(),
            report: Report::default(),
            warnings: Vec::new(),
            cached: false,
        };
        built.keep(store, &self.key)?;
        Ok(built)
    }
}

/// The release of an image's kernel; it must have modules too, even if none is in it.
fn release(store: &Store, image: &Image) -> Result<String> {
    let tree =
        oci::image_tree(store, image).map_err(|e| Problem::new("its layers cannot be read").because(e))?;
    let find = |name: &str| {
        let path = TreePath::new(name).map_err(|e| Problem::new(e.to_string()))?;
        match tree.get(&path).map(|node| &node.kind) {
            Some(Kind::File(content)) => Ok((path, content)),
            _ => Err(Problem::new(format!("it has no file /{name}"))),
        }
    };
    find("kernel.tar")?;
    let (path, content) = find("kernel")?;
    let mut bytes = Vec::new();
    Contents::new(store)
        .copy(&path, content, &mut bytes)
        .map_err(|e| Problem::new("its kernel cannot be read").because(e))?;
    let release =
        bzimage::release(&bytes).map_err(|e| Problem::new("its /kernel is not a kernel").because(e))?;
    Ok(release.to_owned())
}
