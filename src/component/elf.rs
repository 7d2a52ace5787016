//! Does every program find its interpreter and its libraries in the tree?
//!
//! Packages may be left out of a closure, so this is asked when the image is built and not when it
//! boots. The search is that of ld.so(8) without a cache: DT_RPATH or DT_RUNPATH with `$ORIGIN`, then
//! the default folders.

use crate::initramfs::tree::{Content, Kind, Tree, TreePath};
use crate::oci::layer::through_links;
use crate::problem::{Problem, Result};
use crate::progress::Progress;
use crate::store::{Digest, Store};
use object::elf;
use object::read::elf::{Dyn as _, FileHeader as _, ProgramHeader as _};
use object::{Endianness, ReadCache, ReadRef};
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt as _;

/// Where Debian's dynamic linker for amd64 looks by itself.
const DEFAULT: &[&str] = &["usr/lib/x86_64-linux-gnu", "usr/lib64", "usr/lib"];

/// What one ELF file asks for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Needs {
    interpreter: Option<String>,
    libraries: Vec<String>,
    /// Folders to search, not yet expanded.
    search: Vec<String>,
}

/// Checks the whole tree. `left_out` names the packages that the recipe takes out of its closure, to say
/// which of them would help.
pub(super) fn check(
    store: &Store,
    tree: &Tree,
    optional: &[String],
    left_out: &[String],
    progress: &dyn Progress,
) -> Result<()> {
    let mut files = Files { store, open: HashMap::new() };
    let mut missing: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
    let mut scripts: BTreeMap<String, Vec<TreePath>> = BTreeMap::new();
    for (path, node) in tree.iter() {
        let Kind::File(content) = &node.kind else { continue };
        let mut start = [0; 256];
        let got = files.head(content, &mut start).map_err(|e| unreadable(path, e))?;
        let start = &start[..got];
        if let Some(line) = start.strip_prefix(b"#!") {
            if node.mode & 0o111 != 0
                && let Some(interpreter) = script_interpreter(line)
                && !is_file(tree, &interpreter)
            {
                scripts.entry(interpreter).or_default().push(path.clone());
            }
            continue;
        }
        if !start.starts_with(b"\x7fELF") {
            continue;
        }
        let needs = files.needs(content).map_err(|e| unreadable(path, e))?;
        if let Some(interpreter) = &needs.interpreter
            && !is_file(tree, interpreter)
        {
            missing.entry(interpreter.clone()).or_default().push(path.clone());
        }
        for library in &needs.libraries {
            let beside = || {
                // Private libraries name each other without a folder: the program that loads them has
                // the folder in its RUNPATH.
                let beside = path.parent().map(|folder| format!("{folder}/{library}"));
                needs.interpreter.is_none() && beside.is_some_and(|path| is_file(tree, &path))
            };
            if !optional.contains(library) && !finds(tree, path, library, &needs.search) && !beside() {
                missing.entry(library.clone()).or_default().push(path.clone());
            }
        }
    }
    for (interpreter, files) in scripts {
        progress.log(&format!("{} cannot run: {interpreter} is not in the image", some(&files)));
    }
    if missing.is_empty() {
        return Ok(());
    }
    let mut problem = Problem::new("programs of the image would not start: libraries are missing");
    let mut helpful: Vec<&str> = Vec::new();
    for (library, files) in &missing {
        problem = problem.because(io::Error::other(format!("{library} is needed by {}", some(files))));
        helpful.extend(left_out.iter().map(String::as_str).filter(|p| may_hold(p, library)));
    }
    helpful.sort_unstable();
    helpful.dedup();
    let back = if helpful.is_empty() {
        "take packages out of `leave_out`".to_owned()
    } else {
        format!("take {} out of `leave_out`", helpful.join(", "))
    };
    Err(problem.remedy(format!(
        "{back}, or `drop` the files that need them, or name a library that is never loaded in \
         `optional_libraries`"
    )))
}

fn unreadable(path: &TreePath, error: io::Error) -> Problem {
    Problem::new(format!("{path} cannot be read as a program")).because(error)
}

