//! Signatures of images and artifacts, as cosign makes them with a key of one's own.
//!
//! A signature is kept beside what it signs, under the tag `sha256-<hex>.sig`: an image whose layers are
//! statements ("simple signing" JSON that names the digest), each with its signature as an annotation. So every
//! version of cosign reads it. What cosign 3 writes itself is read too: [`sigstore_bundle`].
//!
//! Sources: cosign's SIGNATURE_SPEC.md and containers-signature(5) for the statement; RFC 5208 and RFC 5480
//! for keys; Go's crypto `ecdsa.SignASN1` (ECDSA P-256 over SHA-256, ASN.1). A private key that cosign wrote
//! is locked by scrypt (RFC 7914) and NaCl's secretbox (XSalsa20, Poly1305).

use super::artifact::{EMPTY, MANIFEST, Manifest, Part};
use super::image::sorted_json;
use super::import::Error;
use super::repository::{Blob, Found, Repository};
use super::sigstore_bundle;
use crate::problem::Problem;
use crate::store::Digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use poly1305::universal_hash::KeyInit as _;
use ring::rand::SystemRandom;
use ring::signature::{
    ECDSA_P256_SHA256_ASN1, ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _, UnparsedPublicKey,
};
use salsa20::cipher::{KeyIvInit as _, StreamCipher as _};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

/// The variable that holds the password of a private key, as cosign has it.
pub const PASSWORD: &str = "COSIGN_PASSWORD";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const STATEMENT: &str = "application/vnd.dev.cosign.simplesigning.v1+json";
const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const KIND: &str = "cosign container image signature";

/// A private key: ECDSA on the curve P-256.
pub struct SigningKey(EcdsaKeyPair);

/// A public key: ECDSA on the curve P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyingKey(Vec<u8>);

/// Why a key cannot be used. Nothing of the key is in the text.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct BadKey {
    file: String,
    why: String,
}

impl From<BadKey> for Problem {
    fn from(error: BadKey) -> Self {
        Self::usage("this key cannot be used").because(error).remedy(
            "`cosign generate-key-pair` or openssl makes a pair of keys; docs/publishing.md shows how",
        )
    }
}

fn bad<'f>(file: &'f Path) -> impl Fn(&str) -> BadKey + 'f {
    move |why| BadKey { file: file.display().to_string(), why: why.to_owned() }
}

impl SigningKey {
    /// Reads a PEM file: PKCS #8 as openssl writes it, or a key of cosign, which `password` opens.
    pub fn read(file: &Path, password: Option<&str>) -> Result<Self, BadKey> {
        let bad = bad(file);
        let text = std::fs::read(file).map_err(|e| bad(&e.to_string()))?;
        let pem = pem::parse(&text).map_err(|_| bad("it is not a private key in PEM"))?;
        let der = match pem.tag() {
            "PRIVATE KEY" => pem.contents().to_vec(),
            "ENCRYPTED SIGSTORE PRIVATE KEY" | "ENCRYPTED COSIGN PRIVATE KEY" => {
                let password =
                    password.ok_or_else(|| bad(&format!("it is locked: set {PASSWORD} to its password")))?;
                unlock(pem.contents(), password).map_err(&bad)?
            }
            "EC PRIVATE KEY" | "ENCRYPTED PRIVATE KEY" => {
                return Err(bad(
                    "this form of a key is not read; `openssl pkcs8 -topk8 -nocrypt` changes it",
                ));
            }
            other => return Err(bad(&format!("it holds a {other}, not a PRIVATE KEY"))),
        };
        let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &der, &SystemRandom::new());
        key.map(Self).map_err(|_| {
            bad("it is not an ECDSA P-256 key; `openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256` makes one")
        })
    }

    pub fn public(&self) -> VerifyingKey {
        VerifyingKey(self.0.public_key().as_ref().to_vec())
    }

    fn sign(&self, statement: &[u8]) -> Option<String> {
        let signature = self.0.sign(&SystemRandom::new(), statement).ok()?;
        Some(STANDARD.encode(signature))
    }
}

