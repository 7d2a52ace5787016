//! A published image becomes a site's image: the site segment goes behind its initramfs, and nothing else
//! changes. The kernel unpacks archives in order, and a later file replaces an earlier one.

use super::files::{Artifact, Output};
use super::image::{ARCHIVE, INITRAMFS, VMLINUZ};
use super::manifest::{self, Input, Manifest, SegmentRecord};
use super::{image, package};
use crate::initramfs::cpio;
use crate::initramfs::members::{self, Member, Packing};
use crate::initramfs::tree::{Node, TreePath};
use crate::initramfs::{Compression, archive};
use crate::kernel::bzimage;
use crate::linuxkit::LINUXKIT_TIME;
use crate::problem::{Problem, Result};
use crate::progress::{Progress, Unit};
use crate::replace::Replacement;
use crate::site::ResolvedSite;
use crate::site::certificates::SiteCertificates;
use crate::site::segment::{BuildRecord, site_tree};
use crate::store::{Digest, Hasher, KeyMaker, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Folders that the site's files go to. A base that does not have them gets them.
const FOLDERS: [&str; 3] = ["etc", "etc/hook", "etc/idp"];
/// No file of an initramfs that is read here is larger.
pub const LARGEST: u64 = 2 << 30;

/// What is stamped.
pub struct Request<'a> {
    pub store: &'a Store,
    pub site: &'a ResolvedSite,
    pub certificates: &'a SiteCertificates,
    /// Where the files go.
    pub out: &'a Path,
}

/// A published image: a folder with a kernel and an initramfs, an archive of both, or the initramfs alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    Folder { kernel: PathBuf, initramfs: PathBuf },
    Archive(PathBuf),
    Initramfs(PathBuf),
}

impl Base {
    /// Looks at what there is.
    pub fn find(path: &Path) -> Result<Self> {
        if path.is_dir() {
            let one = |names: &[&str]| {
                let found = names.iter().map(|name| path.join(name)).find(|file| file.is_file());
                found.ok_or_else(|| {
                    Problem::usage("there is no kernel and initramfs in this folder")
                        .in_file(path)
                        .remedy(format!("it should hold one of {}", names.join(", ")))
                })
            };
            let kernel = one(&[VMLINUZ, "vmlinuz", "kernel"])?;
            let initramfs = one(&[INITRAMFS, "initramfs", "initrd", "initrd.img"])?;
            return Ok(Self::Folder { kernel, initramfs });
        }
        let mut head = [0; 6];
        let read = File::open(path).and_then(|mut file| file.read(&mut head));
        let read = read.map_err(|e| Problem::usage("the image cannot be read").in_file(path).because(e))?;
        // A gzip that holds a tar is an archive; one that holds a cpio is an initramfs.
        let archive = head[..read].starts_with(&[0x1f, 0x8b]) && is_tar(path).unwrap_or(false);
        Ok(if archive { Self::Archive(path.to_owned()) } else { Self::Initramfs(path.to_owned()) })
    }
}

fn is_tar(path: &Path) -> io::Result<bool> {
    let mut block = [0; 512];
    flate2::read::GzDecoder::new(File::open(path)?).read_exact(&mut block)?;
    Ok(&block[257..262] == b"ustar")
}

