//! SHA-256 digests, written `sha256:<64 hex digits>` as in the OCI image specification.

use sha2::Digest as _;
use sha2::digest::common::hazmat::SerializableState as _;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::str::FromStr;

/// Bytes that are read at a time to be hashed.
pub(super) const PIECE: usize = 128 << 10;

/// The SHA-256 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

/// Not a `sha256:<64 lower-case hex digits>` text.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a digest (sha256: and 64 hex digits)")]
pub struct BadDigest(String);

impl Digest {
    pub fn of(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new();
        hasher.update(bytes);
        hasher.finish()
    }

    /// The digest of all that is left to read, and how many bytes that is.
    pub fn of_reader(from: impl io::Read) -> io::Result<(Self, u64)> {
        let mut hasher = Hasher::new();
        let bytes = io::copy(&mut BufReader::with_capacity(PIECE, from), &mut hasher)?;
        Ok((hasher.finish(), bytes))
    }

    /// The digest of a file, and its bytes. [`super::Hashed`] does the same and tells how far it is.
    pub fn of_file(path: impl AsRef<Path>) -> io::Result<(Self, u64)> {
        Self::of_reader(File::open(path)?)
    }

    pub fn bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hex digits alone.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Lower-case digits only: a digest has one spelling.
fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| match c {
        b'0'..=b'9' => Some(c - b'0'),
        b'a'..=b'f' => Some(c - b'a' + 10),
        _ => None,
    };
    let pairs = text.as_bytes().chunks(2);
    pairs.map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?)).collect()
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = BadDigest;

    /// Takes `sha256:<hex>` or the hex digits alone.
    fn from_str(text: &str) -> Result<Self, BadDigest> {
        let hex = text.strip_prefix("sha256:").unwrap_or(text);
        let bytes = unhex(hex).and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or_else(|| BadDigest(text.to_owned()))
    }
}

impl serde::Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// Computes a [`Digest`] piece by piece; also an [`io::Write`].
#[derive(Clone, Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }

    /// What was hashed so far, for another day: hex digits.
    pub fn pause(&self) -> String {
        hex(&self.0.serialize())
    }

    /// Goes on where [`Hasher::pause`] stopped; None if the text is not of it.
    pub fn resume(state: &str) -> Option<Self> {
        let bytes = unhex(state)?;
        let state = bytes.as_slice().try_into().ok()?;
        sha2::Sha256::deserialize(state).ok().map(Self)
    }
}

impl io::Write for Hasher {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_paused_hasher_goes_on_to_the_same_digest(
            before in proptest::collection::vec(any::<u8>(), 0..300),
            after in proptest::collection::vec(any::<u8>(), 0..300),
        ) {
            let mut hasher = Hasher::new();
            hasher.update(&before);
            let mut again = Hasher::resume(&hasher.pause()).unwrap();
            again.update(&after);
            prop_assert_eq!(again.finish(), Digest::of(&[before, after].concat()));
        }
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let digest = Digest::of(b"");
        assert_eq!(digest.hex().parse::<Digest>().unwrap(), digest);
        assert_eq!(digest.to_string().parse::<Digest>().unwrap(), digest);
        for bad in
            [digest.hex().to_uppercase(), digest.hex()[1..].to_owned(), format!("{digest}0"), String::new()]
        {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
        assert!(Hasher::resume("00").is_none());
    }
}