impl VerifyingKey {
    /// Reads a PEM file, as `cosign.pub` is one.
    pub fn read(file: &Path) -> Result<Self, BadKey> {
        let bad = bad(file);
        let text = std::fs::read(file).map_err(|e| bad(&e.to_string()))?;
        let pem = pem::parse(&text).map_err(|_| bad("it is not a public key in PEM"))?;
        if pem.tag() != "PUBLIC KEY" {
            return Err(bad(&format!("it holds a {}, not a PUBLIC KEY", pem.tag())));
        }
        let (_, info) = SubjectPublicKeyInfo::from_der(pem.contents())
            .map_err(|_| bad("it is not a public key in PEM"))?;
        let point = info.subject_public_key.data.to_vec();
        // An uncompressed point of P-256. Source: RFC 5480, section 2.2.
        if point.len() != 65 || point[0] != 4 {
            return Err(bad("it is not an ECDSA P-256 key"));
        }
        Ok(Self(point))
    }

    pub(super) fn accepts(&self, statement: &[u8], signature: &str) -> bool {
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, &self.0);
        STANDARD.decode(signature).is_ok_and(|signature| key.verify(statement, &signature).is_ok())
    }

    /// Names the key.
    pub fn digest(&self) -> Digest {
        Digest::of(&self.0)
    }
}

/// Opens a private key that cosign has locked.
fn unlock(text: &[u8], password: &str) -> Result<Vec<u8>, &'static str> {
    #[derive(Deserialize)]
    struct Locked {
        kdf: Kdf,
        cipher: Cipher,
        ciphertext: String,
    }
    #[derive(Deserialize)]
    struct Kdf {
        name: String,
        params: Params,
        salt: String,
    }
    #[derive(Deserialize)]
    struct Params {
        #[serde(rename = "N")]
        n: u32,
        r: u32,
        p: u32,
    }
    #[derive(Deserialize)]
    struct Cipher {
        name: String,
        nonce: String,
    }
    let odd = "it is not locked in cosign's way";
    let locked: Locked = serde_json::from_slice(text).map_err(|_| odd)?;
    let Params { n, r, p } = locked.kdf.params;
    // More than a gibibyte of memory, or a count that is no power of two, is no key of cosign's.
    let sound = n.is_power_of_two() && u64::from(n) * u64::from(r) <= 1 << 23 && p <= 16;
    if locked.kdf.name != "scrypt" || locked.cipher.name != "nacl/secretbox" || !sound {
        return Err(odd);
    }
    let decode = |text: &str| STANDARD.decode(text).map_err(|_| odd);
    let (salt, nonce, sealed) =
        (decode(&locked.kdf.salt)?, decode(&locked.cipher.nonce)?, decode(&locked.ciphertext)?);
    let nonce: [u8; 24] = nonce.try_into().map_err(|_| odd)?;
    let params =
        u8::try_from(n.ilog2()).ok().and_then(|log| scrypt::Params::new(log, r, p).ok()).ok_or(odd)?;
    let mut key = [0; 32];
    scrypt::scrypt(password.as_bytes(), &salt, &params, &mut key).map_err(|_| odd)?;
    open_box(&key, &nonce, &sealed).ok_or("the password does not open it")
}

/// NaCl's `crypto_secretbox_open`: 16 bytes of tag, then the text. The first 32 bytes of the stream are the
/// key of the tag.
fn open_box(key: &[u8; 32], nonce: &[u8; 24], sealed: &[u8]) -> Option<Vec<u8>> {
    let (tag, text) = sealed.split_at_checked(16)?;
    let mut stream = salsa20::XSalsa20::new(key.into(), nonce.into());
    let mut once = [0; 32];
    stream.apply_keystream(&mut once);
    let found = poly1305::Poly1305::new((&once).into()).compute_unpadded(text);
    if found[..] != *tag {
        return None;
    }
    let mut plain = text.to_vec();
    stream.apply_keystream(&mut plain);
    Some(plain)
}

/// The statement that is signed.
fn statement(repository: &str, digest: &Digest) -> Vec<u8> {
    // The order of the keys is the one in which cosign writes them.
    let text = format!(
        r#"{{"critical":{{"identity":{{"docker-reference":{}}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{KIND}"}},"optional":{{"creator":"hookos"}}}}"#,
        serde_json::Value::from(repository)
    );
    text.into_bytes()
}