impl Request<'_> {
    /// The site's segment alone, for boot loaders that load two.
    pub fn bundle(&self) -> Result<Vec<Artifact>> {
        let output = Output::open(self.out)?;
        let compression = self.site.compression();
        let (bytes, _) = self.segment("", &[], compression, false)?;
        Ok(vec![output.write(&image::site_file(compression), &bytes)?])
    }

    /// Puts the site's segment behind the base; gives the files that were written.
    pub fn stamp(&self, base: &Base, progress: &dyn Progress) -> Result<Vec<Artifact>> {
        let output = Output::open(self.out)?;
        let folder = tempfile::Builder::new()
            .prefix(".stamp-")
            .tempdir_in(self.out)
            .map_err(|e| Problem::new("cannot write here").in_file(self.out).because(e))?;
        let (kernel, initramfs) = match base {
            Base::Folder { kernel, initramfs } => (Some(kernel.clone()), initramfs.clone()),
            Base::Initramfs(initramfs) => (None, initramfs.clone()),
            Base::Archive(path) => unpack(path, folder.path(), progress)?,
        };
        let release = kernel.as_deref().map(release).transpose()?.unwrap_or_default();
        progress.log(&format!("reading {}", initramfs.display()));
        let (found, read) = Found::of(self.store, &initramfs, progress)?;
        let compression = found.compression();
        let (segment, written) = self.segment(&release, &[found.digest], compression, found.bare)?;

        let mut artifacts = vec![output.write(&image::site_file(compression), &segment)?];
        let kernel = match &kernel {
            Some(kernel) => {
                let read = Hashed::file(kernel, progress).map_err(|e| unreadable(kernel, e))?;
                Some(self.copy(kernel, VMLINUZ, read, &[], &output)?)
            }
            None => None,
        };
        let made = self.copy(&initramfs, INITRAMFS, read, &segment, &output)?;
        let both = match kernel {
            Some(kernel) => {
                let (vmlinuz, initramfs) = (output.path(VMLINUZ), output.path(INITRAMFS));
                let members = [(VMLINUZ, vmlinuz.as_path()), (INITRAMFS, initramfs.as_path())];
                let path = output.path(ARCHIVE);
                let mtime = u64::try_from(LINUXKIT_TIME).unwrap_or(0);
                let (bytes, sha256) = archive::tar_gz(&members, mtime, &path)
                    .map_err(|e| Problem::new(format!("cannot write {}", path.display())).because(e))?;
                artifacts.push(kernel);
                Some(Artifact { name: ARCHIVE.to_owned(), bytes, sha256 })
            }
            None => None,
        };
        artifacts.push(made);
        artifacts.extend(both);
        let mut record = Manifest::new(&self.site.name, &release, LINUXKIT_TIME);
        let name = initramfs.file_name().unwrap_or_default().to_string_lossy().into_owned();
        record.inputs.push(Input { kind: "base".to_owned(), name, digest: found.digest });
        record.segments = found.records();
        record.segments.push(SegmentRecord {
            name: "site".to_owned(),
            digest: Digest::of(&segment),
            compressed: segment.len() as u64,
            unpacked: written.content,
            files: written.files,
        });
        record.artifacts.clone_from(&artifacts);
        artifacts.push(output.write(manifest::FILE, &record.text()?)?);
        Ok(artifacts)
    }

    /// The site's files as a member; with the folders that they go to, if the base has none.
    fn segment(
        &self,
        release: &str,
        base: &[Digest],
        compression: Compression,
        bare: bool,
    ) -> Result<(Vec<u8>, cpio::Written)> {
        let record = BuildRecord {
            kernel: release.to_owned(),
            images: base.iter().map(|digest| ("base".to_owned(), *digest)).collect(),
            source_date_epoch: None,
        };
        let mut tree = site_tree(self.site, self.certificates, &record, LINUXKIT_TIME)?;
        if bare {
            for folder in FOLDERS {
                let path = TreePath::new(folder).map_err(|e| Problem::new(e.to_string()))?;
                tree.insert(path, Node::directory(0o755, LINUXKIT_TIME));
            }
        }
        package::site_member(self.store, &tree, compression, LINUXKIT_TIME)
    }

    /// Copies a file that was read already, with something behind it.
    fn copy(
        &self,
        from: &Path,
        name: &str,
        mut read: Hashed,
        behind: &[u8],
        output: &Output,
    ) -> Result<Artifact> {
        let to = output.path(name);
        let failed = |e: io::Error| Problem::new(format!("cannot write {}", to.display())).because(e);
        let mut new = Replacement::of(&to, 0o644).map_err(failed)?;
        // The kernel copies.
        let mut source = File::open(from).map_err(|e| unreadable(from, e))?;
        let bytes = io::copy(&mut source, new.file()).map_err(failed)?;
        if bytes != read.bytes {
            return Err(unreadable(from, io::Error::other("it was changed while it was read")));
        }
        new.file().write_all(behind).map_err(failed)?;
        new.place().map_err(failed)?;
        read.hasher.update(behind);
        let bytes = bytes + behind.len() as u64;
        Ok(Artifact { name: name.to_owned(), bytes, sha256: read.hasher.finish() })
    }
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    if error.kind() == io::ErrorKind::Interrupted {
        return Problem::cancelled();
    }
    Problem::new("the base cannot be read").in_file(path).because(error)
}

/// A file that was read to its end.
struct Hashed {
    hasher: Hasher,
    bytes: u64,
}

impl Hashed {
    fn file(path: &Path, progress: &dyn Progress) -> io::Result<Self> {
        let mut file = File::open(path)?;
        let whole = file.metadata()?.len();
        let (mut hasher, mut bytes, mut buffer) = (Hasher::new(), 0, vec![0; 1 << 18]);
        loop {
            let n = file.read(&mut buffer)?;
            if n == 0 {
                return Ok(Self { hasher, bytes });
            }
            if progress.cancelled() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            hasher.update(&buffer[..n]);
            bytes += n as u64;
            progress.at(bytes, whole, Unit::Bytes);
        }
    }
}

