//! What a module's ELF file says about itself.
//!
//! Source of the facts: the kernel's `include/linux/moduleparam.h` (`.modinfo` holds NUL-ended
//! `key=value` texts) and `include/linux/export.h` (each exported symbol X leaves a symbol
//! `__ksymtab_X`, and `__crc_X` where the kernel checks versions).

use super::unpack;
use object::{Object as _, ObjectSection as _, ObjectSymbol as _};
use std::collections::BTreeSet;

/// The end of a signed module's file (`scripts/sign-file.c`).
const SIGNATURE_MARK: &[u8] = b"~Module signature appended~\n";

/// Why a module cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("module {path} cannot be unpacked")]
    Packed { path: String, source: std::io::Error },
    #[error("module {path} is not an ELF file that can be read")]
    Elf { path: String, source: object::Error },
    #[error("module {path} has no .modinfo section")]
    NoInfo { path: String },
    #[error("module {path} holds text that is not UTF-8")]
    Text { path: String },
}

/// A module's facts. Lists keep the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Module {
    /// Below `/lib/modules/<version>/`, as in `kernel/fs/ext4/ext4.ko`.
    pub path: String,
    /// From the file's name, with `_` for `-`.
    pub name: String,
    /// Length of the file as it lies on disk, in bytes.
    pub bytes: u64,
    /// The kernel that it was made for, as in `5.10.0-46-amd64 SMP mod_unload modversions `.
    pub vermagic: String,
    pub aliases: Vec<String>,
    /// Modules that the kernel's build says this one needs.
    pub depends: Vec<String>,
    /// As written: `pre: a b post: c`.
    pub softdeps: Vec<String>,
    /// As written: names with blanks between them.
    pub weakdeps: Vec<String>,
    /// Files that it may ask for, below `/lib/firmware`; newer kernels write globs too.
    pub firmware: Vec<String>,
    /// Symbols that other modules may use.
    pub exports: BTreeSet<String>,
    /// Symbols that the kernel or other modules must have.
    pub needs: Vec<String>,
    /// Whether a signature is appended (it is not checked here).
    pub signed: bool,
}

impl Module {
    /// Reads a module from its file's path and bytes.
    pub fn read(path: &str, bytes: &[u8]) -> Result<Self, Error> {
        let elf = unpack(path, bytes).map_err(|source| Error::Packed { path: path.to_owned(), source })?;
        let bad = |source| Error::Elf { path: path.to_owned(), source };
        let not_text = || Error::Text { path: path.to_owned() };
        let file = object::File::parse(&*elf).map_err(bad)?;
        let mut module = Self {
            path: path.to_owned(),
            name: super::name_of(path),
            bytes: bytes.len() as u64,
            signed: elf.ends_with(SIGNATURE_MARK),
            ..Self::default()
        };
        let info = file.section_by_name(".modinfo").ok_or_else(|| Error::NoInfo { path: path.to_owned() })?;
        for text in info.data().map_err(bad)?.split(|b| *b == 0).filter(|text| !text.is_empty()) {
            // Descriptions and authors may be in any encoding; what is used here may not.
            let Some(at) = text.iter().position(|b| *b == b'=') else { continue };
            let value = || std::str::from_utf8(&text[at + 1..]).map(str::to_owned).map_err(|_| not_text());
            match &text[..at] {
                b"alias" => module.aliases.push(value()?),
                b"depends" => {
                    let names = value()?;
                    module.depends.extend(names.split(',').filter(|n| !n.is_empty()).map(super::normalise));
                }
                b"softdep" => module.softdeps.push(value()?),
                b"weakdep" => module.weakdeps.push(value()?),
                b"firmware" => module.firmware.push(value()?),
                b"vermagic" => module.vermagic = value()?,
                _ => {}
            }
        }
        for symbol in file.symbols() {
            let name = symbol.name().map_err(bad)?;
            if symbol.is_undefined() {
                if !name.is_empty() {
                    module.needs.push(name.to_owned());
                }
            } else if let Some(exported) =
                name.strip_prefix("__ksymtab_").or_else(|| name.strip_prefix("__crc_"))
            {
                module.exports.insert(exported.to_owned());
            }
        }
        Ok(module)
    }