/// Whether a statement speaks of this digest.
fn speaks_of(statement: &[u8], digest: &Digest) -> bool {
    let value: serde_json::Value = serde_json::from_slice(statement).unwrap_or_default();
    let critical = &value["critical"];
    critical["type"] == KIND && critical["image"]["docker-manifest-digest"] == digest.to_string().as_str()
}

fn tag(digest: &Digest) -> String {
    format!("sha256-{}.sig", digest.hex())
}

/// Signs what the repository has under this digest. Says whether it had to: a signature of the same key is
/// not repeated.
pub fn sign(repository: &Repository<'_>, found: &Found, key: &SigningKey) -> Result<bool, Error> {
    if stated(repository, &found.digest, &key.public())? {
        return Ok(false);
    }
    let tag = tag(&found.digest);
    let failed = || Error::Content { what: repository.name(), why: "the key does not sign".to_owned() };
    let statement = Blob::of_bytes(statement(&repository.name(), &found.digest));
    let crate::oci::repository::Content::Bytes(text) = &statement.content else { return Err(failed()) };
    let signature = key.sign(text).ok_or_else(failed)?;
    let mut layers = repository.artifact(&tag)?.map(|(_, manifest)| manifest.layers).unwrap_or_default();
    layers.push(Part {
        media_type: STATEMENT.to_owned(),
        digest: statement.digest,
        size: statement.size,
        annotations: BTreeMap::from([(SIGNATURE.to_owned(), signature)]),
        artifact_type: None,
    });
    let ids: Vec<String> = layers.iter().map(|layer| layer.digest.to_string()).collect();
    let config = serde_json::json!({"architecture": "", "os": "", "config": {},
        "rootfs": {"type": "layers", "diff_ids": ids}});
    let config = Blob::of_bytes(sorted_json(&config, "of a signature")?);
    let part = Part {
        media_type: CONFIG.to_owned(),
        digest: config.digest,
        size: config.size,
        annotations: BTreeMap::new(),
        artifact_type: None,
    };
    repository.put_blobs(&[statement, config], None)?;
    let manifest = Manifest::of_image(part, layers).bytes()?;
    repository.put_manifest(&tag, MANIFEST, &manifest)?;
    Ok(true)
}

/// Fails unless the repository has a signature of this key on the digest.
pub fn verify(repository: &Repository<'_>, digest: &Digest, key: &VerifyingKey) -> Result<(), Error> {
    let first = stated(repository, digest, key);
    if matches!(first, Ok(true)) || bundled(repository, digest, key)? {
        return Ok(());
    }
    first?;
    let why = "it has no signature of this key (`--sign-key` and `cosign sign --key` make them)".to_owned();
    Err(Error::Content { what: format!("{}@{digest}", repository.name()), why })
}

