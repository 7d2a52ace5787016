//! SBOM and provenance, made once more of the record and compared.

use crate::build::manifest::{Input, Manifest};
use crate::build::sbom::Origin;
use crate::build::{provenance, sbom, stamp};
use crate::site::segment::Recorded;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The SBOM names each part of the record and nothing else, and each package and image of others is an input.
pub fn sbom(path: &Path, record: &Manifest) -> Option<String> {
    if let Some(wrong) = packages(record).or_else(|| images(record)) {
        return Some(wrong);
    }
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) => return Some(e.to_string()),
    };
    let made = match sbom::write(&record.profile, &record.parts) {
        Ok(made) => made,
        Err(problem) => return Some(problem.to_string()),
    };
    if text == made {
        return None;
    }
    let (found, made) = match (serde_json::from_slice(&text), serde_json::from_slice(&made)) {
        (Ok(found), Ok(made)) => (found, made),
        (Err(e), _) | (_, Err(e)) => return Some(format!("it is no JSON: {e}")),
    };
    let (found, made): (Value, Value) = (found, made);
    let differ = differ(&list(&found["components"], component), &list(&made["components"], component));
    Some(differ.unwrap_or_else(|| "it is not written as the record's parts are".to_owned()))
}

/// Packages of the record's parts are its inputs, and the other way round; each part is in an image.
fn packages(record: &Manifest) -> Option<String> {
    let inputs = record.inputs.iter().filter(|input| input.kind == "package");
    let inputs: BTreeMap<String, String> =
        inputs.map(|input| (input.name.clone(), input.digest.hex())).collect();
    let debian = record.parts.iter().map(|record| &record.part).filter(|part| part.origin == Origin::Debian);
    let parts: BTreeMap<String, String> = debian
        .map(|part| {
            let architecture = part.architecture.as_deref().unwrap_or_default();
            let name = format!("{}_{}_{architecture}", part.name, part.version);
            (name, part.sha256.clone().unwrap_or_default())
        })
        .collect();
    let names: BTreeSet<&String> = inputs.keys().chain(parts.keys()).collect();
    if let Some(name) = names.into_iter().find(|name| inputs.get(*name) != parts.get(*name)) {
        let word = |digest: Option<&String>| digest.cloned().unwrap_or_else(|| "none".to_owned());
        let (input, part) = (word(inputs.get(name)), word(parts.get(name)));
        return Some(format!("by the record's inputs the package {name} is {input}, by its parts {part}"));
    }
    let images: BTreeSet<&str> =
        record.inputs.iter().filter(|input| input.kind == "image").map(|input| input.name.as_str()).collect();
    let stray = record.parts.iter().find(|part| !images.contains(part.component.as_str()))?;
    Some(format!("{} is said to be in {}, which is no image of the record", stray.part.name, stray.component))
}

/// Images of others among the record's parts are its inputs, and the other way round: by component and digest.
fn images(record: &Manifest) -> Option<String> {
    let inputs = record.inputs.iter().filter(|input| input.kind == "image");
    let inputs: BTreeMap<&str, String> =
        inputs.map(|input| (input.name.as_str(), input.digest.to_string())).collect();
    // One that a component is made of is an input with the component's name before its own.
    let made_of = inputs.iter().filter_map(|(name, digest)| Some((name.split_once(": ")?.0, digest)));
    let images = record.parts.iter().filter(|record| record.part.origin == Origin::Oci);
    let parts: BTreeSet<(&str, &String)> =
        images.map(|record| (record.component.as_str(), &record.part.version)).collect();
    let inputs_of: BTreeSet<(&str, &String)> = made_of.collect();
    if let Some((component, digest)) = inputs_of.difference(&parts).next() {
        return Some(format!(
            "the image {digest}, of which {component} is made, is none of the record's parts"
        ));
    }
    let stray =
        parts.difference(&inputs_of).find(|(component, digest)| inputs.get(component) != Some(digest));
    stray.map(|(component, digest)| {
        format!("the image {digest} is said to be in {component}, and is no input")
    })
}

/// What two lists have that the other does not.
fn differ(found: &BTreeMap<String, String>, made: &BTreeMap<String, String>) -> Option<String> {
    let missing = made.keys().find(|name| !found.contains_key(*name));
    let surplus = found.keys().find(|name| !made.contains_key(*name));
    let other = found.iter().find(|(name, value)| made.get(*name).is_some_and(|made| made != *value));
    match (missing, surplus, other) {
        (Some(name), _, _) => Some(format!("{name} is missing in it")),
        (_, Some(name), _) => Some(format!("{name} is in it, and not in the record")),
        (_, _, Some((name, value))) => {
            let stated = made.get(name).map_or("", String::as_str);
            Some(format!("{name} is {value} in it, and by the record {stated}"))
        }
        _ => None,
    }
}

