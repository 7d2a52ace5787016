//! A published image becomes a site's image: the site segment goes behind its initramfs, and nothing else
//! changes. The kernel unpacks archives in order, and a later file replaces an earlier one.

use super::files::{Artifact, Output};
use super::image::{ARCHIVE, CMDLINE, INITRAMFS, VMLINUZ};
use super::manifest::{self, Cmdline, Input, Manifest, SegmentRecord};
use super::published::{self, Base};
use super::record::{RunLock, Running};
use super::{image, package, provenance};
use crate::initramfs::archive::Packed;
use crate::initramfs::cpio;
use crate::initramfs::members::{self, Member, Packing};
use crate::initramfs::tree::{Node, TreePath};
use crate::initramfs::{Compression, archive};
use crate::kernel::bzimage;
use crate::linuxkit::{Definition, LINUXKIT_TIME};
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::replace::Replacement;
use crate::site::ResolvedSite;
use crate::site::certificates::SiteCertificates;
use crate::site::segment::{BuildRecord, image_fields, site_tree};
use crate::store::{Digest, Hashed, Hasher, KeyMaker, Store};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Folders that the site's files go to. A base that does not have them gets them.
const FOLDERS: [&str; 3] = ["etc", "etc/hook", "etc/idp"];

/// The kind of the input that was stamped on.
pub const BASE: &str = "base";
/// The kind of what else is in the archive.
pub const BESIDE: &str = "beside";

/// What is stamped.
pub struct Request<'a> {
    /// The project's folder.
    pub root: &'a Path,
    pub store: &'a Store,
    pub site: &'a ResolvedSite,
    pub certificates: &'a SiteCertificates,
    /// Where the files go.
    pub out: &'a Path,
}

/// A published image as files.
struct Files {
    kernel: Option<(Packed, String)>,
    initramfs: Packed,
    cmdline: Option<String>,
    /// What else is in its archive.
    others: Vec<(Packed, Digest)>,
}

impl Files {
    fn of(base: &Base, folder: &Path, progress: &dyn Progress) -> Result<Self> {
        let time = u64::try_from(LINUXKIT_TIME).unwrap_or(0);
        let ours = |name: &str, file: &Path| Packed {
            name: name.to_owned(),
            file: file.to_owned(),
            mode: 0o644,
            mtime: time,
        };
        let mut files = match base {
            Base::Folder { kernel, initramfs } => Self {
                kernel: Some((ours(VMLINUZ, kernel), release(kernel)?)),
                initramfs: ours(INITRAMFS, initramfs),
                cmdline: base.cmdline(),
                others: Vec::new(),
            },
            Base::Initramfs(initramfs) => Self {
                kernel: None,
                initramfs: ours(INITRAMFS, initramfs),
                cmdline: None,
                others: Vec::new(),
            },
            Base::Archive(path) => {
                let found = published::unpack(path, folder, progress)?;
                // They keep the names that they have there, for signatures go by name.
                let kernel = found.kernel.map(|(member, file)| {
                    let release = release(&file).map_err(|e| e.in_file(path))?;
                    Ok::<_, Problem>((ours(&member.name, &file), release))
                });
                let other = |(member, file, digest): (published::Member, PathBuf, Digest)| {
                    let published::Member { name, mode, mtime, .. } = member;
                    (Packed { name, file, mode, mtime }, digest)
                };
                Self {
                    kernel: kernel.transpose()?,
                    initramfs: ours(&found.initramfs.0.name, &found.initramfs.1),
                    cmdline: found.cmdline,
                    others: found.others.into_iter().map(other).collect(),
                }
            }
        };
        // What speaks of the initramfs as it was would be wrong of the new one.
        let of_initramfs = format!("{}.", files.initramfs.name);
        files.others.retain(|(other, _)| {
            let void = other.name.starts_with(&of_initramfs);
            if void {
                progress.warn(&format!(
                    "{} is left out: it is of the initramfs as it was, which this is not; sign the new one",
                    other.name
                ));
            }
            !void
        });
        Ok(files)
    }
}

