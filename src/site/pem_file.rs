//! Files of certificates: PEM (RFC 7468) or DER, read with line numbers; private keys are refused.

use super::reader::line_column;
use crate::problem::{Problem, Result};
use std::path::Path;

/// A certificate's DER bytes and the line of its BEGIN (none in a DER file).
#[derive(Debug)]
pub struct Block {
    pub der: Vec<u8>,
    pub line: Option<usize>,
}

/// The certificates of a file, and what is worth saying about the rest of it.
#[derive(Debug, Default)]
pub struct Blocks {
    pub blocks: Vec<Block>,
    pub notes: Vec<String>,
}

const CERTIFICATE: &str = "CERTIFICATE";

/// The most bytes that a file of certificates has; all public authorities together take 250 KB.
const LARGEST: usize = 4 << 20;

/// Finds the certificates in a file's bytes. The content of the blocks is not looked at.
pub fn read(file: &Path, bytes: &[u8]) -> Result<Blocks> {
    if bytes.len() > LARGEST {
        return Err(Problem::usage("the file is larger than 4 MiB, so it is not a certificate").in_file(file));
    }
    let text = String::from_utf8_lossy(bytes);
    // First of all, so that no other problem with the file hides it.
    if let Some(offset) = text.find("PRIVATE KEY-----") {
        return Err(Problem::usage("the file holds a private key, which must never be in an image")
            .at(file, line_column(&text, offset).0, None)
            .remedy("give a file with certificates only; keep the key where it is used"));
    }
    if !text.contains("-----BEGIN ") {
        return der(file, bytes);
    }
    let mut found = Blocks::default();
    let mut open: Option<(&str, usize, String)> = None;
    let mut outside: Option<usize> = None;
    for (index, line) in text.strip_prefix('\u{feff}').unwrap_or(&text).lines().enumerate() {
        let number = index + 1;
        let line = line.trim();
        if let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|l| l.strip_suffix("-----")) {
            if let Some((_, begun, _)) = open {
                return Err(Problem::usage("the block has no END line").at(file, begun, None));
            }
            open = Some((label, number, format!("{line}\n")));
        } else if let Some(label) = line.strip_prefix("-----END ").and_then(|l| l.strip_suffix("-----")) {
            let Some((begun, at, mut block)) = open.take() else {
                return Err(Problem::usage("an END line without its BEGIN").at(file, number, None));
            };
            if label != begun {
                return Err(
                    Problem::usage(format!("{begun} from line {at} ends as {label}")).at(file, number, None)
                );
            }
            block.push_str(line);
            close(file, label, at, &block, &mut found)?;
        } else if let Some((_, _, block)) = &mut open {
            block.push_str(line);
            block.push('\n');
        } else if !line.is_empty() {
            outside.get_or_insert(number);
        }
    }
    if let Some((_, begun, _)) = open {
        return Err(Problem::usage("the block has no END line; the file seems cut off").at(file, begun, None));
    }
    if let Some(line) = outside {
        found.notes.push(format!("text outside the certificates (from line {line}) is left out"));
    }
    if found.blocks.is_empty() {
        return Err(Problem::usage("the file has no certificate").in_file(file));
    }
    Ok(found)
}

fn close(file: &Path, label: &str, at: usize, block: &str, found: &mut Blocks) -> Result<()> {
    match label {
        CERTIFICATE | "X509 CERTIFICATE" => {
            let pem = pem::parse(block)
                .map_err(|e| Problem::usage("the block is not valid PEM").at(file, at, None).because(e))?;
            found.blocks.push(Block { der: pem.into_contents(), line: Some(at) });
        }
        "TRUSTED CERTIFICATE" => {
            return Err(Problem::usage("the certificate is in OpenSSL's own `trusted` form")
                .at(file, at, None)
                .remedy("convert it: openssl x509 -in FILE -out NEW"));
        }
        "PKCS7" | "CMS" => {
            return Err(Problem::usage("the file is a PKCS #7 container")
                .at(file, at, None)
                .remedy("take the certificates out: openssl pkcs7 -print_certs -in FILE -out NEW"));
        }
        other => found.notes.push(format!("the {other} of line {at} is left out: it is not a certificate")),
    }
    Ok(())
}

/// One DER certificate: an ASN.1 sequence.
fn der(file: &Path, bytes: &[u8]) -> Result<Blocks> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(Problem::usage("the file is empty").in_file(file).remedy(
            "give the certificate of the orchestrator's authority in PEM, or `hookos certs --placeholder`",
        ));
    }
    if bytes[0] != 0x30 {
        return Err(Problem::usage("the file is neither PEM nor DER")
            .in_file(file)
            .remedy("a PEM file has the line -----BEGIN CERTIFICATE-----"));
    }
    Ok(Blocks {
        blocks: vec![Block { der: bytes.to_vec(), line: None }],
        notes: vec!["the file is DER; it is converted to PEM".to_owned()],
    })
}

/// PEM text of certificates: 64 columns, line feeds, nothing between the blocks.
pub fn write<'a>(certificates: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    let blocks: Vec<String> = certificates
        .into_iter()
        .map(|der| pem::encode_config(&pem::Pem::new(CERTIFICATE, der), config))
        .collect();
    blocks.concat().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(bytes: &[u8]) -> String {
        read(Path::new("x.pem"), bytes).unwrap_err().to_string()
    }

    #[test]
    fn private_keys_are_refused_by_line() {
        let pem = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n-----BEGIN EC PRIVATE KEY-----\nAAAA\n";
        assert!(problem(pem).starts_with("x.pem:4: the file holds a private key"), "{}", problem(pem));
    }

    #[test]
    fn broken_files_are_refused_by_line() {
        assert!(problem(b" \n").contains("empty"));
        assert!(problem(b"hello").contains("neither PEM nor DER"));
        assert!(problem(b"\n-----BEGIN CERTIFICATE-----\nAAAA\n").starts_with("x.pem:2: "));
        assert!(
            problem(b"-----BEGIN CERTIFICATE-----\n!!!!\n-----END CERTIFICATE-----").starts_with("x.pem:1: ")
        );
        assert!(problem(b"-----BEGIN A-----\n-----END B-----").contains("ends as B"));
        assert!(problem(b"-----END CERTIFICATE-----\n-----BEGIN A-----").starts_with("x.pem:1: "));
        assert!(
            problem(b"-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----").contains("no certificate")
        );
    }

    #[test]
    fn text_around_is_left_out_and_said() {
        let text =
            b"\xef\xbb\xbfsubject=x\n-----BEGIN CERTIFICATE-----\r\nAAAA\r\n-----END CERTIFICATE-----\r\n";
        let found = read(Path::new("x.pem"), text).unwrap();
        assert_eq!((found.blocks[0].der.as_slice(), found.blocks[0].line), (&[0, 0, 0][..], Some(2)));
        assert_eq!(found.notes.len(), 1);
        let again = write(found.blocks.iter().map(|b| b.der.as_slice()));
        assert_eq!(again, b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    }
}
