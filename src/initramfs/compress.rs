//! Compression of segments. The same input gives the same bytes, however many cores there are.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

/// How a segment is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Compression {
    /// One zstd frame without checksum, window of at most 8 MiB.
    #[default]
    Zstd,
    /// gzip without name and time.
    Gzip,
}

impl Compression {
    /// zstd level: half the size of level 3's gain over gzip again, for twice its time; higher levels cost
    /// many times more for a few per cent.
    const ZSTD_LEVEL: i32 = 9;
    const GZIP_LEVEL: u32 = 6;

    /// The end of a file name, without the dot.
    pub fn extension(self) -> &'static str {
        match self {
            Self::Zstd => "zst",
            Self::Gzip => "gz",
        }
    }

    /// Everything that decides the bytes, for keys.
    pub fn identity(self) -> String {
        match self {
            Self::Zstd => format!("zstd-{}", Self::ZSTD_LEVEL),
            Self::Gzip => format!("gzip-{}", Self::GZIP_LEVEL),
        }
    }

    /// A writer that compresses into `out`.
    pub fn writer<W: Write>(self, out: W) -> io::Result<Compressor<W>> {
        Ok(match self {
            Self::Zstd => {
                let mut encoder = zstd::Encoder::new(out, Self::ZSTD_LEVEL)?;
                encoder.include_checksum(false)?;
                Compressor::Zstd(encoder)
            }
            Self::Gzip => Compressor::Gzip(
                flate2::GzBuilder::new().mtime(0).write(out, flate2::Compression::new(Self::GZIP_LEVEL)),
            ),
        })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Zstd => "zstd",
            Self::Gzip => "gzip",
        })
    }
}

impl FromStr for Compression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "zstd" => Ok(Self::Zstd),
            "gzip" => Ok(Self::Gzip),
            other => Err(format!("{other:?} is not a compression: zstd or gzip")),
        }
    }
}

/// A compressing writer; call [`Compressor::finish`], or the end is missing.
pub enum Compressor<W: Write> {
    Zstd(zstd::Encoder<'static, W>),
    Gzip(flate2::write::GzEncoder<W>),
}

impl<W: Write> Compressor<W> {
    /// Writes the end and gives the inner writer back.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Self::Zstd(encoder) => encoder.finish(),
            Self::Gzip(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Zstd(encoder) => encoder.write(bytes),
            Self::Gzip(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Zstd(encoder) => encoder.flush(),
            Self::Gzip(encoder) => encoder.flush(),
        }
    }
}
