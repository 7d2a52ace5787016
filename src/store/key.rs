//! Keys of work: a digest over everything that decides the result.

use super::digest::{Digest, Hasher};

/// Names a piece of work by its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
pub struct Key(Digest);

impl Key {
    /// 64 hex digits: the file name in the store's `work` folder.
    pub fn hex(&self) -> String {
        self.0.hex()
    }
}

/// Collects labelled inputs. Labels and lengths are part of the key, so inputs cannot run together.
pub struct KeyMaker(Hasher);

impl KeyMaker {
    /// `what` names the kind of work and the version of the code that does it: change the version
    /// when the same inputs would give other bytes.
    pub fn new(what: &str) -> Self {
        Self(Hasher::new()).add("what", what.as_bytes())
    }

    #[must_use]
    pub fn add(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [label.as_bytes(), value.as_ref()] {
            self.0.update(&(part.len() as u64).to_le_bytes());
            self.0.update(part);
        }
        self
    }

    pub fn finish(self) -> Key {
        Key(self.0.finish())
    }
}