/// Whether a signature of the key is kept under the tag of signatures.
fn stated(repository: &Repository<'_>, digest: &Digest, key: &VerifyingKey) -> Result<bool, Error> {
    let Some((_, manifest)) = repository.artifact(&tag(digest))? else { return Ok(false) };
    for layer in manifest.layers.iter().filter(|layer| layer.media_type == STATEMENT) {
        let Some(signature) = layer.annotations.get(SIGNATURE) else { continue };
        let Some(statement) = repository.document(&format!("blobs/{}", layer.digest))? else { continue };
        if Digest::of(&statement) == layer.digest
            && key.accepts(&statement, signature)
            && speaks_of(&statement, digest)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a signature of the key refers to the digest.
fn bundled(repository: &Repository<'_>, digest: &Digest, key: &VerifyingKey) -> Result<bool, Error> {
    let is_bundle = |kind: &str| kind.starts_with(sigstore_bundle::TYPE);
    // Where a registry lists no referrers, cosign keeps the list, and writes the type of the config into it.
    let may_be = |kind: &str| is_bundle(kind) || kind == EMPTY;
    for referrer in repository.referrers(digest, None)? {
        if !referrer.artifact_type.as_deref().is_none_or(may_be) {
            continue;
        }
        let Some((_, manifest)) = repository.artifact(&referrer.digest.to_string())? else { continue };
        for layer in manifest.layers.iter().filter(|layer| is_bundle(&layer.media_type)) {
            let bundle = repository.document(&format!("blobs/{}", layer.digest))?;
            if bundle.is_some_and(|bundle| sigstore_bundle::signs(&bundle, digest, key)) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `crypto_secretbox` of NaCl's own tests (tests/secretbox.c), whose plaintext begins with be 07 5f.
    #[test]
    fn a_box_of_nacl_opens_and_a_changed_one_does_not() {
        let hex = |text: &str| -> Vec<u8> {
            (0..text.len() / 2).map(|n| u8::from_str_radix(&text[2 * n..2 * n + 2], 16).unwrap()).collect()
        };
        let key: [u8; 32] =
            hex("1b27556473e985d462cd51197a9a46c76009549eac6474f206c4ee0844f68389").try_into().unwrap();
        let nonce: [u8; 24] = hex("69696ee955b62b73cd62bda875fc73d68219e0036b7a0b37").try_into().unwrap();
        let mut sealed = hex(
            "f3ffc7703f9400e52a7dfb4b3d3305d98e993b9f48681273c29650ba32fc76ce48332ea7164d96a4476fb8c531a1186a\
             c0dfc17c98dce87b4da7f011ec48c97271d2c20f9b928fe2270d6fb863d51738b48eeee314a7cc8ab932164548e526ae\
             90224368517acfeabd6bb3732bc0e9da99832b61ca01b6de56244a9e88d5f9b37973f622a43d14a6599b1f654cb45a74\
             e355a5",
        );
        let plain = open_box(&key, &nonce, &sealed).unwrap();
        assert_eq!((plain.len(), &plain[..3]), (131, &[0xbe, 0x07, 0x5f][..]));
        sealed[20] ^= 1;
        assert_eq!(open_box(&key, &nonce, &sealed), None);
        assert_eq!(open_box(&key, &nonce, &sealed[..10]), None);
    }

    /// tests/publishing/cosign.key was made by cosign 2.5 (`cosign generate-key-pair`).
    #[test]
    fn a_locked_key_of_cosign_opens_with_its_password_alone() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/publishing");
        let file = folder.join("cosign.key");
        let key = SigningKey::read(&file, Some("correct horse")).unwrap();
        assert_eq!(key.public(), VerifyingKey::read(&folder.join("cosign.pub")).unwrap());
        let why = |password| SigningKey::read(&file, password).err().unwrap().to_string();
        assert!(why(Some("correct hors")).contains("the password does not open it"));
        assert!(why(None).contains(PASSWORD));
        // An older cosign calls it so.
        let older = tempfile::NamedTempFile::new().unwrap();
        let text = std::fs::read_to_string(&file).unwrap().replace("SIGSTORE", "COSIGN");
        std::fs::write(older.path(), text).unwrap();
        assert_eq!(SigningKey::read(older.path(), Some("correct horse")).unwrap().public(), key.public());
    }

    #[test]
    fn a_signature_is_accepted_for_its_statement_alone() {
        let folder = tempfile::tempdir().unwrap();
        let pair = rcgen::KeyPair::generate().unwrap();
        let (private, public) = (folder.path().join("key"), folder.path().join("pub"));
        std::fs::write(&private, pair.serialize_pem()).unwrap();
        std::fs::write(&public, pair.public_key_pem()).unwrap();
        let key = SigningKey::read(&private, None).unwrap();
        let check = VerifyingKey::read(&public).unwrap();
        assert_eq!(key.public(), check);
        let digest = Digest::of(b"x");
        let text = statement("r.test/a", &digest);
        let signature = key.sign(&text).unwrap();
        assert!(check.accepts(&text, &signature) && speaks_of(&text, &digest));
        assert!(!check.accepts(b"other", &signature) && !speaks_of(&text, &Digest::of(b"y")));
        assert!(!check.accepts(&text, "AAAA"));
        let wrong = SigningKey::read(&public, None).err().unwrap().to_string();
        assert!(wrong.contains("PUBLIC KEY, not a PRIVATE KEY"), "{wrong}");
        assert!(VerifyingKey::read(&private).unwrap_err().to_string().contains("not a PUBLIC KEY"));
    }
}