    /// The modules or aliases that this one would like to have, in no order that matters.
    pub fn wishes(&self) -> impl Iterator<Item = &str> {
        self.softdeps
            .iter()
            .chain(&self.weakdeps)
            .flat_map(|text| text.split_ascii_whitespace())
            .filter(|word| !word.ends_with(':'))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A small relocatable ELF file with a `.modinfo` section and a symbol table.
    pub(crate) fn module(info: &[&str], exports: &[&str], needs: &[&str]) -> Vec<u8> {
        let modinfo: Vec<u8> = info.iter().flat_map(|t| t.bytes().chain([0])).collect();
        let mut names = vec![0u8];
        let mut symbols = vec![0u8; 24];
        let defined = exports.iter().map(|name| (format!("__ksymtab_{name}"), 0xfff1u16));
        for (name, section) in defined.chain(needs.iter().map(|name| ((*name).to_owned(), 0))) {
            symbols.extend((names.len() as u32).to_le_bytes());
            symbols.extend([0x10, 0]); // global
            symbols.extend(section.to_le_bytes());
            symbols.extend([0; 16]);
            names.extend(name.bytes().chain([0]));
        }
        let section_names = b"\0.modinfo\0.symtab\0.strtab\0.shstrtab\0";
        let mut out = vec![0u8; 64];
        let mut headers = vec![0u8; 64];
        let contents: [&[u8]; 4] = [&modinfo, &symbols, &names, section_names];
        // Name, kind, section of the names, first global symbol, bytes of an entry.
        let facts = [(1u32, 1u32, 0u32, 0u32, 0u64), (10, 2, 3, 1, 24), (18, 3, 0, 0, 0), (26, 3, 0, 0, 0)];
        for (bytes, (name, kind, link, info, entry)) in contents.into_iter().zip(facts) {
            headers.extend(name.to_le_bytes());
            headers.extend(kind.to_le_bytes());
            headers.extend([0; 16]);
            headers.extend((out.len() as u64).to_le_bytes());
            headers.extend((bytes.len() as u64).to_le_bytes());
            headers.extend(link.to_le_bytes());
            headers.extend(info.to_le_bytes());
            headers.extend(8u64.to_le_bytes());
            headers.extend(entry.to_le_bytes());
            out.extend(bytes);
            out.resize(out.len().next_multiple_of(8), 0);
        }
        let at = out.len() as u64;
        out.extend(headers);
        out[..16].copy_from_slice(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
        out[16..18].copy_from_slice(&1u16.to_le_bytes());
        out[18..20].copy_from_slice(&62u16.to_le_bytes());
        out[20..24].copy_from_slice(&1u32.to_le_bytes());
        out[40..48].copy_from_slice(&at.to_le_bytes());
        out[52..54].copy_from_slice(&64u16.to_le_bytes());
        out[58..60].copy_from_slice(&64u16.to_le_bytes());
        out[60..62].copy_from_slice(&5u16.to_le_bytes());
        out[62..64].copy_from_slice(&4u16.to_le_bytes());
        out
    }

    #[test]
    fn a_module_tells_its_facts() {
        let info = [
            "alias=pci:v1*",
            "alias=x-y",
            "depends=a-b,c",
            "firmware=q.bin",
            "softdep=pre: d post: e",
            "author=J\u{f6}rg",
        ];
        let read = Module::read("kernel/x/my-mod.ko", &module(&info, &["out"], &["in", "more"])).unwrap();
        assert_eq!(read.name, "my_mod");
        assert_eq!(read.aliases, ["pci:v1*", "x-y"]);
        assert_eq!(read.depends, ["a_b", "c"]);
        assert_eq!(read.firmware, ["q.bin"]);
        assert_eq!(read.wishes().collect::<Vec<_>>(), ["d", "e"]);
        assert_eq!(read.exports.into_iter().collect::<Vec<_>>(), ["out"]);
        assert_eq!(read.needs, ["in", "more"]);
        assert!(!read.signed);
    }

    #[test]
    fn what_is_no_module_is_an_error_that_names_the_file() {
        let error = Module::read("kernel/x.ko", b"#!/bin/sh").unwrap_err();
        assert!(error.to_string().contains("kernel/x.ko"), "{error}");
        let mut cut = module(&["alias=a"], &[], &["b"]);
        cut.truncate(cut.len() - 70);
        assert!(Module::read("kernel/x.ko", &cut).is_err());
    }

    proptest! {
        #[test]
        fn damaged_modules_never_panic(at in 0usize..600, byte: u8, cut in 0usize..700) {
            let mut bytes = module(&["alias=pci:*", "depends=a"], &["out"], &["in"]);
            let len = bytes.len();
            bytes[at % len] = byte;
            bytes.truncate(cut.max(1));
            let _ = Module::read("kernel/x.ko", &bytes);
        }
    }
}
