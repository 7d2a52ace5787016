//! `hookos verify`: is a finished image what its record says, and does a build make it again?

use super::context::Context;
use super::render::Short;
use crate::build::image::INITRAMFS;
use crate::build::manifest::{self, Input, Manifest};
use crate::build::stamp;
use crate::build::verify::{Check, Made, verify};
use crate::component::binaries::TARGET_FOLDER;
use crate::problem::{Problem, Result};
use crate::site::resolve::Lookup;
use crate::site::segment::Recorded;
use crate::site::{Field, Id, Profile, Sources, files, resolve};
use crate::store::{Digest, Store};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Check a finished image against its record: every file and segment by digest, archive, kernel, modules, programs,
/// the site's settings and certificates, SBOM, provenance.
///
/// With --rebuild the image is built again of the settings and certificates that are recorded in it, in an empty
/// store, its programs too, and the files are compared byte for byte. That takes as long as a first build, and needs
/// what one needs. What was stamped cannot be built again.
#[derive(Debug, clap::Args)]
pub struct VerifyArgs {
    /// The folder that a build left, or the name of a profile: its out/PROFILE.
    #[arg(default_value = "lab", value_name = "FOLDER|PROFILE")]
    what: PathBuf,
    /// Build it again with nothing from the store, and compare.
    #[arg(long)]
    rebuild: bool,
}

pub fn run(args: &VerifyArgs, context: &Context) -> Result<()> {
    let named = context.out(&args.what.to_string_lossy());
    let out = if args.what.is_dir() { args.what.clone() } else { named };
    let progress = Short::start(context)?;
    let mut found = verify(&out, &progress)?;
    let as_recorded = found.is_good();
    // An image that is damaged is told of at once, and not after another build.
    if args.rebuild && as_recorded {
        found.checks.extend(rebuild(&out, &found.made, context, &progress)?);
    }
    drop(progress);
    let line = |check: &Check| match &check.wrong {
        None => format!("ok     {}", check.what),
        Some(why) => format!("WRONG  {}: {why}", check.what),
    };
    let text: Vec<String> = found.checks.iter().map(line).collect();
    context.answer(&found, &text.join("\n"))?;
    if found.is_good() {
        return Ok(());
    }
    if as_recorded {
        return Err(Problem::new(format!(
            "{} is what its record says, and what is here makes another image",
            out.display()
        ))
        .remedy("take the sources that it was built of: the same commit, packages.lock and program, in a clean clone"));
    }
    Err(Problem::new(format!("{} is not what its record says", out.display()))
        .remedy(format!("do not use it; build it again: hookos build {}", found.profile)))
}

