//! The head of an x86 kernel image.
//!
//! Source: the kernel's Documentation/x86/boot.rst, "The Real-Mode Kernel Header".

/// Why a file is not a kernel that a boot loader starts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("it has no boot sector mark 0xAA55 and `HdrS`: not a bzImage")]
    NotBzImage,
    #[error("its boot protocol 0x{0:x} is older than 2.0")]
    Old(u16),
    #[error("it does not say which version it is")]
    NoVersion,
}

/// The longest version text that is looked for, in bytes.
const LONGEST: usize = 512;

/// The kernel's version text, as in `5.10.0-46-amd64 (builder) #1 SMP ...`: what comes before the
/// first blank is the name of its folder in `/lib/modules`.
pub fn version(image: &[u8]) -> Result<&str, Error> {
    let word = |at: usize| image.get(at..at + 2).map(|b| u16::from_le_bytes([b[0], b[1]]));
    if word(0x1fe) != Some(0xAA55) || image.get(0x202..0x206) != Some(b"HdrS") {
        return Err(Error::NotBzImage);
    }
    match word(0x206) {
        Some(protocol) if protocol >= 0x200 => {}
        protocol => return Err(Error::Old(protocol.unwrap_or(0))),
    }
    // The pointer counts from the setup code's second sector.
    let text = word(0x20e)
        .filter(|at| *at != 0)
        .and_then(|at| image.get(usize::from(at) + 0x200..))
        .ok_or(Error::NoVersion)?;
    let text = &text[..text.len().min(LONGEST)];
    let end = text.iter().position(|b| *b == 0).ok_or(Error::NoVersion)?;
    std::str::from_utf8(&text[..end]).ok().filter(|t| !t.trim().is_empty()).ok_or(Error::NoVersion)
}

/// The part of [`version`] that names the modules' folder.
pub fn release(image: &[u8]) -> Result<&str, Error> {
    version(image)?.split_whitespace().next().ok_or(Error::NoVersion)
}

/// The longest command line that the kernel takes, in bytes without the end; protocols before 2.06 do not say.
pub fn cmdline_size(image: &[u8]) -> Option<u32> {
    version(image).ok()?;
    let protocol = u16::from_le_bytes(image.get(0x206..0x208)?.try_into().ok()?);
    let size = image.get(0x238..0x23c)?.try_into().ok()?;
    (protocol >= 0x206).then(|| u32::from_le_bytes(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(protocol: u16, version: &[u8]) -> Vec<u8> {
        let mut out = vec![0; 0x400];
        out[0x1fe..0x200].copy_from_slice(&0xAA55u16.to_le_bytes());
        out[0x202..0x206].copy_from_slice(b"HdrS");
        out[0x206..0x208].copy_from_slice(&protocol.to_le_bytes());
        out[0x20e..0x210].copy_from_slice(&0x200u16.to_le_bytes());
        out.extend(version);
        out
    }

    #[test]
    fn the_release_is_read() {
        assert_eq!(release(&image(0x20f, b"5.10.0-46-amd64 (x@y) #1 SMP\0")), Ok("5.10.0-46-amd64"));
    }

    #[test]
    fn the_longest_command_line_is_read() {
        let mut kernel = image(0x20f, b"5.10.228-hook (x@y) #1 SMP\0");
        kernel[0x238..0x23c].copy_from_slice(&4095u32.to_le_bytes());
        assert_eq!(cmdline_size(&kernel), Some(4095));
        assert_eq!(cmdline_size(&image(0x205, b"2.6\0")), None);
    }

    #[test]
    fn what_is_no_kernel_is_told() {
        assert_eq!(version(b"\x7fELF"), Err(Error::NotBzImage));
        assert_eq!(version(&image(0x105, b"x\0")), Err(Error::Old(0x105)));
        assert_eq!(version(&image(0x20f, b"no end")), Err(Error::NoVersion));
        assert_eq!(version(&image(0x20f, b"\0")), Err(Error::NoVersion));
        assert_eq!(version(&image(0x20f, b"5.10\0")[..0x300]), Err(Error::NoVersion));
    }
}