impl Request<'_> {
    /// The site's segment alone, for boot loaders that load two.
    pub fn bundle(&self, progress: &dyn Progress) -> Result<Vec<Artifact>> {
        let (output, _lock) = self.open()?;
        let compression = self.site.compression();
        let (segment, written) = self.segment("", &[], compression, false)?;
        let cmdline = self.cmdline(None, progress)?;
        let artifacts = vec![
            output.write(&image::site_file(compression), &segment)?,
            output.write(CMDLINE, cmdline.text().as_bytes())?,
        ];
        let mut record = self.record("", cmdline);
        record.segments = vec![SegmentRecord::site(&segment, &written)];
        self.finish(&output, record, artifacts)
    }

    /// Puts the site's segment behind the base; gives the files that were written.
    pub fn stamp(&self, base: &Base, progress: &dyn Progress) -> Result<Vec<Artifact>> {
        let (output, _lock) = self.open()?;
        let folder = tempfile::Builder::new()
            .prefix(".stamp-")
            .tempdir_in(self.out)
            .map_err(|e| Problem::new("cannot write here").in_file(self.out).because(e))?;
        let files = Files::of(base, folder.path(), progress)?;
        let (kernel, release) = files.kernel.unzip();
        let release = release.unwrap_or_default();
        let initramfs = &files.initramfs;
        progress.log(&format!("reading {}", initramfs.name));
        let (found, read) = Found::of(self.store, &initramfs.file, progress)?;
        let compression = found.compression();
        let (segment, written) = self.segment(&release, &[found.digest], compression, found.bare)?;

        let cmdline = self.cmdline(files.cmdline.as_deref(), progress)?;
        let mut artifacts = vec![
            output.write(&image::site_file(compression), &segment)?,
            output.write(CMDLINE, cmdline.text().as_bytes())?,
        ];
        if let Some(kernel) = &kernel {
            let read = hashed(&kernel.file, progress)?;
            artifacts.push(self.copy(&kernel.file, VMLINUZ, read, &[], &output)?);
        }
        let made = self.copy(&initramfs.file, INITRAMFS, read, &segment, &output)?;
        let whole = made.bytes;
        artifacts.push(made);
        if let Some(kernel) = kernel {
            let at = |packed: &Packed, name: &str| Packed { file: output.path(name), ..packed.clone() };
            let mut members = vec![at(&kernel, VMLINUZ), at(initramfs, INITRAMFS)];
            members.extend(files.others.iter().map(|(other, _)| other.clone()));
            let path = output.path(ARCHIVE);
            let (bytes, sha256) = archive::tar_gz(&members, &path)
                .map_err(|e| Problem::new(format!("cannot write {}", path.display())).because(e))?;
            artifacts.push(Artifact { name: ARCHIVE.to_owned(), bytes, sha256 });
        }
        let mut record = self.record(&release, cmdline);
        record.inputs.push(Input {
            kind: BASE.to_owned(),
            name: initramfs.name.clone(),
            digest: found.digest,
        });
        record.inputs.extend(files.others.into_iter().map(|(other, digest)| Input {
            kind: BESIDE.to_owned(),
            name: other.name,
            digest,
        }));
        record.segments = found.records();
        record.segments.push(SegmentRecord::site(&segment, &written));
        package::tell_size(&record.segments, whole, progress);
        let text = provenance::write(
            (provenance::STAMPED, &record.hookos),
            (&record.profile, &image_fields(self.site)),
            &record.inputs,
            &artifacts,
        )?;
        artifacts.push(output.write(provenance::FILE, &text)?);
        self.finish(&output, record, artifacts)
    }

    /// The folder, which is ours alone from now on.
    fn open(&self) -> Result<(Output, RunLock)> {
        let output = Output::open(self.out)?;
        let running = Running {
            run: "stamp".to_owned(),
            pid: std::process::id(),
            since: jiff::Timestamp::now().as_second(),
        };
        let lock = RunLock::take(&self.out.join("logs"), &running)?;
        Ok((output, lock))
    }

    fn record(&self, release: &str, cmdline: Cmdline) -> Manifest {
        let mut record = Manifest::new(&self.site.name, release, LINUXKIT_TIME);
        record.cmdline = cmdline;
        record.inputs = manifest::certificates(self.certificates);
        record
    }

    /// Writes the record; what other images left here before goes.
    fn finish(
        &self,
        output: &Output,
        mut record: Manifest,
        mut artifacts: Vec<Artifact>,
    ) -> Result<Vec<Artifact>> {
        record.artifacts.clone_from(&artifacts);
        output.remove_others(&artifacts)?;
        artifacts.push(output.write(manifest::FILE, &record.text()?)?);
        Ok(artifacts)
    }

    /// The kernel command line: the image's own, or that of the site's image definition, and the site's words.
    fn cmdline(&self, own: Option<&str>, progress: &dyn Progress) -> Result<Cmdline> {
        let first = match own {
            Some(own) => own.to_owned(),
            None => {
                let path = self.site.definition(self.root);
                let definition = Definition::read(std::slice::from_ref(&path))?;
                let cmdline = definition.kernel.map(|kernel| kernel.cmdline).unwrap_or_default();
                progress.log(&format!(
                    "the image brings no kernel command line; that of {} is taken",
                    path.display()
                ));
                cmdline
            }
        };
        Ok(Cmdline::new(&first, self.site.kernel_append()))
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
            images: base.iter().map(|digest| (BASE.to_owned(), *digest)).collect(),
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
        (mut hasher, read): (Hasher, u64),
        behind: &[u8],
        output: &Output,
    ) -> Result<Artifact> {
        let to = output.path(name);
        let failed = |e: io::Error| Problem::new(format!("cannot write {}", to.display())).because(e);
        let mut new = Replacement::of(&to, 0o644).map_err(failed)?;
        // The kernel copies.
        let mut source = File::open(from).map_err(|e| unreadable(from, e))?;
        let bytes = io::copy(&mut source, new.file()).map_err(failed)?;
        if bytes != read {
            return Err(unreadable(from, io::Error::other("it was changed while it was read")));
        }
        new.file().write_all(behind).map_err(failed)?;
        new.place().map_err(failed)?;
        hasher.update(behind);
        let bytes = bytes + behind.len() as u64;
        Ok(Artifact { name: name.to_owned(), bytes, sha256: hasher.finish() })
    }
}

fn unreadable(path: &Path, error: io::Error) -> Problem {
    Problem::new("the base cannot be read").in_file(path).because(error)
}

/// Reads a file to its end.
fn hashed(path: &Path, progress: &dyn Progress) -> Result<(Hasher, u64)> {
    Hashed::file(path, progress).or_else(|e| progress.check().and(Err(unreadable(path, e))))
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
    fn of(store: &Store, path: &Path, progress: &dyn Progress) -> Result<(Self, (Hasher, u64))> {
        let read = hashed(path, progress)?;
        let digest = read.0.clone().finish();
        let key = KeyMaker::new("stamped base 2").add("initramfs", digest.bytes()).local().finish();
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
        let members = members::read(file, |_, entry, _| {
            let name = String::from_utf8_lossy(&entry.name).trim_start_matches("./").to_owned();
            seen.extend(FOLDERS.iter().filter(|folder| **folder == name).copied());
            Ok(())
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
            digest: member.digest,
            compressed: member.packed,
            unpacked: member.unpacked,
            memory: member.memory,
            files: member.files,
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