fn list(array: &Value, pair: fn(&Value) -> (String, String)) -> BTreeMap<String, String> {
    array.as_array().into_iter().flatten().map(pair).collect()
}

/// A component by name and version; two of these with different digests are told apart by it.
fn component(value: &Value) -> (String, String) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let name = format!("{} {} ({})", word(&value["name"]), word(&value["version"]), word(&value["bom-ref"]));
    (name, value.to_string())
}

fn subject(value: &Value) -> (String, String) {
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (word(&value["name"]), word(&value["digest"]["sha256"]))
}

fn dependency(value: &Value) -> (String, String) {
    let (name, digest) = subject(value);
    let kind = value["annotations"]["kind"].as_str().unwrap_or_default();
    // One name may come with several digests, as a file of several components.
    (format!("{kind} {name} ({digest})"), digest)
}

/// The statement speaks of these files, settings and inputs, and of nothing else.
pub fn statement(path: &Path, record: &Manifest, site: Option<&Recorded>) -> Option<String> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(e) => return Some(e.to_string()),
    };
    let found: Value = match serde_json::from_slice(&text) {
        Ok(found) => found,
        Err(e) => return Some(format!("it is no JSON: {e}")),
    };
    let site = site?;
    let stamped = record.inputs.iter().any(|input: &Input| input.kind == stamp::BASE);
    let build_type = if stamped { provenance::STAMPED } else { provenance::BUILT };
    let mut artifacts = record.artifacts.clone();
    artifacts.retain(|artifact| artifact.name != provenance::FILE);
    let made = provenance::write(
        (build_type, &record.hookos),
        (&record.profile, &site.fields),
        &record.inputs,
        &artifacts,
    );
    let made = match made {
        Ok(made) => made,
        Err(problem) => return Some(problem.to_string()),
    };
    if made == text {
        return None;
    }
    let made: Value = serde_json::from_slice(&made).unwrap_or_default();
    let definition = |statement: &Value| statement["predicate"]["buildDefinition"].clone();
    let (found_definition, made_definition) = (definition(&found), definition(&made));
    let subjects = differ(&list(&found["subject"], subject), &list(&made["subject"], subject));
    let inputs = differ(
        &list(&found_definition["resolvedDependencies"], dependency),
        &list(&made_definition["resolvedDependencies"], dependency),
    );
    let settings = |definition: &Value| -> BTreeMap<String, String> {
        let parameters = &definition["externalParameters"];
        let fields = parameters["fields"].as_object().into_iter().flatten();
        let fields = fields.map(|(name, value)| (name.clone(), value.to_string()));
        fields.chain([("profile".to_owned(), parameters["profile"].to_string())]).collect()
    };
    let settings = differ(&settings(&found_definition), &settings(&made_definition));
    let said = subjects.or(inputs).or(settings);
    Some(
        said.unwrap_or_else(|| {
            "it is not the statement of this build: type, builder or form differ".to_owned()
        }),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::sbom::{Part, PartRecord};
    use crate::store::Digest;

    #[test]
    fn images_of_others_are_parts_and_inputs() {
        let digest = Digest::of(b"image");
        let input = |name: &str, digest| Input { kind: "image".to_owned(), name: name.to_owned(), digest };
        let part = |component: &str, digest: Digest| PartRecord {
            part: Part {
                origin: Origin::Oci,
                name: "r.example.com/log:1".to_owned(),
                version: digest.to_string(),
                architecture: None,
                sha256: None,
                reference: None,
            },
            component: component.to_owned(),
        };
        let mut record = Manifest::new("lab", "5.10", 0);
        // A component made of one, an image as it is, and a component of packages.
        record.inputs = vec![
            input("log", Digest::of(b"log")),
            input("log: r.example.com/log:1", digest),
            input("r.example.com/log:1", digest),
            input("udev", Digest::of(b"udev")),
        ];
        record.parts = vec![part("log", digest), part("r.example.com/log:1", digest)];
        assert_eq!(images(&record), None);
        let mut missing = record.clone();
        missing.parts.remove(0);
        assert!(images(&missing).unwrap().contains("of which log is made"));
        for stray in [part("udev", digest), part("r.example.com/log:1", Digest::of(b"other"))] {
            let mut record = record.clone();
            record.parts.push(stray);
            assert!(images(&record).unwrap().contains("is no input"));
        }
    }
}