fn some(files: &[TreePath]) -> String {
    let shown: Vec<String> = files.iter().take(3).map(TreePath::to_string).collect();
    match files.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Debian names a library's package after its soname: libssl.so.3 is in libssl3, or libssl3t64.
fn may_hold(package: &str, library: &str) -> bool {
    let plain = |text: &str| -> String {
        let text = text.strip_suffix("t64").unwrap_or(text).to_ascii_lowercase();
        text.chars().filter(|c| c.is_ascii_alphanumeric()).collect()
    };
    let Some((stem, version)) = library.split_once(".so") else { return false };
    let version = version.trim_start_matches('.');
    let package = plain(package);
    package == plain(&format!("{stem}{version}")) || package == plain(stem)
}

fn is_file(tree: &Tree, path: &str) -> bool {
    let Ok(path) = TreePath::new(path) else { return false };
    let Ok(path) = through_links(tree, &path) else { return false };
    tree.get(&path).is_some_and(|n| matches!(n.kind, Kind::File(_)))
}

fn finds(tree: &Tree, program: &TreePath, library: &str, search: &[String]) -> bool {
    if library.contains('/') {
        return is_file(tree, library);
    }
    let origin = program.parent().unwrap_or_default().to_string();
    let own = search.iter().map(|folder| {
        let folder = folder.replace("${ORIGIN}", &origin).replace("$ORIGIN", &origin);
        folder.replace("${LIB}", "lib/x86_64-linux-gnu").replace("$LIB", "lib/x86_64-linux-gnu")
    });
    let in_folder = |folder: &str| {
        // `..` is common after $ORIGIN; `through_links` resolves it inside the tree.
        let folder = without_dots(folder);
        is_file(tree, &format!("{folder}/{library}"))
    };
    own.into_iter().any(|folder| in_folder(&folder)) || DEFAULT.iter().any(|folder| in_folder(folder))
}

fn without_dots(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// The program of a `#!` line; for `env`, the program itself where its path is known.
fn script_interpreter(line: &[u8]) -> Option<String> {
    let line = line.split(|b| *b == b'\n').next()?;
    let text = str::from_utf8(line).ok()?;
    text.split_whitespace().next().filter(|p| p.starts_with('/')).map(str::to_owned)
}

/// Open blobs.
struct Files<'a> {
    store: &'a Store,
    open: HashMap<Digest, File>,
}

impl Files<'_> {
    fn blob(&mut self, digest: &Digest) -> io::Result<&File> {
        if !self.open.contains_key(digest) {
            // Unchecked: the blob was checked when it was indexed for this very image.
            self.open.insert(*digest, File::open(self.store.path(digest))?);
        }
        self.open.get(digest).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    /// The first bytes of a file.
    fn head(&mut self, content: &Content, out: &mut [u8]) -> io::Result<usize> {
        let len = usize::try_from(content.len()).unwrap_or(usize::MAX).min(out.len());
        match content {
            Content::Inline(bytes) => out[..len].copy_from_slice(&bytes[..len]),
            Content::Blob { digest, offset, .. } => {
                self.blob(digest)?.read_exact_at(&mut out[..len], *offset)?;
            }
        }
        Ok(len)
    }

    fn needs(&mut self, content: &Content) -> io::Result<Needs> {
        match content {
            Content::Inline(bytes) => Ok(needs(bytes.as_ref()).unwrap_or_default()),
            Content::Blob { digest, offset, len } => {
                let file = self.blob(digest)?;
                let cache = ReadCache::new(Range { file, start: *offset, len: *len, at: 0 });
                Ok(needs(&cache).unwrap_or_default())
            }
        }
    }
}

/// A part of a file as a file.
struct Range<'a> {
    file: &'a File,
    start: u64,
    len: u64,
    at: u64,
}