/// What there is to know of a base's initramfs.
#[derive(Serialize, Deserialize)]
struct Found {
    digest: Digest,
    members: Vec<Member>,
    /// It has no folders for the site's files.
    bare: bool,
}

impl Found {
    /// Looks into a base, or remembers what was seen when it was stamped before.
    fn of(store: &Store, path: &Path, progress: &dyn Progress) -> Result<(Self, Hashed)> {
        let read = Hashed::file(path, progress).map_err(|e| unreadable(path, e))?;
        let digest = read.hasher.clone().finish();
        let key = KeyMaker::new("stamped base 1").add("initramfs", digest.bytes()).local().finish();
        let known =
            store.work(&key).and_then(|record| serde_json::from_slice(&store.read(&record).ok()?).ok());
        if let Some(known) = known {
            return Ok((known, read));
        }
        let found = Self::in_file(path, digest)?;
        let text =
            serde_json::to_vec(&found).map_err(|e| Problem::new("a record cannot be written").because(e))?;
        store.set_work(&key, &store.put(&text)?)?;
        Ok((found, read))
    }

    fn in_file(path: &Path, digest: Digest) -> Result<Self> {
        let bad = |e: &dyn std::error::Error| {
            Problem::usage(format!("this is no initramfs: {e}"))
                .in_file(path)
                .remedy("give a hook_x86_64.tar.gz, a folder with kernel and initramfs, or an initramfs")
        };
        let file = File::open(path).map_err(|e| bad(&e))?;
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let members = members::read(file, LARGEST, |_, entry| {
            let name = String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
            seen.extend(FOLDERS.iter().filter(|folder| **folder == name).copied());
        })
        .map_err(|e| bad(&e))?;
        if members.is_empty() {
            return Err(bad(&io::Error::other("it is empty")));
        }
        Ok(Self { digest, members, bare: seen.len() < FOLDERS.len() })
    }

    /// As the base is compressed, for its kernel can unpack that. One for xz can do gzip.
    fn compression(&self) -> Compression {
        match self.members.last().map(|member| member.packing) {
            Some(Packing::Zstd) => Compression::Zstd,
            _ => Compression::Gzip,
        }
    }

    fn records(&self) -> Vec<SegmentRecord> {
        let record = |(at, member): (usize, &Member)| SegmentRecord {
            name: format!("base/{at}"),
            // Members of a foreign base have no names of their own; the base's digest covers them.
            digest: self.digest,
            compressed: member.packed,
            unpacked: member.unpacked,
            files: member.entries,
        };
        self.members.iter().enumerate().map(record).collect()
    }
}

/// The kernel's release, as `uname -r` says it.
fn release(kernel: &Path) -> Result<String> {
    let bad =
        |e: &dyn std::error::Error| Problem::usage(format!("the kernel cannot be used: {e}")).in_file(kernel);
    let bytes = std::fs::read(kernel).map_err(|e| bad(&e))?;
    bzimage::release(&bytes).map(str::to_owned).map_err(|e| bad(&e))
}

/// Takes kernel and initramfs out of an archive.
fn unpack(archive: &Path, into: &Path, progress: &dyn Progress) -> Result<(Option<PathBuf>, PathBuf)> {
    let bad = |e: io::Error| Problem::usage("the archive cannot be read").in_file(archive).because(e);
    progress.log(&format!("unpacking {}", archive.display()));
    let file = File::open(archive).map_err(bad)?;
    let mut tar =
        tar::Archive::new(flate2::read::GzDecoder::new(io::BufReader::with_capacity(1 << 18, file)));
    let (mut kernel, mut initramfs) = (None, None);
    for entry in tar.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let name = entry.path().map_err(bad)?.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let place = match name.as_str() {
            name if name.starts_with("vmlinuz") || name == "kernel" => &mut kernel,
            name if name.starts_with("initramfs") || name.starts_with("initrd") => &mut initramfs,
            _ => continue,
        };
        // The name is ours: one from outside could lead elsewhere.
        let path = into.join(if name.starts_with('v') || name == "kernel" { VMLINUZ } else { INITRAMFS });
        let mut out = File::create(&path)
            .map_err(|e| Problem::new(format!("cannot write {}", path.display())).because(e))?;
        io::copy(&mut entry, &mut out).map_err(bad)?;
        *place = Some(path);
    }
    match initramfs {
        Some(initramfs) => Ok((kernel, initramfs)),
        None => Err(Problem::usage("there is no initramfs in the archive")
            .in_file(archive)
            .remedy("a hook_x86_64.tar.gz holds vmlinuz-x86_64 and initramfs-x86_64")),
    }
}
