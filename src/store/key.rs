//! Keys of work: a digest over everything that decides the result.

use super::digest::{Digest, Hasher};

/// Names a piece of work by its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(transparent)]
pub struct Key {
    digest: Digest,
    #[serde(skip)]
    local: bool,
}

impl Key {
    /// 64 hex digits: the file name in the store's `work` folder.
    pub fn hex(&self) -> String {
        self.digest.hex()
    }

    /// Whether the result is worth nothing to another builder: a step on the way to one that is.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// The key that another builder named.
    pub fn of_hex(hex: &str) -> Option<Self> {
        Some(Self { digest: hex.parse().ok()?, local: false })
    }
}

/// Collects labelled inputs. Labels and lengths are part of the key, so inputs cannot run together.
pub struct KeyMaker {
    hasher: Hasher,
    local: bool,
}

impl KeyMaker {
    /// `what` names the kind of work and the version of the code that does it: change the version
    /// when the same inputs would give other bytes.
    pub fn new(what: &str) -> Self {
        Self { hasher: Hasher::new(), local: false }.add("what", what.as_bytes())
    }

    #[must_use]
    pub fn add(mut self, label: &str, value: impl AsRef<[u8]>) -> Self {
        for part in [label.as_bytes(), value.as_ref()] {
            self.hasher.update(&(part.len() as u64).to_le_bytes());
            self.hasher.update(part);
        }
        self
    }

    /// For work that is not shared between builders.
    #[must_use]
    pub fn local(mut self) -> Self {
        self.local = true;
        self
    }

    pub fn finish(self) -> Key {
        Key { digest: self.hasher.finish(), local: self.local }
    }
}
