//! `.deb` files read as streams (deb(5)): an ar archive of `debian-binary`, `control.tar.*` and
//! `data.tar.*`. Nothing is unpacked to disk.
//!
//! The ar reader is our own: deb(5) allows only the common ar format with plain short names, and a
//! general reader allocates what a hostile file asks for when it meets a long-name member.

use super::contents::Contents;
use super::control::{self, Paragraph};
use crate::initramfs::tree::Tree;
use crate::store::{Digest, KeyMaker, Store};
use std::io::{self, BufReader, Read};

/// Why a file is not a `.deb` that can be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("this is not a .deb file: {0}")]
    NoDeb(String),
    #[error("the .deb file ends in the middle of {0}")]
    Truncated(String),
    #[error("{member}: {source}")]
    Member { member: String, source: io::Error },
    #[error("control file: {0}")]
    Control(String),
    #[error("data archive: {0}")]
    Data(#[from] crate::oci::Error),
    #[error(transparent)]
    Store(#[from] crate::store::Error),
}

/// What a package says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Control {
    pub fields: Paragraph,
    /// Absolute paths.
    pub conffiles: Vec<String>,
}

impl Control {
    pub fn field(&self, name: &str) -> &str {
        self.fields.get(name).unwrap_or("")
    }

    /// Source package and its version: the field `Source: name (version)`, where name and version
    /// default to the package's own.
    pub fn source(&self) -> (String, String) {
        let field = self.field("Source");
        let (name, version) = match field.split_once('(') {
            Some((name, version)) => (name.trim(), version.trim_end_matches(')').trim()),
            None => (field.trim(), ""),
        };
        let or = |text: &str, other: &str| if text.is_empty() { other } else { text }.to_owned();
        (or(name, self.field("Package")), or(version, self.field("Version")))
    }
}

/// The data archive of a package, decompressed: a stream of a tar file.
pub struct Data<R: Read>(Decoder<Member<R>>);

impl<R: Read> Read for Data<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

/// The control archive holds a few small texts; more is an attack.
const CONTROL_LIMIT: u64 = 32 << 20;
/// The largest package of Debian main unpacks to less than half of this.
const DATA_LIMIT: u64 = 16 << 30;
/// Memory that xz may take. dpkg packs with at most `-9`, which needs 65 MiB.
const XZ_MEMORY: u64 = 512 << 20;
/// Largest zstd window: 128 MiB.
const ZSTD_WINDOW: u32 = 27;

/// Opens a package: reads its control archive and stands at the beginning of its data.
pub fn open<R: Read>(mut reader: R) -> Result<(Control, Data<R>), Error> {
    let mut magic = [0; 8];
    fill(&mut reader, &mut magic, "its first line")?;
    if &magic != b"!<arch>\n" {
        return Err(Error::NoDeb("it does not begin as an ar archive".to_owned()));
    }
    let mut control = None;
    let mut number = 0;
    loop {
        let Some((name, size)) = member_header(&mut reader)? else {
            return Err(Error::NoDeb("it has no data.tar".to_owned()));
        };
        if number == 0 && name != "debian-binary" {
            return Err(Error::NoDeb(format!("its first member is {name:?}, not debian-binary")));
        }
        number += 1;
        if number > 64 {
            return Err(Error::NoDeb("it has too many members".to_owned()));
        }
        if let Some(packing) = name.strip_prefix("data.tar") {
            let Some(control) = control else {
                return Err(Error::NoDeb("data.tar comes before control.tar".to_owned()));
            };
            return Ok((control, Data(Decoder::new(Member { reader, left: size }, packing, &name)?)));
        }
        let mut member = Member { reader: &mut reader, left: size };
        match name.as_str() {
            "debian-binary" if number == 1 => {
                let mut text = Vec::new();
                (&mut member).take(64).read_to_end(&mut text).map_err(|e| truncated(e, &name))?;
                if !text.starts_with(b"2.") {
                    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
                    return Err(Error::NoDeb(format!("format {text:?} is not known")));
                }
            }
            _ if name.starts_with("control.tar") => {
                if control.is_some() {
                    return Err(Error::NoDeb("it has two control archives".to_owned()));
                }
                let packing = &name["control.tar".len()..];
                control = Some(read_control(Decoder::new(&mut member, packing, &name)?)?);
            }
            // deb(5): later formats may add members whose names begin with an underscore.
            _ if name.starts_with('_') => {}
            _ => return Err(Error::NoDeb(format!("member {name:?} does not belong there"))),
        }
        io::copy(&mut member, &mut io::sink()).map_err(|e| truncated(e, &name))?;
        if size % 2 == 1 {
            fill(&mut reader, &mut [0], &name)?;
        }
    }
}

/// A package in the store: what it says and what it holds. `deb` is the blob of the `.deb` file.
///
/// The data archive is decompressed once into a blob of its own, so that files are byte ranges; the
/// tree points into it. Such blobs can be made again from the `.deb`.
pub fn contents(store: &Store, deb: &Digest) -> Result<(Control, Tree), Error> {
    let key = KeyMaker::new("debian contents 1").add("deb", deb.bytes()).local().finish();
    if let Some(known) = Contents::recall(store, &key)
        && let Ok(opened) = known.open(store)
    {
        return Ok(opened);
    }
    let (control, mut data) = open(BufReader::with_capacity(256 * 1024, store.open_blob(deb)?))?;
    let mut blob = store.writer()?;
    let bad = |source| Error::Member { member: "data.tar".to_owned(), source };
    let written = io::copy(&mut (&mut data).take(DATA_LIMIT), &mut blob).map_err(bad)?;
    if written == DATA_LIMIT {
        return Err(Error::NoDeb(format!("it unpacks to {DATA_LIMIT} bytes or more")));
    }
    let (data, _) = blob.commit()?;
    let contents = Contents::new(&control, data);
    contents.record(store, &key)?;
    contents.open(store)
}