/// Builds the image again of what its record says, in a store of its own; says which files differ.
fn rebuild(out: &Path, made: &Made, context: &Context, progress: &Short) -> Result<Vec<Check>> {
    let failed = |e: std::io::Error| Problem::new("the image cannot be built again").because(e);
    if made.record.inputs.iter().any(|input| input.kind == stamp::BASE) {
        return Err(Problem::usage("this image was stamped on another one, not built: there are no sources to build it of")
            .in_file(out)
            .remedy("stamp the same image elsewhere and compare: hookos stamp IMAGE --profile NAME --out FOLDER, then hookos inspect"));
    }
    let Some(site) = &made.site else {
        return Err(Problem::usage(
            "this is the base of bundles, which has no site and no settings to build it of",
        )
        .in_file(out)
        .remedy("give the folder of one of its sites: its image is built again, base and all"));
    };
    let folder = tempfile::Builder::new()
        .prefix("verify-")
        .tempdir_in(Store::open(Store::default_root())?.tmp())
        .map_err(failed)?;
    let within = |name: &str| folder.path().join(name);
    let (profile, flags) = settings(site, context, &within(&format!("{}.toml", site.profile)))?;
    progress.say(&format!("building {} again of its recorded settings, in an empty store", site.profile));
    let program = std::env::current_exe().map_err(failed)?;
    let mut command = Command::new(program);
    command.arg("build").arg(&profile).args(["--locked", "--plain", "--out"]).arg(within("out"));
    command.arg("--root").arg(&context.root);
    for (field, text) in flags {
        command.arg(format!("--{}={text}", field.flag));
    }
    for (id, bytes) in [Id::CaFile, Id::ServerCertFile].into_iter().zip(&made.certificates) {
        let field = id.field();
        let file = within(field.flag);
        std::fs::write(&file, bytes).map_err(failed)?;
        command.arg(format!("--{}={}", field.flag, file.display()));
    }
    match site.source_date_epoch {
        Some(epoch) => command.env("SOURCE_DATE_EPOCH", epoch.to_string()),
        None => command.env_remove("SOURCE_DATE_EPOCH"),
    };
    // Programs that were compiled before are no proof either.
    command.env("HOOKOS_CACHE", within("store")).env(TARGET_FOLDER, within("target"));
    for cache in ["HOOKOS_CACHE_FROM", "HOOKOS_CACHE_TO"] {
        command.env_remove(cache);
    }
    let status = command.stdout(std::process::Stdio::null()).status().map_err(failed)?;
    if !status.success() {
        return Err(Problem::new(format!("{} cannot be built again: {status}", site.profile))
            .remedy("what was wrong is said above"));
    }
    // The record of a bundle is another one than that of a whole image.
    let whole = made.record.artifacts.iter().any(|artifact| artifact.name == INITRAMFS);
    let names = made.record.artifacts.iter().map(|artifact| artifact.name.as_str());
    let names = names.chain(whole.then_some(manifest::FILE));
    let mut checks: Vec<Check> = names.map(|name| again(name, out, &within("out"))).collect();
    if whole {
        let others = other_inputs(&made.record, &Manifest::read(&within("out"))?);
        let wrong = (!others.is_empty()).then(|| others.join(", "));
        checks.push(Check { what: "inputs built again".to_owned(), wrong });
    }
    Ok(checks)
}

/// What decided one image and not the other; images follow from the rest.
fn other_inputs(one: &Manifest, other: &Manifest) -> Vec<String> {
    let inputs = |record: &Manifest| -> BTreeSet<Input> {
        record.inputs.iter().filter(|input| input.kind != "image").cloned().collect()
    };
    let (one, other) = (inputs(one), inputs(other));
    let differ = one.symmetric_difference(&other);
    let names: BTreeSet<String> =
        differ.map(|input| format!("{} {} differs", input.kind, input.name)).collect();
    names.into_iter().collect()
}

/// Whether a file is the same in both folders.
fn again(name: &str, out: &Path, rebuilt: &Path) -> Check {
    let digest = |folder: &Path| Digest::of_file(folder.join(name)).map(|(digest, _)| digest);
    let wrong = match (digest(out), digest(rebuilt)) {
        (Ok(one), Ok(other)) if one == other => None,
        (Ok(one), Ok(other)) => Some(format!("it has the digest {one}, and {other} when it is built again")),
        (Err(e), _) => Some(e.to_string()),
        (_, Err(e)) => Some(format!("it does not come again: {e}")),
    };
    Check { what: format!("{name} built again"), wrong }
}

