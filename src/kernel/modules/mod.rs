//! Kernel modules: what their ELF files say, which of them depend on which, and the index files
//! that `modprobe` reads.
//!
//! Nothing here opens a file: a caller gives each module's path and bytes, and gets names and bytes back.

pub mod depmod;
pub mod elf;
pub mod index;

use std::borrow::Cow;
use std::io::Read as _;

/// The endings that a module's file may have, and what they say of its compression.
const SUFFIXES: [(&str, Compression); 4] = [
    (".ko", Compression::None),
    (".ko.gz", Compression::Gzip),
    (".ko.xz", Compression::Xz),
    (".ko.zst", Compression::Zstd),
];

/// The most bytes that a module may unpack to. The largest in Debian's kernels has about 8 MB.
const LARGEST: u64 = 256 << 20;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Compression {
    None,
    Gzip,
    Xz,
    Zstd,
}

fn compression(path: &str) -> Option<Compression> {
    SUFFIXES.iter().find(|(suffix, _)| path.ends_with(suffix)).map(|(_, compression)| *compression)
}

/// Whether this is the path of a module.
pub fn is_module(path: &str) -> bool {
    compression(path).is_some()
}

/// The path with `.ko` as its ending, whatever the compression: what patterns are matched with.
pub fn plain_path(path: &str) -> &str {
    match path.rfind(".ko") {
        Some(at) if is_module(path) => &path[..at + 3],
        _ => path,
    }
}

/// The name by which the kernel knows the module of this path: the file's name up to its first
/// dot, with `_` for each `-`.
pub fn name_of(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normalise(file.split('.').next().unwrap_or(file))
}

/// Module names are the same with `-` and with `_`; the kernel writes `_`.
pub fn normalise(name: &str) -> String {
    name.replace('-', "_")
}

/// The ELF bytes of a module file, unpacked as its path's ending says.
pub fn unpack<'a>(path: &str, bytes: &'a [u8]) -> std::io::Result<Cow<'a, [u8]>> {
    let mut out = Vec::new();
    let read = match compression(path) {
        None | Some(Compression::None) => return Ok(Cow::Borrowed(bytes)),
        Some(Compression::Gzip) => flate2::read::GzDecoder::new(bytes).take(LARGEST).read_to_end(&mut out)?,
        Some(Compression::Xz) => liblzma::read::XzDecoder::new(bytes).take(LARGEST).read_to_end(&mut out)?,
        Some(Compression::Zstd) => zstd::Decoder::new(bytes)?.take(LARGEST).read_to_end(&mut out)?,
    };
    if read as u64 == LARGEST {
        return Err(std::io::Error::other(format!("unpacks to more than {LARGEST} bytes")));
    }
    Ok(Cow::Owned(out))
}

/// The level of zstd for modules: higher ones take ten times as long for a tenth less.
const LEVEL: i32 = 9;

/// A plain module's path and bytes as they go into an image: packed, for it lies in memory. None for one that is
/// packed already. kmod reads these with libzstd; the kernel's own check of a signature comes after that.
pub fn pack(path: &str, bytes: &[u8]) -> std::io::Result<Option<(String, Vec<u8>)>> {
    if compression(path) != Some(Compression::None) {
        return Ok(None);
    }
    // In one piece: kmod wants to know the size beforehand.
    let packed = zstd::bulk::compress(bytes, LEVEL)?;
    Ok(Some((format!("{path}.zst"), packed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_give_names_whatever_the_compression() {
        for path in ["kernel/drivers/net/dummy-irq.ko", "kernel/drivers/net/dummy-irq.ko.xz"] {
            assert!(is_module(path));
            assert_eq!(name_of(path), "dummy_irq");
            assert_eq!(plain_path(path), "kernel/drivers/net/dummy-irq.ko");
        }
        assert!(!is_module("modules.order"));
        assert_eq!(plain_path("modules.order"), "modules.order");
    }

    #[test]
    fn compressed_modules_are_unpacked() {
        let (path, packed) = pack("a.ko", &[7; 5000]).unwrap().unwrap();
        assert_eq!((path.as_str(), &*unpack(&path, &packed).unwrap()), ("a.ko.zst", &[7; 5000][..]));
        assert_eq!(zstd::zstd_safe::get_frame_content_size(&packed).unwrap(), Some(5000));
        assert_eq!(pack(&path, &packed).unwrap(), None);
        let packed = zstd::encode_all(&b"module"[..], 3).unwrap();
        assert_eq!(&*unpack("a.ko.zst", &packed).unwrap(), b"module");
        assert_eq!(&*unpack("a.ko", b"module").unwrap(), b"module");
        assert!(unpack("a.ko.xz", b"module").is_err());
    }
}
