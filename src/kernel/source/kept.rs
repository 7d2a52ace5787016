//! Kernels from source that the store has, by name: the tag says which, and asks nobody.
//!
//! An image of that name may have been compiled here, pulled by a build, or brought by `hookos images pull` or
//! `import`. What is known of it is a record below the digests of its layers, made when it is first met.

use super::Plan;
use crate::initramfs::cpio::Contents;
use crate::initramfs::tree::{Kind, TreePath};
use crate::kernel::bzimage;
use crate::kernel::image::{Built, Input};
use crate::kernel::report::Report;
use crate::oci::{self, Image, registry};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Key, KeyMaker, Store};

/// Where kernels that were compiled here have their name, wherever they are published.
const HERE: &str = "localhost/hook-kernel";
/// Where kernel images keep their modules.
const LIBRARIES: [&str; 2] = ["usr/lib", "lib"];

impl Plan {
    /// The names that the kernel may have in the store, the release service's first.
    pub fn names(&self) -> Vec<String> {
        self.reference().into_iter().chain([format!("{HERE}:{}", self.tag)]).collect()
    }

    /// The kernel, if the store has it by one of its names.
    pub fn find(&self, store: &Store) -> Option<Built> {
        self.named(store).map(|(_, built)| built)
    }

    /// The kernel and the name that the store has it by.
    pub fn named(&self, store: &Store) -> Option<(String, Built)> {
        self.names().into_iter().find_map(|name| {
            let image = registry::named(store, &name).ok()??;
            let built = self.record(store, &name, image).ok()?;
            self.fits(&built).ok().map(|()| (name, built))
        })
    }

    /// Pulls the kernel from the release service.
    pub fn pull(
        &self,
        reference: &str,
        store: &Store,
        options: &registry::Options,
        progress: &dyn Progress,
    ) -> Result<Built> {
        progress.log(&format!("asking for {reference}"));
        let image = registry::pull(store, reference, options, progress)
            .map_err(|e| Problem::new(format!("the kernel {reference} is not available")).because(e))?;
        let built = self.record(store, reference, image)?;
        self.fits(&built)
            .map_err(|problem| problem.while_doing(format!("the kernel {reference} is not taken")))?;
        Ok(Built { cached: false, ..built })
    }

    /// Gives a kernel that was compiled here its names, and keeps what is known of it.
    pub(super) fn keep(&self, store: &Store, built: &Built) -> Result<()> {
        built.keep(store, &record(&built.image))?;
        for name in self.names() {
            registry::set_name(store, &name, &built.image)
                .map_err(|e| Problem::new(format!("the kernel cannot be named {name}")).because(e))?;
        }
        Ok(())
    }

    /// What is known of an image; one that is met for the first time must be a kernel of this version.
    fn record(&self, store: &Store, name: &str, image: Image) -> Result<Built> {
        let key = record(&image);
        // Another builder's record is not asked for: the image is here, and says what there is to know.
        if store.work_here(&key).is_some()
            && let Some(built) = Built::find(store, &key)
        {
            if !is_of(&built.version, &self.settings.version()) {
                return Err(Problem::new(format!("the image {name} is Linux {}", built.version)));
            }
            return Ok(Built { tag: self.tag.clone(), ..built });
        }
        let version = release(store, &image, &self.settings.version())
            .map_err(|problem| problem.while_doing(format!("the image {name} is not this kernel")))?;
        let built = Built {
            version,
            package_version: self.settings.version(),
            tag: self.tag.clone(),
            key: key.hex(),
            inputs: vec![Input { name: name.to_owned(), sha256: image.manifest }],
            packages: Vec::new(),
            report: Report::default(),
            warnings: Vec::new(),
            cached: true,
            image,
        };
        built.keep(store, &key)?;
        Ok(built)
    }

    /// A kernel whose inputs are known must be made of those of this plan: a tag does not say whose source it was.
    fn fits(&self, built: &Built) -> Result<()> {
        let other =
            |mine: &&Input| built.inputs.iter().any(|i| i.name == mine.name && i.sha256 != mine.sha256);
        match self.inputs.iter().find(other) {
            None => Ok(()),
            Some(input) => Err(Problem::new(format!("it was made of another {}", input.name))),
        }
    }
}

/// What is known of the kernel in an image. Its layers name it: a registry or an archive may compress them, and
/// then the manifest is another.
fn record(image: &Image) -> Key {
    let key = KeyMaker::new("kernel record 1");
    image.layers.iter().fold(key, |key, layer| key.add("layer", layer.bytes())).finish()
}

/// The release of an image's kernel, which must be of that version and have the modules' folder.
fn release(store: &Store, image: &Image, version: &str) -> Result<String> {
    let tree =
        oci::image_tree(store, image).map_err(|e| Problem::new("its layers cannot be read").because(e))?;
    let find = |name: &str| {
        let path = TreePath::new(name).map_err(|e| Problem::new(e.to_string()))?;
        match tree.get(&path).map(|node| &node.kind) {
            Some(Kind::File(content)) => Ok((path, content)),
            _ => Err(Problem::new(format!("it has no file /{name}"))),
        }
    };
    let (path, content) = find("kernel")?;
    let mut bytes = Vec::new();
    Contents::new(store)
        .copy(&path, content, &mut bytes)
        .map_err(|e| Problem::new("its kernel cannot be read").because(e))?;
    let release =
        bzimage::release(&bytes).map_err(|e| Problem::new("its /kernel is not a kernel").because(e))?;
    if !is_of(release, version) {
        return Err(Problem::new(format!("its /kernel is Linux {release}, not {version}")));
    }
    let (_, tar) = find("kernel.tar")?;
    let modules = oci::nested_tree(store, tar)
        .map_err(|e| Problem::new("its /kernel.tar cannot be read").because(e))?;
    let there = LIBRARIES.iter().any(|library| {
        let folder = TreePath::new(format!("{library}/modules/{release}"));
        folder.is_ok_and(|folder| modules.get(&folder).is_some_and(|node| node.is_directory()))
    });
    if !there {
        return Err(Problem::new(format!("its /kernel.tar has no modules of {release}")));
    }
    Ok(release.to_owned())
}

/// Whether a release, as in `5.10.228-hook`, is of a version, as in `5.10.228`.
fn is_of(release: &str, version: &str) -> bool {
    let more = |c: char| c.is_ascii_digit() || c == '.';
    release.strip_prefix(version).is_some_and(|rest| !rest.starts_with(more))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_is_of_one_version() {
        assert!(is_of("5.10.228-hook", "5.10.228") && is_of("6.12.0", "6.12.0"));
        for other in ["5.10.2281-hook", "5.10.228.1", "5.10.22-hook", "5.10.0-46-amd64"] {
            assert!(!is_of(other, "5.10.228"), "{other}");
        }
    }
}
