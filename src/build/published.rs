//! Images as they are published, ours and others': where the kernel and the initramfs are.

use super::image::{CMDLINE, INITRAMFS, VMLINUZ};
use super::manifest::Cmdline;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Hasher};
use std::fs::File;
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

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

    /// The kernel command line that lies beside a kernel in a folder; without the words of a site, where it is known
    /// which these are.
    pub fn cmdline(&self) -> Option<String> {
        let Self::Folder { kernel, .. } = self else { return None };
        if let Some(known) = kernel.parent().and_then(Cmdline::of_folder) {
            return Some(known.image);
        }
        let text = std::fs::read_to_string(kernel.with_file_name(CMDLINE)).ok()?;
        Some(text.trim().to_owned())
    }
}

fn is_tar(path: &Path) -> io::Result<bool> {
    let mut block = [0; 512];
    flate2::read::GzDecoder::new(File::open(path)?).read_exact(&mut block)?;
    Ok(&block[257..262] == b"ustar")
}

/// What a file of an archive is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Kernel,
    Initramfs,
    /// The kernel command line.
    Cmdline,
    /// A signature, a device tree, a certificate: whatever else goes with an image.
    Other,
}

/// Ends of the names of files that speak of another file: signatures and checksums.
const OF_ANOTHER: [&str; 8] = ["sig", "asc", "p7s", "pem", "crt", "sha256", "sha512", "sha256sum"];

impl Role {
    /// By the names that builders of HookOS use: `vmlinuz-x86_64` and `initramfs-x86_64`, with another ending for
    /// another kernel (`vmlinuz-latest-lts-x86_64`, `vmlinuz-6.6.y-x86_64`).
    pub fn of(name: &str) -> Self {
        let of_another = name.rsplit_once('.').is_some_and(|(_, end)| OF_ANOTHER.contains(&end));
        match name {
            _ if of_another => Self::Other,
            "kernel" => Self::Kernel,
            _ if name.starts_with("vmlinuz") => Self::Kernel,
            _ if name.starts_with("initramfs") || name.starts_with("initrd") => Self::Initramfs,
            _ if name.starts_with("cmdline") => Self::Cmdline,
            _ => Self::Other,
        }
    }
}

/// A file of an archive, as its entry says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Path in the archive, without a leading `./`.
    pub name: String,
    pub role: Role,
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: u64,
}

/// Hands each file of an archive to `each`, in order. A second kernel or initramfs is an error: which one counts
/// is nobody's to guess.
pub fn members(
    archive: &Path,
    input: impl Read,
    mut each: impl FnMut(Member, &mut dyn Read) -> Result<()>,
) -> Result<()> {
    let bad = |e: io::Error| Problem::usage("the archive cannot be read").in_file(archive).because(e);
    let input = BufReader::with_capacity(1 << 18, input);
    let mut tar = tar::Archive::new(flate2::read::GzDecoder::new(input));
    let mut seen: Vec<Member> = Vec::new();
    for entry in tar.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let kind = entry.header().entry_type();
        // Folders come with the paths of what is in them.
        if kind.is_dir() || kind.is_pax_global_extensions() {
            continue;
        }
        let path = entry.path().map_err(bad)?.into_owned();
        let name = path.to_string_lossy().trim_start_matches("./").to_owned();
        if !kind.is_file() {
            return Err(Problem::usage(format!("{name} in the archive is no file but a link or a device"))
                .in_file(archive)
                .remedy("an image is published as an archive of files"));
        }
        let role = Role::of(name.rsplit('/').next().unwrap_or(&name));
        let mode = entry.header().mode().map_err(bad)? & 0o7777;
        let mtime = entry.header().mtime().map_err(bad)?;
        let member = Member { name, role, mode, mtime };
        if role != Role::Other
            && let Some(other) = seen.iter().find(|other| other.role == role)
        {
            return Err(Problem::usage(format!(
                "the archive holds both {} and {}, and it is not said which one counts",
                other.name, member.name
            ))
            .in_file(archive)
            .remedy("unpack the one that is meant into a folder, and give the folder"));
        }
        seen.push(member.clone());
        each(member, &mut entry)?;
    }
    Ok(())
}

/// What was in an archive, as files.
#[derive(Debug)]
pub struct Unpacked {
    pub kernel: Option<(Member, PathBuf)>,
    pub initramfs: (Member, PathBuf),
    pub cmdline: Option<String>,
    /// With their digests.
    pub others: Vec<(Member, PathBuf, Digest)>,
}

/// Takes an archive's files out of it, into a folder of ours under names of ours.
pub fn unpack(archive: &Path, into: &Path, progress: &dyn Progress) -> Result<Unpacked> {
    progress.log(&format!("unpacking {}", archive.display()));
    let (mut kernel, mut initramfs, mut cmdline, mut others) = (None, None, None, Vec::new());
    let mut number = 0;
    let file = File::open(archive)
        .map_err(|e| Problem::usage("the archive cannot be read").in_file(archive).because(e))?;
    members(archive, file, |member, data| {
        number += 1;
        let path = into.join(number.to_string());
        let failed =
            |e: io::Error| Problem::new("the archive cannot be unpacked").in_file(archive).because(e);
        let mut out = Tee { out: File::create(&path).map_err(failed)?, hasher: Hasher::new() };
        io::copy(data, &mut out).map_err(failed)?;
        let digest = out.hasher.finish();
        match member.role {
            Role::Kernel => kernel = Some((member, path)),
            Role::Initramfs => initramfs = Some((member, path)),
            Role::Cmdline => {
                cmdline = Some(std::fs::read_to_string(&path).map_err(failed)?.trim().to_owned());
            }
            Role::Other => others.push((member, path, digest)),
        }
        Ok(())
    })?;
    match initramfs {
        Some(initramfs) => Ok(Unpacked { kernel, initramfs, cmdline, others }),
        None => Err(Problem::usage("there is no initramfs in the archive")
            .in_file(archive)
            .remedy("a hook_x86_64.tar.gz holds vmlinuz-x86_64 and initramfs-x86_64")),
    }
}

struct Tee {
    out: File,
    hasher: Hasher,
}

impl Write for Tee {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.out.write(bytes)?;
        self.hasher.update(bytes.get(..n).unwrap_or_default());
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::Role;

    #[test]
    fn a_signature_is_not_what_it_signs() {
        for (name, role) in [
            ("vmlinuz-x86_64", Role::Kernel),
            ("vmlinuz-6.6.y-x86_64", Role::Kernel),
            ("vmlinuz-x86_64.sig", Role::Other),
            ("initramfs-x86_64", Role::Initramfs),
            ("initrd.img", Role::Initramfs),
            ("initramfs-x86_64.sig", Role::Other),
            ("initramfs-latest-lts-x86_64.sha256", Role::Other),
            ("hookos_db.der", Role::Other),
            ("dtbs-aarch64.tar.gz", Role::Other),
            ("cmdline-x86_64", Role::Cmdline),
        ] {
            assert_eq!(Role::of(name), role, "{name}");
        }
    }
}
