//! Signed lists of checksums, as kernel.org has them: `sha256sums.asc`.
//!
//! Format: RFC 9580 section 7, "Cleartext Signature Framework"; the text inside is that of sha256sum(1).
//! Keys and subkeys count as long as they stand in `kernel/keys.asc` and are not revoked there: their owners
//! extend them, so a date in that file says nothing.

use crate::problem::{Problem, Result};
use crate::store::Digest;
use pgp::composed::{CleartextSignedMessage, Deserializable as _, SignedPublicKey};
use pgp::crypto::hash::HashAlgorithm;
use pgp::packet::SignatureType;
use pgp::types::KeyDetails as _;
use std::path::Path;

/// The file in the kernel's folder with the keys that are trusted.
pub const KEYS: &str = "keys.asc";

/// Keys that may sign.
pub struct Keys {
    keys: Vec<SignedPublicKey>,
    /// Of the file that they stand in.
    pub digest: Digest,
}

impl Keys {
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            Problem::usage("the keys that sign kernels cannot be read").in_file(path).because(e).remedy(
                "docs/kernel.md says how to get and check them; a tarball whose SHA-256 is pinned needs none",
            )
        })?;
        let bad = |why: String| {
            Problem::usage(format!("the keys that sign kernels cannot be used: {why}")).in_file(path)
        };
        let mut keys = Vec::new();
        for block in blocks(&text) {
            let (all, _) = SignedPublicKey::from_string_many(block).map_err(|e| bad(e.to_string()))?;
            for key in all {
                let mut key = key.map_err(|e| bad(e.to_string()))?;
                key.verify_bindings().map_err(|e| bad(format!("{:X}: {e}", key.fingerprint())))?;
                key.public_subkeys.retain(|sub| {
                    !sub.signatures.iter().any(|it| it.typ() == Some(SignatureType::SubkeyRevocation))
                });
                if key.details.revocation_signatures.is_empty() {
                    keys.push(key);
                }
            }
        }
        if keys.is_empty() {
            return Err(bad("it has no key that is not revoked".to_owned()));
        }
        Ok(Self { keys, digest: Digest::of(text.as_bytes()) })
    }

    /// The text of a signed message, and the fingerprint of who signed it.
    pub fn open(&self, message: &str) -> Result<(String, String)> {
        let bad =
            |why: String| Problem::new(format!("the list of checksums is not signed as it should be: {why}"));
        let (message, _) = CleartextSignedMessage::from_string(message).map_err(|e| bad(e.to_string()))?;
        let strong = |hash: Option<HashAlgorithm>| {
            matches!(
                hash,
                Some(
                    HashAlgorithm::Sha256
                        | HashAlgorithm::Sha384
                        | HashAlgorithm::Sha512
                        | HashAlgorithm::Sha3_256
                        | HashAlgorithm::Sha3_512
                )
            )
        };
        let text = message.signed_text();
        if message.signatures().iter().all(|signature| !strong(signature.hash_alg())) {
            return Err(bad("its digest is weaker than SHA-256".to_owned()));
        }
        for signature in message.signatures().iter().filter(|signature| strong(signature.hash_alg())) {
            for key in &self.keys {
                let subkeys = || {
                    key.public_subkeys.iter().any(|sub| {
                        sub.signatures.iter().any(|binding| binding.key_flags().sign())
                            && signature.verify(sub, text.as_bytes()).is_ok()
                    })
                };
                if signature.verify(key, text.as_bytes()).is_ok() || subkeys() {
                    return Ok((text, format!("{:X}", key.fingerprint())));
                }
            }
        }
        let keys: Vec<String> = self.keys.iter().map(|key| format!("{:X}", key.fingerprint())).collect();
        Err(bad(format!("none of the keys {} has signed it", keys.join(", "))).remedy(format!(
            "take nothing from this server; if the signer's key is new, renew kernel/{KEYS} as docs/kernel.md says"
        )))
    }
}

/// The armored blocks of a file: each export that was added to it has its own.
fn blocks(text: &str) -> impl Iterator<Item = &str> {
    const BEGIN: &str = "-----BEGIN PGP";
    let mut starts: Vec<usize> = text.match_indices(BEGIN).map(|(at, _)| at).collect();
    // Without any the whole text is shown to the reader, which says what is wrong.
    if starts.is_empty() {
        starts.push(0);
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(start, end)| &text[start..end])
}

/// The SHA-256 of a file in a list.
pub fn listed(text: &str, name: &str) -> Option<Digest> {
    entries(text).find(|(_, listed)| *listed == name).map(|(digest, _)| digest)
}

/// Digests and names.
pub fn entries(text: &str) -> impl Iterator<Item = (Digest, &str)> {
    text.lines().filter_map(|line| {
        let (hex, name) = line.trim_end().split_once("  ")?;
        Some((format!("sha256:{hex}").parse().ok()?, name))
    })
}
