//! Signatures as cosign has kept them since its version 3: bundles that refer to what they sign.
//!
//! A bundle holds a DSSE envelope, and that an in-toto statement whose subject is the digest. With a key of
//! one's own nothing else of it is needed: neither certificate nor transparency log.
//!
//! Sources: cosign's BUNDLE_SPEC.md; sigstore/protobuf-specs, sigstore_bundle.proto in its JSON form; DSSE's
//! protocol.md ("PAE"); in-toto attestation framework, "Statement v1".

use super::signature::VerifyingKey;
use crate::store::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The media type of a bundle begins so; the version follows.
pub const TYPE: &str = "application/vnd.dev.sigstore.bundle";
const STATEMENT: &str = "application/vnd.in-toto+json";
/// What `cosign sign` states. Other statements of the same key say something else than "I sign this".
const PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Bundle {
    dsse_envelope: Envelope,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: Vec<Signature>,
}

#[derive(Deserialize)]
struct Signature {
    sig: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    subject: Vec<Subject>,
    predicate_type: String,
}

#[derive(Deserialize)]
struct Subject {
    digest: Digests,
}

#[derive(Deserialize)]
struct Digests {
    sha256: Option<String>,
}

/// Whether this bundle is a signature of the key on the digest.
pub fn signs(bundle: &[u8], digest: &Digest, key: &VerifyingKey) -> bool {
    let Ok(Bundle { dsse_envelope: envelope }) = serde_json::from_slice(bundle) else { return false };
    let Ok(payload) = STANDARD.decode(&envelope.payload) else { return false };
    let signed = encoded(&envelope.payload_type, &payload);
    envelope.payload_type == STATEMENT
        && envelope.signatures.iter().any(|signature| key.accepts(&signed, &signature.sig))
        && serde_json::from_slice(&payload).is_ok_and(|statement: Statement| {
            let names = |subject: &Subject| subject.digest.sha256.as_deref() == Some(digest.hex().as_str());
            statement.predicate_type == PREDICATE && statement.subject.iter().any(names)
        })
}

/// What is signed: DSSE's pre-authentication encoding.
fn encoded(payload_type: &str, payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {payload_type} {} ", payload_type.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_signed_is_encoded_as_dsse_says() {
        // DSSE's protocol.md, "Test Vectors".
        assert_eq!(
            encoded("http://example.com/HelloWorld", b"hello world"),
            b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
        );
    }
}