impl Read for Range<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.len.saturating_sub(self.at)).unwrap_or(usize::MAX);
        let most = out.len().min(left);
        let n = self.file.read_at(&mut out[..most], self.start + self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

impl Seek for Range<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => self.len.checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Reads the dynamic section; none for what is not an x86-64 program or library.
fn needs<'d, R: ReadRef<'d>>(data: R) -> Option<Needs> {
    let header = elf::FileHeader64::<Endianness>::parse(data).ok()?;
    let endian = header.endian().ok()?;
    if header.e_machine.get(endian) != elf::EM_X86_64 {
        return None;
    }
    let segments = header.program_headers(endian, data).ok()?;
    let mut out = Needs::default();
    for segment in segments {
        if let Ok(Some(path)) = segment.interpreter(endian, data) {
            out.interpreter = Some(String::from_utf8_lossy(path).into_owned());
        }
    }
    let dynamic = segments.iter().find_map(|s| s.dynamic(endian, data).ok().flatten())?;
    let value = |tag: elf::DynamicTag| {
        let entry = dynamic.iter().find(|d| d.d_tag(endian) == tag);
        entry.map(|d| d.d_val(endian))
    };
    // DT_STRTAB is an address; the segment that is loaded there says which bytes of the file it means.
    let (address, size) = (value(elf::DT_STRTAB)?, value(elf::DT_STRSZ)?);
    let segment = segments.iter().find(|s| {
        let start = s.p_vaddr(endian);
        s.p_type(endian) == elf::PT_LOAD
            && (start..start.saturating_add(s.p_filesz(endian))).contains(&address)
    })?;
    let offset = segment.p_offset(endian).checked_add(address - segment.p_vaddr(endian))?;
    let strings = object::StringTable::new(data, offset, offset.checked_add(size)?);
    let text = |value: u64| {
        let bytes = strings.get(u32::try_from(value).ok()?).ok()?;
        Some(String::from_utf8_lossy(bytes).into_owned())
    };
    let all = |tag: elf::DynamicTag| {
        let entries = dynamic.iter().take_while(|d| d.d_tag(endian) != elf::DT_NULL);
        entries.filter(move |d| d.d_tag(endian) == tag).filter_map(|d| text(d.d_val(endian)))
    };
    out.libraries = all(elf::DT_NEEDED).collect();
    let paths: Vec<String> = all(elf::DT_RUNPATH).chain(all(elf::DT_RPATH)).collect();
    out.search =
        paths.iter().flat_map(|p| p.split(':')).filter(|p| !p.is_empty()).map(str::to_owned).collect();
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::initramfs::tree::Node;
    use crate::progress::Silent;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    /// A real dynamic program: the one that runs this test.
    fn program() -> Vec<u8> {
        std::fs::read(std::env::current_exe().unwrap()).unwrap()
    }

    #[test]
    fn a_missing_library_is_named_with_its_package() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path()).unwrap();
        let mut tree = Tree::new();
        let bytes = program();
        let len = bytes.len() as u64;
        let digest = store.put(&bytes).unwrap();
        let node = Node::new(Kind::File(Content::Blob { digest, offset: 0, len }), 0o755, 0);
        tree.insert(path("usr/bin/p"), node);
        let text =
            check(&store, &tree, &[], &["libc6".into(), "perl".into()], &Silent).unwrap_err().to_string();
        assert!(text.contains("libc.so.6 is needed by /usr/bin/p"), "{text}");
        assert!(text.contains("/lib64/ld-linux-x86-64.so.2"), "{text}");
        assert!(text.contains("take libc6 out of `leave_out`"), "{text}");

        let found = needs(bytes.as_slice()).unwrap();
        tree.insert(path("lib64"), Node::symlink("usr/lib64", 0));
        let interpreter = found.interpreter.unwrap();
        tree.insert(path(&format!("usr/{interpreter}")), Node::file(b"ld".to_vec(), 0o755, 0));
        for library in &found.libraries {
            tree.insert(
                path(&format!("usr/lib/x86_64-linux-gnu/{library}")),
                Node::file(b"l".to_vec(), 0o644, 0),
            );
        }
        check(&store, &tree, &[], &[], &Silent).unwrap();
    }

    #[test]
    fn damaged_programs_do_not_panic() {
        let bytes = program();
        for cut in (0..4096).step_by(7) {
            let _ = needs(&bytes[..cut.min(bytes.len())]);
        }
        let mut head = bytes[..4096.min(bytes.len())].to_vec();
        for at in 0..head.len() {
            head[at] ^= 0xff;
            let _ = needs(head.as_slice());
            head[at] ^= 0xff;
        }
    }

    #[test]
    fn folders_of_the_program_are_searched() {
        let mut tree = Tree::new();
        tree.insert(path("opt/x/lib/l.so"), Node::file(b"l".to_vec(), 0o644, 0));
        let program = path("opt/x/bin/p");
        assert!(finds(&tree, &program, "l.so", &["$ORIGIN/../lib".into()]));
        assert!(!finds(&tree, &program, "l.so", &["$ORIGIN/lib".into()]));
        assert!(may_hold("libssl3t64", "libssl.so.3") && may_hold("libzstd1", "libzstd.so.1"));
        assert!(!may_hold("perl-base", "libssl.so.3"));
        assert_eq!(script_interpreter(b" /usr/bin/perl -w\n"), Some("/usr/bin/perl".to_owned()));
    }
}