/// The profile to build, and what to give as flags: all settings that the image was made of. A row of a table or a
/// flag of that time is no profile, so an empty one at `new` takes the place of one that there is none of here.
fn settings(
    site: &Recorded,
    context: &Context,
    new: &Path,
) -> Result<(PathBuf, Vec<(&'static Field, String)>)> {
    let (flags, masked) = site.flags();
    let known = files::find(&context.root, &site.profile)?;
    let profile = match &known {
        Some(found) => found.path.clone(),
        None => {
            std::fs::write(new, "schema_version = 1\n")
                .map_err(|e| Problem::new("the settings cannot be written").in_file(new).because(e))?;
            new.to_owned()
        }
    };
    // What is masked has to come from where it came from: the profile or the environment.
    let loaded = Profile::load(&profile)?;
    let env: &Lookup = &Sources::environment;
    let sources = Sources { profile: Some(&loaded), env: Some(env), ..Sources::default() };
    let here = resolve(&site.profile, &sources).site;
    for (field, shown) in masked {
        let same = here.get(field.id).is_some_and(|value| value.shown(field.kind) == shown);
        if !same {
            return Err(Problem::usage(format!(
                "the image cannot be built again: its record masks {} ({shown})",
                field.path()
            ))
            .remedy(format!("give its value in the environment: {}", field.env)));
        }
    }
    Ok((profile, flags.into_iter().map(|(id, text)| (id.field(), text)).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_does_not_come_again_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        for (folder, name, text) in [
            (&one, "same", "x"),
            (&other, "same", "x"),
            (&one, "not", "x"),
            (&other, "not", "y"),
            (&one, "gone", "x"),
        ] {
            std::fs::create_dir_all(folder).unwrap();
            std::fs::write(folder.join(name), text).unwrap();
        }
        let wrong = |name: &str| again(name, &one, &other).wrong;
        assert_eq!(wrong("same"), None);
        assert!(wrong("not").unwrap().contains(&Digest::of(b"y").hex()));
        assert!(wrong("gone").unwrap().contains("does not come again"));
    }

    #[test]
    fn what_another_image_is_made_of_is_named_once() {
        let record = |text: &[u8]| {
            let mut record = Manifest::new("lab", "5.10", 0);
            for (kind, name) in [("file", "acpid: power.event"), ("image", "acpid")] {
                let digest = Digest::of(text);
                record.inputs.push(Input { kind: kind.to_owned(), name: name.to_owned(), digest });
            }
            record
        };
        assert_eq!(other_inputs(&record(b"x"), &record(b"x")), Vec::<String>::new());
        assert_eq!(other_inputs(&record(b"x"), &record(b"y")), ["file acpid: power.event differs"]);
    }

    fn context(root: &Path) -> Context {
        Context { root: root.to_owned(), json: false, plain: true, dry_run: false }
    }

    #[test]
    fn what_a_record_masks_is_asked_for_and_all_else_is_set_or_unset() {
        let folder = tempfile::tempdir().unwrap();
        let mut record = serde_json::json!({
            "hookos": "0", "profile": "berlin", "placeholder_certificates": false, "kernel": "5.10",
            "source_date_epoch": null, "images": {},
            "fields": {"endpoints.cluster_domain": "b.example.com", "network.nameservers": ["192.0.2.1", "192.0.2.2"],
                "image.getty": "off", "certificates.placeholder": true},
        });
        let new = folder.path().join("berlin.toml");
        let site: Recorded = serde_json::from_value(record.clone()).unwrap();
        let (profile, flags) = settings(&site, &context(folder.path()), &new).unwrap();
        assert_eq!(profile, new);
        let flags: std::collections::BTreeMap<&str, String> =
            flags.into_iter().map(|(field, text)| (field.flag, text)).collect();
        assert_eq!(flags["nameservers"], "192.0.2.1,192.0.2.2");
        assert_eq!(flags["placeholder-certificates"], "true");
        // It would follow from the domain.
        assert_eq!(flags["logging-svc"], "");
        assert!(!flags.contains_key("debian-mirror") && !flags.contains_key("ca-file"));
        record["fields"]["image.root_password_hash"] = "***".into();
        let site: Recorded = serde_json::from_value(record).unwrap();
        let problem = settings(&site, &context(folder.path()), &new).unwrap_err().to_string();
        assert!(
            problem.contains("masks image.root_password_hash") && problem.contains("HOOKOS_"),
            "{problem}"
        );
    }
}