/// One ar member, whose end is an error when the file ends first.
struct Member<R> {
    reader: R,
    left: u64,
}

impl<R: Read> Read for Member<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(out.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.reader.read(&mut out[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left -= n as u64;
        Ok(n)
    }
}

enum Decoder<R: Read> {
    Plain(R),
    Gzip(Box<flate2::read::MultiGzDecoder<R>>),
    Xz(Box<liblzma::read::XzDecoder<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, BufReader<R>>>),
}

impl<R: Read> Decoder<R> {
    fn new(reader: R, packing: &str, member: &str) -> Result<Self, Error> {
        let bad = |source| Error::Member { member: member.to_owned(), source };
        Ok(match packing {
            "" => Self::Plain(reader),
            ".gz" => Self::Gzip(Box::new(flate2::read::MultiGzDecoder::new(reader))),
            ".xz" => {
                let stream =
                    liblzma::stream::Stream::new_stream_decoder(XZ_MEMORY, liblzma::stream::CONCATENATED)
                        .map_err(|e| bad(e.into()))?;
                Self::Xz(Box::new(liblzma::read::XzDecoder::new_stream(reader, stream)))
            }
            ".zst" => {
                let mut decoder = zstd::stream::read::Decoder::new(reader).map_err(bad)?;
                decoder.window_log_max(ZSTD_WINDOW).map_err(bad)?;
                Self::Zstd(Box::new(decoder))
            }
            _ => return Err(Error::NoDeb(format!("{member} is packed in a way that is not known"))),
        })
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(r) => r.read(out),
            Self::Gzip(r) => r.read(out),
            Self::Xz(r) => r.read(out),
            Self::Zstd(r) => r.read(out),
        }
    }
}

/// Name and size in bytes of the next member; none at the end of the file.
fn member_header(reader: &mut impl Read) -> Result<Option<(String, u64)>, Error> {
    let mut header = [0_u8; 60];
    let mut first = [0];
    match reader.read(&mut first).map_err(|e| truncated(e, "a member's header"))? {
        0 => return Ok(None),
        _ => header[0] = first[0],
    }
    fill(reader, &mut header[1..], "a member's header")?;
    if &header[58..] != b"`\n" {
        return Err(Error::NoDeb("a member's header is damaged".to_owned()));
    }
    // Common ar pads with blanks; GNU ar also ends a name with a slash.
    let name = String::from_utf8_lossy(&header[..16]).trim_end().trim_end_matches('/').to_owned();
    let size =
        str::from_utf8(&header[48..58]).ok().map(str::trim).filter(|t| t.bytes().all(|b| b.is_ascii_digit()));
    let size = size.and_then(|text| text.parse().ok());
    let size = size.ok_or_else(|| Error::NoDeb(format!("the size of member {name:?} is not a number")))?;
    Ok(Some((name, size)))
}

fn fill(reader: &mut impl Read, out: &mut [u8], what: &str) -> Result<(), Error> {
    reader.read_exact(out).map_err(|e| truncated(e, what))
}

fn truncated(source: io::Error, what: &str) -> Error {
    if source.kind() == io::ErrorKind::UnexpectedEof {
        Error::Truncated(what.to_owned())
    } else {
        Error::Member { member: what.to_owned(), source }
    }
}

fn read_control(stream: impl Read) -> Result<Control, Error> {
    let bad = |source| Error::Member { member: "control.tar".to_owned(), source };
    let mut fields = None;
    let mut conffiles = Vec::new();
    let mut archive = tar::Archive::new(stream.take(CONTROL_LIMIT));
    for entry in archive.entries().map_err(bad)? {
        let mut entry = entry.map_err(bad)?;
        let name = entry.path_bytes().into_owned();
        let name = name.strip_prefix(b"./").unwrap_or(&name).to_owned();
        if !matches!(name.as_slice(), b"control" | b"conffiles") {
            continue;
        }
        let mut text = Vec::new();
        entry.read_to_end(&mut text).map_err(bad)?;
        let text = String::from_utf8_lossy(&text).into_owned();
        if name == b"control" {
            let mut all = control::parse(&text).map_err(|e| Error::Control(e.to_string()))?;
            if all.len() != 1 || fields.is_some() {
                return Err(Error::Control("there must be one paragraph".to_owned()));
            }
            fields = all.pop();
        } else {
            // A leading flag such as `remove-on-upgrade` may stand before the path.
            conffiles.extend(text.lines().filter_map(|l| l.find('/').map(|i| l[i..].trim().to_owned())));
        }
    }
    // The packing's checksum stands behind the archive's end.
    io::copy(&mut archive.into_inner(), &mut io::sink()).map_err(bad)?;
    let control = Control { fields: fields.unwrap_or_default(), conffiles };
    for needed in ["Package", "Version", "Architecture"] {
        if control.field(needed).is_empty() {
            return Err(Error::Control(format!("field {needed} is missing")));
        }
    }
    Ok(control)
}

#[cfg(test)]
#[path = "deb_tests.rs"]
mod tests;
