//! `provenance.intoto.json`: who made these files, of what. An in-toto statement with SLSA provenance; it holds no
//! time and no place, so the same build has the same statement.
//!
//! Source: in-toto attestation framework, "Statement v1"; SLSA, "Provenance v1" (slsa.dev/spec/v1.0/provenance).

use super::files::Artifact;
use super::manifest::Input;
use crate::problem::{Problem, Result};
use serde_json::{Map, Value, json};

/// Its name in the output folder.
pub const FILE: &str = "provenance.intoto.json";
/// Names what `externalParameters` mean, and what was done with them.
pub const BUILT: &str = "urn:hookos:build:1";
pub const STAMPED: &str = "urn:hookos:stamp:1";

/// The statement about the files of an image that this version of the program made, of a profile's settings.
pub fn write(
    (build_type, version): (&str, &str),
    (profile, fields): (&str, &Map<String, Value>),
    inputs: &[Input],
    artifacts: &[Artifact],
) -> Result<Vec<u8>> {
    let mut inputs: Vec<&Input> = inputs.iter().collect();
    inputs.sort();
    inputs.dedup();
    let sha256 = |digest: &crate::store::Digest| json!({"sha256": digest.hex()});
    let subject = artifacts.iter().map(|a| json!({"name": a.name, "digest": sha256(&a.sha256)}));
    let dependencies = inputs.iter().map(|input| {
        json!({"name": input.name, "digest": sha256(&input.digest), "annotations": {"kind": input.kind}})
    });
    let statement = json!({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": subject.collect::<Vec<_>>(),
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": build_type,
                "externalParameters": {"profile": profile, "fields": fields},
                "resolvedDependencies": dependencies.collect::<Vec<_>>(),
            },
            "runDetails": {"builder": {"id": format!("urn:hookos:{version}")}},
        },
    });
    let mut text = serde_json::to_vec_pretty(&statement)
        .map_err(|e| Problem::new("cannot write the provenance").because(e))?;
    text.push(b'\n');
    Ok(text)
}
